"""CLIPer (arXiv 2411.13836): early layers of CLIP under one fused attention."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace

import torch
from torch import Tensor

from ..config import Settings
from ..errors import InvalidInputError
from ..features.preprocessing import Resampling, RGBPixels, normalised
from ..features.tiling import blend, sliding_windows, stitch_attention
from ..models.clip_image_encoder import ClipImageEncoder
from ..progress import Monitor
from ..results import ImageEmbedding, PatchFeatures, StageMaps
from ..scoring.similarity import Queries, cliper_coarse, cliper_logits
from ..tiles import Window
from ..working_size import patch_aligned_shape
from .protocol import ClipFeatures, ImageInput, ImageNetworks, Method

WINDOWS_AT_ONCE = 8


class Cliper(Method):
    """The whole image, every layer of it, and windows where they are asked for."""

    resampling: Resampling = "bicubic"

    def check(self, settings: Settings, layers: int, model: str) -> None:
        """Refuse a layer that the CLIP does not have."""
        layer = settings.select_layer
        if not -layers <= layer < layers:
            raise InvalidInputError(
                f"select_layer is {layer}, but {model} has {layers} layers. Choose "
                f"{-layers} to {layers - 1}; -1 is the last."
            )

    def resized_shape(
        self, shape: tuple[int, int], settings: Settings, patch: int
    ) -> tuple[int, int]:
        """Both sides are multiples of the patch."""
        return patch_aligned_shape(shape, settings.shorter_side, patch)

    def network_shape(self, resized: tuple[int, int], settings: Settings) -> tuple[int, int]:
        """The whole image goes through CLIP at once."""
        return resized

    def read(
        self,
        networks: ImageNetworks,
        image: ImageInput,
        settings: Settings,
        monitor: Monitor,
    ) -> ClipFeatures:
        """See `read_early_layers`."""
        return read_early_layers(networks.clip, image.pixels, settings, monitor)

    def read_each(
        self,
        networks: ImageNetworks,
        images: Sequence[ImageInput],
        settings: Settings,
        monitor: Monitor,
    ) -> list[ClipFeatures]:
        """One pass for all images; with sliding windows, one after the other."""
        if settings.window:
            return super().read_each(networks, images, settings, monitor)
        clip = networks.clip
        planes = torch.cat([normalised(image.pixels, clip.mean, clip.std) for image in images])
        window = Window(0, 0, planes.shape[2], planes.shape[3])
        found = _encoded(clip, planes, [window] * len(images), monitor)
        return [ClipFeatures(whole, ()) for whole in found]

    def score(
        self,
        embedding: ImageEmbedding,
        queries: Queries,
        settings: Settings,
        patch: int,
        peaks: Tensor | None = None,
    ) -> StageMaps:
        """See `cliper_maps`."""
        return cliper_maps(embedding, queries, settings, patch, peaks)

    def peaks(self, embedding: ImageEmbedding, queries: Queries, settings: Settings) -> Tensor:
        """Return the maxima of the selected layer's probabilities."""
        whole = _whole(embedding)
        features = whole.features[settings.select_layer % len(whole.features)]
        return _probabilities(features, queries, settings.logit_scale).amax(dim=-1)


