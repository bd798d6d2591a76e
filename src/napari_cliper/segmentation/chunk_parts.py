"""The parts of the work on a large image, and what is known about the image after some of them.

See `chunked_labels`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Literal, NamedTuple, TypeVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from .labelling.label_rule import ClassRanges
from .tiles import Window

UNIT = 1 << 30
"""Uncertainties are summed as integer multiples of 1 / `UNIT`, so their order has no effect."""

Kind = Literal["encode", "score", "summarise", "join", "label", "find", "compare"]

T = TypeVar("T")


class Part(NamedTuple):
    """A part of a pass, which one process does.

    Parameters
    ----------
    kind : str
    tiles : range
        Indices of tiles, for ``encode`` and ``score``.
    cells : Window
        Patches, for ``summarise``, ``join``, ``find`` and ``compare``.
    window : Window
        Pixels, for ``summarise``, ``join`` and ``label``.
    """

    kind: Kind
    tiles: range = range(0)
    cells: Window = Window(0, 0, 0, 0)
    window: Window = Window(0, 0, 0, 0)


@dataclass(frozen=True, eq=False)
class Extremes:
    """The lowest, the highest, and the k highest values of each plane.

    Parameters
    ----------
    low, high : (C,) tensor
    top : (C, k) tensor
        In descending order; k is 0 where they are not needed.
    """

    low: Tensor
    high: Tensor
    top: Tensor

    @classmethod
    def of(cls, planes: Tensor, rank: int = 0) -> Extremes:
        """Those of (C, h, w) planes."""
        flat = planes.flatten(1)
        top = flat.topk(min(rank, flat.shape[1]), dim=1).values
        return cls(flat.amin(dim=1), flat.amax(dim=1), top)

    def merged(self, other: Extremes, rank: int) -> Extremes:
        """Those of both together."""
        top = torch.cat([self.top, other.top], dim=1)
        return Extremes(
            torch.minimum(self.low, other.low),
            torch.maximum(self.high, other.high),
            top.topk(min(rank, top.shape[1]), dim=1).values,
        )

    @property
    def ranges(self) -> ClassRanges:
        """The range of each plane."""
        return ClassRanges(tuple(self.low.tolist()), tuple(self.high.tolist()))


@dataclass(frozen=True, eq=False)
class Known:
    """What is known of a whole image after some parts.

    Parameters
    ----------
    peaks : (T,) tensor or None
        Maxima that thresholds of the method are relative to.
    blank : int
        Tiles without contrast.
    planes, finer : int
        Number of maps, and cells of refined maps along each side of a patch.
    cells, pixels : mapping of str to Extremes
        By stage: of the mosaic, and of its pixels. The stage ``"final"`` has those of the maps
        that the uncertainty is measured on.
    joined : mapping of str to Extremes
        By stage: of the planes joined with prototypes.
    winners : frozenset of int
        Labels that are best somewhere.
    counts : (T + 1,) int64 array or None
        Pixels of each label.
    uncertainty, compared : int
        Sum of the uncertainty in units of 1 / `UNIT`, and number of cells.
    """

    peaks: Tensor | None = None
    blank: int = 0
    planes: int = 0
    finer: int = 1
    cells: Mapping[str, Extremes] = field(default_factory=dict)
    pixels: Mapping[str, Extremes] = field(default_factory=dict)
    joined: Mapping[str, Extremes] = field(default_factory=dict)
    winners: frozenset[int] = frozenset()
    counts: NDArray[np.int64] | None = None
    uncertainty: int = 0
    compared: int = 0

    @property
    def mean_uncertainty(self) -> float:
        """The mean uncertainty of the image, 0 to 1."""
        return self.uncertainty / UNIT / self.compared

    def merged(self, other: Known, rank: int) -> Known:
        """Combine with what another part has found; the order has no influence.

        `rank` is how many of the highest values are kept.
        """

        def both(a: Mapping[str, Extremes], b: Mapping[str, Extremes]) -> dict[str, Extremes]:
            return {
                name: a[name].merged(b[name], rank) if name in a and name in b else one
                for name, one in {**a, **b}.items()
            }

        return Known(
            peaks=either(self.peaks, other.peaks, torch.maximum),
            blank=self.blank + other.blank,
            planes=max(self.planes, other.planes),
            finer=max(self.finer, other.finer),
            cells=both(self.cells, other.cells),
            pixels=both(self.pixels, other.pixels),
            joined=both(self.joined, other.joined),
            winners=self.winners | other.winners,
            counts=either(self.counts, other.counts, np.add),
            uncertainty=self.uncertainty + other.uncertainty,
            compared=self.compared + other.compared,
        )


def either(a: T | None, b: T | None, both: Callable[[T, T], T]) -> T | None:
    """Combine two values, either of which may be missing."""
    return a if b is None else b if a is None else both(a, b)
