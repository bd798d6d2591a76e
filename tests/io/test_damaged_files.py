"""Damaged files, thousands of them: every reader answers soon, and with the project's own errors.

More of them: `pytest tests/io/test_damaged_files.py --mutations 20000 --mutation-seed 7`.
"""

from __future__ import annotations

import faulthandler
import random
import re
import shutil
import time
import tracemalloc
from functools import lru_cache
from pathlib import Path

import imagecodecs
import numpy as np
import tifffile
import torch
from cpu_time import cpu_seconds
from PIL import Image

from napari_cliper.annotation.edit_mask import AnnotationState
from napari_cliper.annotation.project.project import Project
from napari_cliper.evaluation.ground_truth import read_numbers
from napari_cliper.io.class_list import read_classes, write_classes
from napari_cliper.io.files import FileError
from napari_cliper.io.image_decoding import is_image
from napari_cliper.io.images import read_image_file
from napari_cliper.io.prototype_file import read_prototypes, write_prototypes
from napari_cliper.io.readers.coco import open_coco
from napari_cliper.io.readers.label_files import read_label_png, read_label_tiff
from napari_cliper.io.writers.coco import write_coco
from napari_cliper.io.writers.png import write_indexed_png, write_plain_png
from napari_cliper.io.writers.tiff import write_label_tiff, write_ome_tiff
from napari_cliper.labels.label_class import ClassRow
from napari_cliper.labels.labelled_image import LabelledImage
from napari_cliper.segmentation import (
    Prototype,
    Prototypes,
    SegmentationConfig,
    SegmentationError,
    Thresholds,
)

BYTES = 64 * 2**20
TRACED = 4  # memory of every fourth file: following each allocation takes three times as long
HANGING = 60  # seconds after which the run is ended with a traceback of where it hangs

RNG = np.random.default_rng(0)
GREY = RNG.integers(0, 6, (40, 50), np.uint8)
RGB = RNG.integers(0, 256, (40, 50, 3), np.uint8)
STACK = np.stack([GREY, GREY.T.reshape(40, 50), GREY])
ROWS = {1: ClassRow("cell", ("nucleus",), colour=(1, 2, 3)), 3: ClassRow("細胞 <&>")}


# ---------------------------------------------------------------------- what is damaged


def read_all_of_coco(path: Path) -> None:
    coco = open_coco(path)
    for image in coco.images:
        if image["height"] * image["width"] < 2**22:  # of another file, whose length is not known
            coco.read(image["file_name"])


def read_all_of_project(path: Path) -> None:
    folder = path.parent.parent if path.parent.name == "annotations" else path.parent
    project = Project.open(folder)
    _ = project.settings
    for image in project.images:
        project.load(image.name)
        project.read_image(image.name)


def tiffs(folder: Path) -> None:
    plain = {"photometric": "minisblack"}
    for name, array, options in (
        ("plain", GREY, plain), ("stack", STACK, plain), ("rgb", RGB, {}),
        ("big", GREY, {**plain, "bigtiff": True}), ("motorola", STACK, {**plain, "byteorder": ">"}),
        ("tiles", np.tile(GREY, (2, 2)), {**plain, "tile": (32, 32), "compression": "zlib"}),
        ("predictor", GREY.astype(np.uint16),
         {**plain, "compression": "lzw", "predictor": True, "rowsperstrip": 7}),
        ("jpeg", RGB, {"compression": "jpeg", "photometric": "ycbcr"}),
        ("zstd", STACK, {**plain, "compression": "zstd"}),
        ("planar", np.moveaxis(RGB, -1, 0), {"photometric": "rgb", "planarconfig": "separate"}),
        ("floats", GREY.astype(np.float32), plain),
        ("imagej", STACK[None], {"imagej": True, "metadata": {"axes": "TCYX"}}),
        ("ome", STACK, {"ome": True, "metadata": {"axes": "ZYX"}}),
        ("palette", GREY, {"photometric": "palette",
                           "colormap": np.zeros((3, 256), np.uint16), "compression": "packbits"}),
    ):  # fmt: skip
        tifffile.imwrite(folder / f"{name}.tif", array, **options)
    Image.fromarray(GREY > 2).save(folder / "fax.tif", compression="group4")
    Image.fromarray(RGB).save(folder / "lzw.tif", compression="tiff_lzw")
    with tifffile.TiffWriter(folder / "pages.tif") as file:
        for part in range(4):
            file.write(GREY[part : part + 10], photometric="minisblack", metadata=None)


