"""Which files of a folder are images, in which order, and names that every disk takes."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest
import tifffile
from PIL import Image

from napari_cliper.annotation.project.image_files import (
    LONGEST,
    ImageNames,
    as_file,
    images_in,
    relative,
    settled,
)
from napari_cliper.io.filenames import Names
from napari_cliper.io.files import FileError
from napari_cliper.io.images import read_image_file

PLANE = np.arange(48, dtype=np.uint8).reshape(6, 8)


def fill(folder: Path) -> None:
    """Images of many formats, and files that are none."""
    folder.mkdir(parents=True)
    for suffix in ("png", "jpg", "bmp", "gif", "webp", "ppm", "PNG", "tga"):
        Image.fromarray(PLANE).save(folder / f"picture.{suffix}")
    Image.fromarray(PLANE).save(folder / "no suffix", format="PNG")
    Image.fromarray(PLANE).save(folder / "text.txt", format="JPEG")  # what it is, not what it says
    tifffile.imwrite(folder / "stack.tif", np.zeros((5, 6, 8), np.uint16))
    tifffile.imwrite(folder / "upper.TIFF", PLANE)
    Image.fromarray(PLANE).save(folder / ".hidden.png")
    (folder / "notes.txt").write_text("words")
    (folder / "empty.png").write_bytes(b"")
    (folder / "wrong.tif").write_bytes(b"words")
    (folder / "table.csv").write_text("a,b\n1,2\n")
    (folder / "film.mpg").write_bytes(b"\x00\x00\x01\xb3" + bytes(60))
    (folder / "data.h5").write_bytes(b"\x89HDF\r\n\x1a\n" + bytes(60))
    (folder / "inside.png").mkdir()
    Image.fromarray(PLANE).save(folder / "inside.png" / "deep.png")


def test_a_folders_images_are_those_that_can_be_read(tmp_path):
    folder = tmp_path / "folder"
    fill(folder)
    found = images_in(folder)
    readable = []
    for path in folder.iterdir():
        if path.name[0] == ".":
            continue
        try:
            read_image_file(path)
        except FileError:
            continue
        readable.append(path)
    assert sorted(found) == sorted(readable)
    assert len(found) == 12


def test_numbers_are_counted(tmp_path):
    names = ["a1", "a2", "A3", "a10", "a010b", "b1_2", "b1_10", "b2_1", "ü1", "1", "02", "10"]
    for name in names:
        Image.fromarray(PLANE).save(tmp_path / f"{name}.png")
    assert [path.stem for path in images_in(str(tmp_path))] == [
        "1", "02", "10", "a1", "a2", "A3", "a10", "a010b", "b1_2", "b1_10", "b2_1", "ü1",
    ]  # fmt: skip


def test_a_folder_that_is_none_is_named(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(FileError, match="no folder"):
        images_in(tmp_path / "gone")
    with pytest.raises(FileError, match="is a file"):
        images_in(tmp_path / "file")
    (tmp_path / "empty").mkdir()
    assert images_in(tmp_path / "empty") == ()


# ---------------------------------------------------------------------- names

HARD = [
    "", ".", "..", " ", ". .", "a/b", "a\\b", "C:\\x", "a\0b", "tab\t", 'q"u?o*t<e>|', "CON",
    "con.", "con.tar.gz", "Lpt1", "nul .txt", "con" + 200 * ".", 500 * "x", 500 * "核",
    118 * "x" + "e\u0301\u0301",
    117 * "x" + " . y", "half \udc80", "\ufffe", "~", "-rf", "e\u0301", "con" + 200 * "x",
]  # fmt: skip


def test_a_files_name_is_one_on_every_system(tmp_path, subtests):
    for name in HARD:
        with subtests.test(name=name):
            plain = as_file(name)
            assert as_file(plain) == plain
            assert 0 < len(plain.encode("utf-8")) <= LONGEST
            assert not set(plain) & set('/\\:*?"<>|\0\t')
            assert plain.strip(". ") == plain
            assert plain.split(".")[0].strip().lower() not in {"con", "nul", "lpt1", "prn", "com1"}
            (tmp_path / f".{plain}.json.12345678.tmp").write_text("")  # the longest ending there is


def test_plain_names_stay_as_they_are():
    for name in ("cells", "cells 3", "核 ядро", "a.b-c_d (e)", "console", "x.con"):
        assert as_file(name) == name


def test_names_are_given_once():
    names = ImageNames()
    found = [names.as_file(name) for name in HARD * 3]
    assert len({name.casefold() for name in found}) == len(found)
    assert all(as_file(name) == name for name in found)
    assert Names(["A"]).first_free("a") == "a 2"
    assert Names(["\u00e9"]).first_free("e\u0301") == "e\u0301 2"


def test_a_name_says_no_more_than_it_needs_to():
    names = ImageNames()
    paths = ["one/a.png", "two/a.png", "two/a.tif", "two/a.png"]
    assert [names.of_image(Path(path)) for path in paths] == [
        "a", "a.png (two)", "a.tif (two)", "a.png (two) 2",
    ]  # fmt: skip


# ---------------------------------------------------------------------- places


@pytest.mark.skipif(os.name == "nt", reason="links need rights there")
def test_a_linked_image_keeps_its_name_and_a_linked_folder_does_not_mislead(tmp_path):
    real = tmp_path / "real" / "deep"
    real.mkdir(parents=True)
    (real / "3f9a.png").write_text("")
    (real / "cell.png").symlink_to(real / "3f9a.png")
    (tmp_path / "short").symlink_to(real)
    path = settled(tmp_path / "short" / "cell.png")
    assert path == real / "cell.png"
    project = tmp_path / "p"
    project.mkdir()
    assert (project / relative(path, project)).resolve() == (real / "3f9a.png").resolve()
