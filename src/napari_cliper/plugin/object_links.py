"""Link the objects of all planes of a stack in a thread: input and result. Without Qt."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

from ..annotation.saved_objects import plane_from_record, plane_record
from ..labels.units import in_one_unit
from ..objects.linked_planes import LinkedPlanes, Plane, link_planes
from ..objects.object_stack import PlaneLabels, split_volume, unstacked
from ..objects.plane_objects import Classes, ObjectsChoice, PlaneObjects
from ..objects.tracking import can_track
from ..segmentation import InvalidInputError, Monitor, Report, ShouldStop
from . import ui_text
from .layers.image_layers import ImageChoice, depth_of, geometry_of
from .state import SeenLabels

Record = Mapping[str, Any]


@dataclass(frozen=True, eq=False)
class PlaneSource:
    """The input from which the objects of a plane are made.

    Parameters
    ----------
    choice : ImageChoice
        The whole plane.
    known : PlaneObjects, mapping or None
        Its objects so far, or their record.
    seen : callable, optional
        Copies its labels, if objects are split from labels; returns None if it has none.
    first : callable, optional
        Reads the objects of another program, for planes without known ones.
    """

    choice: ImageChoice
    known: PlaneObjects | Record | None
    seen: Callable[[], SeenLabels | None] | None
    first: Callable[[], PlaneObjects] | None = None

    def earlier(self) -> PlaneObjects | None:
        """Return the objects so far; call it in a thread."""
        shape = self.choice.shape
        known = self.known
        if known is not None and not isinstance(known, PlaneObjects):
            known = plane_from_record(known, shape)
        if known is None and self.first is not None:
            known = self.first()
        fits = known is not None and known.objects.numbers.shape == shape
        return known if fits else None

    def objects(self, choice: ObjectsChoice, highest: int) -> PlaneObjects | None:
        """Return the objects of the newest labels, as `PlaneObjects.split_again`."""
        earlier, seen = self.earlier(), None if self.seen is None else self.seen()
        if seen is None:
            return earlier
        return (earlier or PlaneObjects.empty(self.choice.shape, seen.classes)).split_again(
            seen.labels, seen.classes, choice, region=seen.choice.region, highest=highest
        )


@dataclass(frozen=True, eq=False)
class LinkRequest:
    """The planes whose objects are linked.

    Parameters
    ----------
    origin : str
        Where the objects come from; empty for the labels.
    planes : sequence of PlaneSource
    choice : ObjectsChoice
    highest : int
        The highest number ever used.
    axes : sequence of str
        Names of the axes.
    moving : bool
        Whether the planes are frames, so that motion and gaps are linked if laptrack is installed.
    depth : int or None
        The axis along which planes are split as one volume; None if they are split one by one.
    """

    origin: str
    planes: Sequence[PlaneSource]
    choice: ObjectsChoice
    highest: int
    axes: Sequence[str]
    moving: bool
    depth: int | None = None


@dataclass(frozen=True, eq=False)
class LinkedObjectsOfImage:
    """Linked objects and their saved records.

    Parameters
    ----------
    origin : str
    axes : sequence of str
    found : LinkedPlanes
    records : mapping of tuple to (mapping, mapping)
        Of each plane, before and after; see `annotation.saved_objects`.
    """

    origin: str
    axes: Sequence[str]
    found: LinkedPlanes
    records: Mapping[Plane, tuple[Record, Record]]


def split_sources(
    sources: Sequence[PlaneSource],
    choice: ObjectsChoice,
    highest: int,
    check: Callable[[], object],
    classes: Classes = MappingProxyType({}),
) -> tuple[list[PlaneObjects | None], PlaneObjects]:
    """Split the labels of planes along Z as one volume; call it in a thread.

    Parameters
    ----------
    sources : sequence of PlaneSource
    choice : ObjectsChoice
    highest : int
        The highest number ever used.
    check : callable
        Called for each plane; may raise an error to stop.
    classes : mapping of int to ClassRow
        Of planes without labels and objects.

    Returns
    -------
    known : list of PlaneObjects or None
        The objects of each plane before.
    whole : PlaneObjects
        (Z, Y, X).
    """
    known, labels = [], list[PlaneLabels | None]()
    for source in sources:
        check()
        known.append(source.earlier())
        own = None if source.seen is None else source.seen()
        labels.append(
            None if own is None else PlaneLabels(own.labels, own.classes, own.choice.region)
        )
    first = sources[0].choice
    shape, geometry, depth = first.shape, geometry_of(first.layer), depth_of(first)
    axes = (-3 if depth is None else depth, -2, -1)
    sizes = tuple(geometry["pixel_size"][axis] for axis in axes)
    units = tuple(geometry["units"][axis] for axis in axes)
    whole = split_volume(
        [one or PlaneObjects.empty(shape, classes) for one in known],
        labels,
        choice,
        highest=highest,
        spacing=in_one_unit(sizes, units)[0],
    )
    return known, whole


def _volumes(request: LinkRequest) -> Iterator[list[PlaneSource]]:
    """The planes of each volume, by their place."""
    depth, found = request.depth, dict[Plane, list[PlaneSource]]()
    for source in request.planes:
        at = source.choice.plane
        rest = at if depth is None else (*at[:depth], *at[depth + 1 :])
        found.setdefault(rest, []).append(source)
    yield from found.values()


def _objects_of(
    sources: Sequence[PlaneSource], request: LinkRequest, highest: int, check: Callable[[], object]
) -> Iterator[tuple[Plane, PlaneObjects]]:
    """The objects of a plane, or of the planes of a volume."""
    if request.depth is None:
        (source,) = sources
        objects = source.objects(request.choice, highest)
        if objects is not None:
            yield source.choice.plane, objects
        return
    known, whole = split_sources(sources, request.choice, highest, check)
    if any(known) or len(whole.objects.ids):
        for source, objects in zip(sources, unstacked(whole), strict=True):
            yield source.choice.plane, objects


def link_objects(
    request: LinkRequest, report: Report, should_stop: ShouldStop
) -> LinkedObjectsOfImage:
    """Make the objects of all planes that have some, and link them.

    Raises
    ------
    InvalidInputError
        With fewer than two planes that have objects.
    """
    monitor = Monitor(report, should_stop)
    planes: dict[Plane, PlaneObjects] = {}
    highest = request.highest
    for sources in _volumes(request):
        monitor.tell(ui_text.LINKING, len(planes), len(request.planes))
        for plane, objects in _objects_of(sources, request, highest, monitor.check):
            planes[plane] = objects
            highest = max(highest, objects.edited.highest)
    if sum(len(one.objects.ids) > 0 for one in planes.values()) < 2:
        raise InvalidInputError(ui_text.TOO_FEW_PLANES)
    moving = request.moving and can_track()
    found = link_planes(planes, highest, moving=moving, depth=request.depth, check=monitor.check)
    records = {}
    for plane, before in planes.items():
        monitor.check()
        records[plane] = plane_record(before), plane_record(found.planes[plane])
    return LinkedObjectsOfImage(request.origin, request.axes, found, records)
