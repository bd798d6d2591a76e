"""Images in, files out: whole or not at all, no colour swapped."""

from __future__ import annotations

import errno
import json
from contextlib import suppress

import numpy as np
import pytest
import tifffile
from PIL import Image

from napari_cliper.io.files import FileError, cannot, whole_files
from napari_cliper.io.images import read_image_file
from napari_cliper.io.json_records import write_json
from napari_cliper.labels.palette import class_colours
from napari_cliper.segmentation.features.preprocessing import to_rgb

RED = np.zeros((10, 12, 3), np.uint8)
RED[..., 0] = 255
RED[0, 0] = (10, 20, 30)


@pytest.mark.parametrize("name", ["red.png", "red.tif", "red.bmp"])
def test_colours_are_not_swapped(tmp_path, name):
    Image.fromarray(RED).save(tmp_path / name)
    np.testing.assert_array_equal(read_image_file(tmp_path / name), RED)


@pytest.mark.parametrize(
    ("array", "options", "expected"),
    [
        (np.arange(600, dtype=np.uint16).reshape(3, 10, 20), {"axes": "CYX"}, (3, 10, 20)),
        (np.zeros((1, 1, 10, 20), np.uint16), {"axes": "TZYX"}, (10, 20)),
        (np.zeros((5, 10, 20), np.uint16), {"axes": "ZYX"}, (5, 10, 20)),
    ],
)
def test_tiff_axes_are_understood(tmp_path, array, options, expected):
    tifffile.imwrite(tmp_path / "a.tif", array, imagej=True, metadata=options)
    picture = read_image_file(tmp_path / "a.tif")
    assert picture.shape == expected
    np.testing.assert_array_equal(picture, array.reshape(expected))


def test_sixteen_bits_stay_sixteen_bits(tmp_path):
    array = np.linspace(0, 65535, 200).astype(np.uint16).reshape(10, 20)
    Image.fromarray(array).save(tmp_path / "a.png")
    np.testing.assert_array_equal(read_image_file(tmp_path / "a.png"), array)


def test_a_palette_becomes_colours(tmp_path):
    Image.fromarray(RED).quantize(4).save(tmp_path / "palette.png")
    np.testing.assert_array_equal(read_image_file(tmp_path / "palette.png")[..., :3], RED)


def test_grey_with_alpha_is_the_image_that_grey_is(tmp_path):
    """Its contrast would otherwise be that of a colour image, which is not stretched."""
    grey = np.random.default_rng(0).integers(5, 30, (16, 20), np.uint8)
    alpha = np.full_like(grey, 90)
    Image.fromarray(np.dstack([grey, alpha])).save(tmp_path / "la.png")
    for name, dtype in (("8", np.uint8), ("16", np.uint16)):
        tifffile.imwrite(
            tmp_path / f"{name}.tif", np.dstack([grey, alpha]).astype(dtype),
            photometric="minisblack", planarconfig="contig", extrasamples=["unassalpha"],
        )  # fmt: skip
    for name in ("la.png", "8.tif", "16.tif"):
        picture = read_image_file(tmp_path / name)
        np.testing.assert_array_equal(picture, grey)
        np.testing.assert_array_equal(
            to_rgb(picture).pixels, to_rgb(grey.astype(picture.dtype)).pixels
        )


def test_a_damaged_tiff_is_named(tmp_path):
    path = tmp_path / "cut.tif"
    tifffile.imwrite(path, np.zeros((50, 50), np.uint8))
    path.write_bytes(path.read_bytes()[:100])
    with pytest.raises(FileError, match=r"cut\.tif"):
        read_image_file(path)


def test_files_appear_together_or_not_at_all(tmp_path):
    out = tmp_path / "deep" / "out"
    with whole_files(out) as folder:
        (folder / "a").write_text("1")
        assert not (out / "a").exists()
        (folder / "b").write_text("2")
    assert sorted(p.name for p in out.glob("[!.]*")) == ["a", "b"]
    with pytest.raises(KeyboardInterrupt), whole_files(out) as folder:
        (folder / "a").write_text("other")
        raise KeyboardInterrupt
    assert (out / "a").read_text() == "1"
    assert sorted(p.name for p in out.glob("[!.]*")) == ["a", "b"]


def test_a_full_disk_is_called_full(tmp_path):
    with pytest.raises(FileError, match="disk is full"), whole_files(tmp_path) as folder:
        (folder / "a").write_text("1")
        raise OSError(errno.ENOSPC, "No space left on device")
    assert list(tmp_path.glob("[!.]*")) == []


def test_what_to_do_without_permission_depends_on_what_was_tried(tmp_path):
    error = PermissionError(errno.EACCES, "Permission denied")
    assert "permission to read it" in str(cannot("read", tmp_path, error))
    assert "a folder you may write to" in str(cannot("write", tmp_path, error))


def test_a_file_in_the_place_of_the_folder(tmp_path):
    (tmp_path / "out").write_text("")
    with (
        pytest.raises(FileError, match="there is a file of that name"),
        whole_files(tmp_path / "out"),
    ):
        pass


def test_json_keeps_every_script(tmp_path):
    write_json(tmp_path / "a.json", {"name": "核 ядро"})
    assert "核 ядро" in (tmp_path / "a.json").read_text(encoding="utf-8")
    assert json.loads((tmp_path / "a.json").read_text(encoding="utf-8")) == {"name": "核 ядро"}


def test_colours_are_distinct_and_stay_with_their_label():
    many = class_colours(150)
    assert len({tuple(colour) for colour in many}) == 150
    np.testing.assert_array_equal(class_colours(3), many[:3])
    assert class_colours(0).shape == (0, 3)
    near = np.abs(many[:12, None].astype(int) - many[None, :12]).sum(axis=-1)
    assert near[~np.eye(12, dtype=bool)].min() > 30


def test_a_tiff_that_is_broken_inside_says_so(tmp_path):
    whole = tmp_path / "whole.tif"
    tifffile.imwrite(whole, np.arange(9000, dtype=np.uint16).reshape(90, 100), compression="zlib")
    content = whole.read_bytes()
    rng = np.random.default_rng(0)
    for attempt in range(60):
        broken = bytearray(content)
        for at in rng.integers(8, len(content), 12):
            broken[at] = int(rng.integers(256))
        path = tmp_path / f"{attempt}.tif"
        path.write_bytes(bytes(broken))
        with suppress(FileError):  # and nothing else; some changes do no harm
            read_image_file(path)
