"""The page Objects: what it counts and shows, and what its buttons do, in a real window."""

from __future__ import annotations

import csv
from dataclasses import replace

import numpy as np
import pytest
from qtpy.QtCore import Qt
from qtpy.QtWidgets import QFileDialog
from scipy import ndimage

from napari_cliper.objects.splitting import SplitSettings, split
from napari_cliper.objects.summary import usual_smallest
from napari_cliper.plugin.controllers.objects import ObjectsController

ROWS = ("pollen grain", "red blood cell", "bacterium", "fibre")


@pytest.fixture
def panel(dock):
    """The page in sight."""
    dock.frame.go_to("objects")
    return dock.panels["objects"]


@pytest.fixture
def objects(dock):
    """The controller of the page."""
    return next(one for one in dock.controllers if isinstance(one, ObjectsController))


def wait(objects, qtbot):
    qtbot.waitUntil(lambda: objects.idle, timeout=10_000)


def table(panel):
    rows = range(panel.table.rowCount())
    return [tuple(panel.table.item(row, column).text() for column in (1, 2, 3)) for row in rows]


def regions(mask):
    """Areas of 8-connected regions, by SciPy."""
    numbers, _ = ndimage.label(mask, np.ones((3, 3)))
    return np.bincount(numbers.ravel())[1:]


def expected(labels, smallest=1):
    """Counts and median areas of the objects of the engine."""
    found = split(labels, SplitSettings(smallest=smallest))
    rows = []
    for label, name in enumerate(ROWS, 1):
        areas = found.areas[found.labels == label]
        text = ""
        if len(areas):
            median = float(np.median(areas))
            text = f"{median:,.0f} px" if median >= 100 else f"{median:.3g} px"
        rows.append((name, f"{len(areas):,}", text))
    return rows


def paint(dock, *blocks):
    """An annotation of blocks: label, rows, columns."""
    mine = dock.annotation_controller.begin(dock.viewer.layers["scene"], "scene")
    for row in dock.classes_panel.value():
        mine.number_of(row)
    for label, rows, columns in blocks:
        labels = mine.edits.labels[rows, columns].copy()
        labels[...] = label
        mine.rewrite((rows, columns), labels)
    return mine


BLOCKS = (
    (1, slice(2, 12), slice(2, 12)),  # 100 pixels
    (1, slice(20, 24), slice(20, 25)),  # 20
    (1, slice(40, 41), slice(40, 43)),  # 3
    (2, slice(60, 70), slice(60, 90)),  # 300
)


@pytest.mark.one_binding
def test_it_counts_the_prediction_then_the_annotation_and_follows(dock, panel, objects, run, qtbot):
    wait(objects, qtbot)
    assert panel.table.isHidden()
    assert "Run" in panel.hint.text()
    assert not panel.measure_button.isEnabled()
    run(dock)
    wait(objects, qtbot)
    layer = dock.shown.predictions["refined"].layer
    assert "prediction" in panel.origin.currentText()
    usual = panel.smallest.value()
    assert usual == usual_smallest(split(layer.data))
    assert table(panel) == expected(layer.data, usual)
    panel.smallest.setValue(1)
    wait(objects, qtbot)
    assert table(panel) == expected(layer.data)
    assert sum(int(row[1]) for row in table(panel)) > 3
    assert not panel.remove_button.isEnabled()
    dock.threshold_panel.background_slider.setValue(0.8)
    qtbot.waitUntil(lambda: objects.idle and table(panel) == expected(layer.data), timeout=10_000)
    mine = paint(dock, *BLOCKS)
    qtbot.waitUntil(
        lambda: objects.idle and "annotation" in panel.origin.currentText(), timeout=10_000
    )
    assert table(panel)[:2] == [("pollen grain", "3", "20 px"), ("red blood cell", "1", "300 px")]
    mine.layer.undo()
    qtbot.waitUntil(lambda: objects.idle and table(panel)[1][1] == "0", timeout=10_000)


@pytest.mark.one_binding
def test_nothing_is_counted_out_of_sight(dock, panel, objects, qtbot):
    dock.frame.go_to("find")
    paint(dock, *BLOCKS)
    qtbot.wait(400)
    assert panel.table.rowCount() == 0
    dock.frame.go_to("objects")
    qtbot.waitUntil(lambda: objects.idle and panel.table.rowCount() == 4, timeout=10_000)


