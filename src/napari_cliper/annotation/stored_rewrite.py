"""Write other labels into the annotation of a large image, such as cleaned ones, in a thread."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from .chunks import ChunkChange, Region, chunks_of, compress
from .edit_mask import Labels
from .label_store import LabelStore
from .stored_edits import unpack


@dataclass(frozen=True, eq=False)
class Rewritten:
    """Labels that were changed in a fork of a store.

    Parameters
    ----------
    fork : LabelStore
    region : (slice, slice)
        The rows and columns from which the new labels were made.
    changes : list of ChunkChange
    changed : int
        Number of pixels whose label changed.
    """

    fork: LabelStore
    region: Region
    changes: list[ChunkChange]
    changed: int

    def outdated(self, store: LabelStore) -> bool:
        """Whether the store has changed since, within the region."""
        since = store.changed_since(self.fork)
        return not since.isdisjoint(chunks_of(self.region, store.shape))


def rewritten(
    store: LabelStore,
    region: Region,
    value: int,
    change: Callable[[Labels], Labels],
    shown: Region,
) -> Rewritten:
    """Change the labels of a region in a fork of a store; see `StoredEdits.merge`.

    Parameters
    ----------
    store : LabelStore
    region : (slice, slice)
    value : int
        Of the edit mask, for the pixels whose label changes.
    change : callable
        Takes the labels of the region and returns others.
    shown : (slice, slice)
        What a window shows: changes there are not compressed only.
    """
    fork = store.fork()
    before = fork.read_labels(region)
    labels = change(before)
    differs = labels != before
    changes = fork.write(region, labels, np.uint8(value), differs)
    compress(changes)
    unpack(changes, shown)
    return Rewritten(fork, region, changes, int(np.count_nonzero(differs)))
