"""Refinement by SAM: regions of the coarse labels become prompts, whose masks become the labels.

Source: Trident (arXiv 2411.09219, sec. 3.4). Notation: C planes, those of the classes and, if there
is one, of the background; (Y, X) the image, (h, w) half its size, in which regions are found.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from skimage import measure
from torch import Tensor

from ..config import SegmentationConfig, published_settings
from ..errors import InvalidInputError
from ..features.interpolation import interpolated, nearest
from ..features.preprocessing import RGBPixels
from ..models.promptable import InputLayout, ObjectEmbedding, PromptableModel
from ..progress import Monitor
from ..results import ImageEmbedding
from .protocol import NetworkRefiner

LEAST_AREA = 225
"""Pixels of the smallest region, at half the size of the image."""

LEAST_SCORE = 0.8
"""The IoU that SAM must expect of a mask."""

PROMPT_WEIGHT = 0.005
"""Factor of the scores in a mask prompt."""

MASK_CELLS = 4
"""Pixels of SAM's square for each cell of a mask prompt."""

MOST_VALUES = 1 << 26
"""Values of the refined planes; those of larger images are computed at a smaller size."""


class Sam(NetworkRefiner):
    """Prompts SAM with each region of the coarse labels, and keeps the masks it is sure of."""

    def read(
        self,
        network: PromptableModel,
        pixels: RGBPixels,
        config: SegmentationConfig,
        monitor: Monitor,
    ) -> ObjectEmbedding:
        """The image as SAM's decoder needs it."""
        monitor.tell("Encoding for SAM", 0, 1)
        return network.embed(pixels, monitor)

    def refine_with(
        self,
        network: PromptableModel,
        maps: Tensor,
        embedding: ImageEmbedding,
        monitor: Monitor,
    ) -> Tensor:
        """Refine the maps; the result has the size of the image, reduced if there are many.

        Where the masks decide, the winner has at least the default background threshold, so that
        the default labels are those of the published method. Elsewhere the maps are unchanged.
        """
        outlines = embedding.self_attention
        if not isinstance(outlines, ObjectEmbedding):
            raise InvalidInputError("The embedding was made without SAM. Embed the image again.")
        settings, config = embedding.config.settings(), embedding.config
        least = published_settings("trident", config.model, config.preset).number("coarse_thr")
        planes = interpolated(maps, working_shape(embedding.image.shape, len(maps)))
        low, span = torch.zeros(1, 1, 1), torch.ones(1, 1, 1)
        if settings.min_max:
            low = planes.amin(dim=(1, 2), keepdim=True)
            span = planes.amax(dim=(1, 2), keepdim=True) - low + 1e-6
        present = maps.amax(dim=(1, 2)) > settings.class_threshold
        scores = ((planes - low) / span) * present[:, None, None]
        found = max(least, settings.background_threshold)  # the others have no class
        labels = scores.argmax(dim=0).numpy()
        regions = find_regions(scores, labels, least=found, least_area=LEAST_AREA)
        masks = _masks(network, outlines, scores, regions, least, monitor)
        refined, decided = refine_by_masks(scores, regions, masks)
        winner = torch.from_numpy(np.where(decided >= 0, decided, 0))[None]
        best = refined.amax(dim=0, keepdim=True).clamp(min=settings.background_threshold)
        raised = low + refined.scatter(0, winner, best) * span
        return torch.where(torch.from_numpy(decided >= 0), raised, planes)


def working_shape(shape: tuple[int, int], planes: int) -> tuple[int, int]:
    """Return the size of the refined planes: that of the image, unless they are too many."""
    pixels = shape[0] * shape[1]
    factor = min((MOST_VALUES / (planes * pixels)) ** 0.5, 1.0)
    height, width = (max(int(side * factor), 2) for side in shape)
    return height, width


@dataclass(frozen=True, eq=False)
class Region:
    """A region of the labels, at half the size of the planes.

    Parameters
    ----------
    plane : int
        Index of its class.
    pixels : bool array
        Which pixels of the box belong to it.
    peak : (int, int)
        (row, column) of the pixel with the highest score.
    box : (int, int, int, int)
        First row and column, last row and column.
    """

    plane: int
    pixels: NDArray[np.bool_]
    peak: tuple[int, int]
    box: tuple[int, int, int, int]


