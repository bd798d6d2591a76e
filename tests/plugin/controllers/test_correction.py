"""Corrections change the prediction elsewhere: in a real window, with the real engine."""

from __future__ import annotations

import threading

import numpy as np
import pytest
from napari.utils.key_bindings import coerce_keybinding
from qtpy.QtGui import QKeySequence
from qtpy.QtWidgets import QAbstractButton, QLabel

from napari_cliper.annotation.edit_mask import ACCEPTED
from napari_cliper.annotation.user_hints import BACKGROUND
from napari_cliper.demo.scenes import make_scene
from napari_cliper.labels.label_class import ClassRow
from napari_cliper.plugin import shortcuts
from napari_cliper.plugin.controllers.label_update import update_labels
from napari_cliper.plugin.layers import outlines
from napari_cliper.plugin.worker import Job
from napari_cliper.segmentation import LiveLabels, OutOfMemoryError, corrected

pytestmark = pytest.mark.one_binding

SCENE = make_scene((96, 128), 1_000_008)


@pytest.fixture
def result(dock, run, settle):
    """The dock after a run, its image ready for corrections."""
    dock.result.show_both(True)
    run(dock)
    settle(dock)
    return dock


def predicted(dock):
    return dock.shown.predictions["refined"].layer


def annotation(dock):
    image = dock.viewer.layers["scene"]
    return dock.annotation_controller.begin(image, "scene")


def paint(dock, label, where):
    """A stroke of a class of the result (0: background) along (row, column) pairs."""
    mine = annotation(dock)
    for row in dock.shown.rows:
        mine.number_of(row)
    mine.layer.brush_size = 3
    with mine.layer.block_history():
        for pixel in where:
            mine.layer.paint(pixel, label)
    return mine


def contradict(dock):
    """Paint a stroke of another class on an object; returns the class before and after."""
    before = predicted(dock).data
    label = int(np.bincount(before[before > 0]).argmax())
    rows, columns = np.nonzero(before == label)
    middle = len(rows) // 2
    other = label % len(dock.shown.rows) + 1
    paint(dock, other, [(int(rows[middle]), int(columns[middle]))])
    return label, other


# ---------------------------------------------------------------------- strokes


def test_a_stroke_changes_the_prediction_elsewhere_and_undo_takes_it_back(result, settle):
    before = predicted(result).data.copy()
    coarse = result.shown.predictions["coarse"].layer.data.copy()
    _, other = contradict(result)
    settle(result)
    mine = annotation(result)
    painted = mine.layer.data > 0
    after = predicted(result).data
    assert painted.any()
    assert (after[painted] == other).all()
    assert (after != before)[~painted].any()
    assert not np.array_equal(result.shown.predictions["coarse"].layer.data, coarse)
    assert f"{np.count_nonzero(painted)} painted pixels" in result.corrections_panel.state.text()
    mine.layer.undo()
    settle(result)
    np.testing.assert_array_equal(predicted(result).data, before)
    np.testing.assert_array_equal(result.shown.predictions["coarse"].layer.data, coarse)
    assert not result.corrections_panel.state.text()
    mine.layer.redo()
    settle(result)
    assert (predicted(result).data[painted] == other).all()


def test_the_box_off_gives_what_the_words_say_and_on_teaches_again(result, settle):
    before = predicted(result).data.copy()
    contradict(result)
    settle(result)
    hinted = predicted(result).data.copy()
    result.corrections_panel.spread.click()
    settle(result)
    np.testing.assert_array_equal(predicted(result).data, before)
    paint(result, 4, [(2, 2)])
    settle(result)
    np.testing.assert_array_equal(predicted(result).data, before)
    annotation(result).layer.undo()
    result.corrections_panel.spread.click()
    settle(result)
    np.testing.assert_array_equal(predicted(result).data, hinted)


def test_a_box_that_was_off_at_the_run_teaches_once_it_is_on(dock, run, settle):
    dock.corrections_panel.spread.setChecked(False)
    run(dock)
    settle(dock)
    assert dock.shown.outcome.embedding not in dock.session._affinities  # nothing is computed
    before = predicted(dock).data.copy()
    contradict(dock)
    dock.corrections_panel.spread.setChecked(True)
    settle(dock)
    assert not np.array_equal(predicted(dock).data, before)


