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
    QWidget,
)

from .. import ui_text


class ElidingComboBox(QComboBox):
    """Shows the ends of what is too long; the whole stands in the tooltips.

    Parameters
    ----------
    tip : str
        What is chosen here, in a sentence.
    """

    elide = Qt.TextElideMode.ElideMiddle
    """What is left out of a long text."""

    def __init__(self, tip: str, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._tip = tip
        self.setToolTip(tip)
        self.setSizeAdjustPolicy(QComboBox.SizeAdjustPolicy.AdjustToMinimumContentsLengthWithIcon)
        self.setMinimumContentsLength(8)
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Fixed)
        self.view().setTextElideMode(Qt.TextElideMode.ElideMiddle)

    def offer(self, text: str, tip: str = "", *, enabled: bool = True) -> None:
        """Add an entry with its tooltip, the text itself by default."""
        self.addItem(text)
        item = self.model().item(self.count() - 1)
        item.setToolTip(tip or text)
        item.setEnabled(enabled)

    def explain(self, why_grey: str) -> None:
        """Make the box grey and say why; or, with an empty reason, say what is chosen."""
        self.setEnabled(not why_grey)
        self.setToolTip(why_grey or ui_text.choice_now(tip=self._tip, text=self.currentText()))

    def paintEvent(self, _event: QPaintEvent) -> None:  # noqa: N802 - Qt's name
        """Draw as always, with a part of a long text left out."""
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
