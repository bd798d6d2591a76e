"""Offers to restore annotations: removed ones, and those of earlier sessions."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from qtpy.QtCore import Signal
from qtpy.QtWidgets import QPushButton, QWidget

from .. import ui_text
from ..qt.notice_line import notice_line


@dataclass(frozen=True, eq=False)
class Offer:
    """An annotation, or a session, that can be restored.

    Parameters
    ----------
    what : object
        The payload of the signals.
    title : str
        In one short line.
    text : str
        The same as a sentence, for the tooltip.
    accept, discard : str
        Texts of the buttons.
    """

    what: Any
    title: str
    text: str
    accept: str
    discard: str = ui_text.DISCARD


class OffersPanel(QWidget):
    """The first offer in one line with two buttons; hidden if there is none.

    `accepted` and `discarded` carry `what` of the offer.
    """

    accepted = Signal(object)
    discarded = Signal(object)

    def __init__(self) -> None:
        super().__init__()
        self.offers: tuple[Offer, ...] = ()
        self.accept_button, self.discard_button = QPushButton(), QPushButton()
        self.text = notice_line(self, (self.accept_button, self.discard_button))
        self.accept_button.clicked.connect(self._on_accept)
        self.discard_button.clicked.connect(self._on_discard)
        self.show_offers(())

    def show_offers(self, offers: Sequence[Offer]) -> None:
        """Replace the offers."""
        self.offers = tuple(offers)
        self.setVisible(bool(offers))
        if not offers:
            return
        first = self.offers[0]
        self.text.setText(ui_text.one_of_offers(first.title, of=len(self.offers)))
        self.text.setToolTip(first.text)
        for button, text in (
            (self.accept_button, first.accept),
            (self.discard_button, first.discard),
        ):
            button.setText(text)
            button.setToolTip(first.text)
            button.setAccessibleDescription(first.text)

    def _on_accept(self) -> None:
        self.accepted.emit(self.offers[0].what)

    def _on_discard(self) -> None:
        self.discarded.emit(self.offers[0].what)
