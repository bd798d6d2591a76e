"""The settings of the engine: presets, what is missing on this machine, and every field."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from qtpy.QtCore import Qt, Signal
from qtpy.QtWidgets import QHBoxLayout, QPushButton, QVBoxLayout, QWidget
from superqt import QElidingLabel

from ...demo.scenes import KINDS
from ...segmentation import (
    METHODS,
    REFINERS,
    REGISTRY,
    InvalidInputError,
    SegmentationConfig,
    WeightsEntry,
    tiles_for_objects,
)
from .. import ui_text
from ..qt.accordion import Fold
from ..qt.theme_colours import set_tone
from ..qt.wrapping_label import wrapping
from ..ui_text import missing_text, plain_name
from .engine_form import EngineForm
from .preset_buttons import ENGINE_PRESETS, PresetButtons


class MissingLine(QWidget):
    """Weights that are not on this machine, with a download button.

    Parameters
    ----------
    row : WeightsEntry
    workaround : str
        What to do without it.
    offline : bool
        Whether downloads are forbidden.
    """

    download_requested = Signal(str)

    def __init__(self, row: WeightsEntry, workaround: str, *, offline: bool) -> None:
        super().__init__()
        self.name = row.name
        self.text = wrapping(missing_text(row))
        self.text.setToolTip(ui_text.missing_tip(row, workaround))
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
        """Disable the button while a job runs."""
        self.button.setEnabled(not busy and not self._offline)
        self.button.setToolTip(
            ui_text.OFFLINE_WHY_NOT if self._offline else ui_text.BUSY_WHY_NOT
            if busy else self._purpose
        )  # fmt: skip


class EnginePanel(QWidget):
    """Presets, a summary of the settings, downloads, and the form.

    The value is the `SegmentationConfig`; `valueChanged` carries None while it is invalid. `edited`
    is emitted for changes by the user, `download_requested` carries the name of weights in the
    registry.
    """

    valueChanged = Signal(object)
    edited = Signal()
    download_requested = Signal(str)

    def __init__(self, config: SegmentationConfig | None = None) -> None:
        super().__init__()
        self._known: tuple[str, ...] = ()
        self._rows: dict[str, WeightsEntry] = dict(REGISTRY)
        self._requested: set[str] = set()
        self._told: tuple[object, ...] = ()
        self._busy = False
        self.lines: list[MissingLine] = []
        self.presets = PresetButtons()
        self.summary_label = QElidingLabel()
        self.problem_label = wrapping()
        set_tone(self.problem_label, "error")
        self.form = EngineForm()
        self.known_label = wrapping()
        self._lines = QVBoxLayout()
        self._lay_out()
        self.presets.chosen.connect(self._on_preset)
        self.form.changed.connect(self._on_edited)
        self.form.set_config(config or SegmentationConfig())
        self._refresh()

    def _lay_out(self) -> None:
        self._lines.setContentsMargins(0, 0, 0, 0)
        self._lines.setSpacing(2)
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        column.setSpacing(3)
        column.addWidget(self.presets)
        column.addWidget(self.summary_label)
        column.addWidget(self.problem_label)
        column.addLayout(self._lines)
        column.addWidget(self.known_label)
        column.addWidget(self.form)

    def add_fold(self, title: str, content: QWidget) -> Fold:
        """Add a fold below those of the form."""
        return self.form.folds.add(title, content)

    # ------------------------------------------------------------------ values

    def value(self) -> SegmentationConfig:
        """The configuration in the form.

        Raises
        ------
        InvalidInputError
            For an invalid configuration.
        """
        return self.form.config()

    def problem(self) -> str:
        """Why the configuration is invalid; empty if it is valid."""
        try:
            self.value()
        except InvalidInputError as error:
            return str(error)
        return ""

    def setValue(self, config: SegmentationConfig) -> None:
        """Show a configuration; emits `valueChanged` if it differs."""
        before = self._value_or_none()
        self.form.set_config(config)
        self._refresh()
        if before != config:
            self.valueChanged.emit(self._value_or_none())

    def set_object_size(self, size: float | None) -> None:
        """Choose tiles for objects of a size, as the user does.

        Parameters
        ----------
        size : float or None
            Diameter of the objects in pixels of the image; None for no tiles.
        """
        config = replace(self.config_or_outline(), tiles=None)
        tiles = None if size is None else tiles_for_objects(size, config)
        self.form.set_tiles(replace(config, tiles=tiles))
        self._on_edited()

    def mask_layer(self) -> str:
        """Return the name of the layer that is chosen as masks; empty for none."""
        return self.form.mask_layer()

    def offer_mask_layers(self, names: Sequence[str]) -> None:
        """Offer layers as masks for methods that use them."""
        self.form.offer_mask_layers(names)

    def choose_demo(self) -> None:
        """Show the settings of the demo model."""
        self.setValue(ENGINE_PRESETS["demo"].applied_to(self.config_or_outline()))

    def _value_or_none(self) -> SegmentationConfig | None:
        try:
            return self.value()
        except InvalidInputError:
            return None

    # ------------------------------------------------------------------ weights

    def set_cached(
        self, names: Mapping[str, bool], requested: str = "", row: WeightsEntry | None = None
    ) -> None:
        """Set which weights are on disk; weights that are not named keep their state.

        Parameters
        ----------
        names : mapping of str to bool
        requested : str
            The model outside the registry that was looked up, if any.
        row : WeightsEntry, optional
            Its weights, if they can be downloaded.
        """
        self._requested.add(requested)
        if row is not None:
            self._rows[row.name] = row
        self.form.set_cached(names)
        self._refresh()

    def set_models(self, names: Sequence[str]) -> None:
        """List the models of open_clip as completions of the model field."""
        self.form.model.set_completions(names)

    @property
    def offline(self) -> bool:
        """Whether downloads are forbidden."""
        return bool(self.form.offline.isChecked())

    def config_or_outline(self) -> SegmentationConfig:
        """Return the configuration, or its valid part."""
        return self._value_or_none() or self.form.outline()

    def missing(self, config: SegmentationConfig | None = None) -> tuple[WeightsEntry, ...]:
        """Return the weights that a configuration needs and that are known to be missing.

        Parameters
        ----------
        config : SegmentationConfig, optional
            By default, the chosen one.
        """
        config = config or self.config_or_outline()
        return tuple(self._rows[name] for name in config.weights if self._is_missing(name))

    def listed_model(self) -> str:
        """Return the chosen model if it is from open_clip's table, else ""."""
        name = str(self.form.model.value())
        return name if name.startswith("open_clip:") else ""

    def unknown_model(self) -> str:
        """Return that model if it is unknown whether it is on disk, else ""."""
        return "" if self.listed_model() in self._requested else self.listed_model()

    def _is_missing(self, name: str) -> bool:
        row = self._rows.get(name)
        return row is not None and bool(row.repositories) and self.form.on_disk(name) is False

    def set_busy(self, *, busy: bool) -> None:
        """Disable downloads while a job runs."""
        self._busy = busy
        for line in self.lines:
            line.set_busy(busy=busy)

    # ------------------------------------------------------------------ words of the demo model

    def set_vocabulary(self, words: Sequence[str]) -> None:
        """Set the words that the demo model knows."""
        self._known = tuple(words)
        self._refresh()

    def unknown_words(self, words: Sequence[str]) -> tuple[str, ...]:
        """Return the words that the chosen model does not know, ignoring case.

        Empty for all models except the demo model, and until its words have been set.
        """
        if not self._known or self.form.model.value() != "demo":
            return ()
        known = {word.casefold() for word in self._known}
        return tuple(word for word in words if word.casefold() not in known)

    # ------------------------------------------------------------------ showing

    def summary(self) -> str:
        """The summary of the settings."""
        method = METHODS[self.form.method.value()].title
        model = plain_name(self.form.model.value()) or ui_text.NO_MODEL
        refiner = REFINERS[self.form.outline().chosen_refiner].title
        return ui_text.engine_summary(method=method, model=model, refiner=refiner)

    def _refresh(self) -> None:
        self.presets.show_config(self._value_or_none())
        problem = self.problem()
        self.summary_label.setText(self.summary())
        self.summary_label.setToolTip(self.summary())
        self.problem_label.setText(problem)
        self.problem_label.setVisible(bool(problem))
        self._show_missing()
        self.known_label.setText(ui_text.demo_kinds([kind.name for kind in KINDS]))
        self.known_label.setToolTip(ui_text.demo_words(self._known))
        self.known_label.setVisible(bool(self._known) and self.form.model.value() == "demo")

    def _show_missing(self) -> None:
        missing, offline = self.missing(), self.offline
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
        before: QWidget = self.presets.buttons["best"]
        for row in missing:
            refines = row.kind in ("diffusion", "autoencoder", "foundation", "sam") and (
                row.kind not in METHODS[config.method].needs
            )
            line = MissingLine(row, ui_text.USE_PAMR if refines else "", offline=offline)
            line.download_requested.connect(self.download_requested)
            line.set_busy(busy=self._busy)
            self._lines.addWidget(line)
            self.lines.append(line)
            QWidget.setTabOrder(before, line.button)
            before = line.button

    def _on_preset(self, name: str) -> None:
        config = self.config_or_outline()
        self.form.set_config(ENGINE_PRESETS[name].applied_to(config))
        self._on_edited()

    def _on_edited(self) -> None:
        self._refresh()
        self.valueChanged.emit(self._value_or_none())
        self.edited.emit()
