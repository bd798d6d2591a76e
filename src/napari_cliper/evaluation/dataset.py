"""Images with ground truth: two folders, or a folder and a COCO JSON."""

from __future__ import annotations

import unicodedata
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..io.class_list import read_classes
from ..io.filenames import LABEL_ENDINGS
from ..io.files import FileError, cannot
from ..io.images import read_image_file
from ..io.journal import digest_of
from ..io.ome_zarr_images import files_of, is_zarr
from ..io.own_files import OwnFiles
from ..io.readers.coco import CocoFile, open_coco
from ..segmentation import (
    ClassPrompt,
    InvalidInputError,
    Monitor,
    SegmentationConfig,
    check_repeated,
)
from .ground_truth import (
    LabelTable,
    apply_table,
    category_labels,
    coco_numbers,
    label_table,
    read_numbers,
)
from .metrics import IGNORED

IMAGE_SUFFIXES = (".png", ".jpg", ".jpeg", ".tif", ".tiff", ".bmp", ".gif", ".webp", ".ppm", ".pgm")
"""Suffixes of the files in a folder that are read as images."""

LABEL_SUFFIXES = (".png", ".tif", ".tiff")
"""Suffixes of the files in a folder that are read as labels: lossless formats only."""

SHOWN = 10
"""Most problems or names that a message lists; the rest are only counted."""


