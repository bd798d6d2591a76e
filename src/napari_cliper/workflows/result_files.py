"""Write the files of a segmented image, and the table of uncertainties of all images."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from ..io.files import Replace, whole_files
from ..io.images import pixel_sizes_of
from ..io.journal import Journal
from ..io.json_records import write_json
from ..io.writers.measurements import write_table
from ..io.writers.overlay import overlay
from ..io.writers.tiff import write_label_tiff
from ..labels.label_class import rows_of
from ..labels.labelled_image import PIXEL, LabelledImage
from ..objects.classifying import ClassifiedObjects
from ..segmentation import RGBImage, TiledImage, Window
from .segment_objects import SUFFIXES as OBJECT_SUFFIXES
from .segment_objects import write_objects
from .segment_planes import SegmentedPlanes

UNCERTAINTY = "uncertainty.csv"
"""Name of the table of mean uncertainties."""

OVERLAY_PIXELS = 1 << 25
"""Size of the overlay of a larger image."""

OVERLAY_ROWS = 64

_COLUMNS = ("image", "uncertainty")


def result_suffixes(*, refined: bool, overlay: bool, objects: bool) -> tuple[str, ...]:
    """Return the endings of the result files of an image."""
    suffixes = ["_coarse.tif"]
    suffixes += ["_refined.tif"] if refined else []
    suffixes += ["_overlay.png"] if overlay else []
    return (*suffixes, *(OBJECT_SUFFIXES if objects else ()), ".json")


def write_results(
    output: Path,
    path: Path,
    found: SegmentedPlanes,
    record: Mapping[str, Any],
    objects: ClassifiedObjects | None,
    *,
    draws: bool,
    replace: Replace,
    inputs: Iterable[Path],
) -> bool:
    """Write the result files of one image, either all of them or none.

    Label files have the pixel size of the image. The overlay of a stack shows its middle plane. If
    memory is too small for the overlay, the other files are still written.

    Parameters
    ----------
    output : Path
        Folder of the results.
    path : Path
        The image, which the files are named after.
    found : SegmentedPlanes
        Labels and image.
    record : mapping
        Settings and results, for the JSON file.
    objects : ClassifiedObjects or None
        Objects of the image with their classes.
    draws : bool
        Whether an overlay is wanted.
    replace, inputs
        As in `io.files.whole_files`.

    Returns
    -------
    bool
        False if the overlay is wanted and was not written.

    Raises
    ------
    FileError
        For a file that cannot be written.
    """
    assert found.scores is not None and found.shown is not None  # noqa: S101, PT018 - not empty
    rows = dict(enumerate(rows_of(found.scores.classes), 1))
    axes, known = found.planes.axes + "YX", pixel_sizes_of(path)
    sizes = [known.get(letter, (1.0, PIXEL)) for letter in axes]
    images = {
        stage: LabelledImage(
            path.stem,
            array,
            rows,
            image_file=path.name,
            axes=axes,
            pixel_size=tuple(size for size, _ in sizes),
            units=tuple(unit for _, unit in sizes),
        )
        for stage, array in found.labels.items()
    }
    *_, final = images.values()
    pixels, plane = found.shown
    seen = LabelledImage(path.stem, final.labels[plane], rows)
    with whole_files(output, replace=replace, inputs=inputs) as folder:
        for stage, image in images.items():
            write_label_tiff(folder / f"{path.stem}_{stage}.tif", image)
        if objects is not None:
            write_objects(folder, final, objects)
        complete = not draws or _drawn(folder / f"{path.stem}_overlay.png", seen, pixels)
        write_json(folder / f"{path.stem}.json", record)
    return complete


def _drawn(place: Path, image: LabelledImage, pixels: RGBImage | TiledImage) -> bool:
    """Write an overlay; return whether there was memory for it."""
    try:
        overlay(_reduced(image, pixels)).save(place)
    except MemoryError:
        place.unlink(missing_ok=True)
        return False
    return True


def _reduced(image: LabelledImage, pixels: RGBImage | TiledImage) -> LabelledImage:
    """Labels and image for the overlay; of a large image, every second, third, ... pixel."""
    height, width = image.labels.shape
    step = max(round((height * width / OVERLAY_PIXELS) ** 0.5), 1)
    if step == 1:
        return dataclasses.replace(image, image=pixels.pixels)
    blocks = (
        pixels.region(Window(top, 0, min(top + OVERLAY_ROWS * step, height), width))[::step, ::step]
        if isinstance(pixels, TiledImage)
        else pixels.pixels[top : top + OVERLAY_ROWS * step : step, ::step]
        for top in range(0, height, OVERLAY_ROWS * step)
    )
    return dataclasses.replace(
        image, labels=image.labels[::step, ::step], image=np.concatenate(list(blocks))
    )


# ---------------------------------------------------------------------- uncertainty table


def write_uncertainty(output: Path, journal: Journal) -> list[tuple[str, float]]:
    """Write the table of mean uncertainties of all results of a journal, highest first.

    Parameters
    ----------
    output : Path
        Folder that `write_results` wrote to; the table `UNCERTAINTY` is written there too.
    journal : Journal

    Returns
    -------
    list of (str, float)
        Name and mean uncertainty of each image.

    Raises
    ------
    FileError
        For a folder that cannot be written to.
    """
    found = [
        (name, float(record["uncertainty"]))
        for run in journal.runs
        for name, record in run.entries.items()
        if "uncertainty" in record
    ]
    found.sort(key=lambda one: (-one[1], one[0]))
    names, values = ([one[place] for one in found] for place in (0, 1))
    with whole_files(output) as folder:
        write_table(folder / UNCERTAINTY, dict(zip(_COLUMNS, (names, values), strict=True)))
    return found
