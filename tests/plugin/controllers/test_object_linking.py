"""Objects of a stack: linked from plane to plane in a real window, with undo, table and project."""

from __future__ import annotations

import tracemalloc
from dataclasses import replace

import numpy as np
import pytest
from canvas_mouse import drag_over
from qtpy.QtCore import Qt
from qtpy.QtTest import QTest
from qtpy.QtWidgets import QApplication
from shapes import ball

from napari_cliper.annotation.export import labelled_of
from napari_cliper.annotation.saved_objects import objects_in
from napari_cliper.objects.splitting import split
from napari_cliper.plugin import ui_text
from napari_cliper.plugin.controllers.objects import ObjectsController
from napari_cliper.plugin.object_measures import measured

SHAPE = (60, 90)
DISC, PAIR, LATE = (20, 20), (20, 60), (48, 70)
"""Centres: a disc that drifts, a disc that divides at time 2, and one that comes at time 2."""


def frame(time):
    labels = np.zeros(SHAPE, np.uint16)
    labels[ball(SHAPE, (DISC[0], DISC[1] + 3 * time), 8)] = 1
    if time < 2:
        labels[ball(SHAPE, PAIR, 9)] = 2
    else:
        labels[ball(SHAPE, (PAIR[0], PAIR[1] - 7), 6)] = 2
        labels[ball(SHAPE, (PAIR[0], PAIR[1] + 7), 5)] = 2
        labels[ball(SHAPE, LATE, 4)] = 1
    return labels


@pytest.fixture
def page(dock, qtbot):
    """The dock at the page Objects beside a movie of five frames, of which four are painted."""
    dock.viewer.layers.clear()
    dock.viewer.add_image(
        np.zeros((5, *SHAPE), np.uint8), name="movie", axis_labels=("t", "y", "x")
    )
    dock.viewer.dims.set_point(0, 0)
    mine = dock.annotation_controller.begin(dock.viewer.layers["movie"], "movie")
    for row in dock.classes_panel.value():
        mine.number_of(row)
    for time in range(4):
        mine.rewrite((time, slice(None), slice(None)), frame(time))
    dock.frame.go_to("objects")
    settle(dock, qtbot)
    return dock


def controller(dock):
    return next(one for one in dock.controllers if isinstance(one, ObjectsController))


def settle(dock, qtbot):
    def idle():
        return dock.idle and controller(dock).idle

    qtbot.waitUntil(idle, timeout=30_000)


@pytest.mark.one_binding
def test_volumes_are_linked_through_time(dock, qtbot):
    """Two blocks on two planes each, which move from the first frame to the second."""
    labels = np.zeros((2, 2, 40, 60), np.uint16)
    for time, left in enumerate((10, 14)):
        labels[time, :, 5:15, left : left + 12] = 1
        labels[time, :, 22:34, left : left + 12] = 2
    dock.viewer.layers.clear()
    dock.viewer.add_image(
        np.zeros(labels.shape, np.uint8), name="movie", axis_labels=("t", "z", "y", "x")
    )
    dock.viewer.dims.set_point((0, 1), (0, 0))
    mine = dock.annotation_controller.begin(dock.viewer.layers["movie"], "movie")
    for row in dock.classes_panel.value():
        mine.number_of(row)
    for plane in np.ndindex(2, 2):
        mine.rewrite((*plane, slice(None), slice(None)), labels[plane])
    dock.frame.go_to("objects")
    settle(dock, qtbot)
    panel = dock.panels["objects"]
    panel.volume.setChecked(True)
    settle(dock, qtbot)
    dock.viewer.dims.set_point(0, 1)
    settle(dock, qtbot)
    assert "t" in panel.link_button.text()
    assert "z" not in panel.link_button.text()
    before = dock.viewer.layers["movie objects"].data.copy()
    assert len(np.unique(before)) == 5
    qtbot.mouseClick(panel.link_button, Qt.MouseButton.LeftButton)
    settle(dock, qtbot)
    assert "2 objects, 2 of them in several volumes" in dock.status_panel.message.text()
    data = dock.viewer.layers["movie objects"].data
    for row in (8, 28):
        assert len(np.unique(data[:, :, row, 16])) == 1
    number = int(data[0, 0, 8, 16])
    objects = controller(dock)
    objects.edit(lambda one: one.given({number: 2}), "", [number], linked=True)
    settle(dock, qtbot)
    kept = objects.of(dock.viewer.layers["movie"])
    for plane in np.ndindex(2, 2):
        assert kept.of(("", plane), (40, 60)).objects.class_of(number) == 2
    for _ in range(2):
        objects.undo()
        settle(dock, qtbot)
    assert np.array_equal(dock.viewer.layers["movie objects"].data, before)
    panel.volume.setChecked(False)
    settle(dock, qtbot)
    assert "through t and z" in panel.link_button.text()


