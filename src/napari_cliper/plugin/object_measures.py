"""The table of objects, measured in a thread; after edits, only changed objects. Without Qt."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Any

from ..io.writers.measurements import Table, brief_region_table
from ..labels.labelled_image import LabelledImage
from ..objects.labelled import with_objects
from ..segmentation import Report, ShouldStop
from .object_work import MadeObjects, object_image

MOST = 0.5
"""Share of changed objects above which all are measured."""


@dataclass(frozen=True, eq=False)
class MeasuredObjects:
    """Objects of a plane or volume with their measurements.

    Parameters
    ----------
    made : MadeObjects
    image : LabelledImage
        Name, pixel size and units, without pixels.
    pixels : object
        The data of the image layer.
    table : dict of str to list
        As `io.writers.measurements.brief_region_table`.
    columns : dict of str to list
        Those of the table of objects, with score, margin and edits. In the unit of the pixel size
        where it is known; the names of the columns have the units.
    """

    made: MadeObjects
    image: LabelledImage
    pixels: Any
    table: Table
    columns: Table


def measured(
    made: MadeObjects, earlier: MeasuredObjects | None, _report: Report, _should_stop: ShouldStop
) -> MeasuredObjects:
    """Measure objects.

    Parameters
    ----------
    made : MadeObjects
    earlier : MeasuredObjects or None
        Of the same plane, measurements of objects that have not changed are taken from it.
    """
    image, pixels = made.seen.image(made.seen.labels), made.seen.choice.layer.data
    table = None
    if earlier is not None and _same_pixels(earlier, made, image, pixels):
        table = _updated(earlier, made)
    if table is None:
        table = brief_region_table(object_image(made))
    return MeasuredObjects(made, image, pixels, table, _columns(made, table))


def _columns(made: MadeObjects, measurements: Table) -> Table:
    """The measurements with score, margin and edits."""
    table = dict(measurements)
    rows = {number: at for at, number in enumerate(made.plane.objects.ids.tolist())}
    order = [rows.get(number, len(rows)) for number in table["object"]]
    known = ([*one.tolist(), math.nan] for one in (made.scores, made.margins))
    scores, margins = ([one[at] for at in order] for one in known)
    edited = made.every.edited.edited
    numbers = table.pop("object")
    return {
        "object": numbers,
        "class": table.pop("class"),
        "score": scores,
        "margin": margins,
        **table,
        "edited": [number in edited for number in numbers],
    }


def _same_pixels(
    earlier: MeasuredObjects, made: MadeObjects, image: LabelledImage, pixels: Any
) -> bool:
    """Whether all of the same plane was measured, with the same pixels and pixel size."""
    choice, before = made.seen.choice, earlier.made.seen.choice
    return (
        made.volume is None
        and earlier.made.volume is None
        and choice.region is None
        and before.region is None
        and (choice.layer, choice.plane) == (before.layer, before.plane)
        and pixels is earlier.pixels
        and (image.pixel_size, image.units) == (earlier.image.pixel_size, earlier.image.units)
    )


def _updated(earlier: MeasuredObjects, made: MadeObjects) -> Table | None:
    """The measurements of changed objects among the earlier ones; None if most have changed."""
    seen, plane = made.seen, made.plane
    objects = plane.objects
    new = objects.differing(earlier.made.plane.objects.numbers)
    if new.sum() > MOST * len(new):
        return None
    tables = [earlier.table]
    rows = {number: (0, row) for row, number in enumerate(earlier.table["object"])}
    if new.any():
        there, box = objects.cropped(new)
        part = replace(seen, choice=replace(seen.choice, region=(box[0], box[1])))
        image = part.image(seen.labels[box], with_pixels=True)
        found = brief_region_table(with_objects(replace(image, classes=plane.classes), there))
        if [*found] != [*earlier.table]:
            return None
        tables.append(found)
        rows |= {number: (1, row) for row, number in enumerate(found["object"])}
    order = [rows[number] for number in objects.ids.tolist()]
    table = {name: [tables[of][name][row] for of, row in order] for name in earlier.table}
    return table | {"class": [plane.name_of(label) for label in objects.labels.tolist()]}
