"""Words of the dock, and the layers that follow their rows."""

from __future__ import annotations

import pytest
from dock_views import labels_of, message

pytestmark = pytest.mark.one_binding


def test_changed_words_ask_the_kept_embedding(dock, run, qtbot):
    run(dock)
    layer = labels_of(dock)
    dock.classes_panel.add_words("crystal")
    qtbot.waitUntil(lambda: len(dock.shown.rows) == 5, timeout=20_000)
    assert not dock.shown.outcome.encoded
    assert labels_of(dock) is layer
    assert list(layer.features["class"])[-1] == "crystal"


def test_words_typed_but_not_entered_are_run(dock, run):
    dock.classes_panel.field.setText("yeast")
    run(dock)
    assert [row.name for row in dock.shown.rows][-1] == "yeast"


def test_why_a_run_was_refused_goes_with_its_cause(dock, qtbot):
    foot, classes = dock.status_panel.message, dock.classes_panel
    classes.setValue([])
    dock.run()
    assert foot.text().startswith("There are no words to look for.")
    classes.field.setText("nucleus, nucleus")
    assert foot.text() == ""  # there are words now
    dock.run()
    assert dock.job is None
    assert "is the name of two classes" in classes.message.text()
    classes.field.setText("nucleus, ")
    assert classes.message.isHidden()  # it is being corrected
    dock.run()
    qtbot.waitUntil(lambda: dock.job is None, timeout=60_000)
    assert [row.name for row in classes.value()] == ["nucleus"]


def test_words_changed_during_a_run_belong_to_the_next(dock, qtbot):
    dock.run()
    dock.classes_panel.add_words("yeast")
    qtbot.waitUntil(lambda: dock.job is None, timeout=60_000)
    assert len(dock.shown.rows) == 4


def test_choosing_a_class_sets_the_brush(dock, run):
    run(dock)
    dock.classes_panel.selected.emit(3)
    assert labels_of(dock).selected_label == 3


def test_hiding_a_class_hides_its_colour(dock, run):
    run(dock)
    rows = list(dock.classes_panel.value())
    dock.classes_panel.model.change(0, visible=False)
    assert labels_of(dock).colormap.color_dict[1][3] == 0
    assert labels_of(dock).colormap.color_dict[2][3] == 1
    assert len(rows) == 4


def test_words_the_demo_model_does_not_know_are_warned_of(dock, run):
    dock.classes_panel.add_words("giraffe")
    run(dock)
    assert "giraffe" in message(dock)
