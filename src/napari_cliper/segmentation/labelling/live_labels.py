"""Labels that follow thresholds and hints while a user changes them.

`corrected` is the one call: the labels of each stage for some hints and thresholds. `LiveLabels`
remembers what it has computed of one stage, so that the next call is faster; its answers don't
depend on that.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Literal, Protocol

import numpy as np
from numpy.typing import NDArray

from ..cpu_threads import one_blas_thread
from ..errors import InvalidInputError
from .thresholds import Thresholds

if TYPE_CHECKING:
    from ..propagation.affinity import ImageAffinity
    from ..propagation.label_propagation import Propagated
    from ..results import ScoreMaps, Stage
    from ..tiles import Window
    from .corrected_labels import TextScores
    from .label_rule import BestClass, LabelArray, LabelRule, RankedBest
    from .uncertainty import ScorePlanes


PART_BYTES = 1 << 28
"""Memory for planes that are needed for the uncertainty alone."""

RUNNERS_UP = 8
"""Number of classes, by score, that count for the uncertainty whether they win or not."""


@dataclass(frozen=True)
class Shortfall:
    """A class without a pixel, and the threshold that it does not reach.

    Parameters
    ----------
    name : str
        The class.
    value : float
        Its score, or its best pixel's.
    threshold : float
    kind : {'class', 'pixel'}
        Whether the score is compared with the class threshold, or the best pixel with the
        background threshold or the per-class threshold.
    """

    name: str
    value: float
    threshold: float
    kind: Literal["class", "pixel"]


class PixelHints(Protocol):
    """Hints in the pixels of a large image, which are read where they are needed."""

    @property
    def key(self) -> object:
        """What is equal for the same hints."""
        ...

    def at(self, window: Window) -> NDArray[np.int32]:
        """Hints in a part of the image, as `UserHints.labels`; never change."""
        ...


@dataclass(frozen=True, eq=False)
class UserHints:
    """Hints of the user on an image, and the affinity along which they propagate.

    Parameters
    ----------
    affinity : ImageAffinity
        Of the same image.
    labels : (Y, X) array of int
        -1 for no hint, 0 for background, i + 1 for class i of the result.
    pixels : PixelHints, optional
        If the image is a reduced copy: the hints in the pixels of the image itself.

    Raises
    ------
    InvalidInputError
        For arrays of different sizes, and for labels below -1.
    """

    affinity: ImageAffinity
    labels: NDArray[Any]
    pixels: PixelHints | None = None

    def __post_init__(self) -> None:
        """Check the labels and take them as int32."""
        if self.affinity.regions.shape != self.labels.shape:
            raise InvalidInputError(
                f"Hints are {self.labels.shape}, their image is {self.affinity.regions.shape}: "
                "they must be of one size."
            )
        if self.labels.min() < -1:
            raise InvalidInputError(
                f"A hint is {self.labels.min()}. Give -1 for none, 0 for background, or a label."
            )
        object.__setattr__(self, "labels", self.labels.astype(np.int32))

    def same(self, other: UserHints) -> bool:
        """Return whether the hints of the same image are the same."""
        keys = [None if one.pixels is None else one.pixels.key for one in (self, other)]
        return keys[0] == keys[1] and np.array_equal(self.labels, other.labels)

    @property
    def classes(self) -> list[int]:
        """Indices of the classes that have hints."""
        counts = np.bincount(self.labels[self.labels > 0])
        return [int(label) - 1 for label in np.flatnonzero(counts)]


def corrected(
    snapshot: Mapping[Stage, LiveLabels], hints: UserHints | None, thresholds: Thresholds
) -> dict[Stage, LabelArray]:
    """Compute the labels of each stage for hints and thresholds.

    Parameters
    ----------
    snapshot : mapping of str to LiveLabels
        A result by stage.
    hints : UserHints or None
        None for the text scores alone.
    thresholds : Thresholds
        Per-class thresholds of classes that the result lacks are ignored.

    Returns
    -------
    dict of str to (Y, X) uint8 or uint16 array
        By stage. 0 is background, i + 1 is class i. Pixels with a hint have the hint's label.

    Raises
    ------
    InvalidInputError
        For hints of another size than the result, or of a class that it lacks.
    """
    return {stage: live.labels(thresholds, hints) for stage, live in snapshot.items()}


class LiveLabels:
    """Labels of one stage of a result, for thresholds and hints that change.

    Parameters
    ----------
    scores : ScoreMaps
    stage : {'coarse', 'refined'}
    limit : int
        Bytes that the best classes for every class threshold may take; above it, only those of
        the last class threshold are remembered.
    """

    def __init__(self, scores: ScoreMaps, stage: Stage, *, limit: int = 1 << 29) -> None:
        self.scores = scores
        self.stage = stage
        self._limit = limit
        # Each is replaced as a whole, so that two threads may use it.
        self._ranked: tuple[bool, RankedBest] | None = None
        self._best: tuple[tuple[float, bool], BestClass] | None = None
        self._planes: tuple[bool, ScorePlanes] | None = None
        self._corrected: tuple[UserHints, Thresholds, LabelArray] | None = None
        self._short: tuple[Thresholds, tuple[Shortfall, ...]] | None = None

    # ------------------------------------------------------------------ memory

    @property
    def nbytes(self) -> int:
        """Bytes of memory that what is remembered takes."""
        ranked, best, planes, found = self._ranked, self._best, self._planes, self._corrected
        bests = () if ranked is None else ranked[1].bests
        every = (*bests, *(() if best is None else (best[1],)))
        total: int = (
            sum(one.value.nbytes + one.label.nbytes for one in every)
            + (0 if planes is None else sum(plane.nbytes for plane in planes[1].classes))
            + (0 if found is None else found[2].nbytes)
        )
        return total

    def release(self) -> None:
        """Forget what is remembered."""
        self._ranked = self._best = self._planes = self._corrected = None

    # ------------------------------------------------------------------ labels

    def ready(self, thresholds: Thresholds, hints: UserHints | None = None) -> bool:
        """Whether `labels` takes milliseconds."""
        hints = self._checked(hints)
        if hints is None:
            return self._find_plain(thresholds) is not None
        return self._find_corrected(thresholds, hints) is not None

    def labels(self, thresholds: Thresholds, hints: UserHints | None = None) -> LabelArray:
        """Labels of these thresholds and hints, (Y, X) uint8 or uint16; see `corrected`."""
        hints = self._checked(hints)
        if hints is None:
            self._planes = self._corrected = None
            return self._rule(thresholds).labels(self._plain(thresholds))
        labels = self._find_corrected(thresholds, hints)
        if labels is None:
            from .corrected_labels import corrected_labels  # noqa: PLC0415 - torch

            labels = corrected_labels(*self.propagated(thresholds, hints))
            self._corrected = hints, thresholds, labels
        return labels.copy()

    def winners(self, thresholds: Thresholds) -> frozenset[int]:
        """The labels that are best at some pixel, before the background is considered."""
        counts = np.bincount(self._plain(thresholds).label.ravel())
        return frozenset(np.flatnonzero(counts).tolist())

    def uncertainty(
        self,
        thresholds: Thresholds,
        hints: UserHints | None = None,
        *,
        winners: frozenset[int] | None = None,
    ) -> NDArray[np.float32]:
        """How near the two best classes are to each other, the background among them.

        A class whose score is below the class threshold counts in proportion to its score: where
        the text scores find nothing, it is not certain that there is nothing.

        Parameters
        ----------
        thresholds, hints
            As for `corrected`.
        winners : frozenset of int, optional
            For a part of an image, the `winners` of all of it. Default: those of the result.

        Returns
        -------
        (Y, X) float32 array
            From 0 (certain, or a hint) to 1 (even).
        """
        from .corrected_labels import corrected_uncertainty  # noqa: PLC0415 - torch
        from .uncertainty import uncertainty  # noqa: PLC0415 - torch

        hints = self._checked(hints)
        winners = self.winners(thresholds) if winners is None else winners
        weights = {label - 1: 1.0 for label in sorted(winners) if label}
        values = self.scores.stage(self.stage).class_scores
        least = thresholds.class_threshold
        for index in np.argsort(-values)[:RUNNERS_UP].tolist():
            value = float(values[index])
            weight = value / least if value < least else 1.0
            weights[index] = max(weights.get(index, 0.0), weight)
        every = dict(sorted(weights.items()))
        by_text: NDArray[np.float32] = uncertainty(
            self._parts_of(thresholds, every), self._rule(thresholds)
        )
        if hints is None:
            return by_text
        return corrected_uncertainty(*self.propagated(thresholds, hints), by_text)

    def shortfalls(self, thresholds: Thresholds) -> tuple[Shortfall, ...]:
        """Which classes do not reach which threshold, by the text scores alone.

        Returns
        -------
        tuple of Shortfall
            The best first: classes whose score is not above the class threshold, and classes
            that are best somewhere, but whose best pixel does not reach its threshold. Empty for
            classes with a pixel, and for those that others hide everywhere. Those of the last
            thresholds are remembered.
        """
        if self._short is not None and self._short[0] == thresholds:
            return self._short[1]
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
        ordered = tuple(sorted(short, key=lambda one: (one.kind, one.value), reverse=True))
        self._short = thresholds, ordered
        return ordered

    # ------------------------------------------------------------------ parts

    def _checked(self, hints: UserHints | None) -> UserHints | None:
        """The hints, if they fit the result; None if there is no hint."""
        if hints is None or not (hints.labels >= 0).any():
            return None
        if hints.labels.shape != self.scores.shape:
            raise InvalidInputError(
                f"Hints are {hints.labels.shape}, the result is {self.scores.shape}: they must be "
                "of one size."
            )
        if hints.labels.max() > len(self.scores.classes):
            raise InvalidInputError(
                f"A hint is class {hints.labels.max()}; the result has {len(self.scores.classes)}."
            )
        return hints

    def _rule(self, thresholds: Thresholds) -> LabelRule:
        """The labelling rule; thresholds of classes that the result lacks are ignored."""
        return self.scores.rule(thresholds.only_for([one.name for one in self.scores.classes]))

    def _find_corrected(self, thresholds: Thresholds, hints: UserHints) -> LabelArray | None:
        """The corrected labels, if they are remembered."""
        found = self._corrected
        if found is None or found[0] is not hints or found[1] != thresholds:
            return None
        return found[2]

    def _find_plain(self, thresholds: Thresholds) -> BestClass | None:
        """The best classes by the text scores alone, if they are remembered."""
        ranked, best = self._ranked, self._best
        if ranked is not None and ranked[0] == thresholds.min_max:
            return ranked[1].at(thresholds.class_threshold)
        key = thresholds.class_threshold, thresholds.min_max
        return best[1] if best is not None and best[0] == key else None

    def _plain(self, thresholds: Thresholds) -> BestClass:
        """The best classes by the text scores alone."""
        found = self._find_plain(thresholds)
        if found is not None:
            return found
        ranked = self.scores.ranked(thresholds, stage=self.stage, limit=self._limit)
        if ranked is not None:
            self._ranked = thresholds.min_max, ranked
            return ranked.at(thresholds.class_threshold)
        best = self.scores.best(thresholds, stage=self.stage)
        self._best = (thresholds.class_threshold, thresholds.min_max), best
        return best

    def propagated(self, thresholds: Thresholds, hints: UserHints) -> tuple[Propagated, TextScores]:
        """How well labels fit by the hints, and by the text scores; there is at least one hint."""
        from ..propagation.label_propagation import propagate  # noqa: PLC0415 - torch

        text = self.by_text(thresholds, hints)
        with one_blas_thread():
            found = propagate(hints.affinity, hints.labels, text.labels, len(self.scores.classes))
        return found, text

    def by_text(
        self, thresholds: Thresholds, hints: UserHints, whole: TextScores | None = None
    ) -> TextScores:
        """What the text scores say beside hints; of a part of an image, with those of all of it."""
        from .corrected_labels import TextScores  # noqa: PLC0415 - torch

        thresholds = self._without_hinted(thresholds, hints)
        rule, best = self._rule(thresholds), self._plain(thresholds)
        labels = rule.labels(best)
        if whole is not None:
            planes = self._planes_of(thresholds, whole.planes.chosen)
            return TextScores(planes, best, rule, labels, whole.found)
        found = set(np.flatnonzero(np.bincount(best.label.ravel())).tolist())
        planes = self._planes_of(thresholds, [one for one in hints.classes if one + 1 in found])
        return TextScores(planes, best, rule, labels, bool(labels.any()))

    def _without_hinted(self, thresholds: Thresholds, hints: UserHints) -> Thresholds:
        """The thresholds, with the defaults for classes with hints, which compete without them."""
        default = self.scores.settings.thresholds
        names = [one.name for one in self.scores.classes]
        if (hints.labels == 0).any() and len(hints.classes) == len(names):
            return replace(default, min_max=thresholds.min_max)
        own = {
            names[index]: default.per_class.get(names[index], default.background_threshold)
            for index in hints.classes
        }
        return replace(thresholds, per_class={**thresholds.per_class, **own})

    def _planes_of(self, thresholds: Thresholds, classes: Collection[int]) -> ScorePlanes:
        """The planes of some classes, remembered for the next stroke."""
        kept = self._planes
        if kept is None or kept[0] != thresholds.min_max or not {*classes} <= {*kept[1].chosen}:
            planes = self.scores.planes(sorted(classes), thresholds, stage=self.stage)
            kept = self._planes = thresholds.min_max, planes
        return kept[1]

    def _parts_of(
        self, thresholds: Thresholds, weights: Mapping[int, float]
    ) -> Iterator[ScorePlanes]:
        """The same, some classes at a time, not remembered."""
        pixels = self.scores.shape[0] * self.scores.shape[1]
        at_once = max(PART_BYTES // (4 * pixels), 1)
        indices: Sequence[int] = list(weights)
        for start in range(0, max(len(indices), 1), at_once):
            some = indices[start : start + at_once]
            planes = self.scores.planes(some, thresholds, stage=self.stage)
            yield planes.weighted({index: weights[index] for index in some})
