"""Look up and download weights, and load PyTorch while the user types."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

from qtpy.QtCore import Qt, Signal

from .. import ui_text
from ..panels.engine_panel import EnginePanel
from ..state import DockState
from ..weights_jobs import WeightsFound, fetch_weights, find_models, weights_on_disk
from ..worker import Work
from .base import Controller
from .next_step import NextStep


class WeightsController(Controller):
    """The weights of one dock.

    Parameters
    ----------
    state : DockState
    panel : EnginePanel
    next_step : NextStep
    """

    looked_up = Signal()
    """The weights on disk have been looked up."""

    def __init__(self, state: DockState, panel: EnginePanel, next_step: NextStep) -> None:
        super().__init__(panel)
        self._panel = panel
        self._next_step = next_step
        self._state = state
        self._lookup = self.newest(self._to_look_up, self._on_looked_up)
        self._lookup.finished.connect(self.looked_up)
        self._lookup.finished.connect(self._look_up_model)
        self._loading = self.jobs()
        self._loading.finished.connect(self._on_preloaded)
        panel.valueChanged.connect(self._look_up_model)
        panel.valueChanged.connect(self._warn_of_words)
        state.words_changed.connect(self._warn_of_words)
        state.main_job.busy_changed.connect(self._on_busy)
        state.main_job.finished.connect(self.look_up)
        state.download_wanted.connect(self.download)
        panel.download_requested.connect(lambda name: self.download([name]))
        self.looked_up.connect(self._preload, Qt.ConnectionType.SingleShotConnection)
        self.look_up()

    def download(self, names: Sequence[str]) -> None:
        """Download weights, with progress in the bar; does nothing while another job runs."""
        done: Callable[[Any], str] = partial(_downloaded, names)
        self._state.main_job.start_told(partial(fetch_weights, names), done)

    def look_up(self) -> None:
        """Look up in a thread which weights are on disk; again, if this is already running."""
        self._lookup.request()

    def _to_look_up(self) -> Work:
        return partial(weights_on_disk, self._panel.listed_model())

    def _on_looked_up(self, found: WeightsFound) -> None:
        self._panel.set_cached(found.on_disk, found.requested, found.row)
        self._panel.set_vocabulary(found.vocabulary)
        self._next_step.set_free(found.free)
        self._state.inputs_changed.emit()

    def _look_up_model(self) -> None:
        """Look up a newly named model."""
        if self._panel.unknown_model():
            self.look_up()

    def _on_busy(self, busy: bool) -> None:
        self._panel.set_busy(busy=busy)

    def _warn_of_words(self) -> None:
        """Show which words the chosen model does not know."""
        words = [w for row in self._state.rows for w in (row.name, *row.synonyms)]
        unknown = self._panel.unknown_words(words)
        if unknown and self._state.main_job.idle:
            self.message.emit(ui_text.unknown_words(unknown), False)

    def _preload(self) -> None:
        """Load PyTorch in a thread while the user is still typing."""
        self._next_step.set_loading(loading=True)
        self._loading.start(find_models, self._panel.set_models)

    def _on_preloaded(self) -> None:
        self._next_step.set_loading(loading=False)


def _downloaded(names: Sequence[str], _nothing: None) -> str:
    return ui_text.downloaded(names)
