"""The classes' panel, driven as a person drives it."""

from __future__ import annotations

import pytest
from qtpy.QtCore import QModelIndex, QPoint, Qt
from qtpy.QtGui import QColor
from qtpy.QtWidgets import QApplication, QColorDialog

from napari_cliper.io.class_list import read_classes, write_classes
from napari_cliper.labels.label_class import ClassRow
from napari_cliper.labels.palette import class_colours
from napari_cliper.plugin import ui_text
from napari_cliper.plugin.panels.classes_model import COLOUR_ROLE, HISTORY, SYNONYMS_ROLE, Column
from napari_cliper.segmentation import InvalidInputError

Key = Qt.Key
PALETTE = [tuple(colour) for colour in class_colours(6).tolist()]


@pytest.fixture
def told(panel):
    """What the panel has told, in order."""
    told = []
    panel.words_changed.connect(lambda: told.append("changed"))
    panel.appearance_changed.connect(lambda: told.append("appearance"))
    panel.selected.connect(lambda label: told.append(("selected", label)))
    panel.pending_changed.connect(lambda pending: told.append(("pending", pending)))
    return told


def names(panel):
    return [row.name for row in panel.value()]


def cell(panel, row, column, role=Qt.ItemDataRole.DisplayRole):
    return panel.model.index(row, column).data(role)


def place(panel, row, column, *, box=False):
    rect = panel.table.visualRect(panel.model.index(row, column))
    return QPoint(rect.left() + 10, rect.center().y()) if box else rect.center()


def click(qtbot, panel, row, column, *, box=False):
    at = place(panel, row, column, box=box)
    qtbot.mouseClick(panel.table.viewport(), Qt.MouseButton.LeftButton, pos=at)


def press(qtbot, button):
    qtbot.mouseClick(button, Qt.MouseButton.LeftButton)


def retype(qtbot, panel, row, column, text):
    """Double-click a cell, type over what is there, and press Enter."""
    at = place(panel, row, column)
    click(qtbot, panel, row, column)
    qtbot.mouseDClick(panel.table.viewport(), Qt.MouseButton.LeftButton, pos=at)
    editor = panel.table.indexWidget(panel.model.index(row, column))
    editor.selectAll()
    qtbot.keyClick(editor, Key.Key_Delete)
    qtbot.keyClicks(editor, text)
    qtbot.keyClick(editor, Key.Key_Return)
    QApplication.processEvents()  # Qt commits after the key


# ---------------------------------------------------------------------- words in


def test_typed_words_become_rows(qtbot, panel, told):
    qtbot.keyClicks(panel.field, "cat, dog=puppy|hound, sky")
    assert panel.pending() == "cat, dog=puppy|hound, sky"
    qtbot.keyClick(panel.field, Key.Key_Return)
    assert panel.value() == (
        ClassRow("cat", colour=PALETTE[0]),
        ClassRow("dog", ("puppy", "hound"), colour=PALETTE[1]),
        ClassRow("sky", colour=PALETTE[2]),
    )
    assert panel.field.text() == ""
    assert told == [("pending", True), "changed", ("pending", False)]
    assert cell(panel, 1, Column.NAME) == "dog"
    assert cell(panel, 1, Column.NAME, SYNONYMS_ROLE) == "= puppy, hound"


@pytest.mark.parametrize("pasted", ["cat\ndog=puppy\n\nsky\n", "cat,\r\ndog=puppy,\r\nsky"])
def test_pasted_lines(qtbot, panel, pasted):
    QApplication.clipboard().setText(pasted)
    panel.field.paste()
    assert panel.field.text() == "cat, dog=puppy, sky"
    press(qtbot, panel.add_button)
    assert names(panel) == ["cat", "dog", "sky"]
    panel.add_words("tree\n\nroad\n")
    assert names(panel)[3:] == ["tree", "road"]


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("cat", "'cat' is the name of two classes"),
        ("sky, moggy", "'moggy' is in two classes, 'cat' and 'moggy'"),
        ("sky,,sea", "no name"),
        ("sky, sky", "'sky'"),
        ("=a", "no name"),
        (" ", "no word"),
    ],
)
def test_wrong_words_are_refused_and_named(qtbot, panel, told, text, says):
    panel.add_words("cat=moggy")
    before = panel.value()
    panel.field.setText(text)
    told.clear()
    qtbot.keyClick(panel.field, Key.Key_Return)
    assert panel.value() == before
    assert says in panel.message.text()
    assert panel.message.isVisible()
    assert panel.field.text() == text  # nothing typed is lost
    assert told == []
    panel.field.setText("sea")
    qtbot.keyClick(panel.field, Key.Key_Return)
    assert not panel.message.isVisible()


