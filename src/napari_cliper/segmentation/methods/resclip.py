"""ResCLIP (arXiv 2411.15851): attention of earlier blocks, and of patches with the same label.

The last block runs twice. The labels of the first pass, which depend on the words, say which
patches attend to each other in the second. Notation: h * w = N patches, n = 1 + N tokens (class
token first), W transformer width, H heads, d head width, D embedding width, Q query vectors.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import torch
import torch.nn.functional as F
from torch import Tensor

from ..config import Settings
from ..features.preprocessing import RGBPixels
from ..majority import most_frequent
from ..models.clip_image_encoder import ClipImageEncoder
from ..models.image_encoder import ImageEncoder
from ..models.last_block_attention import LAST_BLOCK, nearness
from ..progress import Monitor
from ..refiners.pamr import refine_with_colours
from ..results import ImageEmbedding, PatchFeatures
from ..scoring.similarity import Queries, cosine
from .last_block import Encoded, LastBlockMethod, scaled_block, scaling_note
from .naclip import SIGMA

EARLY_BLOCKS = (6, 7, 8, 9)
"""The blocks, counted from 1, whose mean attention is added; also of a CLIP with 24 blocks."""

ITERATIONS, DILATIONS = 10, (8, 16)
"""Of the refinement by colour between the passes."""

BLUR, BLUR_WIDTH = 5.0, 31
"""Standard deviation and width of the kernel that blurs the attention, in patches."""


class ResClip(LastBlockMethod):
    """NACLIP's attention, corrected twice; `Settings.numbers` has the weights."""

    residual = False
    pads_whole = False

    pairs: tuple[str, ...] = ("k-k",)
    """Which of q and k are compared; the attentions of several pairs are added."""

    near: bool = True
    """Whether near patches attend to each other more, as in NACLIP."""

    def notes(
        self, settings: Settings, layers: int, patch: int, shape: tuple[int, int]
    ) -> tuple[str, ...]:
        """A remark on towers that lack the blocks."""
        return () if layers > max(EARLY_BLOCKS) else scaling_note("ResCLIP", layers, (12,))

    def encode(
        self,
        clip: ClipImageEncoder,
        foundation: ImageEncoder | None,
        crops: Sequence[RGBPixels],
        planes: Tensor,
        settings: Settings,
        monitor: Monitor,
    ) -> Encoded:
        """Features of the first pass, and what the second needs."""
        layers, grid = len(clip.blocks), clip.grid(planes)
        numbers: tuple[int, ...] = EARLY_BLOCKS
        if layers <= max(EARLY_BLOCKS):
            numbers = tuple(scaled_block(one, layers) for one in EARLY_BLOCKS)
        early: Tensor | float = 0.0
        x = planes
        for before, x in enumerate(clip.inputs_of_blocks(planes, monitor=monitor)):
            if before + 1 in numbers:
                block = clip.blocks[before]
                found = LAST_BLOCK["vanilla"](*clip.project(block, block.ln_1(x))).float()
                early = early + found * (numbers.count(before + 1) / len(numbers))
        assert isinstance(early, Tensor)  # noqa: S101 - the numbers are those of blocks
        features, extra = [], []
        for tokens, attention, pixels in zip(x, early, planes, strict=True):
            monitor.check()
            features.append(self.last_pass(clip, tokens, attention, grid, settings))
            kept = {"tokens": tokens, "early": attention, "planes": pixels}
            extra.append({name: one.float().cpu() for name, one in kept.items()})
        return Encoded(torch.stack(features), grid, tuple(extra))

    def with_words(
        self,
        clip: ClipImageEncoder,
        embedding: ImageEmbedding,
        queries: Queries,
        settings: Settings,
        monitor: Monitor,
    ) -> ImageEmbedding:
        """Run the second pass."""
        windows = []
        for index, part in enumerate(embedding.windows):
            monitor.tell("Comparing the windows with the words", index, len(embedding.windows))
            labels = patch_labels(part, queries, settings, clip.patch, monitor)
            regions = region_attention(labels)
            tokens, early = (part.extra[name].to(clip.device) for name in ("tokens", "early"))
            found = self.last_pass(clip, tokens, early, part.grid, settings, regions)
            windows.append(replace(part, features=found[None].cpu()))
        return replace(embedding, windows=tuple(windows))

    def last_pass(
        self,
        clip: ClipImageEncoder,
        tokens: Tensor,
        early: Tensor,
        grid: tuple[int, int],
        settings: Settings,
        regions: Tensor | None = None,
    ) -> Tensor:
        """Run the last block.

        Parameters
        ----------
        tokens : (n, W) float tensor
            Its input.
        early : (H, n, n) float tensor
            Mean attention of the early blocks.
        grid : (int, int)
            (h, w).
        settings : Settings
        regions : (N, N) float tensor, optional
            See `region_attention`; None in the first pass.

        Returns
        -------
        (N, D) float32 tensor
        """
        last = clip.blocks[-1]
        x = tokens[None].to(clip.dtype)
        q, k, v = clip.project(last, last.ln_1(x))
        vectors = {"q": q.float(), "k": k.float()}
        total: Tensor | float = 0.0
        for pair in self.pairs:
            one, other = (vectors[name] for name in pair.split("-"))
            logits = one @ other.mT * one.shape[-1] ** -0.5  # (1, H, n, n)
            if regions is not None:
                share = settings.number("sfr_lambda")
                added = F.pad(regions, (1, 0, 1, 0)).to(logits.device)  # 0 for the class token
                logits = settings.number("sfr_tau") * ((1 - share) * logits + share * added)
            if self.near:
                logits = logits + nearness(grid, SIGMA).to(logits.device)
            total = total + logits.softmax(dim=-1)
        share = settings.number("rcs_lambda")
        weights = settings.number("rcs_tau") * ((1 - share) * total + share * early)
        out = clip.merge(last, weights.to(v.dtype), v)
        out = clip.finish(last, x, out) if self.residual else out
        return clip.project_out(out)[0, 1:].float()


