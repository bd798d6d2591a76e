"""Label TIFFs as other programs read them."""

from __future__ import annotations

from uuid import UUID

import imageio.v3 as iio
import numpy as np
import pytest
import skimage.io
import tifffile
from PIL import Image

from napari_cliper.io.writers.tiff import (
    CLASSES_NAMESPACE,
    COLOURS_NAMESPACE,
    write_label_tiff,
    write_ome_tiff,
)
from napari_cliper.labels.label_class import ClassRow
from napari_cliper.labels.labelled_image import LabelledImage
from napari_cliper.segmentation import InvalidInputError

RNG = np.random.default_rng(0)
AWKWARD = ("cell / nucleus", "核 ядро", "\"quoted\" & <b>, 'it'", "a{b}", "x\x01y", "half \ud83d")
WRITERS = {"imagej": write_label_tiff, "ome": write_ome_tiff}


def labelled(labels, **more) -> LabelledImage:
    classes = more.pop("classes", {1: ClassRow("nucleus"), 2: ClassRow("fibre")})
    return LabelledImage("field 1", labels, classes, **more)


def random_labels(shape, dtype=np.uint8, highest=4):
    return RNG.integers(0, highest, shape, endpoint=True).astype(dtype)


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
@pytest.mark.parametrize("writer", WRITERS)
@pytest.mark.parametrize("shape", [(10, 12), (1, 1), (7, 3), (4, 4), (5, 1)])
def test_a_plane_is_read_by_other_programs(tmp_path, writer, dtype, shape):
    labels = random_labels(shape, dtype, int(np.iinfo(dtype).max))
    path = tmp_path / "l.ome.tif"
    WRITERS[writer](path, labelled(labels))
    with Image.open(path) as picture:
        np.testing.assert_array_equal(np.asarray(picture), labels)
    np.testing.assert_array_equal(skimage.io.imread(path), labels)
    np.testing.assert_array_equal(iio.imread(path, plugin="tifffile"), labels)
    assert tifffile.imread(path).dtype == dtype


# The axes of the labels; how they are stored; which axis of the labels comes where.
STACKS = [
    ("ZYX", "ZYX", (0, 1, 2)),
    ("TYX", "TYX", (0, 1, 2)),
    ("TZYX", "TZYX", (0, 1, 2, 3)),
    ("ZTYX", "TZYX", (1, 0, 2, 3)),
    ("CZYX", "ZCYX", (1, 0, 2, 3)),
    ("TZCYX", "TZCYX", (0, 1, 2, 3, 4)),
    ("zyx", "ZYX", (0, 1, 2)),
    ("PYX", "ZYX", (0, 1, 2)),  # a position has no letter in the file
    ("PTYX", "TZYX", (1, 0, 2, 3)),
    ("QTZYX", "TZCYX", (1, 2, 0, 3, 4)),
    ("ZZYX", "TZYX", (1, 0, 2, 3)),
]


@pytest.mark.parametrize("writer", WRITERS)
@pytest.mark.parametrize(("axes", "stored", "order"), STACKS)
def test_stacks_keep_every_pixel_and_their_axes(tmp_path, writer, axes, stored, order):
    labels = random_labels((2, 3, 4, 5, 6)[-len(axes) :])
    path = tmp_path / "stack.ome.tif"
    WRITERS[writer](path, labelled(labels, axes=axes))
    with tifffile.TiffFile(path) as file:
        assert file.series[0].axes == stored
        np.testing.assert_array_equal(file.asarray(), labels.transpose(order))


@pytest.mark.parametrize("writer", WRITERS)
def test_planes_of_three_columns_are_no_colours(tmp_path, writer):
    labels = random_labels((3, 5, 3))
    path = tmp_path / "narrow.ome.tif"
    WRITERS[writer](path, labelled(labels, axes="ZYX"))
    with tifffile.TiffFile(path) as file:
        assert len(file.pages) == 3
        np.testing.assert_array_equal(file.asarray(), labels)


