"""What is drawn on a large image: reduced to a coarser grid, and at its pixels."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from hashlib import blake2b
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from ..labels.label_class import ClassRow
from ..segmentation import Window
from .chunks import Region, pieces_by_chunk, region_of_chunk
from .edit_mask import PAINTED, EditMask, Labels
from .label_store import LabelStore
from .user_hints import Click, hints_of


class OnGrid(NamedTuple):
    """What is annotated in the cells of a grid.

    Parameters
    ----------
    labels : (h, w) uint16 array
    edit_mask : (h, w) uint8 array
    painted : bytes
        A hash of the painted pixels.
    """

    labels: Labels
    edit_mask: EditMask
    painted: bytes


def on_grid(
    store: LabelStore, region: Region, grid: tuple[int, int], *, painted_only: bool = False
) -> OnGrid:
    """Return labels and edit mask of a region of a store, reduced to a grid.

    A cell has the label of a painted pixel, if it has one, and else that of one of its pixels.

    Parameters
    ----------
    store : LabelStore
    region : (slice, slice)
    grid : (int, int)
        Rows and columns of cells, at most as many as the region has pixels.
    painted_only : bool
        Leave out what is not painted; much faster, as few chunks are read.
    """
    labels, edit_mask = np.zeros(grid, np.uint16), np.zeros(grid, np.uint8)
    painted: list[tuple[NDArray[np.intp], NDArray[np.intp], Labels]] = []
    hasher = blake2b()
    sides = tuple(part.stop - part.start for part in region)
    wanted = store.chunks_with(PAINTED) if painted_only else None
    for index, inside, outside in pieces_by_chunk(region, store.shape):
        if wanted is not None and index not in wanted:
            continue
        here = tuple(
            slice(whole.start + part.start, whole.start + part.stop)
            for whole, part in zip(region_of_chunk(index, store.shape), inside, strict=True)
        )
        own, mask = store.read(here)
        if not mask.any():
            continue
        rows, columns = (
            np.arange(part.start, part.stop) * cells // side
            for part, cells, side in zip(outside, grid, sides, strict=True)
        )
        if not painted_only:
            (down, first), (across, left) = (
                np.unique(cells, return_index=True) for cells in (rows, columns)
            )
            labels[np.ix_(down, across)] = own[np.ix_(first, left)]
            edit_mask[np.ix_(down, across)] = mask[np.ix_(first, left)]
        at = np.nonzero(mask == PAINTED)
        if len(at[0]):
            painted.append((rows[at[0]], columns[at[1]], own[at]))
            hasher.update(repr(index).encode() + at[0].tobytes() + at[1].tobytes())
            hasher.update(own[at].tobytes())
    for down, across, own in painted:
        labels[down, across] = own
        edit_mask[down, across] = PAINTED
    return OnGrid(labels, edit_mask, hasher.digest())


@dataclass(frozen=True, eq=False)
class StoredHints:
    """Strokes and clicks on a region of a store, read where they are needed.

    Parameters
    ----------
    store : LabelStore or None
        A fork, which does not change; None without strokes.
    region : (slice, slice)
    classes : mapping of int to ClassRow
        Of the annotation.
    clicks : sequence of (str, int, int)
        In pixels of the region.
    names : sequence of str
        Class names of the result.
    painted : bytes
        See `OnGrid`.
    """

    store: LabelStore | None
    region: Region
    classes: Mapping[int, ClassRow]
    clicks: Sequence[Click]
    names: Sequence[str]
    painted: bytes

    @property
    def key(self) -> object:
        """What is equal for the same hints."""
        numbers = tuple((label, row.name) for label, row in sorted(self.classes.items()))
        return self.painted, numbers, tuple(self.clicks), tuple(self.names)

    def at(self, window: Window) -> NDArray[np.int32]:
        """Hint labels of a part of the region; see `Hints.hint_labels`."""
        labels, edit_mask = np.zeros(window.shape, np.uint16), np.zeros(window.shape, np.uint8)
        if self.store is not None:
            down, across = (part.start for part in self.region)
            labels, edit_mask = self.store.read((
                slice(window.top + down, window.bottom + down),
                slice(window.left + across, window.right + across),
            ))  # fmt: skip
        clicks = [
            (name, row - window.top, column - window.left)
            for name, row, column in self.clicks
            if window.top <= row < window.bottom and window.left <= column < window.right
        ]
        return hints_of(labels, edit_mask, self.classes, clicks, self.names).hint_labels
