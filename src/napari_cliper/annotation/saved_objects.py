"""The objects of an image in the record of its annotation, so that edits of objects are saved."""

from __future__ import annotations

import base64
import binascii
import math
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..labels.label_class import ClassRow
from ..objects.edited_objects import EditedObjects
from ..objects.linked_planes import LinkEvent
from ..objects.object_set import HIGHEST, Objects, objects_of, runs_of
from ..objects.object_stack import (
    PlaneLabels,
    common_classes,
    split_volume,
    unstacked,
    volumes_of,
)
from ..objects.plane_objects import ObjectsChoice, PlaneObjects
from ..segmentation import InvalidInputError
from .edit_mask import OPEN, AnnotationState

OBJECTS = "objects"
"""Key of the objects in the record of an annotation."""

Key = tuple[str, tuple[int, ...]]
"""Where objects come from, and their plane."""


@dataclass(frozen=True)
class SavedObjects:
    """The objects of an image.

    Parameters
    ----------
    origin : str
        Where the objects come from that are shown and exported: empty for the labels, else the
        name of a layer or file.
    choice : ObjectsChoice
    planes : mapping of Key to mapping
        Records of planes; `plane_from_record` reads one.
    links : mapping of str to tuple of LinkEvent
        By origin, the splits and merges of objects that were linked from plane to plane.
    """

    origin: str = ""
    choice: ObjectsChoice = field(default_factory=ObjectsChoice)
    planes: Mapping[Key, Mapping[str, Any]] = field(default_factory=dict)
    links: Mapping[str, tuple[LinkEvent, ...]] = field(default_factory=dict)

    def to_record(self) -> dict[str, Any]:
        """Return a dict for JSON."""
        return {
            "origin": self.origin,
            "smallest": self.choice.smallest,
            "border": self.choice.border,
            "volume": self.choice.volume,
            "diameters": dict(self.choice.diameters),
            "planes": [
                {"origin": origin, "plane": list(plane), **one}
                for (origin, plane), one in self.planes.items()
            ],
            "links": {
                origin: [[one.kind, list(one.plane), one.number, list(one.parts)] for one in events]
                for origin, events in self.links.items()
            },
        }

    @property
    def touched(self) -> bool:
        """Whether a person has edited, deleted or linked objects."""
        return bool(self.links) or any(one.get("touched") is True for one in self.planes.values())

    @property
    def highest(self) -> int:
        """The highest number ever used in any plane; invalid ones are ignored."""
        return max((_highest(one) or 0 for one in self.planes.values()), default=0)

    def with_plane(self, key: Key, record: Mapping[str, Any]) -> SavedObjects:
        """Return the objects with another record of a plane."""
        return replace(self, planes={**self.planes, key: record})

    def renamed(self, names: Mapping[str, str]) -> SavedObjects:
        """Return the objects with other names of classes; an empty name deletes the class.

        Parameters
        ----------
        names : mapping of str to str
            New names by old ones in lower case.
        """
        planes = {
            key: {**one, "classes": _renamed(one.get("classes"), names)}
            for key, one in self.planes.items()
        }
        kept = {name.casefold(): (name, width) for name, width in self.choice.diameters}
        for old, new in names.items():
            width = kept.pop(old, None)
            if width is not None and new and new.casefold() not in kept:
                kept[new.casefold()] = new, width[1]
        choice = replace(self.choice, diameters=tuple(kept.values()))
        return replace(self, planes=planes, choice=choice)


def _highest(record: Mapping[str, Any]) -> int | None:
    """The highest number ever used in a plane; None if it is missing or invalid."""
    found = record.get("highest")
    valid = isinstance(found, int) and not isinstance(found, bool) and 0 <= found <= HIGHEST
    return found if valid else None


def _renamed(classes: object, names: Mapping[str, str]) -> dict[str, str]:
    if not isinstance(classes, Mapping):
        return {}
    pairs = ((str(key), names.get(str(old).casefold(), str(old))) for key, old in classes.items())
    return {key: new for key, new in pairs if new}


