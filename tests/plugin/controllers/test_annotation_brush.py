"""The brush of an annotation: its class, its colour and its keys."""

from __future__ import annotations

import numpy as np
import pytest
from annotation_actions import accept, scope
from hint_strokes import predicted
from napari.layers import Image, Labels, Points, Shapes
from napari.settings import get_settings
from napari.utils.key_bindings import coerce_keybinding
from napari.viewer import Viewer

from napari_cliper.plugin import shortcuts

pytestmark = pytest.mark.one_binding


def press(dock, key):
    """Press a key of the viewer, whichever layer is active."""
    dock.viewer.keymap[coerce_keybinding(key)](dock.viewer)


def test_keys_choose_the_class_of_the_brush(result):
    mine = accept(result)
    names = [row.name for row in result.shown.rows]
    for row in result.shown.rows:
        mine.number_of(row)

    def brushed(key):
        press(result, key)
        return mine.classes[mine.layer.selected_label].name

    assert brushed(shortcuts.NTH_CLASS[2]) == names[2]
    assert brushed(shortcuts.NEXT_CLASS) == names[3]
    assert brushed(shortcuts.NEXT_CLASS) == names[0]
    assert brushed(shortcuts.PREVIOUS_CLASS) == names[3]
    assert names[3] in result.viewer.status
    assert brushed(shortcuts.NTH_CLASS[8]) == names[3]  # there is no ninth
    press(result, shortcuts.BACKGROUND_CLASS)
    assert mine.layer.selected_label == 0


def test_keys_clash_with_none_of_naparis_and_end_with_the_dock(result):
    taken = {str(key) for keys in get_settings().shortcuts.shortcuts.values() for key in keys}
    for kind in (Image, Labels, Points, Shapes, Viewer):
        taken |= {str(key) for key in kind.class_keymap}
    ours = {str(key) for key in result.viewer.keymap}
    assert {"Q", "W", "U", "Alt+A", "Alt+R"} <= ours
    assert not ours & taken
    mine = accept(result)
    undo = {str(coerce_keybinding(key)) for key in (shortcuts.UNDO, shortcuts.REDO)}
    assert {str(key) for key in mine.layer.keymap} == undo  # napari's, and clicks
    assert not predicted(result).keymap
    viewer = result.viewer
    result.close_down()
    assert not {str(key) for key in viewer.keymap} & ours


def test_choosing_a_row_brushes_with_that_class_whatever_its_number(result):
    scope(result, "chosen")
    result.classes_panel.table.choose([2])
    mine = accept(result)
    result.viewer.layers.selection.active = mine.layer
    result.classes_panel.selected.emit(1)
    assert mine.classes[mine.layer.selected_label].name == "pollen grain"
    result.classes_panel.add_words("crystal")
    result.classes_panel.table.choose([4])
    result.classes_panel._on_up()  # before the fibre, which keeps its number
    result.classes_panel.selected.emit(4)
    assert mine.classes[mine.layer.selected_label].name == "crystal"
    assert mine.layer.selected_label == 5


def test_colours_of_the_table_are_those_of_the_annotation(result):
    mine = accept(result)
    result.classes_panel.model.change(0, colour=(1, 2, 3))
    label = mine.number_of(result.classes_panel.value()[0])
    np.testing.assert_allclose(
        mine.layer.colormap.color_dict[label][:3], np.array([1, 2, 3]) / 255, atol=1e-3
    )
