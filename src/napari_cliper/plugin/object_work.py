"""Objects of a plane: what is computed in a thread, and what comes back. Without Qt."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pandas as pd
from numpy.typing import NDArray

from ..annotation.saved_objects import plane_record
from ..io.files import whole_files
from ..io.formats import FORMATS
from ..labels.labelled_image import PIXEL, LabelledImage
from ..labels.regions import pixel_area
from ..objects.classifying import ScoresOfPlane, scores_of
from ..objects.labelled import with_objects
from ..objects.plane_objects import ObjectsChoice, PlaneObjects
from ..objects.summary import ClassSummary, class_summaries
from ..segmentation import Progress
from . import ui_text
from .state import SeenLabels

Report = Callable[[Progress], None]
ShouldStop = Callable[[], bool]


@dataclass(frozen=True, eq=False)
class ObjectsRequest:
    """What the objects of a plane are made from.

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
    fixed : bool
        Whether the earlier objects stay as they are, because there are no labels to split.
    """

    seen: SeenLabels
    earlier: PlaneObjects
    choice: ObjectsChoice
    highest: int
    scores: ScoresOfPlane | None
    fixed: bool = False


@dataclass(frozen=True, eq=False)
class MadeObjects:
    """The objects of a plane with what is shown and saved of them.

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
    """

    seen: SeenLabels
    plane: PlaneObjects
    scores: NDArray[Any]
    margins: NDArray[Any]
    summaries: Mapping[int, ClassSummary]
    features: pd.DataFrame
    record: Mapping[str, Any]


def make_objects(request: ObjectsRequest, _report: Report, _should_stop: ShouldStop) -> MadeObjects:
    """Split the labels of a plane; unchanged objects keep their numbers, edited ones stay."""
    seen = request.seen
    if request.fixed:
        return _made(seen, request.earlier.with_classes(seen.classes), request.scores)
    plane = request.earlier.split_again(
        seen.labels,
        seen.classes,
        request.choice,
        region=seen.choice.region,
        highest=request.highest,
    )
    return _made(seen, plane, request.scores)


def _made(seen: SeenLabels, plane: PlaneObjects, given: ScoresOfPlane | None) -> MadeObjects:
    names = {label: row.name for label, row in plane.classes.items()}
    scores, margins = scores_of(plane.objects, names, given)
    image = seen.image(seen.labels)
    summaries = class_summaries(
        plane.objects,
        list(plane.classes),
        pixel_size=image.pixel_size,
        units=image.units,
        pixels=seen.labels.size,
    )
    area, unit = pixel_area(image)
    numbers = plane.objects.ids.tolist()
    features = pd.DataFrame(
        {
            "index": numbers,
            "object": numbers,
            "class": [plane.name_of(label) for label in plane.objects.labels.tolist()],
            ui_text.objects_area_column(unit or PIXEL): plane.objects.areas * area,
            "score": scores,
            "edited": [number in plane.edited.edited for number in numbers],
        }
    )
    return MadeObjects(seen, plane, scores, margins, summaries, features, plane_record(plane))


# ---------------------------------------------------------------------- measuring


def object_image(made: MadeObjects, *, with_pixels: bool) -> LabelledImage:
    """Return the objects of a plane as an image for export; call it in a thread."""
    seen, plane = made.seen, made.plane
    region = seen.choice.region or (slice(None), slice(None))
    objects = replace(plane.objects, numbers=plane.objects.numbers[region])
    image = replace(seen.image(seen.labels, with_pixels=with_pixels), classes=plane.classes)
    return with_objects(image, objects)


def write_measurements(
    made: MadeObjects, path: Path, _report: Report, _should_stop: ShouldStop
) -> str:
    """Write the table of objects; returns the message."""
    image = object_image(made, with_pixels=True)
    csv = FORMATS["csv"]
    with whole_files(path.parent) as staging:
        csv.save(staging / path.name, image)
    return ui_text.objects_measured(
        objects=len(made.plane.objects.ids), path=path, notes=" ".join(csv.notes_of(image))
    )