def objects_in(record: object) -> SavedObjects | None:
    """Parse the objects in a JSON record; None if it has none, invalid entries are ignored."""
    if not isinstance(record, Mapping):
        return None
    smallest, diameters = record.get("smallest"), record.get("diameters")
    choice = ObjectsChoice(
        smallest if isinstance(smallest, int) and smallest > 0 else 1,
        record.get("border") is not False,
        tuple(
            (str(name), float(width))
            for name, width in (diameters.items() if isinstance(diameters, Mapping) else ())
            if isinstance(width, int | float) and 0 < width < np.inf
        ),
        record.get("volume") is True,
    )
    planes = record.get("planes")
    entries = planes if isinstance(planes, Sequence) and not isinstance(planes, str) else ()
    found = {}
    for entry in entries:
        if isinstance(entry, Mapping) and isinstance(entry.get("plane"), Sequence):
            index = tuple(one for one in entry["plane"] if isinstance(one, int))
            rest = {name: one for name, one in entry.items() if name not in ("origin", "plane")}
            found[str(entry.get("origin", "")), index] = rest
    return SavedObjects(str(record.get("origin", "")), choice, found, _links_in(record))


def _links_in(record: Mapping[str, Any]) -> dict[str, tuple[LinkEvent, ...]]:
    """The links of a record, without invalid ones."""
    links = record.get("links")
    found = {}
    for origin, events in links.items() if isinstance(links, Mapping) else ():
        valid = (_event(one) for one in events) if isinstance(events, list) else ()
        found[str(origin)] = tuple(one for one in valid if one is not None)
    return found


def _event(record: object) -> LinkEvent | None:
    """A split or merge; None if it is not valid."""
    if not isinstance(record, list) or len(record) != 4:
        return None
    kind, plane, number, parts = record
    if not (isinstance(plane, list) and isinstance(parts, list)):
        return None
    numbers = [*plane, number, *parts]
    if not all(type(one) is int and 0 <= one <= HIGHEST for one in numbers):
        return None
    if kind not in ("split", "merge"):
        return None
    return LinkEvent(kind, tuple(plane), number, tuple(parts))


# ---------------------------------------------------------------------- one plane


def plane_record(
    plane: PlaneObjects, before: PlaneObjects | None = None, record: Mapping[str, Any] | None = None
) -> dict[str, Any]:
    """Return the objects of a plane as a dict for JSON.

    Parameters
    ----------
    plane : PlaneObjects
    before : PlaneObjects, optional
        Earlier objects of the plane. Arrays that are still the same are not packed again.
    record : mapping, optional
        The record of these.

    Returns
    -------
    dict
        ``shape``; ``objects``, packed runs of the object numbers; ``removed``, packed runs of the
        pixels of deleted objects; ``ids`` and the label of each, ``labels``; ``classes``, the names
        by label; ``edited``, numbers of edited objects; ``highest``, the highest number ever given;
        ``touched``, whether an object was edited or deleted.
    """
    edited, objects = plane.edited, plane.objects
    known = {} if before is None or record is None else record
    same = before is not None and before.objects.numbers is objects.numbers
    kept = before is not None and before.edited.removed is edited.removed
    packed, removed = known.get("objects") if same else None, known.get("removed") if kept else None
    return {
        "shape": list(objects.numbers.shape),
        "objects": packed or _packed(objects.numbers),
        "removed": removed or _packed(edited.removed.view(np.uint8)),
        "ids": objects.ids.tolist(),
        "labels": objects.labels.tolist(),
        "classes": {str(label): row.name for label, row in plane.classes.items()},
        "edited": sorted(edited.edited),
        "highest": edited.highest,
        "touched": edited.touched,
    }


def plane_from_record(record: Mapping[str, Any], shape: tuple[int, ...]) -> PlaneObjects | None:
    """Read the objects of a plane; None if the record is not valid, or of another shape."""
    try:
        given = _highest(record)
        if list(record["shape"]) != list(shape) or given is None:
            return None
        numbers = _unpacked(record["objects"], shape)
        removed = _unpacked(record["removed"], shape) > 0
        found = objects_of(numbers)
        labels = dict(zip(record["ids"], map(int, record["labels"]), strict=True))
        objects = replace(
            found, labels=np.array([labels[one] for one in found.ids.tolist()], np.uint16)
        )
        classes = {int(label): ClassRow(str(name)) for label, name in record["classes"].items()}
        edited = frozenset(map(int, record["edited"])) & {*found.ids.tolist()}
        highest = max(given, int(found.ids.max(initial=0)))
    except (KeyError, ValueError, TypeError, AttributeError, OverflowError, InvalidInputError):
        return None
    return PlaneObjects(EditedObjects(objects, edited, removed, numbers, highest), classes)


