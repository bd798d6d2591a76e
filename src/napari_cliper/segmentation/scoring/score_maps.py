"""Compute coarse and refined score maps from an image embedding and query vectors.

Called by `Segmenter.score`. Pure functions; no network is run.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

import torch
import torch.nn.functional as F
from torch import Tensor

from ..config import Refiner, Rule, Settings
from ..errors import InvalidInputError
from ..features.tiling import blend
from ..progress import Monitor
from ..refiners.refinement import HeadFusion, refine_with_attention, refine_with_colours
from ..results import ImageEmbedding, PatchFeatures, StageMaps, softmax_to_classes
from .prototype_fusion import PrototypeFusion
from .similarity import Queries, cliper_coarse, cliper_logits, cosine

PAMR_ITERATIONS, PAMR_DILATIONS = 10, (1, 2, 4, 8)

_HEAD_FUSION: Mapping[Refiner, HeadFusion] = MappingProxyType(
    {
        "stable-diffusion": "product",
        "stable-diffusion-mean": "mean",
        "foundation": "product",  # a single map
    }
)


def cliper_maps(
    embedding: ImageEmbedding,
    queries: Queries,
    settings: Settings,
    patch: int,
    fusion: PrototypeFusion | None = None,
) -> StageMaps:
    """Compute CLIPer's coarse score maps (arXiv 2411.13836, eq. 5-7).

    With sliding windows, their probabilities are averaged with those of the whole image.

    Parameters
    ----------
    queries : Queries
        Text embeddings.
    patch : int
        Patch size of CLIP in pixels.
    fusion : PrototypeFusion, optional
        Prototypes to combine with text.
    """
    whole = embedding.whole
    if whole is None or whole.attention is None:
        raise InvalidInputError("The embedding was not made by CLIPer. Embed the image again.")
    scale, layers = settings.logit_scale, len(whole.features)
    places = [part.window.in_patches(patch) for part in embedding.windows]

    def by_windows(requested: Queries, layer: int, attention: Tensor) -> Tensor:
        """Return the (P, N) logits of a layer from the windows, multiplied by their attention."""
        parts = (
            cliper_logits(part.features[layer], requested, scale).T.reshape(-1, *place.shape)
            for part, place in zip(embedding.windows, places, strict=True)
        )
        return blend(parts, places, whole.grid).flatten(1) @ attention

    def answers(requested: Queries, layer: int) -> Tensor:
        """Return the class probabilities of one layer, (T, N)."""
        logits = cliper_logits(whole.features[layer], requested, scale)  # (N, P)
        found = logits.softmax(dim=-1)[:, : requested.class_count].T
        if embedding.window_attention is None:
            return found
        windows = by_windows(requested, layer, embedding.window_attention)
        return (found + windows.softmax(dim=0)[: requested.class_count]) / 2

    def probabilities(layer: int) -> Tensor:
        """Return the combined probabilities of one layer, (T, N); one at a time to save memory."""
        words = answers(queries, layer)
        return words if fusion is None else fusion.mixed(words, answers(fusion.queries, layer))

    coarse = cliper_coarse(
        map(probabilities, range(layers)),
        whole.attention,
        select_layer=settings.select_layer % layers,
        attention_threshold=settings.attention_threshold,
    )
    return StageMaps(coarse.reshape(-1, *whole.grid).numpy(), coarse.amax(dim=1).numpy())


def probability_maps(
    embedding: ImageEmbedding,
    queries: Queries,
    settings: Settings,
    fusion: PrototypeFusion | None = None,
) -> StageMaps:
    """Compute the score maps of the other methods: softmax of the mean logits of the windows.

    Parameters
    ----------
    queries : Queries
        Text embeddings.
    fusion : PrototypeFusion, optional
        Prototypes to combine with text.
    """
    logits = _blended_logits(embedding, queries, settings)  # (Q, H, W)
    maps, background = softmax_to_classes(logits, queries.owner)
    if fusion is not None:
        own, rest = softmax_to_classes(
            _blended_logits(embedding, fusion.queries, settings), fusion.queries.owner
        )
        maps, background = fusion.mixed(maps, own), fusion.mixed_background(background, rest)
    return StageMaps(
        maps=maps.numpy(),
        class_scores=maps.flatten(1).amax(dim=1).numpy(),
        background=None if background is None else background.numpy(),
        logits=logits.numpy() if fusion is None else None,  # undefined for combined maps
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


def refined_maps(
    coarse: StageMaps, embedding: ImageEmbedding, refiner: Refiner, rule: Rule, monitor: Monitor
) -> StageMaps:
    """Refine coarse score maps, including that of the background if there is one."""
    monitor.tell("Refining", 0, 1)
    maps = torch.from_numpy(coarse.maps)
    if coarse.background is not None:
        maps = torch.cat([maps, torch.from_numpy(coarse.background)[None]])
    if embedding.self_attention is not None:
        refined = refine_with_attention(maps, embedding.self_attention, _HEAD_FUSION[refiner])
    else:
        refined = refine_with_colours(
            maps,
            torch.from_numpy(embedding.resized).permute(2, 0, 1),
            iterations=PAMR_ITERATIONS,
            dilations=PAMR_DILATIONS,
            monitor=monitor,
        )
    background = None
    if coarse.background is not None:
        refined, background = refined[:-1], refined[-1].numpy()
    scores = refined.flatten(1).amax(dim=1).numpy()
    if rule == "cliper":
        scores = (scores + coarse.class_scores) / 2
    return StageMaps(refined.contiguous().numpy(), scores, background)
