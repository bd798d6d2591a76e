"""Accept predictions into the annotation of a large image, chunk by chunk."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..segmentation import Monitor
from .chunks import ChunkChange, Index, Part, Region, compress, pieces_by_chunk, region_of_chunk
from .edit_mask import protected
from .label_store import LabelStore
from .merge import Rule, accept, region_around

FEW = 16
"""Chunks that may be accepted again at once because they have changed meanwhile."""


@dataclass(frozen=True, eq=False)
class Accepted:
    """A prediction that was accepted into a fork of a store.

    Parameters
    ----------
    work : StoredAccept
    fork : LabelStore
    changes : dict of (int, int) to (list of ChunkChange, int)
        By chunk: its changes, and the number of pixels whose label changed.
    """

    work: StoredAccept
    fork: LabelStore
    changes: dict[Index, tuple[list[ChunkChange], int]]


@dataclass(frozen=True, eq=False)
class StoredAccept:
    """A prediction to be accepted into a `LabelStore`.

    Parameters
    ----------
    region : (slice, slice)
        Rows and columns of the prediction.
    prediction : (Y, X) array of int
        Indexed by chunk, if it is not in memory.
    numbers : uint16 array
        The label in the annotation of each label of the prediction.
    rule, chosen, where
        As for `merge.accept`; `chosen` has labels of the annotation.
    point : (int, int), optional
        Only the region of the prediction that contains this pixel of it is accepted.
    """

    region: Region
    prediction: Any
    numbers: NDArray[np.uint16]
    rule: Rule
    chosen: Collection[int] | None = None
    where: NDArray[np.bool_] | None = None
    point: tuple[int, int] | None = None

    def found(self) -> StoredAccept:
        """Return the same without `point`: the region around it is `where`.

        Raises
        ------
        InvalidInputError
            If there is no class at the point.
        """
        if self.point is None:
            return self
        part, where = region_around(self.prediction, *self.point)
        rows, columns = (
            slice(whole.start + one.start, whole.start + one.stop)
            for whole, one in zip(self.region, part, strict=True)
        )
        labels = np.asarray(self.prediction[part])
        return replace(self, region=(rows, columns), prediction=labels, where=where, point=None)

    def painted(self, store: LabelStore, monitor: Monitor) -> int:
        """Return how many pixels that may change are painted or cleaned."""
        painted = 0
        for index, outside in self._chunks(store, monitor):
            here, _ = part_in(index, self.region, store.shape)
            by_hand = protected(store.read_edit_mask(here))
            if self.where is not None:
                by_hand &= self.where[outside]
            painted += int(np.count_nonzero(by_hand))
        return painted

    def run(self, store: LabelStore, monitor: Monitor) -> Accepted:
        """Accept into a fork of the store; `should_stop` of the monitor ends it."""
        fork = store.fork()
        changes = {}
        for index, _ in self._chunks(store, monitor):
            found, changed = self.accept_chunk(fork, index)
            compress(found)
            changes[index] = found, changed
        return Accepted(self, fork, changes)

    def accept_chunk(self, store: LabelStore, index: Index) -> tuple[list[ChunkChange], int]:
        """Accept what is in one chunk; return its changes, and how many labels changed."""
        region, inside = part_in(index, self.region, store.shape)
        old, old_edit_mask = store.read(region)
        labels, edit_mask = accept(
            old,
            old_edit_mask,
            self.numbers[np.asarray(self.prediction[inside])],
            self.rule,
            chosen=self.chosen,
            where=None if self.where is None else self.where[inside],
        )
        differs = labels != old
        changes = store.write(region, labels, edit_mask, differs | (edit_mask != old_edit_mask))
        return changes, int(np.count_nonzero(differs))

    def chunks(self, store: LabelStore) -> list[Index]:
        """Return the chunks of the region."""
        return [index for index, _, _ in pieces_by_chunk(self.region, store.shape)]

    def _chunks(self, store: LabelStore, monitor: Monitor) -> Iterator[tuple[Index, Part]]:
        """Yield the chunks of the region, and their part of it, and tell of each."""
        pieces = list(pieces_by_chunk(self.region, store.shape))
        for done, (index, _, outside) in enumerate(pieces):
            monitor.tell("Accepting", done, len(pieces))
            yield index, outside


def part_in(index: Index, region: Region, shape: tuple[int, ...]) -> tuple[Region, Region]:
    """Return the part of a region that is in a chunk, in an image of a shape and in the region."""
    rows, columns = (
        slice(max(one.start, two.start), min(one.stop, two.stop))
        for one, two in zip(region_of_chunk(index, shape), region, strict=True)
    )
    down, across = (
        slice(one.start - whole.start, one.stop - whole.start)
        for one, whole in zip((rows, columns), region, strict=True)
    )
    return (rows, columns), (down, across)