def test_words_without_enter_are_taken_over_before_a_run(qtbot, panel):
    qtbot.keyClicks(panel.field, "cat, dog")
    assert panel.problem()
    assert panel.finish_editing()
    assert names(panel) == ["cat", "dog"]
    assert not panel.problem()
    assert panel.finish_editing()  # nothing to do
    panel.field.setText("cat")
    assert not panel.finish_editing()
    assert "cat" in panel.message.text()
    panel.field.clear()
    panel.table.setCurrentIndex(panel.model.index(1, Column.NAME))
    panel.table.edit(panel.model.index(1, Column.NAME))
    panel.table.indexWidget(panel.model.index(1, Column.NAME)).setText("hound")
    assert panel.finish_editing()
    assert names(panel) == ["cat", "hound"]


def test_problem_says_what_is_missing(panel):
    assert "no word" in panel.problem()
    panel.setValue([ClassRow("sky", background=True)])
    assert "background" in panel.problem()
    panel.add_words("cat")
    assert panel.problem() == ""


# ---------------------------------------------------------------------- cells


def test_words_are_edited_in_place(qtbot, panel, told):
    panel.add_words("cat, dog")
    told.clear()
    retype(qtbot, panel, 0, Column.NAME, " wild  cat ")
    retype(qtbot, panel, 0, Column.NAME, "wild cat = lynx|bobcat")
    assert panel.value()[0] == ClassRow("wild cat", ("lynx", "bobcat"), colour=PALETTE[0])
    assert told.count("changed") == 2
    assert "appearance" not in told
    assert cell(panel, 0, Column.NAME, Qt.ItemDataRole.EditRole) == "wild cat=lynx|bobcat"
    retype(qtbot, panel, 0, Column.NAME, "wild cat")
    assert panel.value()[0].synonyms == ()
    panel.model.change(1, background=True)
    assert cell(panel, 1, Column.NAME) == "background: dog"
    assert cell(panel, 1, Column.NAME, Qt.ItemDataRole.FontRole).italic()
    retype(qtbot, panel, 1, Column.NAME, "sky=cloud")
    assert panel.value()[1] == ClassRow("sky", ("cloud",), background=True, colour=PALETTE[1])


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "needs a name"),
        ("dog", "'dog' is the name of two classes"),
        ("bird, bee", "'bird, bee' contains a comma"),
        ("cat=a||b", "'cat' has an empty synonym"),
        ("cat=Dog", "'dog' is in two classes"),
        ("cat=a|A", "'A' is repeated in the class 'cat'"),
    ],
)
def test_wrong_edits_are_refused_and_named(qtbot, panel, told, text, says):
    panel.add_words("cat, dog")
    before = panel.value()
    told.clear()
    retype(qtbot, panel, 0, Column.NAME, text)
    assert panel.value() == before
    assert says in panel.message.text().replace("\N{ZERO WIDTH SPACE}", "")
    assert "changed" not in told
    retype(qtbot, panel, 0, Column.NAME, "cow")
    assert panel.message.text() == ""
    assert names(panel) == ["cow", "dog"]


