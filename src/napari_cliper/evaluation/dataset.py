"""Images with their ground truth: two folders, or a folder and a COCO JSON."""

from __future__ import annotations

import unicodedata
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..io.class_list import read_classes
from ..io.files import FileError, cannot
from ..io.images import read_image_file
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

PICTURES = (".png", ".jpg", ".jpeg", ".tif", ".tiff", ".bmp", ".gif", ".webp", ".ppm", ".pgm")
"""Files of a folder that are taken for images."""

LABEL_IMAGES = (".png", ".tif", ".tiff")
"""Files of a folder that are taken for labels: formats that keep numbers as they are."""

SHOWN = 10
"""Problems that an error lists before it counts the rest."""


@dataclass(frozen=True)
class Pair:
    """An image and where its ground truth is.

    Parameters
    ----------
    name : str
        No two pairs of a dataset have the same.
    image, truth : Path
    key : int
        Which of its images, where `truth` is a COCO JSON.
    strip : (int, int)
        Which of how many strips, side by side, of the image.
    """

    name: str
    image: Path
    truth: Path
    key: int = 0
    strip: tuple[int, int] = (0, 1)

    def cut(self, array: NDArray[Any]) -> NDArray[Any]:
        """The strip of a (Y, X) or (Y, X, C) array."""
        index, count = self.strip
        width = array.shape[1]
        return array[:, index * width // count : (index + 1) * width // count]


@dataclass(frozen=True, eq=False)
class Dataset:
    """Images, their ground truth, and what to ask for.

    Parameters
    ----------
    title : str
    names : tuple of str
        What label i + 1 is called in the results.
    classes : tuple of ClassPrompt
        How it is asked for.
    pairs : tuple of Pair
    read_truth : callable
        From a pair to the labels (Y, X) of its whole image, `IGNORED` among them.
    background : tuple of str, optional
        Background words in place of the engine's, unless a person gave others.
    more_background : tuple of str
        Background words beside those.
    record : mapping
        How the ground truth is read; JSON-safe.
    notes : tuple of str
        What a person should know.
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
        """The engine's configuration with the background words of the dataset."""
        words = config.background
        if words is None:
            words = config.chosen_background if self.background is None else self.background
        return replace(config, background=tuple(dict.fromkeys((*words, *self.more_background))))

    def first(self, limit: int) -> Dataset:
        """Only the first so many pairs; all of them for 0.

        Raises
        ------
        InvalidInputError
            For a negative number.
        """
        if limit < 0:
            raise InvalidInputError(f"The limit is {limit}. Give a number of images, 0 for all.")
        if not limit or limit >= len(self.pairs):
            return self
        note = f"Only the first {limit} of {len(self.pairs)} images were taken."
        return replace(self, pairs=self.pairs[:limit], notes=(*self.notes, note))

    def image(self, pair: Pair) -> NDArray[Any]:
        """A pair's image.

        Raises
        ------
        FileError
        """
        return pair.cut(read_image_file(pair.image))

    def truth(self, pair: Pair) -> NDArray[np.uint16]:
        """A pair's labels, (Y, X): 0 to the number of classes, or `IGNORED`.

        Raises
        ------
        FileError, InvalidInputError
        """
        return pair.cut(self.read_truth(pair))

    def check(
        self, monitor: Monitor, look: Callable[[NDArray[Any]], object] = lambda image: None
    ) -> None:
        """Look at every image and its ground truth, before any network runs.

        Parameters
        ----------
        monitor : Monitor
        look : callable
            Called with each image; raises `InvalidInputError` where it will not do.

        Raises
        ------
        InvalidInputError
            Listing what is missing, of another size, or has labels without a class.
        """
        if not self.pairs:
            raise InvalidInputError(f"{self.title}: there is no image to measure with.")
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
                    f"{truth.shape[1]} x {truth.shape[0]}. Give labels of the image's size."
                )
            try:
                look(image)
            except InvalidInputError as error:
                problems.append(f"{pair.image}: {error}")
        refuse(problems)


def refuse(problems: Sequence[str]) -> None:
    """Raise one error for all problems, if there are any."""
    unique = list(dict.fromkeys(problems))
    if unique:
        more = [f"... and {len(unique) - SHOWN} more."] if len(unique) > SHOWN else []
        raise InvalidInputError("\n".join([*unique[:SHOWN], *more]))


# ---------------------------------------------------------------------- folders


