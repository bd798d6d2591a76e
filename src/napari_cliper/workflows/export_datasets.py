"""What `napari-cliper export` exports: projects and label files, with one numbering of classes.

Training programs know a class by its number. So a class has the same number in every image of an
export: the one it had first, or its place in a list of classes that is given.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from itertools import chain
from pathlib import Path, PurePosixPath
from types import MappingProxyType

import numpy as np
from PIL import Image

from ..annotation.export import readers_of
from ..annotation.project.project import Project, is_project
from ..io.class_list import read_classes
from ..io.files import FileError
from ..io.images import read_image_file
from ..io.lazy_images import Images, LazyImages, Reader, Summary, read_in_turn, summary_of
from ..io.readers.coco import CocoFile
from ..io.readers.label_files import SUFFIXES, open_coco, read_labels
from ..labels.imported_labels import HIGHEST, Imported, as_labels
from ..labels.label_class import ClassRow, check_rows
from ..labels.labelled_image import LabelledImage
from ..segmentation import InvalidInputError

ENDINGS = (".ome", "_refined", "_coarse", "_labels")
"""What label files are called beyond the image's name: by OME-TIFF, and by our own exports."""


@dataclass(frozen=True, eq=False)
class Gathered:
    """What is exported.

    Parameters
    ----------
    images : LazyImages
        A class has the same number in all of them.
    notes : tuple of str
        What a person should know of it.
    inputs : tuple of Path
        The files that the images come from.
    """

    images: LazyImages
    notes: tuple[str, ...]
    inputs: tuple[Path, ...] = ()


def gather(
    sources: Sequence[Path], classes: Path | None = None, pictures: Path | None = None
) -> Gathered:
    """Read all sources, and number their classes alike.

    Parameters
    ----------
    sources : sequence of Path
        Each an annotation project (its folder or its file), of which every image that has an
        annotation is taken, or a file of labels (`importing.SUFFIXES`), of a COCO JSON every
        image. Pixels on which nobody has decided are ignored.
    classes : Path, optional
        A list of classes. The first that is no background has the number 1 and names label 1
        of files that name no classes, and so on; classes that occur nowhere take part too.
    images : Path, optional
        A folder with an image for each label file, of the same name or of the name without
        one of `ENDINGS`.

    Raises
    ------
    InvalidInputError
        Naming every source that cannot be exported, and why.
    FileError
        For a list of classes or a folder that cannot be read.
    """
    given = _given(classes)
    found = _pictures(pictures)
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


def _given(path: Path | None) -> Mapping[int, ClassRow]:
    if path is None:
        return MappingProxyType({})
    rows = read_classes(path)
    check_rows(rows)
    given = dict(enumerate((row for row in rows if not row.background), 1))
    if not given:
        raise InvalidInputError(f"{path} has no class that is not background. Add one.")
    return MappingProxyType(given)


# ---------------------------------------------------------------------- images


def _pictures(folder: Path | None) -> Mapping[str, list[Path]] | None:
    """The images of a folder by the name without the suffix."""
    if folder is None:
        return None
    if not folder.is_dir():
        raise FileError(f"{folder} is no folder. --images names the folder of the images.")
    known = Image.registered_extensions()
    found: dict[str, list[Path]] = {}
    for path in sorted(folder.iterdir()):
        if path.suffix.lower() in known and path.is_file():
            stem = unicodedata.normalize("NFC", path.stem).removesuffix(".ome")
            found.setdefault(stem, []).append(path)
    return MappingProxyType(found)


def _picture(
    name: str, source: Path, pictures: Mapping[str, list[Path]] | None, file_name: str = ""
) -> Path | None:
    """The image of some labels; None where no folder is named.

    Parameters
    ----------
    name : str
        What the labels are called, without a suffix.
    file_name : str
        The name of the image's file, where the labels tell it.
    """
    if pictures is None:
        return None
    name, file_name = (unicodedata.normalize("NFC", one) for one in (name, file_name))
    # "field.ome_refined" belongs to "field.ome.tif", whose name without suffixes is "field".
    stems = (name, *(name.removesuffix(ending) for ending in ENDINGS))
    for stem in dict.fromkeys([*stems, *(one.removesuffix(".ome") for one in stems)]):
        fitting = [path for path in pictures.get(stem, ()) if path.resolve() != source.resolve()]
        exact = [one for one in fitting if unicodedata.normalize("NFC", one.name) == file_name]
        fitting = exact or fitting
        if len(fitting) > 1:
            raise InvalidInputError(
                f"{fitting[0]} and {fitting[1].name} may both be the image of {source}. Leave "
                "one of them in the folder."
            )
        if fitting:
            return fitting[0]
    raise InvalidInputError(
        f"{source}: --images has no image called {name}. Put it there, or leave --images out."
    )


