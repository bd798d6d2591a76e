"""Accept predictions of several planes into an annotation in memory, in a thread."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ..segmentation import Monitor
from .chunks import Part
from .edit_mask import EditMask, Labels, protected
from .memory_store import MemoryStore
from .merge import Rule, accept


@dataclass(frozen=True, eq=False)
class PlaneAccept:
    """A prediction to be accepted into a plane of a `MemoryStore`.

    Parameters
    ----------
    region : tuple of slices
        The plane, or a part of it: a slice with start and stop for each axis of the store.
    prediction : (Y, X) array of int
    numbers : uint16 array
        The label in the annotation of each label of the prediction.
    rule : {'empty', 'unpainted', 'all'}
        See `merge.accept`.
    """

    region: Part
    prediction: NDArray[np.integer]
    numbers: NDArray[np.uint16]
    rule: Rule

    def accepted(self, store: MemoryStore) -> tuple[Labels, EditMask]:
        """Return labels and edit mask of the region, (Y, X), after accepting; changes nothing."""
        labels, edit_mask = store.read(self.region)
        shape = labels.shape[-2:]
        predicted = self.numbers[self.prediction]
        return accept(labels.reshape(shape), edit_mask.reshape(shape), predicted, self.rule)


@dataclass(frozen=True, eq=False)
class AcceptedPlanes:
    """Predictions that were accepted, but not written yet.

    Parameters
    ----------
    planes : sequence of (PlaneAccept, Labels, EditMask)
        With the labels and the edit mask of each plane.
    store : MemoryStore
        That was read.
    version : int
        Its version then.
    """

    planes: Sequence[tuple[PlaneAccept, Labels, EditMask]]
    store: MemoryStore
    version: int

    def now(self, store: MemoryStore) -> list[tuple[PlaneAccept, Labels, EditMask]]:
        """Return the planes for a store; those that have changed since are accepted again."""
        other = store is not self.store
        return [
            (work, *work.accepted(store))
            if other or store.has_changed(work.region, self.version)
            else (work, labels, edit_mask)
            for work, labels, edit_mask in self.planes
        ]


def accept_planes(
    works: Sequence[PlaneAccept], store: MemoryStore, agreed: bool, monitor: Monitor
) -> AcceptedPlanes | int:
    """Accept predictions of planes; other threads may change the store meanwhile.

    Parameters
    ----------
    works : sequence of PlaneAccept
    store : MemoryStore
    agreed : bool
        Whether painted and cleaned pixels may be replaced.
    monitor : Monitor

    Returns
    -------
    AcceptedPlanes or int
        Instead, how many painted and cleaned pixels would be replaced, if that is not agreed.
    """
    version, painted, planes = store.version, 0, []
    for done, work in enumerate(works):
        monitor.tell("Accepting", done, len(works))
        if work.rule == "all" and not agreed:
            painted += int(np.count_nonzero(protected(store.read_edit_mask(work.region))))
        planes.append((work, *work.accepted(store)))
    return painted or AcceptedPlanes(planes, store, version)
