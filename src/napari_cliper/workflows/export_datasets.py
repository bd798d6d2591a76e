"""Collect projects and label files for `napari-cliper export`, with consistent class numbers.

Training programs identify a class by its number, so a class has the same number in every image
of an export: its label in the first image that has it, or its position in a given class list.
"""

from __future__ import annotations

import os
import unicodedata
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from itertools import chain
from pathlib import Path, PurePosixPath
from types import MappingProxyType
from typing import Any

import numpy as np

from ..annotation.export import readers_of
from ..annotation.project.project import Project, is_project
from ..io.class_list import read_classes
from ..io.filenames import LABEL_ENDINGS
from ..io.files import FileError
from ..io.image_decoding import image_suffixes
from ..io.images import open_image_with_axes, pixel_sizes_of, read_image_file
from ..io.lazy_images import Images, LazyImages, Reader, Summary, read_in_turn, summary_of
from ..io.ome_zarr_images import is_zarr
from ..io.readers.coco import CocoFile, open_coco
from ..io.readers.label_files import SUFFIXES, read_labels
from ..io.readers.object_files import is_objects, read_objects
from ..labels.imported_labels import HIGHEST, Imported, as_labels
from ..labels.label_class import ClassRow, check_rows
from ..labels.labelled_image import PIXEL, LabelArray, LabelledImage
from ..labels.pieces import Pieces
from ..objects.labelled import with_objects
from ..objects.object_set import objects_of
from ..segmentation import InvalidInputError
from .image_sources import is_pattern, of_pattern


@dataclass(frozen=True, eq=False)
class Gathered:
    """The images to export.

    Parameters
    ----------
    images : LazyImages
        A class has the same number in all of them.
    notes : tuple of str
        Messages for the user.
    inputs : tuple of Path
        The files that the images are read from.
    """

    images: LazyImages
    notes: tuple[str, ...]
    inputs: tuple[Path, ...] = ()


def gather(
    sources: Sequence[Path], classes: Path | None = None, images_folder: Path | None = None
) -> Gathered:
    """Open all sources and give their classes consistent numbers.

    Parameters
    ----------
    sources : sequence of Path
        Each is taken once: annotation projects (folder or project file), of which all images with
        an annotation are exported; label files (`label_files.SUFFIXES`) and OME-Zarr folders with
        labels; patterns of these with ``*``, ``?`` or ``**``. Of a COCO JSON, all images are
        exported. Open pixels of a project are ignored pixels of the export. A label image with a
        table of objects beside it is exported with these objects.
    classes : Path, optional
        A class list. Its first class that is not background has the number 1, and so on. It
        names the labels of files without class names; classes that occur nowhere are exported
        too.
    images_folder : Path, optional
        A folder with an image for each label file, with the same name, apart from
        `LABEL_ENDINGS`.

    Raises
    ------
    InvalidInputError
        Listing every source that cannot be exported, and why.
    FileError
        For a class list or folder that cannot be read.
    """
    sources = _expanded(sources)
    given = _given(classes)
    found = _image_files(images_folder)
    images: list[LazyImages] = []
    summaries: list[Summary] = []
    notes: dict[str, None] = {}
    problems: list[str] = []
    for source in sources:
        try:
            images.append(read_in_turn(list(_readers(source, given, found, notes))))
            summaries += map(summary_of, images[-1])
        except (InvalidInputError, FileError) as error:
            problems.append(str(error))
    if problems:
        raise InvalidInputError("\n".join(problems))
    inputs = [path for source in sources for path in _files(source)]
    inputs += [path for paths in (found or {}).values() for path in paths]
    inputs += [] if classes is None else [classes]
    every = LazyImages(lambda: chain.from_iterable(images))
    numbered, moved = one_numbering(every, summaries, given)
    return Gathered(numbered, (*notes, *moved), tuple(inputs))


def _expanded(sources: Sequence[Path]) -> list[Path]:
    """Replace patterns by their files; without duplicates."""
    found: dict[str, Path] = {}
    for source in sources:
        for path in [one.path for one in of_pattern(source)] if is_pattern(source) else [source]:
            found.setdefault(os.path.realpath(path), path)
    return list(found.values())