def _packed(numbers: NDArray[Any]) -> str:
    """Runs of equal numbers as compressed text: number, first flat index and length of each."""
    runs = runs_of(numbers)
    first = np.ravel_multi_index(runs.first, numbers.shape)
    table = np.stack([runs.number, first, runs.length]).astype("<i8")
    return base64.b64encode(zlib.compress(table.tobytes(), 1)).decode("ascii")


def _unpacked(text: str, shape: tuple[int, ...]) -> NDArray[np.int32]:
    """The array of `_packed`.

    Raises
    ------
    ValueError
        For text that is not packed runs of an array of this shape.
    """
    size = math.prod(shape)
    try:
        packed = base64.b64decode(text, validate=True)
        unpacker = zlib.decompressobj()
        content = unpacker.decompress(packed, 24 * size + 24)  # it cannot be larger
    except (binascii.Error, zlib.error) as error:
        raise ValueError("not packed runs") from error
    table = np.frombuffer(content, "<i8")
    number, first, length = table.reshape(3, -1)
    if (
        not unpacker.eof
        or (length < 1).any()
        or (number < 1).any()
        or (number > HIGHEST).any()
        or (first < 0).any()
        or (first > size - length).any()  # their sum could overflow
        or int(length.sum()) > size
    ):
        raise ValueError("runs outside of the plane")
    found = np.zeros(size, np.int32)
    starts = np.repeat(first - np.concatenate([[0], np.cumsum(length)[:-1]]), length)
    found[starts + np.arange(int(length.sum()))] = np.repeat(number, length)
    return found.reshape(shape)


# ---------------------------------------------------------------------- all planes


def objects_of_state(
    state: AnnotationState, depth: int | None = None, spacing: Sequence[float] | None = None
) -> tuple[Objects, NDArray[np.uint16], dict[int, ClassRow]] | None:
    """Return the objects of all planes of an annotation, their labels, and classes by label.

    Accepted and painted planes are split, with the saved edits and numbers. Objects of predictions,
    and those of other programs, are as saved. None if no objects are saved. The labels are those
    of each pixel: objects with the same number on different planes may have different classes.

    Parameters
    ----------
    state : AnnotationState
    depth : int, optional
        The axis Z, along which planes are split as volumes if they were in the window.
    spacing : sequence of float, optional
        Pixel size along Z, Y and X.
    """
    saved = objects_in(state.record.get(OBJECTS))
    if saved is None:
        return None
    sides = state.labels.shape[-2], state.labels.shape[-1]
    highest = saved.highest
    leading = state.labels.shape[:-2]
    planes: dict[tuple[int, ...], PlaneObjects] = {}
    decided: dict[tuple[int, ...], PlaneLabels] = {}
    for index in np.ndindex(leading):
        record = saved.planes.get((saved.origin, index))
        plane = None if record is None else plane_from_record(record, sides)
        planes[index] = plane or PlaneObjects.empty(sides, state.classes)
        if not saved.origin and (state.edit_mask[index] != OPEN).any():
            decided[index] = PlaneLabels(state.labels[index], state.classes)
    by_volume = saved.choice.volume and depth is not None and not saved.origin
    for group in volumes_of(leading, depth if by_volume else None):
        if by_volume and any(index in decided for index in group):
            volume = split_volume(
                [planes[index] for index in group],
                [decided.get(index) for index in group],
                saved.choice,
                highest=highest,
                spacing=spacing,
            )
            planes |= dict(zip(group, unstacked(volume), strict=True))
            highest = max(highest, volume.edited.highest)
            continue
        for index in group:
            if index in decided:
                planes[index] = planes[index].split_again(
                    state.labels[index], state.classes, saved.choice, highest=highest
                )
            highest = max(highest, planes[index].edited.highest)
    classes = common_classes([state.classes, *(one.classes for one in planes.values())])
    own = [one.with_classes(classes).objects for one in planes.values()]
    numbers = np.stack([one.numbers for one in own]).reshape(state.labels.shape)
    labels = np.stack([one.label_array() for one in own]).reshape(state.labels.shape)
    return objects_of(numbers, labels), labels, classes
