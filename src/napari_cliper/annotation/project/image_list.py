"""``project.cliper.json``: which images a project has, and where they are.

An image's place is kept twice: as the way from the project's folder, which holds when both are
moved together, and as a whole path, which holds when the project is moved alone. How far
an image is stands in its own sheet (`stored`), so that saving one image changes one file.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from ...io.filenames import folded
from ...io.files import FileError
from ...io.record_checks import Sides, check_keys, checked, from_record
from ...segmentation import InvalidInputError
from .annotation_store import ChangedOnDiskError
from .image_files import ImageNames, as_file, found_below, is_there, relative, settled

FILE = "project.cliper.json"
FORMAT = "napari-cliper project"
VERSION = 1
ANNOTATIONS = "annotations"
COPIES = "copies"
"""The folder with the pixels of images that have no file of their own."""


@dataclass(frozen=True)
class Entry:
    """One image of a project.

    Parameters
    ----------
    name : str
        No two images of a project have the same.
    file : str
        What its annotation's files are called, without an ending.
    path : str
        Its file, from the project's folder.
    absolute : str
        The same as a whole path; empty for a copy inside the project.
    size : int
        The bytes of its file, by which it is known again.
    shape : tuple of int
        Of the array, for a copy inside the project.
    axes : str
        A letter for each axis of a copy but that of its colours; empty where it was not kept.
    """

    name: str
    file: str
    path: str
    absolute: str = ""
    size: int = 0
    shape: Sides = ()
    axes: str = ""

    @property
    def is_copy(self) -> bool:
        """Whether the project keeps the pixels itself."""
        return bool(self.shape)

    def place(self, folder: Path) -> Path:
        """Where the file is, or where it should be."""
        here, there = Path(os.path.normpath(folder / self.path)), Path(self.absolute)
        return there if self.absolute and not is_there(here) and is_there(there) else here

    def to_record(self) -> dict[str, Any]:
        """As JSON can hold it."""
        record: dict[str, Any] = {"name": self.name, "file": self.file, "path": self.path}
        if self.is_copy:
            return {**record, "shape": list(self.shape), "axes": self.axes}
        return {**record, "absolute": self.absolute, "size": self.size}


@dataclass(frozen=True)
class ImageList:
    """The images of a project, and which is looked at.

    Parameters
    ----------
    entries : tuple of Entry
    current : str
        A name; empty for none.
    files : mapping of str to str
        What the project's own files are called where another program's file had the usual name
        first.
    """

    entries: tuple[Entry, ...] = ()
    current: str = ""
    files: Mapping[str, str] = field(default_factory=dict)

    def get(self, name: str) -> Entry:
        """The entry of a name.

        Raises
        ------
        InvalidInputError
            For a name that no image has.
        """
        for entry in self.entries:
            if entry.name == name:
                return entry
        raise InvalidInputError(f"The project has no image called {name!r}.")

    def ordered(self, names: Sequence[str]) -> ImageList:
        """The same images in another order; those that are not named come behind the others.

        Raises
        ------
        InvalidInputError
            For a name that no image has, and one that is given twice.
        """
        for name in names:
            if names.count(name) > 1:
                raise InvalidInputError(f"{name!r} is there twice. Give each image once.")
        named = [self.get(name) for name in names]
        others = [entry for entry in self.entries if entry.name not in set(names)]
        return replace(self, entries=(*named, *others))

    def with_files(self, folder: Path, images: Sequence[str | Path]) -> ImageList:
        """Return the list with image files appended.

        Parameters
        ----------
        folder : Path
            Of the project.
        images : sequence of path-like

        Raises
        ------
        FileError
            For a file that does not exist.
        InvalidInputError
            For an image that is in the list or given twice.
        """
        entries = list(self.entries)
        places = {entry.place(folder) for entry in entries}
        names, files = ImageNames(entry.name for entry in entries), free_files(folder, self)
        for image in images:
            path = settled(image)
            if path in places:
                raise InvalidInputError(f"{path} is there twice. Give each image once.")
            if not is_there(path):
                raise FileError(f"There is no image at {path}. Check the name.")
            places.add(path)
            name = names.of_image(path)
            entries.append(entry_of(path, folder, name, files.as_file(name)))
        return replace(self, entries=tuple(entries))

    def with_entry(self, entry: Entry) -> ImageList:
        """Return the list with an entry appended.

        Raises
        ------
        ChangedOnDiskError
            If another program has added an image of that name.
        """
        if any(entry.name == one.name or entry.file == one.file for one in self.entries):
            raise ChangedOnDiskError(
                f"Another program has just added an image called {entry.name!r}. Add it once more."
            )
        return replace(self, entries=(*self.entries, entry))

    def without(self, name: str) -> ImageList:
        """Return the list without the image of a name."""
        left = tuple(one for one in self.entries if one.name != name)
        return replace(self, entries=left, current="" if self.current == name else self.current)

    def moved(self, folder: Path, places: Mapping[str, Path]) -> ImageList:
        """Return the list with new paths, by image name, of files that were moved."""
        return replace(self, entries=tuple(
            entry_of(places[one.name], folder, one.name, one.file) if one.name in places else one
            for one in self.entries))  # fmt: skip

    def to_record(self) -> dict[str, Any]:
        """As JSON can hold it."""
        return {
            "format": FORMAT,
            "version": VERSION,
            "current": self.current,
            **({"files": dict(self.files)} if self.files else {}),
            "images": [entry.to_record() for entry in self.entries],
        }


def entry_of(path: Path, folder: Path, name: str, file: str) -> Entry:
    """The entry of an image file.

    Raises
    ------
    OSError
        For a file that is not there.
    """
    return Entry(name, file, relative(path, folder), path.as_posix(), path.stat().st_size)


def free_files(folder: Path, found: ImageList) -> ImageNames:
    """Return what files of new images may be called: no name that would replace a file."""
    there = [path.stem for part in (ANNOTATIONS, COPIES) for path in (folder / part).glob("*.*")]
    return ImageNames([*(entry.file for entry in found.entries), *there])


def found_again(folder: Path, lost: Sequence[Entry]) -> dict[str, Path]:
    """Find the files of images in a folder and those inside it, by file name and size.

    Returns
    -------
    dict of str to Path
        Paths by image name; images that several files may be, or that share a file, are left out.

    Raises
    ------
    FileError
        For a folder that does not exist.
    """
    looked_for: dict[tuple[str, int], list[str]] = {}
    for one in lost:
        looked_for.setdefault((Path(one.path).name, one.size), []).append(one.name)
    places: dict[tuple[str, int], list[Path]] = {}
    names = {name for name, _ in looked_for}
    for path in found_below(folder, lambda path: path.name in names):
        with suppress(OSError):
            places.setdefault((path.name, path.stat().st_size), []).append(path)
    return {
        images[0]: settled(places[key][0])
        for key, images in looked_for.items()
        if len(images) == 1 and len(places.get(key, ())) == 1
    }


def list_from_record(record: dict[str, Any]) -> ImageList:
    """The images that a project file tells of.

    Raises
    ------
    InvalidInputError
        For another kind of file, one of a newer version, and one that was edited into what
        cannot be; with the place in it.
    """
    if record.get("format") != FORMAT:
        raise InvalidInputError(f"its format is {record.get('format')!r} instead of {FORMAT!r}.")
    version = checked(int, record.get("version"), "version")
    if version > VERSION:
        raise InvalidInputError(
            f"it is of version {version}, and this napari-cliper knows up to {VERSION}. Update "
            "napari-cliper."
        )
    check_keys(record, ("format", "version", "current", "files", "images"), "it", ("images",))
    entries = []
    for number, one in enumerate(checked(tuple[Any, ...], record["images"], "images"), 1):
        try:
            entries.append(_entry(one))
        except InvalidInputError as error:
            raise InvalidInputError(f"image {number}: {error}") from error
    for kind in ("name", "file"):
        _check_distinct(kind, (getattr(entry, kind) for entry in entries))
    files = checked(dict[str, str], record.get("files", {}), "files")
    for file in files.values():
        if as_file(file) != file:
            raise InvalidInputError(f"files has {file!r}, which cannot be the name of a file.")
    found = ImageList(tuple(entries), checked(str, record.get("current", ""), "current"), files)
    if found.current:
        found.get(found.current)
    return found


def _entry(record: Any) -> Entry:
    entry = from_record(Entry, record, "it")
    if not entry.name:
        raise InvalidInputError("its name is empty.")
    if as_file(entry.file) != entry.file:  # also what would lead out of the folder
        raise InvalidInputError(f"its file is {entry.file!r}, which cannot be the name of a file.")
    if not entry.path or "\0" in entry.path:
        raise InvalidInputError(f"its path is {entry.path!r}. Give the path of a file.")
    return entry


def _check_distinct(kind: str, values: Iterable[str]) -> None:
    seen: set[str] = set()
    for value in values:
        if folded(value) in seen:
            raise InvalidInputError(f"two images have the {kind} {value!r}.")
        seen.add(folded(value))