def _given(path: Path | None) -> Mapping[int, ClassRow]:
    if path is None:
        return MappingProxyType({})
    rows = read_classes(path)
    check_rows(rows)
    given = dict(enumerate((row for row in rows if not row.background), 1))
    if not given:
        raise InvalidInputError(f"All classes in {path} are background. Add another class.")
    return MappingProxyType(given)


# ---------------------------------------------------------------------- images


def _image_files(folder: Path | None) -> Mapping[str, list[Path]] | None:
    """List the images of a folder, OME-Zarr too, by name without suffix."""
    if folder is None:
        return None
    if not folder.is_dir():
        raise FileError(f"There is no folder {folder}. Give the folder of the images.")
    known = image_suffixes()
    found: dict[str, list[Path]] = {}
    for path in sorted(folder.iterdir()):
        if (path.suffix.lower() in known and path.is_file()) or is_zarr(path):
            stem = unicodedata.normalize("NFC", path.stem).removesuffix(".ome")
            found.setdefault(stem, []).append(path)
    return MappingProxyType(found)


def _image_file(
    name: str, source: Path, image_files: Mapping[str, list[Path]] | None, file_name: str = ""
) -> Path | None:
    """Find the image of a label file; None if no image folder was given.

    Parameters
    ----------
    name : str
        Name of the labels, without a suffix.
    source : Path
        The label file.
    image_files : mapping, optional
        See `_image_files`.
    file_name : str
        File name of the image, if the labels store it.
    """
    if image_files is None:
        return None
    name, file_name = (unicodedata.normalize("NFC", one) for one in (name, file_name))
    # "field.ome_refined" belongs to "field.ome.tif", whose name without suffixes is "field".
    stems = (name, *(name.removesuffix(ending) for ending in (*LABEL_ENDINGS, "_objects")))
    for stem in dict.fromkeys([*stems, *(one.removesuffix(".ome") for one in stems)]):
        matches = [path for path in image_files.get(stem, ()) if path.resolve() != source.resolve()]
        exact = [one for one in matches if unicodedata.normalize("NFC", one.name) == file_name]
        matches = exact or matches
        if len(matches) > 1:
            raise InvalidInputError(
                f"{matches[0]} and {matches[1].name} may both be the image of {source}. Keep only "
                "one of them in the folder."
            )
        if matches:
            return matches[0]
    raise InvalidInputError(
        f"{source}: the folder of --images has no image named {name}. Add it, or leave out "
        "--images."
    )


# ---------------------------------------------------------------------- sources


def _readers(
    source: Path,
    given: Mapping[int, ClassRow],
    image_files: Mapping[str, list[Path]] | None,
    notes: dict[str, None],
) -> Iterator[Reader]:
    """Yield a reader for each image of a source; messages for the user are added to `notes`."""
    if is_project(source):
        project = Project.open(source)
        readers = readers_of(project)
        if not readers:
            raise InvalidInputError(
                f"No image of the project {source} has an annotation yet. Open it in napari, and "
                "accept or paint labels."
            )
        left, total = len(project.images) - len(readers), len(project.images)
        if left:
            have = "has" if left == 1 else "have"
            notes[f"{left} of {total} images of {source} {have} no annotation."] = None
        yield from readers
    elif is_zarr(source):
        yield partial(_read_file, source, given, image_files)
    elif source.is_dir():
        raise InvalidInputError(
            f"The folder {source} is not an annotation project. Give the label files in it."
        )
    elif source.suffix.lower() == ".json":
        coco = open_coco(source)
        for name in coco.names:
            yield partial(_read_from_coco, coco, name, source, given, image_files, notes)
    elif is_objects(source):
        yield partial(_read_objects, source, image_files)
    elif source.suffix.lower() in SUFFIXES:
        yield partial(_read_file, source, given, image_files)
    else:
        raise InvalidInputError(
            f"{source} is neither an annotation project nor a label file. Give a project, an "
            f"OME-Zarr folder, a COCO JSON or one of {', '.join(SUFFIXES)}."
        )