def read_early_layers(
    encoder: ClipImageEncoder, pixels: RGBPixels, settings: Settings, monitor: Monitor
) -> ClipFeatures:
    """Extract CLIPer's features of all layers, from the whole image and from sliding windows.

    Parameters
    ----------
    pixels : (H, W, 3) uint8 array
        Both sides are multiples of the patch size.

    Returns
    -------
    ClipFeatures
        Without windows if `settings.window` is 0.
    """
    patch = encoder.patch
    planes = normalised(pixels, encoder.mean, encoder.std)

    def read(windows: Sequence[Window]) -> list[PatchFeatures]:
        """Encode windows of the same shape in one pass."""
        parts = [planes[..., w.top : w.bottom, w.left : w.right] for w in windows]
        return _encoded(encoder, torch.cat(parts), windows, monitor)

    shape = (pixels.shape[0], pixels.shape[1])
    (whole,) = read([Window(0, 0, *shape)])
    if not settings.window:
        return ClipFeatures(whole, ())
    # Window borders are aligned to patches, as in every published setting.
    side, stride = (max(n // patch, 1) * patch for n in (settings.window, settings.stride))
    places = sliding_windows(shape, side, stride)  # all of one shape
    in_patches = [window.in_patches(patch) for window in places]
    at_once = _at_once(whole.grid, in_patches[0].shape)
    windows = []
    attentions: list[Tensor] = []
    for start in range(0, len(places), at_once):
        monitor.tell("Encoding the windows", start, len(places))
        for part in read(places[start : start + at_once]):
            if part.attention is not None:
                attentions.append(part.attention)
            windows.append(replace(part, attention=None))
    return ClipFeatures(whole, tuple(windows), stitch_attention(attentions, in_patches, whole.grid))


def _encoded(
    encoder: ClipImageEncoder, planes: Tensor, windows: Sequence[Window], monitor: Monitor
) -> list[PatchFeatures]:
    """The features of (B, 3, H, W) planes, which lie at these windows of their images."""
    found = encoder.early_layers(planes, monitor=monitor)
    return [
        PatchFeatures(
            features=layers.features[:, 1:].cpu(),
            grid=window.in_patches(encoder.patch).shape,
            attention=layers.attention.cpu(),
            window=window,
            padding=Window(0, 0, *window.shape),
            padded_shape=window.shape,
        )
        for window, layers in zip(windows, found, strict=True)
    ]


def _at_once(whole: tuple[int, int], window: tuple[int, int]) -> int:
    """Return how many windows to encode per pass, so that they need no more memory than `whole`."""
    pairs_of_whole, pairs_of_window = ((1 + math.prod(grid)) ** 2 for grid in (whole, window))
    return min(max(pairs_of_whole // pairs_of_window, 1), WINDOWS_AT_ONCE)


def cliper_maps(
    embedding: ImageEmbedding,
    queries: Queries,
    settings: Settings,
    patch: int,
    peaks: Tensor | None = None,
) -> StageMaps:
    """Compute CLIPer's coarse score maps (arXiv 2411.13836, eq. 5-7).

    With sliding windows, their probabilities are averaged with those of the whole image.

    Parameters
    ----------
    queries : Queries
        Text embeddings.
    patch : int
        Patch size of CLIP in pixels.
    peaks : (T,) tensor, optional
        See `Method.score`.
    """
    whole = _whole(embedding)
    assert whole.attention is not None  # noqa: S101 - checked there
    scale, layers = settings.logit_scale, len(whole.features)
    places = [part.window.in_patches(patch) for part in embedding.windows]

    def by_windows(layer: int, attention: Tensor) -> Tensor:
        """Return the (P, N) logits of a layer from the windows, multiplied by their attention."""
        parts = (
            cliper_logits(part.features[layer], queries, scale).T.reshape(-1, *place.shape)
            for part, place in zip(embedding.windows, places, strict=True)
        )
        return blend(parts, places, whole.grid).flatten(1) @ attention

    def probabilities(layer: int) -> Tensor:
        """Return the class probabilities of one layer, (T, N); one at a time to save memory."""
        found = _probabilities(whole.features[layer], queries, scale)
        if embedding.window_attention is None:
            return found
        windows = by_windows(layer, embedding.window_attention)
        return (found + windows.softmax(dim=0)[: queries.class_count]) / 2

    coarse = cliper_coarse(
        map(probabilities, range(layers)),
        whole.attention,
        select_layer=settings.select_layer % layers,
        attention_threshold=settings.attention_threshold,
        peaks=peaks,
    )
    return StageMaps(coarse.reshape(-1, *whole.grid).numpy(), coarse.amax(dim=1).numpy())


def _whole(embedding: ImageEmbedding) -> PatchFeatures:
    whole = embedding.whole
    if whole is None or whole.attention is None:
        raise InvalidInputError("The embedding was not made by CLIPer. Embed the image again.")
    return whole


def _probabilities(features: Tensor, queries: Queries, scale: float) -> Tensor:
    """Class probabilities of the patches in one layer, (T, N)."""
    logits = cliper_logits(features, queries, scale)  # (N, P)
    return logits.softmax(dim=-1)[:, : queries.class_count].T
