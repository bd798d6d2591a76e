"""OME-Zarr as images, written by other programs and by hand; damaged and foreign stores."""

from __future__ import annotations

import json
import shutil

import numpy as np
import pytest
import zarr

from napari_cliper.annotation.edit_mask import ACCEPTED, AnnotationState
from napari_cliper.annotation.project.image_files import images_in
from napari_cliper.annotation.project.project import Project
from napari_cliper.io.files import FileError
from napari_cliper.io.images import open_image_with_axes, pixel_sizes_of, read_image_with_axes
from napari_cliper.io.ome_zarr_images import OmeZarr, open_ome_zarr
from napari_cliper.io.writers.ome_zarr import write_ome_zarr
from napari_cliper.labels.label_class import ClassRow
from napari_cliper.labels.labelled_image import LabelledImage
from napari_cliper.workflows.image_sources import find_images

PIXELS = np.random.default_rng(5).integers(0, 4000, (2, 3, 4, 40, 50), np.uint16)
AXES = [
    {"name": "t", "type": "time", "unit": "second"},
    {"name": "c", "type": "channel"},
    {"name": "z", "type": "space", "unit": "micrometer"},
    {"name": "y", "type": "space", "unit": "micrometer"},
    {"name": "x", "type": "space", "unit": "micrometer"},
]
SCALE = [{"type": "scale", "scale": [5.0, 1.0, 2.0, 0.5, 0.25]}]
VERSIONS = ("0.4", "0.5")


def of_another_program(path, version="0.5", pixels=PIXELS):
    """As the specification has it."""
    group = zarr.open_group(str(path), mode="w", zarr_format=2 if version == "0.4" else 3)
    group.create_array(
        "s0",
        data=pixels,
        chunks=(1, 1, 1, 16, 16),
        chunk_key_encoding={"name": "v2" if version == "0.4" else "default", "separator": "/"},
    )
    datasets = [{"path": "s0", "coordinateTransformations": SCALE}]
    image = {"multiscales": [{"version": version, "axes": AXES, "datasets": datasets}]}
    group.attrs.update(image if version == "0.4" else {"ome": {"version": version, **image}})
    return path


def test_pixels_axes_and_pixel_sizes_are_those_of_the_store(tmp_path, monkeypatch):
    for version in VERSIONS:
        path = of_another_program(tmp_path / f"{version}.ome.zarr", version)
        pixels, axes = read_image_with_axes(path)
        assert axes == "TCZYX"
        np.testing.assert_array_equal(pixels, PIXELS)
        um = "micrometer"
        assert pixel_sizes_of(path) == {
            "T": (5, "second"), "Z": (2, um), "Y": (0.5, um), "X": (0.25, um)
        }  # fmt: skip
        monkeypatch.setattr("napari_cliper.io.images.LAZY_PIXELS", 100)
        lazy, axes = open_image_with_axes(path)
        assert isinstance(lazy, OmeZarr)
        assert (axes, lazy.shape, lazy.dtype) == ("TCZYX", PIXELS.shape, np.uint16)
        part = (1, slice(0, 2), 2, slice(3, 30), slice(5, 9))
        np.testing.assert_array_equal(lazy[part], PIXELS[part])

        # only the chunks of the part are read
        for chunk in (path / "s0").rglob("*"):
            if chunk.name.isdigit() and chunk.is_file() and chunk.parts[-5:] != (*"12301",):
                chunk.write_bytes(b"")
        np.testing.assert_array_equal(
            lazy[1, 2, 3, slice(0, 16), slice(16, 32)], PIXELS[1, 2, 3, :16, 16:32]
        )
        with pytest.raises(FileError, match="damaged"):
            lazy[0]


def test_axes_in_any_order_and_our_own_exports(tmp_path):
    group = zarr.open_group(str(tmp_path / "odd.zarr"), mode="w", zarr_format=2)
    stored = np.moveaxis(PIXELS[0, :, :1], (0, 1, 2, 3), (3, 2, 1, 0))  # x, y, z, c
    group.create_array("full", data=np.ascontiguousarray(stored))
    names = [("X", "space"), ("Y", "space"), ("z", "space"), ("stain", "channel")]
    group.attrs["multiscales"] = [
        {
            "version": "0.4",
            "axes": [{"name": name, "type": kind} for name, kind in names],
            "datasets": [{"path": "full"}],
        }
    ]
    lazy = open_ome_zarr(tmp_path / "odd.zarr")
    assert (lazy.axes, lazy.pixel_sizes) == ("CYX", {})
    np.testing.assert_array_equal(lazy[...], PIXELS[0, :, 0])
    np.testing.assert_array_equal(lazy[1, 3:20, 7:], PIXELS[0, 1, 0, 3:20, 7:])

    rgb = (PIXELS[0, 0].transpose(1, 2, 0)[..., :3] >> 4).astype(np.uint8)
    for version in VERSIONS:
        for image in (rgb, rgb[..., 0]):
            path = tmp_path / f"{version} {image.ndim}.ome.zarr"
            labels = np.zeros(image.shape[:2], np.uint8)
            labelled = LabelledImage("a", labels, {}, image=image, pixel_size=(0.5, 0.25))
            write_ome_zarr(path, labelled, version=version)
            pixels, axes = read_image_with_axes(path)
            assert axes == "YX"
            np.testing.assert_array_equal(pixels, image)
            assert pixel_sizes_of(path)["X"] == (0.25, "pixel")