def go_to(dock, qtbot, time):
    dock.viewer.dims.set_point(0, time)
    settle(dock, qtbot)


def test_linked_objects_keep_their_numbers_and_can_be_undone_saved_and_exported(page, qtbot):
    dock, panel = page, page.panels["objects"]
    go_to(dock, qtbot, 3)
    go_to(dock, qtbot, 1)
    objects = controller(dock)
    hand = int(dock.viewer.layers["movie objects"].data[1, 20, 23])
    objects.edit(lambda plane: plane.given({hand: plane.label_of("fibre")}), "")
    settle(dock, qtbot)
    before = dock.viewer.layers["movie objects"].data.copy()
    assert panel.link_button.text() == "Link through t"
    planes = [replace(dock.state.on_screen, plane=(time,)) for time in range(5)]
    tracemalloc.start()
    read = dock.state.labels_of_planes(planes)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 3 * frame(0).nbytes  # one plane is copied in the window's thread, not all
    mine = dock.annotation_controller.of(dock.viewer.layers["movie"])
    mine.rewrite((4, 0, slice(0, 3)), np.full(3, 2, np.uint16))  # painted while a job runs
    seen = [one().labels for one in read]
    assert np.array_equal(seen, mine.layer.data)
    mine.layer.undo()
    settle(dock, qtbot)
    qtbot.mouseClick(panel.link_button, Qt.MouseButton.LeftButton)
    settle(dock, qtbot)
    said = dock.status_panel.message.text()
    assert "Linked through t: 4 objects, 4 of them on several planes. 1 split, 0 merges" in said

    numbers = dock.viewer.layers["movie objects"].data.copy()
    drifting = {int(numbers[time, 20, 20 + 3 * time]) for time in range(4)}
    pair = {int(numbers[0][PAIR]), int(numbers[1][PAIR]), int(numbers[2, 20, 53])}
    assert len(drifting) == len(pair) == 1
    assert 0 not in drifting | pair
    assert numbers[2][LATE] == numbers[3][LATE] != 0
    for time in range(4):
        assert np.array_equal(numbers[time] > 0, frame(time) > 0)

    # the list of splits and merges, of which a click goes to the plane
    qtbot.mouseClick(panel.table_button, Qt.MouseButton.LeftButton)
    settle(dock, qtbot)
    window = objects.table.window
    (whole,), small = pair, int(numbers[2, 20, 67])
    (text,) = [window.events.item(row).text() for row in range(window.events.count())]
    parts = sorted((whole, small))
    assert text == f"t 1: object {whole} splits into {parts[0]}, {parts[1]}"
    go_to(dock, qtbot, 3)
    at = window.events.visualItemRect(window.events.item(0)).center()
    QTest.mouseClick(window.events.viewport(), Qt.MouseButton.LeftButton, pos=at)
    settle(dock, qtbot)
    assert dock.viewer.dims.current_step[0] == 1
    assert np.allclose(dock.viewer.scene.camera.center[-2:], PAIR, atol=1)

    # the edited object has kept its class and mark; a class by hand holds for all planes
    (drifts,) = drifting
    assert objects.made.plane.named(drifts) == "fibre"
    assert drifts in objects.made.plane.edited.edited
    panel.table.setCurrentCell(2, 1)
    name = panel.chosen_class()
    objects.edit(lambda plane: plane.given({whole: plane.label_of(name)}), "", [whole], linked=True)
    settle(dock, qtbot)
    go_to(dock, qtbot, 2)
    assert objects.made.plane.named(whole) == name
    assert np.array_equal(dock.viewer.layers["movie objects"].data, numbers)

    # saved with the annotation, and exported with the same numbers on all planes
    mine = dock.annotation_controller.of(dock.viewer.layers["movie"])
    state = mine.state()
    assert objects_in(state.record["objects"]).links[""][0].number == whole
    exported = labelled_of(state, "movie", None).with_separate()
    assert np.array_equal(exported.instances, numbers)

    objects.undo()  # the class, on both planes
    settle(dock, qtbot)
    assert objects.made.plane.named(whole) == "red blood cell"
    objects.undo()
    settle(dock, qtbot)
    undone = dock.viewer.layers["movie objects"].data
    assert np.array_equal(undone[[0, 1, 3]], before[[0, 1, 3]])
    assert not np.intersect1d(undone[0], undone[2])[1:].size
    assert objects.of(dock.viewer.layers["movie"]).links is None
    go_to(dock, qtbot, 4)  # where there is no object
    objects.redo()
    assert dock.status_panel.message.text() == ui_text.EDIT_REDONE
    assert objects_in(mine.state().record["objects"]).links[""]
    go_to(dock, qtbot, 2)
    settle(dock, qtbot)
    assert np.array_equal(dock.viewer.layers["movie objects"].data, numbers)


