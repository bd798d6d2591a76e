"""Masks of the regions of an image: given ones, superpixels, or those of SAM.

Masks are (Y, X) int32 arrays with the number of the mask at each pixel, from 1 without gaps; 0 is
in no mask.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from skimage.segmentation import slic

from .config import MaskSource, SegmentationConfig
from .errors import InvalidInputError
from .features.interpolation import nearest
from .features.preprocessing import RGBPixels
from .methods.table import METHODS
from .models.promptable import PromptableModel
from .object_prompt import ObjectPrompt
from .progress import Monitor

Masks = NDArray[np.int32]

SUPERPIXELS, COMPACTNESS, LARGEST_SIDE = 100, 10, 512
"""Number of superpixels, and the longer side of the image that they are computed on."""

POINTS = 16
"""SAM is asked at this many points along each side (the published method: 8 to 32)."""

LEAST_SCORE, SAME = 0.8, 0.7
"""The IoU that SAM must expect of a mask, and that of two masks from which they are the same."""


def given_masks(config: SegmentationConfig, masks: NDArray[Any], shape: tuple[int, int]) -> Masks:
    """Check masks that are given for an image; see `checked_masks`.

    Raises
    ------
    InvalidInputError
        Also for a method that uses no masks.
    """
    if not config.uses_masks:
        able = ", ".join(row.name for row in METHODS.values() if row.uses_masks)
        raise InvalidInputError(
            f"The method {config.method} uses no masks. Leave them out, or choose: {able}."
        )
    return checked_masks(masks, shape)


def checked_masks(masks: NDArray[Any], shape: tuple[int, int]) -> Masks:
    """Check given masks, and number them without gaps.

    Parameters
    ----------
    masks : (Y, X) array of int
        0 is in no mask.
    shape : (int, int)
        (Y, X) of the image.

    Raises
    ------
    InvalidInputError
        For another shape, another type than integers, and negative numbers.
    """
    masks = np.asarray(masks)
    if masks.dtype.kind not in "bui":
        raise InvalidInputError(
            f"The masks have the type {masks.dtype}. Give an array of integers: the number of the "
            "mask at each pixel, 0 in none."
        )
    if masks.shape != shape:
        sizes = [" x ".join(map(str, one)) for one in (masks.shape, shape)]
        raise InvalidInputError(
            f"The masks are {sizes[0]} pixels, the image is {sizes[1]}. Give the masks of this "
            "image; they are not resized."
        )
    if masks.min() < 0:
        raise InvalidInputError(
            f"A mask has the number {masks.min()}. Give numbers above 0, and 0 for no mask."
        )
    numbers, index = np.unique(masks, return_inverse=True)
    found: Masks = (index.reshape(shape) + int(numbers[0] > 0)).astype(np.int32)
    return found


def mask_record(masks: Masks | None, source: str) -> dict[str, Any]:
    """How many masks an embedding was made with, and where they are from; empty without masks."""
    return {} if masks is None else {"masks": {"source": source, "count": int(masks.max())}}


def region_masks(
    source: MaskSource, pixels: RGBPixels, sam: PromptableModel | None, monitor: Monitor
) -> Masks:
    """Compute the masks of an image for which none are given.

    Parameters
    ----------
    source : {'superpixels', 'sam', 'none'}
    pixels : (Y, X, 3) uint8 array
        Not resized.
    sam : PromptableModel or None
        Needed for ``'sam'``.
    monitor : Monitor
    """
    if source == "sam":
        assert sam is not None  # noqa: S101 - the configuration needs it
        return sam_masks(sam, pixels, monitor)
    if source == "superpixels":
        monitor.tell("Computing superpixels", 0, 1)
        return superpixels(pixels)
    return np.zeros(pixels.shape[:2], np.int32)


def superpixels(pixels: RGBPixels) -> Masks:
    """Return regions of similar colour (SLIC), which cover the image."""
    shape = (pixels.shape[0], pixels.shape[1])
    small = Image.fromarray(pixels)
    small.thumbnail((LARGEST_SIDE, LARGEST_SIDE), Image.Resampling.BOX)
    found = slic(
        np.asarray(small),
        n_segments=SUPERPIXELS,
        compactness=COMPACTNESS,
        sigma=1,
        start_label=1,
    )
    return nearest(found.astype(np.int32), shape)


def sam_masks(sam: PromptableModel, pixels: RGBPixels, monitor: Monitor) -> Masks:
    """Return the masks that SAM finds at a grid of points, the smaller ones over the larger.

    Notes
    -----
    A mask that is nearly the same as one with a higher score is left out.
    """
    shape = (pixels.shape[0], pixels.shape[1])
    monitor.tell("Encoding for SAM", 0, 1)
    embedding = sam.embed(pixels, monitor)
    rows, columns = ((np.arange(POINTS) + 0.5) * side / POINTS for side in shape)
    points = [(float(row), float(column)) for row in rows for column in columns]
    found: list[tuple[float, torch.Tensor]] = []
    for number, point in enumerate(points):
        monitor.tell("Finding masks", number, len(points))
        monitor.check()
        logits, scores = sam.mask_logits(embedding, ObjectPrompt(inside=(point,)))
        score = float(scores[0])
        if score >= LEAST_SCORE and (logits[0] > 0).any():
            found.append((score, logits[0]))
    kept: list[torch.Tensor] = []
    for _, logits in sorted(found, key=lambda one: -one[0]):
        if all(_overlap(logits > 0, other > 0) < SAME for other in kept):
            kept.append(logits)
    masks = np.zeros(shape, np.int32)
    inside = [(embedding.frame.to_image(one[None])[0] > 0).numpy() for one in kept]
    for number, mask in enumerate(sorted(inside, key=lambda one: -one.sum()), 1):
        masks[mask] = number
    return checked_masks(masks, shape)


def _overlap(one: torch.Tensor, other: torch.Tensor) -> float:
    return float((one & other).sum() / (one | other).sum().clamp(min=1))
