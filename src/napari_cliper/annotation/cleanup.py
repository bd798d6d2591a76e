"""Labels made tidier: holes filled, specks removed, edges smoothed, classes grown and shrunk.

Pure functions on one plane of labels. Each takes the classes it is about and, if only some
pixels may change, a mask of those and a mask of the locked ones; what it does is worked out on
the whole plane and then taken over where it may be. A region is connected by sides and corners,
so that a background is connected by sides alone.

Built on scipy's and scikit-image's morphology; `expand_labels` for growing.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, Literal

import numpy as np
import scipy
from numpy.typing import NDArray
from skimage import measure, segmentation

from ..segmentation import InvalidInputError

LabelArray = NDArray[np.uint8 | np.uint16]
Mask = NDArray[np.bool_]

_NEIGHBOURS = [(y, x) for y in (-1, 0, 1) for x in (-1, 0, 1) if (y, x) != (0, 0)]


# ---------------------------------------------------------------------- the six tools


def fill_holes(
    labels: LabelArray,
    chosen: Collection[int],
    *,
    where: Mask | None = None,
    locked: Mask | None = None,
) -> LabelArray:
    """Give background that one class encloses to that class.

    A hole that holds another class keeps it: only the background around it is filled, and
    background that the other class encloses in turn is that one's hole.

    Parameters
    ----------
    labels : (Y, X) uint8 or uint16 array
        0 is background.
    chosen : collection of int
        The labels whose holes are filled.
    where : (Y, X) bool array, optional
        Pixels that may change; all of them by default.
    locked : (Y, X) bool array, optional
        Pixels that never change.

    Returns
    -------
    (Y, X) array
        A new one of the same dtype.

    Raises
    ------
    InvalidInputError
        For more than one plane, masks of another size, and labels that are none.
    """
    free = _check(labels, chosen, where, locked)
    # 1 for the background's pieces, by sides: a class encloses with corners too.
    pieces = measure.label(labels == 0, connectivity=1)
    filled = labels.copy()
    for label in _labels_of(chosen):
        own = labels == label
        enclosed = scipy.ndimage.binary_fill_holes(own) & (pieces > 0)
        # Of what lies inside, only what touches this class and not an island alone.
        touched = np.unique(pieces[enclosed & scipy.ndimage.binary_dilation(own)])
        filled[enclosed & np.isin(pieces, touched)] = label
    return np.where(free, filled, labels)


def remove_specks(
    labels: LabelArray,
    chosen: Collection[int],
    *,
    size: int,
    where: Mask | None = None,
    locked: Mask | None = None,
) -> LabelArray:
    """Give regions of few pixels to what surrounds them.

    A speck takes the label, background included, that most pixels around it have; of equal
    ones the smallest. Other specks do not count as surroundings as long as anything else does;
    a plane of nothing but specks becomes background.

    Parameters
    ----------
    labels, chosen, where, locked
        As for `fill_holes`.
    size : int
        The smallest number of pixels that a region may have and stay.

    Returns
    -------
    (Y, X) array
        A new one of the same dtype.

    Raises
    ------
    InvalidInputError
        As for `fill_holes`, and for a negative size.
    """
    _check_amount(size, "pixels")
    free = _check(labels, chosen, where, locked)
    regions = measure.label(_only(labels, chosen), connectivity=2)
    small = np.bincount(regions.ravel()) < size
    small[0] = False
    return _given_to_surroundings(labels, np.where(small[regions] & free, regions, 0))


def smooth(
    labels: LabelArray,
    chosen: Collection[int],
    *,
    radius: float,
    where: Mask | None = None,
    locked: Mask | None = None,
) -> LabelArray:
    """Round the edges between the chosen classes, and between them and the background.

    Each pixel of a chosen class or of the background takes the one of them that is most common
    around it, weighted by a Gaussian that spreads like a disc of the radius; it keeps its own
    where that is as common. Other classes neither change nor count.

    Parameters
    ----------
    labels, chosen, where, locked
        As for `fill_holes`.
    radius : float
        In pixels; what is thinner is likely to vanish.

    Returns
    -------
    (Y, X) array
        A new one of the same dtype.

    Raises
    ------
    InvalidInputError
        As for `fill_holes`, and for a negative radius.
    """
    _check_amount(radius, "pixels")
    free = _check(labels, chosen, where, locked)
    if radius == 0 or labels.size == 0:
        return labels.copy()
    spread = (radius + 0.5) / 2  # the standard deviation of a disc, out to its pixels' edges
    taking_part = labels == 0
    best = labels.copy()
    most = np.zeros(labels.shape, dtype=np.float32)
    for label in (0, *_labels_of(chosen)):
        own = labels == label
        taking_part |= own
        share = scipy.ndimage.gaussian_filter(own.astype(np.float32), spread, mode="nearest")
        share[own] += _AS_COMMON
        best[share > most] = label
        np.maximum(most, share, out=most)
    return np.where(free & taking_part, best, labels)


_AS_COMMON = 1e-3
"""Shares of the weight that differ by less are the same: rounding, and pixels' stairs."""


