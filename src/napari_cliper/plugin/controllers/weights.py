"""Look up and download weights, and load PyTorch while the user types."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

from qtpy.QtCore import Qt, QTimer, Signal

from .. import ui_text
from ..engine_session import WeightsFound, fetch_weights, find_models, weights_on_disk
from ..panels.engine_panel import EnginePanel
from ..worker import Job
from .base import Controller
from .next_step import NextStep
from .prototype_learning import Start


class WeightsController(Controller):
    """The weights of one dock.

    Parameters
    ----------
    panel : EnginePanel
    next_step : NextStep
    start : callable
        See `prototype_learning.Start`.
    """

    looked_up = Signal()
    """The weights on disk have been looked up."""
    changed = Signal()
    """The set of weights on disk has changed."""

    def __init__(self, panel: EnginePanel, next_step: NextStep, start: Start) -> None:
        super().__init__(panel)
        self._panel = panel
        self._next_step = next_step
        self._start = start
        self.lookup: Job | None = None
        self.loading: Job | None = None
        self._again = False  # look up again when the lookup ends
        self._closed = False
        panel.valueChanged.connect(self._look_up_model)
        panel.download_requested.connect(lambda name: self.download([name]))
        self.looked_up.connect(self._preload, Qt.ConnectionType.SingleShotConnection)
        QTimer.singleShot(0, self.look_up)

    @property
    def idle(self) -> bool:
        """Whether the weights have been looked up and PyTorch is loaded."""
        return self.lookup is None and self.loading is None

    def close(self) -> None:
        """Stop both jobs."""
        self._closed = True
        for job in (self.lookup, self.loading):
            if job is not None:
                job.stop()

    def download(self, names: Sequence[str]) -> None:
        """Download weights, with progress in the bar; does nothing while another job runs."""
        done: Callable[[Any], str] = partial(_downloaded, names)
        self._start(partial(fetch_weights, names), done)

    def look_up(self) -> None:
        """Look up in a thread which weights are on disk; again, if this is already running."""
        if self._closed:
            return
        if self.lookup is not None:
            self._again = True
            return
        self._again = False
        self.lookup = Job(partial(weights_on_disk, self._panel.listed_model()))
        self.lookup.succeeded.connect(self._on_looked_up)
        self.lookup.finished.connect(self._on_finished)
        self.lookup.start()

    def _on_looked_up(self, found: WeightsFound) -> None:
        self._panel.set_cached(found.on_disk, found.requested, found.row)
        self._panel.set_vocabulary(found.vocabulary)
        self._next_step.set_free(found.free)
        self.changed.emit()

    def _on_finished(self) -> None:
        self.lookup = None
        self.looked_up.emit()
        if self._again:
            self.look_up()
        self._look_up_model()

    def _look_up_model(self) -> None:
        """Look up a newly named model."""
        if self._panel.unknown_model():
            self.look_up()

    def _preload(self) -> None:
        """Load PyTorch in a thread while the user is still typing."""
        if not self._closed:
            self.loading = Job(find_models)
            self.loading.succeeded.connect(self._panel.set_models)
            self.loading.finished.connect(self._on_preloaded)
            self.loading.start()
            self._next_step.set_loading(loading=True)

    def _on_preloaded(self) -> None:
        self.loading = None
        if not self._closed:
            self._next_step.set_loading(loading=False)


def _downloaded(names: Sequence[str], _nothing: None) -> str:
    return ui_text.downloaded(names)
