"""Offers to restore annotations: removed ones, and those of earlier sessions."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from qtpy.QtCore import Signal
from qtpy.QtWidgets import QFrame, QGridLayout, QPushButton, QVBoxLayout, QWidget

from .. import ui_text
from ..qt.wrapping_label import wrapping

SHOWN = 1
"""The maximum number of visible offers."""


@dataclass(frozen=True, eq=False)
class Offer:
    """An annotation, or a session, that can be restored.

    Parameters
    ----------
    what : object
        The payload of the signals.
    text : str
    accept, discard : str
        Texts of the buttons; no button for an empty `discard`.
    """

    what: Any
    text: str
    accept: str
    discard: str = ui_text.DISCARD


class OffersPanel(QWidget):
    """A row with two buttons for each offer; hidden if there is none.

    `accepted` and `discarded` carry `what` of the offer.
    """

    accepted = Signal(object)
    discarded = Signal(object)

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.offers: tuple[Offer, ...] = ()
        self.rows: list[QFrame] = []
        self._column = QVBoxLayout(self)
        self._column.setContentsMargins(0, 0, 0, 0)
        self.more = wrapping()
        self._column.addWidget(self.more)
        self.show_offers(())

    def show_offers(self, offers: Sequence[Offer]) -> None:
        """Replace the offers."""
        self.offers = tuple(offers)
        for row in self.rows:
            self._column.removeWidget(row)
            row.hide()
            row.deleteLater()
        self.rows = [self._row(offer) for offer in self.offers[:SHOWN]]
        for index, row in enumerate(self.rows):
            self._column.insertWidget(index, row)
        left = len(self.offers) - len(self.rows)
        self.more.setText(ui_text.more_offers(left) if left > 0 else "")
        self.more.setVisible(left > 0)
        self.setVisible(bool(self.offers))

    def _row(self, offer: Offer) -> QFrame:
        row = QFrame()
        row.setFrameShape(QFrame.Shape.StyledPanel)
        grid = QGridLayout(row)
        text = wrapping(offer.text)
        grid.addWidget(text, 0, 0, 1, 2)
        accept = QPushButton(offer.accept)
        accept.setAccessibleDescription(offer.text)
        accept.clicked.connect(lambda: self.accepted.emit(offer.what))
        grid.addWidget(accept, 1, 0)
        if offer.discard:
            discard = QPushButton(offer.discard)
            discard.setAccessibleDescription(offer.text)
            discard.clicked.connect(lambda: self.discarded.emit(offer.what))
            grid.addWidget(discard, 1, 1)
        return row