@pytest.mark.one_binding
def test_small_objects_are_left_out_and_removed_in_one_step(dock, panel, objects, qtbot):
    mine = paint(dock, *BLOCKS)
    wait(objects, qtbot)
    before = mine.layer.data.copy()
    assert panel.smallest.value() == 5  # a twentieth of 100 pixels
    assert "1 smaller one left out" in panel.summary.text()
    panel.smallest.setValue(21)
    wait(objects, qtbot)
    assert table(panel)[0] == ("pollen grain", "1", "100 px")
    assert "2 smaller ones" in panel.summary.text()
    assert (mine.layer.data == before).all()
    panel.remove_button.click()
    qtbot.waitUntil(lambda: dock.annotation_controller.idle, timeout=10_000)
    wait(objects, qtbot)
    assert regions(mine.layer.data == 1).tolist() == [100]
    assert not panel.remove_button.isEnabled()
    mine.layer.undo()
    assert (mine.layer.data == before).all()


@pytest.mark.one_binding
def test_areas_have_the_unit_of_the_image(dock, panel, objects, qtbot):
    layer = dock.viewer.layers["scene"]
    layer.scale, layer.units = (0.5, 0.5), ("um", "um")
    paint(dock, *BLOCKS)
    wait(objects, qtbot)
    panel.smallest.setValue(1)
    wait(objects, qtbot)
    assert table(panel)[:2] == [("pollen grain", "3", "5 µm²"), ("red blood cell", "1", "75 µm²")]


def test_the_table_of_regions_is_written(dock, panel, objects, qtbot, tmp_path, monkeypatch):
    paint(dock, *BLOCKS)
    wait(objects, qtbot)
    panel.smallest.setValue(4)
    wait(objects, qtbot)
    path = tmp_path / "sizes"
    monkeypatch.setattr(QFileDialog, "getSaveFileName", lambda *_args: (str(path), ""))
    panel.measure_button.click()
    wait(objects, qtbot)
    assert "Measured 3 objects" in dock.status_panel.message.text()
    with path.with_suffix(".csv").open(encoding="utf-8-sig", newline="") as file:
        rows = list(csv.DictReader(file))
    assert [(row["class"], row["area [pixel]"]) for row in rows] == [
        ("pollen grain", "100"),
        ("pollen grain", "20"),
        ("red blood cell", "300"),
    ]
    pixels = dock.viewer.layers["scene"].data[2:12, 2:12, 0]
    assert float(rows[0]["mean intensity 1"]) == pytest.approx(pixels.mean(), rel=1e-5)
    (tmp_path / "theirs.csv").write_text("of another program", encoding="utf-8")
    path = tmp_path / "theirs.csv"
    panel.measure_button.click()
    wait(objects, qtbot)
    assert path.read_text(encoding="utf-8") == "of another program"
    assert "theirs.csv" in dock.status_panel.message.text()


@pytest.mark.one_binding
def test_each_object_is_a_label_in_a_layer_of_its_own(dock, panel, objects, qtbot):
    panel.smallest.setValue(2)
    mine = paint(dock, *BLOCKS)
    dock.viewer.layers.selection.active = mine.layer
    wait(objects, qtbot)
    layer = dock.viewer.layers["scene objects"]
    assert dock.viewer.layers.selection.active is mine.layer
    assert layer.data[5, 5] == 1
    assert np.bincount(layer.data.ravel())[1:].tolist() == [100, 20, 3, 300]
    features = layer.features
    assert features["class"].tolist() == ["pollen grain"] * 3 + ["red blood cell"]
    assert features["area [pixel]"].tolist() == [100, 20, 3, 300]
    assert not features["edited"].any()
    assert "red blood cell" in str(layer.get_status((65, 70), world=True))
    panel.smallest.setValue(50)
    wait(objects, qtbot)
    assert np.bincount(layer.data.ravel(), minlength=5)[1:].tolist() == [100, 0, 0, 300]
    dock.frame.go_to("correct")
    assert not layer.visible
    dock.frame.go_to("objects")
    assert layer.visible
    panel.show_switch.setChecked(False)
    assert not layer.visible
    panel.show_switch.setChecked(True)
    panel.smallest.setValue(1000)
    wait(objects, qtbot)
    assert "4 objects below 1,000 px: lower the smallest size" in panel.hint.text()
    assert not layer.data.any()
    dock.viewer.layers.remove(layer)
    panel.smallest.setValue(1)
    wait(objects, qtbot)
    assert "scene objects" not in dock.viewer.layers
    panel.show_switch.setChecked(True)
    again = dock.viewer.layers["scene objects"].data
    assert sorted(np.bincount(again.ravel())[1:]) == sorted(
        [100, 20, 3, 300, *[0] * (again.max() - 4)]
    )