def test_a_stack_is_split_in_3d_edited_on_all_planes_measured_and_exported(dock, qtbot, laptop):
    """Two balls that touch and lie on planes that are three times as far apart as pixels."""
    shape, centres, radius = (9, 50, 80), ((4, 25, 24), (4, 25, 46)), 12
    z, y, x = np.indices(shape)
    balls = [(3 * (z - a)) ** 2 + (y - b) ** 2 + (x - c) ** 2 <= radius**2 for a, b, c in centres]
    labels = (balls[0] | balls[1]).astype(np.uint16)
    dock.viewer.layers.clear()
    dock.viewer.add_image(
        np.zeros(shape, np.uint8),
        name="stack",
        axis_labels=("z", "y", "x"),
        scale=(1.5, 0.5, 0.5),
        units=("um", "um", "um"),
    )
    mine = dock.annotation_controller.begin(dock.viewer.layers["stack"], "stack")
    for row in dock.classes_panel.value():
        mine.number_of(row)
    for plane in range(9):
        mine.rewrite((plane, slice(None), slice(None)), labels[plane])
    dock.frame.go_to("objects")
    dock.viewer.dims.set_point(0, 4 * 1.5)
    settle(dock, qtbot)
    objects, panel = controller(dock), dock.panels["objects"]
    assert not panel.volume.isHidden()
    panel.volume.setChecked(True)
    settle(dock, qtbot)
    layer = dock.viewer.layers["stack objects"]
    expected = split(labels, spacing=(3, 1, 1))
    assert len(expected.ids) == 2
    places = [layer.data[centre] for centre in centres]
    for place, number in zip(places, (1, 2), strict=True):
        assert np.array_equal(layer.data == place, expected.numbers == number)
    assert panel.table.item(0, 2).text() == "2"
    assert panel.table.item(0, 3).text().endswith("µm³")
    assert panel.table.horizontalHeaderItem(3).text() == "Median volume"
    assert "Per mm³" in panel.summary.text()
    assert not panel.link_button.isEnabled()
    voxel = 1.5 * 0.5 * 0.5
    volumes = layer.features.set_index("index")["volume [µm³]"]
    assert volumes[int(places[0])] == pytest.approx(voxel * int(expected.areas[0]))
    columns = measured(objects.made, None, lambda _: None, lambda: False).columns
    assert columns["volume [micrometer^3]"] == pytest.approx(
        [voxel * int((layer.data == number).sum()) for number in columns["object"]], rel=1e-4
    )

    one, other = (int(place) for place in places)
    laptop()
    dock.viewer.reset_view()
    QApplication.processEvents()
    qtbot.mouseClick(panel.tools.buttons["merge"], Qt.MouseButton.LeftButton)
    drag_over(dock, (25 / 2, 24 / 2), (25 / 2, 46 / 2))  # in world units
    settle(dock, qtbot)
    assert np.array_equal(layer.data == one, labels > 0)
    assert panel.table.item(0, 2).text() == "1"
    state = mine.state()
    exported = labelled_of(state, "stack", None, image_axes="ZYX").with_separate()
    assert np.array_equal(exported.instances, layer.data)
    objects.undo()
    assert objects.made.every.objects.ids.tolist() == [one, other]  # before they are made again
    for shown in (False, True):
        panel.show_switch.setChecked(shown)
    assert np.array_equal(layer.data == one, expected.numbers == 1)
    settle(dock, qtbot)
    assert {*np.unique(layer.data).tolist()} == {0, one, other}
    assert np.array_equal(layer.data == one, expected.numbers == 1)

    # a brush through several planes draws one object, of which no pixel is lost
    qtbot.mouseClick(panel.tools.buttons["draw"], Qt.MouseButton.LeftButton)
    drawn = layer.selected_label
    layer.n_edit_dimensions, layer.brush_size = 3, 9
    drag_over(dock, (8 / 2, 68 / 2), (8 / 2, 72 / 2))
    settle(dock, qtbot)
    painted = layer.data == drawn
    assert painted.any(axis=(1, 2)).sum() > 2
    dock.viewer.dims.set_point(0, 3 * 1.5)
    settle(dock, qtbot)
    assert np.array_equal(layer.data == drawn, painted)
    assert drawn in objects.made.plane.edited.edited
    objects.undo()
    settle(dock, qtbot)
    assert not (layer.data == drawn).any()
    panel.volume.setChecked(False)
    settle(dock, qtbot)
    assert panel.table.horizontalHeaderItem(3).text() == "Median area"