def _read_from_coco(
    coco: CocoFile,
    name: str,
    source: Path,
    given: Mapping[int, ClassRow],
    image_files: Mapping[str, list[Path]] | None,
    notes: dict[str, None],
) -> LabelledImage:
    stem = PurePosixPath(name.replace("\\", "/")).stem
    image_path = _image_file(stem, source, image_files, PurePosixPath(name).name)
    imported = coco.read(name)
    for category, label in imported.renumbered.items():
        row = imported.classes.get(label)
        called = "" if row is None else f" ({row.name!r})"
        notes[f"Category {category}{called} of {source} has the label {label} here."] = None
    return _labelled(stem, imported, given, image_path, name)


def _read_file(
    source: Path, given: Mapping[int, ClassRow], image_files: Mapping[str, list[Path]] | None
) -> LabelledImage:
    stem = source.stem.removesuffix(".ome")
    image_path = _image_file(stem, source, image_files)
    return _labelled(stem, read_labels(source), given, image_path, "")


def _read_objects(source: Path, image_files: Mapping[str, list[Path]] | None) -> LabelledImage:
    """Read numbered objects and the table of their classes."""
    stem = source.stem.removesuffix(".ome")
    image_path = _image_file(stem, source, image_files)
    found = read_objects(source)
    labels = dict(found.labels)
    for name in found.classes.values():
        labels.setdefault(name, max(labels.values(), default=0) + 1)
    known = pixel_sizes_of(source)
    pairs = [known.get(letter, (1.0, PIXEL)) for letter in found.axes]
    image = LabelledImage(
        stem,
        np.zeros(found.numbers.shape, np.uint8),
        {label: ClassRow(name) for name, label in labels.items()},
        image=None if image_path is None else read_image_file(image_path),
        image_file="" if image_path is None or found.numbers.ndim > 2 else image_path.name,
        pixel_size=tuple(size for size, _ in pairs),
        units=tuple(unit for _, unit in pairs),
        axes=found.axes,
    )
    return with_objects(image, objects_of(found.numbers), found.label_array(labels))


def _files(source: Path) -> list[Path]:
    """List the files that an export of a source reads: its images for a project, or itself."""
    return (
        [path for one in Project.open(source).images for path in one.files]
        if is_project(source)
        else [source]
    )


def _labelled(
    name: str,
    imported: Imported,
    given: Mapping[int, ClassRow],
    image_path: Path | None,
    image_file: str,
) -> LabelledImage:
    """Combine labels with their image; labels without a name take it from the class list."""
    classes = dict(imported.classes)
    for label in imported.present():
        if label in classes:
            continue
        if label in given:
            classes[label] = given[label]
        elif given:
            raise InvalidInputError(
                f"{imported.source} has the label {label}, but the class list has only "
                f"{len(given)} classes. Add the missing ones."
            )
    for label, row in classes.items():
        if row.colour is None and label in imported.colours:
            classes[label] = replace(row, colour=imported.colours[label])
    flat = imported.labels.ndim == 2
    return LabelledImage(
        name,
        imported.labels,
        classes,
        image=None if image_path is None else _pixels(image_path, imported.labels),
        image_file=(image_file or ("" if image_path is None else image_path.name)) if flat else "",
        pixel_size=imported.pixel_size,
        units=imported.units,
        axes=imported.axes,
        position=imported.position,
        ignored=imported.ignored,
    )


def _pixels(path: Path, labels: LabelArray | Pieces) -> Any:
    """The pixels of an image; if its labels are read piece by piece, they are too."""
    if not isinstance(labels, Pieces):
        return read_image_file(path)
    opened, _ = open_image_with_axes(path)
    return Pieces(lambda *place: np.asarray(opened[place]), tuple(opened.shape), opened.dtype)


# ---------------------------------------------------------------------- one numbering