def test_boxes(qtbot, panel, told):
    panel.add_words("cat, sky, dog")
    told.clear()
    click(qtbot, panel, 1, Column.VISIBLE, box=True)
    assert not panel.value()[1].visible
    assert told == ["appearance"]
    told.clear()
    panel.table.choose([1])
    told.clear()
    assert not panel.menu.background.isChecked()
    panel.menu.background.trigger()
    assert panel.value()[1].background
    assert told == ["changed"]
    assert panel.menu.background.isChecked()
    assert cell(panel, 1, COLOUR_ROLE) is None
    assert cell(panel, 1, Column.VISIBLE, Qt.ItemDataRole.CheckStateRole) is None
    assert "no label" in cell(panel, 1, Column.COLOUR, Qt.ItemDataRole.ToolTipRole)
    panel.menu.background.trigger()
    assert panel.value()[1] == ClassRow("sky", colour=PALETTE[1], visible=False)
    panel.table.setFocus()
    panel.table.setCurrentIndex(panel.model.index(1, Column.VISIBLE))
    qtbot.keyClick(panel.table, Key.Key_Space)
    assert panel.value()[1].visible


@pytest.mark.parametrize("how", ["double-click", Key.Key_Return, Key.Key_Enter, Key.Key_Space])
def test_colours_are_chosen(qtbot, panel, told, monkeypatch, how):
    requested = []

    def dialog(colour, *_):
        requested.append(colour.getRgb()[:3])
        return QColor(1, 2, 3)

    monkeypatch.setattr(QColorDialog, "getColor", dialog)
    panel.add_words("cat, dog, sky")
    panel.model.change(2, background=True)
    told.clear()

    def ask(row):
        if how == "double-click":
            at = place(panel, row, Column.COLOUR)
            click(qtbot, panel, row, Column.COLOUR)
            qtbot.mouseDClick(panel.table.viewport(), Qt.MouseButton.LeftButton, pos=at)
        else:
            panel.table.setCurrentIndex(panel.model.index(row, Column.COLOUR))
            qtbot.keyClick(panel.table, how)

    ask(1)
    assert requested == [PALETTE[1]]
    assert panel.value()[1].colour == (1, 2, 3)
    assert [one for one in told if "selected" not in one] == ["appearance"]
    ask(2)  # background has no colour
    assert len(requested) == 1
    monkeypatch.setattr(QColorDialog, "getColor", lambda *_: QColor())  # cancelled
    ask(0)
    assert panel.value()[0].colour == PALETTE[0]


def test_swatches_and_hatching_are_painted(panel):
    panel.add_words("cat, sky")
    panel.model.change(1, background=True)
    panel.table.clearSelection()
    QApplication.processEvents()
    picture = panel.table.viewport().grab().toImage()

    def colours(row):
        rect = panel.table.visualRect(panel.model.index(row, Column.COLOUR)).adjusted(6, 6, -6, -6)
        return {
            picture.pixelColor(x, y).getRgb()[:3]
            for x in range(rect.left(), rect.right())
            for y in range(rect.top(), rect.bottom())
        }

    assert colours(0) == {PALETTE[0]}
    assert len(colours(1)) > 1
    assert PALETTE[1] not in colours(1)


# ---------------------------------------------------------------------- order and history


def test_remove_and_move_keep_colours(qtbot, panel, told):
    panel.add_words("a, b, c, d")
    click(qtbot, panel, 2, Column.NAME)
    told.clear()
    panel.menu.up.trigger()
    assert names(panel) == ["a", "c", "b", "d"]
    assert panel.table.chosen_rows() == [1]
    assert told == ["changed"]  # nobody chose a row, no class looks otherwise
    qtbot.keyClick(panel.table, Key.Key_Up, Qt.KeyboardModifier.AltModifier)
    assert names(panel) == ["c", "a", "b", "d"]
    assert not panel.menu.up.isEnabled()
    assert panel.menu.up.toolTip() == ui_text.MOVE_UP_WHY_NOT
    panel.menu.down.trigger()
    panel.menu.remove.trigger()
    assert names(panel) == ["a", "b", "d"]
    assert [row.colour for row in panel.value()] == [PALETTE[0], PALETTE[1], PALETTE[3]]
    assert panel.table.chosen_rows() == [1]
    panel.add_words("e")
    assert panel.value()[3].colour == PALETTE[2]
    panel.table.choose([0, 1, 2, 3])
    qtbot.keyClick(panel.table, Key.Key_Delete)
    assert names(panel) == []
    assert panel.menu.remove.toolTip() == ui_text.NO_ROW_SELECTED
    assert "no classes" in panel.menu.save.toolTip()


