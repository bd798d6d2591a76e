"""What a refiner is."""

from __future__ import annotations

from typing import Any, Protocol

import torch
from torch import Tensor

from ..config import SegmentationConfig
from ..errors import InvalidInputError
from ..features.preprocessing import RGBPixels
from ..progress import Monitor
from ..results import ImageEmbedding, StageMaps
from ..tables import Rule
from .attention_maps import SelfAttention


class Refiner(Protocol):
    """How coarse maps get sharper borders.

    A refiner keeps nothing between calls, chooses no device and loads nothing. One without a
    network has `refine` alone.
    """

    def network_shape(
        self, shape: tuple[int, int], shorter_side: int, patch: int
    ) -> tuple[int, int] | None:
        """The (H, W) at which an image encoder sees an image of (Y, X); None where none does."""
        return None

    def read(
        self, network: Any, pixels: RGBPixels, config: SegmentationConfig, monitor: Monitor
    ) -> SelfAttention | None:
        """Read of an image what does not depend on words; once, when it is embedded.

        Parameters
        ----------
        network : Diffusion or ImageEncoder
            What the refiner's row needs.
        pixels : (Y, X, 3) uint8 array
            The image itself, not resized.

        Returns
        -------
        SelfAttention or None
            Kept as `ImageEmbedding.self_attention`.
        """
        return None

    def refine(self, maps: Tensor, embedding: ImageEmbedding, monitor: Monitor) -> Tensor:
        """Refine the maps of classes, and of the background where it has one.

        Parameters
        ----------
        maps : (T, h, w) float32 tensor
            Any grid; must not be changed.
        embedding : ImageEmbedding
            The image, with what `read` returned.

        Returns
        -------
        (T, h', w') float32 tensor
            On any grid.
        """
        ...


def attention_of(embedding: ImageEmbedding) -> SelfAttention:
    """What a refiner has read of an image.

    Raises
    ------
    InvalidInputError
        Where it has read nothing.
    """
    if embedding.self_attention is None:
        raise InvalidInputError(
            "The embedding holds no attention for this refiner. Embed the image again."
        )
    return embedding.self_attention


def refined_maps(
    coarse: StageMaps, embedding: ImageEmbedding, refiner: Refiner, rule: Rule, monitor: Monitor
) -> StageMaps:
    """The refined maps, of the classes and of the background where it has a map."""
    monitor.tell("Refining", 0, 1)
    maps = torch.from_numpy(coarse.maps)
    if coarse.background is not None:
        maps = torch.cat([maps, torch.from_numpy(coarse.background)[None]])
    refined = refiner.refine(maps, embedding, monitor)
    background = None
    if coarse.background is not None:
        refined, background = refined[:-1], refined[-1].numpy()
    scores = refined.flatten(1).amax(dim=1).numpy()
    if rule == "cliper":
        scores = (scores + coarse.class_scores) / 2
    return StageMaps(refined.contiguous().numpy(), scores, background)
