"""Files of prototypes: what is written is read again, and every damage is named."""

from __future__ import annotations

import errno
import json
import os
import pickle
import subprocess
import sys
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors import safe_open
from safetensors.numpy import load, save

from napari_cliper import __version__
from napari_cliper.io import prototype_file as module
from napari_cliper.io.files import FileError
from napari_cliper.io.prototype_file import (
    FORMAT,
    MAX_BYTES,
    SUFFIX,
    beside,
    from_record,
    prototypes_record,
    read_prototypes,
    to_record,
    write_prototypes,
)
from napari_cliper.segmentation import BACKGROUND, PixelSamples, Prototype, Prototypes
from napari_cliper.segmentation.scoring.pixel_samples import SAMPLES


def pixels(images: int, count: int, width: int) -> PixelSamples:
    rng = np.random.default_rng(count)
    return PixelSamples(
        rng.normal(size=(count, PixelSamples.width)).astype(np.float16),
        rng.integers(-127, 128, (count, width)).astype(np.int8),
        rng.uniform(0.01, 0.1, count).astype(np.float32),
        rng.integers(0, images, count).astype(np.int32),
    )


def made(count: int = 3, width: int = 16, *, keeps_pixels: bool = False) -> Prototypes:
    """Prototypes of odd names, from several images."""
    rng = np.random.default_rng(0)
    names = ["cell nucleus", BACKGROUND, "細胞 é 🧫", 'a "b", \\c\n']
    vectors = rng.normal(size=(count, width)).astype(np.float32)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    return Prototypes(
        "open_clip:ViT-B-16/x",
        "id",
        tuple(
            Prototype(
                names[index % len(names)],
                torch.from_numpy(vectors[index]),
                index + 1,
                tuple(f"image {part}.tif" for part in range(index + 1)),
                rng.integers(0, 256, (48, 48, 3), np.uint8),
                pixels(index + 1, 5 * index, width) if keeps_pixels and index else None,
            )
            for index in range(count)
        ),
        {"image 0.tif": 0.1 + 0.2, "image 1.tif": 40.0},
    )


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / f"classes{SUFFIX}"


def assert_same(one: Prototypes, other: Prototypes) -> None:
    assert (one.model, one.identity, len(one)) == (other.model, other.identity, len(other))
    assert one.pixel_sizes == other.pixel_sizes
    for left, right in zip(one.items, other.items, strict=True):
        assert (left.name, left.patches, left.sources) == (right.name, right.patches, right.sources)
        assert left.vector.dtype == right.vector.dtype == torch.float32
        assert torch.equal(left.vector, right.vector)
        assert left.thumbnail.dtype == right.thumbnail.dtype == np.uint8
        np.testing.assert_array_equal(left.thumbnail, right.thumbnail)
        assert (left.samples is None) == (right.samples is None)
        for name in ("features", "vectors", "shares", "origins") if left.samples else ():
            kept, again = getattr(left.samples, name), getattr(right.samples, name)
            assert kept.dtype == again.dtype
            np.testing.assert_array_equal(kept, again)


# ---------------------------------------------------------------------- what is written


@pytest.mark.parametrize("count", [0, 1, 9])
def test_round_trip_is_exact(path, count):
    for keeps_pixels in (False, True):
        written = made(count, keeps_pixels=keeps_pixels)
        write_prototypes(path, written)
        assert_same(read_prototypes(path), written)
        assert [one.name for one in path.parent.glob("[!.]*")] == [path.name]
        for one in written.items:
            again = from_record(json.loads(json.dumps(to_record(one))))
            assert_same(replace(written, items=(one,)), replace(written, items=(again,)))


def test_the_file_says_what_it_is(path):
    write_prototypes(path, made())
    with safe_open(path, framework="numpy") as file:
        texts = file.metadata()
        shapes = {name: tuple(file.get_slice(name).get_shape()) for name in file.keys()}  # noqa: SIM118
    assert shapes == {"vectors": (3, 16), "patches": (3,), "thumbnails": (3, 48, 48, 3)}
    assert (texts["format"], texts["napari-cliper"]) == ("1", __version__)
    assert (texts["model"], texts["identity"]) == ("open_clip:ViT-B-16/x", "id")
    assert json.loads(texts["names"])[2] == "細胞 é 🧫"
    assert json.loads(texts["sources"])[1] == ["image 0.tif", "image 1.tif"]


