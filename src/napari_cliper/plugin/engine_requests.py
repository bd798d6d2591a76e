"""Requests to the engine, and their results. Without Qt."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from ..labels.regions import connected_regions, label_counts
from ..segmentation import (
    ClassPrompt,
    Composite,
    InvalidInputError,
    LabelsByChunk,
    LiveLabels,
    SegmentationConfig,
    Thresholds,
    UserHints,
    corrected,
    in_chunks,
    labels_by_chunk,
    live_on_grid,
)
from . import ui_text
from .layers.outlines import outlines_of_large

if TYPE_CHECKING:
    from ..labels.label_class import ClassRow
    from ..labels.labelled_image import LabelArray
    from ..segmentation import (
        ImageEmbedding,
        Prototypes,
        ScoreMaps,
        Segmenter,
        Shortfall,
        Stage,
    )

Limits = tuple[float, float]

COUNTED_UP_TO = 2**24
"""Pixels of the largest image whose regions are counted by a run."""


def _percentiles() -> Limits | None:
    """No contrast limits, so that percentiles of the image are used."""
    return None


def no_masks() -> NDArray[Any] | None:
    """No masks, so that the engine computes those that the method needs."""
    return None


def digest(image: Any) -> str:
    """A hash of the pixels, shape and dtype of an image, and of how channels are shown."""
    pixels = np.asarray(image)
    hasher = hashlib.blake2b(f"{pixels.shape}{pixels.dtype}".encode())
    hasher.update(pixels.tobytes())
    if isinstance(image, Composite):  # the record of the embedding says what was combined
        hasher.update(str(image.record).encode())
    return hasher.hexdigest()


@dataclass(frozen=True, eq=False)
class ImageInput:
    """An image as the engine takes it; the callables are called in the thread of a job.

    Parameters
    ----------
    read : callable
        Returns the pixels of the image, or a `Composite` of them.
    contrast : callable
        Returns the contrast limits of a grey image, or None.
    gamma : float
        Gamma of a grey image.
    masks : callable
        Returns the masks for a method that uses them, or None.
    pixel_size : float, optional
        Side of a pixel in micrometres.
    """

    read: Callable[[], Any]
    contrast: Callable[[], Limits | None] = _percentiles
    gamma: float = 1.0
    masks: Callable[[], NDArray[Any] | None] = no_masks
    pixel_size: float | None = None


@dataclass(frozen=True, eq=False)
class Request:
    """The input of a run: a snapshot of the settings at the time when Run was pressed.

    Parameters
    ----------
    image : ImageInput
    config : SegmentationConfig
    classes : tuple of ClassPrompt
    background : tuple of str
    thresholds : Thresholds, optional
        Thresholds of the first labels. Default: the published ones.
    prototypes : Prototypes, optional
        Visual prototypes. Those of another model are not used, with a note.
    prototype_weight : float, optional
        Their weight relative to the words, 0 to 1; None chooses it for each class.
    by_chunk : bool
        Whether labels are computed chunk by chunk when they are read; only with tiles.
    """

    image: ImageInput
    config: SegmentationConfig
    classes: tuple[ClassPrompt, ...]
    background: tuple[str, ...]
    thresholds: Thresholds | None = None
    prototypes: Prototypes | None = None
    prototype_weight: float | None = None
    by_chunk: bool = False


@dataclass(frozen=True, eq=False)
class LearningRequest:
    """The input for learning prototypes from an image: a snapshot of its annotation.

    Parameters
    ----------
    image : ImageInput
    config : SegmentationConfig
    annotated : callable
        Returns the labels, (Y, X) array of int, and which of them the user has confirmed, (Y, X)
        bool array; called in the thread.
    names : mapping of int to str
        The class name of each label.
    source : str
        Name of the image.
    """

    image: ImageInput
    config: SegmentationConfig
    annotated: Callable[[], tuple[NDArray[Any], NDArray[Any]]]
    names: Mapping[int, str]
    source: str


@dataclass(frozen=True, eq=False)
class Found:
    """What a result contains at its first thresholds.

    Parameters
    ----------
    classes : int
        How many classes have a pixel.
    complete : bool
        Whether no other class can have one; not while labels are computed chunk by chunk.
    regions : int or None
        Connected regions of one class; None if counting would take too much memory.
    short : tuple of Shortfall
        Classes without a pixel, below a threshold; the best first.
    """

    classes: int
    regions: int | None
    short: tuple[Shortfall, ...]
    complete: bool = True

    @classmethod
    def of(cls, labels: LabelArray | LabelsByChunk, short: tuple[Shortfall, ...]) -> Found:
        """Return what labels contain; regions of a very large image are not counted."""
        if isinstance(labels, LabelsByChunk):
            if not labels.complete:  # a pixel may reach what no pixel of the reduced copy does
                short = tuple(one for one in short if one.kind == "class")
            return cls(len(labels.found), None, short, complete=labels.complete)
        if labels.size > COUNTED_UP_TO:
            return cls(len(set(np.unique(labels).tolist()) - {0}), None, short)
        regions = connected_regions(labels)
        return cls(len(np.unique(regions.labels)), len(regions.labels), short)


@dataclass(frozen=True, eq=False)
class Propagated:
    """How the labels of a plane were propagated from a corrected plane.

    Parameters
    ----------
    hints : UserHints
        The hints that the labels follow: those from the plane before and the user's own.
    seeds : (Y, X) int32 array
        Those from the plane before, -1 for none.
    steps : int
        Number of planes from the corrected plane.
    """

    hints: UserHints
    seeds: NDArray[np.int32]
    steps: int


@dataclass(frozen=True, eq=False)
class Outcome:
    """The result of a request.

    Parameters
    ----------
    scores : ScoreMaps
    live : mapping of str to LiveLabels
        By stage, labels that follow thresholds; those on the grid of the maps, if labels are
        computed chunk by chunk.
    thresholds : Thresholds
        The thresholds for which labels are already computed.
    encoded : bool
        Whether the image was encoded, instead of taken from the cache.
    embedding : ImageEmbedding
        The embedding that was scored.
    found : Found
    labels : mapping of str to (Y, X) array or LabelsByChunk
        By stage, for these thresholds.
    outlines : mapping of str to (Y, X) array
        By stage, of the labels, if the plane is large.
    counts : mapping of str to (classes + 1,) int64 array
        By stage, the pixels of each label; not of labels that are computed chunk by chunk.
    notes : tuple of str
        Remarks to show to the user.
    propagated : Propagated, optional
        Of labels that were propagated from another plane.
    """

    scores: ScoreMaps
    live: Mapping[Stage, LiveLabels]
    thresholds: Thresholds
    encoded: bool
    embedding: ImageEmbedding
    found: Found
    labels: Mapping[Stage, LabelArray | LabelsByChunk]
    outlines: Mapping[Stage, LabelArray]
    counts: Mapping[Stage, NDArray[Any]]
    notes: tuple[str, ...] = ()
    propagated: Propagated | None = None

    @property
    def hints(self) -> UserHints | None:
        """The hints that the labels follow."""
        return None if self.propagated is None else self.propagated.hints

    @property
    def by_chunk(self) -> bool:
        """Whether labels are computed chunk by chunk."""
        return any(isinstance(one, LabelsByChunk) for one in self.labels.values())

    @property
    def hinted_shape(self) -> tuple[int, int] | None:
        """(Y, X) of the copy of a large image on which hints propagate; None: on the image."""
        return next(iter(self.live.values())).scores.shape if self.by_chunk else None

    def labels_for(
        self,
        thresholds: Thresholds,
        hints: UserHints | None,
        before: Mapping[Stage, LabelArray | LabelsByChunk],
    ) -> Mapping[Stage, LabelArray | LabelsByChunk]:
        """Return the labels of each stage for other thresholds and hints; call it in a thread.

        What is known from labels `before` is used again.
        """
        if self.by_chunk:
            known = {stage: one for stage, one in before.items() if isinstance(one, LabelsByChunk)}
            return labels_by_chunk(self.scores, self.live, thresholds, hints, known)
        return corrected(self.live, hints, thresholds)

    def renamed(self, classes: tuple[ClassPrompt, ...]) -> Outcome:
        """Return a copy with other names for the classes; its labels stay."""
        scores = replace(self.scores, classes=classes)
        return replace(self, scores=scores, live=_live(scores, by_chunk=self.by_chunk))


def outcome_of(
    request: Request, scores: ScoreMaps, embedding: ImageEmbedding, **more: Any
) -> Outcome:
    """Return the labels of a request for its thresholds, and what they contain."""
    thresholds = request.thresholds or scores.settings.thresholds
    by_chunk = request.by_chunk and embedding.tiles is not None and in_chunks(scores)
    live = _live(scores, by_chunk=by_chunk)
    labels: Mapping[Stage, LabelArray | LabelsByChunk] = (
        labels_by_chunk(scores, live, thresholds)
        if by_chunk
        else {stage: one.labels(thresholds) for stage, one in live.items()}
    )
    outlines = outlines_of_large(labels)
    warm_up(live, labels, thresholds)
    last = scores.stages[-1]
    return Outcome(
        scores=scores,
        live=live,
        thresholds=thresholds,
        embedding=embedding,
        found=Found.of(labels[last], live[last].shortfalls(thresholds)),
        labels=labels,
        outlines=outlines,
        counts=counts_of(labels, len(scores.classes)),
        **more,
    )


def counts_of(
    labels: Mapping[Stage, LabelArray | LabelsByChunk], classes: int
) -> dict[Stage, NDArray[Any]]:
    """Return the pixels of each label by stage, for so many classes; call it in a thread."""
    return {
        stage: label_counts(one, classes + 1)
        for stage, one in labels.items()
        if not isinstance(one, LabelsByChunk)
    }


def _live(scores: ScoreMaps, *, by_chunk: bool) -> dict[Stage, LiveLabels]:
    if by_chunk:
        return live_on_grid(scores)
    return {stage: LiveLabels(scores, stage) for stage in scores.stages}


def warm_up(
    live: Mapping[Stage, LiveLabels],
    labels: Mapping[Stage, LabelArray | LabelsByChunk],
    thresholds: Thresholds,
) -> None:
    """Compute in the thread what the window says where nothing was found."""
    for stage, found in labels.items():
        if not found.any():
            live[stage].shortfalls(thresholds)


def classes_of(rows: Sequence[ClassRow]) -> tuple[tuple[ClassPrompt, ...], tuple[str, ...]]:
    """Rows of the class table as the engine's classes and background words."""
    classes = tuple(
        ClassPrompt(row.name, row.synonyms, row.prompt) for row in rows if not row.background
    )
    words = tuple(w for row in rows if row.background for w in (row.name, *row.synonyms))
    return classes, words


def usable_prototypes(
    segmenter: Segmenter, prototypes: Prototypes | None
) -> tuple[Prototypes | None, tuple[str, ...]]:
    """Return the prototypes if they are of this model, else None and a note."""
    if not prototypes:
        return None, ()
    try:
        prototypes.check_model(segmenter.identity, segmenter.config.model)
    except InvalidInputError as error:
        return None, (ui_text.prototypes_left_out(error),)
    return prototypes, ()