def half_shape(shape: Sequence[int]) -> tuple[int, int]:
    """Return half the size of an image of (Y, X) pixels, at least 1 x 1."""
    return max(shape[0] // 2, 1), max(shape[1] // 2, 1)


def find_regions(
    planes: Tensor, labels: NDArray[np.integer], *, least: float, least_area: int
) -> list[Region]:
    """Return the connected regions that become prompts.

    Parameters
    ----------
    planes : (C, Y, X) float tensor
    labels : (Y, X) array of int
        Index of the plane of each pixel.
    least : float
        Pixels with a lower best score belong to no region.
    least_area : int
        Pixels of the smallest region.

    Returns
    -------
    list of Region
        By plane, then in raster order of their first pixel; 8-connected.
    """
    shape = half_shape(planes.shape[1:])
    half = interpolated(planes, shape)
    kept = np.where(half.amax(dim=0).numpy() < least, -1, nearest(labels.astype(np.int32), shape))
    found = []
    for index, plane in enumerate(half.numpy()):
        if plane.max() < least:
            continue
        for region in measure.regionprops(measure.label(kept == index, connectivity=2)):
            if region.area < least_area:
                continue
            top, left, bottom, right = region.bbox
            inside = np.where(region.image, plane[region.slice], -np.inf)
            row, column = np.unravel_index(inside.argmax(), inside.shape)
            peak = (top + int(row), left + int(column))
            box = (top, left, bottom - 1, right - 1)
            found.append(Region(index, region.image, peak, box))
    return found


def mask_prompt(plane: Tensor, layout: InputLayout, *, least: float) -> Tensor:
    """Return the mask that SAM is given for the regions of a class.

    Parameters
    ----------
    plane : (h, w) float tensor
        The scores of the class at half size.
    layout : InputLayout
        Of SAM's encoder.
    least : float
        Lower scores count as 0.

    Returns
    -------
    (side / 4, side / 4) float tensor
    """
    small = replace(layout, side=layout.side // MASK_CELLS)
    frame = small.frame((plane.shape[0], plane.shape[1]))
    resized = interpolated(plane[None], frame.resized)[0]
    below, right = small.side - frame.resized[0], small.side - frame.resized[1]
    resized = F.pad(resized, (0, right, 0, below))
    return torch.where(resized > least, resized * PROMPT_WEIGHT, 0)


def refine_by_masks(
    planes: Tensor, regions: Sequence[Region], masks: Iterable[tuple[Tensor, float]]
) -> tuple[Tensor, NDArray[np.int64]]:
    """Refine planes with the masks of their regions.

    Parameters
    ----------
    planes : (C, Y, X) float tensor
    regions : sequence of Region
    masks : iterable of ((Y, X) float tensor, float)
        For each region: the logits of its mask, and the IoU that SAM expects.

    Returns
    -------
    refined : (C, Y, X) float tensor
        The score times the probability of the best mask of the class, 0 outside of its masks; the
        scores themselves in regions whose mask was rejected.
    decided : (Y, X) int64 array
        Index of the plane with the highest score in the masks; -1 outside of all masks.
    """
    refined = torch.zeros_like(planes)
    shape = (planes.shape[1], planes.shape[2])
    rejected = np.zeros(half_shape(shape), np.bool_)
    for region, (logits, score) in zip(regions, masks, strict=True):
        if score <= LEAST_SCORE:
            top, left, bottom, right = region.box
            rejected[top : bottom + 1, left : right + 1] |= region.pixels
            continue
        plane = refined[region.plane]
        inside = torch.where(logits > 0, logits.sigmoid() * planes[region.plane], 0)
        torch.maximum(plane, inside, out=plane)
    best, index = refined.max(dim=0)
    decided: NDArray[np.int64] = torch.where(best > 0, index, -1).numpy()
    taken_back = nearest(torch.from_numpy(rejected), shape)
    return torch.where(taken_back, planes, refined), decided


def _masks(
    network: PromptableModel,
    outlines: ObjectEmbedding,
    planes: Tensor,
    regions: Sequence[Region],
    least: float,
    monitor: Monitor,
) -> Iterator[tuple[Tensor, float]]:
    """Ask SAM for the mask of each region."""
    shape = (planes.shape[1], planes.shape[2])
    layout = network.encoder.layout
    half = interpolated(planes, half_shape(shape))
    frame = layout.frame(half_shape(shape))
    prompts: dict[int, Tensor] = {}
    for number, region in enumerate(regions):
        monitor.tell("Refining with SAM", number, len(regions))
        monitor.check()
        if region.plane not in prompts:
            prompts = {region.plane: mask_prompt(half[region.plane], layout, least=least)}
        top, left, bottom, right = region.box
        places = frame.to_square((region.peak, (top, left), (bottom, right)))
        logits, score = network.mask_in_box(outlines, places, prompts[region.plane])
        yield replace(outlines.frame, shape=shape).to_image(logits[None])[0], score
