"""Cache of results by image, plane and region, so that returning to a plane shows its result."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Self

from numpy.typing import NDArray

from ...annotation.class_change import ClassChange, change_thresholds
from ...annotation.project.prediction_store import StoredPrediction
from ...labels.label_class import ClassRow
from ...labels.labelled_image import LabelArray
from ...segmentation import LabelsByChunk, SegmentationConfig, Thresholds, UserHints
from ..engine_requests import Outcome
from ..layers.image_group import members_of
from ..layers.image_layers import ImageChoice, Key
from ..layers.prediction_layers import Prediction

if TYPE_CHECKING:
    from napari.layers import Layer

    from ...segmentation import Stage

RESULT_BYTES = 1_000_000_000


@dataclass(frozen=True, eq=False)
class Shown:
    """A result and its inputs.

    Parameters
    ----------
    choice : ImageChoice
    rows : tuple of ClassRow
        The classes, without the background.
    config : SegmentationConfig
    outcome : Outcome
    predictions : dict of str to Prediction
        By stage: the chosen one, or both.
    """

    choice: ImageChoice
    rows: tuple[ClassRow, ...]
    config: SegmentationConfig
    outcome: Outcome
    predictions: dict[Stage, Prediction]

    @property
    def nbytes(self) -> int:
        """Bytes of memory of the scores, the cached label data and the embedding."""
        outcome = self.outcome
        labels = sum(live.nbytes for live in outcome.live.values())
        return outcome.scores.nbytes + labels + outcome.embedding.nbytes

    @property
    def live(self) -> bool:
        """Whether a layer still follows thresholds and hints."""
        return any(one.live for one in self.predictions.values())

    def release(self) -> None:
        """Drop the cached label data; it is computed again when thresholds or hints change."""
        for live in self.outcome.live.values():
            live.release()


@dataclass(eq=False)
class Kept:
    """A result with the thresholds that the user has chosen for it.

    Parameters
    ----------
    shown : Shown
    thresholds : Thresholds
    followed : (Thresholds, UserHints or None)
        The thresholds and hints that `labels` were made with.
    labels : dict of str to (Y, X) array or LabelsByChunk
        Labels by stage.
    outlines : dict of str to (Y, X) array
        Outlines of these labels, for planes that are large.
    counts : mapping of str to (classes + 1,) int64 array
        The pixels of each label, as far as they are known.
    """

    shown: Shown
    thresholds: Thresholds
    followed: tuple[Thresholds, UserHints | None]
    labels: dict[Stage, LabelArray | LabelsByChunk]
    outlines: dict[Stage, LabelArray]
    counts: Mapping[Stage, NDArray[Any]] = field(default_factory=dict)

    @property
    def nbytes(self) -> int:
        """Bytes of memory of the result, its labels and their outlines."""
        arrays = (*self.labels.values(), *self.outlines.values())
        return self.shown.nbytes + sum(one.nbytes for one in arrays)

    def is_empty(self, seen: Prediction) -> bool:
        """Return whether a layer of the result has no pixel of any class."""
        counts = self.counts.get(seen.stage) if seen.live else None
        return not (seen.labels.any() if counts is None else counts[1:].any())

    @property
    def plane(self) -> PredictedPlane:
        """The plane, without the scores."""
        shown = self.shown
        return PredictedPlane(shown.choice, shown.rows, shown.predictions)

    def change_class(self, change: ClassChange) -> None:
        """Rename a class, or let the pixels of a merged one be accepted as the other."""
        shown, new = self.shown, change.new
        if new is None or not any(change.is_of(row.name) for row in shown.rows):
            return
        rows = _changed(shown.rows, change, new)
        outcome = shown.outcome
        if not change.merge:
            outcome = outcome.renamed(tuple(row.as_prompt() for row in rows))
        self.shown = replace(shown, rows=rows, outcome=outcome)
        self.thresholds = change_thresholds(self.thresholds, change)
        self.followed = change_thresholds(self.followed[0], change), self.followed[1]


def _changed(
    rows: tuple[ClassRow, ...], change: ClassChange, new: ClassRow
) -> tuple[ClassRow, ...]:
    return tuple(new if change.is_of(row.name) else row for row in rows)


@dataclass(frozen=True, eq=False)
class _Stored:
    """A prediction from a file."""

    choice: ImageChoice
    rows: tuple[ClassRow, ...]

    def with_class(self, change: ClassChange, new: ClassRow) -> Self:
        """A copy in which another class takes the place of the changed one."""
        return replace(self, rows=_changed(self.rows, change, new))


@dataclass(frozen=True, eq=False)
class StoredElsewhere(_Stored):
    """A prediction from a file, of a plane that has not been shown yet."""

    found: StoredPrediction


@dataclass(frozen=True, eq=False)
class StoredOnScreen(_Stored):
    """A prediction that was shown from a file."""

    prediction: Prediction


@dataclass(frozen=True, eq=False)
class PredictedPlane:
    """A plane with a prediction, whose scores may have been dropped.

    Parameters
    ----------
    choice : ImageChoice
    rows : tuple of ClassRow
        The classes, without the background.
    predictions : dict of str to Prediction
        By stage.
    """

    choice: ImageChoice
    rows: tuple[ClassRow, ...]
    predictions: Mapping[Stage, Prediction]

    def labels(self) -> LabelArray:
        """Return the predicted labels, (Y, X)."""
        *_, prediction = self.predictions.values()
        return prediction.labels_of(self.choice)


class KeptResults:
    """The results of one dock, up to `RESULT_BYTES`; the least recently used are dropped first.

    The result used last is kept even if it is larger.
    """

    def __init__(self) -> None:
        self._all: OrderedDict[Key, Kept] = OrderedDict()
        self._dropped: dict[Key, PredictedPlane] = {}

    def __iter__(self) -> Iterator[Kept]:
        """Iterate over the results, the most recently used first."""
        return iter(list(reversed(self._all.values())))

    @property
    def nbytes(self) -> int:
        """Bytes of memory that the results take."""
        return sum(one.nbytes for one in self._all.values())

    def add(self, kept: Kept) -> None:
        """Add a result; it replaces that of the same image, plane and region."""
        key = kept.shown.choice.key
        self._all[key] = kept
        self._dropped.pop(key, None)
        self.use(kept)

    def use(self, kept: Kept) -> None:
        """Mark a result as the most recently used, and drop others beyond `RESULT_BYTES`."""
        self._all.move_to_end(kept.shown.choice.key)
        while len(self._all) > 1 and self.nbytes > RESULT_BYTES:
            key, gone = self._all.popitem(last=False)
            self._dropped[key] = gone.plane

    def was_dropped(self, choice: ImageChoice) -> bool:
        """Whether a result for this image and plane was dropped to free memory."""
        image, plane, _ = choice.key
        return any(key[:2] == (image, plane) for key in self._dropped)

    def forget(self, image: Layer | None = None) -> None:
        """Drop the results of an image, by default of all images."""
        for key, kept in list(self._all.items()):
            if image is None or image in members_of(kept.shown.choice.layer):
                del self._all[key]
        self._dropped = {
            key: one
            for key, one in self._dropped.items()
            if image is not None
            and key[0]() is not None
            and image not in members_of(one.choice.layer)
        }

    def planes_of(self, image: Layer) -> list[PredictedPlane]:
        """Return the planes of an image that have a prediction, by their indices."""
        every = [*self._dropped.values(), *(one.plane for one in self._all.values())]
        found = [one for one in every if one.choice.layer is image and one.choice.is_current]
        return sorted(found, key=lambda one: one.choice.plane)

    def dropped_of(self, image: Layer) -> int:
        """Return how many results of an image were dropped to free memory."""
        return sum(one.choice.layer is image for one in self._dropped.values())
