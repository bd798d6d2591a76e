"""The score maps of a part of an image, as if it were an image; computed once."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from ..features.pixel_planes import PixelPlanes
from ..tiles import Window

if TYPE_CHECKING:
    from ..results import ScoreMaps, Stage


class WindowPlanes:
    """Planes of a part of an image, as `pixel_planes.PixelPlanes`; each is kept once it is known.

    Parameters
    ----------
    source : PixelPlanes
        Of the whole image.
    window : Window
        The part.
    """

    def __init__(self, source: PixelPlanes, window: Window) -> None:
        self._source, self._window = source, window
        self._known: dict[int, Tensor] = {}

    @property
    def shape(self) -> tuple[int, int]:
        """(Y, X) of the part."""
        return self._window.shape

    @property
    def count(self) -> int:
        """Number of planes."""
        return self._source.count

    @property
    def nbytes(self) -> int:
        """Bytes of memory."""
        return sum(plane.nbytes for plane in self._known.values())

    def windows(self) -> Iterator[Window]:
        """All of it."""
        yield Window(0, 0, *self.shape)

    def at(self, window: Window, chosen: Sequence[int] | None = None) -> Tensor:
        """Planes in some of the part, (C, height, width) float32; a new tensor."""
        wanted = range(self.count) if chosen is None else chosen
        missing = [index for index in wanted if index not in self._known]
        if missing:
            every = None if len(missing) == self.count else missing
            self._known.update(zip(missing, self._source.at(self._window, every), strict=True))
        return torch.stack([self._known[index][window.slices] for index in wanted])


def scores_in(scores: ScoreMaps, stage: Stage, window: Window) -> ScoreMaps:
    """Return the score maps of a part of an image, whose coarse stage is the given one.

    Labels of the part are those of the whole image there.

    Parameters
    ----------
    scores : ScoreMaps
        For which `labels_by_chunk.in_chunks` is true.
    stage : {'coarse', 'refined'}
    window : Window
    """
    maps = scores.stage(stage)
    ranges = maps.ranges(scores.shape) if scores.config.rule == "cliper" else None
    part = replace(
        maps, detail=WindowPlanes(maps.pixel_planes(scores.shape), window), known_ranges=ranges
    )
    return replace(scores, coarse=part, refined=None, shape=window.shape)
