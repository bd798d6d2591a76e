"""The work in a thread when hints or thresholds change. Without Qt.

Each function works on a snapshot that was taken in the window's thread, and changes nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from ...annotation.label_store import LabelStore
from ...annotation.stored_grid import StoredHints, on_grid
from ...annotation.user_hints import Click, Hints, confirmed_by, hints_of
from ...labels.label_class import ClassRow
from ...labels.labelled_image import LabelArray
from ...segmentation import (
    LabelsByChunk,
    LiveLabels,
    Report,
    ShouldStop,
    Thresholds,
    UserHints,
)
from ..engine_requests import counts_of, warm_up
from ..layers.changed_labels import ChangedLabels
from ..layers.image_layers import ImageChoice
from ..layers.outlines import outlines_of_large

if TYPE_CHECKING:
    from ...segmentation import ImageAffinity, Stage
    from .kept_results import Kept

GetAffinity = Callable[[Report, ShouldStop], "ImageAffinity"]
ReadHints = Callable[[Report, ShouldStop], "tuple[Hints, UserHints | None]"]


@dataclass(frozen=True, eq=False)
class Drawn:
    """Copy of what the user has drawn on the region of a result.

    Parameters
    ----------
    labels : (Y, X) uint16 array
        The annotation.
    edit_mask : (Y, X) uint8 array
    classes : mapping of int to ClassRow
        Classes of the annotation by label.
    clicks : list of (str, int, int)
        See `annotation.user_hints.clicks_on`.
    pixels : StoredHints, optional
        Of a large image: what is drawn in its pixels, not on a reduced copy. Without class names.
    """

    labels: NDArray[np.uint16]
    edit_mask: NDArray[np.uint8]
    classes: Mapping[int, ClassRow]
    clicks: list[Click]
    pixels: StoredHints | None = None


Draw = Callable[[], Drawn]
"""Returns what is drawn; called in a thread."""


@dataclass(frozen=True, eq=False)
class LabelUpdate:
    """Labels of a result for the newest hints and thresholds.

    Parameters
    ----------
    kept : Kept
        The result.
    thresholds : Thresholds
    hints : Hints or None
        The hints; None if hints are not used.
    user_hints : UserHints or None
        The same for the engine; None if there is no hint.
    labels : mapping of str to (Y, X) array or LabelsByChunk
        By stage; empty if neither hints nor thresholds have changed.
    outlines : mapping of str to (Y, X) array
        Of these labels, if the plane is large.
    counts : mapping of str to (classes + 1,) int64 array
        The pixels of each label; empty if they are not known.
    changed : mapping of str to ChangedLabels
        What has changed, if only hints have.
    """

    kept: Kept
    thresholds: Thresholds
    hints: Hints | None
    user_hints: UserHints | None
    labels: Mapping[Stage, LabelArray | LabelsByChunk]
    outlines: Mapping[Stage, NDArray[np.uint8 | np.uint16]]
    counts: Mapping[Stage, NDArray[Any]] = field(default_factory=dict)
    changed: Mapping[Stage, ChangedLabels] = field(default_factory=dict)


def drawn_on_grid(
    store: LabelStore | None,
    choice: ImageChoice,
    classes: Mapping[int, ClassRow],
    clicks: Sequence[Click],
    grid: tuple[int, int],
    *,
    painted_only: bool,
) -> Drawn:
    """Return what is drawn on a large image, reduced to a grid; call it in a thread.

    Parameters
    ----------
    store : LabelStore or None
        The annotation; None if there is none.
    choice : ImageChoice
    classes : mapping of int to ClassRow
        Of the annotation.
    clicks : sequence of (str, int, int)
        In pixels of the choice.
    grid : (int, int)
        Rows and columns of cells.
    painted_only : bool
        Whether what is not painted is left out.
    """
    height, width = choice.shape
    region = choice.region or (slice(0, height), slice(0, width))
    labels, edit_mask, painted = np.zeros(grid, np.uint16), np.zeros(grid, np.uint8), b""
    if store is not None:
        store = store.fork()
        labels, edit_mask, painted = on_grid(store, region, grid, painted_only=painted_only)
    reduced = [
        (name, row * grid[0] // height, column * grid[1] // width) for name, row, column in clicks
    ]
    pixels = StoredHints(store, region, classes, tuple(clicks), (), painted)
    return Drawn(labels, edit_mask, classes, reduced, pixels)


def read_hints(
    draw: Draw,
    names: Sequence[str],
    affinity: GetAffinity,
    report: Report,
    should_stop: ShouldStop,
    *,
    seeds: NDArray[np.int32] | None = None,
) -> tuple[Hints, UserHints | None]:
    """Return the hints in what was drawn, and the same for the engine; None if there are none.

    Parameters
    ----------
    draw : callable
        Returns what is drawn.
    names : sequence of str
        Class names of the result.
    affinity : callable
        Returns the affinity of the image; called only if there is a hint.
    seeds : (Y, X) int32 array, optional
        Hints that were propagated from another plane.
    """
    from ...segmentation import with_user_hints  # noqa: PLC0415 - torch

    drawn = draw()
    hints = hints_of(drawn.labels, drawn.edit_mask, drawn.classes, drawn.clicks, names)
    labels = hints.hint_labels
    if seeds is None and not (hints.painted or hints.clicked):
        return hints, None
    found = affinity(report, should_stop)
    if seeds is not None:
        labels = with_user_hints(seeds, labels, found)
    pixels = None if drawn.pixels is None else replace(drawn.pixels, names=tuple(names))
    return hints, UserHints(found, labels, pixels)


def update_labels(
    kept: Kept,
    thresholds: Thresholds,
    read: ReadHints | None,
    report: Report,
    should_stop: ShouldStop,
) -> LabelUpdate:
    """Return the labels of each stage of a result, if hints or thresholds have changed.

    Parameters
    ----------
    kept : Kept
        The result; ``kept.followed`` is what its labels show.
    thresholds : Thresholds
    read : callable or None
        Returns the hints; None if hints are not used.
    """
    shown_thresholds, shown_hints = kept.followed
    hints, user_hints = (None, None) if read is None else read(report, should_stop)
    if user_hints and shown_hints and user_hints.same(shown_hints):
        user_hints = shown_hints  # the engine remembers these
    update = partial(LabelUpdate, kept, thresholds, hints, user_hints)
    if thresholds == shown_thresholds and user_hints is shown_hints:
        return update({}, {})
    outcome = kept.shown.outcome
    labels = outcome.labels_for(thresholds, user_hints, kept.labels)
    warm_up(outcome.live, labels, thresholds)
    changed = {
        stage: ChangedLabels.of(kept.labels[stage], one)
        for stage, one in labels.items()
        if thresholds == shown_thresholds and stage in kept.labels
    }
    counts = counts_of(labels, len(outcome.scores.classes))
    return update(labels, outlines_of_large(labels), counts, changed)


@dataclass(frozen=True, eq=False)
class UncertainPlaces:
    """Where a result is uncertain.

    Parameters
    ----------
    map : (Y, X) float32 array
        From 0 (certain) to 1; on the grid of the maps, if labels are computed by chunk.
    places : list of (int, int)
        Rows and columns of uncertain places in the map, the most uncertain first.
    """

    map: NDArray[np.float32]
    places: list[tuple[int, int]]


def uncertain_places(
    live: LiveLabels,
    thresholds: Thresholds,
    hints: UserHints | None,
    draw: Draw,
    _report: Report,
    _should_stop: ShouldStop,
) -> UncertainPlaces:
    """Return the uncertainty of a result, and the places that the user has not decided."""
    from ...segmentation import most_uncertain  # noqa: PLC0415 - torch

    found, drawn = live.uncertainty(thresholds, hints), draw()
    regions = None if hints is None else hints.affinity.walked[hints.affinity.regions]
    confirmed = confirmed_by(drawn.edit_mask, drawn.clicks, regions)
    return UncertainPlaces(found, most_uncertain(found, confirmed))
