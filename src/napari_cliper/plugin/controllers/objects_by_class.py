"""Counts of objects by class, as the page Objects shows them."""

from __future__ import annotations

from collections.abc import Sequence

from ...labels.label_class import colours_of
from ...labels.label_names import WHITE
from ...objects.plane_objects import ObjectsChoice
from .. import ui_text
from ..object_work import MadeObjects
from ..panels.objects_table import ObjectsRow


def class_rows(made: MadeObjects, order: Sequence[str], choice: ObjectsChoice) -> list[ObjectsRow]:
    """Return a row for each class.

    Parameters
    ----------
    made : MadeObjects
    order : sequence of str
        Names of classes, from top to bottom; others follow.
    choice : ObjectsChoice
        Has the diameters that the user has set.
    """
    plane, summaries = made.every, made.summaries
    colours = colours_of(plane.classes)
    area, unit = made.size
    by_hand = {name.casefold(): width for name, width in choice.diameters}
    at = {name.casefold(): index for index, name in enumerate(order)}
    rows = []
    for label in sorted({*plane.classes, *summaries}):
        name, found = plane.name_of(label), summaries.get(label)
        given = by_hand.get(name.casefold())
        text = ""
        if found is not None and found.count:
            text = ui_text.object_area(pixels=found.median_area, pixel_area=area, unit=unit)
        rows.append(
            ObjectsRow(
                name,
                colours.get(label, WHITE),
                0 if found is None else found.count,
                text,
                plane.objects.diameters.get(label) if given is None else given,
                given is not None,
            )
        )
    return sorted(rows, key=lambda row: at.get(row.name.casefold(), len(at)))


def summary(made: MadeObjects) -> str:
    """Return the lines below the table: all objects, those left out, and the density."""
    plane = made.every
    objects = plane.objects
    if not len(objects.ids):
        return ""
    return ui_text.objects_counted(
        objects=len(objects.ids),
        edited=len(plane.edited.edited),
        smaller=objects.smaller,
        at_border=objects.at_border,
        density=[
            (plane.name_of(label), one.density)
            for label, one in made.summaries.items()
            if one.count and one.density is not None
        ],
        volume=made.volume is not None,
    )
