"""Propagate the labels of a corrected plane to the next planes of a stack.

Prototypes learned from what the hints on the corrected plane confirm join the words on each next
plane. The inner part of the labels of the plane before becomes hints on it (`plane_seeds`), which
propagate as a user's hints do; but only where the plane resembles these labels on the corrected
plane (`propagation.appearance`), so that vanished objects leave no hints and errors do not build
up. The next plane then takes its hints from the labels of this one, until too few pixels agree
(`plane_agreement`).

How planes are chained, and the limit, are this project's own rule.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from .errors import InvalidInputError
from .labelling.live_labels import LiveLabels, UserHints, corrected
from .labelling.thresholds import AGREEMENT_LIMIT, Thresholds
from .progress import Monitor
from .prompts import ClassPrompt
from .propagation.affinity import OPEN, ImageAffinity
from .propagation.appearance import learn_appearance
from .propagation.superpixel_graph import image_affinity

if TYPE_CHECKING:
    from .labelling.label_rule import LabelArray
    from .results import ImageEmbedding, Stage
    from .segmenter import Segmenter

PROTOTYPE_WEIGHT = 0.8
"""Weight of the prototypes of the corrected plane relative to the words."""
DEEPEST = 32
"""Hints are at least so many parts of the shorter side from the edge of a label, or as far as half
of the deepest point of their region, if that is less."""


@dataclass(frozen=True, eq=False)
class ScoredPlane:
    """A plane before labels are propagated to it.

    Parameters
    ----------
    live : mapping of str to LiveLabels
        The scores by stage, the final one last.
    thresholds : Thresholds
    affinity : ImageAffinity
        Of the plane.
    hints : (Y, X) int32 array, optional
        The user's own hints on the plane, as in `UserHints`; they stay as they are.
    """

    live: Mapping[Stage, LiveLabels]
    thresholds: Thresholds
    affinity: ImageAffinity
    hints: NDArray[np.int32] | None = None


@dataclass(frozen=True, eq=False)
class PropagatedPlane:
    """The labels of a plane that were propagated from the plane before.

    Parameters
    ----------
    labels : mapping of str to (Y, X) array
        By stage, the final one last. 0 is background, i + 1 is class i.
    seeds : (Y, X) int32 array
        Hints from the plane before, -1 for none; without the user's own.
    hints : UserHints
        These and the user's own.
    agreement : float
        Of the final labels with those of the plane before, 0 to 1.
    """

    labels: Mapping[Stage, LabelArray]
    seeds: NDArray[np.int32]
    hints: UserHints
    agreement: float


def propagate_planes(
    labels: NDArray[np.integer[Any]],
    affinity: ImageAffinity,
    planes: Iterable[ScoredPlane],
    limit: float = AGREEMENT_LIMIT,
) -> Iterator[PropagatedPlane]:
    """Propagate the labels of a corrected plane to the next planes, one after the other.

    Parameters
    ----------
    labels : (Y, X) array of int
        Of the corrected plane: 0 is background, i + 1 is class i.
    affinity : ImageAffinity
        Of the corrected plane.
    planes : iterable of ScoredPlane
        The next planes, the nearest first, for example from `scored_planes`; each is asked for
        only when the plane before has agreed.
    limit : float
        The least agreement, 0 to 1.

    Yields
    ------
    PropagatedPlane
        The last one may be below the limit: it is the plane to correct next.

    Raises
    ------
    InvalidInputError
        For a limit outside 0 to 1, and for planes of different sizes.
    """
    if not 0 <= limit <= 1:
        raise InvalidInputError(f"The limit of the agreement is {limit}; it must be 0 to 1.")
    _check_size(labels, affinity)
    appearance = learn_appearance(labels, affinity)
    for plane in planes:
        _check_size(labels, plane.affinity)
        predicted: NDArray[np.integer[Any]] | None = appearance.predicted(plane.affinity)
        if predicted is None:
            *_, predicted = corrected(plane.live, None, plane.thresholds).values()
        seeds = plane_seeds(labels, predicted)
        hints = UserHints(plane.affinity, with_user_hints(seeds, plane.hints, plane.affinity))
        found = corrected(plane.live, hints, plane.thresholds)
        *_, last = found.values()
        agrees = plane_agreement(labels, last)
        yield PropagatedPlane(found, seeds, hints, agrees)
        if agrees < limit:
            return
        labels = last


def _check_size(labels: NDArray[np.integer[Any]], affinity: ImageAffinity) -> None:
    """Raise InvalidInputError if labels and a plane are of different sizes."""
    if affinity.regions.shape != labels.shape:
        raise InvalidInputError(
            f"The planes are {labels.shape} and {affinity.regions.shape}: all planes must be of "
            "one size."
        )


def scored_planes(
    segmenter: Segmenter,
    corrected_plane: ImageEmbedding,
    labels: NDArray[np.integer[Any]],
    hints: UserHints,
    planes: Iterable[ImageEmbedding],
    classes: Sequence[ClassPrompt | str],
    thresholds: Thresholds | None = None,
    monitor: Monitor | None = None,
) -> Iterator[ScoredPlane]:
    """Score planes with prototypes of a corrected plane, for `propagate_planes`.

    Parameters
    ----------
    segmenter : Segmenter
    corrected_plane : ImageEmbedding
    labels : (Y, X) array of int
        Of the corrected plane: 0 is background, i + 1 is class i.
    hints : UserHints
        On the corrected plane: clicks, and painted and accepted pixels.
    planes : iterable of ImageEmbedding
        The next planes; each is asked for when it is scored.
    classes : sequence of ClassPrompt or str
    thresholds : Thresholds, optional
        Default: those of the configuration.
    monitor : Monitor, optional

    Yields
    ------
    ScoredPlane

    Raises
    ------
    SegmentationError
        As `Segmenter.learn` and `Segmenter.score` do.
    """
    monitor = monitor or Monitor()
    prompts = [ClassPrompt(one) if isinstance(one, str) else one for one in classes]
    names = {label: one.name for label, one in enumerate(prompts, 1)}
    sure = confirmed_by_hints(labels, hints)
    prototypes = segmenter.learn(corrected_plane, labels, sure, names, "corrected plane")
    for embedding in planes:
        scores = segmenter.score(
            embedding,
            prompts,
            prototypes=prototypes,
            prototype_weight=PROTOTYPE_WEIGHT,
            report=monitor.report,
            should_stop=monitor.should_stop,
        )
        live = {stage: LiveLabels(scores, stage) for stage in scores.stages}
        chosen = thresholds or scores.settings.thresholds
        yield ScoredPlane(live, chosen, image_affinity(embedding, monitor))


def confirmed_by_hints(labels: NDArray[np.integer[Any]], hints: UserHints) -> NDArray[np.bool_]:
    """Return which labels of a corrected plane its hints confirm.

    Parameters
    ----------
    labels : (Y, X) array of int
        Of the corrected plane.
    hints : UserHints
        On it.

    Returns
    -------
    (Y, X) bool array
        Pixels with a hint, and those in the same larger superpixel that have the hint's label. Of
        labels without a hint, such as the background, the inner part.
    """
    given = hints.labels != OPEN
    inner = plane_seeds(labels, labels)
    hinted = np.unique(hints.labels[given])
    confirmed: NDArray[np.bool_] = given | ((inner != OPEN) & ~np.isin(inner, hinted))
    larger = hints.affinity.walked[hints.affinity.regions]
    for label in hinted.tolist():
        confirmed |= (labels == label) & np.isin(larger, larger[hints.labels == label])
    return confirmed


def plane_seeds(
    before: NDArray[np.integer[Any]], predicted: NDArray[np.integer[Any]]
) -> NDArray[np.int32]:
    """Return the inner part of the labels of a plane where the next plane agrees.

    Parameters
    ----------
    before : (Y, X) array of int
        Labels of the plane before.
    predicted : (Y, X) array of int
        Labels of this plane by appearance, or by words and prototypes.

    Returns
    -------
    (Y, X) int32 array
        The label, or `OPEN`.
    """
    deepest = max(min(before.shape) / DEEPEST, 1)
    seeds = np.full(before.shape, OPEN, np.int32)
    for label in np.unique(before).tolist():
        own = before == label
        depth = ndimage.distance_transform_edt(np.pad(own, 1, mode="edge"))[1:-1, 1:-1]
        regions, count = ndimage.label(own)
        half = np.zeros(count + 1)
        np.maximum.at(half, regions[own], depth[own] / 2)
        inner = own & (depth >= np.minimum(half, deepest)[regions])
        seeds[inner & (predicted == label)] = label
    return seeds


def with_user_hints(
    seeds: NDArray[np.int32], hints: NDArray[np.int32] | None, affinity: ImageAffinity
) -> NDArray[np.int32]:
    """Return seeds and the user's own hints together.

    A region of seeds of a class that the user contradicts anywhere is left out; of seeds of the
    background, only those in the larger superpixels with such a hint.

    Parameters
    ----------
    seeds : (Y, X) int32 array
        From `plane_seeds`.
    hints : (Y, X) int32 array or None
        As in `UserHints`.
    affinity : ImageAffinity
        Of the plane.
    """
    if hints is None or not (hints != OPEN).any():
        return seeds
    kept, given = seeds.copy(), hints != OPEN
    wrong = given & (seeds != OPEN) & (hints != seeds)
    larger = affinity.walked[affinity.regions]
    kept[(seeds == 0) & np.isin(larger, larger[given & (hints > 0)])] = OPEN
    for label in np.unique(seeds[wrong & (seeds > 0)]).tolist():
        regions, _ = ndimage.label(seeds == label)
        kept[(regions > 0) & np.isin(regions, regions[wrong])] = OPEN
    kept[given] = hints[given]
    return kept


def plane_agreement(one: NDArray[np.integer[Any]], other: NDArray[np.integer[Any]]) -> float:
    """Return how well the classes of two planes agree: the Dice coefficient over all classes.

    Twice the number of pixels with the same class, divided by the number of pixels of any class in
    one plane and in the other; 1 if both are background only.

    Parameters
    ----------
    one, other : (Y, X) arrays of int
        0 is background.

    Examples
    --------
    >>> plane_agreement(np.array([[1, 1, 2, 0]]), np.array([[1, 2, 2, 0]]))
    0.6666666666666666
    """
    pixels = np.count_nonzero(one) + np.count_nonzero(other)
    same = np.count_nonzero((one == other) & (one > 0))
    return float(2 * same / pixels) if pixels else 1.0
