"""Progress of an annotation: fraction of labelled and decided pixels, open regions."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from skimage import measure

from .edit_mask import OPEN, EditMask, Labels


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
        Number of predicted regions of which more than half is open.
    """

    labelled: float
    decided: float
    classes: int
    open_regions: int


def done(
    labels: Labels, edit_mask: EditMask, prediction: NDArray[np.integer] | None = None
) -> Done:
    """Compute the progress of the annotation of one plane.

    Parameters
    ----------
    labels, edit_mask : (Y, X) arrays
    prediction : (Y, X) array of int, optional
        0 is background.
    """
    counts = np.bincount(labels.ravel())
    return Done(
        labelled=float(np.count_nonzero(labels) / labels.size),
        decided=float(np.count_nonzero(edit_mask != OPEN) / edit_mask.size),
        classes=int(np.count_nonzero(counts[1:])),
        open_regions=0 if prediction is None else _open_regions(edit_mask, prediction),
    )


def _open_regions(edit_mask: EditMask, prediction: NDArray[np.integer]) -> int:
    regions = measure.label(prediction, background=0, connectivity=2)
    pixels = np.bincount(regions.ravel())
    undecided = np.bincount(regions.ravel(), weights=(edit_mask == OPEN).ravel())
    return int(np.count_nonzero(undecided[1:] > pixels[1:] / 2))