def seeds(folder: Path) -> list[tuple[Path, tuple]]:
    """Files that are whole, and the readers that take them."""
    tiffs(folder)
    labelled = LabelledImage("a", GREY, ROWS, image_file="a.png")
    write_label_tiff(folder / "labels.tif", labelled)
    write_ome_tiff(folder / "labels.ome.tif", labelled)
    write_indexed_png(folder / "indexed.png", labelled)
    write_plain_png(folder / "labels.png", labelled)
    (folder / "deep.png").write_bytes(imagecodecs.png_encode(RGB.astype(np.uint16) * 257))
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.fromarray(RGB).save(folder / "a.jpg", exif=exif)
    for ending in ("png", "bmp", "gif", "webp", "ppm", "tga", "pcx", "sgi", "qoi"):
        Image.fromarray(RGB).save(folder / f"a.{ending}")
    images = (read_image_file, read_numbers, is_image)
    found = [
        (path, (*images, *({".tif": (read_label_tiff,), ".png": (read_label_png,)}
                           .get(path.suffix, ()))))
        for path in sorted(folder.iterdir())
    ]  # fmt: skip
    for name, options in (("polygons", {}), ("codes", {"kind": "stuff"})):
        write_coco(folder / f"{name}.json", [labelled], **options)
        found.append((folder / f"{name}.json", (read_all_of_coco,)))
    write_classes(folder / "list.yaml", ROWS.values())
    write_classes(folder / "list.json", ROWS.values())
    (folder / "list.txt").write_text("# set\n0: background\n1: cell, nucleus\n2:\tbacteria\n")
    found += [(folder / f"list.{ending}", (read_classes,)) for ending in ("yaml", "json", "txt")]
    vector = torch.nn.functional.normalize(torch.arange(1.0, 17), dim=0)
    item = Prototype("cell", vector, 3, ("a.png",), np.zeros((48, 48, 3), np.uint8))
    prototypes = Prototypes("model", "identity", (item,))
    write_prototypes(folder / "a.prototypes.safetensors", prototypes)
    found.append((folder / "a.prototypes.safetensors", (read_prototypes,)))
    return found + [(path, (read_all_of_project,)) for path in project_files(folder, prototypes)]


def project_files(folder: Path, prototypes: Prototypes) -> list[Path]:
    project = Project.create(folder / "project", [folder / "a.png"])
    state = AnnotationState(GREY.astype(np.uint16), np.minimum(GREY, 2), ROWS, {"seed": 3})
    limits = Thresholds(0.5, 0.4)
    project.save("a", state, thresholds=limits)
    project.save_settings(tuple(ROWS.values()), limits, SegmentationConfig(), prototypes=prototypes)
    return sorted(path for path in project.folder.rglob("*") if path.is_file())


# ---------------------------------------------------------------------- damage

NUMBERS = (b"\0", b"\1", b"\xff", b"\xff\xff", b"\0\0\0\0", b"\xff\xff\xff\xff",
           b"\xff\xff\xff\x7f", b"\0\0\0\x80", b"\x11\0", b"\0\x11", b"\xff" * 8,
           b"\0\0\1\0", b"\0\1\0\0")  # fmt: skip
VALUES = (b"null", b"[]", b"[[]]", b"{}", b'""', b"-1", b"0", b"1e999", b"NaN", b"true",
          b'"\\u0000"', b'"\\ud83d"', b"1.5", b"9" * 30, b"100000", b'"a"', b"[1]")  # fmt: skip


