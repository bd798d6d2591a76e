"""What a method is."""

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
    """What a method reads of an image: fields of an `ImageEmbedding`.

    Parameters
    ----------
    whole : PatchFeatures or None
        The whole image.
    windows : tuple of PatchFeatures
        Sliding windows.
    window_attention : (N, N) float32 tensor or None
        Stitched from the windows' own.
    """

    whole: PatchFeatures | None
    windows: tuple[PatchFeatures, ...]
    window_attention: Tensor | None = None


class Method(Protocol):
    """How CLIP reads an image, and how what it read is compared with words.

    A method keeps nothing between calls, chooses no device and loads nothing.
    """

    resampling: Resampling
    """How the image is resized."""

    def check(self, settings: Settings, layers: int, model: str) -> None:
        """Raise `InvalidInputError` for settings that a CLIP of so many layers cannot fulfil."""

    def resized_shape(
        self, shape: tuple[int, int], settings: Settings, patch: int
    ) -> tuple[int, int]:
        """The (H, W) that an image of (Y, X) is resized to, for patches of so many pixels."""
        ...

    def network_shape(self, resized: tuple[int, int], settings: Settings) -> tuple[int, int]:
        """The largest (H, W) that one pass of CLIP sees of an image resized to (H, W)."""
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
            There where the method's row needs it.
        pixels : (H, W, 3) uint8 array
            Of `resized_shape`.
        """
        ...

    def score(
        self,
        embedding: ImageEmbedding,
        queries: Queries,
        settings: Settings,
        patch: int,
        fusion: PrototypeFusion | None = None,
    ) -> StageMaps:
        """The coarse maps: what was read, compared with words. No network takes part.

        Parameters
        ----------
        embedding : ImageEmbedding
            With what `read` returned.
        queries : Queries
            T classes and the background words.
        patch : int
            Side of CLIP's patches, in pixels.
        fusion : PrototypeFusion, optional
            Prototypes that are asked beside the words.
        """
        ...
