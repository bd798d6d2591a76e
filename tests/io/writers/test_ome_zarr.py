"""OME-Zarr as ome-zarr-py reads it."""

from __future__ import annotations

import json
from dataclasses import replace
from importlib import import_module
from itertools import pairwise

import numpy as np
import pytest
import zarr
from ome_zarr.io import parse_url
from ome_zarr.reader import Reader

from napari_cliper.io.formats import FORMATS
from napari_cliper.io.writers import ome_zarr
from napari_cliper.io.writers.ome_zarr import (
    ZARR_FORMATS,
    create_ome_zarr,
    halve,
    open_levels,
    write_ome_zarr,
)
from napari_cliper.labels.label_class import ClassRow
from napari_cliper.labels.labelled_image import LabelledImage
from napari_cliper.segmentation import InvalidInputError, squares

RNG = np.random.default_rng(0)
ROWS = {1: ClassRow('cell / "a"', colour=(10, 20, 30)), 300: ClassRow("核")}


@pytest.fixture(params=sorted(ZARR_FORMATS))
def version(request):
    return request.param


def read(path):
    """Nodes of the image (None without one) and of the labels."""
    nodes = list(Reader(parse_url(path, mode="r"))())
    labels = [node for node in nodes if "color" in node.metadata]
    images = [node for node in nodes if node.data and "color" not in node.metadata]
    assert len(labels) == 1
    return (images[0] if images else None), labels[0]


def attributes(path, version):
    attrs = dict(zarr.open_group(path, mode="r").attrs)
    return attrs["ome"] if version == "0.5" else attrs


def labels_of(shape, dtype=np.uint16):
    return RNG.choice(np.array([0, 1, 300 if dtype == np.uint16 else 2, 7], dtype), shape)


# Axes of the labels and whether the image has channels; axes of the image and labels as stored;
# which axis of ours comes where.
LAYOUTS = [
    ("YX", False, "yx", "yx", (0, 1), (0, 1)),
    ("YX", True, "cyx", "yx", (2, 0, 1), (0, 1)),
    ("ZYX", True, "czyx", "zyx", (3, 0, 1, 2), (0, 1, 2)),
    ("TZYX", True, "tczyx", "tzyx", (0, 4, 1, 2, 3), (0, 1, 2, 3)),
    ("ZTYX", False, "tzyx", "tzyx", (1, 0, 2, 3), (1, 0, 2, 3)),
    ("PYX", True, "czyx", "zyx", (3, 0, 1, 2), (0, 1, 2)),
]


@pytest.mark.parametrize(
    ("axes", "channels", "image_axes", "label_axes", "image_order", "label_order"), LAYOUTS
)
def test_image_and_labels_come_back(
    tmp_path, version, axes, channels, image_axes, label_axes, image_order, label_order
):
    shape = (2, 3, 40, 50)[-len(axes) :]
    pixels = RNG.integers(0, 4000, (*shape, 2) if channels else shape, np.uint16)
    image = LabelledImage("field 1", labels_of(shape), ROWS, image=pixels, axes=axes)
    write_ome_zarr(tmp_path / "a.ome.zarr", image, version=version)
    picture, labels = read(tmp_path / "a.ome.zarr")
    assert "".join(axis["name"] for axis in picture.metadata["axes"]) == image_axes
    assert "".join(axis["name"] for axis in labels.metadata["axes"]) == label_axes
    np.testing.assert_array_equal(picture.data[0].compute(), pixels.transpose(image_order))
    np.testing.assert_array_equal(labels.data[0].compute(), image.labels.transpose(label_order))
    assert labels.data[0].dtype == np.uint16
    assert len(picture.data) == len(labels.data)


def test_labels_written_chunk_by_chunk_are_the_same_files(tmp_path, monkeypatch):
    monkeypatch.setattr(ome_zarr, "CHUNK", 64)
    monkeypatch.setattr(ome_zarr, "SMALLEST_LEVEL", 64)
    sizes = {"pixel_size": (0.25, 0.5), "units": ("micrometer", "micrometer")}
    image = LabelledImage("field 1", labels_of((203, 150)), ROWS, axes="YX", **sizes)
    write_ome_zarr(tmp_path / "whole.ome.zarr", image)
    empty = replace(image, labels=np.broadcast_to(np.uint16(0), image.labels.shape))
    create_ome_zarr(tmp_path / "parts.ome.zarr", empty)
    levels = open_levels(tmp_path / "parts.ome.zarr")
    assert [level.shape for level in levels] == [(203, 150), (102, 75), (51, 38)]
    for window in reversed(list(squares(levels[0].shape, 64))):
        levels[0][window.slices] = image.labels[window.slices]
    for larger, smaller in pairwise(levels):
        for window in squares(smaller.shape, 64):
            halve(larger, smaller, window)
    files = [
        {
            path.relative_to(folder).as_posix(): path.read_bytes()
            for path in folder.rglob("*")
            if path.is_file()
        }
        for folder in (tmp_path / "whole.ome.zarr", tmp_path / "parts.ome.zarr")
    ]
    assert files[0] == files[1]
    _, labels = read(tmp_path / "parts.ome.zarr")
    np.testing.assert_array_equal(labels.data[0].compute(), image.labels)


