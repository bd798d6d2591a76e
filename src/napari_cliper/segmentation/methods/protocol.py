"""The interface of methods."""

from __future__ import annotations

from typing import NamedTuple, Protocol

from torch import Tensor

from ..config import Settings
from ..features.preprocessing import Resampling, RGBPixels
from ..models.clip_image_encoder import ClipImageEncoder
from ..models.image_encoder import ImageEncoder
from ..progress import Monitor
from ..results import ImageEmbedding, PatchFeatures, StageMaps
from ..scoring.prototype_fusion import PrototypeFusion
from ..scoring.similarity import Queries


class ClipFeatures(NamedTuple):
    """The result of `Method.read`: fields of an `ImageEmbedding`.

    Parameters
    ----------
    whole : PatchFeatures or None
        The whole image.
    windows : tuple of PatchFeatures
        Sliding windows.
    window_attention : (N, N) float32 tensor or None
        Attention between all N patches, joined from the windows.
    """

    whole: PatchFeatures | None
    windows: tuple[PatchFeatures, ...]
    window_attention: Tensor | None = None


class Method(Protocol):
    """Computes patch features with CLIP, and compares them with words.

    A method has no state, chooses no device and loads nothing.
    """

    resampling: Resampling
    """The interpolation with which the image is resized."""

    def check(self, settings: Settings, layers: int, model: str) -> None:
        """Raise `InvalidInputError` for settings that do not fit a CLIP of `layers` layers."""

    def resized_shape(
        self, shape: tuple[int, int], settings: Settings, patch: int
    ) -> tuple[int, int]:
        """Return the size (H, W) to which an image of (Y, X) is resized; `patch` in pixels."""
        ...

    def network_shape(self, resized: tuple[int, int], settings: Settings) -> tuple[int, int]:
        """Return the largest input (H, W) of one pass of CLIP for an image resized to (H, W)."""
        ...

    def read(
        self,
        clip: ClipImageEncoder,
        foundation: ImageEncoder | None,
        pixels: RGBPixels,
        settings: Settings,
        monitor: Monitor,
    ) -> ClipFeatures:
        """Run the networks.

        Parameters
        ----------
        clip : ClipImageEncoder
        foundation : ImageEncoder or None
            Given if `MethodRow.needs` names it.
        pixels : (H, W, 3) uint8 array
            The image, resized to `resized_shape`.
        """
        ...

    def score(
        self,
        embedding: ImageEmbedding,
        queries: Queries,
        settings: Settings,
        patch: int,
        fusion: PrototypeFusion | None = None,
        peaks: Tensor | None = None,
    ) -> StageMaps:
        """Compute the coarse maps from the features and the words, without networks.

        Parameters
        ----------
        embedding : ImageEmbedding
            Contains the result of `read`.
        queries : Queries
            T classes and the background words.
        patch : int
            Side of CLIP's patches, in pixels.
        fusion : PrototypeFusion, optional
            Prototypes to use in addition to the words.
        peaks : (T,) tensor, optional
            With tiles, the maxima of `peaks` over all of them; else those of the image are used.
        """
        ...

    def peaks(
        self,
        embedding: ImageEmbedding,
        queries: Queries,
        settings: Settings,
        fusion: PrototypeFusion | None = None,
    ) -> Tensor | None:
        """Return the maxima, (T,), that thresholds of `score` are relative to; None without any."""
        return None