@pytest.mark.parametrize("writer", WRITERS)
def test_more_axes_than_letters_are_refused(tmp_path, writer):
    image = labelled(random_labels((1, 2, 1, 2, 3, 4)))
    with pytest.raises(InvalidInputError, match="plane by plane"):
        WRITERS[writer](tmp_path / "l.tif", image)


# ---------------------------------------------------------------------- ImageJ


def imagej(path):
    """ImageJ's keys, and the tags of the first page by name."""
    with tifffile.TiffFile(path) as file:
        assert file.is_imagej
        return file.imagej_metadata, {tag.name: tag.value for tag in file.pages[0].tags}


def test_imagej_knows_sizes_and_units(tmp_path):
    image = labelled(
        random_labels((2, 3, 4, 5)),
        axes="TZYX",
        pixel_size=(250.0, 1.5, 0.2, 0.325),
        units=("millisecond", "nanometer", "micrometer", "micrometer"),
    )
    write_label_tiff(tmp_path / "l.tif", image)
    metadata, tags = imagej(tmp_path / "l.tif")
    across, down = (tags[name][1] / tags[name][0] for name in ("XResolution", "YResolution"))
    assert (across, down) == pytest.approx((0.325, 0.2), rel=1e-7)
    assert (metadata["unit"], metadata["zunit"]) == ("um", "nm")
    assert metadata["spacing"] == 1.5
    assert (metadata["finterval"], metadata["tunit"]) == (250.0, "msec")
    assert "yunit" not in metadata


def test_imagej_units_are_its_own_words(tmp_path):
    image = labelled(random_labels((4, 5)), pixel_size=(2, 1), units=("µfoo", "pixel"))
    write_label_tiff(tmp_path / "l.tif", image)
    metadata, _ = imagej(tmp_path / "l.tif")
    assert metadata["unit"] == "pixel"
    assert "foo" in metadata["yunit"]