def from_files(
    images: Path, labels: Path, classes: Path, *, ignore: Sequence[int] | None = None
) -> Dataset:
    """A folder of images with a folder of label images, or with a COCO JSON.

    Parameters
    ----------
    images : Path
        A folder; every image in it takes part.
    labels : Path
        A folder with a PNG or TIFF of the same name for each, or a ``.json``.
    classes : Path
        A list of classes (`read_classes`); label 1 is the first that is no background.
    ignore : sequence of int, optional
        Labels whose pixels count nowhere; default: 255, where that is no class. 0 leaves the
        background out.

    Raises
    ------
    FileError, InvalidInputError
        For files that are missing, and images that cannot be matched.
    """
    rows = read_classes(classes)
    check_repeated([row.as_prompt() for row in rows])
    prompts = tuple(row.as_prompt() for row in rows if not row.background)
    if not prompts:
        raise InvalidInputError(f"{classes} has no class that is not background. Add one.")
    if ignore is None:
        ignore = (255,) if len(prompts) < 255 else ()
    for number in ignore:
        if not 0 <= number <= IGNORED:
            raise InvalidInputError(f"Labels to ignore are 0 to {IGNORED}; {number} is not.")
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
    pictures = _by_stem(images, PICTURES, "pictures")
    truths = _by_stem(labels, LABEL_IMAGES, "labels")
    missing = [path.name for stem, path in pictures.items() if stem not in truths]
    if missing:
        raise InvalidInputError(
            f"{some(missing)} of {images} have no labels in {labels}. Put a PNG or TIFF of the "
            "same name there, or take the images out."
        )
    spare = [path.name for stem, path in truths.items() if stem not in pictures]
    notes = (f"Labels without an image were left out: {some(spare)}.",) if spare else ()
    pairs = tuple(Pair(stem, path, truths[stem]) for stem, path in pictures.items())
    return pairs, lambda pair: apply_table(read_numbers(pair.truth), table, pair.truth), notes


def _coco_pairs(
    images: Path,
    labels: Path,
    classes: Sequence[ClassPrompt],
    names: Sequence[str],
    table: LabelTable,
) -> _Matched:
    coco = open_coco(labels)
    found = _images_in(images, PICTURES, "pictures")
    pictures = {unicodedata.normalize("NFC", path.name): path for path in found}
    keys = places_of(coco, images, set(pictures))
    missing = [name for name in pictures if name not in keys]
    if missing:
        raise InvalidInputError(
            f"{some(missing)} of {images} are not among the images of {labels}. Take them out, "
            "or add them to the file."
        )
    spare = len(keys) - len(pictures)
    notes = (f"{spare} images of {labels.name} have no image and were left out.",)
    pairs = tuple(Pair(name, path, labels, keys[name]) for name, path in pictures.items())
    return pairs, coco_reader(coco, classes, names, table), notes if spare else ()


def places_of(coco: CocoFile, folder: Path, wanted: Collection[str]) -> dict[str, int]:
    """Which of the images is called what, without their folders.

    Of several of one name in different folders it is the one in the folder of the images.

    Raises
    ------
    InvalidInputError
        For an image that is wanted and may be either of several images.
    """
    places: dict[str, list[int]] = {}
    paths = [PurePosixPath(unicodedata.normalize("NFC", name)) for name in coco.names]
    for index, path in enumerate(paths):
        places.setdefault(path.name, []).append(index)
    problems = []
    for name, several in places.items():
        if len(several) == 1:
            continue
        here = [index for index in several if paths[index].parent.name == folder.name]
        if len(here) == 1:
            places[name] = here
        elif name in wanted:
            problems.append(
                f"{folder / name} may be {' or '.join(coco.names[one] for one in several)} of "
                f"{coco.path}. Give the folder a name that tells them apart."
            )
    refuse(problems)
    return {name: several[0] for name, several in places.items()}


def coco_reader(
    coco: CocoFile, classes: Sequence[ClassPrompt], names: Sequence[str], table: LabelTable
) -> Callable[[Pair], NDArray[np.uint16]]:
    """Return a function that reads the labels of a pair from a COCO JSON."""
    labels = category_labels(coco, classes, names)
    return lambda pair: apply_table(coco_numbers(coco, pair.key, labels), table, pair.truth)


def _images_in(folder: Path, suffixes: Sequence[str], what: str) -> list[Path]:
    """The files of a folder with one of the suffixes, by name; hidden ones left out."""
    if not folder.is_dir():
        raise FileError(f"There is no folder {folder}. Give the folder of the {what}.")
    try:
        inside = sorted(folder.iterdir())
    except OSError as error:
        raise cannot("read", folder, error) from error
    found = [
        path for path in inside if path.suffix.lower() in suffixes and not path.name.startswith(".")
    ]
    if not found:
        raise InvalidInputError(f"{folder} has no {what} ({', '.join(suffixes)}).")
    return found


def _by_stem(folder: Path, suffixes: Sequence[str], what: str) -> dict[str, Path]:
    found: dict[str, Path] = {}
    for path in _images_in(folder, suffixes, what):
        stem = unicodedata.normalize("NFC", path.stem)
        if stem in found:
            raise InvalidInputError(
                f"{found[stem].name} and {path.name} in {folder} differ only in the suffix, "
                f"so it is not clear which {what} are meant. Keep one of them there."
            )
        found[stem] = path
    return found


def some(names: Sequence[str]) -> str:
    """A list of names in a sentence; of many the first, and how many more."""
    more = f" and {len(names) - SHOWN} more" if len(names) > SHOWN else ""
    return ", ".join(names[:SHOWN]) + more
