"""Write the files of a segmented image, and the table of uncertainties of all images."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from ..io.files import Replace, cannot, whole_files
from ..io.json_records import write_json
from ..io.writers.measurements import write_table
from ..io.writers.overlay import overlay
from ..io.writers.tiff import write_label_tiff
from ..labels.label_class import rows_of
from ..labels.labelled_image import LabelledImage
from ..objects.classifying import ClassifiedObjects
from ..segmentation import RGBImage, TiledImage, Window
from .segment_objects import write_objects
from .segment_planes import SegmentedPlanes

SUFFIXES = ("_coarse.tif", "_refined.tif", "_overlay.png", ".json")
"""Endings of the result files of an image."""

UNCERTAINTY = "uncertainty.csv"
"""Name of the table of mean uncertainties."""

OVERLAY_PIXELS = 1 << 25
"""Size of the overlay of a larger image."""

OVERLAY_ROWS = 64

_COLUMNS = ("image", "uncertainty")


def write_results(
    output: Path,
    path: Path,
    found: SegmentedPlanes,
    record: Mapping[str, Any],
    objects: ClassifiedObjects | None,
    *,
    replace: Replace,
    inputs: Iterable[Path],
) -> bool:
    """Write the result files of one image, either all of them or none.

    The overlay of a stack shows its middle plane. If memory is too small for the overlay, the other
    files are still written.

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
    replace, inputs
        As in `io.files.whole_files`.

    Returns
    -------
    bool
        Whether the overlay was written too.

    Raises
    ------
    FileError
        For a file that cannot be written.
    """
    assert found.scores is not None and found.shown is not None  # noqa: S101, PT018 - not empty
    rows = dict(enumerate(rows_of(found.scores.classes), 1))
    images = {
        stage: LabelledImage(
            path.stem, array, rows, image_file=path.name, axes=found.planes.axes + "YX"
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
        place = folder / f"{path.stem}_overlay.png"
        try:
            overlay(_reduced(seen, pixels)).save(place)
        except MemoryError:
            place.unlink(missing_ok=True)
            complete = False
        else:
            complete = True
        write_json(folder / f"{path.stem}.json", record)
    return complete


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


def write_uncertainty(output: Path) -> list[tuple[str, float]]:
    """Write the table of mean uncertainties of all results in a folder, highest first.

    Parameters
    ----------
    output : Path
        Folder that `write_results` wrote to; the table `UNCERTAINTY` is written there too.

    Returns
    -------
    list of (str, float)
        File name and mean uncertainty of each image.

    Raises
    ------
    FileError
        For a folder that cannot be read or written to.
    """
    try:
        records = [_read_record(path) for path in output.glob("*.json")]
    except OSError as error:
        raise cannot("read", output, error) from error
    found = [one for one in records if one is not None]
    found.sort(key=lambda one: (-one[1], one[0]))
    names, values = ([one[place] for one in found] for place in (0, 1))
    with whole_files(output) as folder:
        write_table(folder / UNCERTAINTY, dict(zip(_COLUMNS, (names, values), strict=True)))
    return found


def _read_record(path: Path) -> tuple[str, float] | None:
    """Read file name and uncertainty of a record; None for any other JSON file."""
    try:
        record = json.loads(path.read_bytes())
    except (ValueError, RecursionError):
        return None
    if not isinstance(record, dict):
        return None
    name, value = record.get("file"), record.get("uncertainty")
    return (name, value) if isinstance(name, str) and isinstance(value, float) else None
