"""Every action is about the plane on the screen: a stack in a real window, with the real engine."""

from __future__ import annotations

import numpy as np
import pytest

from napari_cliper.demo.scenes import make_scene
from napari_cliper.plugin.controllers import kept_results
from napari_cliper.plugin.panels.annotation_panel import AnnotationChoice

pytestmark = pytest.mark.one_binding

SCENES = [make_scene((64, 80), 1_000_008 + number).image for number in range(4)]


@pytest.fixture
def stack(dock, run, settle):
    """The dock beside a stack of four scenes, of which planes 0 and 2 were run."""
    dock.viewer.layers.clear()
    dock.viewer.add_image(
        np.stack(SCENES), name="stack", rgb=True, axis_labels=("z", "y", "x"), scale=(2, 1, 1)
    )
    for z in (0, 2):
        go_to(dock, z)
        run(dock)
        settle(dock)
    return dock


def go_to(dock, z):
    dock.viewer.dims.set_point(0, 2 * z)


def annotation(dock):
    return dock.annotation_controller.of(dock.viewer.layers["stack"])


def scores(dock):
    model = dock.classes_panel.model
    return [
        [model.data(model.index(row, column)) for column in range(model.columnCount())]
        for row in range(model.rowCount())
    ]


def disabled_because(dock):
    """Why nothing can be done, as the buttons and the sliders say."""
    reasons = {
        dock.annotation_panel.accept_button.toolTip(),
        dock.threshold_panel.toolTip(),
        dock.corrections_panel.next_button.toolTip(),
        dock.state_panel.text.text(),
    }
    assert not dock.annotation_panel.accept_button.isEnabled()
    assert not dock.threshold_panel.isEnabled()
    assert not dock.corrections_panel.next_button.isEnabled()
    assert not dock.state_panel.isHidden()
    assert len(reasons) == 1, reasons
    return reasons.pop()


def test_accept_changes_the_plane_on_the_screen_and_no_other(stack):
    predicted = stack.shown.predictions["refined"].layer.data
    for z, others in ((0, (1, 2, 3)), (2, (1, 3))):
        go_to(stack, z)
        stack.annotation_panel.accept_button.click()
        np.testing.assert_array_equal(annotation(stack).layer.data[z], predicted[z])
        assert not annotation(stack).layer.data[list(others)].any()


def test_a_plane_that_was_not_run_says_so_and_nothing_can_be_done(stack, settle):
    before = stack.shown.predictions["refined"].layer.data.copy()
    layer = stack.shown.predictions["refined"].layer
    go_to(stack, 1)
    assert (
        disabled_because(stack)
        == "There is no result for z 1 of stack. Press Run, or go to z 0, z 2."
    )
    assert stack.shown is None
    assert list(layer.features) == ["index", "class"]  # no pixels of another plane under the cursor
    stack.annotation_controller.accept()  # a key would do it
    stack.annotation_controller.accept_under_cursor()
    assert annotation(stack) is None
    assert "no result for" in stack.status_panel.message.text()
    stack.corrections_panel.tools.buttons["click"].click()
    stack.correction_controller.click_controller.all[0].layer.add((1, 30, 30))
    settle(stack)
    assert "Your hints are saved. There is no result" in stack.corrections_panel.state.text()
    np.testing.assert_array_equal(layer.data, before)


def test_going_back_brings_scores_thresholds_and_labels_back(stack, settle):
    go_to(stack, 0)
    slider = stack.threshold_panel.background_slider
    of_0 = scores(stack)
    slider.setValue(0.9)
    settle(stack)
    layer = stack.shown.predictions["refined"].layer
    labels = layer.data.copy()
    go_to(stack, 2)
    of_2 = scores(stack)
    assert of_0 != of_2
    assert slider.value() != 0.9
    slider.setValue(0.2)
    settle(stack)
    go_to(stack, 1)
    assert scores(stack) not in (of_0, of_2)
    go_to(stack, 0)
    assert scores(stack) == of_0
    assert slider.value() == pytest.approx(0.9)
    settle(stack)
    np.testing.assert_array_equal(layer.data[0], labels[0])
    table = layer.features
    assert table["pixels"].sum() == layer.data[0].size
    assert (table["pixels"] == np.bincount(layer.data[0].ravel(), minlength=5)).all()
    slider.setValue(slider.value() - 0.3)
    settle(stack)
    assert np.count_nonzero(layer.data[0]) > np.count_nonzero(labels[0])
    go_to(stack, 2)
    assert slider.value() == pytest.approx(0.2)