def test_hints_apply_to_the_next_result_too(result, run, settle):
    contradict(result)
    settle(result)
    hinted = predicted(result).data.copy()
    run(result)
    settle(result)
    np.testing.assert_array_equal(predicted(result).data, hinted)


def test_accepted_pixels_are_no_hints(result, settle):
    before = predicted(result).data.copy()
    result.annotation_panel.accept_button.click()
    settle(result)
    np.testing.assert_array_equal(predicted(result).data, before)
    assert not result.corrections_panel.state.text()


def test_thresholds_move_labels_with_hints(result, settle):
    contradict(result)
    settle(result)
    painted = annotation(result).layer.data > 0
    shown = annotation(result).layer.data[painted]
    before = predicted(result).data.copy()
    slider = result.threshold_panel.background_slider
    slider.setValue(slider.value() + 0.3)
    settle(result)
    assert not np.array_equal(predicted(result).data, before)
    np.testing.assert_array_equal(predicted(result).data[painted], shown)


def test_a_layer_edited_by_hand_does_not_follow(result, settle):
    predicted(result).data_setitem((np.array([0]), np.array([0])), 3)
    kept = predicted(result).data.copy()
    contradict(result)
    settle(result)
    np.testing.assert_array_equal(predicted(result).data, kept)


@pytest.mark.parametrize("what", ["contradiction", "background", "one pixel", "all", "no class"])
def test_strange_hints(result, what, settle):
    mine = annotation(result)
    for row in result.shown.rows:
        mine.number_of(row)
    shape = mine.layer.data.shape
    new = np.zeros(shape, np.uint16)
    if what == "contradiction":  # every second pixel of the same region says another class
        new[20:60:2, 20:60] = 1
        new[21:60:2, 20:60] = 2
    elif what == "one pixel":
        new[0, 0] = 4
    elif what == "all":
        new[:] = 3
    elif what == "no class":
        new[30:40, 30:40] = 77
    else:
        new[:] = 1
    mine.layer.data_setitem(np.nonzero(new), new[np.nonzero(new)])
    if what == "background":
        mine.layer.data_setitem(np.nonzero(new), 0)
    settle(result)
    after = predicted(result).data
    if what == "background":
        assert not after.any()
    elif what == "no class":
        assert "label 77" in result.corrections_panel.state.text()
        assert 77 not in after
    else:
        np.testing.assert_array_equal(after[new > 0], new[new > 0])


def test_classes_go_by_name_and_those_not_asked_for_are_left_out(result, run, settle):
    mine = annotation(result)
    mine.layer.brush_size = 5
    result.viewer.layers.selection.active = mine.layer
    result.brush.brush_nth(2)  # the bacterium is the annotation's label 1
    assert mine.layer.selected_label == 1
    mine.layer.paint((10, 10), 1)
    settle(result)
    assert (predicted(result).data[mine.layer.data == 1] == 3).all()
    result.classes_panel.table.choose([2])
    result.classes_panel.menu.remove.trigger()
    run(result)
    settle(result)
    assert "no such class: bacterium" in result.corrections_panel.state.text()


def test_only_the_region_of_the_result_is_concerned(dock, run, settle):
    dock.viewer.add_shapes([[(10, 20), (10, 99), (79, 99), (79, 20)]])
    dock.image_panel.regions.setCurrentIndex(2)
    run(dock)
    settle(dock)
    before = predicted(dock).data.copy()
    assert before.shape == (70, 80)
    paint(dock, 1, [(2, 2)])
    settle(dock)
    np.testing.assert_array_equal(predicted(dock).data, before)
    mine = paint(dock, 1, [(30, 40), (31, 40)])
    settle(dock)
    there = mine.layer.data[10:80, 20:100] == 1
    assert there.any()
    assert (predicted(dock).data[there] == 1).all()


def test_strokes_that_come_fast_end_at_the_last(result, qtbot, settle):
    mine = annotation(result)
    for row in result.shown.rows:
        mine.number_of(row)
    for step in range(20):
        mine.layer.paint((40 + step, 60), 1 + step % 4)
        qtbot.wait(5)
    settle(result)
    painted = mine.layer.data > 0
    np.testing.assert_array_equal(predicted(result).data[painted], mine.layer.data[painted])


