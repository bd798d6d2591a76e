"""Accepted pixels of a large image that follow hints, chunk by chunk.

As `merge.following` and `merge.moved_by_hint` for arrays in memory.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import maximum_filter

from ..segmentation import Monitor
from .chunks import ChunkChange, Index, Region, chunks_of, compress
from .edit_mask import ACCEPTED
from .label_store import LabelStore
from .merge import following, moved_by_hint
from .stored_accept import part_in

NEAR = 5
"""Side of the square, in cells of the reduced labels, in which a changed cell counts."""


@dataclass(frozen=True, eq=False)
class Followed:
    """Accepted pixels that were moved to what hints have changed, in a fork of a store.

    Parameters
    ----------
    fork : LabelStore
    changes : list of ChunkChange
    pixels : int
        How many were moved.
    """

    fork: LabelStore
    changes: list[ChunkChange]
    pixels: int


@dataclass(eq=False)
class StoredFollow:
    """Which accepted pixels of a store follow hints on a prediction.

    Parameters
    ----------
    region : (slice, slice)
        Rows and columns of the prediction.
    before : (Y, X) array of int or LabelsByChunk
        The prediction before the first hint.
    """

    region: Region
    before: Any
    _follows: dict[Index, NDArray[np.uint8]] = field(default_factory=dict, init=False)
    """Packed bits of the pixels that follow, of the chunks that hints have reached."""

    def run(
        self, store: LabelStore, after: Any, numbers: NDArray[np.uint16], monitor: Monitor
    ) -> Followed:
        """Move accepted pixels to a prediction with hints, in a fork of the store.

        Parameters
        ----------
        store : LabelStore
        after : (Y, X) array of int or LabelsByChunk
        numbers : uint16 array
            The label in the annotation of each label of the predictions.
        monitor : Monitor
            Told of each chunk; can stop in between.
        """
        fork, changes, pixels = store.fork(), list[ChunkChange](), 0
        wanted = sorted(self._reached(store, after) & store.chunks_with(ACCEPTED))
        for done, index in enumerate(wanted):
            monitor.tell("Moving accepted pixels", done, len(wanted))
            here, inside = part_in(index, self.region, store.shape)
            labels, edit_mask = fork.read(here)
            if index not in self._follows:
                given = following(labels, edit_mask, numbers[self.before[inside]])
                self._follows[index] = np.packbits(given)
            bits = np.unpackbits(self._follows[index], count=labels.size)
            follows, new = bits.reshape(labels.shape).astype(bool), numbers[after[inside]]
            moved = moved_by_hint(edit_mask, follows, labels, new)
            if moved.any():
                found = fork.write(here, new, where=moved)
                compress(found)
                changes += found
                pixels += int(np.count_nonzero(moved))
        return Followed(fork, changes, pixels)

    def _reached(self, store: LabelStore, after: Any) -> set[Index]:
        """The chunks where hints change the labels, as far as they are known, or did before."""
        if isinstance(after, np.ndarray):
            changed = self.before != after
        else:
            changed = maximum_filter(self.before.reduced != after.reduced, NEAR)
        found = set(self._follows)
        for index in chunks_of(self.region, store.shape):
            _, inside = part_in(index, self.region, store.shape)
            rows, columns = (
                slice(part.start * cells // side, -(-part.stop * cells // side))
                for part, cells, side in zip(inside, changed.shape, after.shape, strict=True)
            )
            if changed[rows, columns].any():
                found.add(index)
        return found
