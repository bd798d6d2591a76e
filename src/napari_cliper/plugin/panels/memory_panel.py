"""Memory in use and caches on disk, with buttons to free them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from qtpy.QtCore import Qt, Signal
from qtpy.QtWidgets import QDoubleSpinBox, QHBoxLayout, QPushButton, QVBoxLayout
from superqt import QElidingLabel

from .. import ui_text
from .base import Panel

if TYPE_CHECKING:
    from ...segmentation import DiskCache

_BUTTON_WIDTH = 62  # pixels


class CacheRow:
    """The line of a cache on disk: its size, *Clear ...* and *Open*."""

    def __init__(self, title: str, clear_name: str, open_name: str) -> None:
        self.title = title
        self.label = QElidingLabel(ui_text.cache_line(title, None))
        self.clear = QPushButton(ui_text.CLEAR)
        self.clear.setAccessibleName(clear_name)
        self.open = QPushButton(ui_text.OPEN_FOLDER)
        self.open.setAccessibleName(open_name)
        self.cache: DiskCache | None = None
        self.update(busy=False)

    def update(self, *, busy: bool) -> None:
        """Show the size of the cache, and enable or disable the buttons."""
        cache = self.cache
        self.label.setText(ui_text.cache_line(self.title, None if cache is None else cache.nbytes))
        if cache is None:
            why_not = ui_text.COMPUTING_TIP
        elif not cache.nbytes:
            why_not = ui_text.NOTHING_TO_CLEAR
        else:
            why_not = ui_text.BUSY_WHY_NOT if busy else ""
        tip = "" if cache is None else ui_text.cache_tip(cache.folder, cache.contents)
        self.label.setToolTip(tip)
        self.clear.setEnabled(not why_not)
        self.clear.setToolTip(why_not or tip)
        there = cache is not None and cache.folder.is_dir()
        self.open.setEnabled(there)
        self.open.setToolTip(tip if there else ui_text.NO_SUCH_FOLDER)


class MemoryPanel(Panel):
    """Four lines: networks, image features, weights and text features.

    The value is the maximum memory of image features, in GB. Emits `unload`, `forget`,
    `clear_weights`, `clear_embeddings`, `open_weights` and `open_embeddings`; and `shown`.
    """

    shown = Signal()
    unload = Signal()
    forget = Signal()
    valueChanged = Signal(float)
    clear_weights = Signal()
    clear_embeddings = Signal()
    open_weights = Signal()
    open_embeddings = Signal()

    def __init__(self) -> None:
        super().__init__()
        self._busy = False
        self._in_memory = 0, 0  # bytes of networks, images with features
        self.networks = QElidingLabel(ui_text.networks_in_memory(0))
        self.unload_button = QPushButton(ui_text.UNLOAD)
        self.features = QElidingLabel(ui_text.image_features(images=0, size=0))
        self.capacity = QDoubleSpinBox()
        self.capacity.setRange(0.1, 1000)
        self.capacity.setDecimals(1)
        self.capacity.setSingleStep(0.5)
        self.capacity.setSuffix(ui_text.CACHE_SIZE_UNIT)
        self.capacity.setKeyboardTracking(False)
        self.capacity.setButtonSymbols(QDoubleSpinBox.ButtonSymbols.NoButtons)
        self.capacity.setFocusPolicy(Qt.FocusPolicy.StrongFocus)
        self.capacity.setToolTip(ui_text.CACHE_SIZE_TIP)
        self.capacity.setAccessibleName(ui_text.CACHE_SIZE_NAME)
        self.features.setToolTip(ui_text.CACHE_SIZE_TIP)
        self.forget_button = QPushButton(ui_text.FORGET)
        self.forget_button.setAccessibleName(ui_text.FORGET_NAME)
        self.weights = CacheRow(
            ui_text.MODEL_WEIGHTS, ui_text.CLEAR_WEIGHTS_NAME, ui_text.OPEN_WEIGHTS_NAME
        )
        self.embeddings = CacheRow(
            ui_text.TEXT_FEATURES, ui_text.CLEAR_EMBEDDINGS_NAME, ui_text.OPEN_EMBEDDINGS_NAME
        )
        column = QVBoxLayout(self)
        column.setContentsMargins(8, 0, 0, 2)
        column.setSpacing(2)
        for line in (
            (self.networks, self.unload_button),
            (self.features, self.capacity, self.forget_button),
            (self.weights.label, self.weights.clear, self.weights.open),
            (self.embeddings.label, self.embeddings.clear, self.embeddings.open),
        ):
            row = QHBoxLayout()
            row.setSpacing(4)
            row.addWidget(line[0], 1)
            for widget in line[1:]:
                widget.setFixedWidth(_BUTTON_WIDTH)
                row.addWidget(widget)
            column.addLayout(row)
        self.unload_button.clicked.connect(self.unload)
        self.forget_button.clicked.connect(self.forget)
        self.capacity.valueChanged.connect(self.valueChanged)
        self.weights.clear.clicked.connect(self.clear_weights)
        self.weights.open.clicked.connect(self.open_weights)
        self.embeddings.clear.clicked.connect(self.clear_embeddings)
        self.embeddings.open.clicked.connect(self.open_embeddings)
        self._update()

    def value(self) -> float:
        """The maximum memory of image features, in GB."""
        return float(self.capacity.value())

    def setValue(self, gigabytes: float) -> None:
        """Show the maximum memory of image features; emits `valueChanged` if it differs."""
        self.capacity.setValue(gigabytes)

    def follow(self, _changed: object = None) -> None:
        """Emit `shown` if the panel is in sight."""
        if self.in_sight:
            self.shown.emit()

    def show_memory(self, *, networks: int, images: int, kept: int) -> None:
        """Show the bytes of the networks, and the number and bytes of images with features."""
        self._in_memory = networks, images
        self.networks.setText(ui_text.networks_in_memory(networks))
        self.features.setText(ui_text.image_features(images=images, size=kept))
        self._update()

    def show_caches(self, weights: DiskCache, embeddings: DiskCache) -> None:
        """Show the caches on disk."""
        self.weights.cache, self.embeddings.cache = weights, embeddings
        self._update()

    def set_busy(self, *, busy: bool) -> None:
        """Disable the buttons while a job runs."""
        self._busy = busy
        self._update()

    def _update(self) -> None:
        busy = ui_text.BUSY_WHY_NOT if self._busy else ""
        networks, images = self._in_memory
        no_network = "" if networks else ui_text.UNLOAD_WHY_NOT
        no_image = "" if images else ui_text.FORGET_WHY_NOT
        for button, why_not, tip in (
            (self.unload_button, no_network or busy, ui_text.UNLOAD_TIP),
            (self.forget_button, no_image or busy, ui_text.FORGET_TIP),
        ):
            button.setEnabled(not why_not)
            button.setToolTip(why_not or tip)
        for row in (self.weights, self.embeddings):
            row.update(busy=self._busy)
