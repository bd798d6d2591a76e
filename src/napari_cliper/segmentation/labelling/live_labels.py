"""Labels that follow thresholds and hints interactively.

The best classes are computed once: for every class threshold if memory allows, otherwise for the
current one. A change of the background threshold is then a single comparison. With hints (see
`propagation`), labels are recomputed after each change.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from types import ModuleType
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from numpy.typing import NDArray

from ..errors import InvalidInputError
from .thresholds import Thresholds

if TYPE_CHECKING:
    from ..propagation.label_propagation import ImageAffinity, Shift
    from ..results import ScoreMaps, Stage
    from .label_rule import BestClass, LabelArray, LabelRule, RankedBest
    from .uncertainty import ScorePlanes


_Key = tuple[float, float, bool, tuple[tuple[str, float], ...]]

PART_BYTES = 1 << 28
"""So much the planes may take that are made for the uncertainty alone."""

RUNNERS_UP = 8
"""So many classes of the highest scores count for the uncertainty, whether they win or not."""


@dataclass(frozen=True)
class Shortfall:
    """A class without a pixel, and the threshold that it stays below.

    Parameters
    ----------
    name : str
        The class.
    value : float
        Its score, or its best pixel's.
    threshold : float
    kind : {'class', 'pixel'}
        Whether the score is compared with the class threshold, or the best pixel with the
        background threshold or the class's own.
    """

    name: str
    value: float
    threshold: float
    kind: Literal["class", "pixel"]


@dataclass(frozen=True, eq=False)
class _LearningRequest:
    """Hints of the user, and the affinity along which they are propagated."""

    affinity: ImageAffinity
    hint_labels: NDArray[np.int32]

    @property
    def named(self) -> list[int]:
        """Indices of the classes with hints."""
        labels: list[int] = np.flatnonzero(
            np.bincount(self.hint_labels[self.hint_labels > 0])
        ).tolist()
        return [label - 1 for label in labels]


@dataclass(frozen=True, eq=False)
class _Corrected:
    """Corrected labels for one set of hints and thresholds."""

    learning_request: _LearningRequest
    key: _Key
    labels: LabelArray


class LiveLabels:
    """The labels of one stage of a result, for changing thresholds and hints.

    Parameters
    ----------
    scores : ScoreMaps
    stage : {'coarse', 'refined'}
    limit : int
        Most bytes used to prepare the labels for every class threshold.
    """

    def __init__(self, scores: ScoreMaps, stage: Stage, *, limit: int = 1 << 29) -> None:
        self.scores = scores
        self.stage = stage
        self._limit = limit
        # Each is replaced as a whole, so that other threads can read while one computes.
        self._ranked: tuple[bool, RankedBest] | None = None
        self._best: tuple[tuple[float, bool], BestClass] | None = None
        self._planes: tuple[bool, ScorePlanes] | None = None
        self._learning_request: _LearningRequest | None = None
        self._corrected: _Corrected | None = None

    # ------------------------------------------------------------------ memory

    @property
    def nbytes(self) -> int:
        """Bytes of memory that the cached data takes."""
        ranked, best, planes, corrected = self._ranked, self._best, self._planes, self._corrected
        bests = () if ranked is None else ranked[1].bests
        every = (*bests, *(() if best is None else (best[1],)))
        total: int = (
            sum(one.value.nbytes + one.label.nbytes for one in every)
            + (0 if planes is None else sum(plane.nbytes for plane in planes[1].classes))
            + (0 if corrected is None else corrected.labels.nbytes)
        )
        return total

    def release(self) -> None:
        """Free the cached data, which `labels` recomputes when needed; hints are kept."""
        self._ranked = self._best = self._planes = self._corrected = None

    # ------------------------------------------------------------------ hints

    def apply_hints(self, affinity: ImageAffinity | None, hint_labels: NDArray[Any] | None) -> None:
        """Set the hints that correct the labels.

        Parameters
        ----------
        affinity : ImageAffinity or None
            Affinity of the same image.
        hint_labels : (Y, X) array of int or None
            -1 for no hint, 0 for background, i + 1 for class i. With None, or without any hint,
            labels follow the scores only.

        Raises
        ------
        InvalidInputError
            For an array of another shape, and for values that are not a class.
        """
        if affinity is None or hint_labels is None or not (hint_labels >= 0).any():
            self._learning_request = self._corrected = self._planes = None
            return
        if hint_labels.shape != self.scores.shape or affinity.regions.shape != hint_labels.shape:
            raise InvalidInputError(
                f"Hints are {hint_labels.shape}, their image {affinity.regions.shape}, the result "
                f"{self.scores.shape}: they must be of one size."
            )
        if hint_labels.min() < -1:
            raise InvalidInputError(
                f"A hint is {hint_labels.min()}. Give -1 for none, 0 for background, or a label."
            )
        if hint_labels.max() > len(self.scores.classes):
            raise InvalidInputError(
                f"A hint is class {hint_labels.max()}; the result has {len(self.scores.classes)}."
            )
        self._learning_request = _LearningRequest(affinity, hint_labels.astype(np.int32))

    @property
    def taught(self) -> bool:
        """Whether hints correct the labels."""
        return self._learning_request is not None

    # ------------------------------------------------------------------ labels

    def ready(self, thresholds: Thresholds) -> bool:
        """Return whether the data for these thresholds is cached, so that `labels` is fast."""
        learning_request = self._learning_request
        if learning_request is None:
            return self._find_plain(thresholds) is not None
        return self._find_corrected(thresholds, learning_request) is not None

    def prepare(self, thresholds: Thresholds) -> None:
        """Compute and cache the data for these thresholds; may take seconds; thread-safe."""
        learning_request = self._learning_request
        if learning_request is None:
            self._plain(thresholds)
        else:
            self._correct(thresholds, learning_request)

    def labels(self, thresholds: Thresholds) -> LabelArray:
        """Return the labels for these thresholds, (Y, X) uint8 or uint16."""
        learning_request = self._learning_request
        if learning_request is None:
            best = self._plain(thresholds)
            return self._rule(thresholds).labels(best)
        return self._correct(thresholds, learning_request).copy()

    def uncertainty(self, thresholds: Thresholds) -> NDArray[np.float32]:
        """Return how close the two highest scores are, the background included.

        Classes below the class threshold are included with a reduced weight (score / threshold),
        because a region without a class is not necessarily certain.

        Returns
        -------
        (Y, X) float32 array
            From 0 (certain, or a hint) to 1 (equal scores).
        """
        learning_request = self._learning_request
        shift = None if learning_request is None else self._moved(thresholds, learning_request)[1]
        weights = self._weights(
            thresholds, () if learning_request is None else learning_request.named
        )
        values = self.scores.stage(self.stage).class_scores
        least = thresholds.class_threshold
        for index in np.argsort(-values)[:RUNNERS_UP].tolist():
            share = float(values[index]) / least if values[index] < least else 1.0
            weights[index] = max(weights.get(index, 0.0), share)
        every = dict(sorted(weights.items()))
        parts = (
            self._parts_of(thresholds, every)
            if learning_request is None
            else (self._planes_of(thresholds, every),)
        )
        uncertainty: NDArray[np.float32] = _corrections().uncertainty(
            parts, shift, self._rule(thresholds)
        )
        return uncertainty

    def shortfalls(self, thresholds: Thresholds) -> tuple[Shortfall, ...]:
        """Which classes stay below which threshold, by the words alone.

        Returns
        -------
        tuple of Shortfall
            The best first: classes whose score is not above the class threshold, and classes
            that are best somewhere, but whose best pixel does not reach its threshold. Empty for
            classes with a pixel, and for those that others hide everywhere.
        """
        best = self._plain(thresholds)
        scores = self.scores.stage(self.stage).class_scores
        labels = self._rule(thresholds).labels(best)
        found = set(np.flatnonzero(np.bincount(labels.ravel())).tolist())
        values = best.value.numpy()
        short = []
        for label, (one, score) in enumerate(
            zip(self.scores.classes, scores.tolist(), strict=True), 1
        ):
            if label in found:
                continue
            if score <= np.float32(thresholds.class_threshold):
                short.append(Shortfall(one.name, score, thresholds.class_threshold, "class"))
            elif (best.label == label).any():
                value = float(values[best.label == label].max())
                least = thresholds.per_class.get(one.name, thresholds.background_threshold)
                short.append(Shortfall(one.name, value, least, "pixel"))
        return tuple(sorted(short, key=lambda one: (one.kind, one.value), reverse=True))

    # ------------------------------------------------------------------ parts

    def _rule(self, thresholds: Thresholds) -> LabelRule:
        """The labelling rule; thresholds of classes that the result lacks are ignored."""
        return self.scores.rule(thresholds.only_for([one.name for one in self.scores.classes]))

    def _find_corrected(
        self, thresholds: Thresholds, learning_request: _LearningRequest
    ) -> LabelArray | None:
        """The corrected labels, where they are prepared."""
        found = self._corrected
        if (
            found is None
            or found.learning_request is not learning_request
            or found.key != _key(thresholds)
        ):
            return None
        return found.labels

    def _correct(self, thresholds: Thresholds, learning_request: _LearningRequest) -> LabelArray:
        """The corrected labels, as they are kept."""
        labels = self._find_corrected(thresholds, learning_request)
        if labels is None:
            planes, shift = self._moved(thresholds, learning_request)
            labels = _corrections().corrected_labels(planes, shift, self._rule(thresholds))
            self._corrected = _Corrected(learning_request, _key(thresholds), labels)
        return labels

    def _find_plain(self, thresholds: Thresholds) -> BestClass | None:
        """The best classes by the words alone, where they are prepared."""
        ranked, best = self._ranked, self._best
        if ranked is not None and ranked[0] == thresholds.min_max:
            return ranked[1].at(thresholds.class_threshold)
        key = thresholds.class_threshold, thresholds.min_max
        return best[1] if best is not None and best[0] == key else None

    def _plain(self, thresholds: Thresholds) -> BestClass:
        """The best classes by the words alone."""
        found = self._find_plain(thresholds)
        if found is not None:
            return found
        least, min_max = thresholds.class_threshold, thresholds.min_max
        ranked = self.scores.ranked(thresholds, stage=self.stage, limit=self._limit)
        if ranked is not None:
            self._ranked = min_max, ranked
            return ranked.at(least)
        best = self.scores.best(thresholds, stage=self.stage)
        self._best = (least, min_max), best
        return best

    def _moved(
        self, thresholds: Thresholds, learning_request: _LearningRequest
    ) -> tuple[ScorePlanes, Shift]:
        """Return the planes that are compared, and the shift that the hints cause."""
        from ..propagation.label_propagation import shift_by  # noqa: PLC0415 - torch, only when something was said

        planes = self._planes_of(thresholds, self._weights(thresholds, learning_request.named))
        wrong = _corrections().wrong_by(
            planes, learning_request.hint_labels, self._rule(thresholds)
        )
        words = self._rule(thresholds).labels(self._plain(thresholds))
        classes = len(self.scores.classes)
        return planes, shift_by(
            learning_request.affinity, learning_request.hint_labels, wrong, words, classes
        )

    def _weights(self, thresholds: Thresholds, named: Collection[int]) -> dict[int, float]:
        """Weights by class index: 1 for classes found by the scores, 0 for others with hints."""
        best = self._plain(thresholds)
        found = {int(label) - 1 for label in np.flatnonzero(np.bincount(best.label.ravel()))}
        return {index: float(index in found) for index in sorted({*found, *named} - {-1})}

    def _planes_of(self, thresholds: Thresholds, weights: Mapping[int, float]) -> ScorePlanes:
        """Return the planes of some classes; cached, because the next stroke needs them too."""
        kept = self._planes
        missing = {index for index, weight in weights.items() if weight}
        if kept is None or kept[0] != thresholds.min_max or not missing <= {*kept[1].chosen}:
            kept = self._planes = thresholds.min_max, self._made(thresholds, sorted(missing))
        return kept[1].weighted(weights)

    def _parts_of(
        self, thresholds: Thresholds, weights: Mapping[int, float]
    ) -> Iterator[ScorePlanes]:
        """Yield the same planes, some classes at a time, without caching."""
        pixels = self.scores.shape[0] * self.scores.shape[1]
        at_once = max(PART_BYTES // (4 * pixels), 1)
        indices = list(weights)
        for start in range(0, max(len(indices), 1), at_once):
            some = indices[start : start + at_once]
            planes = self._made(thresholds, some)
            yield planes.weighted({index: weights[index] for index in some})

    def _made(self, thresholds: Thresholds, chosen: Sequence[int]) -> ScorePlanes:
        return self.scores.planes(chosen, thresholds, stage=self.stage)


def _key(thresholds: Thresholds) -> _Key:
    """Cache key of corrected labels: the thresholds."""
    own = tuple(sorted(thresholds.per_class.items()))
    return thresholds.class_threshold, thresholds.background_threshold, thresholds.min_max, own


def _corrections() -> ModuleType:
    """Import the module, which loads torch, only when there are hints."""
    from . import uncertainty as corrections  # noqa: PLC0415

    return corrections
