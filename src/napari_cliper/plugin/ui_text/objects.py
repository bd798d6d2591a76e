"""Texts of the page Objects."""

from __future__ import annotations

from .common import count

OBJECTS_OF_ANNOTATION = "Objects in the annotation"
OBJECTS_OF_PREDICTION = "Objects in the prediction (not accepted yet)"
OBJECTS_SOURCE_TIP = (
    "The annotation of the plane on the screen; the prediction, if nothing is accepted or painted."
)
OBJECTS_EMPTY = "There are no objects yet. Run on the page Find, or paint on the page Correct."
OBJECTS_TABLE = "Objects by class"
OBJECTS_CLASS, OBJECTS_COUNT, OBJECTS_AREA = "Class", "Objects", "Median area"

SMALLEST = "Smallest size"
SMALLEST_TIP = "Objects with fewer pixels are not counted, measured or shown."
REMOVE_SMALLER = "Remove smaller"
REMOVE_SMALLER_TIP = (
    "Replace smaller objects in the annotation by the label around them. Undo takes it back in "
    "one step."
)
NO_SMALLER = "There are no smaller objects."
ACCEPT_TO_REMOVE = "Accept the prediction first: objects are removed from the annotation."
MEASURE = "Measure ..."
MEASURE_TIP = "Write a table (CSV) with the area, position and mean intensity of each object."
MEASURE_TITLE = "Measure objects"
TABLE_FILES = "Table (*.csv)"
SHOW_OBJECTS = "Show as layer"
SHOW_OBJECTS_TIP = "Add a Labels layer in which each object has its own number, class and area."
NO_OBJECTS = "There are no objects of this size."
OBJECTS_BUSY = "A table or layer of objects is being made. Wait for it to end."


def objects_counted(*, objects: int, smaller: int) -> str:
    """The line below the table."""
    counted = f"{count(objects, 'object')} counted."
    return f"{counted}\n{count(smaller, 'smaller one')} left out." if smaller else counted


def object_area(*, pixels: float, pixel_area: float, unit: str) -> str:
    """An area in print: in the unit if there is one, else in pixels."""
    value = pixels * pixel_area
    number = f"{value:,.0f}" if value >= 100 else f"{value:.3g}"
    return f"{number} {unit or 'px'}"


def objects_layer(image: str) -> str:
    """The name of the layer of objects."""
    return f"{image} objects"


def objects_area_column(unit: str) -> str:
    """The name of a column of the layer's table."""
    return f"area [{unit}]"


def objects_file(image: str) -> str:
    """The proposed name of a table."""
    return f"{image}_regions.csv"


def objects_measured(*, objects: int, path: object, notes: str) -> str:
    """A table was written."""
    return f"Measured {count(objects, 'object')}: {path}. {notes}".strip()


def objects_shown(*, objects: int, layer: str) -> str:
    """A layer of objects was added or updated."""
    return f"{count(objects, 'object')} in the layer {layer}."


def no_object_of(name: str) -> str:
    """A class has no object to go to."""
    return f"There is no object of {name} of this size."


def objects_row_tip(name: str) -> str:
    """The tooltip of a row."""
    return f"{name}: click to select the class, double-click to go to its largest object."
