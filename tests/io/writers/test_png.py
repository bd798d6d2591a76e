"""Label PNGs as other programs read them."""

from __future__ import annotations

import json

import numpy as np
import pytest
import skimage.io
from PIL import Image

from napari_cliper.io.class_list import row_from_record
from napari_cliper.io.writers.png import CLASSES_KEY, write_indexed_png, write_plain_png
from napari_cliper.labels.label_class import ClassRow
from napari_cliper.labels.labelled_image import LabelledImage
from napari_cliper.segmentation import InvalidInputError

ROWS = {
    1: ClassRow('cell / "nucleus"', ("核",), colour=(10, 20, 30)),
    5: ClassRow("half \ud83d", background=True),
    254: ClassRow("last", colour=(1, 1, 1), prompt="the last"),
}
LABELS = np.array([[0, 1, 5], [254, 7, 1]], np.uint8)
IGNORED = np.array([[True, False, False], [False, False, True]])


def chunk(path):
    with Image.open(path) as picture:
        picture.load()
        return json.loads(picture.text[CLASSES_KEY])


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_indices_are_labels_and_look_like_their_classes(tmp_path, dtype):
    image = LabelledImage("a", LABELS.astype(dtype), ROWS, ignored=IGNORED)
    write_indexed_png(tmp_path / "a.png", image)
    with Image.open(tmp_path / "a.png") as picture:
        assert picture.mode == "P"
        indices, colours = np.asarray(picture), np.asarray(picture.convert("RGB"))
    np.testing.assert_array_equal(indices, np.where(IGNORED, 255, LABELS))
    cream, white = (224, 224, 192), (255, 255, 255)
    expected = [[cream, (10, 20, 30), image.colours[5]], [(1, 1, 1), white, cream]]
    np.testing.assert_array_equal(colours, expected)
    np.testing.assert_array_equal(skimage.io.imread(tmp_path / "a.png")[..., :3], expected)


@pytest.mark.parametrize("count", [0, 1, 2, 17])
def test_background_is_black_and_255_is_cream_however_few_classes(tmp_path, count):
    rows = {i: ClassRow(f"class {i}") for i in range(1, count + 1)}
    write_indexed_png(tmp_path / "a.png", LabelledImage("a", np.zeros((1, 1), np.uint8), rows))
    with Image.open(tmp_path / "a.png") as picture:
        table = np.array(picture.getpalette()).reshape(-1, 3)
    assert len(table) == 256
    assert table[0].tolist() == [0, 0, 0]
    assert table[255].tolist() == [224, 224, 192]


@pytest.mark.parametrize("labels", [[[255]], [[300]], [[1]]])
def test_indexed_refuses_more_than_254_labels(tmp_path, labels):
    rows = {255: ClassRow("one too many")} if labels == [[1]] else {}
    image = LabelledImage("a", np.array(labels, np.uint16), rows)
    with pytest.raises(InvalidInputError, match=r"label (255|300).*plain PNG"):
        write_indexed_png(tmp_path / "a.png", image)


@pytest.mark.parametrize("writer", [write_indexed_png, write_plain_png])
def test_stacks_are_refused_and_their_planes_are_not(tmp_path, writer):
    image = LabelledImage("a", np.arange(24, dtype=np.uint8).reshape(2, 3, 4), {})
    with pytest.raises(InvalidInputError, match="plane by plane"):
        writer(tmp_path / "a.png", image)
    for number, plane in enumerate(image.planes()):
        writer(tmp_path / "a.png", plane)
        with Image.open(tmp_path / "a.png") as picture:
            np.testing.assert_array_equal(np.asarray(picture), image.labels[number])


@pytest.mark.parametrize("writer", [write_indexed_png, write_plain_png])
def test_the_classes_come_back_from_the_text(tmp_path, writer):
    image = LabelledImage("a", LABELS, ROWS)
    writer(tmp_path / "a.png", image)
    records = chunk(tmp_path / "a.png")["classes"]
    rows = {record.pop("label"): row_from_record(record) for record in records}
    assert rows[1] == ROWS[1]
    assert rows[254] == ROWS[254]
    assert rows[5] == ClassRow("half \ufffd", background=True, colour=image.colours[5])


@pytest.mark.parametrize(
    ("dtype", "mode"), [(np.uint8, "L"), (np.uint16, "I;16")], ids=["8 bits", "16 bits"]
)
def test_plain_greys_are_labels(tmp_path, dtype, mode):
    labels = np.random.default_rng(0).integers(0, np.iinfo(dtype).max, (9, 7), dtype, endpoint=True)
    write_plain_png(tmp_path / "a.png", LabelledImage("a", labels, {}))
    with Image.open(tmp_path / "a.png") as picture:
        assert picture.mode == mode
        np.testing.assert_array_equal(np.asarray(picture), labels)
    read = skimage.io.imread(tmp_path / "a.png")
    assert read.dtype == dtype
    np.testing.assert_array_equal(read, labels)
    assert chunk(tmp_path / "a.png")["ignore"] is None


# Labels, classes, and what ignored pixels have to be then.
IGNORING = [
    (np.uint8, 3, {}, np.uint8, 255),
    (np.uint8, 255, {}, np.uint16, 65535),
    (np.uint8, 3, {255: ClassRow("a")}, np.uint16, 65535),
    (np.uint16, 255, {}, np.uint16, 65535),
]


@pytest.mark.parametrize(("dtype", "label", "rows", "stored", "ignore"), IGNORING)
def test_plain_ignored_pixels_take_a_number_that_is_free(
    tmp_path, dtype, label, rows, stored, ignore
):
    labels = np.array([[label, 0]], dtype)
    image = LabelledImage("a", labels, rows, ignored=np.array([[False, True]]))
    write_plain_png(tmp_path / "a.png", image)
    read = skimage.io.imread(tmp_path / "a.png")
    assert read.dtype == stored
    assert read.tolist() == [[label, ignore]]
    assert chunk(tmp_path / "a.png")["ignore"] == ignore


def test_plain_refuses_ignored_pixels_without_a_number(tmp_path):
    image = LabelledImage(
        "a", np.array([[65535, 0]], np.uint16), {}, ignored=np.array([[False, True]])
    )
    with pytest.raises(InvalidInputError, match="65535"):
        write_plain_png(tmp_path / "a.png", image)


def test_a_mask_of_nothing_changes_nothing(tmp_path):
    labels = np.array([[255, 0]], np.uint8)
    image = LabelledImage("a", labels, {}, ignored=np.zeros((1, 2), bool))
    write_plain_png(tmp_path / "a.png", image)
    np.testing.assert_array_equal(skimage.io.imread(tmp_path / "a.png"), labels)
