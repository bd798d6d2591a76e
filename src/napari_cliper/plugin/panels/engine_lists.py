"""Two fields of the engine form: sliding windows and background words."""

from __future__ import annotations

from typing import Any

from qtpy.QtWidgets import QLineEdit
from superqt.utils import signals_blocked

from ...segmentation import BACKGROUND_WORDS, InvalidInputError, parse_words
from .. import ui_text
from .engine_fields import OWN, PUBLISHED, BoxAndLine, NumberEdit


class WindowsField(BoxAndLine):
    """Sliding windows: as published, none, or of a size."""

    def __init__(self, tip: str) -> None:
        self.size = NumberEdit(ui_text.WINDOW_SIDE_TIP, zero=0)
        super().__init__(tip, self.size)
        self.box.add(PUBLISHED, ui_text.AS_PUBLISHED)
        self.box.add(0, ui_text.WINDOWS_OFF, ui_text.WINDOWS_OFF_TIP)
        self.box.add(OWN, ui_text.WINDOWS_OWN, ui_text.WINDOWS_OWN_TIP)
        self.size.setPlaceholderText(ui_text.WINDOW_SIDE_PLACEHOLDER)
        self._predicted = 224
        self.size.setVisible(False)
        self.box.currentIndexChanged.connect(self._on_index)
        self.size.textChanged.connect(self.changed)

    def value(self) -> Any:
        """None for as published, 0 for none, or the side.

        Raises
        ------
        InvalidInputError
            If windows are chosen but no side is typed.
        """
        chosen = self.box.value()
        if chosen is not OWN:
            return chosen
        size = self.size.value()
        if not size:
            raise InvalidInputError(ui_text.NO_WINDOW_SIZE)
        return size

    def set_value(self, value: Any) -> None:
        """Show the value of a configuration."""
        own = value is not PUBLISHED and value != 0
        self.box.choose(OWN if own else value)
        if own:
            self.size.set_value(value)
        self.size.setVisible(own)

    def show_published(self, window: int, shorter_side: int) -> None:
        """Show what "as published" means, and set the first custom size."""
        self.box.relabel(
            PUBLISHED,
            ui_text.as_published(ui_text.pixels(window) if window else ui_text.WINDOWS_OFF),
        )
        self._predicted = window or shorter_side

    def shown(self, published: int) -> int:
        """Return the side of the windows as far as it is typed; 0 for none."""
        chosen = self.box.value()
        if chosen is OWN:
            return int(self.size.value() or 0)
        return published if chosen is PUBLISHED else 0

    def _on_index(self) -> None:
        own = self.box.value() is OWN
        if own and not self.size.value():
            with signals_blocked(self.size):
                self.size.set_value(self._predicted)
        self.size.setVisible(own)
        self.changed.emit()


class BackgroundField(BoxAndLine):
    """Background words: as published, one of the lists, or custom words separated by commas."""

    def __init__(self, tip: str) -> None:
        super().__init__(tip, QLineEdit())
        self._given: tuple[str, tuple[str, ...]] | None = None
        self._published: tuple[str, ...] = ()
        self.box.add(PUBLISHED, ui_text.AS_PUBLISHED)
        for name, words in BACKGROUND_WORDS.items():
            self.box.add(name, name, self._list_tip(words))
        self.box.add(OWN, ui_text.BACKGROUND_OWN, ui_text.BACKGROUND_OWN_TIP)
        self.box.currentIndexChanged.connect(self._on_index)
        self.edit.textEdited.connect(self._on_edited)
        self.edit.editingFinished.connect(self._on_edited_to_the_end)

    @staticmethod
    def _list_tip(words: tuple[str, ...]) -> str:
        return ", ".join(words) or ui_text.NO_BACKGROUND_WORDS

    def value(self) -> tuple[str, ...] | None:
        """The words, or None for the default.

        Raises
        ------
        InvalidInputError
            If there is no word between two commas.
        """
        chosen = self.box.value()
        if chosen is PUBLISHED:
            return None
        if chosen is not OWN:
            return BACKGROUND_WORDS[chosen]
        text = self.edit.text()
        if self._given is not None and text == self._given[0]:
            return self._given[1]
        return parse_words(text.rstrip(" ,"))

    def set_value(self, value: tuple[str, ...] | None) -> None:
        """Select the list of a configuration, or show its words in the edit line."""
        lists = {words: name for name, words in BACKGROUND_WORDS.items()}
        with signals_blocked(self.box):
            self.box.choose(PUBLISHED if value is None else lists.get(value, OWN))
        if self.box.value() is OWN and value is not None:
            self.edit.setText(", ".join(value))
            self._given = (self.edit.text(), value)
        self._show()

    def show_published(self, words: tuple[str, ...], *, demo: bool) -> None:
        """Show what "as published" means, and enable or disable the list of the demo model."""
        self._published = words
        name = next((name for name, same in BACKGROUND_WORDS.items() if same == words), "")
        self.box.relabel(PUBLISHED, ui_text.as_published(name) if name else ui_text.AS_PUBLISHED)
        why = "" if demo else ui_text.DEMO_BACKGROUND_WHY_NOT
        self.box.permit("demo", why, self._list_tip(BACKGROUND_WORDS["demo"]))
        self._show()

    def _show(self) -> None:
        """Show the choice in the edit line."""
        chosen = self.box.value()
        words = self._published if chosen is PUBLISHED else BACKGROUND_WORDS.get(chosen, ())
        placeholder = ui_text.BACKGROUND_PLACEHOLDER if chosen is OWN else self._list_tip(words)
        self.edit.setPlaceholderText(placeholder)
        if chosen is not OWN:
            self.edit.setText("" if chosen is PUBLISHED else ", ".join(words))
            self.edit.setCursorPosition(0)
        self.edit.setToolTip(self.edit.text() or placeholder)

    def _on_index(self) -> None:
        self._show()
        self.changed.emit()

    def _on_edited(self) -> None:
        with signals_blocked(self.box):
            self.box.choose(OWN)
        self._show()
        self.changed.emit()

    def _on_edited_to_the_end(self) -> None:
        """Select a list if its name was typed, as on the command line."""
        name = self.edit.text().strip().casefold()
        if self.box.value() is OWN and name in BACKGROUND_WORDS:
            self.set_value(BACKGROUND_WORDS[name])
            self.changed.emit()
