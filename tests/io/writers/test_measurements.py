"""Tables of regions and classes, against shapes whose sizes are known."""

from __future__ import annotations

import csv
import math

import numpy as np
import pandas as pd
import pytest
from scipy import ndimage
from skimage.transform import rotate

from napari_cliper.io.writers.measurements import (
    class_table,
    region_table,
    write_class_measurements,
    write_measurements,
    write_table,
)
from napari_cliper.labels.label_class import ClassRow
from napari_cliper.labels.labelled_image import LabelledImage

ROWS = {1: ClassRow("nucleus"), 2: ClassRow("fibre"), 3: ClassRow("nothing of it")}


def frame(table) -> pd.DataFrame:
    return pd.DataFrame(table)


def test_a_rectangle_is_measured_in_pixels_and_micrometres():
    labels = np.zeros((20, 30), np.uint16)
    labels[4:10, 5:25] = 2
    image = LabelledImage(
        "a", labels, ROWS, pixel_size=(0.5, 0.5), units=("micrometer", "micrometer")
    )
    (row,) = frame(region_table(image)).to_dict("records")
    assert (row["region"], row["label"], row["class"]) == (1, 2, "fibre")
    assert row["area [pixel]"] == 6 * 20
    assert row["area [micrometer^2]"] == 30
    assert row["perimeter [pixel]"] == pytest.approx(2 * (6 + 20), rel=0.08)
    assert row["perimeter [micrometer]"] == pytest.approx(0.5 * row["perimeter [pixel]"])
    assert (row["centroid Y [pixel]"], row["centroid X [pixel]"]) == (6.5, 14.5)
    assert (row["centroid Y [micrometer]"], row["centroid X [micrometer]"]) == (3.25, 7.25)
    assert [row[f"{end} {axis} [pixel]"] for axis in "YX" for end in ("first", "last")] == [
        4,
        9,
        5,
        24,
    ]
    assert (row["extent Y [micrometer]"], row["extent X [micrometer]"]) == (3, 10)


@pytest.mark.parametrize("radius", [5, 10, 30, 80])
def test_a_disc_has_the_area_and_outline_of_a_disc(radius):
    y, x = np.ogrid[:200, :200]
    labels = ((y - 100) ** 2 + (x - 90) ** 2 <= radius**2).astype(np.uint8)
    (row,) = frame(region_table(LabelledImage("a", labels, ROWS))).to_dict("records")
    true = radius + 0.5 / radius  # pixels whose centres lie inside
    assert row["area [pixel]"] == pytest.approx(math.pi * true**2, rel=0.04)
    assert row["perimeter [pixel]"] == pytest.approx(2 * math.pi * (radius + 0.5), rel=0.02)
    assert not any("extent" in name for name in row)  # nobody has measured a pixel


@pytest.mark.parametrize("degrees", [0, 10, 22.5, 30, 45])
def test_a_square_has_its_outline_whichever_way_it_is_turned(degrees):
    square = np.zeros((300, 300))
    square[100:200, 100:200] = 1
    labels = (rotate(square, degrees) > 0.5).astype(np.uint8)
    (perimeter,) = region_table(LabelledImage("a", labels, ROWS))["perimeter [pixel]"]
    assert perimeter == pytest.approx(400, rel=0.06)


def test_the_border_of_the_image_is_an_outline_too():
    inside = np.zeros((40, 50), np.uint8)
    inside[10:30, 10:40] = 1
    whole = inside[10:30, 10:40]
    (one,), (other,) = (
        region_table(LabelledImage("a", labels, ROWS))["perimeter [pixel]"]
        for labels in (inside, whole)
    )
    assert one == other


def test_pixels_that_are_not_square_have_no_perimeter_and_mixed_units_are_told():
    image = LabelledImage(
        "a", np.ones((4, 5), np.uint8), ROWS, pixel_size=(2.0, 0.5), units=("nanometer", "pixel")
    )
    (row,) = frame(region_table(image)).to_dict("records")
    assert row["area [nanometer scaled pixel]"] == 20
    assert row["perimeter [scaled pixel]"] is None
    assert (row["extent Y [nanometer]"], row["extent X [scaled pixel]"]) == (8, 2.5)