def test_several_rows_move_together(panel):
    panel.add_words("a, b, c, d")
    panel.table.choose([2, 3])
    for expected in (["a", "c", "d", "b"], ["c", "d", "a", "b"], ["c", "d", "a", "b"]):
        panel._move(-1)
        assert names(panel) == expected
    panel.table.choose([0, 2])
    panel._move(1)
    assert names(panel) == ["d", "c", "b", "a"]
    assert panel.table.chosen_rows() == [1, 3]


def test_every_change_is_undone_and_redone(qtbot, panel):
    steps = [
        lambda: panel.add_words("cat, dog=puppy, sky"),
        lambda: panel.model.change(0, name="tiger"),
        lambda: panel.model.change(1, synonyms=()),
        lambda: panel.model.change(2, background=True),
        lambda: panel.model.change(0, colour=(9, 9, 9)),
        lambda: panel.model.change(0, visible=False),
        lambda: (panel.table.choose([1]), panel._move(1)),
        lambda: (panel.table.choose([0]), panel._on_remove()),
        lambda: panel.setValue([ClassRow("new")]),
    ]
    states = [panel.value()]
    for step in steps:
        step()
        assert panel.value() != states[-1]
        states.append(panel.value())
    panel.table.setFocus()
    for state in states[-2::-1]:
        qtbot.keyClick(panel.table, Key.Key_Z, Qt.KeyboardModifier.ControlModifier)
        assert panel.value() == state
    assert not panel.menu.undo.isEnabled()
    both = Qt.KeyboardModifier.ControlModifier | Qt.KeyboardModifier.ShiftModifier
    for state in states[1:]:
        qtbot.keyClick(panel.table, Key.Key_Z, both)
        assert panel.value() == state
    assert not panel.menu.redo.isEnabled()
    panel.menu.undo.trigger()
    panel.add_words("fresh")
    assert not panel.menu.redo.isEnabled()


def test_history_is_bounded_and_can_be_forgotten(panel):
    panel.add_words("a")
    for step in range(HISTORY + 10):
        panel.model.change(0, name=f"b{step}")
    for _ in range(HISTORY + 20):
        panel.undo()
    assert names(panel) == ["b9"]
    panel.setValue([ClassRow("c")], undoable=False)
    panel.undo()
    panel.redo()
    assert names(panel) == ["c"]


def test_edits_that_change_nothing_leave_no_step(panel, told):
    panel.add_words("cat")
    panel.undo()
    panel.redo()
    told.clear()
    panel.model.change(0, name=" cat ")
    panel.setValue(panel.value())
    assert told == []
    panel.undo()
    assert panel.value() == ()


def test_set_classes_refuses_repeated_words(panel):
    panel.add_words("cat")
    with pytest.raises(InvalidInputError, match="'Dog'"):
        panel.setValue([ClassRow("dog"), ClassRow("Dog")])
    assert names(panel) == ["cat"]


# ---------------------------------------------------------------------- choosing, scores


def test_choosing_a_row_tells_its_label(qtbot, panel, told):
    panel.add_words("cat, sky, dog")
    panel.model.change(1, background=True)
    told.clear()
    click(qtbot, panel, 0, Column.NAME)
    click(qtbot, panel, 2, Column.NAME)
    click(qtbot, panel, 2, Column.SCORE)  # again: the brush may have left it since
    qtbot.keyClick(panel.table, Key.Key_Up)
    assert told == [("selected", label) for label in (1, 2, 2, 0)]


