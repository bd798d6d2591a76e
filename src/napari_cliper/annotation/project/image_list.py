"""``project.cliper.json``: the images of a project and their paths.

Each path is stored twice: relative to the project's folder, for projects that are moved together
with their images, and absolute, for projects that are moved alone. The status of an image is in
its annotation record, so that saving one image changes only its own files.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from ...io.filenames import folded
from ...io.files import FileError
from ...io.ome_zarr_images import stored_bytes
from ...io.record_checks import Sides, check_keys, checked, from_record
from ...labels.axes import axes_from_names
from ...segmentation import InvalidInputError
from .annotation_store import ChangedOnDiskError
from .channel_group import Placed, StoredChannel, channels_from_record
from .image_files import ImageNames, as_file, is_there, relative, settled

FILE = "project.cliper.json"
FORMAT = "napari-cliper project"
VERSION = 1
ANNOTATIONS = "annotations"
COPIES = "copies"
"""Folder for the pixels of images that have no file of their own."""


@dataclass(frozen=True)
class Entry(Placed):
    """One image of a project.

    Parameters
    ----------
    name : str
        Unique within the project.
    file : str
        Base name of its annotation's files.
    path : str
        Path of the image file, relative to the project's folder.
    absolute : str
        Absolute path; empty for a copy inside the project.
    size : int
        Size of the image file in bytes, used to find it again.
    shape : tuple of int
        Shape of the array, for a copy inside the project; otherwise empty.
    axes : str
        One letter per axis of a copy or a group, except the colour axis; empty if unknown.
    channels : tuple of StoredChannel
        The channels of a group, which are shown together as one RGB image. Its path is that of the
        first. Empty for other images.
    """

    name: str
    file: str
    path: str
    absolute: str = ""
    size: int = 0
    shape: Sides = ()
    axes: str = ""
    channels: tuple[StoredChannel, ...] = ()

    @property
    def files(self) -> tuple[Placed, ...]:
        """The files that the image is read from: itself, or those of its channels."""
        return self.channels or (self,)

    def places(self, folder: Path) -> tuple[Path, ...]:
        """Return the paths of `files`, each once."""
        return tuple(dict.fromkeys(one.place(folder) for one in self.files))

    def to_record(self) -> dict[str, Any]:
        """Return a JSON-safe dict."""
        record: dict[str, Any] = {"name": self.name, "file": self.file, "path": self.path}
        if self.channels:
            channels = [one.to_record() for one in self.channels]
            return {**record, "axes": self.axes, "channels": channels}
        if self.is_copy:
            return {**record, "shape": list(self.shape), "axes": self.axes}
        return {**record, "absolute": self.absolute, "size": self.size}


@dataclass(frozen=True)
class ImageList:
    """The images of a project, and the current one.

    Parameters
    ----------
    entries : tuple of Entry
    current : str
        Name of the current image; empty for none.
    files : mapping of str to str
        By usual name, the names of the project's own files that had to be renamed because the
        folder already contained a file of that name.
    axes : mapping of str to str
        What the user said the axes of images without axis names are: by the letters of the file,
        such as ``"QYX"``, one letter per axis. `labels.axes.UNKNOWN` is an axis of another kind.
    """

    entries: tuple[Entry, ...] = ()
    current: str = ""
    files: Mapping[str, str] = field(default_factory=dict)
    axes: Mapping[str, str] = field(default_factory=dict)

    def get(self, name: str) -> Entry:
        """Return the entry with a name.

        Raises
        ------
        InvalidInputError
            For an unknown name.
        """
        for entry in self.entries:
            if entry.name == name:
                return entry
        raise InvalidInputError(f"The project has no image named {name!r}. Check the name.")

    def ordered(self, names: Sequence[str]) -> ImageList:
        """Return the list in another order; images that are not listed come last.

        Raises
        ------
        InvalidInputError
            For an unknown name, or one that is given twice.
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
            The project's folder.
        images : sequence of path-like

        Raises
        ------
        FileError
            For a file that does not exist.
        InvalidInputError
            For an image that is in the list or given twice.
        """
        entries = list(self.entries)
        places = {entry.place(folder) for entry in entries if not entry.channels}
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
                f"Another program has just added an image named {entry.name!r}. Add yours again."
            )
        return replace(self, entries=(*self.entries, entry))

    def without(self, name: str) -> ImageList:
        """Return the list without one image."""
        left = tuple(one for one in self.entries if one.name != name)
        return replace(self, entries=left, current="" if self.current == name else self.current)

    def with_channels(self, name: str, channels: tuple[StoredChannel, ...]) -> ImageList:
        """Return the list with other channels of a group."""
        return replace(self, entries=tuple(
            replace(one, channels=channels) if one.name == name else one
            for one in self.entries))  # fmt: skip

    def to_record(self) -> dict[str, Any]:
        """Return a JSON-safe dict."""
        return {
            "format": FORMAT,
            "version": VERSION,
            "current": self.current,
            **({"files": dict(self.files)} if self.files else {}),
            **({"axes": dict(self.axes)} if self.axes else {}),
            "images": [entry.to_record() for entry in self.entries],
        }


def entry_of(path: Path, folder: Path, name: str, file: str) -> Entry:
    """Create the entry of an image file.

    Raises
    ------
    OSError
        For a file that does not exist.
    """
    return Entry(name, file, **path_fields(path, folder))


def path_fields(path: Path, folder: Path) -> dict[str, Any]:
    """Return ``path``, ``absolute`` and ``size`` of a file.

    Raises
    ------
    OSError
        For a file that does not exist.
    """
    size = stored_bytes(path)
    return {"path": relative(path, folder), "absolute": path.as_posix(), "size": size}


def free_files(folder: Path, found: ImageList) -> ImageNames:
    """Return a generator of base names that would not replace existing files."""
    there = [path.stem for part in (ANNOTATIONS, COPIES) for path in (folder / part).glob("*.*")]
    return ImageNames([*(entry.file for entry in found.entries), *there])


def list_from_record(record: dict[str, Any]) -> ImageList:
    """Parse and check the contents of a project file.

    Raises
    ------
    InvalidInputError
        For another kind of file, a newer version, or invalid values; the message names the
        position.
    """
    if record.get("format") != FORMAT:
        raise InvalidInputError(f"its format is {record.get('format')!r} instead of {FORMAT!r}.")
    version = checked(int, record.get("version"), "version")
    if version > VERSION:
        raise InvalidInputError(
            f"it has version {version}, but this napari-cliper reads versions up to {VERSION}. "
            "Update napari-cliper."
        )
    known = ("format", "version", "current", "files", "axes", "images")
    check_keys(record, known, "it", ("images",))
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
            raise InvalidInputError(f"files has {file!r}, which is not a valid file name.")
    axes = checked(dict[str, str], record.get("axes", {}), "axes")
    for asked, answer in axes.items():
        if len(asked) != len(answer) or any(
            one != axes_from_names(one, len(one)) for one in (asked, answer)
        ):
            raise InvalidInputError(f"axes has {answer!r} for {asked!r}. Give a letter per axis.")
    current = checked(str, record.get("current", ""), "current")
    found = ImageList(tuple(entries), current, files, axes)
    if found.current:
        found.get(found.current)
    return found


def _entry(record: Any) -> Entry:
    entry = from_record(Entry, record, "it", {"channels": channels_from_record})
    if not entry.name:
        raise InvalidInputError("its name is empty.")
    if as_file(entry.file) != entry.file:  # also rejects paths that lead out of the folder
        raise InvalidInputError(f"its file is {entry.file!r}, which is not a valid file name.")
    for one in (entry, *entry.channels):
        if not one.path or "\0" in one.path:
            raise InvalidInputError(f"its path is {one.path!r}. Give the path of a file.")
    return entry


def _check_distinct(kind: str, values: Iterable[str]) -> None:
    seen: set[str] = set()
    for value in values:
        if folded(value) in seen:
            raise InvalidInputError(f"two images have the {kind} {value!r}.")
        seen.add(folded(value))
