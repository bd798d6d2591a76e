"""Write the files of a segmented image, and the table of uncertainties of all images."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import zarr
from numpy.typing import NDArray

from ..io.files import whole_files
from ..io.images import pixel_sizes_of
from ..io.journal import Journal
from ..io.json_records import write_json
from ..io.writers.measurements import write_table
from ..io.writers.overlay import write_overlay
from ..io.writers.tiff import write_label_tiff
from ..labels.label_class import rows_of
from ..labels.labelled_image import PIXEL, LabelledImage
from ..objects.classifying import ClassifiedObjects
from ..segmentation import ClassPrompt, RGBImage, TiledImage, Window
from .segment_objects import SUFFIXES as OBJECT_SUFFIXES
from .segment_objects import write_objects
from .segment_planes import SegmentedPlanes

UNCERTAINTY = "uncertainty.csv"
"""Name of the table of mean uncertainties."""

OVERLAY_PIXELS = 1 << 25
"""Size of the overlay of a larger image."""

READ_PIXELS = 1 << 24
"""Pixels of an image that are read at a time for its overlay."""

TIFF, ZARR = ".tif", ".ome.zarr"
"""Endings of labels; large images have the second (see `segment_large`)."""

_COLUMNS = ("image", "uncertainty")


def result_suffixes(*, refined: bool, overlay: bool, objects: bool) -> tuple[tuple[str, ...], ...]:
    """Return the endings of the result files of an image; labels have one of two endings."""
    found: list[tuple[str, ...]] = [(f"_coarse{TIFF}", f"_coarse{ZARR}")]
    found += [(f"_refined{TIFF}", f"_refined{ZARR}")] if refined else []
    found += [("_overlay.png",)] if overlay else []
    return (*found, *((one,) for one in (OBJECT_SUFFIXES if objects else ())), (".json",))


def write_results(
    folder: Path,
    path: Path,
    found: SegmentedPlanes,
    record: Mapping[str, Any],
    objects: ClassifiedObjects | None,
    *,
    draws: bool,
) -> bool:
    """Write the result files of one image.

    Label files have the pixel size of the image. The overlay of a stack shows its middle plane. If
    memory is too small for the overlay, the other files are still written.

    Parameters
    ----------
    folder : Path
        Where they are written.
    path : Path
        The image, which the files are named after.
    found : SegmentedPlanes
        Labels and image; labels that are no NumPy arrays are in the folder already.
    record : mapping
        Settings and results, for the JSON file.
    objects : ClassifiedObjects or None
        Objects of the image with their classes.
    draws : bool
        Whether an overlay is wanted.

    Returns
    -------
    bool
        False if the overlay is wanted and was not written.
    """
    assert found.scores is not None and found.shown is not None  # noqa: S101, PT018 - not empty
    classes = found.scores.classes
    for stage, array in found.labels.items():
        if isinstance(array, np.ndarray):
            image = labels_of(path, array, classes, found.planes.axes + "YX")
            write_label_tiff(folder / f"{path.stem}_{stage}{TIFF}", image)
    pixels, plane = found.shown
    if objects is not None:
        write_objects(folder, image, objects)
    seen: Any = np.asarray(array[plane]) if plane else array
    complete = not draws or _drawn(folder / f"{path.stem}_overlay.png", seen, classes, pixels)
    write_json(folder / f"{path.stem}.json", record)
    return complete


def labels_of(
    path: Path, labels: NDArray[Any], classes: Sequence[ClassPrompt], axes: str = "YX"
) -> LabelledImage:
    """Return labels with their classes and the pixel size of an image file."""
    known = pixel_sizes_of(path)
    sizes = [known.get(letter, (1.0, PIXEL)) for letter in axes]
    return LabelledImage(
        path.stem,
        labels,
        dict(enumerate(rows_of(classes), 1)),
        image_file=path.name,
        axes=axes,
        pixel_size=tuple(size for size, _ in sizes),
        units=tuple(unit for _, unit in sizes),
    )


def _drawn(
    place: Path,
    labels: NDArray[Any] | zarr.Array[Any],
    classes: Sequence[ClassPrompt],
    pixels: RGBImage | TiledImage,
) -> bool:
    """Write an overlay; return whether there was memory for it."""
    rows = dict(enumerate(rows_of(classes), 1))
    try:
        small, image = _reduced(labels, pixels)
        write_overlay(place, LabelledImage(place.stem, small, rows, image=image))
    except MemoryError:
        place.unlink(missing_ok=True)
        return False
    return True


def _reduced(
    labels: NDArray[Any] | zarr.Array[Any], pixels: RGBImage | TiledImage
) -> tuple[NDArray[Any], NDArray[np.uint8]]:
    """Labels and image for the overlay; of a large image, every second, third, ... pixel."""
    height, width = pixels.shape
    step = max(round((height * width / OVERLAY_PIXELS) ** 0.5), 1)
    if step == 1:
        return np.asarray(labels[:, :]), pixels.pixels
    rows = max(READ_PIXELS // (width * step), 1) * step
    blocks = (
        pixels.region(Window(top, 0, min(top + rows, height), width))[::step, ::step]
        if isinstance(pixels, TiledImage)
        else pixels.pixels[top : top + rows : step, ::step]
        for top in range(0, height, rows)
    )
    return np.asarray(labels[::step, ::step]), np.concatenate(list(blocks))


# ---------------------------------------------------------------------- uncertainty table


def write_uncertainty(output: Path, journal: Journal) -> list[tuple[str, float]]:
    """Write the table of mean uncertainties of all results of a journal, highest first.

    If it is as it was, the file is not touched.

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
        new, before = folder / UNCERTAINTY, output / UNCERTAINTY
        write_table(new, dict(zip(_COLUMNS, (names, values), strict=True)))
        if before.is_file() and before.read_bytes() == new.read_bytes():
            new.unlink()
    return found
