"""Export images in one or more formats, either all files or none."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path, PurePosixPath
from typing import Any

import psutil

from ..labels.axes import axis_words
from ..labels.labelled_image import LabelledImage
from ..labels.pieces import Pieces
from ..segmentation import InvalidInputError
from .filenames import file_name, unique_names
from .files import Replace, whole_files
from .formats import FORMATS, check_formats
from .image_decoding import image_suffixes
from .lazy_images import Images, LazyImages, untouched_planes
from .validation_split import check_share, chosen_for_validation, group_of

EXPORT_BYTES = 40
"""Bytes for each pixel that formats take whose files are not written piece by piece."""


def _names_of(image: LabelledImage) -> list[str]:
    """Return candidate file names: the image's name, then a longer one from its own file."""
    path = PurePosixPath(image.name)
    is_file = path.suffix.lower() in image_suffixes()
    plain = image.name[: -len(path.suffix)] if is_file else image.name
    plain = plain.removesuffix(".ome")  # formats have endings of their own
    own = PurePosixPath(image.image_file.replace("\\", "/"))
    longer = [*own.parent.parts, plain] if len(own.parts) > 1 else [plain, own.suffix[1:]]
    return list(dict.fromkeys([file_name(plain), file_name("_".join(filter(None, longer)))]))


def _named(image: LabelledImage, name: str) -> LabelledImage:
    return replace(image, name=name)


def export_notes(
    image: LabelledImage, formats: Sequence[str], *, every_plane: bool = False
) -> list[str]:
    """Return messages for the user about the export of an image.

    Returns
    -------
    list of str
        On planes that are left out, axes without a name, and the notes of the formats.
    """
    notes = []
    untouched = untouched_planes(image)
    if untouched and not every_plane and any(FORMATS[name].planes for name in formats):
        total = math.prod(image.labels.shape[:-2])
        notes.append(
            f"{image.name}: {untouched} of {total} planes have no accepted or painted pixel and "
            "were left out of the formats that are written plane by plane."
        )
    unnamed = [word for word in axis_words(image.axes) if word.startswith("axis ")]
    if unnamed:
        notes.append(
            f"{image.name} has no name for {' and '.join(unnamed)}: planes keep their order, and "
            "each is measured separately. To name the axes, set axis_labels of the image layer in "
            "napari, such as ('t', 'y', 'x'), answer the question below the image name in the "
            "dock, or save the image with axis names."
        )
    for name in formats:
        notes += FORMATS[name].notes_of(image)
    return notes


def split_notes(images: Images, formats: Sequence[str], validation: float) -> list[str]:
    """Return messages on how many images are for validation; the parameters of `export_images`."""
    if not validation or not any(FORMATS[name].split for name in formats):
        return []
    groups = list(map(group_of, _with_unique_names(images)))
    chosen = chosen_for_validation(groups, validation)
    if not chosen:
        return ["There is only one image or stack, so all is for training and none for validation."]
    count = sum(group in chosen for group in groups)
    return [f"{count} of {len(groups)} images are for validation, the others for training."]


def check_split(formats: Sequence[str], validation: float) -> None:
    """Check the share of images for validation.

    Raises
    ------
    InvalidInputError
        For a number that is no share, and if no format can be divided.
    """
    check_share(validation)
    if validation and not any(FORMATS[name].split for name in formats):
        able = " and ".join(FORMATS[name].title for name in FORMATS if FORMATS[name].split)
        raise InvalidInputError(
            f"Images for validation can be set apart only in {able}. Choose one of these formats, "
            "or leave the share out."
        )


def check_memory(shape: Sequence[int], formats: Sequence[str]) -> None:
    """Check the memory for formats that need the whole of a large image.

    Parameters
    ----------
    shape : sequence of int
        That of the labels.
    formats : sequence of str
        Keys of `FORMATS`. Without any, it is for the objects of the image.

    Raises
    ------
    InvalidInputError
        If they need more than is free.
    """
    needed, free = EXPORT_BYTES * math.prod(shape), psutil.virtual_memory().available
    if needed <= free:
        return
    whole = [FORMATS[name].title for name in formats if not FORMATS[name].pieces]
    able = [one.title for one in FORMATS.values() if one.pieces and (formats or not one.objects)]
    raise InvalidInputError(
        f"{', '.join(whole) or 'Objects'} of an image of {' x '.join(map(str, shape))} px need "
        f"about {needed / 1e9:.0f} GB of memory, but only {free / 1e9:.1f} GB are free. "
        f"Only {', '.join(able)} can be written piece by piece, in less memory: choose no other."
    )


def _with_unique_names(images: Images) -> LazyImages:
    names = unique_names([_names_of(image) for image in images])
    return LazyImages(lambda: map(_named, images, names))


def export_images(
    folder: Path,
    images: Images,
    formats: Sequence[str],
    *,
    overwrite: bool = False,
    every_plane: bool = False,
    validation: float = 0.0,
    inputs: Iterable[Path] = (),
) -> list[Path]:
    """Write images in one or more formats, either all files or none.

    Parameters
    ----------
    folder : Path
        Created if missing. With several formats, each gets its own subfolder.
    images : sequence of LabelledImage or LazyImages
        Files are named like the images, without image suffixes and characters that some systems
        do not allow. If images share a name, the folder or suffix of their own file, or a number,
        is added.
    formats : sequence of str
        Keys of `FORMATS`.
    overwrite : bool
        Whether files that an earlier export wrote may be replaced.
    every_plane : bool
        Whether formats that are written plane by plane also have the planes of a stack without an
        accepted or painted pixel.
    validation : float
        Share of the images for validation, from 0 to below 1, in formats for training that know
        it (`Format.split`). Images are chosen by their names, and planes of a stack stay together;
        see `validation_split`.
    inputs : iterable of Path
        Files that the images were read from; they are never replaced.

    Returns
    -------
    list of Path
        The new entries of the folder: files, or a subfolder per format.

    Raises
    ------
    InvalidInputError
        For an unknown format, a share for formats that cannot be divided, for labels that a format
        cannot hold, and for images that are too large for the memory.
    FileError
        For existing files that may not be replaced, and if files cannot be written.
    """
    chosen = check_formats(formats)
    check_split(chosen, validation)
    if not all(FORMATS[name].pieces for name in chosen):
        for image in images:
            labels: Any = image.labels
            if isinstance(labels, Pieces):
                check_memory(labels.shape, chosen)
    named = _with_unique_names(images)
    groups = chosen_for_validation(map(group_of, named), validation) if validation else ()
    replaced: Replace = "own" if overwrite else "nothing"
    with whole_files(folder, replace=replaced, inputs=inputs) as staging:
        for name in chosen:
            part = staging if len(chosen) == 1 else staging / name
            part.mkdir(exist_ok=True)
            FORMATS[name].export(part, named, every_plane=every_plane, validation=groups)
        return [folder / path.name for path in sorted(staging.iterdir())]