def patch_labels(
    part: PatchFeatures, queries: Queries, settings: Settings, patch: int, monitor: Monitor
) -> Tensor:
    """Return the best query of each patch after a refinement by colour, (h, w) int64.

    Queries are numbered from the first background word on, or from the first class if there is
    none. Number 0 is also that of pixels whose probability is below the threshold ``temp_thr``.
    """
    order = sorted(range(len(queries.owner)), key=queries.owner.__getitem__)
    planes = part.extra["planes"]
    logits = cosine(part.features[0], queries.vectors[order]).T.reshape(1, -1, *part.grid)
    logits = F.interpolate(logits, size=planes.shape[1:], mode="bilinear")[0]
    logits = refine_with_colours(
        logits, planes, iterations=ITERATIONS, dilations=DILATIONS, monitor=monitor
    )
    best = (logits * settings.logit_scale).softmax(dim=0).max(dim=0)
    labels = torch.where(best.values < settings.number("temp_thr"), 0, best.indices)
    height, width = part.grid
    rows, columns = (torch.arange(side * patch) // patch for side in part.grid)
    owners = rows[:, None] * width + columns
    _, winners = most_frequent(
        owners.flatten().numpy(), labels[: height * patch, : width * patch].flatten().numpy()
    )
    return torch.from_numpy(winners).reshape(part.grid)


def region_attention(labels: Tensor) -> Tensor:
    """Return how much each patch attends to others with its label.

    Parameters
    ----------
    labels : (h, w) int64 tensor

    Returns
    -------
    (N, N) float32 tensor
        0 to 1, not symmetric; blurred along the second axis, across the ends of the rows.
    """
    same = same_regions(labels)
    count = len(same)
    size = min(count, BLUR_WIDTH) | 1  # odd
    offsets = torch.arange(size) - size // 2
    kernel = torch.exp(-((offsets / BLUR) ** 2) / 2)
    kernel = (kernel / kernel.sum()).reshape(1, 1, -1)
    blurred = F.conv1d(same[:, None], kernel, padding=size // 2)[:, 0]
    blurred = blurred / (blurred.sum(dim=-1, keepdim=True) + 1e-8)
    return blurred / blurred.max()


def same_regions(labels: Tensor) -> Tensor:
    """Return 1 for pairs of patches with equal labels, less where others lie between, else 0.

    Parameters
    ----------
    labels : (h, w) int64 tensor

    Returns
    -------
    (N, N) float32 tensor

    Notes
    -----
    As in the published program, the line between two patches is followed in steps of the longest
    distance on the grid, and only as many as their own distance. So mostly its beginning counts.
    """
    height, width = labels.shape
    flat = labels.flatten()
    result = (flat[:, None] == flat).float()
    longest = max(height, width) - 1
    if not longest:
        return result
    start, end = result.nonzero().unbind(dim=1)
    ends = [(one // width, one % width) for one in (start, end)]
    (start_y, start_x), (end_y, end_x) = ends
    distance = torch.maximum((start_y - end_y).abs(), (start_x - end_x).abs())
    blocked = torch.zeros(len(start), dtype=torch.bool)
    for step, t in enumerate(torch.linspace(0, 1, longest + 1)):
        y, x = (
            torch.round(first * (1 - t) + second * t).long()
            for first, second in ((start_y, end_y), (start_x, end_x))
        )
        blocked |= (labels[y, x] != flat[start]) & (distance >= step)
    faded = torch.exp(-distance / longest)
    result[start, end] = torch.where(blocked, faded, 1.0)
    return result
