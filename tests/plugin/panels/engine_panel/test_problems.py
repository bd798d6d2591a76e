"""Entries of the engine panel that cannot work are named."""

from __future__ import annotations

import pytest
from engine_panel_actions import choose, type_into
from qtpy.QtCore import Qt
from qtpy.QtWidgets import QFileDialog

from napari_cliper.plugin import ui_text
from napari_cliper.segmentation import InvalidInputError, SegmentationConfig, listed_models


def test_problems_are_the_engines_words(panel, qtbot):
    form = panel.form
    choose(qtbot, form.model.box, ui_text.OTHER_MODEL)
    assert panel.problem().startswith("No model is named.")
    assert panel.summary_label.text().startswith("CLIPer · no model")
    assert panel.problem_label.isVisible()
    type_into(qtbot, form.model.edit, "ViT-B/61")
    with pytest.raises(InvalidInputError) as error:
        SegmentationConfig(model="ViT-B/61")
    assert panel.problem() == str(error.value)
    assert panel.problem_label.text() == str(error.value)
    with pytest.raises(InvalidInputError):
        panel.value()
    type_into(qtbot, form.model.edit, "ViT-L/14")
    assert panel.problem() == ""
    assert panel.value().model == "ViT-L/14"


@pytest.mark.parametrize(
    ("field", "entry", "text", "words"),
    [
        ("background", "custom", "soil,,air", "empty background word"),
        ("templates", "custom", "a photo", "no place for the word"),
        ("windows", "custom", "0", ui_text.NO_WINDOW_SIZE),
        ("windows", "custom", "64", "gaps"),
        ("diffusion", "a folder", "", "No folder is named"),
        ("diffusion", "a folder", "sd21", "Unknown diffusion model"),
    ],
)
def test_what_is_typed_wrong_is_named(panel, qtbot, field, entry, text, words):
    composite = getattr(panel.form, field)
    choose(qtbot, composite.box, entry)
    type_into(qtbot, composite.edit, text)
    assert words in panel.problem()


def test_a_grey_row_is_in_nobodys_way(panel, qtbot):
    choose(qtbot, panel.form.diffusion.box, "a folder")
    for text in ("", "no such name"):
        type_into(qtbot, panel.form.diffusion.edit, text)
        assert panel.problem()
        choose(qtbot, panel.form.refiner, "PAMR")
        assert panel.problem() == ""
        choose(qtbot, panel.form.refiner, "Stable Diffusion (m")


def test_the_models_of_open_clip_are_searched_by_typing(panel, qtbot):
    panel.activateWindow()
    qtbot.waitUntil(panel.isActiveWindow)
    panel.set_models(listed_models())
    field = panel.form.model
    choose(qtbot, field.box, ui_text.OTHER_MODEL)
    popup = field.edit.completer().popup()
    qtbot.waitUntil(popup.isVisible)
    assert popup.model().rowCount() == len(listed_models()) > 50  # all of them, to look through
    popup.hide()
    type_into(qtbot, field.edit, "B-16/LAION2B")
    assert popup.isVisible()
    shown = [popup.model().index(row, 0).data() for row in range(popup.model().rowCount())]
    assert shown == [name for name in listed_models() if "b-16/laion2b" in name.lower()]
    wanted = "open_clip:ViT-B-16/laion2b_s34b_b88k"
    for _ in range(shown.index(wanted) + 1):
        qtbot.keyClick(popup, Qt.Key.Key_Down)
    qtbot.keyClick(popup, Qt.Key.Key_Return)
    assert panel.value().model == wanted


def test_browse_puts_the_file_there(panel, qtbot, monkeypatch):
    answer = ["/somewhere/own clip.safetensors"]
    monkeypatch.setattr(QFileDialog, "getOpenFileName", lambda *_: (answer[0], ""))
    choose(qtbot, panel.form.model.box, ui_text.OTHER_MODEL)
    assert not panel.form.diffusion.browse.isVisible()
    qtbot.mouseClick(panel.form.model.browse, Qt.MouseButton.LeftButton)
    assert panel.value().model == "/somewhere/own clip.safetensors"
    assert panel.summary() == "CLIPer · own clip.safetensors · Stable Diffusion"
    answer[0] = ""  # dismissed
    qtbot.mouseClick(panel.form.model.browse, Qt.MouseButton.LeftButton)
    assert panel.value().model == "/somewhere/own clip.safetensors"