# ---------------------------------------------------------------------- sources


def _readers(
    source: Path,
    given: Mapping[int, ClassRow],
    pictures: Mapping[str, list[Path]] | None,
    notes: dict[str, None],
) -> Iterator[Reader]:
    """What reads each image of a source; what a person should know of it goes into `notes`."""
    if is_project(source):
        project = Project.open(source)
        readers = readers_of(project)
        if not readers:
            raise InvalidInputError(f"No image of the project {source} has an annotation yet.")
        yield from readers
    elif source.is_dir():
        raise InvalidInputError(
            f"{source} is a folder and no annotation project. Name the label files in it."
        )
    elif source.suffix.lower() == ".json":
        coco = open_coco(source)
        for name in coco.names:
            yield partial(_of_coco, coco, name, source, given, pictures, notes)
    elif source.suffix.lower() in SUFFIXES:
        yield partial(_of_file, source, given, pictures)
    else:
        raise InvalidInputError(
            f"{source} is no annotation project and no label file ({', '.join(SUFFIXES)})."
        )


def _of_coco(
    coco: CocoFile,
    name: str,
    source: Path,
    given: Mapping[int, ClassRow],
    pictures: Mapping[str, list[Path]] | None,
    notes: dict[str, None],
) -> LabelledImage:
    stem = PurePosixPath(name.replace("\\", "/")).stem
    picture = _picture(stem, source, pictures, PurePosixPath(name).name)
    imported = coco.read(name)
    for category, label in imported.renumbered.items():
        row = imported.classes.get(label)
        called = "" if row is None else f" ({row.name!r})"
        notes[f"Category {category}{called} of {source} has the label {label} here."] = None
    return _labelled(stem, imported, given, picture, name)


def _of_file(
    source: Path, given: Mapping[int, ClassRow], pictures: Mapping[str, list[Path]] | None
) -> LabelledImage:
    stem = source.stem.removesuffix(".ome")
    picture = _picture(stem, source, pictures)
    return _labelled(stem, read_labels(source), given, picture, "")


def _files(source: Path) -> list[Path]:
    """The file of a source; of a project its images."""
    return [one.path for one in Project.open(source).images] if is_project(source) else [source]


def _labelled(
    name: str,
    imported: Imported,
    given: Mapping[int, ClassRow],
    picture: Path | None,
    image_file: str,
) -> LabelledImage:
    """The labels of a file; those it does not name are named by the list."""
    classes = dict(imported.classes)
    for label in imported.present():
        if label in classes:
            continue
        if label in given:
            classes[label] = given[label]
        elif given:
            raise InvalidInputError(
                f"{imported.source} has the label {label}, and the list of classes has "
                f"{len(given)}. Add the ones that are missing."
            )
    for label, row in classes.items():
        if row.colour is None and label in imported.colours:
            classes[label] = replace(row, colour=imported.colours[label])
    flat = imported.labels.ndim == 2
    return LabelledImage(
        name,
        imported.labels,
        classes,
        image=None if picture is None else read_image_file(picture),
        image_file=(image_file or ("" if picture is None else picture.name)) if flat else "",
        pixel_size=imported.pixel_size,
        units=imported.units,
        axes=imported.axes,
        position=imported.position,
        ignored=imported.ignored,
    )


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
        Classes whose number is settled; every image gets them. A colour and synonyms that stand
        here go before those of an image.

    Returns
    -------
    (LazyImages, list of str)
        The images and notes. A class without a number keeps its label if that is free, else it
        takes the next one. A note names each class whose number differs from its image's label.

    Raises
    ------
    InvalidInputError
        For two classes of one name in an image, and a label without a class whose number is
        another image's class.
    """
    moves, notes = _moves(summaries, given)
    return LazyImages(lambda: map(partial(_moved, given), images, moves)), notes


def _moves(
    images: Sequence[Summary], given: Mapping[int, ClassRow]
) -> tuple[list[dict[int, int]], list[str]]:
    """The number of each label of each image in the export, and notes; see `one_numbering`."""
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
                    f"{image.name} has two classes called {row.name!r}. Rename or join them."
                )
            if number > HIGHEST:
                raise InvalidInputError(
                    f"{row.name!r} of {image.name} would be number {number}, and labels end at "
                    f"{HIGHEST}. Give the classes lower numbers with --classes."
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
                    f"{image.name} does not say what its label {label} is; elsewhere {label} is "
                    f"{rows[label].name!r}. Name the classes with --classes."
                )
    return moves, list(notes)


def _moved(
    given: Mapping[int, ClassRow], image: LabelledImage, move: Mapping[int, int]
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
    return replace(image, labels=as_labels(table[image.labels], image.name), classes=classes)
