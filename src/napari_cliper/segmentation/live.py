"""Labels that follow thresholds, and corrections, while a person makes them.

What thresholds need is prepared once: every class threshold's best classes where there is
memory for them, the present one's otherwise. Then a background threshold is a comparison. With
evidence (`spreading`) labels are prepared anew for each change of either.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from types import ModuleType
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from .errors import InvalidInputError

if TYPE_CHECKING:
    from .corrections import ScorePlanes
    from .labels import BestClass, LabelArray, RankedBest
    from .results import ScoreMaps, Stage
    from .spreading import ImageAffinity, Shift


RUNNERS_UP = 8
"""So many classes of the highest scores count for the uncertainty, whether they win or not."""


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


@dataclass(frozen=True, eq=False)
class _Lesson:
    """What a person said, and how it spreads."""

    affinity: ImageAffinity
    said: NDArray[np.int32]

    @property
    def named(self) -> list[int]:
        """Indices of the classes that were said."""
        labels: list[int] = np.flatnonzero(np.bincount(self.said[self.said > 0])).tolist()
        return [label - 1 for label in labels]


@dataclass(frozen=True, eq=False)
class _Corrected:
    """What was prepared for one lesson and thresholds."""

    lesson: _Lesson
    key: tuple[float, float, bool]
    best: BestClass


class LiveLabels:
    """The labels of one stage of a result, for thresholds that move and corrections that come.

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
        self._planes: tuple[bool, ScorePlanes] | None = None
        self._lesson: _Lesson | None = None
        self._corrected: _Corrected | None = None

    # ------------------------------------------------------------------ evidence

    def teach(self, affinity: ImageAffinity | None, said: NDArray[Any] | None) -> None:
        """Let evidence correct the labels from now on.

        Parameters
        ----------
        affinity : ImageAffinity or None
            Of the same image.
        said : (Y, X) array of int or None
            -1 where nobody has said anything, 0 where a person said background, i + 1 where they
            said class i. Where that is nowhere, or for None, the words decide alone again.

        Raises
        ------
        InvalidInputError
            For an array of another shape, and for numbers of no class.
        """
        if affinity is None or said is None or not (said >= 0).any():
            self._lesson = self._corrected = self._planes = None
            return
        if said.shape != self.scores.shape or affinity.regions.shape != said.shape:
            raise InvalidInputError(
                f"What was said is {said.shape}, its image {affinity.regions.shape} and the result "
                f"{self.scores.shape}: they must be of one size."
            )
        if said.max() > len(self.scores.classes):
            raise InvalidInputError(
                f"Class {said.max()} was said, but the result has {len(self.scores.classes)}."
            )
        self._lesson = _Lesson(affinity, said.astype(np.int32))

    # ------------------------------------------------------------------ labels

    def ready(self, thresholds: Thresholds) -> bool:
        """Whether `labels` takes milliseconds."""
        return self._find(thresholds) is not None

    def prepare(self, thresholds: Thresholds) -> None:
        """Compute what these thresholds need; may take seconds, and may be called in a thread."""
        lesson = self._lesson
        if self._find(thresholds) is not None:
            return
        if self._find_plain(thresholds) is None:
            self._prepare_plain(thresholds)
        if lesson is not None:
            planes, shift = self._moved(thresholds, lesson)
            best = _corrections().corrected_best(planes, shift)
            self._corrected = _Corrected(lesson, _key(thresholds), best)

    def labels(self, thresholds: Thresholds) -> LabelArray:
        """Labels of these thresholds, (Y, X); prepares first where it is not ready."""
        found = self._find(thresholds)
        while found is None:
            self.prepare(thresholds)
            found = self._find(thresholds)
        best, said = found
        labels = self._above(best, thresholds)
        if said is not None:
            known = said >= 0
            labels[known] = said[known]
        return labels

    def uncertainty(self, thresholds: Thresholds) -> NDArray[np.float32]:
        """How near the two best are to each other, the background among them.

        A class whose score is below the class threshold counts as far as it is on the way there:
        where the words find nothing, it is not sure that there is nothing.

        Returns
        -------
        (Y, X) float32 array
            From 0 (sure, or said by a person) to 1 (even).
        """
        lesson = self._lesson
        shift = None if lesson is None else self._moved(thresholds, lesson)[1]
        weights = self._weights(thresholds, () if lesson is None else lesson.named)
        values = self.scores.stage(self.stage).class_scores
        least = thresholds.class_threshold
        for index in np.argsort(-values)[:RUNNERS_UP].tolist():
            share = float(values[index]) / least if values[index] < least else 1.0
            weights[index] = max(weights.get(index, 0.0), share)
        planes = self._planes_of(thresholds, dict(sorted(weights.items())))
        threshold = thresholds.background_threshold
        doubt: NDArray[np.float32] = _corrections().uncertainty(planes, shift, threshold)
        return doubt

    # ------------------------------------------------------------------ parts

    def _above(self, best: BestClass, thresholds: Thresholds) -> LabelArray:
        own = {name: value for name, value in thresholds.own.items() if name in self._names}
        return best.above(thresholds.background_threshold, self.scores.by_label(own))

    @property
    def _names(self) -> set[str]:
        return {one.name for one in self.scores.classes}

    def _find(self, thresholds: Thresholds) -> tuple[BestClass, NDArray[np.int32] | None] | None:
        """What is prepared: the best classes, and what overrules them."""
        lesson, corrected = self._lesson, self._corrected
        if lesson is None:
            best = self._find_plain(thresholds)
            return None if best is None else (best, None)
        if corrected is None or corrected.lesson is not lesson or corrected.key != _key(thresholds):
            return None
        return corrected.best, lesson.said

    def _find_plain(self, thresholds: Thresholds) -> BestClass | None:
        """The best classes by the words alone, where they are prepared."""
        if self._ranked is not None and self._ranked[0] == thresholds.min_max:
            return self._ranked[1].at(thresholds.class_threshold)
        key = thresholds.class_threshold, thresholds.min_max
        return self._best[1] if self._best is not None and self._best[0] == key else None

    def _prepare_plain(self, thresholds: Thresholds) -> None:
        min_max = thresholds.min_max
        ranked = self.scores.ranked(stage=self.stage, min_max=min_max, limit=self._limit)
        if ranked is not None:
            self._ranked = min_max, ranked
        else:
            best = self.scores.best(
                stage=self.stage, class_threshold=thresholds.class_threshold, min_max=min_max
            )
            self._best = (thresholds.class_threshold, min_max), best

    def _moved(self, thresholds: Thresholds, lesson: _Lesson) -> tuple[ScorePlanes, Shift]:
        """The planes that are compared, and how a lesson moves them."""
        from .spreading import shift_by  # noqa: PLC0415 - torch, only when something was said

        planes = self._planes_of(thresholds, self._weights(thresholds, lesson.named))
        threshold = thresholds.background_threshold
        wrong = _corrections().wrong_by(planes, lesson.said, threshold)
        return planes, shift_by(lesson.affinity, lesson.said, wrong, len(self.scores.classes))

    def _weights(self, thresholds: Thresholds, named: Collection[int]) -> dict[int, float]:
        """1 for each class that the words find, 0 for others that a person named; by index."""
        best = self._find_plain(thresholds)
        if best is None:
            self._prepare_plain(thresholds)
            best = self._find_plain(thresholds)
        assert best is not None  # noqa: S101 - it has just been prepared
        found = {int(label) - 1 for label in np.flatnonzero(np.bincount(best.label.ravel()))}
        return {index: float(index in found) for index in sorted({*found, *named} - {-1})}

    def _planes_of(self, thresholds: Thresholds, weights: Mapping[int, float]) -> ScorePlanes:
        """The planes of some classes; they are kept, as the next stroke asks for the same."""
        min_max = thresholds.min_max if self.scores.config.rule == "cliper" else None
        kept = self._planes
        missing = {index for index, weight in weights.items() if weight}
        if kept is None or kept[0] != thresholds.min_max or not missing <= {*kept[1].chosen}:
            planes = self.scores.planes(sorted(missing), stage=self.stage, min_max=min_max)
            kept = self._planes = thresholds.min_max, planes
        return kept[1].weighted(weights)


def _key(thresholds: Thresholds) -> tuple[float, float, bool]:
    """What corrected best classes depend on, beside the evidence."""
    return thresholds.class_threshold, thresholds.background_threshold, thresholds.min_max


def _corrections() -> ModuleType:
    """Loads torch: only when something was said."""
    from . import corrections  # noqa: PLC0415

    return corrections