def test_a_stroke_takes_one_job_for_all_stages(result, settle, monkeypatch):
    """Hints are read and labels made in one thread, and both layers get what the engine gives."""
    done = []
    monkeypatch.setattr(
        "napari_cliper.plugin.worker.Job.start",
        lambda job, start=Job.start: (done.append(job), start(job))[1],
    )
    contradict(result)
    settle(result)
    monkeypatch.undo()
    labels = [job for job in done if job._work.func is update_labels]  # others count pixels
    assert len(labels) == 1
    kept = result.result.current
    thresholds, hints = kept.followed
    mine = annotation(result).layer.data
    np.testing.assert_array_equal(np.where(mine > 0, mine.astype(int), -1), hints.labels)
    scores = kept.shown.outcome.scores
    fresh = {stage: LiveLabels(scores, stage) for stage in scores.stages}
    for stage, labels in corrected(fresh, hints, thresholds).items():
        np.testing.assert_array_equal(kept.shown.predictions[stage].layer.data, labels)


def test_an_affinity_that_cannot_be_computed_unchecks_the_box_and_thresholds_go_on(
    dock, run, settle, monkeypatch
):
    def fail(*_arguments):
        raise OutOfMemoryError("There is not enough memory.")

    monkeypatch.setattr("napari_cliper.plugin.engine_session.Session.affinity", fail)
    run(dock)
    settle(dock)
    assert "There is not enough memory." in dock.status_panel.message.text()
    assert not dock.corrections_panel.spread.isChecked()
    contradict(dock)
    dock.threshold_panel.background_slider.setValue(0.7)
    settle(dock)
    expected = dock.shown.outcome.scores.to_labels(dock.threshold_panel.value())
    np.testing.assert_array_equal(predicted(dock).data, expected)


def test_the_affinity_is_kept_with_the_embedding_and_counted(result, run, settle):
    count, kept = result.session.kept
    embedding = result.shown.outcome.embedding
    affinity = result.session._affinities[embedding]
    assert (count, kept) == (1, embedding.nbytes + affinity.nbytes)
    run(result)
    settle(result)
    assert result.session._affinities[result.shown.outcome.embedding] is affinity


def test_each_stroke_on_a_large_image_is_followed(dock, run, settle):
    """How fast is measured in benchmarks/corrections.py."""
    dock.viewer.layers.clear()
    dock.viewer.add_image(make_scene((1024, 1024), 1_000_008).image, name="scene")
    run(dock)
    settle(dock)
    for row in (300, 500, 700):
        label = 1 + row // 200 % 4
        mine = paint(dock, label, [(row, column) for column in range(300, 340, 4)])
        settle(dock)
        painted = mine.layer.data > 0
        np.testing.assert_array_equal(predicted(dock).data[painted], mine.layer.data[painted])


# ---------------------------------------------------------------------- where to look next


def look(dock, settle):
    dock.corrections_panel.next_button.click()
    settle(dock)
    return dock.status_panel.message.text()


def camera(dock):
    return np.array(dock.viewer.scene.camera.center[-2:])


def test_buttons_say_why_they_are_grey(dock):
    panel = dock.corrections_panel
    for widget in (panel.next_button, panel.uncertainty):
        assert not widget.isEnabled()
        assert "Press Run" in widget.toolTip()
    assert panel.tools.buttons["click"].isEnabled()
    dock.correction_controller.next_uncertain()
    assert "Press Run" in dock.status_panel.message.text()
    dock.viewer.layers.clear()
    assert not panel.tools.buttons["click"].isEnabled()
    assert panel.tools.buttons["click"].toolTip()


def test_uncertainty_is_a_layer_that_follows(result, settle):
    active = result.viewer.layers.selection.active
    result.corrections_panel.uncertainty.click()
    settle(result)
    layer = result.viewer.layers["scene uncertainty"]
    assert result.viewer.layers.selection.active is active
    assert result.image_panel.choice().layer is result.viewer.layers["scene"]
    assert layer.data.shape == predicted(result).data.shape
    assert 0 <= layer.data.min() < layer.data.max() <= 1
    np.testing.assert_allclose(layer.extent.world, result.viewer.layers["scene"].extent.world)
    before = layer.data.copy()
    contradict(result)
    settle(result)
    assert result.viewer.layers["scene uncertainty"] is layer
    assert not np.array_equal(layer.data, before)
    assert not layer.data[annotation(result).layer.data > 0].any()
    result.corrections_panel.uncertainty.click()
    assert layer not in result.viewer.layers


