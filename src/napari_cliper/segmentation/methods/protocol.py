"""The interface of methods."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple, Protocol

from numpy.typing import NDArray
from torch import Tensor

from ..config import Settings
from ..features.preprocessing import Resampling, RGBPixels
from ..models.clip_image_encoder import ClipImageEncoder
from ..models.image_encoder import ImageEncoder
from ..models.promptable import PromptableModel
from ..progress import Monitor
from ..results import ImageEmbedding, PatchFeatures, StageMaps
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


@dataclass(frozen=True)
class ImageNetworks:
    """The networks that `Method.read` runs; those that `MethodRow.needs` does not name are None.

    Parameters
    ----------
    clip : ClipImageEncoder
    foundation : ImageEncoder, optional
    sam : PromptableModel, optional
    """

    clip: ClipImageEncoder
    foundation: ImageEncoder | None = None
    sam: PromptableModel | None = None


@dataclass(frozen=True, eq=False)
class ImageInput:
    """The image, or the tile, that `Method.read` encodes.

    Parameters
    ----------
    pixels : (H, W, 3) uint8 array
        Resized to `Method.resized_shape`.
    original : (Y, X, 3) uint8 array
        Not resized; of a tile, the same as `pixels`.
    masks : (Y, X) int array, optional
        The number of the mask at each pixel of `original`, 0 in none.
    """

    pixels: RGBPixels
    original: RGBPixels
    masks: NDArray[Any] | None = None


class Method(Protocol):
    """Computes patch features with CLIP, and compares them with words.

    A method has no state, chooses no device and loads nothing.
    """

    resampling: Resampling
    """The interpolation with which the image is resized."""

    def check(self, settings: Settings, layers: int, model: str) -> None:
        """Raise `InvalidInputError` for settings that do not fit a CLIP of `layers` layers."""

    def notes(
        self, settings: Settings, layers: int, patch: int, shape: tuple[int, int]
    ) -> tuple[str, ...]:
        """Return remarks for the user on how the method departs from what was published.

        Parameters
        ----------
        settings : Settings
        layers, patch : int
            Number of blocks of CLIP, and side of its patches in pixels.
        shape : (int, int)
            (Y, X) of the image, or of its tiles.
        """
        return ()

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
        networks: ImageNetworks,
        image: ImageInput,
        settings: Settings,
        monitor: Monitor,
    ) -> ClipFeatures:
        """Run the networks.

        Parameters
        ----------
        networks : ImageNetworks
        image : ImageInput
        """
        ...

    def with_words(
        self,
        clip: ClipImageEncoder,
        embedding: ImageEmbedding,
        queries: Queries,
        settings: Settings,
        monitor: Monitor,
    ) -> ImageEmbedding:
        """Return the embedding with features that depend on the words.

        Called before `score` if `MethodRow.words_change_features` is set. Every change of the words
        then runs a part of CLIP again.
        """
        return embedding

    def read_each(
        self,
        networks: ImageNetworks,
        images: Sequence[ImageInput],
        settings: Settings,
        monitor: Monitor,
    ) -> list[ClipFeatures]:
        """Run the networks on images of one size; the results are those of `read`."""
        return [self.read(networks, image, settings, monitor) for image in images]

    def score(
        self,
        embedding: ImageEmbedding,
        queries: Queries,
        settings: Settings,
        patch: int,
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
        peaks : (T,) tensor, optional
            With tiles, the maxima of `peaks` over all of them; else those of the image are used.
        """
        ...

    def peaks(
        self,
        embedding: ImageEmbedding,
        queries: Queries,
        settings: Settings,
    ) -> Tensor | None:
        """Return the maxima, (T,), that thresholds of `score` are relative to; None without any."""
        return None
