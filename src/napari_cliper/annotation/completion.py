"""Progress of an annotation: fraction of labelled and decided pixels, open regions."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from skimage import measure

from .edit_mask import OPEN, EditMask, Labels
from .label_store import LabelStore
from .stored_edits import region_of

PART = 1 << 22
"""Pixels that are counted at once."""


@dataclass(frozen=True)
class Done:
    """Progress of the annotation of one plane.

    Parameters
    ----------
    labelled : float
        Fraction of pixels with a label, 0 to 1.
    decided : float
        Fraction of accepted or painted pixels, background included, 0 to 1.
    classes : int
        Number of classes with at least one pixel.
    open_regions : int
        Number of predicted regions that are more than half open.
    """

    labelled: float
    decided: float
    classes: int
    open_regions: int


def done(
    labels: Labels,
    edit_mask: EditMask,
    prediction: NDArray[np.integer] | None = None,
    region: tuple[slice, slice] = (slice(None), slice(None)),
) -> Done:
    """Compute the progress of the annotation of one plane.

    Parameters
    ----------
    labels, edit_mask : (Y, X) arrays
    prediction : (y, x) array of int, optional
        0 is background.
    region : (slice, slice)
        Rows and columns of the prediction in the plane; by default all.
    """
    parts = np.array_split(labels, min(max(labels.size // PART, 1), len(labels)))
    present = np.zeros(np.iinfo(np.uint16).max + 1, bool)
    for part in parts:  # bincount takes eight bytes for each pixel
        present |= np.bincount(part.ravel(), minlength=len(present)) > 0
    return Done(
        labelled=float(np.count_nonzero(labels) / labels.size),
        decided=float(np.count_nonzero(edit_mask != OPEN) / edit_mask.size),
        classes=int(np.count_nonzero(present[1:])),
        open_regions=0 if prediction is None else _open_regions(edit_mask[region], prediction),
    )


def done_on_disk(
    store: LabelStore,
    prediction: NDArray[np.integer] | None = None,
    region: tuple[slice, slice] = (slice(None), slice(None)),
) -> Done:
    """Compute the progress of a large annotation; the parameters are those of `done`.

    Only the chunks that have changed since the last call are counted.
    """
    counts, pixels = store.counts(), math.prod(store.shape)
    open_regions = 0
    if prediction is not None:
        edit_mask = store.read_edit_mask(region_of(region, store.shape))
        open_regions = _open_regions(edit_mask, prediction)
    return Done(
        labelled=sum(counts.labels.values()) / pixels,
        decided=counts.decided / pixels,
        classes=len(counts.labels),
        open_regions=open_regions,
    )


def _open_regions(edit_mask: EditMask, prediction: NDArray[np.integer]) -> int:
    regions = measure.label(prediction, background=0, connectivity=2)
    pixels = np.bincount(regions.ravel())
    undecided = np.bincount(regions.ravel(), weights=(edit_mask == OPEN).ravel())
    return int(np.count_nonzero(undecided[1:] > pixels[1:] / 2))