@dataclass(frozen=True)
class Pair:
    """An image and its ground truth.

    Parameters
    ----------
    name : str
        Unique within a dataset.
    image, truth : Path
        Files of the image and of its ground truth.
    key : int
        Index of the image in `truth`, if that is a COCO JSON.
    strip : (int, int)
        Index and number of the side-by-side strips of the image; (0, 1) is the whole image.
    """

    name: str
    image: Path
    truth: Path
    key: int = 0
    strip: tuple[int, int] = (0, 1)

    def cut(self, array: NDArray[Any]) -> NDArray[Any]:
        """Return this pair's strip of a (Y, X) or (Y, X, C) array; a view."""
        index, count = self.strip
        width = array.shape[1]
        return array[:, index * width // count : (index + 1) * width // count]


@dataclass(frozen=True, eq=False)
class Dataset:
    """Images, their ground truth, and the prompts of the classes.

    Parameters
    ----------
    title : str
    names : tuple of str
        Name of label i + 1 in the results.
    classes : tuple of ClassPrompt
        Prompt of label i + 1.
    pairs : tuple of Pair
    read_truth : callable
        Maps a pair to the (Y, X) uint16 labels of its whole image; ignored pixels are `IGNORED`.
    background : tuple of str, optional
        Background words used instead of the engine's, unless the user gave some.
    more_background : tuple of str
        Background words used in addition.
    record : mapping
        How the ground truth is read; JSON-safe.
    notes : tuple of str
        Messages for the user.
    """

    title: str
    names: tuple[str, ...]
    classes: tuple[ClassPrompt, ...]
    pairs: tuple[Pair, ...]
    read_truth: Callable[[Pair], NDArray[np.uint16]]
    background: tuple[str, ...] | None = None
    more_background: tuple[str, ...] = ()
    record: Mapping[str, Any] = field(default_factory=dict)
    notes: tuple[str, ...] = ()

    def configured(self, config: SegmentationConfig) -> SegmentationConfig:
        """Return the configuration with the background words of the dataset."""
        words = config.background
        if words is None:
            words = config.chosen_background if self.background is None else self.background
        return replace(config, background=tuple(dict.fromkeys((*words, *self.more_background))))

    def first(self, limit: int) -> Dataset:
        """Return the dataset with its first `limit` pairs only; all of them for 0.

        Raises
        ------
        InvalidInputError
            For a negative number.
        """
        if limit < 0:
            raise InvalidInputError(f"The limit is {limit}. Give a number of images, 0 for all.")
        if not limit or limit >= len(self.pairs):
            return self
        note = f"Only the first {limit} of {len(self.pairs)} images were used."
        return replace(self, pairs=self.pairs[:limit], notes=(*self.notes, note))

    def image(self, pair: Pair) -> NDArray[Any]:
        """Read a pair's image, (Y, X) or (Y, X, C).

        Raises
        ------
        FileError
            For a file that cannot be read.
        """
        return pair.cut(read_image_file(pair.image))

    def truth(self, pair: Pair) -> NDArray[np.uint16]:
        """Read a pair's labels, (Y, X) uint16: 0 to the number of classes, or `IGNORED`.

        Raises
        ------
        FileError
            For a file that cannot be read.
        InvalidInputError
            For a file that is not a label image, or that has labels without a class.
        """
        return pair.cut(self.read_truth(pair))

    def digest(self, pair: Pair, truth: NDArray[np.uint16]) -> str:
        """Return a SHA-256 of a pair's image file, strip and true labels, to detect changes.

        Raises
        ------
        FileError
            For a file that cannot be read.
        """
        try:
            content = b"".join(file.read_bytes() for file in files_of(pair.image))
        except OSError as error:
            raise cannot("read", pair.image, error) from error
        return digest_of(
            f"{pair.strip} {truth.shape}", content, np.ascontiguousarray(truth).tobytes()
        )

    def check(
        self, monitor: Monitor, check_image: Callable[[NDArray[Any]], object] = lambda image: None
    ) -> None:
        """Read every image and its ground truth and report all problems, before any model runs.

        Parameters
        ----------
        monitor : Monitor
        check_image : callable
            Called with each image; raises `InvalidInputError` for one that cannot be segmented.

        Raises
        ------
        InvalidInputError
            Listing the files that cannot be read, labels of another size than their image, and
            labels without a class.
        """
        if not self.pairs:
            raise InvalidInputError(f"{self.title} has no images. Check the folder.")
        problems = []
        for index, pair in enumerate(self.pairs):
            monitor.tell("Checking the ground truth", index, len(self.pairs))
            try:
                image, truth = self.image(pair), self.truth(pair)
            except (FileError, InvalidInputError) as error:
                problems.append(str(error))
                continue
            size = image.shape[:2]
            if truth.shape != size:
                problems.append(
                    f"{pair.image} is {size[1]} x {size[0]} pixels, its ground truth "
                    f"{truth.shape[1]} x {truth.shape[0]}. Give labels of the same size."
                )
            try:
                check_image(image)
            except InvalidInputError as error:
                problems.append(f"{pair.image}: {error}")
        raise_problems(problems)


def raise_problems(problems: Sequence[str]) -> None:
    """Raise one InvalidInputError that lists all problems, if there are any."""
    unique = list(dict.fromkeys(problems))
    if unique:
        more = [f"... and {len(unique) - SHOWN} more."] if len(unique) > SHOWN else []
        raise InvalidInputError("\n".join([*unique[:SHOWN], *more]))


# ---------------------------------------------------------------------- folders


def from_files(
    images: Path, labels: Path, classes: Path, *, ignore: Sequence[int] | None = None
) -> Dataset:
    """Match a folder of images with a folder of label images, or with a COCO JSON.

    Parameters
    ----------
    images : Path
        A folder; every image in it is used, except results of napari-cliper without labels.
    labels : Path
        A folder with a PNG, TIFF or OME-Zarr for each image, with the same name or one of
        `LABEL_ENDINGS`, such as the results of `segment`; or a ``.json`` file.
    classes : Path
        A class list (see `read_classes`); label 1 is its first class that is not background.
    ignore : sequence of int, optional
        Labels whose pixels are ignored. Default: 255, unless that is a class. With 0, the
        background is not scored.

    Raises
    ------
    FileError
        For a folder or file that is missing or cannot be read.
    InvalidInputError
        For images without labels, or with several candidates.
    """
    rows = read_classes(classes)
    check_repeated([row.as_prompt() for row in rows])
    prompts = tuple(row.as_prompt() for row in rows if not row.background)
    if not prompts:
        raise InvalidInputError(f"All classes in {classes} are background. Add another class.")
    if ignore is None:
        ignore = (255,) if len(prompts) < 255 else ()
    for number in ignore:
        if not 0 <= number <= IGNORED:
            raise InvalidInputError(
                f"The label to ignore is {number}. Give a label from 0 to {IGNORED}."
            )
    names = tuple(one.name for one in prompts)
    table = label_table(len(prompts), ignore=ignore)
    coco = labels.suffix.lower() == ".json"
    match = _coco_pairs if coco else _folder_pairs
    pairs, read, notes = match(images, labels, prompts, names, table)
    return Dataset(
        title=images.name,
        names=names,
        classes=prompts,
        pairs=pairs,
        read_truth=read,
        more_background=tuple(
            word for row in rows if row.background for word in row.as_prompt().words
        ),
        record={"ignored": sorted(set(ignore)), "numbers": "coco" if coco else "index"},
        notes=notes,
    )


_Matched = tuple[tuple[Pair, ...], Callable[[Pair], NDArray[np.uint16]], tuple[str, ...]]


def _folder_pairs(
    images: Path,
    labels: Path,
    _classes: Sequence[ClassPrompt],
    _names: Sequence[str],
    table: LabelTable,
) -> _Matched:
    image_files = _by_stem(images, IMAGE_SUFFIXES, "images")
    truths = _by_stem(labels, LABEL_SUFFIXES, "labels")
    own = {
        stem: [
            truths[name]
            for name in _names_of_labels(stem)
            if name in truths and (name == stem or name not in image_files)
        ]
        for stem in image_files
    }
    image_files = without_results(image_files, [stem for stem, paths in own.items() if paths])
    missing = [path.name for stem, path in image_files.items() if not own[stem]]
    if missing:
        raise InvalidInputError(
            f"Images in {images} without labels in {labels}: {some(missing)}. Add a PNG, TIFF or "
            "OME-Zarr of the same name for each, or remove these images."
        )
    belong = {path for paths in own.values() for path in paths}
    others = {stem + ending for stem in own for ending in ("_overlay", "_objects")}
    unused = [
        path.name for stem, path in truths.items() if path not in belong and stem not in others
    ]
    notes = (f"Labels without an image were skipped: {some(unused)}.",) if unused else ()
    pairs = tuple(Pair(stem, path, own[stem][0]) for stem, path in image_files.items())
    return pairs, lambda pair: apply_table(read_numbers(pair.truth), table, pair.truth), notes


def _names_of_labels(stem: str) -> list[str]:
    """The names, without suffix, that labels of an image may have, the preferred ones first."""
    plain = dict.fromkeys([stem, stem.removesuffix(".ome")])
    return [*dict.fromkeys(one + ending for ending in ("", *LABEL_ENDINGS) for one in plain)]


def _coco_pairs(
    images: Path,
    labels: Path,
    classes: Sequence[ClassPrompt],
    names: Sequence[str],
    table: LabelTable,
) -> _Matched:
    coco = open_coco(labels)
    found = _images_in(images, IMAGE_SUFFIXES, "images")
    image_files = {unicodedata.normalize("NFC", path.name): path for path in found}
    keys = coco_indices(coco, images, set(image_files))
    image_files = without_results(image_files, keys)
    missing = [name for name in image_files if name not in keys]
    if missing:
        raise InvalidInputError(
            f"Images in {images} that {labels} does not list: {some(missing)}. Remove these "
            "images, or add them to the file."
        )
    unused = len(keys) - len(image_files)
    notes = (f"{unused} entries of {labels.name} have no image file and were skipped.",)
    pairs = tuple(Pair(name, path, labels, keys[name]) for name, path in image_files.items())
    return pairs, coco_reader(coco, classes, names, table), notes if unused else ()


def coco_indices(coco: CocoFile, folder: Path, wanted: Collection[str]) -> dict[str, int]:
    """Map file names, without folders, to indices of a COCO file's images.

    If several images have the same name in different folders, the one whose folder has the name
    of `folder` is chosen.

    Raises
    ------
    InvalidInputError
        For a wanted name that matches several images.
    """
    indices: dict[str, list[int]] = {}
    paths = [PurePosixPath(unicodedata.normalize("NFC", name)) for name in coco.names]
    for index, path in enumerate(paths):
        indices.setdefault(path.name, []).append(index)
    problems = []
    for name, several in indices.items():
        if len(several) == 1:
            continue
        here = [index for index in several if paths[index].parent.name == folder.name]
        if len(here) == 1:
            indices[name] = here
        elif name in wanted:
            problems.append(
                f"{folder / name} may be {' or '.join(coco.names[one] for one in several)} of "
                f"{coco.path}. Rename the image folder to match one of them."
            )
    raise_problems(problems)
    return {name: several[0] for name, several in indices.items()}


def coco_reader(
    coco: CocoFile, classes: Sequence[ClassPrompt], names: Sequence[str], table: LabelTable
) -> Callable[[Pair], NDArray[np.uint16]]:
    """Return a function that reads the labels of a pair from a COCO JSON."""
    labels = category_labels(coco, classes, names)
    return lambda pair: apply_table(coco_numbers(coco, pair.key, labels), table, pair.truth)


def without_results(images: dict[str, Path], known: Collection[str]) -> dict[str, Path]:
    """Leave out images that have no labels and are results of napari-cliper, such as overlays.

    Parameters
    ----------
    images : dict of str to Path
        By name.
    known : collection of str
        Names that have labels.
    """
    own = OwnFiles()
    return {name: path for name, path in images.items() if name in known or not own.wrote(path)}


def _images_in(folder: Path, suffixes: Sequence[str], what: str) -> list[Path]:
    """List the files of a folder with one of the suffixes, sorted by name, without hidden files."""
    if not folder.is_dir():
        raise FileError(f"There is no folder {folder}. Give the folder of the {what}.")
    try:
        inside = sorted(folder.iterdir())
    except OSError as error:
        raise cannot("read", folder, error) from error
    found = [
        path
        for path in inside
        if not path.name.startswith(".") and (path.suffix.lower() in suffixes or is_zarr(path))
    ]
    if not found:
        raise InvalidInputError(
            f"The folder {folder} has no {what} ({', '.join(suffixes)}). Give another folder."
        )
    return found


def _by_stem(folder: Path, suffixes: Sequence[str], what: str) -> dict[str, Path]:
    found: dict[str, Path] = {}
    for path in _images_in(folder, suffixes, what):
        stem = unicodedata.normalize("NFC", path.stem)
        stem = stem.removesuffix(".ome") if path.suffix == ".zarr" else stem
        if stem in found:
            raise InvalidInputError(
                f"{found[stem].name} and {path.name} in {folder} differ only in the suffix, "
                f"so the choice of {what} is ambiguous. Keep only one of them there."
            )
        found[stem] = path
    return found


def some(names: Sequence[str]) -> str:
    """Join names for a message; beyond `SHOWN`, only the number of further names is given."""
    more = f" and {len(names) - SHOWN} more" if len(names) > SHOWN else ""
    return ", ".join(names[:SHOWN]) + more