def test_uncertainty_follows_another_result(result, run, settle):
    result.corrections_panel.uncertainty.click()
    settle(result)
    before = result.viewer.layers["scene uncertainty"].data.copy()
    result.classes_panel.setValue([ClassRow("fibre")])
    run(result)
    settle(result)
    assert not np.array_equal(result.viewer.layers["scene uncertainty"].data, before)
    result.viewer.layers.clear()
    result.viewer.add_image(SCENE.image[:80], name="another")
    result.corrections_panel.uncertainty.setChecked(True)
    run(result)
    settle(result)
    assert result.viewer.layers["another uncertainty"].data.shape == (80, 128)


def test_removing_an_image_removes_its_hints_from_the_panel(result, settle):
    contradict(result)
    settle(result)
    assert result.corrections_panel.state.text()
    result.viewer.layers.remove("scene")
    settle(result)
    assert not result.corrections_panel.state.text()


def test_uncertainty_lies_beneath_what_a_person_draws(result, settle):
    result.corrections_panel.tools.buttons["click"].click()
    result.corrections_panel.uncertainty.click()
    settle(result)
    names = [layer.name for layer in result.viewer.layers]
    above = ["scene annotation", "scene refined", "scene clicks"]
    assert all(names.index("scene uncertainty") < names.index(name) for name in above)


def test_outlines_stay_above_what_was_accepted(result, run, settle):
    def check():
        names = [layer.name for layer in result.viewer.layers]
        assert names.index("scene annotation") < names.index("scene refined")
        assert predicted(result).visible
        assert predicted(result).contour > 0  # the labels below are seen as well

    result.annotation_panel.accept_button.click()
    check()
    contradict(result)
    settle(result)
    check()
    result.annotation_panel.rule.setCurrentIndex(1)  # Keep hand-painted pixels
    result.annotation_panel.accept_button.click()
    np.testing.assert_array_equal(annotation(result).layer.data, predicted(result).data)
    run(result)
    settle(result)
    check()


def test_outlines_of_large_planes_are_made_in_the_thread(result, run, settle, monkeypatch):
    result.result.show_both(False)
    monkeypatch.setattr(outlines, "OUTLINED_UP_TO", 0)
    threads = []
    made = outlines.drawn_outlines
    monkeypatch.setattr(
        outlines,
        "drawn_outlines",
        lambda *given: threads.append(threading.current_thread()) or made(*given),
    )
    result.viewer.layers.clear()
    result.viewer.add_image(SCENE.image, name="large")
    run(result)
    settle(result)
    prediction = result.shown.predictions["refined"]
    expected = result.shown.outcome.scores.to_labels()

    def check():
        shown = prediction.layer.data
        assert set(np.unique(shown - prediction.labels * (shown > 0))) == {0}
        assert 0 < np.count_nonzero(shown) < np.count_nonzero(prediction.labels)

    check()
    np.testing.assert_array_equal(prediction.labels, expected)
    assert (prediction.layer.contour, prediction.layer.editable) == (0, False)
    result.annotation_panel.accept_button.click()
    mine = result.annotation_controller.current()
    assert (mine.layer.data > 0).sum() == (expected > 0).sum()  # whole regions, not outlines
    result.threshold_panel.background_slider.setValue(0.6)
    settle(result)
    check()
    assert (prediction.labels != expected).any()
    rows, columns = np.nonzero(prediction.labels)
    clicks = result.correction_controller.click_controller
    clicks.click_at((rows[9], columns[9]), BACKGROUND)
    settle(result)
    check()
    result.result.swap_stages()
    coarse = result.shown.predictions["coarse"]
    assert coarse is prediction
    check()
    assert threading.main_thread() not in threads


