"""Texts of the page Objects."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import MappingProxyType

from .common import count, listed

OBJECTS_FROM = "Objects from"
OBJECTS_FROM_TIP = (
    "The annotation of the plane on the screen; the prediction, if nothing is accepted or painted. "
    "Or objects of another program: their outlines stay, and each gets the class with the highest "
    "score."
)
OF_ANNOTATION = "annotation"
OF_PREDICTION = "prediction, not accepted"
OF_LABELS = "labels of the image"
FROM_FILE = "Open a file ..."
OBJECTS_FILE_TITLE = "Open objects of another program"
OBJECT_FILES = "Objects (*.tif *.tiff *.png *.json *.geojson *.txt)"
OTHERS_HOW = (
    "Each object has the class with the highest score; the table lists unsure ones first. Correct "
    "some with the tool Class: after corrections in two classes, the others follow."
)
OTHERS_NOT_RUN = "Run the image: objects then get the class with the highest score."
OBJECTS_EMPTY = "There are no objects yet. Run on the page Find, or paint on the page Correct."
NOTHING_ANNOTATED_HERE = (
    "Only background is accepted or painted on this plane. Accept a class or paint one on the page "
    "Correct."
)
OBJECTS_TABLE = "Objects by class"
OBJECTS_COLUMNS = ("Class", "Count", "Median area", "Diameter")
MEDIAN_VOLUME = "Median volume"
DIAMETER_TIP = (
    "Typical diameter in pixels, estimated from the objects (~). Double-click to set it: parts "
    "narrower than half of it are not split off. Delete the number to use the estimate."
)

SMALLEST = "Smallest size"
SMALLEST_TIP = (
    "Objects with fewer pixels are left out, of exports too. At first a twentieth of the typical "
    "size in the class with the smallest objects."
)
AT_BORDER = "At the border"
AT_BORDER_TIP = "Include objects that touch the border of the image."
SHOW_OBJECTS = "Show objects"
SHOW_OBJECTS_TIP = (
    "Show the layer of objects, in which each has its own number, while this page is open."
)
REMOVE_SMALLER = "Remove smaller"
REMOVE_SMALLER_TIP = (
    "Replace regions below the smallest size in the annotation by the label around them. Undo "
    "takes it back in one step."
)
NO_SMALLER = "There are no smaller objects."
ACCEPT_TO_REMOVE = "Accept the prediction first: objects are removed from the annotation."
OBJECT_LIST = "Table of objects"
TABLE = "Table ..."
TABLE_TIP = "Show each object with its size, shape, intensity and score. Click a row to go there."
YES = "yes"
MEASURE = "Measure ..."
MEASURE_TIP = "Write a table (CSV) with the area, position and mean intensity of each object."
MEASURE_TITLE = "Measure objects"
TABLE_FILES = "Table (*.csv)"
NO_OBJECTS = "There are no objects."
OBJECTS_BUSY = "A table of objects is being made. Wait for it to end."
UNDO_EDIT = "Undo edit"
UNDO_EDIT_TIP = "Undo the last edit of an object (Ctrl+Z while the layer of objects is active)."
NO_EDIT = "No object was edited."
EDIT_UNDONE = "The last edit of an object was undone."
EDIT_REDONE = "The edit of an object was redone."

IN_3D = "In 3-D"
IN_3D_TIP = (
    "Split the planes along z as one volume, with the distance between planes. The table has "
    "volumes. Merge, Cut, Delete and Class change an object on all its planes."
)
LINKED_3D = "In 3-D, an object has one number on all its planes."
REMOVE_PER_PLANE = "Objects are removed plane by plane: untick In 3-D."
LINKING = "Linking objects"
LINK_BUSY = "Wait for the running job to end."
LINK_AGAIN = "Objects were edited meanwhile. Link them again."
TOO_FEW_PLANES = (
    "Fewer than two planes have objects. Run all planes, or paint on them, and link again."
)
LINK_EVENTS = "Splits and merges"


def link_tip(axes: Sequence[str]) -> str:
    """The tooltip of the button that links objects."""
    return (
        f"Give an object the same number on all planes along {' and '.join(axes)}, and list splits "
        "and merges in the table. Only the numbers change."
    )


def link_button(axes: Sequence[str]) -> str:
    """The button that links objects; without long names of axes, for which there is no room."""
    if sum(map(len, axes)) > 8 * len(axes):
        return "Link planes"
    return f"Link through {' and '.join(axes)}"


def linked(
    *,
    axes: Sequence[str],
    objects: int,
    linked: int,
    splits: int,
    merges: int,
    farthest: float,
    volumes: bool,
) -> str:
    """Objects were linked."""
    where = "in several volumes" if volumes else "on several planes"
    planes = f"{count(objects, 'object')}, {linked:,} of them {where}."
    events = f"{count(splits, 'split')}, {count(merges, 'merge')}"
    lines = [f"Linked through {' and '.join(axes)}: {planes} {events}"]
    lines[0] += ": click them in Table ..." if splits or merges else "."
    if farthest:
        lines.append(
            f"Objects that move up to {farthest:.0f} px, or are missing in one frame, are linked."
        )
    return " ".join(lines)


def link_split(*, where: str, number: int, parts: Sequence[int]) -> str:
    """A line of the list of splits and merges."""
    return f"{where}: object {number} splits into {listed([str(one) for one in parts], 4)}"


def link_merge(*, where: str, number: int, parts: Sequence[int]) -> str:
    """A line of the list of splits and merges."""
    return f"{where}: objects {listed([str(one) for one in parts], 4)} merge into {number}"


OBJECT_TOOLS: Mapping[str, tuple[str, str]] = MappingProxyType(
    {
        "merge": ("Merge", "Click two objects, or drag across several, to make them one."),
        "cut": ("Cut", "Drag a line across an object to cut it."),
        "delete": (
            "Delete",
            "Click an object, or drag a rectangle around several, to delete them.",
        ),
        "draw": ("Draw", "Draw a new object of the selected class with the brush."),
        "outline": (
            "Outline",
            "A model outlines a new object that you click. J shows another outline, K keeps it.",
        ),
        "class": ("Class", "Click an object to give it the selected class."),
    }
)
"""Name and tooltip by tool."""

MERGE_HOW = "Click two objects, or drag across several, to merge them. Esc ends."
CUT_HOW = "Drag a line across an object, from outside to outside, to cut it. Esc ends."
DELETE_HOW = "Click an object to delete it, or drag a rectangle around several. Esc ends."
NO_OBJECT_THERE = "There is no object there. Click one."
ONE_OBJECT_THERE = "Only one object is there. Drag across two or more."
NOTHING_CUT = "The line divides no object. Drag it from outside of the object to outside."
NONE_IN_RECTANGLE = "No object lies completely in the rectangle."
NO_CLASS_FOR_OBJECTS = "There is no class. Type one on the page Find."


def draw_how(name: str) -> str:
    """What the brush draws."""
    return (
        f"Draw a new object of the class {name}; a stroke that touches it adds to it. Select "
        "another class in the table. Esc ends."
    )


def class_how(name: str) -> str:
    """Which class a click gives."""
    return f"Click an object to make it {name}. Select another class in the table. Esc ends."


def merge_second(*, number: int, name: str) -> str:
    """The first object to merge was clicked."""
    return f"Object {number} ({name}): now click the object to merge with it. Esc ends."


def merged(*, number: int, name: str, objects: int) -> str:
    """Objects were merged."""
    return f"Merged {count(objects, 'object')} into object {number} ({name})."


def cut_into(*, objects: int, parts: int) -> str:
    """Objects were cut."""
    return f"Cut {count(objects, 'object')} into {parts:,}."


def deleted(objects: int) -> str:
    """Objects were deleted."""
    return f"Deleted {count(objects, 'object')}."


def drawn(*, number: int, name: str) -> str:
    """An object was drawn, or changed with a tool of napari."""
    return f"Drew object {number} ({name})."


def redrawn(objects: int) -> str:
    """Objects were changed by tools of napari."""
    return f"Changed {count(objects, 'object')}."


def class_changed_to(*, number: int, name: str) -> str:
    """An object has another class."""
    return f"Object {number} is now {name}."


def objects_counted(
    *,
    objects: int,
    edited: int,
    smaller: int,
    at_border: int,
    density: Sequence[tuple[str, float]],
    volume: bool,
) -> str:
    """The lines below the table."""
    left_out = []
    if smaller:
        left_out.append(f"{count(smaller, 'smaller one')} left out.")
    if at_border:
        left_out.append(f"{at_border:,} at the border left out.")
    by_hand = [f"{edited:,} edited."] if edited else []
    lines = [" ".join([f"{count(objects, 'object')} counted.", *by_hand]), " ".join(left_out)]
    if density:
        each = [f"{name} {value:,.3g}" for name, value in density]
        lines.append(f"Per mm{'³' if volume else '²'}: {listed(each, 4)}.")
    return "\n".join(line for line in lines if line)


def all_left_out(*, smaller: int, at_border: int, smallest: int) -> str:
    """Why there is no object although there are labels, and what to do."""
    parts = []
    if smaller:
        parts.append(f"{count(smaller, 'object')} below {smallest:,} px: lower the smallest size.")
    if at_border:
        parts.append(f"{count(at_border, 'object')} at the border: tick At the border.")
    return " ".join(parts) or "All objects were deleted. Undo edit takes it back."


def object_area(*, pixels: float, pixel_area: float, unit: str) -> str:
    """An area in print: in the unit if there is one, else in pixels."""
    value = pixels * pixel_area
    number = f"{value:,.0f}" if value >= 100 else f"{value:.3g}"
    return f"{number} {unit or 'px'}"


def diameter(pixels: float | None, *, by_hand: bool) -> str:
    """A typical diameter in print."""
    if pixels is None:
        return ""
    return f"{pixels:g} px" if by_hand else f"~{pixels:.0f} px"


def objects_layer(image: str) -> str:
    """The name of the layer of objects."""
    return f"{image} objects"


def objects_area_column(unit: str) -> str:
    """The name of a column of the layer's table."""
    return f"area [{unit}]"


