"""The interface of refiners."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol, runtime_checkable

import torch
from torch import Tensor

from ..config import SegmentationConfig
from ..errors import InvalidInputError
from ..features.preprocessing import RGBPixels
from ..models.promptable import ObjectEmbedding
from ..progress import Monitor
from ..results import ImageEmbedding, StageMaps
from ..tables import Rule
from .attention_maps import SelfAttention


class Refiner(Protocol):
    """Sharpens the borders of coarse maps.

    A refiner has no state, chooses no device and loads nothing. Without a network, it implements
    only `refine`.
    """

    def network_shape(
        self, shape: tuple[int, int], shorter_side: int, patch: int
    ) -> tuple[int, int] | None:
        """Input size (H, W) of the image encoder for an image of (Y, X); None without encoder."""
        return None

    def read(
        self, network: Any, pixels: RGBPixels, config: SegmentationConfig, monitor: Monitor
    ) -> SelfAttention | ObjectEmbedding | None:
        """Compute what depends on the image alone; called once, when the image is embedded.

        Parameters
        ----------
        network : Diffusion, ImageEncoder or PromptableModel
            The network named by `RefinerRow.needs`.
        pixels : (Y, X, 3) uint8 array
            The image at its original size.

        Returns
        -------
        SelfAttention, ObjectEmbedding or None
            Stored as `ImageEmbedding.self_attention`.
        """
        return None

    def refine(self, maps: Tensor, embedding: ImageEmbedding, monitor: Monitor) -> Tensor:
        """Refine the maps of the classes and, if there is one, of the background.

        Parameters
        ----------
        maps : (T, h, w) float32 tensor
            On any grid. Must not be changed in place.
        embedding : ImageEmbedding
            The image; its `self_attention` is the result of `read`.

        Returns
        -------
        (T, h', w') float32 tensor
            On any grid, in the order of `maps`.
        """
        ...


@runtime_checkable
class PixelRefiner(Refiner, Protocol):
    """A refiner that needs no network and can refine an image in parts."""

    reach: int
    """How far the result at a pixel depends on others, in pixels of the resized image."""

    def refine_pixels(self, maps: Tensor, pixels: RGBPixels, monitor: Monitor) -> Tensor:
        """Refine the maps of an image or of a part of it.

        Parameters
        ----------
        maps : (T, H, W) float32 tensor
            Interpolated to `pixels`. Must not be changed in place.
        pixels : (H, W, 3) uint8 array
            The resized image.

        Returns
        -------
        (T, H, W) float32 tensor
        """
        ...


@runtime_checkable
class NetworkRefiner(Refiner, Protocol):
    """A refiner that runs its network again whenever the maps change."""

    def refine_with(
        self, network: Any, maps: Tensor, embedding: ImageEmbedding, monitor: Monitor
    ) -> Tensor:
        """Refine the maps as `refine` does, with the network named by `RefinerRow.needs`."""
        ...


def attention_of(embedding: ImageEmbedding) -> SelfAttention:
    """The attention that `Refiner.read` returned for an image.

    Raises
    ------
    InvalidInputError
        For an embedding without attention.
    """
    if not isinstance(embedding.self_attention, SelfAttention):
        raise InvalidInputError(
            "The embedding has no attention maps for this refiner. Embed the image again."
        )
    return embedding.self_attention


def refined_maps(coarse: StageMaps, refine: Callable[[Tensor], Tensor], rule: Rule) -> StageMaps:
    """The refined maps of the classes and, if there is one, of the background.

    Parameters
    ----------
    coarse : StageMaps
    refine : callable
        `Refiner.refine` of the maps, for one image.
    rule : {'cliper', 'probability'}
    """
    maps = torch.from_numpy(coarse.maps)
    if coarse.background is not None:
        maps = torch.cat([maps, torch.from_numpy(coarse.background)[None]])
    refined = refine(maps)
    background = None
    if coarse.background is not None:
        refined, background = refined[:-1], refined[-1].numpy()
    scores = refined.flatten(1).amax(dim=1).numpy()
    if rule == "cliper":
        scores = (scores + coarse.class_scores) / 2
    return StageMaps(refined.contiguous().numpy(), scores, background)