def test_what_a_hint_changes_is_seen_on_the_screen(result, settle):
    """Compared as images of the canvas, which is all that a person has."""
    result.viewer.window._qt_window.show()
    result.annotation_panel.accept_button.click()
    before = predicted(result).data.copy()
    label = int(np.bincount(before[before > 0]).argmax())
    rows, columns = np.nonzero(before == label)
    point = int(rows[len(rows) // 2]), int(columns[len(rows) // 2])
    result.corrections_panel.tools.buttons["click"].click()
    clicks = result.correction_controller.click_controller.all[0].layer
    clicks.add((1, 1))  # says what is so already: the outlines are there
    settle(result)
    clicks.visible = False  # what a click changes is meant, not its own mark
    without = result.viewer.screenshot(canvas_only=True, flash=False)
    result.correction_controller.click_controller.choose(
        result.shown.rows[label % len(result.shown.rows)].name
    )
    clicks.add(point)
    settle(result)
    assert (predicted(result).data != before).any()
    seen = result.viewer.screenshot(canvas_only=True, flash=False)
    assert (seen != without).any()


def test_hints_that_a_prediction_edited_by_hand_cannot_follow_say_so(result, settle):
    for one in result.shown.predictions.values():
        one.layer.data_setitem((np.array([0]), np.array([0])), 3)
    contradict(result)
    settle(result)
    assert "no longer follows hints" in result.corrections_panel.state.text()


def test_an_uncertainty_layer_that_is_removed_unchecks_the_box(result, settle):
    result.corrections_panel.uncertainty.click()
    settle(result)
    result.viewer.layers.remove("scene uncertainty")
    assert not result.corrections_panel.uncertainty.isChecked()
    contradict(result)
    settle(result)
    assert "scene uncertainty" not in result.viewer.layers


def test_the_camera_goes_from_place_to_place_and_starts_again(result, settle):
    shown, centers = [], []
    shown.append(look(result, settle))
    places = list(result.correction_controller.uncertain_places.places)
    assert len(places) > 2
    centers.append(camera(result))
    while len(centers) <= len(places):
        shown.append(look(result, settle))
        centers.append(camera(result))
    np.testing.assert_allclose(centers[:-1], places)
    np.testing.assert_allclose(centers[-1], places[0])
    assert shown[0] == f"Uncertain place 1 of {len(places)}."
    assert "start over" in shown[len(places) - 1]
    assert shown[-1] == shown[0]


def test_decided_places_are_passed_over(result, settle):
    look(result, settle)
    first = result.correction_controller.uncertain_places.places[0]
    mine = annotation(result)
    mine.layer.brush_size = 15
    mine.layer.paint(first, 0)  # nothing was there: erasing leaves no mark
    mine.layer.paint(first, 1)
    settle(result)
    look(result, settle)
    assert first not in result.correction_controller.uncertain_places.places
    edit_mask = mine.state().edit_mask
    assert all(
        edit_mask[place] == 0 for place in result.correction_controller.uncertain_places.places
    )
    result.annotation_panel.rule.setCurrentIndex(1)
    result.annotation_panel.accept_button.click()
    settle(result)
    assert look(result, settle).startswith("No uncertain place is left")


def test_a_key_goes_to_the_next_uncertain_place_and_one_rejects_what_is_there(result, settle):
    before = camera(result)
    pressed = result.viewer.keymap[coerce_keybinding(shortcuts.NEXT_UNCERTAIN)]
    assert pressed.__name__  # napari asks for it when a key is really pressed
    pressed(result.viewer)
    settle(result)
    assert not np.allclose(camera(result), before)
    rows, columns = np.nonzero(predicted(result).data)
    at = len(rows) // 2
    result.viewer.cursor.position = rows[at], columns[at]
    reject = result.viewer.keymap[coerce_keybinding(shortcuts.REJECT_REGION)]
    reject(result.viewer)
    settle(result)
    assert predicted(result).data[rows[at], columns[at]] == 0
    clicks = result.correction_controller.click_controller.all[0]
    assert clicks.clicks() == {"background": [[rows[at], columns[at]]]}
    clicks.undo()
    settle(result)
    assert predicted(result).data[rows[at], columns[at]] > 0
    result.viewer.cursor.position = -50, -50
    reject(result.viewer)
    assert "not over scene" in result.status_panel.message.text()


def test_no_key_of_ours_opens_a_menu_or_presses_a_button(result):
    """Qt gives a letter after "&" to a button or menu before the canvas hears of it."""
    window = result.viewer.window._qt_window
    texts = [action.text() for action in window.menuBar().actions()]
    for kind in (QAbstractButton, QLabel):
        texts += [
            one.text() for one in result.findChildren(kind) if not one.text().startswith("&Run")
        ]
    marked = {QKeySequence.mnemonic(text).toString() for text in texts} - {""}
    assert "Alt+F" in marked
    ours = {str(key) for key in result.viewer.keymap}
    assert "Alt+A" in ours
    assert not ours & marked


def test_places_of_a_stack_and_in_3d(dock, run, settle):
    image = np.stack([SCENE.image[::-1], SCENE.image])
    dock.viewer.layers.clear()
    dock.viewer.add_image(image, name="scene", rgb=True, scale=(3, 0.5, 0.5))
    dock.viewer.dims.set_point(0, 3)
    run(dock)
    settle(dock)
    assert dock.shown.choice.plane == (1,)
    dock.viewer.dims.set_point(0, 0)
    assert "no result for" in dock.corrections_panel.next_button.toolTip()
    dock.viewer.dims.set_point(0, 3)
    assert look(dock, settle).startswith("Uncertain place 1 of ")
    assert dock.viewer.dims.point[0] == 3
    np.testing.assert_allclose(
        camera(dock), np.array(dock.correction_controller.uncertain_places.places[0]) / 2
    )
    dock.viewer.dims.ndisplay = 3
    assert "2-D view" in dock.corrections_panel.next_button.toolTip()


# ---------------------------------------------------------------------- what was accepted follows


def test_accepted_pixels_follow_a_click_and_its_undo_and_painted_ones_never(result, settle):
    """A person sees at once what a click changes, also where they have accepted."""
    result.annotation_panel.accept_button.click()
    settle(result)
    mine = annotation(result)
    paint(result, 2, [(5, 5)])
    settle(result)
    before, marks = mine.layer.data.copy(), mine.edits.edit_mask.copy()
    steps = len(mine.layer._undo_history)
    rows, columns = np.nonzero((before > 0) & (marks == ACCEPTED))
    at = len(rows) // 2
    clicks = result.correction_controller.click_controller
    clicks.click_at((rows[at], columns[at]), BACKGROUND)
    settle(result)
    after = mine.layer.data.copy()
    changed = after != before
    assert changed[rows[at], columns[at]]
    assert (marks[changed] == ACCEPTED).all()
    np.testing.assert_array_equal(mine.edits.edit_mask, marks)
    np.testing.assert_array_equal(after[changed], predicted(result).data[changed])
    assert len(mine.layer._undo_history) == steps
    assert "accepted pixels with them" in result.status_panel.message.text()
    clicks.all[0].undo()
    settle(result)
    np.testing.assert_array_equal(mine.layer.data, before)


def test_accepted_pixels_stay_where_that_is_wanted_and_thresholds_move_none(result, settle):
    result.annotation_panel.accept_button.click()
    settle(result)
    mine = annotation(result)
    before = mine.layer.data.copy()
    result.threshold_panel.background_slider.setValue(0.9)
    settle(result)
    np.testing.assert_array_equal(mine.layer.data, before)
    result.threshold_panel.background_default.click()
    settle(result)
    result.annotation_panel.accepted_follow.setChecked(False)
    rows, columns = np.nonzero(before)
    at = len(rows) // 2
    clicks = result.correction_controller.click_controller
    clicks.click_at((rows[at], columns[at]), BACKGROUND)
    settle(result)
    assert (predicted(result).data != before).any()
    np.testing.assert_array_equal(mine.layer.data, before)


def test_what_a_click_changed_flashes_in_its_colours(result, settle, qtbot):
    annotation(result)
    before = predicted(result).data.copy()
    rows, columns = np.nonzero(before)
    active = result.viewer.layers.selection.active
    clicks = result.correction_controller.click_controller
    clicks.click_at((rows[0], columns[0]), "fibre")
    flash = []
    result.viewer.layers.events.inserted.connect(lambda event: flash.append(event.value))
    settle(result)
    shown = [layer for layer in flash if layer.name == "changed"]
    assert len(shown) == 1
    changed = before != predicted(result).data
    np.testing.assert_array_equal(shown[0].data > 0, changed & (predicted(result).data > 0))
    assert result.viewer.layers.selection.active is active
    qtbot.waitUntil(lambda: not shown[0].visible, timeout=3000)
    assert f"{np.count_nonzero(changed):,} pixels changed" in result.status_panel.message.text()
