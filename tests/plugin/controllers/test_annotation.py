"""From prediction to annotation, in a real window with the real engine."""

from __future__ import annotations

import numpy as np
import pytest
from annotation_actions import accept, annotation, scope
from hint_strokes import predicted

from napari_cliper.annotation.cleanup import CLEANING
from napari_cliper.annotation.edit_mask import ACCEPTED, CLEANED, OPEN, PAINTED
from napari_cliper.plugin import ui_text

pytestmark = pytest.mark.one_binding


def rule(dock, index):
    dock.annotation_panel.rule.setCurrentIndex(index)


def message(dock):
    return dock.status_panel.message.text()


def counted(dock, qtbot):
    qtbot.waitUntil(lambda: dock.annotation_controller.idle, timeout=10_000)


# ---------------------------------------------------------------------- accept


def test_buttons_say_why_they_are_grey(dock):
    panel = dock.annotation_panel
    assert not panel.accept_button.isEnabled()
    assert "Press Run" in panel.accept_button.toolTip()
    assert "no annotation yet" in panel.clean_button.toolTip()


def test_accept_all_makes_one_annotation_that_one_undo_takes_back(result):
    before = predicted(result).data.copy()
    mine = accept(result)
    assert mine.layer.name == "scene annotation"
    np.testing.assert_array_equal(mine.layer.data, before)
    assert (mine.edits.edit_mask == ACCEPTED).all()
    assert result.viewer.layers.selection.active is mine.layer
    assert result.image_panel.value().layer is result.viewer.layers["scene"]
    mine.layer.undo()
    assert not mine.layer.data.any()
    assert (mine.state().edit_mask[before > 0] == OPEN).all()
    mine.layer.redo()
    np.testing.assert_array_equal(mine.layer.data, before)
    assert (mine.state().edit_mask[before > 0] == ACCEPTED).all()
    assert accept(result) is mine


def test_chosen_classes_alone(result):
    scope(result, "chosen")
    result.classes_panel.table.choose([2])
    before = predicted(result).data
    mine = accept(result)
    label = mine.number_of(result.shown.rows[2])
    np.testing.assert_array_equal(mine.layer.data == label, before == 3)
    assert set(np.unique(mine.layer.data)) <= {0, label}
    assert predicted(result).visible
    pixel = tuple(np.argwhere(before == 3)[0])
    assert "bacterium" in str(mine.layer.get_status(pixel, world=True))
    table = mine.layer.features
    assert table.loc[table["index"] == label, "class"].item() == "bacterium"


def test_the_rectangle_alone(result):
    result.viewer.add_shapes([[(10, 20), (10, 59), (49, 59), (49, 20)]], shape_type="rectangle")
    scope(result, "rectangle")
    mine = accept(result)
    inside = np.zeros((96, 128), bool)
    inside[10:50, 20:60] = True
    np.testing.assert_array_equal(mine.layer.data[inside], predicted(result).data[inside])
    assert not mine.layer.data[~inside].any()
    np.testing.assert_array_equal(mine.edits.edit_mask == ACCEPTED, inside)


class Click:
    handled = False

    def __init__(self, position):
        self.position = position