def test_objects_at_the_border_are_left_out_and_diameters_are_set(dock, panel, objects, qtbot):
    mine = paint(dock, *BLOCKS, (3, slice(0, 9), slice(100, 109)))
    panel.smallest.setValue(2)
    rows, columns = np.indices(mine.layer.data.shape)
    bud = (np.hypot(rows - 60, columns - 30) < 12) | (np.hypot(rows - 60, columns - 45) < 5.5)
    mine.rewrite((slice(None), slice(None)), np.where(bud, 4, mine.layer.data).astype(np.uint16))
    wait(objects, qtbot)
    assert [row[1] for row in table(panel)] == ["3", "1", "1", "2"]
    diameters = [panel.table.item(row, 4).text() for row in range(4)]
    assert diameters[2].startswith("~9") or diameters[2].startswith("~10")
    panel.border.setChecked(False)
    wait(objects, qtbot)
    assert [row[1] for row in table(panel)] == ["3", "1", "0", "2"]
    assert "1 at the border left out" in panel.summary.text()
    panel.table.item(3, 4).setText("26")
    wait(objects, qtbot)
    assert panel.table.item(3, 4).text() == "26 px"
    assert table(panel)[3][1] == "1"  # parts narrower than 13 px are not split off
    panel.table.item(3, 4).setText("")
    wait(objects, qtbot)
    assert table(panel)[3][1] == "2"
    assert panel.table.item(3, 4).text().startswith("~")


@pytest.mark.one_binding
def test_numbers_stay_while_sliders_move_and_more_classes_are_accepted(
    dock, panel, objects, run, qtbot
):
    run(dock)
    dock.frame.go_to("objects")
    wait(objects, qtbot)
    before = objects.made.plane
    slider = dock.threshold_panel.background_slider
    slider.setValue(slider.value() + 0.03)
    qtbot.waitUntil(lambda: dock.idle, timeout=10_000)
    moved = objects.made.plane.objects
    same = [
        n for n in before.objects.ids if (moved.numbers[before.objects.numbers == n] == n).any()
    ]
    assert len(same) > 0.6 * len(before.objects.ids)
    seen = dock.result.seen()
    names = {before.named(n) for n in before.objects.ids.tolist()}
    assert len(names) > 1
    dock.annotation_panel.setValue(replace(dock.annotation_panel.value(), scope="chosen"))
    numbers = []
    for name in sorted(names):
        before = objects.made.plane if numbers else before
        dock.classes_panel.select(name)
        dock.annotation_controller.accept()
        wait(objects, qtbot)
        assert "annotation" in panel.origin.currentText()
        plane = objects.made.plane
        numbers.append({n for n in plane.objects.ids.tolist() if plane.named(n) == name})
        for earlier, accepted in zip(numbers, sorted(names), strict=False):
            now = {n for n in plane.objects.ids.tolist() if plane.named(n) == accepted}
            assert now == earlier
    assert seen is not None
    assert len(set.union(*numbers)) == sum(map(len, numbers))


