"""Table of the export formats.

To add a format, write its module in `io.writers` and add a row to `FORMATS`. The command line and
the export dialog are generated from this table. A format with `endings` also needs an entry in
``napari.yaml``; a test compares the two.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from ..segmentation import InvalidInputError, unknown_choice

if TYPE_CHECKING:
    from ..labels.labelled_image import LabelledImage
    from .lazy_images import Images

Purpose = Literal["fiji", "qupath", "training", "tables", "python", "view"]

PURPOSES: Mapping[Purpose, str] = {
    "fiji": "Fiji and ImageJ",
    "qupath": "QuPath and OMERO",
    "training": "Training",
    "tables": "Tables",
    "python": "Python and napari",
    "view": "Image with legend",
}
"""What formats are for, by the name that `Format.purpose` has, as the window offers them."""


@dataclass(frozen=True, kw_only=True)
class Format:
    """An export format.

    Functions are given as ``"module:function"`` in `io.writers` and imported on first use, so that
    the table loads fast. A format has a `write_file`, a `write_folder`, or both; without
    `write_folder`, each image is exported to its own file.

    Parameters
    ----------
    title : str
        Name in the window.
    help : str
        One sentence on the programs that open it.
    purpose : str
        Of `PURPOSES`: what it is for.
    write_file : str
        Function that writes one image to one file: takes a `Path` and a `LabelledImage`.
    write_folder : str
        Function that writes all images into a folder: takes a `Path` and `Images`.
    notes : str
        Function that returns messages for the user as a list of str: takes a `LabelledImage`.
    suffix : str
        End of the file name of each image; by default the first of `endings`.
    planes : bool
        Whether stacks are exported plane by plane.
    split : bool
        Whether `write_folder` divides images into those for training and for validation: it then
        takes the names of the latter too (see `validation_split`).
    objects : bool
        Whether it takes the separate objects of an image (`LabelledImage.with_separate`).
    pieces : bool
        Whether a large image of one plane is written piece by piece, in little memory.
    endings : tuple of str
        File endings in napari's *File > Save*; empty if the format is not offered there. The
        first is added to names without one of them.
    """

    title: str
    help: str
    purpose: Purpose
    write_file: str = ""
    write_folder: str = ""
    notes: str = ""
    suffix: str = ""
    planes: bool = False
    split: bool = False
    objects: bool = False
    pieces: bool = False
    endings: tuple[str, ...] = ()

    def save(self, path: Path, image: LabelledImage) -> None:
        """Write one image to one file."""
        _function(self.write_file)(path, image)

    def export(
        self,
        folder: Path,
        images: Images,
        *,
        every_plane: bool = False,
        validation: Collection[str] = (),
    ) -> None:
        """Write all images into a folder.

        Parameters
        ----------
        folder : Path
        images : sequence of LabelledImage or LazyImages
        every_plane : bool
            Whether planes of stacks without an accepted or painted pixel are written too.
        validation : collection of str
            Names of the images for validation, for formats with `split`.

        Raises
        ------
        InvalidInputError
            For two images with the same file name, and for labels that the format cannot hold.
        """
        from .lazy_images import loaded, planes_of, with_objects_of  # noqa: PLC0415 - heavy

        images = images if self.pieces else loaded(images)
        images = with_objects_of(images) if self.objects else images
        images = planes_of(images, every_plane=every_plane) if self.planes else images
        if self.split:
            _function(self.write_folder)(folder, images, validation)
            return
        if self.write_folder:
            _function(self.write_folder)(folder, images)
            return
        for image in images:
            path = folder / f"{image.name}{self.suffix or self.endings[0]}"
            if path.exists():  # an image has the same name as a plane of another one
                raise InvalidInputError(
                    f"Two images have the same file name {path.name}. Rename one of them."
                )
            self.save(path, image)

    def notes_of(self, image: LabelledImage) -> list[str]:
        """Return messages for the user about the files of an image."""
        return list(_function(self.notes)(image)) if self.notes else []


def _function(name: str) -> Any:
    module, _, function = name.partition(":")
    return getattr(import_module(f"{__package__}.writers.{module}"), function)


FORMATS: Mapping[str, Format] = {
    "tiff": Format(
        title="TIFF for ImageJ",
        help="Fiji and ImageJ, with pixel size, class names and colours.",
        purpose="fiji",
        write_file="tiff:write_label_tiff",
        endings=(".tif", ".tiff"),
    ),
    "ome-tiff": Format(
        title="OME-TIFF",
        help="Programs that use Bio-Formats: QuPath, OMERO, Fiji.",
        purpose="qupath",
        write_file="tiff:write_ome_tiff",
        pieces=True,
        endings=(".ome.tif", ".ome.tiff"),
    ),
    "png": Format(
        title="PNG, indexed",
        help="Training programs that read PASCAL VOC masks; undecided pixels are 255.",
        purpose="training",
        write_file="png:write_indexed_png",
        planes=True,
        endings=(".png",),
    ),
    "plain-png": Format(
        title="PNG, plain",
        help="Grey values are the labels.",
        purpose="training",
        write_file="png:write_plain_png",
        suffix="_labels.png",
        planes=True,
        endings=(".png",),
    ),
    "object-png": Format(
        title="Objects, PNG",
        help="Training programs: a number for each object, and a table (CSV) with their classes.",
        purpose="training",
        write_file="png:write_object_png",
        suffix="_objects.png",
        planes=True,
        objects=True,
    ),
    "coco": Format(
        title="COCO JSON",
        help="Detectron2, MMDetection, CVAT: one file of instances and one of stuff.",
        purpose="training",
        write_file="coco:write_one_coco",
        write_folder="coco:write_instances_and_stuff",
        planes=True,
        split=True,
        endings=(".json",),
        objects=True,
    ),
    "yolo": Format(
        title="YOLO segmentation",
        help="Ultralytics: images, label files and data.yaml.",
        purpose="training",
        write_folder="yolo:write_yolo_dataset",
        planes=True,
        split=True,
        objects=True,
    ),
    "geojson": Format(
        title="GeoJSON for QuPath",
        help="QuPath, with class, colour and holes.",
        purpose="qupath",
        write_file="geojson:write_geojson",
        planes=True,
        endings=(".geojson",),
        objects=True,
    ),
    "numpy": Format(
        title="NumPy",
        help="numpy.load; contains no pickled data.",
        purpose="python",
        write_file="npz:write_npz",
        endings=(".npz",),
    ),
    "object-tiff": Format(
        title="Objects, TIFF",
        help="Cellpose and others: a number for each object, and a table (CSV) with their classes.",
        purpose="python",
        write_file="tiff:write_object_tiff",
        suffix="_objects.tif",
        objects=True,
    ),
    "ome-zarr": Format(
        title="OME-Zarr",
        help="napari and other NGFF programs: the image with its labels.",
        purpose="python",
        write_file="ome_zarr:write_ome_zarr",
        pieces=True,
        endings=(".ome.zarr",),
        objects=True,
    ),
    "ome-zarr-0.5": Format(
        title="OME-Zarr 0.5, sharded",
        help="Programs that read Zarr 3: as OME-Zarr, in few large files.",
        purpose="python",
        write_file="ome_zarr:write_ome_zarr_05",
        pieces=True,
        suffix=".ome.zarr",
        objects=True,
    ),
    "csv": Format(
        title="Measurements (CSV)",
        help="Spreadsheet programs: one row per region, and one per class.",
        purpose="tables",
        write_file="measurements:write_measurements",
        write_folder="measurements:write_all_measurements",
        notes="measurements:measurement_notes",
        endings=(".csv",),
        objects=True,
    ),
    "overlay": Format(
        title="Image with legend",
        help="For presentations: colours over the image.",
        purpose="view",
        write_file="overlay:write_overlay",
        suffix="_overlay.png",
        planes=True,
    ),
}
"""Formats by their name on the command line, in the order in which they are offered."""


def formats_for(purpose: Purpose) -> tuple[str, ...]:
    """The names of the formats of a purpose, in the order of `FORMATS`."""
    return tuple(name for name, one in FORMATS.items() if one.purpose == purpose)


def check_formats(names: Sequence[str]) -> tuple[str, ...]:
    """Check format names and return them in the order of `FORMATS`.

    Raises
    ------
    InvalidInputError
        For an unknown name, or without any name.
    """
    unknown = [name for name in names if name not in FORMATS]
    if unknown:
        raise unknown_choice("format", unknown[0], FORMATS)
    if not names:
        raise InvalidInputError(f"No format was given. Choose from {', '.join(FORMATS)}.")
    return tuple(name for name in FORMATS if name in names)
