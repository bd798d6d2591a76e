"""What a person says of a few pixels moves the scores of those that belong with them.

The evidence spreads over superpixels by a random walk with restart (`affinity`). How it moves the
words' scores is ours:

The words are taken for right but for what the evidence shows. Where it contradicts them, the class
that a person named is raised by about twice what the words were wrong by there, in the superpixels
that the walk reaches from there. Three things stand against it: places that look the same where
the words were right, all superpixels that look the same in which the words see what they see
here, and other classes that were named. So a click amidst an object that was taken for something
else moves the objects that are like it, and words that are wrong wherever somebody looks are
outvoted. A correction next to what the words see as the same class is an edge put right: it moves
the superpixel that it is in. Without evidence nothing moves.

Pure functions. Notation: n superpixels, T classes.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

OPEN = -1
"""A pixel about which nobody has said anything."""

FAINT = 0.3
"""Evidence that arrives this densely counts half, where no words stand against it."""
BELIEF = 0.3
"""What speaks for the words where nobody has said anything; in the same unit."""
BEYOND, LEAST = 2.3, 0.05
"""Scores move by so many times what the words were wrong by, and this more."""
MOST = 0.5
"""Words see a class in a superpixel that has this share of its pixels."""


@dataclass(frozen=True, eq=False)
class ImageAffinity:
    """How the parts of an image belong together.

    Parameters
    ----------
    regions : (Y, X) int32 array
        Superpixels, 0 to n - 1.
    reach : (n, n) float32 tensor
        How often a walk that starts in a row's superpixel and ends at any step with the same
        chance is in a column's; 1 is as often as if it went anywhere. Rows sum to n.
    nearby : (n, n) bool tensor
        Which lie at most two steps from border to border apart.
    """

    regions: NDArray[np.int32]
    reach: Tensor
    nearby: Tensor

    @property
    def nbytes(self) -> int:
        """Bytes of memory."""
        return self.regions.nbytes + self.reach.nbytes + self.nearby.nbytes


@dataclass(frozen=True, eq=False)
class Shift:
    """How evidence moves the scores.

    Parameters
    ----------
    by_region : (T, n) float32 tensor
        What each class's score gains over the background's.
    regions : (Y, X) int32 array
    hint_labels : (Y, X) int32 array
        `OPEN`, 0 for background, i + 1 for class i.
    """

    by_region: Tensor
    regions: NDArray[np.int32]
    hint_labels: NDArray[np.int32]

    def of(self, index: int, out: NDArray[np.float32] | None = None) -> NDArray[np.float32]:
        """What a class gains at each pixel, (Y, X), in a new array or in `out`."""
        return self.by_region[index].numpy().take(self.regions, out=out, mode="clip")


def shift_by(
    affinity: ImageAffinity,
    hint_labels: NDArray[np.int32],
    wrong_by: Tensor,
    words: NDArray[np.integer],
    classes: int,
) -> Shift:
    """How what a person has said moves the scores.

    Parameters
    ----------
    affinity : ImageAffinity
    hint_labels : (Y, X) int32 array
        `OPEN`, 0 for background, i + 1 for class i.
    wrong_by : (P,) float32 tensor
        For each of the P pixels that are not open, row by row: how far the words' best score is
        above that of what was said; 0 where the words are right.
    words : (Y, X) array of int
        The labels that the words alone give.
    classes : int
        T.

    Returns
    -------
    Shift
    """
    known = hint_labels != OPEN
    node = torch.from_numpy(affinity.regions[known].astype(np.int64))  # (P,)
    named = torch.from_numpy(hint_labels[known].astype(np.int64))
    count, labels = len(affinity.reach), classes + 1
    # A superpixel is one witness, however many of its pixels are known.
    weight = 1 / torch.bincount(node, minlength=count)[node].float()  # (P,)

    def witnesses(values: Tensor) -> Tensor:
        return torch.zeros(count).index_add_(0, node, values * weight)

    def votes(counted: Tensor) -> Tensor:
        flat = torch.zeros(count * labels)
        return flat.index_add_(0, node * labels + named, counted * weight).reshape(count, labels)

    seen = _shares(affinity.regions, words, count, labels)  # (n, T + 1)
    near = (affinity.nearby.float() @ (seen >= MOST).float()) > 0
    # What the words see next to it is an edge put right: it moves where it is and nothing else.
    edge = (near[node, named] & (wrong_by > 0)).float()
    spreads, stays = votes(1 - edge), votes(edge)
    wrong = (wrong_by > 0).float()
    about = torch.stack(
        [witnesses(wrong_by * (1 - edge)), witnesses(wrong - edge), witnesses(1 - wrong)], dim=1
    )
    # Of a class that was often named, each naming counts less: many strokes are no larger object.
    often = (spreads + stays).sum(dim=0).clamp(min=1)
    believed = seen / seen.sum(dim=0).clamp(min=1)
    arrived = affinity.reach @ torch.cat([spreads / often, believed, about], dim=1)
    density, rival, (error, contradicts, agrees) = (
        arrived[:, :labels], arrived[:, labels:-3], arrived[:, -3:].T
    )  # fmt: skip
    # What the words see in many superpixels that look like this one stands against the evidence.
    against = (rival * seen).sum(dim=1, keepdim=True) ** 2 + FAINT**2
    share = density**2 / ((density**2).sum(dim=1, keepdim=True) + against)  # (n, T + 1)
    amount = _amount(error, contradicts) * contradicts / (contradicts + agrees + BELIEF)
    moved = amount[:, None] * (share[:, 1:] - share[:, :1])
    here = _amount(witnesses(wrong_by * edge), witnesses(edge))
    moved += here[:, None] * (stays[:, 1:] - stays[:, :1])
    return Shift(moved.T.contiguous(), affinity.regions, hint_labels)


def _amount(error: Tensor, contradicts: Tensor) -> Tensor:
    """By how much scores move where the words were wrong by so much, on the mean."""
    return BEYOND * (error / contradicts.clamp(min=1e-9) + LEAST)


def _shares(
    regions: NDArray[np.int32], labels: NDArray[np.integer], count: int, kinds: int
) -> Tensor:
    """Which share of each superpixel has which label, (n, T + 1)."""
    flat = regions.ravel().astype(np.int64) * kinds + labels.ravel()
    table = np.bincount(flat, minlength=count * kinds).reshape(count, kinds)
    return torch.from_numpy(table / table.sum(axis=1, keepdims=True)).float()