def test_a_row_selects_its_class_and_a_double_click_goes_to_the_largest(
    dock, panel, objects, qtbot
):
    mine = paint(dock, *BLOCKS)
    dock.viewer.layers.selection.active = mine.layer
    wait(objects, qtbot)
    view = panel.table.viewport()

    def click(row, press=qtbot.mouseClick):
        pos = panel.table.visualItemRect(panel.table.item(row, 1)).center()
        press(view, Qt.MouseButton.LeftButton, pos=pos)

    click(1)
    assert dock.classes_panel.table.chosen_rows() == [1]
    assert mine.layer.selected_label == 2
    click(0)
    click(0, qtbot.mouseDClick)
    assert dock.viewer.scene.camera.center[-2:] == pytest.approx((6.5, 6.5))
    click(3)
    click(3, qtbot.mouseDClick)
    assert "no object of fibre" in dock.status_panel.message.text()


@pytest.mark.one_binding
def test_planes_of_a_stack_are_counted_one_by_one(dock, panel, objects, qtbot, monkeypatch):
    dock.viewer.layers.clear()
    image = dock.viewer.add_image(np.zeros((3, 30, 40), np.uint8), name="stack")
    dock.viewer.dims.set_current_step(0, 1)
    mine = dock.annotation_controller.begin(image, "stack")
    (row, *_) = dock.classes_panel.value()
    label = mine.number_of(row)
    mine.rewrite((1, slice(4, 8), slice(4, 8)), np.full((4, 4), label, np.uint16))
    qtbot.waitUntil(lambda: objects.idle and panel.table.rowCount() == 1, timeout=10_000)
    assert table(panel) == [("pollen grain", "1", "16 px")]
    wait(objects, qtbot)
    layer = dock.viewer.layers["stack objects"]
    assert layer.data.shape == (3, 30, 40)
    assert np.argwhere(layer.data.any(axis=(1, 2))).ravel().tolist() == [1]
    proposed = []

    def ask(*args):
        proposed.append(args[2])
        return "", ""

    monkeypatch.setattr(QFileDialog, "getSaveFileName", ask)
    panel.measure_button.click()
    assert proposed == ["stack_plane1_objects.csv"]
    dock.viewer.dims.set_current_step(0, 2)
    qtbot.waitUntil(lambda: objects.idle and panel.table.isHidden(), timeout=10_000)


@pytest.mark.one_binding
def test_the_page_fits_a_laptop_whatever_it_says(dock, panel, objects, run, laptop, qtbot):
    dock.viewer.layers["scene"].scale = (0.5, 0.5)
    dock.viewer.layers["scene"].units = ("um", "um")
    run(dock)
    dock.viewer.add_labels(np.ones((96, 128), np.uint8), name="outlines of another program " * 3)
    laptop()
    dock.frame.go_to("objects")

    def check():
        wait(objects, qtbot)
        qtbot.wait(50)
        page = dock.frame.current
        assert page.widget().minimumSizeHint().width() <= page.viewport().width()
        assert page.verticalScrollBar().maximum() == 0

    check()
    for name, button in panel.tools.buttons.items():
        button.click()
        assert panel.tools.value() == name
        check()
    panel.tools.buttons["merge"].click()
    panel.smallest.setValue(panel.smallest.maximum())
    check()
    panel.origin.activated.emit(1)
    check()
    assert "unsure ones first" in panel.hint.text()


@pytest.mark.one_binding
def test_the_visible_part_of_a_plane_that_takes_long_comes_first(
    dock, panel, objects, laptop, qtbot, monkeypatch
):
    monkeypatch.setattr("napari_cliper.plugin.controllers.objects.QUICK", -1)
    monkeypatch.setattr("napari_cliper.plugin.controllers.objects.REST", 4000)
    mine = paint(dock, *BLOCKS)
    laptop()
    wait(objects, qtbot)
    dock.viewer.scene.camera.zoom = 20
    dock.viewer.scene.camera.center = (0, 10, 10)
    layer = dock.viewer.layers["scene objects"]
    for place in ((slice(14, 18), slice(2, 12)), (slice(90, 95), slice(110, 120))):
        mine.rewrite(place, np.full_like(mine.edits.labels[place], 2))
    qtbot.waitUntil(lambda: layer.data[15, 5] > 0, timeout=3000)
    assert layer.data[92, 115] == 0
    assert not objects.idle
    wait(objects, qtbot)
    assert layer.data[92, 115] > 0
    assert panel.table.item(1, 2).text() == "3"