def test_files_of_older_versions_have_no_pixel_sizes(path):
    write_prototypes(path, made())
    with safe_open(path, framework="numpy") as file:
        texts = dict(file.metadata())
    assert json.loads(texts.pop("pixel_sizes")) == dict(made().pixel_sizes)
    path.write_bytes(save(load(path.read_bytes()), texts))
    assert_same(read_prototypes(path), replace(made(), pixel_sizes={}))


def test_damaged_pixels_are_named(path):
    write_prototypes(path, made(keeps_pixels=True))
    with safe_open(path, framework="numpy") as file:
        texts = dict(file.metadata())
    assert texts["format"] == str(FORMAT)  # older versions refuse it and say so
    for name, value, words in (
        ("sample_counts", np.array([0, 5, 11]), "not the 16"),
        ("sample_counts", np.array([0, 15]), "do not fit"),
        ("sample_counts", np.array([17, 2**63 - 1, 2**63 - 1]), "do not fit"),
        ("sample_features", np.zeros((15, 7), np.float16), "7 and 16 features"),
        ("sample_features", np.full((15, 60), np.nan, np.float16), "not finite"),
        ("sample_vectors", np.zeros((15, 16), np.float16), "sample_vectors are F16"),
        ("sample_shares", np.zeros(15, np.float32), "not above 0"),
        ("sample_origins", np.full(15, 2, np.int32), "of an image that its prototype lacks"),
        ("sample_origins", None, "it has the tensors"),
    ):
        tensors = dict(load(path.read_bytes()))
        tensors.pop(name) if value is None else tensors.update({name: value})
        other = path.with_name(f"other{SUFFIX}")
        other.write_bytes(save(tensors, texts))
        with pytest.raises(FileError, match=words):
            read_prototypes(other)


def test_a_thousand_prototypes_fit_into_a_file(path):
    (item,) = made(1, width=768).items
    full = replace(made(1), items=(replace(item, samples=pixels(1, SAMPLES, 768)),))
    write_prototypes(path, full)
    assert 1000 * path.stat().st_size < MAX_BYTES


def test_names_of_files_that_are_no_text_are_kept(path):
    (item,) = made(1).items
    name = "a\udcff.tif"
    prototypes = replace(made(), items=(replace(item, sources=(name,)),), pixel_sizes={name: 2.0})
    write_prototypes(path, prototypes)
    assert_same(read_prototypes(path), prototypes)
    assert read_prototypes(path).items[0].sources == (name,)
    named = replace(made(), model="/models/\udcff.pt")
    write_prototypes(path, named)
    assert read_prototypes(path).model == "/models/?.pt"


def test_a_file_is_replaced_as_a_whole(path):
    write_prototypes(path, made(9))
    write_prototypes(path, made(1))
    assert len(read_prototypes(path)) == 1


@pytest.mark.parametrize(
    ("classes", "name"),
    [
        ("classes.yaml", "classes.prototypes.safetensors"),
        ("my.list.txt", "my.list.prototypes.safetensors"),
        ("classes", "classes.prototypes.safetensors"),
    ],
)
def test_they_lie_beside_the_list_of_classes(tmp_path, classes, name):
    assert beside(tmp_path / classes) == tmp_path / name


def test_another_kind_of_file_is_not_overwritten(tmp_path):
    path = tmp_path / "classes.yaml"
    path.write_text("classes: []")
    with pytest.raises(FileError, match=r"Call it classes\.prototypes\.safetensors"):
        write_prototypes(path, made())
    assert path.read_text() == "classes: []"


def test_a_full_disk_leaves_the_old_file(path, monkeypatch):
    write_prototypes(path, made(1))

    def full(file: Path, content: bytes) -> int:
        with file.open("wb") as half:
            half.write(content[:100])
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with monkeypatch.context() as patch:
        patch.setattr(Path, "write_bytes", full)
        with pytest.raises(FileError, match="disk is full"):
            write_prototypes(path, made(9))
    assert_same(read_prototypes(path), made(1))
    assert [one.name for one in path.parent.glob("[!.]*")] == [path.name]