def keep_largest(
    labels: LabelArray,
    chosen: Collection[int],
    *,
    where: Mask | None = None,
    locked: Mask | None = None,
) -> LabelArray:
    """Keep the largest region of each class; the others go to what surrounds them.

    Of equally large regions the one whose first pixel comes first stays. What the others
    become is told as in `remove_specks`.

    Parameters
    ----------
    labels, chosen, where, locked
        As for `fill_holes`.

    Returns
    -------
    (Y, X) array
        A new one of the same dtype.

    Raises
    ------
    InvalidInputError
        As for `fill_holes`.
    """
    free = _check(labels, chosen, where, locked)
    regions = measure.label(_only(labels, chosen), connectivity=2)
    sizes = np.bincount(regions.ravel())
    kept = [0]
    for label in _labels_of(chosen):
        own = np.unique(regions[labels == label])
        kept += [own[np.argmax(sizes[own])]] if own.size else []
    return _given_to_surroundings(labels, np.where(free & ~np.isin(regions, kept), regions, 0))


def grow(
    labels: LabelArray,
    chosen: Collection[int],
    *,
    pixels: float,
    where: Mask | None = None,
    locked: Mask | None = None,
) -> LabelArray:
    """Let classes grow into the background.

    They never grow into another class nor beyond one that stands in the way; two that meet
    share the background between them, each the part nearer to it.

    Parameters
    ----------
    labels, chosen, where, locked
        As for `fill_holes`.
    pixels : float
        How far, straight.

    Returns
    -------
    (Y, X) array
        A new one of the same dtype.

    Raises
    ------
    InvalidInputError
        As for `fill_holes`, and for a negative distance.
    """
    _check_amount(pixels, "pixels")
    free = _check(labels, chosen, where, locked)
    seeds = _only(labels, chosen)
    if not seeds.any():
        return labels.copy()
    grown = np.where(
        free & (labels == 0), segmentation.expand_labels(seeds, distance=pixels), seeds
    )
    # A straight way may lead across something else: what is cut off from its class is dropped.
    regions = measure.label(grown, connectivity=2)
    joined = np.isin(regions, np.unique(regions[seeds > 0]))
    return np.where((labels == 0) & joined, grown, labels).astype(labels.dtype)


def shrink(
    labels: LabelArray,
    chosen: Collection[int],
    *,
    pixels: float,
    where: Mask | None = None,
    locked: Mask | None = None,
) -> LabelArray:
    """Take the edges of classes away; they become background.

    The border of the plane is no edge: nothing is known beyond it.

    Parameters
    ----------
    labels, chosen, where, locked
        As for `fill_holes`.
    pixels : float
        How far from another label, or from background, pixels are taken.

    Returns
    -------
    (Y, X) array
        A new one of the same dtype.

    Raises
    ------
    InvalidInputError
        As for `fill_holes`, and for a negative distance.
    """
    _check_amount(pixels, "pixels")
    free = _check(labels, chosen, where, locked)
    shrunk = labels.copy()
    for label in _labels_of(chosen):
        own = labels == label
        if own.all():  # no edge: there is no distance to one
            continue
        shrunk[own & (scipy.ndimage.distance_transform_edt(own) <= pixels)] = 0
    return np.where(free, shrunk, labels)


# ---------------------------------------------------------------------- as a table


@dataclass(frozen=True)
class Amount:
    """The number that a tool takes.

    Parameters
    ----------
    keyword : str
        Its name as a keyword of the function.
    words : str
        What it is, for a person.
    default : int
    unit : str
    least : int
        The smallest value with an effect.
    """

    keyword: str
    words: str
    default: int
    unit: str
    least: int = 1


@dataclass(frozen=True)
class Tool:
    """One way of cleaning.

    Parameters
    ----------
    words : str
        Its name, for a person.
    help : str
        What it does, in one sentence.
    function : callable
        One of the functions above.
    amount : Amount, optional
        The number it takes; None where it takes none.
    """

    words: str
    help: str
    function: Callable[..., LabelArray]
    amount: Amount | None = None

    def __call__(
        self,
        labels: LabelArray,
        chosen: Collection[int],
        amount: float | None = None,
        *,
        where: Mask | None = None,
        locked: Mask | None = None,
    ) -> LabelArray:
        """Run it, with its default where no amount is given (`fill_holes` has the rest)."""
        number: dict[str, Any] = {}
        if self.amount is not None:
            number[self.amount.keyword] = self.amount.default if amount is None else amount
        return self.function(labels, chosen, where=where, locked=locked, **number)


Cleanup = Literal["fill holes", "remove specks", "smooth", "keep largest", "grow", "shrink"]

