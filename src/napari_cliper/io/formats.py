"""The formats that annotations are exported in, in one table.

To add a format, write its file in `io.writers` and add a row to `FORMATS`. The command line and
the export dialog show what the table has. A format with `endings` also has an entry in
``napari.yaml``; a test compares the two.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..segmentation import InvalidInputError

if TYPE_CHECKING:
    from ..labels.labelled_image import LabelledImage
    from .lazy_images import Images


@dataclass(frozen=True, kw_only=True)
class Format:
    """One way to export labels.

    Functions are named as ``"module:function"`` of `io.writers` and imported when they are used,
    so that the table itself loads fast. A format has a `write_file`, a `write_folder`, or both;
    without `write_folder` each image is exported to a file of its own.

    Parameters
    ----------
    title : str
        Its name in the window.
    help : str
        What opens it, in one sentence.
    write_file : str
        Of the function that writes one image to one file: takes a `Path` and a `LabelledImage`.
    write_folder : str
        Of the function that writes all images into a folder: takes a `Path` and `Images`.
    notes : str
        Of the function that says what a person should know of the files: takes a
        `LabelledImage`, returns sentences.
    suffix : str
        Of the file of each image.
    planes : bool
        Whether the export hands a stack over plane by plane.
    endings : tuple of str
        Of file names in napari's *File > Save*; empty where the format is not offered there. The
        first is added to a name that has none of them.
    """

    title: str
    help: str
    write_file: str = ""
    write_folder: str = ""
    notes: str = ""
    suffix: str = ""
    planes: bool = False
    endings: tuple[str, ...] = ()

    def save(self, path: Path, image: LabelledImage) -> None:
        """Write one image to one file."""
        _function(self.write_file)(path, image)

    def export(self, folder: Path, images: Images) -> None:
        """Write all images into a folder.

        Raises
        ------
        InvalidInputError
            For two images that would be the same file, and for what the format cannot hold.
        """
        from .lazy_images import planes_of  # noqa: PLC0415 - heavy

        images = planes_of(images) if self.planes else images
        if self.write_folder:
            _function(self.write_folder)(folder, images)
            return
        for image in images:
            path = folder / f"{image.name}{self.suffix}"
            if path.exists():  # an image that is called like a plane of another
                raise InvalidInputError(f"Two images would be the file {path.name}. Rename one.")
            self.save(path, image)

    def notes_of(self, image: LabelledImage) -> list[str]:
        """What a person should know of an image's files, in a sentence each."""
        return list(_function(self.notes)(image)) if self.notes else []


def _function(name: str) -> Any:
    module, _, function = name.partition(":")
    return getattr(import_module(f"{__package__}.writers.{module}"), function)


FORMATS: Mapping[str, Format] = {
    "tiff": Format(
        title="TIFF for ImageJ",
        help="Fiji and ImageJ, with pixel size, class names and colours.",
        write_file="tiff:write_label_tiff",
        suffix=".tif",
        endings=(".tif", ".tiff"),
    ),
    "ome-tiff": Format(
        title="OME-TIFF",
        help="Everything on Bio-Formats: QuPath, OMERO, Fiji.",
        write_file="tiff:write_ome_tiff",
        suffix=".ome.tif",
        endings=(".ome.tif", ".ome.tiff"),
    ),
    "png": Format(
        title="PNG, indexed",
        help="Training programs that read PASCAL VOC's masks; undecided pixels are 255.",
        write_file="png:write_indexed_png",
        suffix=".png",
        planes=True,
        endings=(".png",),
    ),
    "plain-png": Format(
        title="PNG, plain",
        help="Grey values are the labels.",
        write_file="png:write_plain_png",
        suffix="_labels.png",
        planes=True,
        endings=(".png",),
    ),
    "coco": Format(
        title="COCO JSON",
        help="Detectron2, MMDetection, CVAT: one file of instances and one of stuff.",
        write_file="coco:write_one_coco",
        write_folder="coco:write_instances_and_stuff",
        planes=True,
        endings=(".json",),
    ),
    "yolo": Format(
        title="YOLO segmentation",
        help="Ultralytics: images, texts and data.yaml.",
        write_folder="yolo:write_yolo_dataset",
        planes=True,
    ),
    "geojson": Format(
        title="GeoJSON for QuPath",
        help="QuPath, with class, colour and holes.",
        write_file="geojson:write_geojson",
        suffix=".geojson",
        planes=True,
        endings=(".geojson",),
    ),
    "numpy": Format(
        title="NumPy",
        help="numpy.load, no pickle.",
        write_file="npz:write_npz",
        suffix=".npz",
        endings=(".npz",),
    ),
    "ome-zarr": Format(
        title="OME-Zarr",
        help="napari, and everything on NGFF: the image with its labels.",
        write_file="ome_zarr:write_ome_zarr",
        suffix=".ome.zarr",
        endings=(".ome.zarr",),
    ),
    "csv": Format(
        title="Measurements (CSV)",
        help="Spreadsheets: a row per region, and per class.",
        write_file="measurements:write_measurements",
        write_folder="measurements:write_all_measurements",
        notes="measurements:measurement_notes",
        endings=(".csv",),
    ),
    "overlay": Format(
        title="Image with legend",
        help="To look at: colours over the image.",
        write_file="overlay:write_overlay",
        suffix="_overlay.png",
        planes=True,
    ),
}
"""By the name on the command line, in the order in which they are offered."""


def check_formats(names: Sequence[str]) -> tuple[str, ...]:
    """The formats of some names, in the order of `FORMATS`.

    Raises
    ------
    InvalidInputError
        For a name that is none, and for none at all.
    """
    unknown = [name for name in names if name not in FORMATS]
    if unknown or not names:
        wrong = f"{unknown[0]!r} is no format." if unknown else "No format is named."
        raise InvalidInputError(f"{wrong} Choose of {', '.join(FORMATS)}.")
    return tuple(name for name in FORMATS if name in names)