def test_more_than_can_be_read_is_not_written(path, monkeypatch):
    monkeypatch.setattr(module, "MAX_BYTES", 1 << 20)
    write_prototypes(path, made(99))
    with pytest.raises(FileError, match="200 prototypes take 1 MB"):
        write_prototypes(path, made(200))
    assert len(read_prototypes(path)) == 99


def test_the_record_changes_with_what_scores_depend_on():
    first, *rest = made().items
    record = prototypes_record(made())
    assert record == prototypes_record(made())
    assert (record["model"], record["prototypes"]) == ("open_clip:ViT-B-16/x", 3)
    assert record["pixel_sizes"] == [0.1 + 0.2, 40.0]
    unknown = prototypes_record(replace(made(), pixel_sizes={}))
    assert unknown == {name: record[name] for name in ("model", "sha256", "prototypes")}
    for other in (
        replace(made(), identity="other"),
        replace(made(), items=tuple(rest)),
        replace(made(), items=(replace(first, name="other"), *rest)),
        replace(made(), items=(replace(first, vector=-first.vector), *rest)),
        replace(made(), items=(replace(first, sources=("a", "b")), *rest)),
    ):
        assert prototypes_record(other)["sha256"] != record["sha256"]


# ---------------------------------------------------------------------- damage

REMEDIES = (
    " Learn the prototypes again, or use an undamaged copy of the file.",
    " Update napari-cliper.",
    " Give the file that `napari-cliper learn` wrote.",
)


def text(**values):
    return lambda _tensors, texts: texts.update(values)


def without(name):
    return lambda _tensors, texts: texts.pop(name)


def tensor(name, change):
    def apply(tensors, _texts):
        tensors[name] = np.ascontiguousarray(change(tensors[name]))

    return apply


def value(name, new):
    def apply(tensors, _texts):
        tensors[name][1] = new

    return apply


DAMAGES = {
    "a newer format": (text(format=str(FORMAT + 1)), "Update napari-cliper"),
    "format 0": (text(format="0"), "format is 0"),
    "format of words": (text(format="one"), "'one', which is not a number"),
    "format below": (text(format="-1"), "'-1', which is not a number"),
    "an endless format": (text(format="9" * 5000), "is not a number"),
    "no format": (without("format"), "not one of prototypes"),
    "no identity": (without("identity"), "not one of prototypes"),
    "an empty identity": (text(identity=""), "its metadata have no identity"),
    "no model": (without("model"), "its metadata have no model"),
    "no version": (without("napari-cliper"), "its metadata have no napari-cliper"),
    "no names": (without("names"), "its metadata have no names"),
    "broken names": (text(names='["a", "b"'), "names are not JSON"),
    "deep names": (text(names="[" * 100_000), "names are not JSON"),
    "names by key": (text(names='{"a": 1}'), "not a list"),
    "a name that is a number": (text(names='["a", 1, "b"]'), "not a list of texts"),
    "too few names": (text(names='["a", "b"]'), "does not have the same number"),
    "broken sources": (text(sources="image"), "sources are not JSON"),
    "sources of text": (text(sources='["a", "b", "c"]'), "not a list of lists of images"),
    "a source of nothing": (text(sources='[["a"], [], ["c"]]'), "not a list of lists of images"),
    "a source that is a number": (
        text(sources='[["a"], [1], ["c"]]'),
        "not a list of lists of images",
    ),
    "too many sources": (text(sources='[["a"], ["b"], ["c"], ["d"]]'), "4 sources"),
    "broken pixel sizes": (text(pixel_sizes="0.5"), "not an object of lengths above 0"),
    "a pixel size of 0": (text(pixel_sizes='{"image 0.tif": 0}'), "not an object of lengths"),
    "a pixel size of NaN": (text(pixel_sizes='{"image 0.tif": NaN}'), "not an object of lengths"),
    "no thumbnails": (lambda tensors, _: tensors.pop("thumbnails"), "has the tensors patches, v"),
    "another tensor": (lambda tensors, _: tensors.update(x=np.zeros(3)), "has the tensors"),
    "vectors in 64 bits": (tensor("vectors", np.float64), "vectors are F64"),
    "patches in 32 bits": (tensor("patches", np.int32), "patches are I32"),
    "thumbnails as floats": (tensor("thumbnails", np.float32), "thumbnails are F32"),
    "one vector": (tensor("vectors", np.ravel), "vectors are F32 of shape 48"),
    "too few vectors": (tensor("vectors", lambda a: a[:2]), "2 vectors"),
    "too few patches": (tensor("patches", lambda a: a[:2]), "2 patches"),
    "too few thumbnails": (tensor("thumbnails", lambda a: a[:2]), "2 thumbnails"),
    "small thumbnails": (tensor("thumbnails", lambda a: a[:, ::2]), "shape 24 x 48 x 3"),
    "not a number": (value("vectors", np.nan), "not finite"),
    "infinite": (value("vectors", -np.inf), "not finite"),
    "short vectors": (tensor("vectors", lambda a: a / 2), "of 3 prototypes are not of length 1"),
    "a vector of nothing": (value("vectors", 0), "of 1 prototypes are not of length 1"),
    "huge vectors": (value("vectors", 3e38), "not of length 1"),
    "no patch": (value("patches", 0), "mean of 0 patches"),
    "fewer than no patch": (value("patches", -3), "mean of -3 patches"),
}


