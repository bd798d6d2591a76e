"""A combo box that fits a narrow dock, however long its entries are."""

from __future__ import annotations

from qtpy.QtCore import Qt
from qtpy.QtGui import QPaintEvent
from qtpy.QtWidgets import (
    QComboBox,
    QSizePolicy,
    QStyle,
    QStyleOptionComboBox,
    QStylePainter,
)

from .. import ui_text


class ElidingComboBox(QComboBox):
    """A combo box that elides long texts; the tooltips show them in full.

    Parameters
    ----------
    tip : str
        What the box is for, in one sentence.
    """

    elide = Qt.TextElideMode.ElideMiddle
    """Which part of a long text is left out."""

    def __init__(self, tip: str) -> None:
        super().__init__()
        self._tip = tip
        self.setToolTip(tip)
        self.setSizeAdjustPolicy(QComboBox.SizeAdjustPolicy.AdjustToMinimumContentsLengthWithIcon)
        self.setMinimumContentsLength(8)
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Fixed)
        self.view().setTextElideMode(Qt.TextElideMode.ElideMiddle)

    def offer(self, text: str, tip: str = "", *, enabled: bool = True) -> None:
        """Add an entry; its tooltip is the text by default."""
        self.addItem(text)
        item = self.model().item(self.count() - 1)
        item.setToolTip(tip or text)
        item.setEnabled(enabled)

    def explain(self, why_grey: str) -> None:
        """Disable the box with a reason, or enable it and show the choice as tooltip."""
        self.setEnabled(not why_grey)
        self.setToolTip(why_grey or ui_text.choice_now(tip=self._tip, text=self.currentText()))

    def paintEvent(self, _event: QPaintEvent) -> None:  # noqa: N802 - Qt's name
        """Draw the box with its text elided."""
        painter = QStylePainter(self)
        option = QStyleOptionComboBox()
        self.initStyleOption(option)
        field = self.style().subControlRect(
            QStyle.ComplexControl.CC_ComboBox,
            option,
            QStyle.SubControl.SC_ComboBoxEditField,
            self,
        )
        option.currentText = self.fontMetrics().elidedText(
            self.currentText(), self.elide, field.width()
        )
        painter.drawComplexControl(QStyle.ComplexControl.CC_ComboBox, option)
        painter.drawControl(QStyle.ControlElement.CE_ComboBoxLabel, option)