def test_a_size_without_a_unit_is_not_called_pixel():
    image = LabelledImage("a", np.ones((4, 5), np.uint8), ROWS, pixel_size=(3, 3))
    (row,) = frame(region_table(image)).to_dict("records")
    assert row["area [pixel]"] == 20
    assert row["area [scaled pixel^2]"] == 180


@pytest.mark.parametrize("shape", [(60, 70), (5, 20, 30)])
def test_random_regions_agree_with_scipy(shape):
    rng = np.random.default_rng(0)
    labels = rng.choice(np.array([0, 1, 2, 900], np.uint16), shape, p=[0.5, 0.2, 0.2, 0.1])
    pixels = rng.random((*shape, 2))
    axes = "ZYX"[-len(shape) :]
    table = frame(region_table(LabelledImage("a", labels, ROWS, image=pixels, axes=axes)))
    size = "area [pixel]" if len(shape) == 2 else "volume [pixel]"
    count = 0
    for label in (1, 2, 900):
        regions, found = ndimage.label(labels == label, np.ones((3,) * len(shape)))
        ours = table[table["label"] == label]
        assert len(ours) == found
        count += found
        numbers = range(1, found + 1)
        centres = np.array(ndimage.center_of_mass(labels, regions, numbers))
        expected = {
            size: ndimage.sum_labels(np.ones(shape), regions, numbers),
            "mean intensity 1": ndimage.mean(pixels[..., 0], regions, numbers),
            "mean intensity 2": ndimage.mean(pixels[..., 1], regions, numbers),
            "centroid Y [pixel]": centres[:, -2],
            "centroid X [pixel]": centres[:, -1],
        }
        columns = list(expected)
        one = np.array(sorted(ours[columns].to_numpy().tolist()))
        other = np.array(sorted(np.stack(list(expected.values()), axis=1).tolist()))
        np.testing.assert_allclose(one, other)
    assert table["region"].tolist() == list(range(1, count + 1))
    assert set(table.loc[table["label"] == 900, "class"]) == {"label 900"}


def test_touching_corners_are_one_region_and_touching_classes_two():
    labels = np.array([[1, 0, 2], [0, 1, 2], [0, 0, 1]], np.uint8)
    table = frame(region_table(LabelledImage("a", labels, ROWS)))
    assert sorted(zip(table["class"], table["area [pixel]"], strict=True)) == [
        ("fibre", 2), ("nucleus", 3),
    ]  # fmt: skip


def test_islands_in_holes_are_regions_of_their_own():
    labels = np.zeros((9, 9), np.uint8)
    labels[1:8, 1:8] = 1
    labels[2:7, 2:7] = 0
    labels[4, 4] = 1
    table = frame(region_table(LabelledImage("a", labels, ROWS)))
    assert table["area [pixel]"].tolist() == [24, 1]
    assert 2 < table["perimeter [pixel]"].tolist()[1] < 4  # one pixel


@pytest.mark.parametrize(
    ("axes", "regions", "indices"),
    [("ZYX", 1, []), ("TYX", 3, ["index T"]), ("QYX", 3, ["index axis 0"])],
)
def test_regions_join_along_depth_and_not_along_time(axes, regions, indices):
    labels = np.zeros((3, 8, 8), np.uint8)
    labels[:, 2:5, 2:5] = 1
    image = LabelledImage(
        "a", labels, ROWS, axes=axes, pixel_size=(10, 1, 1), units=("micrometer",) * 3
    )
    table = frame(region_table(image))
    assert len(table) == regions
    assert [name for name in table if name.startswith("index")] == indices
    classes = frame(class_table(image))
    if axes == "ZYX":
        assert table["volume [micrometer^3]"].tolist() == [270]
        assert table["extent Z [micrometer]"].tolist() == [30]
        assert not any("perimeter" in name for name in table)
        assert classes["volume [pixel]"].tolist() == [27, 0, 0]
    else:
        assert table["area [micrometer^2]"].tolist() == [9] * 3
        assert table[indices[0]].tolist() == [0, 1, 2]
        assert len(classes) == 3 * len(ROWS)


