"""The formats that annotations are exported in, in one table."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath
from types import MappingProxyType
from typing import Literal, get_args

from PIL import Image

from ..labels.axes import axis_words
from ..labels.labelled_image import LabelledImage
from ..segmentation import InvalidInputError
from .files import Replace, file_name, unique_names, whole_files
from .lazy_images import Images, LazyImages, planes_of
from .writers.coco import write_coco
from .writers.geojson import write_geojson
from .writers.measurements import measurement_notes, write_class_measurements, write_measurements
from .writers.npz import write_npz
from .writers.ome_zarr import write_ome_zarr
from .writers.overlay import overlay
from .writers.png import write_indexed_png, write_plain_png
from .writers.tiff import write_label_tiff, write_ome_tiff
from .writers.yolo import write_yolo_dataset

FormatName = Literal[
    "tiff", "ome-tiff", "png", "plain-png", "coco", "yolo", "geojson", "numpy", "ome-zarr", "csv",
    "overlay",
]  # fmt: skip

Writer = Callable[[Path, Images], None]


@dataclass(frozen=True)
class Format:
    """One way of handing labels on.

    Parameters
    ----------
    words : str
        Its name, for a person.
    help : str
        What opens it, in one sentence.
    write : callable
        Writes all images into a folder.
    """

    words: str
    help: str
    write: Writer


def _each(write: Callable[[Path, LabelledImage], None], suffix: str, *, planes: bool) -> Writer:
    """A writer of one file for each image, or for each of its planes."""

    def write_all(folder: Path, images: Images) -> None:
        for image in planes_of(images) if planes else images:
            path = folder / f"{image.name}{suffix}"
            if path.exists():  # an image that is called like a plane of another
                raise InvalidInputError(f"Two images would be the file {path.name}. Rename one.")
            write(path, image)

    return write_all


def _write_coco(folder: Path, images: Images) -> None:
    planes = planes_of(images)
    write_coco(folder / "instances.json", planes)
    write_coco(folder / "stuff.json", planes, kind="stuff")


def _write_yolo(folder: Path, images: Images) -> None:
    write_yolo_dataset(folder, planes_of(images))


def _write_overlay(path: Path, image: LabelledImage) -> None:
    overlay(image).save(path)


def _write_tables(folder: Path, images: Images) -> None:
    for image in images:
        write_measurements(folder / f"{image.name}_regions.csv", image)
        write_class_measurements(folder / f"{image.name}_classes.csv", image)


FORMATS: Mapping[FormatName, Format] = MappingProxyType(
    {
        "tiff": Format(
            "TIFF for ImageJ",
            "Fiji and ImageJ, with pixel size, class names and colours.",
            _each(write_label_tiff, ".tif", planes=False),
        ),
        "ome-tiff": Format(
            "OME-TIFF",
            "Everything on Bio-Formats: QuPath, OMERO, Fiji.",
            _each(write_ome_tiff, ".ome.tif", planes=False),
        ),
        "png": Format(
            "PNG, indexed",
            "Training programs that read PASCAL VOC's masks; undecided pixels are 255.",
            _each(write_indexed_png, ".png", planes=True),
        ),
        "plain-png": Format(
            "PNG, plain",
            "Grey values are the labels.",
            _each(write_plain_png, "_labels.png", planes=True),
        ),
        "coco": Format(
            "COCO JSON",
            "Detectron2, MMDetection, CVAT: one file of instances and one of stuff.",
            _write_coco,
        ),
        "yolo": Format(
            "YOLO segmentation", "Ultralytics: images, texts and data.yaml.", _write_yolo
        ),
        "geojson": Format(
            "GeoJSON for QuPath",
            "QuPath, with class, colour and holes.",
            _each(write_geojson, ".geojson", planes=True),
        ),
        "numpy": Format("NumPy", "numpy.load, no pickle.", _each(write_npz, ".npz", planes=False)),
        "ome-zarr": Format(
            "OME-Zarr",
            "napari, and everything on NGFF: the image with its labels.",
            _each(write_ome_zarr, ".ome.zarr", planes=False),
        ),
        "csv": Format(
            "Measurements (CSV)", "Spreadsheets: a row per region, and per class.", _write_tables
        ),
        "overlay": Format(
            "Image with legend",
            "To look at: colours over the image.",
            _each(_write_overlay, "_overlay.png", planes=True),
        ),
    }
)
"""In the order in which they are offered."""

FORMAT_NAMES: tuple[FormatName, ...] = get_args(FormatName)


def check_formats(names: Sequence[str]) -> tuple[FormatName, ...]:
    """The formats of some names.

    Raises
    ------
    InvalidInputError
        For a name that is none, and for none at all.
    """
    unknown = [name for name in names if name not in FORMATS]
    if unknown or not names:
        wrong = f"{unknown[0]!r} is no format." if unknown else "No format is named."
        raise InvalidInputError(f"{wrong} Choose of {', '.join(FORMATS)}.")
    return tuple(name for name in FORMAT_NAMES if name in names)


def _names_of(image: LabelledImage) -> list[str]:
    """What the files of an image can be called: its name, or with more of its own file's."""
    path = PurePosixPath(image.name)
    is_file = path.suffix.lower() in {*Image.registered_extensions(), ".tif", ".tiff"}
    plain = image.name[: -len(path.suffix)].removesuffix(".ome") if is_file else image.name
    own = PurePosixPath(image.image_file.replace("\\", "/"))
    longer = [*own.parent.parts, plain] if len(own.parts) > 1 else [plain, own.suffix[1:]]
    return list(dict.fromkeys([file_name(plain), file_name("_".join(filter(None, longer)))]))