def objects_volume_column(unit: str) -> str:
    """The name of a column of the layer's table, for objects in 3-D."""
    return f"volume [{unit}]"


def objects_file(image: str) -> str:
    """The proposed name of a table."""
    return f"{image}_objects.csv"


def objects_measured(*, objects: int, path: object, notes: str) -> str:
    """A table was written."""
    return f"Measured {count(objects, 'object')}: {path}. {notes}".strip()


def no_object_of(name: str) -> str:
    """A class has no object to go to."""
    return f"There is no object of {name}."


def objects_row_tip(name: str) -> str:
    """The tooltip of a row."""
    return f"{name}: click to select the class, double-click to go to its largest object."


def object_list_title(image: str) -> str:
    """The title of the window with the table of objects."""
    return f"Objects of {image}"


def object_gone(number: int) -> str:
    """An object of a split or merge was deleted or renumbered."""
    return f"There is no object {number} on this plane any more."


def origin_gone(name: str) -> str:
    """The layer that objects come from was removed."""
    return f"The layer {name} is gone, and its objects on this plane were not saved. Choose others."


def objects_of_another_size(*, name: str, found: str, image: str) -> str:
    """Objects of a file do not fit the image."""
    return f"{name} has {found} pixels, but {image}. Choose the objects of this image."


def objects_opened(*, name: str, objects: int) -> str:
    """Objects were read from a file."""
    return f"Opened {count(objects, 'object')} of {name}."


def others_changed(objects: int) -> str:
    """Objects changed class because others were named."""
    return f"{count(objects, 'other object')} changed class."