@lru_cache
def tokens(text: bytes) -> list[tuple[int, int]]:
    """Where words, numbers and strings begin and end."""
    return [found.span() for found in re.finditer(rb'"[^"]*"|-?\d+(?:\.\d+)?|\w+', text)]


def damaged(content: bytes, random: random.Random, *, text: bool) -> bytes:
    """A copy with one to four mistakes in it."""
    data = bytearray(content)
    for _ in range(random.choice((1, 1, 1, 2, 4))):
        # Half of them at the beginning or the end, where the structure of most files is.
        near = min(len(data), 300)
        place = random.choice((
            random.randrange(len(data) + 1), random.randrange(near + 1),
            len(data) - random.randrange(near + 1),
        ))  # fmt: skip
        kind = random.randrange(7)
        if text and tokens(bytes(data)) and random.random() < 0.7:
            start, end = random.choice(tokens(bytes(data)))
            data[start:end] = random.choice(VALUES)
        elif kind == 0 and data:
            data[min(place, len(data) - 1)] ^= 1 << random.randrange(8)
        elif kind in (1, 2):
            number = random.choice(NUMBERS)
            data[place : place + len(number)] = number
        elif kind == 3:
            data[place:] = b""
        elif kind == 4:
            del data[place : place + random.choice((1, 2, 4, 12, 100))]
        elif kind == 5:
            data[place:place] = data[place : place + random.choice((1, 4, 12, 100))]
        else:
            other = random.randrange(len(data) + 1)
            data[place : place + 4] = data[other : other + 4]
    return bytes(data)


def read_each(whole: list[tuple[Path, tuple]]) -> None:
    for path, readers in whole:
        for read in readers:
            try:
                read(path)
            except (FileError, SegmentationError):
                assert read in (read_numbers, read_label_tiff, read_label_png), path


def test_readers_raise_only_the_projects_own_errors(tmp_path, pytestconfig):
    whole = seeds(tmp_path)
    read_each(whole)  # what is imported late, is imported here
    contents = {path: path.read_bytes() for path, _ in whole}
    most = 10 * cpu_seconds(lambda: read_each(whole))  # for one damaged file
    chance = random.Random(pytestconfig.getoption("--mutation-seed"))
    escapes: dict[str, str] = {}
    refused = read_well = 0
    try:
        for number in range(pytestconfig.getoption("--mutations")):
            if number % 20 == 0:
                faulthandler.dump_traceback_later(HANGING, exit=True)
            path, readers = chance.choice(whole)
            text = path.suffix in (".json", ".yaml", ".txt")
            path.write_bytes(damaged(contents[path], chance, text=text))
            if number % TRACED == 0:
                tracemalloc.start()
            for read in readers:
                tracemalloc.reset_peak()
                before, start = tracemalloc.get_traced_memory()[0], time.process_time()
                wrong = ""
                try:
                    read(path)
                    read_well += 1
                except (FileError, SegmentationError) as error:
                    refused += 1
                    if path.stem not in str(error) and read is not read_all_of_project:
                        wrong = f"does not name the file: {error}"
                except Exception as error:  # noqa: BLE001 - what escapes is what is looked for
                    wrong = f"{type(error).__name__}: {error}"
                took = time.process_time() - start
                peak = tracemalloc.get_traced_memory()[1] - before
                if took > most or peak > BYTES:
                    wrong += f" took {took:.1f} s and {peak >> 20} MB"
                if wrong:
                    kept = tmp_path.parent / f"escape-{number}-{path.name}"
                    shutil.copy(path, kept)
                    escapes.setdefault(f"{read.__name__} {wrong[:60]}", f"{kept}: {wrong}")
            tracemalloc.stop()
            path.write_bytes(contents[path])
    finally:
        faulthandler.cancel_dump_traceback_later()
        tracemalloc.stop()
    assert not escapes, "\n".join(escapes.values())
    assert refused > 0
    assert read_well > 0