def _named(image: LabelledImage, name: str) -> LabelledImage:
    return replace(image, name=name)


def export_notes(image: LabelledImage, formats: Sequence[str]) -> list[str]:
    """What a person should know of an image's files in these formats, in a sentence each.

    Returns
    -------
    list of str
        Of axes that nobody has named; with tables, what `measurement_notes` says.
    """
    notes = []
    unnamed = [word for word in axis_words(image.axes) if word.startswith("axis ")]
    if unnamed:
        notes.append(
            f"{image.name} does not say what {' and '.join(unnamed)} "
            f"{'is' if len(unnamed) == 1 else 'are'}: planes keep their order, and each is "
            "measured by itself. To name the axes, set axis_labels of the image layer in napari, "
            "such as ('t', 'y', 'x'), or save the image with them."
        )
    if "csv" in formats:
        notes += measurement_notes(image)
    return notes


def export_images(
    folder: Path,
    images: Images,
    formats: Sequence[str],
    *,
    overwrite: bool = False,
    inputs: Iterable[Path] = (),
) -> list[Path]:
    """Write images in some formats; all files appear, or none.

    Parameters
    ----------
    folder : Path
        Made where it is missing. With more than one format each has a folder in it.
    images : sequence of LabelledImage or LazyImages
        Their files are called as they are, without an image's suffix and what some system cannot
        have in a name. Of images that share a name, the folder or suffix of their own file, or a
        number, is added.
    formats : sequence of str
        Names of `FORMATS`.
    overwrite : bool
        Whether files of the same name that this program wrote are replaced.
    inputs : iterable of Path
        Files that the images come from; they are never replaced.

    Returns
    -------
    list of Path
        What appeared in the folder: files, or folders of a format.

    Raises
    ------
    InvalidInputError
        For a name that is no format, and for what a format cannot hold.
    FileError
        For what is there already, and for a disk that does not take it.
    """
    chosen = check_formats(formats)
    names = unique_names([_names_of(image) for image in images])
    named = LazyImages(lambda: map(_named, images, names))
    replaced: Replace = "own" if overwrite else "nothing"
    with whole_files(folder, replace=replaced, inputs=inputs) as staging:
        for name in chosen:
            part = staging if len(chosen) == 1 else staging / name
            part.mkdir(exist_ok=True)
            FORMATS[name].write(part, named)
        return [folder / path.name for path in sorted(staging.iterdir())]
