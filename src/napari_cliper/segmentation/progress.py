"""Report the progress of long steps, and stop them.

One callback receives the progress of stages, windows, network blocks and downloads; another one
says whether to stop. Forward hooks of torch call it before every module of a network, so that even
a single pass stops within a fraction of a second.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from .errors import Stopped

if TYPE_CHECKING:
    from torch import nn

ShouldStop = Callable[[], bool]


@dataclass(frozen=True)
class Progress:
    """Where a job is.

    Parameters
    ----------
    stage : str
        The current step in words, such as ``"Encoding the image"``.
    done, total : int
        How much of the step is done. `total` is 0 if it is unknown.
    unit : {'step', 'byte'}
        What `done` and `total` count.
    """

    stage: str
    done: int
    total: int
    unit: Literal["step", "byte"] = "step"


Report = Callable[[Progress], None]


@dataclass(frozen=True)
class Monitor:
    """The two callbacks of one job, passed down to whatever does the work.

    Parameters
    ----------
    report : callable, optional
        Called with a `Progress` whenever there is something to tell, in the
        thread that does the work.
    should_stop : callable, optional
        Asked often and cheaply; once it returns True the work ends with `Stopped`.
    """

    report: Report = lambda progress: None
    should_stop: ShouldStop = lambda: False

    @classmethod
    def of(cls, report: Report | None, should_stop: ShouldStop | None) -> Monitor:
        """A monitor with the callbacks that are not None."""
        default = cls()
        return cls(report or default.report, should_stop or default.should_stop)

    def tell(
        self, stage: str, done: int, total: int, unit: Literal["step", "byte"] = "step"
    ) -> None:
        """Report progress, and stop here when asked to."""
        self.check()
        self.report(Progress(stage, done, total, unit))

    def downloads_only(self) -> Monitor:
        """Return a monitor for a part of a job, whose own steps would hide the overall progress."""

        def report(progress: Progress) -> None:
            if progress.unit == "byte":
                self.report(progress)

        return Monitor(report, self.should_stop)

    def check(self) -> None:
        """Raise `Stopped` if the caller has asked to stop."""
        if self.should_stop():
            raise Stopped("Stopped on request. Nothing was changed.")

    @contextmanager
    def watching(self, *networks: nn.Module) -> Iterator[None]:
        """Look at `should_stop` in front of every module of `networks`."""

        def look(_module: nn.Module, _inputs: tuple[Any, ...]) -> None:
            self.check()

        handles = [
            module.register_forward_pre_hook(look)
            for network in networks
            for module in network.modules()
        ]
        try:
            yield
        finally:
            for handle in handles:
                handle.remove()
