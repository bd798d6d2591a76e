"""What a person says of a few pixels moves the scores of those that belong with them.

The evidence spreads over superpixels by a random walk with restart (`affinity`). How it moves the
words' scores is ours:

The words are taken for right but for what the evidence shows. Where it contradicts them, the class
that a person named is raised by about as much as the words were wrong there, in the superpixels
that the walk reaches from there, and less in those that it reaches from places where they were
right. So a correction at a doubtful border moves doubtful pixels, one amidst a sure mistake moves
all that is like it, and words that are wrong throughout are outvoted everywhere. Without evidence
nothing moves.

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

FAINT = 1.0
"""Evidence that arrives as densely as spread evenly counts half."""
BELIEF = 0.3
"""What speaks for the words where nobody has said anything; in the same unit."""
BEYOND, LEAST = 2.0, 0.05
"""Scores move by so many times what the words were wrong by, and this more."""


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
    """

    regions: NDArray[np.int32]
    reach: Tensor

    @property
    def nbytes(self) -> int:
        """Bytes of memory."""
        return self.regions.nbytes + self.reach.nbytes


@dataclass(frozen=True, eq=False)
class Shift:
    """How evidence moves the scores.

    Parameters
    ----------
    by_region : (T, n) float32 tensor
        What each class's score gains over the background's.
    regions : (Y, X) int32 array
    said : (Y, X) int32 array
        `OPEN`, 0 for background, i + 1 for class i.
    """

    by_region: Tensor
    regions: NDArray[np.int32]
    said: NDArray[np.int32]

    def of(self, index: int, out: NDArray[np.float32] | None = None) -> NDArray[np.float32]:
        """What a class gains at each pixel, (Y, X), in a new array or in `out`."""
        return self.by_region[index].numpy().take(self.regions, out=out, mode="clip")


def shift_by(
    affinity: ImageAffinity, said: NDArray[np.int32], wrong_by: Tensor, classes: int
) -> Shift:
    """How what a person has said moves the scores.

    Parameters
    ----------
    affinity : ImageAffinity
    said : (Y, X) int32 array
        `OPEN`, 0 for background, i + 1 for class i.
    wrong_by : (P,) float32 tensor
        For each of the P pixels that are not open, row by row: how far the words' best score is
        above that of what was said; 0 where the words are right.
    classes : int
        T.

    Returns
    -------
    Shift
    """
    known = said != OPEN
    node = torch.from_numpy(affinity.regions[known].astype(np.int64))  # (P,)
    named = torch.from_numpy(said[known].astype(np.int64))
    count = len(affinity.reach)
    votes = torch.bincount(node * (classes + 1) + named, minlength=count * (classes + 1))
    votes = votes.reshape(count, classes + 1).float()
    pixels = votes.sum(dim=1).clamp(min=1)  # (n,)
    votes /= pixels[:, None]  # a superpixel is a witness, however many of its pixels are known
    wrong = (wrong_by > 0).float()
    error, contradicts, agrees = (
        torch.zeros(count).index_add_(0, node, values) / pixels
        for values in (wrong_by, wrong, 1 - wrong)
    )
    witnesses = torch.stack([error, contradicts, agrees], dim=1)
    arrived = affinity.reach @ torch.cat([votes, witnesses], dim=1)  # (n, T + 1 + 3)
    density, (error, contradicts, agrees) = arrived[:, :-3], arrived[:, -3:].T
    # Of a class that was often named, each naming counts less: many strokes are no larger object.
    strength = (density / votes.sum(dim=0).clamp(min=1)) ** 2
    share = strength / (strength.sum(dim=1, keepdim=True) + FAINT**2)  # (n, T + 1)
    amount = BEYOND * (error / contradicts.clamp(min=1e-9) + LEAST)
    amount *= contradicts / (contradicts + agrees + BELIEF)  # how little the words are believed
    moved = amount[:, None] * (share[:, 1:] - share[:, :1])
    return Shift(moved.T.contiguous(), affinity.regions, said)
