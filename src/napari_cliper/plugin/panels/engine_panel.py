"""How to segment: folded to one line that sums it up, with what is missing on this machine."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from qtpy.QtCore import QEvent, QObject, QSize, Qt, Signal
from qtpy.QtWidgets import QHBoxLayout, QPushButton, QSizePolicy, QVBoxLayout, QWidget
from superqt import QCollapsible

from ...demo.scenes import KINDS
from ...segmentation import (
    METHODS,
    REFINERS,
    REGISTRY,
    InvalidInputError,
    SegmentationConfig,
    WeightsEntry,
)
from .. import ui_text
from ..qt.wrapping_label import wrapping
from ..ui_text import (
    missing_text,
    plain_name,
)
from .engine_form import EngineForm

_AS_HIGH_AS_NEEDED = 16777215  # QWIDGETSIZE_MAX


class MissingLine(QWidget):
    """One set of weights that is not on this machine, with a button that asks for it.

    Parameters
    ----------
    row : WeightsEntry
    way_round : str
        What can be done without it.
    offline : bool
        Whether downloads are forbidden.
    """

    download_requested = Signal(str)

    def __init__(
        self, row: WeightsEntry, way_round: str, *, offline: bool, parent: QWidget | None = None
    ) -> None:
        super().__init__(parent)
        self.name = row.name
        self.text = wrapping(missing_text(row, way_round))
        self.button = QPushButton(ui_text.DOWNLOAD)
        self.button.setAccessibleName(ui_text.download_name(row))
        self._offline, self._purpose = offline, row.purpose
        self.set_busy(busy=False)
        self.button.clicked.connect(self._on_clicked)
        layout = QHBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addWidget(self.text, 1)
        layout.addWidget(self.button, 0, Qt.AlignmentFlag.AlignTop)

    def _on_clicked(self) -> None:
        self.download_requested.emit(self.name)

    def set_busy(self, *, busy: bool) -> None:
        """Grey the button while a job runs; `busy` is what the window does."""
        self.button.setEnabled(not busy and not self._offline)
        self.button.setToolTip(
            ui_text.OFFLINE_WHY_NOT if self._offline else ui_text.BUSY_WHY_NOT
            if busy else self._purpose
        )  # fmt: skip


class EnginePanel(QWidget):
    """The engine's form under a header that sums it up.

    `changed` tells of another wish, `download_requested` of weights, by their name in the
    registry, that a person asks for.
    """

    changed = Signal()
    download_requested = Signal(str)

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._known: tuple[str, ...] = ()
        self._rows: dict[str, WeightsEntry] = dict(REGISTRY)
        self._requested: set[str] = set()
        self._told: tuple[object, ...] = ()
        self._busy = False
        self.lines: list[MissingLine] = []
        self.form = EngineForm()
        self.folder = QCollapsible()
        self.known_label = wrapping()
        self._lines = QVBoxLayout()
        self._lay_out()
        self.form.changed.connect(self._on_changed)
        self.folder.toggled.connect(self._on_folded)
        self._refresh()

    def _lay_out(self) -> None:
        self.folder.setDuration(0)  # an animation would end at the height of the hidden form
        self.folder.content().layout().addWidget(self.form)
        self.form.hide()  # so that Tab passes by what is folded
        header = self.folder.toggleButton()
        header.setIconSize(QSize(0, 0))  # the text has an arrow of its own
        header.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Fixed)
        header.setStyleSheet(
            "QPushButton {text-align: left; border: none;}"
            "QPushButton:focus {text-decoration: underline;}"
        )
        header.installEventFilter(self)
        # Not superqt's policy, which allows no more height than lines without wrapping need.
        self.folder.setSizePolicy(QSizePolicy.Policy.Preferred, QSizePolicy.Policy.Preferred)
        notes = QWidget()
        column = QVBoxLayout(notes)
        column.setContentsMargins(0, 0, 0, 0)
        column.addLayout(self._lines)
        column.addWidget(self.known_label)
        inner = self.folder.layout()
        inner.setContentsMargins(0, 0, 0, 0)
        inner.insertWidget(inner.indexOf(header) + 1, notes)  # seen folded and unfolded
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addWidget(self.folder)
        layout.addStretch(1)

    # ------------------------------------------------------------------ values

    def config(self) -> SegmentationConfig:
        """The wishes.

        Raises
        ------
        InvalidInputError
            For wishes that cannot work.
        """
        return self.form.config()

    def problem(self) -> str:
        """Why the wishes cannot work, in plain words; empty where they can."""
        try:
            self.config()
        except InvalidInputError as error:
            return str(error)
        return ""

    def set_config(self, config: SegmentationConfig) -> None:
        """Show a configuration; `changed` is emitted where it is another one."""
        before = self._config_or_none()
        self.form.set_config(config)
        self._refresh()
        if before != config:
            self.changed.emit()

    def _config_or_none(self) -> SegmentationConfig | None:
        try:
            return self.config()
        except InvalidInputError:
            return None

    # ------------------------------------------------------------------ weights

    def set_cached(
        self, names: Mapping[str, bool], requested: str = "", row: WeightsEntry | None = None
    ) -> None:
        """Take in which weights are on disk; what is not named stays.

        Parameters
        ----------
        names : mapping of str to bool
        requested : str
            The model outside of the registry that was looked for, if any.
        row : WeightsEntry, optional
            Its weights, where they can be fetched.
        """
        self._requested.add(requested)
        if row is not None:
            self._rows[row.name] = row
        self.form.set_cached(names)
        self._refresh()

    def missing(self) -> tuple[WeightsEntry, ...]:
        """What the wishes need that is not on disk, as far as that is known."""
        config = self._config_or_none() or self.form.outline()
        names = [config.model]
        if config.needs_diffusion:
            names.append(config.diffusion_model)
        if config.needs_foundation:
            names.append(config.foundation_model)
        return tuple(self._rows[name] for name in names if self._is_missing(name))

    def listed_model(self) -> str:
        """The chosen model where it is one of open_clip's table, else ""."""
        name = str(self.form.model.value())
        return name if name.startswith("open_clip:") else ""

    def unknown_model(self) -> str:
        """That model where nobody has looked whether it is on disk, else ""."""
        return "" if self.listed_model() in self._requested else self.listed_model()

    def _is_missing(self, name: str) -> bool:
        row = self._rows.get(name)
        return row is not None and bool(row.repositories) and self.form.on_disk(name) is False

    def set_busy(self, *, busy: bool) -> None:
        """Offer no download while a job runs."""
        self._busy = busy
        for line in self.lines:
            line.set_busy(busy=busy)

    # ------------------------------------------------------------------ words of the demo model

    def set_vocabulary(self, words: Sequence[str]) -> None:
        """Take in the words that the demo model knows."""
        self._known = tuple(words)
        self._refresh()

    def unknown_words(self, words: Sequence[str]) -> tuple[str, ...]:
        """Those of some words that the chosen model cannot know; case does not count.

        Nothing for any model but the demo's, and while its words are not known here.
        """
        if not self._known or self.form.model.value() != "demo":
            return ()
        known = {word.casefold() for word in self._known}
        return tuple(word for word in words if word.casefold() not in known)

    # ------------------------------------------------------------------ showing

    def summary(self) -> str:
        """The choice in a line."""
        method = METHODS[self.form.method.value()].title
        model = plain_name(self.form.model.value()) or ui_text.NO_MODEL
        refiner = REFINERS[self.form.outline().chosen_refiner].title
        return ui_text.engine_summary(method=method, model=model, refiner=refiner)

    def _refresh(self) -> None:
        self._show_title()
        self._show_missing()
        self.known_label.setText(ui_text.demo_kinds([kind.name for kind in KINDS]))
        self.known_label.setToolTip(ui_text.demo_words(self._known))
        self.known_label.setVisible(bool(self._known) and self.form.model.value() == "demo")

    def _show_title(self) -> None:
        header = self.folder.toggleButton()
        arrow = "\N{BLACK DOWN-POINTING TRIANGLE}" if self.folder.isExpanded() else "\u25b6"
        summary = self.summary()
        text = header.fontMetrics().elidedText(
            f"{arrow} {ui_text.engine_title(summary)}",
            Qt.TextElideMode.ElideRight,
            header.width() - 12,
        )
        header.setText(text.replace("&", "&&").replace(ui_text.ENGINE, f"&{ui_text.ENGINE}", 1))
        header.setAccessibleName(ui_text.engine_title(summary))
        header.setToolTip(self.problem() or ui_text.engine_tip(summary))

    def _show_missing(self) -> None:
        missing, offline = self.missing(), self.form.offline.isChecked()
        config = self.form.outline()
        told = (missing, offline, config.method, config.chosen_refiner)
        if told == self._told:
            return  # keeps the focus on a button that stays
        self._told = told
        for line in self.lines:
            line.hide()
            self._lines.removeWidget(line)
            line.deleteLater()
        self.lines = []
        before: QWidget = self.folder.toggleButton()
        for row in missing:
            refines = row.kind == "diffusion" or (
                row.kind == "foundation" and row.kind not in METHODS[config.method].needs
            )
            line = MissingLine(row, ui_text.USE_PAMR if refines else "", offline=offline)
            line.download_requested.connect(self.download_requested)
            line.set_busy(busy=self._busy)
            self._lines.addWidget(line)
            self.lines.append(line)
            QWidget.setTabOrder(before, line.button)
            before = line.button

    def _on_changed(self) -> None:
        self._refresh()
        self.changed.emit()

    def _on_folded(self, is_open: bool) -> None:
        self.form.setVisible(is_open)
        if is_open:  # rows may come and go
            self.folder.content().setMaximumHeight(_AS_HIGH_AS_NEEDED)
        self._show_title()

    def eventFilter(self, watched: QObject, event: QEvent) -> bool:  # noqa: N802 - Qt's name
        """Fit the title to the header's width."""
        if watched is self.folder.toggleButton() and event.type() == QEvent.Type.Resize:
            self._show_title()
        return super().eventFilter(watched, event)