CLEANING: Mapping[Cleanup, Tool] = MappingProxyType(
    {
        "fill holes": Tool(
            "Fill holes",
            "Gives background that a class encloses to that class.",
            fill_holes,
        ),
        "remove specks": Tool(
            "Remove specks",
            "Gives regions smaller than this to what surrounds them.",
            remove_specks,
            Amount("size", "Smaller than", 50, "pixels", least=2),
        ),
        "smooth": Tool(
            "Smooth edges",
            "Rounds the edges of the classes, among themselves and towards the background.",
            smooth,
            Amount("radius", "Radius", 3, "pixels"),
        ),
        "keep largest": Tool(
            "Keep the largest",
            "Keeps the largest region of each class, the others go to what surrounds them.",
            keep_largest,
        ),
        "grow": Tool(
            "Grow",
            "Lets classes grow into the background.",
            grow,
            Amount("pixels", "By", 2, "pixels"),
        ),
        "shrink": Tool(
            "Shrink",
            "Turns the edges of classes into background.",
            shrink,
            Amount("pixels", "By", 2, "pixels"),
        ),
    }
)
"""The tools in the order in which a person is offered them."""


# ---------------------------------------------------------------------- what they share


def _check(
    labels: LabelArray, chosen: Collection[int], where: Mask | None, locked: Mask | None
) -> Mask:
    """The pixels that may change; refuse what does not fit."""
    if labels.ndim != 2 or labels.dtype.kind != "u":
        raise InvalidInputError(
            f"Labels of {labels.ndim} dimensions and type {labels.dtype} cannot be cleaned. Give "
            "one plane (Y, X) of unsigned integers, a stack plane by plane."
        )
    highest = int(np.iinfo(labels.dtype).max)
    wrong = [label for label in chosen if not 0 <= label <= highest]
    if wrong:
        raise InvalidInputError(
            f"There is no label {wrong[0]} in labels of type {labels.dtype}. Choose labels from 1 "
            f"to {highest}."
        )
    free = np.ones(labels.shape, dtype=bool)
    for name, mask in (("selection", where), ("mask of locked pixels", locked)):
        if mask is not None and mask.shape != labels.shape:
            raise InvalidInputError(
                f"The {name} {mask.shape} and the labels {labels.shape} differ in size."
            )
    if where is not None:
        free &= where
    if locked is not None:
        free &= ~locked
    return free


def _check_amount(amount: float, unit: str) -> None:
    if not amount >= 0:  # NaN is not either
        raise InvalidInputError(f"{amount} {unit} make no sense here. Give 0 or more.")


def _labels_of(chosen: Collection[int]) -> list[int]:
    """The chosen labels in their order; background is no class."""
    return sorted({int(label) for label in chosen} - {0})


def _only(labels: LabelArray, chosen: Collection[int]) -> LabelArray:
    """The chosen classes, everything else 0."""
    return np.where(np.isin(labels, _labels_of(chosen)), labels, labels.dtype.type(0))


def _given_to_surroundings(labels: LabelArray, pieces: NDArray[Any]) -> LabelArray:
    """Each piece takes the commonest label of the pixels around it that are in no piece.

    Parameters
    ----------
    labels : (Y, X) array
    pieces : (Y, X) int array
        A number for each piece that is to go, 0 for all that stays.

    Returns
    -------
    (Y, X) array
        Pieces among pieces wait until a neighbour has its label; where there is nothing but
        pieces, they become 0.
    """
    given = labels.copy()
    waiting = pieces.copy()
    while waiting.any():
        owners, takes = _commonest_around(given, waiting)
        if owners.size == 0:
            given[waiting > 0] = 0
            break
        taken = np.isin(waiting, owners)
        new = np.zeros(int(waiting.max()) + 1, dtype=labels.dtype)
        new[owners] = takes
        given[taken] = new[waiting[taken]]
        waiting[taken] = 0
    return given


def _commonest_around(
    labels: LabelArray, pieces: NDArray[Any]
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """The pieces with settled pixels around them, and the commonest label among these.

    Pixels around are those that touch by a side or a corner; each counts once, and of equally
    common labels the smallest is taken.
    """
    width = labels.shape[1]
    rows, columns = np.nonzero(pieces)
    pairs = []  # a piece and a pixel beside it, as one number
    for step_y, step_x in _NEIGHBOURS:
        y, x = rows + step_y, columns + step_x
        inside = (y >= 0) & (y < labels.shape[0]) & (x >= 0) & (x < width)
        y, x, owner = y[inside], x[inside], pieces[rows[inside], columns[inside]]
        settled = pieces[y, x] == 0
        pairs.append((owner * np.int64(labels.size) + y * width + x)[settled])
    owners, pixels = np.divmod(np.unique(np.concatenate(pairs)), labels.size)
    values = labels.ravel()[pixels].astype(np.int64)
    span = int(labels.max(initial=0)) + 1
    votes, counts = np.unique(owners * span + values, return_counts=True)
    # By piece, the commonest first; np.unique sorted by label, and lexsort keeps that order.
    order = np.lexsort((-counts, votes // span))
    winners, firsts = np.unique((votes // span)[order], return_index=True)
    return winners, (votes % span)[order][firsts]
