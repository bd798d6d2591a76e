"""Show and free memory and caches."""

from __future__ import annotations

from typing import TYPE_CHECKING

from qtpy.QtCore import QUrl
from qtpy.QtGui import QDesktopServices

from ...segmentation import Report, ShouldStop
from .. import preferences, ui_text
from ..panels.memory_panel import CacheRow, MemoryPanel
from ..pytorch_loading import load_pytorch
from ..state import DockState
from ..worker import Work
from .base import Controller

if TYPE_CHECKING:
    from ...segmentation import DiskCache

    Caches = tuple[DiskCache, DiskCache]


class MemoryController(Controller):
    """Shows memory and caches in the panel, and handles its buttons.

    Parameters
    ----------
    state : DockState
    panel : MemoryPanel
        The caches are measured while it is in sight.
    """

    def __init__(self, state: DockState, panel: MemoryPanel) -> None:
        super().__init__(panel)
        self._panel = panel
        self._session = session = state.session
        self._main_job = state.main_job
        self._measuring = self.newest(self._to_measure, self._on_measured)
        remembered = preferences.read()
        session.capacity = remembered.cache_bytes
        session.tiles_on_disk = remembered.tile_cache
        panel.setValue(remembered.cache_gigabytes)
        panel.unload.connect(self._on_unload)
        panel.forget.connect(self._on_forget)
        panel.valueChanged.connect(self._on_capacity)
        panel.clear_weights.connect(lambda: self._clear(panel.weights, ui_text.WEIGHTS_AGAIN))
        panel.clear_embeddings.connect(
            lambda: self._clear(panel.embeddings, ui_text.EMBEDDINGS_AGAIN)
        )
        panel.open_weights.connect(lambda: _open(panel.weights))
        panel.open_embeddings.connect(lambda: _open(panel.embeddings))
        panel.shown.connect(self.update)
        state.result_changed.connect(self.update)
        state.main_job.busy_changed.connect(self._on_busy)
        self.update()

    def update(self) -> None:
        """Show the memory in use; measure the caches on disk while they are in sight."""
        images, kept = self._session.kept_of_all
        self._panel.show_memory(networks=self._session.network_bytes, images=images, kept=kept)
        if self._panel.in_sight:
            self._measuring.request()

    def _to_measure(self) -> Work | None:
        return _measure if self._panel.in_sight else None

    def _on_measured(self, caches: Caches) -> None:
        self._panel.show_caches(*caches)

    def _on_busy(self, busy: bool) -> None:
        self._panel.set_busy(busy=busy)
        self.update()

    def _on_unload(self) -> None:
        self._session.unload()
        self.update()

    def _on_forget(self) -> None:
        self._session.forget()
        self.update()

    def _on_capacity(self, gigabytes: float) -> None:
        preferences.write(cache_gigabytes=gigabytes)
        self._session.capacity = preferences.Preferences(cache_gigabytes=gigabytes).cache_bytes
        self.update()

    def _clear(self, row: CacheRow, after: str) -> None:
        """Ask, then delete in a thread."""
        cache = row.cache
        if cache is None:
            return
        question = ui_text.clear_question(row.title, cache.folder, cache.contents, after)
        if self.ask(ui_text.CLEAR_TITLE, question):
            self._main_job.start_told(
                lambda _report, _should_stop: cache.clear(),
                lambda _nothing: self._on_cleared(row.title, cache.nbytes),
            )

    def _on_cleared(self, title: str, size: int) -> str:
        self.update()
        return ui_text.cleared(title, size)


def _measure(_report: Report, _should_stop: ShouldStop) -> Caches:
    """Measure the caches on disk; called in a thread."""
    load_pytorch()
    from ...segmentation import embeddings_cache, weights_cache  # noqa: PLC0415 - torch

    return weights_cache(), embeddings_cache()


def _open(row: CacheRow) -> None:
    if row.cache is not None:
        QDesktopServices.openUrl(QUrl.fromLocalFile(str(row.cache.folder)))
