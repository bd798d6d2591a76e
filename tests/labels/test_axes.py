"""Which axis is time, depth or channel, from names to places in a stack."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from napari_cliper.io.writers.measurements import (
    class_table,
    measurement_notes,
    region_table,
    write_measurements,
)
from napari_cliper.labels.axes import axes_from_names, placed
from napari_cliper.labels.label_class import ClassRow
from napari_cliper.labels.labelled_image import LabelledImage
from napari_cliper.segmentation import InvalidInputError

ROWS = {1: ClassRow("nucleus")}


def test_names_become_letters_and_nothing_is_guessed():
    for names, ndim, expected in (
        (("Time", "depth", "row", "column"), 4, "TZYX"),
        (("z", "t", "y", "x"), 4, "ZTYX"),
        (("frame", "channel", "y", "x"), 4, "TCYX"),
        (("-3", "-2", "-1"), 3, "QYX"),  # napari's own names
        (("angle", "y", "x"), 3, "QYX"),
        (("z", "depth", "y", "x"), 4, "ZQYX"),
        (None, 5, "QQQYX"),
        ((), 2, "YX"),
    ):
        assert axes_from_names(names, ndim) == expected, names


def test_a_plane_is_called_by_its_axis():
    for axes, name in (("TYX", "a_t10"), ("ZYX", "a_z10"), ("CYX", "a_c10"), ("", "a_plane10")):
        stack = LabelledImage("a", np.zeros((11, 2, 3), np.uint8), ROWS, axes=axes)
        last = list(stack.planes())[-1]
        assert (last.name, last.stack, last.axes) == (name, "a", "YX")
        assert last.position == ((stack.axes[0], 10),)


def test_labels_find_the_planes_that_they_were_drawn_on():
    # axes and shape of the labels, position, axes and shape of the image; slices go by their axis
    shown = (2, 1)
    whole = slice(None)
    for axes, shape, position, image_axes, image_shape, place, order in (
        ("YX", (8, 9), (), "TZYX", (4, 3, 8, 9), (2, 1), ()),
        ("YX", (8, 9), (("T", 3),), "TZYX", (4, 3, 8, 9), (3, 1), ()),
        ("YX", (8, 9), (("T", 3), ("Z", 0)), "ZTYX", (3, 4, 8, 9), (0, 3), ()),
        ("YX", (8, 9), (("Q", 3),), "ZYX", (4, 8, 9), (3,), ()),
        ("YX", (8, 9), (("Z", 3),), "QYX", (4, 8, 9), (3,), ()),
        ("ZYX", (3, 8, 9), (), "TZYX", (4, 3, 8, 9), (2, whole), (0,)),
        ("ZTYX", (3, 4, 8, 9), (), "TZYX", (4, 3, 8, 9), (whole, whole), (1, 0)),
        ("ZTYX", (3, 3, 8, 9), (), "TZYX", (3, 3, 8, 9), (whole, whole), (1, 0)),
        ("TYX", (4, 8, 9), (), "TZYX", (4, 1, 8, 9), (whole, 0), (0,)),
        ("TZYX", (4, 1, 8, 9), (), "TYX", (4, 8, 9), (whole,), (0,)),
        ("QYX", (4, 8, 9), (), "TZYX", (4, 1, 8, 9), (whole, 0), (0,)),
        ("TZYX", (4, 3, 8, 9), (), "QQYX", (4, 3, 8, 9), (whole, whole), (0, 1)),
    ):
        case = (axes, position, image_axes)
        found, ours = placed("a", axes, shape, position, image_axes, image_shape, shown)
        assert found[:-2] == place, case
        assert ours[:-2] == order, case


def test_labels_of_other_planes_are_refused():
    for axes, shape, position, image_axes, image_shape, why in (
        ("YX", (8, 8), (), "YX", (8, 9), "rows and columns"),
        ("TYX", (4, 8, 9), (), "ZYX", (4, 8, 9), "different kinds"),
        ("TYX", (4, 8, 9), (), "TYX", (5, 8, 9), "axis T"),
        ("QYX", (4, 8, 9), (), "TZYX", (5, 4, 8, 9), "number"),
        ("YX", (8, 9), (("T", 7),), "TYX", (5, 8, 9), "index 7 of T"),
    ):
        with pytest.raises(InvalidInputError, match=why):
            placed("a", axes, shape, position, image_axes, image_shape, (0, 0))


def test_time_has_areas_depth_has_volumes_and_the_unknown_is_measured_by_plane(tmp_path):
    cube = np.zeros((2, 3, 6, 7), np.uint8)
    cube[:, :, 1:4, 2:5] = 1  # 9 pixels in each plane
    for axes, size, rows, places in (
        ("TZYX", "volume", 2, {"index T": [0, 1]}),
        ("ZTYX", "volume", 3, {"index T": [0, 1, 2]}),
        ("TCYX", "area", 6, {"index T": [0, 0, 0, 1, 1, 1], "index C": [0, 1, 2] * 2}),
        ("QQYX", "area", 6, {"index axis 0": [0, 0, 0, 1, 1, 1], "index axis 1": [0, 1, 2] * 2}),
    ):
        image = LabelledImage("a", cube, ROWS, axes=axes, image=cube)
        write_measurements(tmp_path / "a.csv", image)
        table = pd.read_csv(tmp_path / "a.csv")
        assert len(table) == rows, axes
        assert table[f"{size} [pixel]"].sum() == 9 * 6
        for name, values in places.items():
            assert table[name].tolist() == values
        assert sum(class_table(image)[f"{size} [pixel]"]) == 9 * 6
    flat = LabelledImage("a", cube[:1, :1], ROWS, axes="TZYX")  # one slice is no volume
    assert region_table(flat)["area [pixel]"] == [9]


def test_unknown_sizes_are_reported_and_give_no_volume():
    cube = np.ones((2, 4, 5), np.uint8)
    micro = "micrometer"
    for axes, sizes, units, physical, expected_words in (
        ("ZYX", (2, 1, 1), (micro,) * 3, ["volume [micrometer^3]"], []),
        ("ZYX", (1, 0.5, 0.5), ("pixel", micro, micro), [], ["no pixel size along Z"]),
        ("TYX", (1, 0.5, 0.25), ("pixel", micro, micro), ["area [micrometer^2]"], ["Perimeters"]),
        ("TYX", (1, 500, 0.5), ("pixel", "nanometer", micro), ["area [micrometer^2]"], []),
        ("QYX", (1, 1, 1), (), [], ["no pixel size."]),
    ):
        image = LabelledImage("a", cube, ROWS, axes=axes, pixel_size=sizes, units=units)
        table = region_table(image)
        found = [one for one in table if one.startswith(("area", "volume")) and "pixel" not in one]
        assert found == physical, axes
        for name in found:
            voxel = np.prod([1e-3 * one if one == 500 else one for one in sizes[-cube.ndim :]])
            assert sum(table[name]) == pytest.approx(cube.size * voxel)
        notes = measurement_notes(image)
        assert len(notes) == len(expected_words), notes
        assert all(word in note for word, note in zip(expected_words, notes, strict=True)), notes
