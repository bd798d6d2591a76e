"""Labels that follow thresholds while a person moves them.

What thresholds need is prepared once: every class threshold's best classes where there is
memory for them, the present one's otherwise. Then a background threshold is a comparison.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .labels import BestClass, LabelArray, RankedBest
    from .results import ScoreMaps, Stage


@dataclass(frozen=True)
class Thresholds:
    """What labels are made with.

    Parameters
    ----------
    class_threshold, background_threshold : float
    min_max : bool
    own : mapping of str to float
        Thresholds of single classes, in the place of `background_threshold`.
    """

    class_threshold: float
    background_threshold: float
    min_max: bool = False
    own: Mapping[str, float] = field(default_factory=dict)

    @property
    def as_dict(self) -> dict[str, Any]:
        """As JSON can hold it."""
        return {
            "class_threshold": self.class_threshold,
            "background_threshold": self.background_threshold,
            "min_max": self.min_max,
            "own": dict(self.own),
        }


class LiveLabels:
    """The labels of one stage of a result, for thresholds that move.

    Parameters
    ----------
    scores : ScoreMaps
    stage : {'coarse', 'refined'}
    limit : int
        Bytes that preparing for every class threshold may take.
    """

    def __init__(self, scores: ScoreMaps, stage: Stage, *, limit: int = 1 << 29) -> None:
        self.scores = scores
        self.stage = stage
        self._limit = limit
        # Each is replaced as a whole, so that another thread may look while one prepares.
        self._ranked: tuple[bool, RankedBest] | None = None
        self._best: tuple[tuple[float, bool], BestClass] | None = None

    def ready(self, thresholds: Thresholds) -> bool:
        """Whether `labels` takes milliseconds."""
        return self._find(thresholds) is not None

    def prepare(self, thresholds: Thresholds) -> None:
        """Compute what these thresholds need; may take seconds, and may be called in a thread."""
        if self.ready(thresholds):
            return
        min_max = thresholds.min_max
        ranked = self.scores.ranked(stage=self.stage, min_max=min_max, limit=self._limit)
        if ranked is not None:
            self._ranked = min_max, ranked
        else:
            best = self.scores.best(
                stage=self.stage, class_threshold=thresholds.class_threshold, min_max=min_max
            )
            self._best = (thresholds.class_threshold, min_max), best

    def labels(self, thresholds: Thresholds) -> LabelArray:
        """Labels of these thresholds, (Y, X); prepares first where it is not ready."""
        best = self._find(thresholds)
        while best is None:
            self.prepare(thresholds)
            best = self._find(thresholds)
        own = {name: value for name, value in thresholds.own.items() if name in self._names}
        return best.above(thresholds.background_threshold, self.scores.by_label(own))

    @property
    def _names(self) -> set[str]:
        return {one.name for one in self.scores.classes}

    def _find(self, thresholds: Thresholds) -> BestClass | None:
        if self._ranked is not None and self._ranked[0] == thresholds.min_max:
            return self._ranked[1].at(thresholds.class_threshold)
        key = thresholds.class_threshold, thresholds.min_max
        return self._best[1] if self._best is not None and self._best[0] == key else None