def one_numbering(
    images: Images, summaries: Sequence[Summary], given: Mapping[int, ClassRow]
) -> tuple[LazyImages, list[str]]:
    """Give every class the same number in all images.

    Parameters
    ----------
    images : sequence of LabelledImage or LazyImages
    summaries : sequence of Summary
        One for each image.
    given : mapping of int to ClassRow
        Classes with fixed numbers; every image gets them. Their colours and synonyms take
        precedence over those of an image.

    Returns
    -------
    (LazyImages, list of str)
        The images and notes. A class without a number keeps its label if that is free, else it
        takes the next one. A note names each class whose number differs from its image's label.

    Raises
    ------
    InvalidInputError
        For two classes of the same name in an image, and for a label without a class whose
        number another image uses for a class.
    """
    moves, notes = _moves(summaries, given)
    numbers = {
        row.name.casefold(): move[label]
        for image, move in zip(summaries, moves, strict=True)
        for label, row in image.classes.items()
    }
    return LazyImages(lambda: map(partial(_moved, given, numbers), images, moves)), notes


def _moves(
    images: Sequence[Summary], given: Mapping[int, ClassRow]
) -> tuple[list[dict[int, int]], list[str]]:
    """Return, for each image, the number of each label in the export; and the notes."""
    rows = dict(given)
    numbers = {row.name.casefold(): number for number, row in given.items()}
    moves: list[dict[int, int]] = []
    notes: dict[str, None] = {}
    for image in images:
        move: dict[int, int] = {}
        taken: set[int] = set()
        for label, row in image.classes.items():
            key = row.name.casefold()
            if key not in numbers:
                numbers[key] = label if label not in rows else max(rows) + 1
                rows[numbers[key]] = row
            number = numbers[key]
            if number in taken:
                raise InvalidInputError(
                    f"{image.name} has two classes named {row.name!r}. Rename or merge them."
                )
            if number > HIGHEST:
                raise InvalidInputError(
                    f"{row.name!r} of {image.name} would get the number {number}, but the highest "
                    f"label is {HIGHEST}. Give the classes lower numbers with --classes."
                )
            taken.add(number)
            move[label] = number
            if number != label:
                notes[f"{row.name!r} is {label} in {image.name} and {number} in the export."] = None
        moves.append(move)
    for image, move in zip(images, moves, strict=True):
        for label in image.used:
            if label not in move and label in rows:
                raise InvalidInputError(
                    f"{image.name} has no name for label {label}, which is {rows[label].name!r} in "
                    "another image. Name the classes with --classes."
                )
    return moves, list(notes)


def _moved(
    given: Mapping[int, ClassRow],
    numbers: dict[str, int],
    image: LabelledImage,
    move: Mapping[int, int],
) -> LabelledImage:
    classes = dict(given)
    for label, row in image.classes.items():
        settled = given.get(move[label], row)
        classes[move[label]] = replace(
            settled,
            synonyms=settled.synonyms or row.synonyms,
            colour=settled.colour or row.colour or image.colours[label],
        )
    table = np.arange(HIGHEST + 1, dtype=np.uint16)
    for label, number in move.items():
        table[label] = number
    labels: Any = image.labels
    if isinstance(labels, Pieces):
        wide = np.uint8 if max(move.values(), default=0) < 256 else np.uint16
        labels = labels.mapped(lambda piece: table[piece], wide)
    else:
        labels = as_labels(table[labels], image.name)
    separate = image.separate
    if separate is not None:
        separate = partial(_moved_objects, given, numbers, separate, move)
    return replace(image, labels=labels, classes=classes, separate=separate)


def _moved_objects(
    given: Mapping[int, ClassRow],
    numbers: dict[str, int],
    separate: Callable[[], LabelledImage],
    move: Mapping[int, int],
) -> LabelledImage:
    """The same with objects; classes that only they have are added to `numbers`."""
    found, full = separate(), dict(move)
    for label, row in found.classes.items():
        if label not in full:
            free = max(numbers.values(), default=0) + 1
            full[label] = numbers.setdefault(row.name.casefold(), free)
    return _moved(given, numbers, found, full)
