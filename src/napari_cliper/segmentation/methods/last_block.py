"""The base class of methods that change only the last block of CLIP.

The image goes through CLIP window by window; the last block gets another attention; its patch
features are compared with the words at every pixel, and the logits of overlapping windows are
averaged (SCLIP, arXiv 2312.01597; ClearCLIP, 2407.12442; ProxyCLIP, 2408.04883).
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from ..config import Settings
from ..features.preprocessing import Resampling, RGBPixels, normalised, padded
from ..features.tiling import blend, sliding_windows
from ..models.clip_image_encoder import ClipImageEncoder
from ..models.image_encoder import ImageEncoder
from ..models.last_block_attention import LastBlockAttention
from ..progress import Monitor
from ..results import ImageEmbedding, PatchFeatures, StageMaps, softmax_to_classes
from ..scoring.similarity import Queries, cosine
from ..tiles import Window
from ..working_size import kept_ratio_shape
from .protocol import ClipFeatures, ImageInput, ImageNetworks, Method

WINDOWS_AT_ONCE = 8


class Encoded(NamedTuple):
    """The result of `LastBlockMethod.encode` for B windows.

    Parameters
    ----------
    features : (B, N, D) float32 tensor
    grid : (int, int)
        Rows and columns of the N patches.
    extra : tuple of B mappings
        `PatchFeatures.extra` of each window; empty if the method needs nothing else.
    """

    features: Tensor
    grid: tuple[int, int]
    extra: tuple[Mapping[str, Tensor], ...] = ()


class LastBlockMethod(Method):
    """Base class of methods that replace the attention of CLIP's last block; see ``sclip.py``."""

    resampling: Resampling = "bilinear"

    attention: LastBlockAttention = "vanilla"
    """The attention of the last block."""

    residual: bool = True
    """Whether the last block keeps its residual connection and its MLP."""

    pads_whole: bool = True
    """Whether an image that is not cut into windows is padded to multiples of the patch size. If
    not, pixels beyond a multiple are ignored, and the map is stretched over them."""

    def check(self, settings: Settings, layers: int, model: str) -> None:
        """Accept any CLIP."""

    def resized_shape(
        self, shape: tuple[int, int], settings: Settings, patch: int
    ) -> tuple[int, int]:
        """Keep the ratio of the sides; windows are padded to multiples of the patch size."""
        return kept_ratio_shape(shape, settings.shorter_side)

    def network_shape(self, resized: tuple[int, int], settings: Settings) -> tuple[int, int]:
        """Return the size of a window."""
        side = settings.window
        return (min(resized[0], side), min(resized[1], side)) if side else resized

    def read(
        self,
        networks: ImageNetworks,
        image: ImageInput,
        settings: Settings,
        monitor: Monitor,
    ) -> ClipFeatures:
        """The windows, some at a time."""
        pixels = image.pixels
        shape = (pixels.shape[0], pixels.shape[1])
        places = sliding_windows(shape, settings.window, settings.stride)  # all of one shape
        found: list[PatchFeatures] = []
        for start in range(0, len(places), WINDOWS_AT_ONCE):
            monitor.tell("Encoding the windows", start, len(places))
            batch = places[start : start + WINDOWS_AT_ONCE]
            crops = [pixels[w.top : w.bottom, w.left : w.right] for w in batch]
            found += self._read_batch(networks, crops, batch, settings, monitor)
        return ClipFeatures(None, tuple(found))

    def _read_batch(
        self,
        networks: ImageNetworks,
        crops: Sequence[RGBPixels],
        windows: Sequence[Window],
        settings: Settings,
        monitor: Monitor,
    ) -> Iterator[PatchFeatures]:
        clip, foundation = networks.clip, networks.foundation
        multiple = 1
        if settings.window or self.pads_whole:
            multiple = self.input_multiple(clip, foundation)
        planes, (top, left) = padded(
            torch.cat([normalised(crop, clip.mean, clip.std) for crop in crops]), multiple
        )
        found = self.encode(clip, foundation, crops, planes, settings, monitor)
        shape = (planes.shape[2], planes.shape[3])
        extras = found.extra or ({},) * len(windows)
        for one, window, extra in zip(found.features.cpu(), windows, extras, strict=True):
            inside = Window(top, left, top + window.shape[0], left + window.shape[1])
            yield PatchFeatures(one[None], found.grid, None, window, inside, shape, extra)

    def input_multiple(self, clip: ClipImageEncoder, foundation: ImageEncoder | None) -> int:
        """What the sides of a window are padded to a multiple of, in pixels."""
        return clip.patch

    def encode(
        self,
        clip: ClipImageEncoder,
        foundation: ImageEncoder | None,
        crops: Sequence[RGBPixels],
        planes: Tensor,
        settings: Settings,
        monitor: Monitor,
    ) -> Encoded:
        """Patch features of windows of one shape.

        Parameters
        ----------
        crops : sequence of B (h, w, 3) uint8 arrays
            The windows.
        planes : (B, 3, H, W) float tensor
            The same, normalised for CLIP and padded.
        """
        features = clip.last_block(planes, self.attention, residual=self.residual, monitor=monitor)
        return Encoded(features, clip.grid(planes))

    def score(
        self,
        embedding: ImageEmbedding,
        queries: Queries,
        settings: Settings,
        patch: int,
        peaks: Tensor | None = None,
    ) -> StageMaps:
        """See `probability_maps`."""
        return probability_maps(embedding, queries, settings)


