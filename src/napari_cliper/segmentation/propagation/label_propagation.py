"""Propagate user hints (strokes and clicks) to similar superpixels as changes of class scores.

Hints spread over superpixels by a random walk with restart (`superpixel_graph`). How they change
the text scores is this project's own rule:

- Text scores are kept except where user hints contradict them. There, the score of the hinted class
  rises by about twice the error of the text scores, in all superpixels that the walk reaches.
- Three things reduce the change in a superpixel: similar superpixels where hints confirm the text
  scores; similar superpixels to which the text scores give the same class as here; hints of other
  classes.
- So a hint inside a misclassified object also corrects similar objects, and text scores that
  many hints contradict are overruled.
- A hint next to a region to which the text scores already give the hinted class is taken as a
  correction of an edge: it changes its own superpixel only.
- Without hints, scores are unchanged.

Pure functions. Notation: n superpixels, T classes.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

OPEN = -1
"""Label of a pixel without a hint."""

FAINT = 0.3
"""Density of arriving hints at which they count half, if nothing speaks against them."""
BELIEF = 0.3
"""Weight of the text scores where there are no hints; same unit as `FAINT`."""
BEYOND, LEAST = 2.3, 0.05
"""Scores change by `BEYOND` * (error of the text scores + `LEAST`)."""
MOST = 0.5
"""A superpixel counts as predicted to be a class if at least this fraction of its pixels is."""


@dataclass(frozen=True, eq=False)
class ImageAffinity:
    """Superpixels of an image and the affinity between them.

    Parameters
    ----------
    regions : (Y, X) int32 array
        Superpixel of each pixel, 0 to n - 1.
    reach : (n, n) float32 tensor
        Probability that a random walk with restart from the row's superpixel is in the column's,
        times n; 1 is the value of a uniform distribution. Rows sum to n.
    nearby : (n, n) bool tensor
        Whether two superpixels are equal, adjacent or share a neighbour.
    """

    regions: NDArray[np.int32]
    reach: Tensor
    nearby: Tensor

    @property
    def nbytes(self) -> int:
        """Memory in bytes."""
        return self.regions.nbytes + self.reach.nbytes + self.nearby.nbytes


@dataclass(frozen=True, eq=False)
class Shift:
    """Changes of the class scores caused by hints.

    Parameters
    ----------
    by_region : (T, n) float32 tensor
        Change of each class's score relative to the background's, per superpixel.
    regions : (Y, X) int32 array
        Superpixel of each pixel.
    hint_labels : (Y, X) int32 array
        `OPEN` for no hint, 0 for background, i + 1 for class i.
    """

    by_region: Tensor
    regions: NDArray[np.int32]
    hint_labels: NDArray[np.int32]

    def of(self, index: int, out: NDArray[np.float32] | None = None) -> NDArray[np.float32]:
        """Return the score change of one class per pixel, (Y, X), in a new array or in `out`."""
        return self.by_region[index].numpy().take(self.regions, out=out, mode="clip")


def shift_by(
    affinity: ImageAffinity,
    hint_labels: NDArray[np.int32],
    wrong_by: Tensor,
    words: NDArray[np.integer],
    classes: int,
) -> Shift:
    """Compute how hints change the class scores of all superpixels.

    Parameters
    ----------
    affinity : ImageAffinity
    hint_labels : (Y, X) int32 array
        `OPEN` for no hint, 0 for background, i + 1 for class i.
    wrong_by : (P,) float32 tensor
        For each of the P pixels with a hint, in row-major order: the highest text score minus that
        of the hinted class; 0 where they agree.
    words : (Y, X) array of int
        Labels predicted from the text scores.
    classes : int
        T, the number of classes.

    Returns
    -------
    Shift
    """
    known = hint_labels != OPEN
    node = torch.from_numpy(affinity.regions[known].astype(np.int64))  # (P,)
    named = torch.from_numpy(hint_labels[known].astype(np.int64))
    count, labels = len(affinity.reach), classes + 1
    # Each superpixel has the same weight, however many of its pixels have hints.
    weight = 1 / torch.bincount(node, minlength=count)[node].float()  # (P,)

    def witnesses(values: Tensor) -> Tensor:
        return torch.zeros(count).index_add_(0, node, values * weight)

    def votes(counted: Tensor) -> Tensor:
        flat = torch.zeros(count * labels)
        return flat.index_add_(0, node * labels + named, counted * weight).reshape(count, labels)

    seen = _shares(affinity.regions, words, count, labels)  # (n, T + 1)
    near = (affinity.nearby.float() @ (seen >= MOST).float()) > 0
    # A hint next to its predicted class corrects an edge: it changes its own superpixel only.
    edge = (near[node, named] & (wrong_by > 0)).float()
    spreads, stays = votes(1 - edge), votes(edge)
    wrong = (wrong_by > 0).float()
    about = torch.stack(
        [witnesses(wrong_by * (1 - edge)), witnesses(wrong - edge), witnesses(1 - wrong)], dim=1
    )
    # Divide by the number of hints of a class: more strokes do not mean a larger object.
    often = (spreads + stays).sum(dim=0).clamp(min=1)
    believed = seen / seen.sum(dim=0).clamp(min=1)
    arrived = affinity.reach @ torch.cat([spreads / often, believed, about], dim=1)
    density, rival, (error, contradicts, agrees) = (
        arrived[:, :labels], arrived[:, labels:-3], arrived[:, -3:].T
    )  # fmt: skip
    # Similar superpixels with the same predicted class as this one speak against a change.
    against = (rival * seen).sum(dim=1, keepdim=True) ** 2 + FAINT**2
    share = density**2 / ((density**2).sum(dim=1, keepdim=True) + against)  # (n, T + 1)
    amount = _amount(error, contradicts) * contradicts / (contradicts + agrees + BELIEF)
    moved = amount[:, None] * (share[:, 1:] - share[:, :1])
    here = _amount(witnesses(wrong_by * edge), witnesses(edge))
    moved += here[:, None] * (stays[:, 1:] - stays[:, :1])
    return Shift(moved.T.contiguous(), affinity.regions, hint_labels)


def _amount(error: Tensor, contradicts: Tensor) -> Tensor:
    """Return the score change for the mean error of the text scores."""
    return BEYOND * (error / contradicts.clamp(min=1e-9) + LEAST)


def _shares(
    regions: NDArray[np.int32], labels: NDArray[np.integer], count: int, kinds: int
) -> Tensor:
    """Return the fraction of each superpixel's pixels that has each label, (n, T + 1)."""
    flat = regions.ravel().astype(np.int64) * kinds + labels.ravel()
    table = np.bincount(flat, minlength=count * kinds).reshape(count, kinds)
    return torch.from_numpy(table / table.sum(axis=1, keepdims=True)).float()