def test_the_region_that_is_clicked_and_of_nothing_it_says_so(result):
    labels = predicted(result).data
    empty = np.argwhere(labels == 0)[0]
    row, column = np.argwhere(labels > 0)[len(np.argwhere(labels > 0)) // 2]
    scope(result, "region")
    result.annotation_panel.accept_button.click()
    result.viewer.mouse_drag_callbacks[-1](result.viewer, Click(tuple(map(float, empty))))
    assert "no class there" in message(result)
    assert annotation(result) is None
    result.annotation_panel.accept_button.click()
    assert annotation(result) is None
    click = Click((float(row), float(column)))
    result.viewer.mouse_drag_callbacks[-1](result.viewer, click)
    assert click.handled
    mine = annotation(result)
    assert mine.layer.data[row, column] > 0
    taken = mine.layer.data > 0
    assert (labels[taken] == labels[row, column]).all()
    assert result.annotation_controller._on_click not in result.viewer.mouse_drag_callbacks


def test_what_is_missing_is_told(result):
    scope(result, "rectangle")
    accept(result)
    assert "Shapes layer" in message(result)
    scope(result, "chosen")
    result.classes_panel.table.choose([])
    accept(result)
    assert "Select rows" in message(result)


def test_painting_survives_every_accept_but_the_last_which_asks(result, subtests):
    for index in range(3):
        with subtests.test(rule=index):
            accept_over_painting(result, index)
            result.viewer.layers.remove(annotation(result).layer)


def accept_over_painting(result, index):
    rule(result, 0)
    mine = accept(result)
    mine.layer.selected_label = 3
    mine.layer.paint((20, 20), 3)
    mine.layer.selected_label = 0
    mine.layer.paint((60, 60), 0)
    mine.follow()
    painted = mine.edits.edit_mask == PAINTED
    kept = mine.layer.data.copy()
    rule(result, index)
    requested = []
    result.annotation_controller.confirm = lambda question: requested.append(question)
    accept(result)
    np.testing.assert_array_equal(mine.layer.data[painted], kept[painted])
    assert len(requested) == (index == 2)
    result.annotation_controller.confirm = lambda _question: True
    accept(result)
    replaced = mine.layer.data[painted] != kept[painted]
    assert bool(replaced.any()) == (index == 2)
    if index == 2:
        mine.layer.undo()
        np.testing.assert_array_equal(mine.layer.data, kept)
        np.testing.assert_array_equal(mine.state().edit_mask == PAINTED, painted)


def test_results_never_mix_in_the_undo_history(result, run, qtbot):
    mine = accept(result)
    first = mine.layer.data.copy()
    slider = result.threshold_panel.background_slider
    before = predicted(result).data.copy()
    slider.setValue(slider.value() + 0.2)
    qtbot.waitUntil(lambda: not np.array_equal(predicted(result).data, before), timeout=10_000)
    np.testing.assert_array_equal(mine.layer.data, first)  # thresholds leave it alone
    rule(result, 1)
    accept(result)
    second = mine.layer.data.copy()
    assert not np.array_equal(first, second)
    for expected in (first, np.zeros_like(first)):
        mine.layer.undo()
        np.testing.assert_array_equal(mine.layer.data, expected)
    for expected in (first, second):
        mine.layer.redo()
        np.testing.assert_array_equal(mine.layer.data, expected)
    run(result)
    np.testing.assert_array_equal(mine.layer.data, second)


# ---------------------------------------------------------------------- edit mask in the real layer


def test_edit_mask_follow_every_tool_and_its_undo(result, qtbot, subtests):
    result.annotation_panel.accepted_follow.setChecked(False)  # what is accepted stays
    result.corrections_panel.spread.setChecked(False)  # each tool begins with the same prediction
    for tool in ("paint", "fill", "polygon", "data_setitem", "data"):
        with subtests.test(tool=tool):
            edit_and_undo(accept(result), qtbot, tool)
            result.viewer.layers.remove(annotation(result).layer)


def edit_and_undo(mine, qtbot, tool):
    layer = mine.layer
    before, edit_mask = layer.data.copy(), mine.edits.edit_mask.copy()
    layer.selected_label = 4
    if tool == "paint":
        layer.brush_size = 9
        layer.paint((30, 40), 4)
    elif tool == "fill":
        layer.fill((0, 0), 4)
    elif tool == "polygon":
        layer.paint_polygon([(10, 10), (10, 40), (40, 40)], 4)
    elif tool == "data_setitem":
        layer.data_setitem((np.array([1, 2]), np.array([3, 4])), 4)
    else:
        new = layer.data.copy()
        new[50:60, 50:60] = 4
        layer.data = new
    qtbot.wait(20)
    changed = layer.data != before
    assert changed.any()
    np.testing.assert_array_equal(mine.edits.edit_mask == PAINTED, changed)
    after = layer.data.copy()
    if tool == "data":  # napari forgets its history then
        return
    layer.undo()
    qtbot.wait(20)
    np.testing.assert_array_equal(layer.data, before)
    np.testing.assert_array_equal(mine.edits.edit_mask, edit_mask)
    layer.redo()
    qtbot.wait(20)
    np.testing.assert_array_equal(layer.data, after)
    np.testing.assert_array_equal(mine.edits.edit_mask == PAINTED, changed)


def test_planes_of_a_stack_and_rectangles_land_where_they_belong(dock, run):
    image = dock.viewer.layers["scene"].data[..., 0]
    dock.viewer.layers.clear()
    stack = np.stack([image, image[::-1], image])
    layer = dock.viewer.add_image(stack, name="stack", scale=(4, 2, 2), translate=(1, 5, 9))
    dock.viewer.dims.set_current_step(0, 1)
    run(dock)
    dock.annotation_panel.accept_button.click()
    mine = dock.annotation_controller.of(layer)
    np.testing.assert_array_equal(mine.layer.data[1], predicted(dock).data[1])
    assert not mine.layer.data[[0, 2]].any()
    np.testing.assert_array_equal(mine.layer.scale, (4, 2, 2))
    np.testing.assert_array_equal(mine.layer.translate, (1, 5, 9))
    dock.viewer.layers.selection.active = mine.layer
    dock.viewer.dims.set_current_step(0, 2)
    mine.layer.selected_label = 7
    mine.layer.paint((2, 10, 10), 7)
    mine.follow()
    assert mine.edits.edit_mask[2, 10, 10] == PAINTED
    assert (mine.edits.edit_mask[1] == ACCEPTED).all()
    mine.layer.undo()
    assert not mine.state().edit_mask[2].any()


# ---------------------------------------------------------------------- cleaning


def test_cleaning_is_one_undo_step_that_changes_nothing_else(result, qtbot, settle, subtests):
    mine = accept(result)
    settle(result)
    before, prediction = mine.layer.data.copy(), predicted(result).data.copy()
    labels = set(np.unique(before).tolist()) - {0}
    button = result.annotation_panel.clean_button

    def clean():
        button.click()
        assert not button.isEnabled()
        qtbot.waitUntil(button.isEnabled, timeout=10_000)
        settle(result)

    for number, (name, tool) in enumerate(CLEANING.items()):
        with subtests.test(tool=name):
            result.annotation_panel.tool.setCurrentIndex(number)
            expected = tool(before, labels, result.annotation_panel.value().amount)
            clean()
            np.testing.assert_array_equal(mine.layer.data, expected)
            np.testing.assert_array_equal(predicted(result).data, prediction)  # it is no hint
            mask = mine.state().edit_mask
            np.testing.assert_array_equal(mask == CLEANED, expected != before)
            np.testing.assert_array_equal(mask == ACCEPTED, expected == before)
            assert "Cleaned" in message(result)
            if (expected != before).any():
                mine.layer.undo()
            settle(result)
            np.testing.assert_array_equal(mine.layer.data, before)
            assert (mine.state().edit_mask == ACCEPTED).all()
    result.annotation_panel.tool.setCurrentIndex(list(CLEANING).index("shrink"))
    clean()
    cleaned = mine.layer.data.copy()
    accept(result)  # keeps what was done by hand
    np.testing.assert_array_equal(mine.layer.data, cleaned)


def test_what_replaced_all_pixels_stays_though_strokes_are_replaced_too(result, settle):
    mine = accept(result)
    settle(result)
    before = mine.layer.data.copy()
    label = int(np.bincount(before[before > 0]).argmax())
    mine.layer.paint(tuple(np.argwhere(before == label)[100]), label % 4 + 1)
    settle(result)
    hinted = predicted(result).data.copy()
    assert np.count_nonzero(hinted != before) > 1  # the stroke has changed other pixels
    rule(result, 2)
    result.annotation_controller.confirm = lambda _question: True
    accept(result)
    settle(result)
    np.testing.assert_array_equal(mine.layer.data, hinted)
    np.testing.assert_array_equal(predicted(result).data, hinted)


def test_painting_while_it_cleans_is_kept(result, qtbot):
    mine = accept(result)
    result.annotation_panel.tool.setCurrentIndex(list(CLEANING).index("grow"))
    result.annotation_panel.clean_button.click()
    mine.layer.paint((40, 40), 9)
    painted = mine.layer.data.copy()
    qtbot.waitUntil(lambda: result.annotation_controller.idle, timeout=10_000)
    np.testing.assert_array_equal(mine.layer.data, painted)
    assert "Press Clean again" in message(result)


# ---------------------------------------------------------------------- counts


def test_what_is_done_is_counted(result, qtbot):
    counted(result, qtbot)
    assert ui_text.NOTHING_DONE in result.annotation_panel.done.toolTip()
    scope(result, "chosen")
    result.classes_panel.table.choose([0])
    accept(result)
    counted(result, qtbot)
    text = result.annotation_panel.done.toolTip()
    assert "1 class" in text
    assert "not decided" in text
    scope(result, "all")
    accept(result)
    counted(result, qtbot)
    assert "100% decided" in result.annotation_panel.done.toolTip()
    assert "not decided" not in result.annotation_panel.done.toolTip()


def test_removing_the_annotation_starts_anew(result):
    mine = accept(result)
    result.viewer.layers.remove(mine.layer)
    assert annotation(result) is None
    assert accept(result) is not mine


# ---------------------------------------------------------------------- unusual ways


def test_erasing_just_what_was_accepted_is_no_undo(result, qtbot):
    scope(result, "chosen")
    result.classes_panel.table.choose([0])
    mine = accept(result)
    where = mine.layer.data > 0
    assert where.any()
    mine.layer.data_setitem(np.nonzero(where), 0)
    qtbot.wait(20)
    assert (mine.edits.edit_mask[where] == PAINTED).all()
    scope(result, "all")
    rule(result, 1)
    accept(result)
    assert not mine.layer.data[where].any()


def test_what_is_no_annotation_is_put_back(result, qtbot):
    mine = accept(result)
    for row, other in enumerate((np.ones((10, 10), np.uint16), np.full((96, 128), 65537))):
        before = mine.layer.data.copy()
        result.status_panel.message.setText("")
        mine.layer.data = other
        assert "previous labels were restored" in message(result)
        np.testing.assert_array_equal(mine.layer.data, before)
        mine.layer.paint((5 + 10 * row, 5), 3)
        qtbot.wait(20)
        assert mine.state().labels[5 + 10 * row, 5] == 3


def test_an_image_that_was_replaced_is_told(result, qtbot):
    mine = accept(result)
    layer = result.viewer.layers["scene"]
    layer.data = np.stack([layer.data] * 3)
    counted(result, qtbot)
    assert "have changed" in result.annotation_panel.accept_button.toolTip()
    assert not result.annotation_panel.accept_button.isEnabled()
    result.annotation_panel.clean_button.click()
    assert "no longer has the size" in message(result)
    assert annotation(result) is mine


def test_a_stroke_is_not_overwritten_before_it_ends(result, run, qtbot):
    layer = predicted(result)
    with layer.block_history():  # as napari does until the mouse is released
        layer.paint((50, 50), 4)
        drawn = layer.data.copy()
        result.threshold_panel.background_slider.setValue(0.9)
        qtbot.wait(400)
        run(result)
        np.testing.assert_array_equal(layer.data, drawn)
    assert predicted(result) is not layer
    layer.undo()
    assert not np.array_equal(layer.data, drawn)


def test_removed_layers_are_not_swapped(result):
    result.result.show_both(True)
    result.viewer.layers.remove(result.shown.predictions["coarse"].layer)
    result.result.swap_stages()
    assert predicted(result).visible
