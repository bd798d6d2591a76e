"""A class's score as a bar, with the class threshold as a line in it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from qtpy.QtCore import QModelIndex, QObject, QRectF, QSize, Qt
from qtpy.QtGui import QColor, QPainter
from qtpy.QtWidgets import QStyledItemDelegate, QStyleOptionViewItem

from ..qt.theme_colours import Tone
from ..ui_text import classes as ui_text

SCORE_ROLE = int(Qt.ItemDataRole.UserRole) + 2
"""The item role of the `Score` of a cell, or None."""

WIDTH, HEIGHT = 76, 8  # pixels of the bar


@dataclass(frozen=True)
class Score:
    """The score of a class beside the class threshold.

    Parameters
    ----------
    value, threshold : float
    top : float
        The end of the bar: where the slider of the class threshold ends.
    """

    value: float
    threshold: float
    top: float

    @property
    def present(self) -> bool:
        """Whether the class counts as present in the image."""
        return self.value > self.threshold

    @property
    def tip(self) -> str:
        """The score and the threshold in words."""
        return ui_text.score_tip(self.value, self.threshold, present=self.present)


class ScoreBar(QStyledItemDelegate):
    """Paints a `Score`: filled up to the value, with a line at the threshold."""

    def __init__(self, colours: Mapping[Tone, str], parent: QObject | None = None) -> None:
        super().__init__(parent)
        self.colours = colours

    def sizeHint(self, option: QStyleOptionViewItem, index: QModelIndex) -> QSize:  # noqa: N802
        """As wide as the bar and its margins."""
        return QSize(WIDTH + 8, super().sizeHint(option, index).height())

    def paint(
        self, painter: QPainter | None, option: QStyleOptionViewItem, index: QModelIndex
    ) -> None:
        """Paint the cell without its text, then the bar."""
        super().paint(painter, option, index)
        score = index.data(SCORE_ROLE)
        if painter is None or score is None:
            return
        area = QRectF(option.rect).adjusted(4, 0, -4, 0)
        area.setTop(area.center().y() - HEIGHT / 2)
        area.setHeight(HEIGHT)
        track = QColor(self.colours["muted"])
        painter.save()
        painter.setPen(Qt.PenStyle.NoPen)
        faint = QColor(track)
        faint.setAlpha(60)
        painter.fillRect(area, faint)
        filled = QRectF(area)
        filled.setWidth(area.width() * _share(score.value, score.top))
        painter.fillRect(filled, QColor(self.colours["good"]) if score.present else track)
        line = QRectF(area.adjusted(0, -4, 0, 4))
        line.moveLeft(area.left() + (area.width() - 2) * _share(score.threshold, score.top))
        line.setWidth(2)
        painter.fillRect(line, option.palette.text())
        painter.restore()

    def displayText(self, _value: object, _locale: object) -> str:  # noqa: N802
        """Return no text: the value is in the tooltip."""
        return ""


def _share(value: float, top: float) -> float:
    return min(max(value / top, 0.0), 1.0) if top > 0 else 0.0