def test_scores(panel):
    panel.add_words("cat, dog, sky, sea")
    panel.set_scores({"cat": 0.916, "dog": 0.0, "sky": float("nan")})
    shown = [cell(panel, row, Column.SCORE) for row in range(4)]
    assert shown == ["0.92", "0.00", "–", "–"]  # noqa: RUF001
    panel.set_threshold(0.9, 1.8)
    tips = [cell(panel, row, Column.SCORE, Qt.ItemDataRole.ToolTipRole) for row in range(2)]
    assert "0.92: above the class threshold of 0.90" in tips[0]
    assert "0.00: not above the class threshold of 0.90" in tips[1]
    assert cell(panel, 0, Column.SCORE, Qt.ItemDataRole.AccessibleTextRole) == tips[0]
    panel.model.change(0, synonyms=("moggy",))
    assert cell(panel, 0, Column.SCORE) is None
    assert cell(panel, 1, Column.SCORE) == "0.00"
    panel.undo()
    assert cell(panel, 0, Column.SCORE) == "0.92"
    panel.model.change(0, colour=(0, 0, 0))
    panel.table.choose([0])
    panel._move(1)
    assert [cell(panel, row, Column.SCORE) for row in (0, 1)] == ["0.00", "0.92"]
    panel.add_words("new")
    assert cell(panel, 4, Column.SCORE) is None
    panel.set_scores(None)
    assert [cell(panel, row, Column.SCORE) for row in range(5)] == [None] * 5


# ---------------------------------------------------------------------- files


def test_load_and_save(panel, told, tmp_path):
    rows = (ClassRow("cat", ("moggy",), colour=(1, 2, 3)), ClassRow("sky", background=True))
    write_classes(tmp_path / "in.yaml", rows)
    panel.add_words("old")
    told.clear()
    assert panel.load_from(tmp_path / "in.yaml")
    assert panel.value() == rows
    assert "changed" in told
    assert panel.save_to(tmp_path / "out.json")
    assert read_classes(tmp_path / "out.json") == rows
    panel.undo()
    assert names(panel) == ["old"]


@pytest.mark.parametrize(
    ("text", "says"),
    [("- cat\n- Cat\n", "'Cat'"), ("classes: []", "no classes"), ("- 1", "class 1"), (None, "no")],
)
def test_wrong_files_leave_the_table(panel, tmp_path, text, says):
    panel.add_words("old")
    if text is not None:
        (tmp_path / "in.yaml").write_text(text)
    assert not panel.load_from(tmp_path / "in.yaml")
    assert says in panel.message.text()
    assert "in.yaml" in panel.message.text()
    assert names(panel) == ["old"]


def test_files_that_cannot_be_written(panel, tmp_path):
    panel.setValue([ClassRow("a"), ClassRow("sky", background=True)])
    assert not panel.save_to(tmp_path / "out.txt")
    assert "'sky' is background" in panel.message.text()
    assert not list(tmp_path.glob("[!.]*"))
    assert panel.save_to(tmp_path / "out.yaml")
    assert not panel.message.isVisible()


# ---------------------------------------------------------------------- fit for use


def test_text_of_a_person_is_never_read_as_markup(panel):
    panel.add_words("<b>cat</b>")
    assert "&lt;b&gt;" in cell(panel, 0, Column.NAME, Qt.ItemDataRole.ToolTipRole)
    assert panel.message.textFormat() == Qt.TextFormat.PlainText


def test_tab_leaves_the_table(qtbot, panel):
    panel.add_words("cat, dog")
    panel.field.setFocus()
    order = []
    for _ in range(3):
        qtbot.keyClick(panel.focusWidget(), Key.Key_Tab)
        order.append(panel.focusWidget())
    assert order == [panel.menu_button, panel.table, panel.field]


def test_the_model_keeps_qts_rules(panel, qtmodeltester):
    panel.add_words("cat, dog=puppy, sky")
    panel.model.change(2, background=True)
    qtmodeltester.check(panel.model)
    assert panel.model.rowCount(panel.model.index(0, 0)) == 0
    assert panel.model.data(QModelIndex()) is None
