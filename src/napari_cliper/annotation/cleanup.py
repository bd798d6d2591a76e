"""Clean up labels: fill holes, remove specks, smooth edges, keep the largest region, grow, shrink.

`CLEANING` lists the tools. Each works on one plane of labels, takes the classes to change, and
changes pixels of a mask only; what it does is computed on the whole plane. Regions are 8-connected,
the background is 4-connected.

Built on the morphology of scipy and scikit-image.
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

from ..segmentation import InvalidInputError, most_frequent

LabelArray = NDArray[np.uint8 | np.uint16]
Mask = NDArray[np.bool_]

_NEIGHBOURS = [(y, x) for y in (-1, 0, 1) for x in (-1, 0, 1) if (y, x) != (0, 0)]


# ---------------------------------------------------------------------- the six tools
# Each takes the labels (Y, X), the labels of the classes to change, and a mask (Y, X) of the pixels
# that may change, all checked by `Tool`; it returns a new array of the same dtype.


def fill_holes(labels: LabelArray, chosen: Collection[int], free: Mask) -> LabelArray:
    """Fill background holes that a class encloses.

    Other classes inside a hole are kept: only the background around them is filled. Background
    enclosed by such an inner class is a hole of that class.
    """
    # Background is 4-connected, because classes are 8-connected.
    pieces = measure.label(labels == 0, connectivity=1)
    filled = labels.copy()
    for label in _labels_of(chosen):
        own = labels == label
        enclosed = scipy.ndimage.binary_fill_holes(own) & (pieces > 0)
        # Only enclosed background that touches this class, not that inside an inner class.
        touched = np.unique(pieces[enclosed & scipy.ndimage.binary_dilation(own)])
        filled[enclosed & np.isin(pieces, touched)] = label
    return np.where(free, filled, labels)


def remove_specks(labels: LabelArray, chosen: Collection[int], free: Mask, size: int) -> LabelArray:
    """Replace small regions by the label that surrounds them.

    A speck gets the most common label (background included) of the pixels around it; ties go to the
    smallest label. Other specks do not count unless there is nothing else. A plane of specks only
    becomes background.

    Parameters
    ----------
    size : int
        Regions with fewer pixels are removed.
    """
    regions = measure.label(_only(labels, chosen), connectivity=2)
    small = np.bincount(regions.ravel()) < size
    small[0] = False
    return _given_to_surroundings(labels, np.where(small[regions] & free, regions, 0))


def smooth(labels: LabelArray, chosen: Collection[int], free: Mask, radius: float) -> LabelArray:
    """Smooth the edges between the chosen classes and towards the background.

    Each pixel of a chosen class or of the background gets the most common of these labels in its
    neighbourhood (Gaussian weights with the standard deviation of a disc of the radius); ties keep
    the label. Other classes do not change and do not count.

    Parameters
    ----------
    radius : float
        In pixels; thinner structures are likely to disappear.
    """
    if radius == 0 or labels.size == 0:
        return labels.copy()
    spread = (radius + 0.5) / 2  # standard deviation of a disc, up to the outer edge of its pixels
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
"""Weights that differ by less count as a tie, to absorb rounding and pixel steps."""


def keep_largest(labels: LabelArray, chosen: Collection[int], free: Mask) -> LabelArray:
    """Keep the largest region of each class; replace the others by the label that surrounds them.

    Ties go to the region whose first pixel comes first in row-major order. The replacement label is
    chosen as in `remove_specks`.
    """
    regions = measure.label(_only(labels, chosen), connectivity=2)
    sizes = np.bincount(regions.ravel())
    kept = [0]
    for label in _labels_of(chosen):
        own = np.unique(regions[labels == label])
        kept += [own[np.argmax(sizes[own])]] if own.size else []
    return _given_to_surroundings(labels, np.where(free & ~np.isin(regions, kept), regions, 0))


def grow(labels: LabelArray, chosen: Collection[int], free: Mask, pixels: float) -> LabelArray:
    """Expand classes into the background.

    Classes do not grow into or across other classes. Background between two growing classes goes
    to the nearer one.

    Parameters
    ----------
    pixels : float
        Euclidean distance in pixels.
    """
    seeds = _only(labels, chosen)
    if not seeds.any():
        return labels.copy()
    grown = np.where(
        free & (labels == 0), segmentation.expand_labels(seeds, distance=pixels), seeds
    )
    # Drop pixels beyond another class, which are not connected to their own class.
    regions = measure.label(grown, connectivity=2)
    joined = np.isin(regions, np.unique(regions[seeds > 0]))
    return np.where((labels == 0) & joined, grown, labels).astype(labels.dtype)


def shrink(labels: LabelArray, chosen: Collection[int], free: Mask, pixels: float) -> LabelArray:
    """Shrink classes: pixels near their edges become background.

    The border of the plane does not count as an edge.

    Parameters
    ----------
    pixels : float
        Pixels up to this distance from another label or background are removed.
    """
    shrunk = labels.copy()
    for label in _labels_of(chosen):
        own = labels == label
        if own.all():  # no edge, so the distance transform is undefined
            continue
        shrunk[own & (scipy.ndimage.distance_transform_edt(own) <= pixels)] = 0
    return np.where(free, shrunk, labels)


# ---------------------------------------------------------------------- as a table


@dataclass(frozen=True)
class Amount:
    """Numeric parameter of a clean-up tool.

    Parameters
    ----------
    words : str
        Label in the window.
    default : int
    unit : str
    least : int
        Smallest value that has an effect.
    """

    words: str
    default: int
    unit: str
    least: int = 1


@dataclass(frozen=True)
class Tool:
    """A clean-up tool as offered in the window.

    Parameters
    ----------
    words : str
        Label in the window.
    help : str
        One sentence that explains it.
    function : callable
        One of the functions above.
    amount : Amount, optional
        Its numeric parameter; None if it has none.
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
    ) -> LabelArray:
        """Return cleaned labels.

        Parameters
        ----------
        labels : (Y, X) uint8 or uint16 array
            0 is background.
        chosen : collection of int
            Labels of the classes to clean.
        amount : float, optional
            Value of the numeric parameter, 0 or more; None means its default.
        where : (Y, X) bool array, optional
            Pixels that may change; default: all.

        Returns
        -------
        (Y, X) array
            A new array of the same dtype.

        Raises
        ------
        InvalidInputError
            For arrays that are not one plane, a mask of another shape, labels out of range, and
            an amount below 0.
        """
        _check(labels, chosen, where)
        free = np.ones(labels.shape, dtype=bool) if where is None else where
        if self.amount is None:
            return self.function(labels, chosen, free)
        amount = self.amount.default if amount is None else amount
        if not amount >= 0:  # NaN is not either
            raise InvalidInputError(f"{amount} {self.amount.unit} is not possible. Give 0 or more.")
        return self.function(labels, chosen, free, amount)


