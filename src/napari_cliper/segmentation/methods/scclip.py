"""SC-CLIP (arXiv 2411.15869): anomalous patches are repaired, and similar patches averaged.

Blocks are counted from 1, as in the paper. Notation: N = h * w patches, W transformer width.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType

import torch
import torch.nn.functional as F
from torch import Tensor

from ..config import Settings
from ..features.preprocessing import RGBPixels
from ..models.clip_image_encoder import ClipImageEncoder
from ..models.image_encoder import ImageEncoder
from ..models.last_block_attention import LAST_BLOCK, proxy_attention
from ..progress import Monitor
from .last_block import Encoded, LastBlockMethod, scaled_block, scaling_note

NEIGHBOURS = 30
"""Nearest other patches that an anomaly score is computed from."""

CONTAMINATION = 0.05
"""Share of the patches that are anomalous."""

BETA, GAMMA = 1.0, 3.0
"""Shift and scale of the attention by similarity; see `proxy_attention`."""

SMALLEST_DISTANCE = 1e-6
"""Squared distances below this, such as those of equal patches, are taken as this."""


@dataclass(frozen=True)
class Constants:
    """The numbers that depend on the number of blocks.

    Parameters
    ----------
    similarity : int
        The block whose output gives the similarity between patches.
    smoothing : int
        The block whose output gives the similarity of the last averaging.
    first, last : int
        Range of the blocks whose outputs are added.
    class_token : float
        Weight of the class token that is added to each patch.
    threshold : float
        Cosines below this count as 0 when patches are averaged.
    """

    similarity: int
    smoothing: int
    first: int
    last: int
    class_token: float
    threshold: float = 0.4


PUBLISHED: Mapping[int, Constants] = MappingProxyType(
    {12: Constants(9, 4, 4, 10, 0.3), 24: Constants(17, 7, 9, 19, 0.1)}
)
"""By the number of blocks; those of ViT-L/14 are what its author recommends."""


class ScClip(LastBlockMethod):
    """Needs no other network, and its features no words."""

    residual = False

    def constants(self, layers: int) -> Constants:
        """Return the constants for a CLIP of so many blocks; scaled from 12 if not published."""
        if layers in PUBLISHED:
            return PUBLISHED[layers]
        base = PUBLISHED[12]
        numbers = (base.similarity, base.smoothing, base.first, base.last)
        similarity, smoothing, first, last = (scaled_block(one, layers) for one in numbers)
        return Constants(similarity, smoothing, first, last, base.class_token, base.threshold)

    def notes(
        self, settings: Settings, layers: int, patch: int, shape: tuple[int, int]
    ) -> tuple[str, ...]:
        """Remarks on other towers and on small windows."""
        height, width = self.network_shape(self.resized_shape(shape, settings, patch), settings)
        patches = -(-height // patch) * -(-width // patch)
        few = (
            f"SC-CLIP compares each patch with {NEIGHBOURS} others, but there are only {patches} "
            "patches. It uses all of them, which is not validated. A larger shorter side gives "
            "more patches."
        )
        return (
            *((few,) if patches <= NEIGHBOURS else ()),
            *scaling_note("SC-CLIP", layers, PUBLISHED),
        )

    def encode(
        self,
        clip: ClipImageEncoder,
        foundation: ImageEncoder | None,
        crops: Sequence[RGBPixels],
        planes: Tensor,
        settings: Settings,
        monitor: Monitor,
    ) -> Encoded:
        """Features on CLIP's grid."""
        grid = clip.grid(planes)
        constants = self.constants(len(clip.blocks))
        similar = smoothing = x = planes
        levels: Tensor | None = None
        for block, x in enumerate(clip.inputs_of_blocks(planes, monitor=monitor)):
            if block == constants.similarity:
                similar = x
            if block == constants.smoothing:
                smoothing = x
            if constants.first <= block <= constants.last:
                levels = x if levels is None else levels + x
        assert levels is not None  # noqa: S101 - `first` to `last` is not empty
        outputs = []
        for images in zip(x, similar, smoothing, levels, strict=True):
            monitor.check()
            outputs.append(_patches(clip, constants, grid, *images))
        return Encoded(torch.stack(outputs), grid)