def test_version_0_5_has_few_large_files(tmp_path):
    pixels = RNG.integers(0, 4000, (20, 1100, 90), np.uint16)
    image = LabelledImage("a", labels_of(pixels.shape), ROWS, image=pixels, axes="ZYX")
    counts = {}
    for name in ("ome-zarr", "ome-zarr-0.5"):
        path = tmp_path / f"{name}.ome.zarr"
        FORMATS[name].save(path, image)
        stored = zarr.open_group(path, mode="r")["labels/classes/0"]
        np.testing.assert_array_equal(stored[...], image.labels)
        counts[name] = sum(one.is_file() for one in (path / "labels/classes/0").rglob("*"))
    assert stored.shards == (16, 2048, 90)
    assert stored.chunks == (1, 1024, 90)
    assert counts == {"ome-zarr": 40 + 2, "ome-zarr-0.5": 2 + 1}  # and their metadata


@pytest.mark.parametrize(
    ("axes", "expected", "stored"),
    [
        ("TYX", "t y x", None),
        ("TCZYX", "t c z y x", None),
        ("QYX", "plane y x", None),
        ("TQZYX", "t plane z y x", None),
        ("QTYX", "t plane y x", None),
        ("CQYX", "c z y x", "c z y x"),
        ("QQYX", "t z y x", "t z y x"),
    ],
)
def test_axes_come_back_and_an_unknown_one_is_reported(tmp_path, version, axes, expected, stored):
    """Axes of length 1 as well; an axis without a name is no depth."""
    models = import_module(f"ome_zarr_models.v{version.replace('.', '')}")
    for side in (1, 2):
        shape = (*(side,) * (len(axes) - 2), 8, 9)
        pixels = np.zeros(shape, np.uint8)
        image = LabelledImage("a", labels_of(shape), ROWS, image=pixels, axes=axes)
        path = tmp_path / f"{side}.ome.zarr"
        write_ome_zarr(path, image, version=version)
        for node in read(path):
            found = {axis["name"]: axis.get("type") for axis in node.metadata["axes"]}
            assert " ".join(found) == expected
            assert found.get("plane") is None
        order = [1, 0, 2, 3] if axes == "QTYX" else range(len(axes))
        np.testing.assert_array_equal(node.data[0].compute(), image.labels.transpose(order))
        group = zarr.open_group(path, mode="r")
        models.Image.from_zarr(group)
        told = group["labels/classes"].attrs.get("napari_cliper_axes", {})
        assert bool(told) == ("Q" in axes)
        assert stored is None or " ".join(told["stored"]) == stored


def test_names_and_colours_come_back(tmp_path, version):
    labels = labels_of((8, 9))
    image = LabelledImage("a", labels, ROWS, image=labels, record={"model": "demo"})
    write_ome_zarr(tmp_path / "a.zarr", image, version=version)
    _, node = read(tmp_path / "a.zarr")
    colours = {label: [round(255 * part) for part in rgba]
               for label, rgba in node.metadata["color"].items()}  # fmt: skip
    assert colours == {0: [0, 0, 0, 0], 1: [10, 20, 30, 255], 300: [*image.colours[300], 255]}
    names = {label: found["class"] for label, found in node.metadata["properties"].items()}
    assert names == {0: "background", 1: 'cell / "a"', 300: "核"}
    group = zarr.open_group(tmp_path / "a.zarr" / "labels" / "classes", mode="r")
    assert group.attrs["napari_cliper"] == {"model": "demo"}


def test_sizes_and_units_come_back(tmp_path, version):
    image = LabelledImage(
        "a",
        labels_of((2, 3, 8, 9)),
        {},
        image=np.zeros((2, 3, 8, 9), np.float32),
        pixel_size=(0.5, 2.0, 0.25, 0.125),
        units=("second", "um", "furlong", "pixel"),
        axes="TZYX",
    )
    write_ome_zarr(tmp_path / "a.zarr", image, version=version)
    for node in read(tmp_path / "a.zarr"):
        (scale, translation) = node.metadata["coordinateTransformations"][0]
        assert scale == {"type": "scale", "scale": [0.5, 2.0, 0.25, 0.125]}
        assert translation["translation"] == [0, 0, 0, 0]
        units = [axis.get("unit") for axis in node.metadata["axes"]]
        assert units == ["second", "micrometer", None, None]