def test_thresholds_that_were_moved_last_are_followed_whenever_one_comes_back(stack, settle):
    go_to(stack, 0)
    layer = stack.shown.predictions["refined"].layer
    stack.threshold_panel.class_slider.setValue(stack.threshold_panel.class_slider.maximum())
    go_to(stack, 2)  # before any label has followed
    settle(stack)
    assert layer.data[2].any()
    go_to(stack, 0)
    settle(stack)
    assert not layer.data[0].any()


def test_hints_stay_with_their_plane(stack, settle):
    layer = stack.shown.predictions["refined"].layer
    words = layer.data.copy()
    go_to(stack, 0)
    label = int(np.bincount(words[0][words[0] > 0]).argmax())
    row, column = np.argwhere(words[0] == label)[len(np.argwhere(words[0] == label)) // 2]
    stack.corrections_panel.tools.buttons["click"].click()
    stack.correction_controller.click_controller.choose("background")
    stack.correction_controller.click_controller.all[0].layer.add((0, row, column))
    settle(stack)
    hinted = layer.data.copy()
    assert hinted[0, row, column] == 0
    np.testing.assert_array_equal(hinted[2], words[2])
    go_to(stack, 2)
    settle(stack)
    assert not stack.corrections_panel.state.text()
    np.testing.assert_array_equal(layer.data, hinted)
    go_to(stack, 0)
    settle(stack)
    assert stack.corrections_panel.state.text() == "Hints used: 1 click."
    np.testing.assert_array_equal(layer.data, hinted)
    go_to(stack, 2)
    settle(stack)
    stack.correction_controller.click_controller.undo()  # of the plane that is not on the screen
    go_to(stack, 0)
    settle(stack)
    np.testing.assert_array_equal(layer.data, words)


def test_in_3d_and_outside_of_the_image_nothing_can_be_done(stack):
    stack.viewer.dims.ndisplay = 3
    assert "Go back to the 2-D view" in disabled_because(stack)
    stack.viewer.dims.ndisplay = 2
    assert stack.shown is not None
    stack.viewer.dims.order = (1, 0, 2)
    assert "Go back to the 2-D view" in disabled_because(stack)
    stack.viewer.dims.order = (0, 1, 2)
    stack.viewer.add_image(np.zeros((20, 64, 80)), name="deeper", scale=(2, 1, 1))
    stack.image_panel.images.setCurrentText("stack")
    go_to(stack, 9)
    assert "goes from 0 to 3" in disabled_because(stack)


def test_another_image_has_no_result_of_this_one(stack, run):
    other = stack.viewer.add_image(SCENES[0], name="other")
    stack.image_panel.images.setCurrentText("other")
    assert disabled_because(stack) == "There is no result for other. Press Run."
    run(stack)
    stack.annotation_panel.accept_button.click()
    assert annotation(stack) is None
    assert stack.annotation_controller.of(other).layer.data.any()
    stack.image_panel.images.setCurrentText("stack")
    assert stack.shown.choice.layer is stack.viewer.layers["stack"]
    stack.viewer.layers["stack"].data = np.stack(SCENES[::-1])
    assert disabled_because(stack) == "The pixels of stack have changed. Press Run again."
    stack.viewer.layers.remove("stack")
    assert {one.shown.choice.layer for one in stack.result.kept} == {other}


def test_a_result_that_comes_late_is_of_its_own_plane(stack, qtbot, settle):
    layer = stack.shown.predictions["refined"].layer
    go_to(stack, 1)
    stack.run()
    go_to(stack, 2)
    before = layer.data[2].copy()
    qtbot.waitUntil(lambda: stack.job is None, timeout=20_000)
    assert stack.shown.choice.plane == (2,)
    assert "a plane that is not on the screen" in stack.status_panel.message.text()
    settle(stack)
    np.testing.assert_array_equal(layer.data[2], before)
    assert layer.data[1].any()
    go_to(stack, 1)
    assert stack.shown.choice.plane == (1,)
    assert stack.annotation_panel.accept_button.isEnabled()


def test_a_chosen_plane_that_is_not_on_the_screen_is_not_touched(stack, run, settle):
    go_to(stack, 2)
    stack.image_panel.planes.setCurrentText("chosen plane")
    stack.image_panel._spins[0][1].setValue(3)
    run(stack)
    assert stack.viewer.dims.point[0] == 6  # the viewer goes to what is run
    go_to(stack, 0)
    stack.annotation_panel.accept_button.click()
    settle(stack)
    assert annotation(stack).layer.data[0].any()
    assert not annotation(stack).layer.data[1:].any()
    stack.annotation_panel.tool.setCurrentIndex(0)
    before = annotation(stack).layer.data.copy()
    stack.annotation_panel.clean_button.click()
    settle(stack)
    np.testing.assert_array_equal(annotation(stack).layer.data[1:], before[1:])


def test_regions_of_one_plane_are_distinguished(stack, run):
    go_to(stack, 0)
    whole = stack.shown
    corners = [(0, 10, 10), (0, 10, 49), (0, 49, 49), (0, 49, 10)]
    shapes = stack.viewer.add_shapes([corners], name="box", scale=(2, 1, 1))
    stack.image_panel.regions.setCurrentText("rectangle in box")
    run(stack)
    part = stack.shown
    assert part.choice.region == (slice(10, 50), slice(10, 50))
    stack.viewer.layers.selection.active = whole.predictions["refined"].layer
    assert stack.shown is whole
    stack.viewer.layers.selection.active = part.predictions["refined"].layer
    assert stack.shown is part
    stack.viewer.layers.selection.active = shapes
    stack.image_panel.regions.setCurrentText("whole image")
    assert stack.shown is whole


def test_results_that_take_too_much_memory_go_and_say_so(stack, run, settle, monkeypatch):
    layer = stack.shown.predictions["refined"].layer
    held = [
        one.shown.nbytes + sum(a.nbytes for a in one.labels.values()) for one in stack.result.kept
    ]
    assert stack.result.kept.nbytes >= sum(held)  # labels are held beside the scores
    monkeypatch.setattr(kept_results, "RESULT_BYTES", stack.result.kept.nbytes)
    before = layer.data[0].copy()
    go_to(stack, 3)
    run(stack)
    settle(stack)
    monkeypatch.setattr(kept_results, "RESULT_BYTES", 1)
    go_to(stack, 2)
    go_to(stack, 0)
    assert "removed to free memory" in disabled_because(stack)
    np.testing.assert_array_equal(layer.data[0], before)
    run(stack)
    np.testing.assert_array_equal(layer.data[0], before)
    assert len(list(stack.result.kept)) == 1
    assert stack.annotation_panel.accept_button.isEnabled()


def test_only_the_result_on_the_screen_holds_what_labels_are_made_of(stack):
    on_screen, other = stack.result.kept
    assert on_screen.shown is stack.shown
    assert all(live.nbytes > 0 for live in on_screen.shown.outcome.live.values())
    assert all(live.nbytes == 0 for live in other.shown.outcome.live.values())


def test_a_region_is_accepted_in_the_plane_where_it_is_clicked(stack):
    class Click:
        handled = False

    stack.annotation_panel.setValue(AnnotationChoice("region"))
    stack.annotation_panel.accept_button.click()
    go_to(stack, 0)
    layer = stack.shown.predictions["refined"].layer
    row, column = np.argwhere(layer.data[0] > 0)[0]
    event = Click()
    event.position = (0, row, column)
    stack.viewer.mouse_drag_callbacks[-1](stack.viewer, event)
    assert annotation(stack).layer.data[0, row, column] == layer.data[0, row, column]
    assert not annotation(stack).layer.data[1:].any()