Cleanup = Literal["fill holes", "remove specks", "smooth", "keep largest", "grow", "shrink"]

CLEANING: Mapping[Cleanup, Tool] = MappingProxyType(
    {
        "fill holes": Tool(
            "Fill holes",
            "Fills background that a class encloses.",
            fill_holes,
        ),
        "remove specks": Tool(
            "Remove specks",
            "Replaces smaller regions by the label that surrounds them.",
            remove_specks,
            Amount("Smaller than", 50, "pixels", least=2),
        ),
        "smooth": Tool(
            "Smooth edges",
            "Smooths the edges between classes and towards the background.",
            smooth,
            Amount("Radius", 3, "pixels"),
        ),
        "keep largest": Tool(
            "Keep the largest",
            "Keeps the largest region of each class; the label around them replaces the others.",
            keep_largest,
        ),
        "grow": Tool(
            "Grow",
            "Expands classes into the background.",
            grow,
            Amount("By", 2, "pixels"),
        ),
        "shrink": Tool(
            "Shrink",
            "Turns the edges of classes into background.",
            shrink,
            Amount("By", 2, "pixels"),
        ),
    }
)
"""All tools, in the order of the window."""


# ---------------------------------------------------------------------- what they share


def _check(labels: LabelArray, chosen: Collection[int], where: Mask | None) -> None:
    if labels.ndim != 2 or labels.dtype.kind != "u":
        raise InvalidInputError(
            f"Labels with {labels.ndim} dimensions and type {labels.dtype} cannot be cleaned. Give "
            "one plane (Y, X) of unsigned integers; clean stacks plane by plane."
        )
    highest = int(np.iinfo(labels.dtype).max)
    wrong = [label for label in chosen if not 0 <= label <= highest]
    if wrong:
        raise InvalidInputError(
            f"There is no label {wrong[0]} in labels of type {labels.dtype}. Choose labels from 1 "
            f"to {highest}."
        )
    if where is not None and where.shape != labels.shape:
        raise InvalidInputError(
            f"The selection {where.shape} and the labels {labels.shape} differ in size."
        )


def _labels_of(chosen: Collection[int]) -> list[int]:
    """Return the chosen labels, sorted and without background."""
    return sorted({int(label) for label in chosen} - {0})


def _only(labels: LabelArray, chosen: Collection[int]) -> LabelArray:
    """Return the labels with all but the chosen classes set to 0."""
    return np.where(np.isin(labels, _labels_of(chosen)), labels, labels.dtype.type(0))


def _given_to_surroundings(labels: LabelArray, pieces: NDArray[Any]) -> LabelArray:
    """Give each piece the most common label of the surrounding pixels that are in no piece.

    Parameters
    ----------
    labels : (Y, X) array
    pieces : (Y, X) int array
        Number of each piece to replace; 0 elsewhere.

    Returns
    -------
    (Y, X) array
        Pieces surrounded by pieces are replaced after their neighbours; if there are only pieces,
        they become 0.
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
    """Return the pieces next to settled pixels, and the most common label of these pixels.

    Neighbours are 8-connected; each pixel counts once; ties go to the smallest label.
    """
    width = labels.shape[1]
    rows, columns = np.nonzero(pieces)
    pairs = []  # a piece and a neighbouring pixel, encoded as one number
    for step_y, step_x in _NEIGHBOURS:
        y, x = rows + step_y, columns + step_x
        inside = (y >= 0) & (y < labels.shape[0]) & (x >= 0) & (x < width)
        y, x, owner = y[inside], x[inside], pieces[rows[inside], columns[inside]]
        settled = pieces[y, x] == 0
        pairs.append((owner * np.int64(labels.size) + y * width + x)[settled])
    owners, pixels = np.divmod(np.unique(np.concatenate(pairs)), labels.size)
    values = labels.ravel()[pixels].astype(np.int64)
    return most_frequent(owners, values)