def test_pixels_nobody_decided_on_are_not_measured():
    labels = np.ones((4, 10), np.uint8)
    ignored = np.zeros((4, 10), bool)
    ignored[:, 4:6] = True
    image = LabelledImage("a", labels, ROWS, ignored=ignored)
    assert region_table(image)["area [pixel]"] == [16, 16]
    classes = class_table(image)
    assert classes["regions"] == [2, 0, 0]
    assert classes["share"] == [1.0, 0.0, 0.0]


def test_classes_add_up_to_their_regions():
    rng = np.random.default_rng(1)
    labels = rng.choice(np.array([0, 1, 2, 7], np.uint8), (30, 40))
    pixels = rng.integers(0, 60000, (30, 40), np.uint16)
    image = LabelledImage("a", labels, ROWS, image=pixels, pixel_size=(2, 2), units=("nm", "nm"))
    regions, classes = frame(region_table(image)), frame(class_table(image))
    assert classes["label"].tolist() == [1, 2, 3, 7]
    assert classes["class"].tolist()[-1] == "label 7"
    for row in classes.to_dict("records"):
        own = regions[regions["label"] == row["label"]]
        assert row["regions"] == len(own)
        assert row["area [pixel]"] == own["area [pixel]"].sum()
        assert row["area [nm^2]"] == 4 * row["area [pixel]"]
        assert row["share"] == pytest.approx((labels == row["label"]).mean())
        if len(own):
            assert row["mean intensity"] == pytest.approx(pixels[labels == row["label"]].mean())
        else:
            assert np.isnan(row["mean intensity"])


def test_no_region_is_an_empty_table_with_its_columns(tmp_path):
    image = LabelledImage("a", np.zeros((4, 5), np.uint8), ROWS)
    assert region_table(image)["area [pixel]"] == []
    assert class_table(image)["area [pixel]"] == [0, 0, 0]
    write_measurements(tmp_path / "a.csv", image)
    assert "area [pixel]" in pd.read_csv(tmp_path / "a.csv").columns


# ---------------------------------------------------------------------- files


def test_files_are_read_by_pandas_and_by_spreadsheets(tmp_path):
    names = ['a, "b"', "核 ядро", "half \ud83d", "semi;colon"]
    rows = {i: ClassRow(name) for i, name in enumerate(names, 1)}
    labels = np.array([[1, 2, 3, 4]], np.uint8)
    image = LabelledImage("it's, a", labels, rows, image=np.array([[1.5, np.nan, 2, 3]]))
    write_measurements(tmp_path / "regions.csv", image)
    write_class_measurements(tmp_path / "classes.csv", image)
    assert (tmp_path / "regions.csv").read_bytes().startswith(b"\xef\xbb\xbf")
    expected = [*names[:2], "half \ufffd", names[3]]
    for name in ("regions.csv", "classes.csv"):
        table = pd.read_csv(tmp_path / name)
        assert table["image"].tolist() == ["it's, a"] * 4
        assert table["class"].tolist() == expected
        assert table["mean intensity"].isna().tolist() == [False, True, False, False]
    assert table["share"].tolist() == [0.25] * 4


@pytest.mark.parametrize("text", ["=1+1", "+1", "-cell", "@SUM(A1)", "\tx"])
def test_text_never_runs_as_a_formula(tmp_path, text):
    write_table(tmp_path / "a.csv", {"name": [text, "a=b"], "number": [-1.5, -2]})
    with (tmp_path / "a.csv").open(encoding="utf-8-sig", newline="") as file:
        rows = list(csv.reader(file))
    assert rows[1:] == [[f"'{text}", "-1.5"], ["a=b", "-2"]]