@pytest.mark.parametrize("shape", [(1030, 259), (257, 1), (600, 512)])
def test_levels_lie_over_each_other(tmp_path, version, shape):
    """A level's pixel covers the block of pixels that its scale and translation say."""
    ramp = np.add.outer(np.arange(shape[0]) * 10.0, np.arange(shape[1]) * 1.0)
    image = LabelledImage("a", labels_of(shape), {}, image=ramp, pixel_size=(2.0, 0.5))
    write_ome_zarr(tmp_path / "a.zarr", image, version=version)
    picture, labels = read(tmp_path / "a.zarr")
    assert len(picture.data) == len(labels.data) > 1
    assert max(labels.data[-1].shape) <= 256 < max(labels.data[-2].shape)
    for level, (pixels, numbers) in enumerate(zip(picture.data, labels.data, strict=True)):
        assert pixels.shape == numbers.shape
        for node in (picture, labels):
            scale, offset = node.metadata["coordinateTransformations"][level]
            assert scale["scale"] == [2.0 * 2**level, 0.5 * 2**level]
        # On a ramp the mean of a block is its value at the centre; full blocks alone.
        full = [side // 2**level for side in shape]
        at = [np.arange(count) * s + o for count, s, o in
              zip(full, scale["scale"], offset["translation"], strict=True)]  # fmt: skip
        expected = np.add.outer(at[0] / 2.0 * 10, at[1] / 0.5)
        np.testing.assert_allclose(pixels.compute()[: full[0], : full[1]], expected)
        numbers = numbers.compute()
        step = 2**level
        blocks = image.labels[: full[0] * step, : full[1] * step]
        blocks = blocks.reshape(full[0], step, full[1], step)
        taken = numbers[: full[0], None, : full[1], None]
        assert (blocks == taken).any(axis=(1, 3)).all()  # no number that was not there


def test_labels_without_an_image_are_the_root(tmp_path, version):
    labels = labels_of((300, 20))
    image = LabelledImage("field", labels, ROWS, pixel_size=(3, 3), units=("nanometer",) * 2)
    write_ome_zarr(tmp_path / "a.zarr", image, version=version)
    picture, node = read(tmp_path / "a.zarr")
    assert picture is None
    np.testing.assert_array_equal(node.data[0].compute(), labels)
    assert node.metadata["properties"][300]["class"] == "核"
    assert [axis["unit"] for axis in node.metadata["axes"]] == ["nanometer"] * 2


@pytest.mark.parametrize("count", [3, 4])
def test_rgb_is_shown_in_colour(tmp_path, version, count):
    pixels = RNG.integers(0, 255, (8, 9, count), np.uint8)
    image = LabelledImage("a", labels_of((8, 9)), {}, image=pixels)
    write_ome_zarr(tmp_path / "a.zarr", image, version=version)
    node, _ = read(tmp_path / "a.zarr")
    assert node.metadata["colormap"][:3] == [
        [[0, 0, 0], colour] for colour in ([1, 0, 0], [0, 1, 0], [0, 0, 1])
    ]
    assert node.metadata["visible"] == [True, True, True, False][:count]


@pytest.mark.parametrize("dtype", [bool, np.int16, np.float64, np.uint32])
def test_images_keep_their_values(tmp_path, version, dtype):
    pixels = RNG.integers(0, 2, (300, 9)).astype(dtype)
    image = LabelledImage("a", labels_of((300, 9), np.uint8), {}, image=pixels)
    write_ome_zarr(tmp_path / "a.zarr", image, version=version)
    picture, _ = read(tmp_path / "a.zarr")
    np.testing.assert_array_equal(picture.data[0].compute(), pixels)
    assert picture.data[1].dtype == picture.data[0].dtype


@pytest.mark.parametrize("with_image", [True, False])
def test_the_metadata_are_valid(tmp_path, version, with_image):
    """Against the models of the specification, where they are installed."""
    models = import_module(f"ome_zarr_models.v{version.replace('.', '')}")
    shape = (2, 3, 40, 300)
    pixels = np.zeros((*shape, 3), np.uint8) if with_image else None
    image = LabelledImage("a", labels_of(shape), ROWS, image=pixels, axes="TZYX")
    write_ome_zarr(tmp_path / "a.zarr", image, version=version)
    root = zarr.open_group(tmp_path / "a.zarr", mode="r")
    if with_image:
        models.Image.from_zarr(root)
        models.Labels.from_zarr(root["labels"])
    label = models.ImageLabel.from_zarr(root["labels/classes"] if with_image else root)
    attributes = label.ome_attributes if version == "0.5" else label.attributes
    assert [one.label_value for one in attributes.image_label.colors] == [0, 1, 300]


def test_more_axes_than_names_are_refused(tmp_path, version):
    labels = labels_of((1, 1, 1, 4, 4))
    image = LabelledImage("a", labels, {}, image=np.zeros((*labels.shape, 3), np.uint8))
    with pytest.raises(InvalidInputError, match="plane by plane"):
        write_ome_zarr(tmp_path / "a.zarr", image, version=version)


def test_the_metadata_are_plain_json(tmp_path, version):
    """Names that are half a character do not break the files."""
    image = LabelledImage("a", labels_of((4, 4)), {1: ClassRow("half \ud83d")})
    write_ome_zarr(tmp_path / "a.zarr", image, version=version)
    name = "zarr.json" if version == "0.5" else ".zattrs"
    json.loads((tmp_path / "a.zarr" / name).read_bytes().decode("utf-8"))
    properties = attributes(tmp_path / "a.zarr", version)["image-label"]["properties"]
    assert properties[1] == {"label-value": 1, "class": "half \ufffd"}