def test_what_is_wrong_is_named(path, subtests):
    for damage, (change, words) in DAMAGES.items():
        with subtests.test(damage=damage):
            path.unlink(missing_ok=True)
            write_prototypes(path, made())
            tensors = {name: array.copy() for name, array in load(path.read_bytes()).items()}
            with safe_open(path, framework="numpy") as file:
                texts = dict(file.metadata())
            change(tensors, texts)
            path.write_bytes(save(tensors, texts))
            with pytest.raises(FileError) as caught:
                read_prototypes(path)
            message = str(caught.value)
            assert message.startswith(f"Cannot read {path}: ")
            assert words in message
            assert message.endswith(REMEDIES)
            assert len(message) < 400


def test_a_file_that_is_cut_off(path):
    write_prototypes(path, made())
    content = path.read_bytes()
    for length in (0, 1, 8, 100, len(content) // 2, len(content) - 1):
        path.write_bytes(content[:length])
        with pytest.raises(FileError, match="cut off, or not a safetensors"):
            read_prototypes(path)


def test_bytes_that_changed_give_prototypes_or_an_error_in_words(path):
    contents = []
    for keeps_pixels in (False, True):
        write_prototypes(path, made(keeps_pixels=keeps_pixels))
        contents.append(path.read_bytes())
    rng = np.random.default_rng(0)
    refused = 0
    for attempt in range(400):
        content = contents[attempt // 2 % 2]
        broken = bytearray(content)
        header = 8 + int.from_bytes(content[:8], "little")
        end = header if attempt % 2 else len(content)
        for at in rng.integers(0, end, 4):
            broken[at] = int(rng.integers(256))
        path.write_bytes(bytes(broken))
        with suppress(FileError):  # and nothing else; some changes do no harm
            read_prototypes(path)
            continue
        refused += 1
    assert refused > 100


class Program:
    """What runs when it is unpickled."""

    def __init__(self, target: Path) -> None:
        self.target = target

    def __reduce__(self):
        return os.mkdir, (str(self.target),)


@pytest.mark.parametrize("writer", [pickle.dump, torch.save], ids=["pickle", "torch"])
def test_no_program_of_a_file_is_run(path, writer):
    target = path.parent / "made by a program"
    with path.open("wb") as file:
        writer({"vectors": Program(target)}, file)
    with pytest.raises(FileError, match="not a safetensors file"):
        read_prototypes(path)
    assert not target.exists()


def test_files_that_are_something_else(path, tiny_clip):
    with pytest.raises(FileError, match="does not exist"):
        read_prototypes(path)
    with pytest.raises(FileError, match="it is not a file"):
        read_prototypes(path.parent)
    with pytest.raises(FileError, match="a safetensors file, but not one of prototypes"):
        read_prototypes(tiny_clip)
    with path.open("wb") as file:
        file.truncate(MAX_BYTES + 1)
    with pytest.raises(FileError, match="256 MB are too many"):
        read_prototypes(path)


def test_a_file_that_must_not_be_read(path, monkeypatch):
    write_prototypes(path, made())

    def refuse(*_args, **_kwargs):
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))

    monkeypatch.setattr(module, "safe_open", refuse)
    with pytest.raises(FileError, match="no permission"):
        read_prototypes(path)


def test_import_loads_no_torch():
    code = "import sys, napari_cliper.io.prototype_file\nassert 'torch' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True)
