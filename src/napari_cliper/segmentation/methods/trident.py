"""Trident (arXiv 2411.09219): windows of CLIP are spliced; SAM's attention joins the whole image.

Notation: W is CLIP's width, D its embedding width; n = sh * sw patches of SAM; cells are those of
the spliced map.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

from ..config import Settings
from ..features.preprocessing import RGBPixels, normalised, resized
from ..features.tiling import blend, sliding_windows
from ..models.clip_image_encoder import ClipImageEncoder
from ..models.image_encoder import ImageEncoder
from ..models.last_block_attention import PROXY_BETA, PROXY_GAMMA, mean_similarity
from ..progress import Monitor
from ..results import ImageEmbedding, PatchFeatures, StageMaps
from ..scoring.similarity import Queries, cosine
from ..tiles import Window
from .last_block import WINDOWS_AT_ONCE, LastBlockMethod, maps_of_logits
from .protocol import ClipFeatures, ImageInput, ImageNetworks

NEGATIVE_LIMIT, HIGHEST_LIMIT = 0.6, 0.9
"""What a negative threshold of the similarity becomes, and the highest that there is."""

WIDE = 2
"""Images at least this many times as wide as high go through SAM in two halves."""


class Trident(LastBlockMethod):
    """Features of windows of CLIP under the attention of DINO, then under that of SAM."""

    def read(
        self,
        networks: ImageNetworks,
        image: ImageInput,
        settings: Settings,
        monitor: Monitor,
    ) -> ClipFeatures:
        """Features on SAM's grid, as a single window."""
        clip, foundation, sam = networks.clip, networks.foundation, networks.sam
        assert foundation is not None  # noqa: S101 - the method's row needs both
        assert sam is not None  # noqa: S101
        spliced = spliced_features(clip, foundation, image.pixels, settings, monitor)
        maps = _parts(spliced, image.original)
        joined = []
        for index, (part, pixels) in enumerate(maps):
            monitor.tell("Reading SAM's attention", index, len(maps))
            attention = sam.last_attention(_up_to(pixels, clip.patch), monitor)
            weights = correlation(
                map(attention.of_head, range(len(attention.values))),
                attention.values,
                cos_factor=settings.number("cos_fac"),
                keep_negative=bool(settings.number("refine_neg_cos")),
            )
            features = correlated(clip, part, weights, attention.grid)  # (n, D)
            joined.append(features.unflatten(0, attention.grid))
        features = torch.cat(joined, dim=1)  # (sh, parts * sw, D)
        shape = (image.pixels.shape[0], image.pixels.shape[1])
        whole = Window(0, 0, *shape)
        grid = (features.shape[0], features.shape[1])
        joint = PatchFeatures(features.flatten(0, 1)[None], grid, None, whole, whole, shape)
        return ClipFeatures(None, (joint,))

    def score(
        self,
        embedding: ImageEmbedding,
        queries: Queries,
        settings: Settings,
        patch: int,
        peaks: Tensor | None = None,
    ) -> StageMaps:
        """Maps on SAM's grid."""
        (part,) = embedding.windows
        logits = cosine(part.features[0], queries.vectors).T.reshape(-1, *part.grid)
        return maps_of_logits(logits * settings.logit_scale, queries)