def test_imagej_info_names_the_classes(tmp_path):
    rows = {3 * i + 1: ClassRow(name) for i, name in enumerate(AWKWARD)}
    write_label_tiff(tmp_path / "l.tif", labelled(random_labels((4, 5)), classes=rows))
    metadata, _ = imagej(tmp_path / "l.tif")
    numbers, names = zip(
        *(line.split(" = ", 1) for line in metadata["Info"].split("\n")), strict=True
    )
    assert [int(number) for number in numbers] == [0, *rows]
    expected = [name.replace("\x01", "\ufffd").replace("\ud83d", "\ufffd") for name in AWKWARD]
    assert list(names) == ["background", *expected]


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_imagej_shows_the_colours_of_the_classes(tmp_path, dtype):
    rows = {1: ClassRow("a", colour=(1, 2, 3)), 200: ClassRow("b", colour=(255, 0, 128))}
    labels = np.array([[0, 1], [200, 7]], dtype)
    write_label_tiff(tmp_path / "l.tif", labelled(labels, classes=rows))
    metadata, tags = imagej(tmp_path / "l.tif")
    table = (np.array(tags["ColorMap"]).reshape(3, 256) // 257).T
    assert table.shape == (256, 3)
    shown = [(0, 0, 0), (1, 2, 3), (255, 0, 128), (255, 255, 255)]
    np.testing.assert_array_equal(table[[0, 1, 200, 7]], shown)
    # ImageJ stretches the table over this range: one entry for each label.
    assert (metadata["min"], metadata["max"]) == (0, 255)
    if dtype == np.uint8:
        with Image.open(tmp_path / "l.tif") as picture:
            colours = np.asarray(picture.convert("RGB")).reshape(-1, 3)
        np.testing.assert_array_equal(colours, np.array(shown)[[0, 1, 2, 3]])


def test_labels_above_the_colour_table_keep_their_number(tmp_path):
    labels = np.array([[300, 65535]], np.uint16)
    write_label_tiff(tmp_path / "l.tif", labelled(labels, classes={65535: ClassRow("last")}))
    np.testing.assert_array_equal(tifffile.imread(tmp_path / "l.tif"), labels)


# ---------------------------------------------------------------------- OME


def ome(path):
    with tifffile.TiffFile(path) as file:
        assert file.is_ome
        return tifffile.xml2dict(file.ome_metadata)["OME"]


def values(record, namespace):
    (annotation,) = [
        one
        for one in record["StructuredAnnotations"]["MapAnnotation"]
        if one["Namespace"] == namespace
    ]
    pairs = annotation["Value"]["M"]
    return {
        one["K"]: one["value"] for one in (pairs if isinstance(pairs, list | tuple) else [pairs])
    }


def test_ome_holds_sizes_units_names_and_colours(tmp_path):
    rows = {2: ClassRow("nucleus", colour=(1, 2, 255)), 9: ClassRow("fibre")}
    image = labelled(
        random_labels((2, 3, 4, 5), np.uint16),
        classes=rows,
        axes="TZYX",
        pixel_size=(0.5, 2.0, 0.25, 0.125),
        units=("second", "micron", "micrometre", "um"),
    )
    write_ome_tiff(tmp_path / "l.ome.tif", image)
    record = ome(tmp_path / "l.ome.tif")
    pixels = record["Image"]["Pixels"]
    assert record["Image"]["Name"] == "field 1"
    assert [pixels[f"PhysicalSize{axis}"] for axis in "XYZ"] == [0.125, 0.25, 2.0]
    assert {pixels[f"PhysicalSize{axis}Unit"] for axis in "XYZ"} == {"µm"}
    assert (pixels["TimeIncrement"], pixels["TimeIncrementUnit"]) == (0.5, "s")
    assert [pixels[f"Size{axis}"] for axis in "XYZCT"] == [5, 4, 3, 1, 2]
    assert pixels["Type"] == "uint16"
    assert pixels["Channel"]["Name"] == "labels"
    assert values(record, CLASSES_NAMESPACE) == {0: "background", 2: "nucleus", 9: "fibre"}
    assert values(record, COLOURS_NAMESPACE)[2] == "#0102ff"
    # The annotations belong to the image.
    assert len(record["Image"]["AnnotationRef"]) == 3


@pytest.mark.parametrize(("unit", "expected"), [("pixel", "pixel"), ("furlong", "reference frame")])
def test_ome_claims_no_micrometres(tmp_path, unit, expected):
    image = labelled(random_labels((4, 5)), pixel_size=(3.0, 3.0), units=(unit, unit))
    write_ome_tiff(tmp_path / "l.ome.tif", image)
    pixels = ome(tmp_path / "l.ome.tif")["Image"]["Pixels"]
    assert pixels["PhysicalSizeXUnit"] == pixels["PhysicalSizeYUnit"] == expected
    assert "PhysicalSizeZ" not in pixels


def test_ome_keeps_awkward_names(tmp_path):
    rows = {i: ClassRow(name) for i, name in enumerate(AWKWARD, 1)}
    write_ome_tiff(tmp_path / "l.ome.tif", labelled(random_labels((4, 5)), classes=rows))
    found = values(ome(tmp_path / "l.ome.tif"), CLASSES_NAMESPACE)
    expected = [name.replace("\x01", "\ufffd").replace("\ud83d", "\ufffd") for name in AWKWARD]
    assert [found[i] for i in range(1, len(AWKWARD) + 1)] == expected


def test_ome_names_no_machine_and_needs_no_class(tmp_path):
    write_ome_tiff(tmp_path / "l.ome.tif", labelled(np.zeros((4, 5), np.uint8), classes={}))
    record = ome(tmp_path / "l.ome.tif")
    assert UUID(record["UUID"].removeprefix("urn:uuid:")).version == 4
    assert not tifffile.imread(tmp_path / "l.ome.tif").any()
