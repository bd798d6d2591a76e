"""Strokes are hints: the prediction follows them, and their undo."""

from __future__ import annotations

import numpy as np
import pytest
from hint_strokes import annotation, contradict, paint, predicted

from napari_cliper.demo.scenes import make_scene
from napari_cliper.plugin.controllers.label_update import update_labels
from napari_cliper.plugin.worker import Job
from napari_cliper.segmentation import LiveLabels, OutOfMemoryError, corrected

pytestmark = pytest.mark.one_binding


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


def test_hints_apply_to_the_next_result_too_with_the_same_affinity(result, run, settle):
    """It is kept with the embedding, and counted."""
    contradict(result)
    settle(result)
    hinted = predicted(result).data.copy()
    count, kept = result.session.kept
    embedding = result.shown.outcome.embedding
    affinity = result.session._affinities[embedding]
    assert (count, kept) == (1, embedding.nbytes + affinity.nbytes)
    run(result)
    settle(result)
    np.testing.assert_array_equal(predicted(result).data, hinted)
    assert result.session._affinities[result.shown.outcome.embedding] is affinity


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


def test_strange_hints(result, settle):
    mine = annotation(result)
    for row in result.shown.rows:
        mine.number_of(row)
    without = predicted(result).data.copy()

    def draw(new):
        mine.layer.data_setitem(np.nonzero(new), new[np.nonzero(new)])
        settle(result)
        return predicted(result).data

    def undo():
        mine.layer.undo()
        settle(result)
        np.testing.assert_array_equal(predicted(result).data, without)

    empty = np.zeros(mine.layer.data.shape, np.uint16)
    contradiction, pixel, unknown = empty.copy(), empty.copy(), empty.copy()
    contradiction[20:60:2, 20:60] = 1  # every second row of the same region says another class
    contradiction[21:60:2, 20:60] = 2
    pixel[0, 0] = 4
    for new in (contradiction, pixel, empty + 3):
        after = draw(new)
        np.testing.assert_array_equal(after[new > 0], new[new > 0])
        undo()
    unknown[30:40, 30:40] = 77
    assert 77 not in draw(unknown)
    assert "label 77" in result.corrections_panel.state.text()
    undo()
    draw(empty + 1)
    mine.layer.data_setitem(np.nonzero(empty + 1), 0)
    settle(result)
    assert not predicted(result).data.any()


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
    def fail(*_arguments, **_more):
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


def test_each_stroke_on_a_large_image_is_followed(dock, run, settle):
    """How fast is measured in benchmarks/corrections.py."""
    dock.viewer.layers.clear()
    dock.viewer.add_image(make_scene((512, 512), 1_000_008).image, name="scene")
    run(dock)
    settle(dock)
    for row in (150, 250, 350):
        label = 1 + row // 100 % 4
        mine = paint(dock, label, [(row, column) for column in range(150, 190, 4)])
        settle(dock)
        painted = mine.layer.data > 0
        np.testing.assert_array_equal(predicted(dock).data[painted], mine.layer.data[painted])


def test_removing_an_image_removes_its_hints_from_the_panel(result, settle):
    contradict(result)
    settle(result)
    assert result.corrections_panel.state.text()
    result.viewer.layers.remove("scene")
    settle(result)
    assert not result.corrections_panel.state.text()


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
