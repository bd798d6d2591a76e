"""Rename, merge or delete a class in everything that names it. Pure functions."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from ..labels.label_class import ClassRow
from ..segmentation import Monitor, Thresholds
from .chunks import ChunkChange
from .edit_mask import OPEN, AnnotationState, Labels
from .label_store import LabelStore
from .memory_store import MemoryStore
from .saved_objects import OBJECTS, objects_in
from .stored_state import StoredState
from .user_hints import CLICKS, Clicks, clicks_in

if TYPE_CHECKING:
    from ..segmentation import Prototypes


@dataclass(frozen=True)
class ClassChange:
    """A class is renamed, merged or deleted.

    Parameters
    ----------
    old : str
        Name of the class; letter case is ignored.
    new : ClassRow or None
        The class that it becomes; None deletes the class.
    merge : bool
        Whether `new` is a class that exists already, which keeps its words and its threshold.
    """

    old: str
    new: ClassRow | None = None
    merge: bool = False

    def is_of(self, name: str) -> bool:
        """Return whether a name is that of the class."""
        return name.casefold() == self.old.casefold()

    def becomes(self, name: str) -> bool:
        """Return whether a name is that of the class that it becomes, and of another class."""
        new = self.new
        return new is not None and name.casefold() == new.name.casefold() and not self.is_of(name)


def change_rows(rows: Sequence[ClassRow], change: ClassChange) -> tuple[ClassRow, ...]:
    """Return classes with the change made: a renamed class keeps its colour and its place.

    The class of a merge keeps its own words.
    """
    new = None if any(change.becomes(row.name) for row in rows) else change.new
    changed = []
    for row in rows:
        if not change.is_of(row.name):
            changed.append(row)
        elif new is not None:
            changed.append(_renamed(row, new))
    return tuple(changed)


def change_state(
    state: AnnotationState, change: ClassChange, monitor: Monitor | None = None
) -> AnnotationState:
    """Return an annotation with the change made; the same object if it lacks the class.

    A renamed class keeps its label. The pixels of a merged class get the label of the other and
    stay accepted or painted. The pixels of a deleted class become open and unlabelled.

    Parameters
    ----------
    state : AnnotationState
        Not changed.
    change : ClassChange
    monitor : Monitor, optional
        Told of each chunk of a large image or a stack; can stop in between.
    """
    own = [label for label, row in state.classes.items() if change.is_of(row.name)]
    clicks = clicks_in(state.record.get(CLICKS))
    changed_clicks = change_clicks(clicks, change)
    objects = objects_in(state.record.get(OBJECTS))
    changed_objects = None if objects is None else objects.renamed(_new_name(change))
    if not own and changed_clicks == clicks and changed_objects == objects:
        return state
    classes, changed = dict(state.classes), state
    relabelling = relabelling_of(state.classes, change)
    if relabelling is not None:
        changed = _relabelled(state, relabelling, monitor)
        classes = {label: row for label, row in classes.items() if label not in own}
    elif change.new is not None:
        classes |= {label: _renamed(classes[label], change.new) for label in own}
    record = {key: value for key, value in state.record.items() if key != CLICKS}
    if changed_clicks:
        record[CLICKS] = changed_clicks
    if changed_objects is not None:
        record[OBJECTS] = changed_objects.to_record()
    if isinstance(changed, StoredState):
        return StoredState(changed.store, classes, record)
    return AnnotationState(changed.labels, changed.edit_mask, classes, record)


@dataclass(frozen=True)
class Relabelling:
    """Labels whose pixels get another label, and whether they become undecided."""

    old: tuple[int, ...]
    new: int
    opened: bool


def relabelling_of(classes: Mapping[int, ClassRow], change: ClassChange) -> Relabelling | None:
    """Return the effect of a change on the pixels of an annotation; None if there is none.

    Parameters
    ----------
    classes : mapping of int to ClassRow
        The class of each label.
    change : ClassChange
    """
    own = tuple(label for label, row in classes.items() if change.is_of(row.name))
    other = next((label for label, row in classes.items() if change.becomes(row.name)), None)
    if not own or (change.new is not None and other is None):
        return None
    return Relabelling(own, other or 0, change.new is None)


@dataclass(frozen=True, eq=False)
class Relabelled:
    """A `LabelStore` whose pixels got other labels in a fork.

    Parameters
    ----------
    relabelling : Relabelling
    fork : LabelStore
    changes : list of ChunkChange
        None for a store in memory.
    labels : uint16 array, optional
        Of a store in memory: a copy of the labels of the fork, to be edited.
    """

    relabelling: Relabelling
    fork: LabelStore
    changes: list[ChunkChange]
    labels: Labels | None = None


def relabelled_store(
    store: LabelStore, relabelling: Relabelling, monitor: Monitor | None = None
) -> Relabelled:
    """Give pixels other labels in a fork of a store; for `relabel` of its edits."""
    fork = store.fork()
    own, new, opened = relabelling.old, relabelling.new, relabelling.opened
    changes = fork.relabel(own, new, opened=opened, monitor=monitor)
    labels = fork.labels.copy() if isinstance(fork, MemoryStore) else None
    return Relabelled(relabelling, fork, changes, labels)


def relabelled_by(
    store: LabelStore,
    classes: Mapping[int, ClassRow],
    change: ClassChange,
    monitor: Monitor | None = None,
    *,
    done: Relabelled | None = None,
) -> Relabelled | None:
    """Make the change of a class in a fork of a store; None if no pixel can change.

    Parameters
    ----------
    store : LabelStore
    classes : mapping of int to ClassRow
        The class of each label.
    change : ClassChange
    monitor : Monitor, optional
    done : Relabelled, optional
        What this has returned before; it is returned again if it is of the same labels.
    """
    what = relabelling_of(classes, change)
    if what is None or (done is not None and done.relabelling == what):
        return None if what is None else done
    return relabelled_store(store, what, monitor)


def _relabelled(
    state: AnnotationState, relabelling: Relabelling, monitor: Monitor | None
) -> AnnotationState:
    """Return an annotation whose pixels of some labels have another label."""
    own, new, opened = relabelling.old, relabelling.new, relabelling.opened
    if isinstance(state, StoredState):
        store = state.store.fork()
        store.relabel(own, new, opened=opened, monitor=monitor)
        return StoredState(store, state.classes, state.record)
    here, edit_mask = _pixels(state.labels, own), state.edit_mask
    labels = np.where(here, np.uint16(new), state.labels)
    if opened:
        edit_mask = np.where(here, np.uint8(OPEN), edit_mask)
    return AnnotationState(labels, edit_mask, state.classes, state.record)


def _new_name(change: ClassChange) -> dict[str, str]:
    return {change.old.casefold(): "" if change.new is None else change.new.name}


def change_clicks(clicks: Clicks, change: ClassChange) -> dict[str, list[list[float]]]:
    """Return clicks with the change made; those of a deleted class are left out."""
    changed: dict[str, list[list[float]]] = {}
    names = {name.casefold(): name for name in clicks if not change.is_of(name)}
    for name, points in clicks.items():
        to = name
        if change.is_of(name):
            if change.new is None:
                continue
            to = names.get(change.new.name.casefold(), change.new.name)
        changed.setdefault(to, []).extend(list(map(float, point)) for point in points)
    return changed


def change_thresholds(thresholds: Thresholds, change: ClassChange) -> Thresholds:
    """Return thresholds with the change made; the class of a merge keeps its own threshold."""
    return replace(thresholds, per_class=change_names(thresholds.per_class, change))


def change_names(values: Mapping[str, float], change: ClassChange) -> dict[str, float]:
    """Return values by class name with the change made; a merge keeps the other class's value."""
    new = None if change.merge or any(map(change.becomes, values)) else change.new
    changed = {}
    for name, value in values.items():
        if not change.is_of(name):
            changed[name] = value
        elif new is not None:
            changed[new.name] = value
    return changed


def change_prototypes(prototypes: Prototypes | None, change: ClassChange) -> Prototypes | None:
    """Return prototypes with the change made; the same object if they lack the class."""
    if prototypes is None or not prototypes.of(change.old):
        return prototypes
    if change.new is None:
        return prototypes.without(*prototypes.of(change.old)) or None
    return prototypes.renamed(change.old, change.new.name)


def pixels_of(state: AnnotationState, name: str) -> int:
    """Return how many pixels of an annotation have a class."""
    change = ClassChange(name)
    own = [label for label, row in state.classes.items() if change.is_of(row.name)]
    if isinstance(state, StoredState):
        counts = state.store.counts().labels
        return sum(counts.get(label, 0) for label in own)
    return int(np.count_nonzero(_pixels(state.labels, own)))


def _pixels(labels: Labels, own: Sequence[int]) -> np.ndarray[tuple[int, ...], np.dtype[np.bool_]]:
    return np.isin(labels, np.array(own, np.uint16))


def _renamed(row: ClassRow, new: ClassRow) -> ClassRow:
    return replace(row, name=new.name, synonyms=new.synonyms, prompt=new.prompt)