def _patches(
    clip: ClipImageEncoder,
    constants: Constants,
    grid: tuple[int, int],
    x: Tensor,
    similar: Tensor,
    smoothing: Tensor,
    levels: Tensor,
) -> Tensor:
    """The features of one image, (N, D), from the outputs of blocks, each (1 + N, W)."""
    last = clip.blocks[-1]
    anomalous = anomalies(anomaly_scores(x[1:].float()))
    alike = repaired(similar[1:].float(), grid, anomalous)  # (N, W)
    by_similarity = proxy_attention(alike, BETA, GAMMA)  # (N, N)
    smooth = averaging(smoothing[1:].float(), constants.threshold)

    def attended(patches: Tensor, class_token: Tensor) -> Tensor:
        q, k, v = clip.project(last, last.ln_1(patches.to(x.dtype))[None])
        weights = (by_similarity + LAST_BLOCK["k-k"](q, k, v).float()) / 2
        out = clip.merge(last, weights.to(v.dtype), v)[0].float()
        return smooth @ (out + constants.class_token * class_token.float())

    mended = averaging(alike, constants.threshold) @ repaired(x[1:].float(), grid, anomalous)
    out = attended(mended, x[0]) + attended(levels[1:], levels[0])
    return clip.project_out(out.to(x.dtype)[None])[0].float()


def anomaly_scores(patches: Tensor) -> Tensor:
    """Return how much farther each patch is from its neighbours than these are from theirs.

    Parameters
    ----------
    patches : (N, W) float32 tensor

    Returns
    -------
    (N,) tensor
        The mean, over the nearest other patches, of the ratio between the patch's own distance to
        the last of them and theirs; 1 where all patches are equal, and with a single patch.
    """
    count = min(NEIGHBOURS, len(patches) - 1)
    if not count:
        return patches.new_ones(len(patches))
    mode = "donot_use_mm_for_euclid_dist"
    distances = torch.cdist(patches, patches, compute_mode=mode).square()
    nearest = distances.topk(count + 1, largest=False)
    reach = nearest.values[:, -1].clamp(min=SMALLEST_DISTANCE)
    return (reach[:, None] / reach[nearest.indices[:, 1:]]).mean(dim=1)


def anomalies(scores: Tensor) -> Tensor:
    """Return which patches are anomalous, (N,) bool; none if all scores are equal."""
    return scores > scores.quantile(1 - CONTAMINATION)


def repaired(patches: Tensor, grid: tuple[int, int], anomalous: Tensor) -> Tensor:
    """Replace anomalous patches by the mean of their neighbours in the image.

    Parameters
    ----------
    patches : (N, W) float tensor
    grid : (int, int)
        (h, w).
    anomalous : (N,) bool tensor

    Returns
    -------
    (N, W) tensor
        The mean is over those of the 8 neighbours that are not anomalous; without any, the patch
        stays.
    """
    kept = (~anomalous).to(patches.dtype)[:, None]
    planes = torch.cat([patches * kept, kept], dim=1).T.reshape(1, -1, *grid)
    total = F.avg_pool2d(planes, 3, stride=1, padding=1, divisor_override=1)[0].flatten(1).T
    count = total[:, -1:]
    means = total[:, :-1] / count.clamp(min=1)
    return torch.where(anomalous[:, None] & (count > 0), means, patches)


def averaging(patches: Tensor, threshold: float) -> Tensor:
    """Return the weights, (N, N), of the mean over patches whose cosine is above a threshold."""
    cosines = similarity(patches)
    kept = torch.where(cosines >= threshold, cosines, 0)
    return kept / (kept.sum(dim=-1, keepdim=True) + 1e-6)


def similarity(patches: Tensor) -> Tensor:
    """Return the cosine similarity between patches, (N, N)."""
    unit = F.normalize(patches, dim=-1)
    return unit @ unit.mT