def spliced_features(
    clip: ClipImageEncoder,
    foundation: ImageEncoder,
    pixels: RGBPixels,
    settings: Settings,
    monitor: Monitor,
) -> Tensor:
    """Return the features of all windows in one map, the mean where windows overlap.

    Parameters
    ----------
    pixels : (H, W, 3) uint8 array
        The resized image.

    Returns
    -------
    (W, h, w) float32 tensor
        After the last block of CLIP, before its last layer norm. Its cells are CLIP's patches, or
        equal parts of them if the foundation model's are smaller.
    """
    shape = aligned_shape((pixels.shape[0], pixels.shape[1]), clip.patch, settings.window)
    planes, theirs = (
        _resize(normalised(pixels, model.mean, model.std), shape) for model in (clip, foundation)
    )
    patch = clip.patch
    side, stride = (max(n // patch, 1) * patch for n in (settings.window, settings.stride))
    places = sliding_windows(shape, side if settings.window else 0, stride)
    external = []
    for start in range(0, len(places), WINDOWS_AT_ONCE):
        monitor.tell("Encoding the windows", start, 2 * len(places))
        crops = _crops(theirs, places[start : start + WINDOWS_AT_ONCE])
        fitting = [-(-side // foundation.patch) * foundation.patch for side in crops.shape[2:]]
        external.append(foundation.features(_resize(crops, (fitting[0], fitting[1])), monitor))
    features = torch.cat(external)
    mean = mean_similarity(features)
    parts: list[Tensor] = []
    for start in range(0, len(places), WINDOWS_AT_ONCE):
        monitor.tell("Encoding the windows", len(places) + start, 2 * len(places))
        batch = slice(start, start + WINDOWS_AT_ONCE)
        tokens = clip.proxied_tokens(
            _crops(planes, places[batch]),
            features[batch],
            beta=PROXY_BETA,
            gamma=PROXY_GAMMA,
            mean=mean,
            monitor=monitor,
        )
        parts += tokens.cpu().mT.unflatten(-1, features.shape[2:])
    return splice(parts, [place.in_patches(patch) for place in places])


def aligned_shape(shape: tuple[int, int], patch: int, window: int) -> tuple[int, int]:
    """Return the size that the resized image is resized to once more.

    Unless both sides are multiples of the patch: the longer side becomes the next one, the other
    follows and becomes the next one too. No side is shorter than a window.
    """
    if all(side % patch == 0 and side >= window for side in shape):
        return shape
    longest = -(-max(shape) // patch) * patch
    found = (int(side * longest / max(shape)) for side in shape)
    least = -(-window // patch) * patch
    height, width = (max(-(-side // patch) * patch, least) for side in found)
    return height, width


def splice(parts: Sequence[Tensor], places: Sequence[Window]) -> Tensor:
    """Put the maps of windows into one map; where windows overlap, their mean is taken.

    Parameters
    ----------
    parts : sequence of (W, vh, vw) tensors
        On the foundation model's grid.
    places : sequence of Window
        In patches of CLIP.

    Returns
    -------
    (W, h, w) tensor
        In cells: as many for each patch of CLIP as the foundation model has, rounded.
    """
    finer = max(round(parts[0].shape[1] / places[0].shape[0]), 1)
    cells = [place.in_pixels(finer) for place in places]
    shape = (max(one.bottom for one in cells), max(one.right for one in cells))
    fitted = (_resize(part[None], one.shape)[0] for part, one in zip(parts, cells, strict=True))
    return blend(fitted, cells, shape)


def correlation(
    attention: Iterable[Tensor], values: Tensor, *, cos_factor: float, keep_negative: bool
) -> Tensor:
    """Return SAM's attention between patches with similar values.

    Parameters
    ----------
    attention : iterable of (n, n) tensors
        Of each head; one at a time, to save memory.
    values : (heads, n, d) float tensor
        Value vectors of the same patches.
    cos_factor : float
        A patch attends to patches whose values are more similar than this times the mean.
    keep_negative : bool
        Whether that limit may be negative; otherwise it becomes `NEGATIVE_LIMIT`.

    Returns
    -------
    (n, n) float tensor
        Rows sum to 1.
    """
    unit = F.normalize(values.float(), dim=-1)
    of_all = unit.mean(dim=1, keepdim=True)  # (heads, 1, d)
    limits = cos_factor * (unit * of_all).sum(dim=-1).mean(dim=0)  # (n,)
    if not keep_negative:
        limits = torch.where(limits < 0, NEGATIVE_LIMIT, limits)
    limits = limits.clamp(max=HIGHEST_LIMIT)
    total = unit.new_zeros(unit.shape[1], unit.shape[1])
    for weights, vectors in zip(attention, unit, strict=True):
        unlike = (vectors @ vectors.T <= limits[:, None]).fill_diagonal_(fill_value=False)
        total += weights.float().masked_fill(unlike, 0)
    return total / total.sum(dim=-1, keepdim=True)


def correlated(
    clip: ClipImageEncoder, spliced: Tensor, weights: Tensor, grid: tuple[int, int]
) -> Tensor:
    """Return the projected patch features on SAM's grid, (n, D) float32.

    Parameters
    ----------
    spliced : (W, h, w) tensor
    weights : (n, n) tensor
        See `correlation`.
    grid : (int, int)
        (sh, sw).
    """
    features = weights @ _resize(spliced[None], grid)[0].flatten(1).T
    return clip.project_out(features[None].to(clip.device, clip.dtype))[0].float().cpu()


def _parts(spliced: Tensor, pixels: RGBPixels) -> list[tuple[Tensor, RGBPixels]]:
    """Return the parts of the spliced map and of the image that go through SAM apart."""
    if pixels.shape[1] < WIDE * pixels.shape[0] or spliced.shape[2] < WIDE:
        return [(spliced, pixels)]
    cut, middle = spliced.shape[2] // 2, pixels.shape[1] // 2
    return [
        (spliced[..., :cut], pixels[:, :middle]),
        (spliced[..., cut:], pixels[:, middle:]),
    ]


def _up_to(pixels: RGBPixels, multiple: int) -> RGBPixels:
    """Enlarge an image to multiples of a number of pixels."""
    height, width = (math.ceil(side / multiple) * multiple for side in pixels.shape[:2])
    return resized(pixels, (height, width), "bilinear")


def _crops(planes: Tensor, places: Sequence[Window]) -> Tensor:
    return torch.cat([planes[..., *place.slices] for place in places])


def _resize(planes: Tensor, shape: tuple[int, int]) -> Tensor:
    if tuple(planes.shape[2:]) == tuple(shape):
        return planes
    return F.interpolate(planes.float(), size=shape, mode="bilinear", align_corners=False)