def test_what_is_no_image_says_so(tmp_path):
    def changed(name, change):
        path = of_another_program(tmp_path / f"{name}.zarr", "0.5", PIXELS[:1])
        file = path / "zarr.json"
        record = json.loads(file.read_text())
        change(record["attributes"]["ome"])
        file.write_text(json.dumps(record))
        return path

    def renamed(ome):
        ome["multiscales"][0]["datasets"][0]["path"] = "nothing"

    group = zarr.open_group(str(tmp_path / "group.zarr"), mode="w")
    group.create_array("a", data=np.zeros((3, 4)))
    zarr.create_array(str(tmp_path / "array.zarr"), data=np.zeros((3, 4)))
    cut = of_another_program(tmp_path / "cut.zarr")
    (cut / "zarr.json").write_bytes((cut / "zarr.json").read_bytes()[:60])
    empty = of_another_program(tmp_path / "empty.zarr")
    for chunks in empty.glob("*/c"):
        shutil.rmtree(chunks)
    several = tmp_path / "several.zarr"
    zarr.open_group(str(several), mode="w").attrs["ome"] = {"bioformats2raw.layout": 3}
    of_another_program(several / "0")
    plate = tmp_path / "plate.zarr"
    zarr.open_group(str(plate), mode="w").attrs["ome"] = {"version": "0.5", "plate": {}}
    cases = {
        tmp_path / "group.zarr": "without an image of OME-Zarr",
        tmp_path / "array.zarr": "without the metadata",
        cut: "damaged",
        empty: "has no data",
        several: "several.zarr/0",
        plate: "is a plate",
        changed("version", lambda ome: ome.update(version="0.9")): "version 0.9",
        changed("axes", lambda ome: ome["multiscales"][0]["axes"].pop()): "damaged",
        changed("list", lambda ome: ome.update(multiscales=[3])): "damaged",
        changed("gone", renamed): "'nothing', are missing",
    }
    for path, what in cases.items():
        for read in (read_image_with_axes, open_image_with_axes, pixel_sizes_of):
            with pytest.raises(FileError) as error:
                read(path)
            assert what in str(error.value), (path, error.value)
            assert str(path) in str(error.value)
    assert read_image_with_axes(several / "0")[0].shape == PIXELS.shape


def test_folders_patterns_and_projects_take_stores_as_images(tmp_path):
    folder = tmp_path / "images"
    plane = PIXELS[:1, :1]
    first = of_another_program(folder / "field 2.ome.zarr", "0.4", plane)
    second = of_another_program(folder / "deep" / "field 10.zarr", "0.5", plane)
    found = [one.name for one in find_images([folder])]
    assert found == ["field 2.ome.zarr", "deep/field 10.zarr"]
    for pattern in ("*/*.zarr", "**/*"):
        paths = {one.path for one in find_images([folder / pattern])}
        assert second in paths, pattern
        assert paths <= {first, second}, pattern
    assert [one.path for one in find_images([first])] == [first]

    assert images_in(folder) == (first,)
    for other in ("paper.pdf", "film.mpg", "figure.eps", "table.h5"):  # Pillow has plugins for them
        (folder / other).write_bytes(b"not an image that can be read")
    assert [one.name for one in find_images([folder])] == found
    made = Project.create(tmp_path / "project", [first])
    pixels, axes = made.open_image("field 2.ome")
    assert axes == "ZYX"
    np.testing.assert_array_equal(pixels, PIXELS[0, 0])
    labels = np.ones(pixels.shape, np.uint16)
    state = AnnotationState(labels, np.full(labels.shape, ACCEPTED, np.uint8), {1: ClassRow("a")})
    made.save("field 2.ome", state)
    first.rename(folder / "deep" / first.name)
    with pytest.raises(FileError, match="Put it back"):
        Project.open(made.folder).read_image("field 2.ome")
