"""Folds of which one is open."""

from __future__ import annotations

from qtpy.QtCore import Qt
from qtpy.QtWidgets import QApplication, QCheckBox, QLabel

from napari_cliper.plugin.qt.accordion import Accordion


def test_one_fold_is_open_at_a_time_and_tab_passes_over_the_others(qtbot):
    accordion = Accordion()
    qtbot.addWidget(accordion)
    boxes = [QCheckBox(f"box {number}") for number in range(3)]
    for number, box in enumerate(boxes):
        accordion.add(f"&{number} part", box)
    accordion.resize(300, 200)
    accordion.show()
    accordion.activateWindow()
    qtbot.waitUntil(accordion.isActiveWindow)
    heights = set()
    for chosen, fold in enumerate(accordion.folds):
        qtbot.mouseClick(fold.header, Qt.MouseButton.LeftButton)
        assert [box.isVisible() for box in boxes] == [number == chosen for number in range(3)]
        QApplication.processEvents()  # the layouts follow
        heights.add(accordion.sizeHint().height())
        fold.header.setFocus()
        qtbot.keyClick(fold.header, Qt.Key.Key_Tab)
        assert QApplication.focusWidget() is boxes[chosen]
        qtbot.keyClick(boxes[chosen], Qt.Key.Key_Tab)
        assert QApplication.focusWidget() is accordion.folds[(chosen + 1) % 3].header
    assert len(heights) == 1
    qtbot.keyClick(accordion.folds[2].header, Qt.Key.Key_Space)
    assert not any(box.isVisible() for box in boxes)
    assert accordion.folds[2].header.accessibleName() == "2 part"


def test_a_title_may_have_an_ampersand(qtbot):
    accordion = Accordion()
    qtbot.addWidget(accordion)
    fold = accordion.add("part", QLabel())
    fold.set_title("other &part")
    assert fold.header.text().endswith(" other &part")
