"""Make the objects of a plane in a thread: input and result. Without Qt."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from ..annotation.saved_objects import plane_record
from ..io.files import whole_files
from ..io.formats import FORMATS
from ..io.readers.object_files import ImportedObjects, read_objects
from ..labels.labelled_image import PIXEL, LabelledImage
from ..labels.regions import pixel_area, voxel_volume
from ..objects.classifying import (
    ScoresOfPlane,
    reclassify,
    scores_of,
    within,
)
from ..objects.labelled import with_objects
from ..objects.linked_planes import Plane
from ..objects.object_features import ObjectFeatures
from ..objects.object_set import Numbers, objects_of
from ..objects.object_stack import stacked, unstacked
from ..objects.plane_objects import ObjectsChoice, PlaneObjects
from ..objects.summary import ClassSummary, class_summaries, usual_smallest
from ..segmentation import Monitor, Report, ShouldStop
from . import ui_text
from .layers.image_layers import ImageChoice, Region
from .object_links import PlaneSource, split_sources
from .state import SeenLabels


@dataclass(frozen=True, eq=False)
class ObjectsRequest:
    """The input from which the objects of a plane are made.

    Parameters
    ----------
    seen : SeenLabels
        Labels of the plane or of a region of it.
    earlier : PlaneObjects
        The objects before.
    choice : ObjectsChoice
    highest : int
        The highest number in other planes of the image.
    scores : ScoresOfPlane or None
    origin : str
        Where the objects come from; empty for the labels.
    fixed : bool
        Whether the outlines stay as they are: there are no labels to split, or the objects are
        those of another program.
    volume : sequence of PlaneSource
        The planes along Z, which are split as one volume; empty to split the plane alone.
    first : callable, optional
        Reads objects of another program that were never shown; they replace `earlier`.
    sizing : bool
        Whether the smallest size is set from the objects, instead of that in `choice`.
    measured : ObjectFeatures, optional
        Features of earlier objects of another program.
    """

    seen: SeenLabels
    earlier: PlaneObjects
    choice: ObjectsChoice
    highest: int
    scores: ScoresOfPlane | None
    origin: str = ""
    fixed: bool = False
    volume: Sequence[PlaneSource] = ()
    first: Callable[[], PlaneObjects] | None = None
    sizing: bool = False
    measured: ObjectFeatures | None = None


@dataclass(frozen=True, eq=False)
class MadeVolume:
    """The objects of all planes along Z.

    Parameters
    ----------
    choices : sequence of ImageChoice
        The planes.
    planes : mapping of tuple to PlaneObjects
        By the indices of the plane.
    records : mapping of tuple to mapping
        Of the planes that have changed, as saved.
    made : PlaneObjects or None
        (Z, Y, X), if they were split together; None after an edit of some planes.
    """

    choices: Sequence[ImageChoice]
    planes: Mapping[Plane, PlaneObjects]
    records: Mapping[Plane, Mapping[str, Any]]
    made: PlaneObjects | None = None

    @cached_property
    def whole(self) -> PlaneObjects:
        """All planes, (Z, Y, X)."""
        return self.made or stacked([self.planes[one.plane] for one in self.choices])

    def edited(self, known: Callable[[Plane], PlaneObjects | None]) -> MadeVolume:
        """Return the volume with the objects of each plane after an edit."""
        planes = {at: known(at) or one for at, one in self.planes.items()}
        return MadeVolume(self.choices, planes, {})


@dataclass(frozen=True, eq=False)
class MadeObjects:
    """The objects of a plane, with the values that are shown and saved.

    Parameters
    ----------
    seen : SeenLabels
        What they were made from.
    plane : PlaneObjects
    scores, margins : (N,) float arrays
        Of the class of each object, in the order of its numbers; NaN where the class or the place
        was not run.
    summaries : mapping of int to ClassSummary
        By label.
    features : DataFrame
        One row for each object, for the layer.
    record : mapping
        As saved; see `annotation.saved_objects`.
    origin : str
        Where the objects come from; empty for the labels.
    volume : MadeVolume or None
        If they were split in 3-D; areas and summaries are those of the volume then.
    smallest : int or None
        The smallest size if it was set from the objects.
    measured : ObjectFeatures, optional
        Of objects of another program that were classified by named ones.
    """

    seen: SeenLabels
    plane: PlaneObjects
    scores: NDArray[Any]
    margins: NDArray[Any]
    summaries: Mapping[int, ClassSummary]
    features: pd.DataFrame
    record: Mapping[str, Any]
    origin: str = ""
    volume: MadeVolume | None = None
    smallest: int | None = None
    measured: ObjectFeatures | None = None

    @property
    def every(self) -> PlaneObjects:
        """The objects of the plane, or of the volume if they were split in 3-D."""
        return self.plane if self.volume is None else self.volume.whole

    @property
    def others(self) -> dict[Plane, Numbers]:
        """The numbers on the other planes of a volume."""
        planes = {} if self.volume is None else self.volume.planes
        here = self.seen.choice.plane
        return {at: one.objects.numbers for at, one in planes.items() if at != here}

    @property
    def size(self) -> tuple[float, str]:
        """The area or volume of a pixel, and its unit as text; see `labels.regions`."""
        if self.volume is None:
            return pixel_area(self.seen.image(self.seen.labels))
        return voxel_volume(self.seen.volume(self.volume.whole.objects.label_array()))


def make_objects(request: ObjectsRequest, _report: Report, should_stop: ShouldStop) -> MadeObjects:
    """Make the objects of a plane; unchanged ones keep their numbers, edited ones stay.

    Labels are split. Objects of another program get the class with the highest score.
    """
    monitor = Monitor(should_stop=should_stop)
    request = replace(request, seen=request.seen.in_memory(monitor))
    if request.fixed or not request.sizing:
        return _make(request, should_stop)
    made = _make(_with_smallest(request, 1), should_stop)
    areas = made.every.objects.areas
    if not areas.size:
        return made
    smallest = usual_smallest(made.every.objects)
    if areas.min() < smallest:
        made = _make(_with_smallest(request, smallest), should_stop)
    return replace(made, smallest=smallest)


def _with_smallest(request: ObjectsRequest, smallest: int) -> ObjectsRequest:
    return replace(request, choice=replace(request.choice, smallest=smallest))


def _make(request: ObjectsRequest, should_stop: ShouldStop) -> MadeObjects:
    seen, given = request.seen, request.scores
    if request.volume:
        volume = _volume(request, should_stop)
        plane = volume.planes[seen.choice.plane]
        return _made(request, plane, scores_of(plane.objects, plane.names, given), volume)
    if not request.fixed:
        plane = request.earlier.split_again(
            seen.labels,
            seen.classes,
            request.choice,
            region=seen.choice.region,
            highest=request.highest,
        )
        return _made(request, plane, scores_of(plane.objects, plane.names, given))
    earlier = request.earlier if request.first is None else request.first()
    plane = earlier.with_classes(seen.classes)
    if not request.origin or given is None:
        return _made(request, plane, scores_of(plane.objects, plane.names, given))
    inside = within(plane.objects, given.region)
    named = given.labels_of(inside, plane.names, plane.edited.edited)
    found = reclassify(
        given.scores,
        given.embedding,
        inside,
        named,
        given.thresholds,
        stage=given.stage,
        earlier=request.measured,
    )
    plane = plane.classified(found)
    made = _made(request, plane, found.scores_for(plane.objects))
    return replace(made, measured=found.features)


def _volume(request: ObjectsRequest, should_stop: ShouldStop) -> MadeVolume:
    """Split the labels of all planes along Z as one volume."""
    seen, monitor = request.seen, Monitor(should_stop=should_stop)
    known, whole = split_sources(
        request.volume, request.choice, request.highest, monitor.check, seen.classes
    )
    choices = [one.choice for one in request.volume]
    planes, records = {}, {}
    for before, after, choice in zip(known, unstacked(whole), choices, strict=True):
        monitor.check()
        if before is None or not after.same_as(before):
            records[choice.plane] = plane_record(after)
        elif choice.plane != seen.choice.plane:
            after = before  # noqa: PLW2901 - the same array, so that it is not shown again
        planes[choice.plane] = after
    return MadeVolume(choices, planes, records, whole)


def make_part(
    request: ObjectsRequest, part: Region, _report: Report, _should_stop: ShouldStop
) -> NDArray[Any]:
    """Return the numbers of the objects in a part of a plane, to be shown for the time being."""
    seen = request.seen
    return request.earlier.split_part(
        seen.labels, seen.classes, request.choice, part, request.highest
    )


def _made(
    request: ObjectsRequest,
    plane: PlaneObjects,
    found: tuple[NDArray[Any], NDArray[Any]],
    volume: MadeVolume | None = None,
) -> MadeObjects:
    seen, (scores, margins) = request.seen, found
    image, every, pixels = seen.image(seen.labels), plane.objects, seen.labels.size
    area, unit = pixel_area(image)
    areas, column = every.areas, ui_text.objects_area_column
    if volume is not None:
        every = volume.whole.objects
        image = seen.volume(volume.whole.objects.label_array())
        pixels = image.labels.size
        area, unit = voxel_volume(image)
        areas, column = every.areas_of(plane.objects.ids), ui_text.objects_volume_column
    summaries = class_summaries(
        every,
        list(plane.classes),
        pixel_size=image.pixel_size,
        units=image.units,
        pixels=pixels,
    )
    numbers = plane.objects.ids.tolist()
    features = pd.DataFrame(
        {
            "index": numbers,
            "object": numbers,
            "class": [plane.name_of(label) for label in plane.objects.labels.tolist()],
            column(unit or PIXEL): areas * area,
            "score": scores,
            "edited": [number in plane.edited.edited for number in numbers],
        }
    )
    record = plane_record(plane)
    return MadeObjects(
        seen, plane, scores, margins, summaries, features, record, request.origin, volume
    )


# ---------------------------------------------------------------------- measuring


def object_image(made: MadeObjects) -> LabelledImage:
    """Return the objects of a plane or volume as an image for export; call it in a thread."""
    seen, plane = made.seen, made.plane
    if made.volume is not None:
        whole = made.volume.whole
        image = replace(
            seen.volume(whole.objects.label_array()),
            classes=whole.classes,
            image=np.asarray([one.read() for one in made.volume.choices]),
        )
        return with_objects(image, whole.objects)
    region = seen.choice.region or (slice(None), slice(None))
    objects = replace(plane.objects, numbers=plane.objects.numbers[region])
    image = replace(seen.image(seen.labels, with_pixels=True), classes=plane.classes)
    return with_objects(image, objects)


def write_measurements(
    made: MadeObjects, path: Path, _report: Report, _should_stop: ShouldStop
) -> str:
    """Write the table of objects; returns the message."""
    image = object_image(made)
    csv = FORMATS["csv"]
    with whole_files(path.parent) as staging:
        csv.save(staging / path.name, image)
    return ui_text.objects_measured(
        objects=len(made.every.objects.ids), path=path, notes=" ".join(csv.notes_of(image))
    )


def read_object_file(
    path: Path, shape: tuple[int, int], name: str, _report: Report, _should_stop: ShouldStop
) -> tuple[ImportedObjects, int]:
    """Read the objects of an image from a file of another program, and count them."""
    found = read_objects(path, shape, name)
    return found, len(objects_of(found.numbers).ids)
