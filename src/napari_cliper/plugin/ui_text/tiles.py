"""Texts of runs in tiles: object size, costs, and what is found without them."""

from __future__ import annotations

from ...workflows.quantities import duration, size_text
from .common import count

TILES_LABEL = "&Object size"
TILES_TIP = (
    "The image is encoded in overlapping tiles, at a scale at which objects of about this width "
    "are found. Smaller numbers find smaller objects and take longer."
)
TILES_UNIT = " px"
MEASURE_OBJECT = "Measure"
MEASURE_OBJECT_TIP = (
    "Take the size from one object: draw a box around it. Or select a shape around it, or the "
    "annotation layer with an object that you painted, before you press."
)
MEASURE_OBJECT_STOP_TIP = "Stop measuring."
TILES_OFF = "\N{MULTIPLICATION SIGN}"
TILES_OFF_NAME = "Without tiles"
TILES_OFF_TIP = "Encode the image as a whole again."
RUN_WITH_TILES = "With tiles"
RUN_WITH_TILES_TIP = (
    "Encode the image in tiles, so that small objects are found. The size of the objects is set "
    "below Run."
)
RUN_WITHOUT_TILES = "Without tiles"
RUN_VISIBLE_TILES = "What is visible, with tiles"
RUN_VISIBLE_TILES_TIP = "Run in tiles on the part of the image that the viewer shows."
VISIBLE_TILES = "Visible part"
USE_TILES = "Use tiles"
USE_VISIBLE = "Run visible"
START_TILES = "Start"
START_TILES_TIP = "Start the run."
MEASURED_LAYER = "one object"
DRAW_A_BOX = "Draw a box around one object. Its size is taken when you release the mouse button."
NO_OBJECT_DRAWN = "The box is empty. Press Measure, and draw a box around one object."
ESTIMATING = "The cost is being estimated."
ONE_TILE = "The image is no larger than a tile, so it is encoded as a whole."
STOPPED_TILES = "Cancelled. The tiles that are done are kept: the next run goes on from there."


def measured(size: int) -> str:
    """The size of an object was measured, in pixels."""
    return f"Objects are taken to be about {size} px wide."


def smallest_object(size: float) -> str:
    """The smallest objects that a run finds, for the line about what would be run."""
    return f"objects \N{GREATER-THAN OR EQUAL TO} {two_digits(size)} px"


def objects_lost(smallest: float) -> str:
    """A large image is reduced so much that small objects are lost; beside two buttons."""
    return f"Objects < {two_digits(smallest)} px lost"


def reduced(factor: float, smallest: float) -> str:
    """The same in full, with how much an image is reduced before CLIP sees it."""
    return (
        f"The image is reduced {factor:.0f} times before CLIP sees it, so objects below about "
        f"{two_digits(smallest)} px are lost."
    )


def two_digits(number: float) -> int:
    """A number with two digits that count."""
    return int(float(f"{number:.2g}"))


def tile_costs(*, tiles: int, seconds: float, disk: int, memory: int, on_disk: bool) -> str:
    """What a run in tiles takes at most, in short; sizes in bytes."""
    kept = f", {size_text(disk)} disk" if on_disk and disk else ""
    room = memory if on_disk else memory + disk
    return f"{count(tiles, 'tile')}: {duration(seconds)}{kept}, {size_text(room)} memory"


def tile_costs_tip(*, again: int) -> str:
    """What the numbers of `tile_costs` are; and how many tiles a later question reads again."""
    text = (
        "Estimated from one tile. Time and disk space are those of the tiles that are not in the "
        "cache yet; memory is that of the whole run."
    )
    if again:
        text += (
            f" Other words read {count(again, 'tile')} with the refiner's network again, because "
            "their attention does not fit in the cache."
        )
    return text


def long_run(costs: str) -> str:
    """A run in tiles takes long, and waits for the user's consent."""
    return f"This takes long. {costs}."


def long_planes(*, planes: int, costs: str) -> str:
    """A run of several planes in tiles takes long, and waits for the user's consent."""
    return f"This takes long. {count(planes, 'plane')}, {costs}."


def tiles_exceed_disk(*, tiles: int, needed: float, free: float) -> str:
    """The features of the tiles do not fit on the disk; sizes in bytes."""
    return (
        f"The features of {count(tiles, 'new tile')} need {needed / 1e9:.1f} GB in the cache "
        f"folder, but only {free / 1e9:.1f} GB are free. Free some space, run a part of the image, "
        "or enter a larger object size."
    )


def tiles_exceed_memory(*, tiles: int, needed: float, free: float) -> str:
    """A run in tiles does not fit in memory; sizes in bytes."""
    return (
        f"A run in {count(tiles, 'tile')} needs {needed / 1e9:.1f} GB, but only {free / 1e9:.1f} "
        "GB of memory are free. Run what is visible, or draw a rectangle and run it."
    )