def scaled_block(block: int, layers: int) -> int:
    """Return the block of a CLIP of `layers` blocks that corresponds to one of ViT-B's 12 blocks.

    Blocks are counted from 1; the last one is never returned.
    """
    return min(max(round(block * layers / 12), 1), layers - 1)


def scaling_note(method: str, layers: int, published: Collection[int]) -> tuple[str, ...]:
    """Return a remark on a CLIP whose number of blocks a method was not published for."""
    if layers in published:
        return ()
    known = " or ".join(map(str, sorted(published)))
    note = (
        f"{method} was published for CLIP with {known} blocks. This one has {layers}: the block "
        "numbers were scaled, which is not validated."
    )
    return (note,)


def probability_maps(embedding: ImageEmbedding, queries: Queries, settings: Settings) -> StageMaps:
    """Compute the coarse maps: softmax of the mean logits of the windows.

    Parameters
    ----------
    queries : Queries
        Text embeddings.
    """
    return maps_of_logits(_blended_logits(embedding, queries, settings), queries)


def maps_of_logits(logits: Tensor, queries: Queries) -> StageMaps:
    """Compute the coarse maps from logits: their softmax.

    Parameters
    ----------
    logits : (Q, h, w) tensor
        Scaled logits of the queries.
    queries : Queries
    """
    maps, background = softmax_to_classes(logits, queries.owner)
    return StageMaps(
        maps=maps.numpy(),
        class_scores=maps.flatten(1).amax(dim=1).numpy(),
        background=None if background is None else background.numpy(),
        logits=logits.numpy(),
    )


def _blended_logits(embedding: ImageEmbedding, queries: Queries, settings: Settings) -> Tensor:
    """Return the scaled logits of all queries, mean over the windows, (Q, H, W)."""

    def window_logits(part: PatchFeatures) -> Tensor:
        logits = cosine(part.features[0], queries.vectors).T.reshape(1, -1, *part.grid)
        full = F.interpolate(logits, size=part.padded_shape, mode="bilinear")[0]
        at = part.padding
        return full[:, at.top : at.bottom, at.left : at.right]

    shape = (embedding.resized.shape[0], embedding.resized.shape[1])
    places = [part.window for part in embedding.windows]
    blended = blend((window_logits(part) for part in embedding.windows), places, shape)
    return blended * settings.logit_scale
