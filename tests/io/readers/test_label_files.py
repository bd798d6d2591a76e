"""Label files of our own come back as they were."""

from __future__ import annotations

import numpy as np
import pytest
from label_files import PNGS, ROWS, TIFFS, WRITERS, written
from label_maps import HARD

from napari_cliper.io.readers.coco import open_coco, read_coco
from napari_cliper.io.writers.coco import write_coco
from napari_cliper.labels.labelled_image import LabelledImage


@pytest.mark.parametrize(
    ("name", "labels"),
    [
        pytest.param(name, labels, id=f"{name}-{kind}")
        for name in WRITERS
        for kind, labels in HARD.items()
        if name != "indexed.png" or labels.max() <= 254  # an indexed PNG ends there
    ],
)
def test_labels_come_back(tmp_path, name, labels):
    found = written(tmp_path, name, LabelledImage("a", labels, {}))
    np.testing.assert_array_equal(found.labels, labels)
    assert found.labels.dtype == (np.uint16 if labels.max() > 255 else np.uint8)
    assert dict(found.classes) == {}
    assert found.ignored is None


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
@pytest.mark.parametrize("name", WRITERS)
def test_names_and_colours_come_back(tmp_path, name, dtype):
    labels = np.array([[0, 1, 2], [3, 7, 200]], dtype)
    image = LabelledImage("a", labels, ROWS)
    found = written(tmp_path, name, image)
    assert {label: row.name for label, row in found.classes.items()} == {
        label: row.name for label, row in ROWS.items()
    }
    assert {label: row.colour for label, row in found.classes.items()} == image.colours
    assert {label: found.colours[label] for label in ROWS} == image.colours
    if name in PNGS:  # the text chunk holds all there is
        assert found.classes[1].synonyms == ("Zellkern",)
        assert found.classes[200].prompt == "a {}"
        assert not found.classes[200].visible


@pytest.mark.parametrize("name", TIFFS)
def test_stacks_come_back_with_their_axes(tmp_path, name):
    micro = "micrometer"
    for axes, shape in (
        ("TYX", (3, 4, 5)), ("ZYX", (3, 4, 5)), ("TZYX", (2, 3, 4, 5)), ("ZTYX", (2, 3, 4, 5)),
        ("CZYX", (2, 3, 4, 5)), ("TZCYX", (2, 1, 3, 4, 5)), ("TZYX", (1, 3, 4, 5)),
        ("ZTYX", (1, 1, 7, 1)), ("TYX", (1, 1, 1)), ("QYX", (3, 4, 5)), ("QQYX", (3, 1, 4, 5)),
        ("YX", (4, 5)), ("QTYX", (3, 3, 4, 5)),
    ):  # fmt: skip
        labels = np.arange(np.prod(shape), dtype=np.uint8).reshape(shape)
        sizes = {"T": 2.0, "Z": 0.75, "C": 1.0, "Q": 1.0, "Y": 0.25, "X": 0.5}
        units = {"T": "second", "Z": micro, "C": "pixel", "Q": "pixel", "Y": micro, "X": micro}
        image = LabelledImage(
            "a", labels, ROWS, axes=axes,
            pixel_size=tuple(sizes[one] for one in axes), units=tuple(units[one] for one in axes),
        )  # fmt: skip
        found = written(tmp_path, name, image)
        assert found.axes == axes
        np.testing.assert_array_equal(found.labels, labels)
        for axis, letter in enumerate(axes):
            if shape[axis] > 1 or letter in "YXT":
                assert found.pixel_size[axis] == pytest.approx(sizes[letter]), (axes, letter)
                assert found.units[axis] == units[letter], (axes, letter)


@pytest.mark.parametrize("name", PNGS)
def test_a_plane_comes_back_with_its_place(tmp_path, name):
    stack = LabelledImage("a", np.zeros((3, 2, 4, 5), np.uint8), ROWS, axes="TZYX")
    for plane in stack.planes():
        assert written(tmp_path, name, plane).position == plane.position


@pytest.mark.parametrize("name", PNGS)
def test_undecided_pixels_come_back(tmp_path, name):
    labels = np.array([[1, 2, 0], [1, 2, 0]], np.uint8)
    ignored = np.array([[True, False, True], [False, False, False]])
    found = written(tmp_path, name, LabelledImage("a", labels, ROWS, ignored=ignored))
    np.testing.assert_array_equal(found.ignored, ignored)
    np.testing.assert_array_equal(found.labels, np.where(ignored, 0, labels))


def test_coco_comes_back(tmp_path, subtests):
    for options in [{}, {"kind": "stuff"}]:
        for name, labels in HARD.items():
            with subtests.test(options=options, labels=name):
                images = [LabelledImage("a", labels, ROWS, image_file="plate 1/a.tif"),
                          LabelledImage("b", np.ones((2, 2), np.uint8), ROWS)]  # fmt: skip
                write_coco(tmp_path / "set.json", images, **options)
                assert open_coco(tmp_path / "set.json").names == ("plate 1/a.tif", "b")
                for name in ("plate 1/a.tif", "a.tif", "a"):
                    found = read_coco(tmp_path / "set.json", name)
                    np.testing.assert_array_equal(found.labels, labels)
                for label, row in ROWS.items():
                    assert found.classes[label].name == row.name
                    assert found.classes[label].colour == images[0].colours[label]
                assert dict(found.renumbered) == {}
