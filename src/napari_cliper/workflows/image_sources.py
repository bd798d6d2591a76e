"""Find the images of a run: files, folders with their subfolders, patterns and lists."""

from __future__ import annotations

import codecs
import os
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from ..annotation.project.image_files import natural_key
from ..io.files import FileAccessError, FileError, cannot
from ..io.image_decoding import image_suffixes
from ..io.ome_zarr_images import is_zarr
from ..io.own_files import OwnFiles
from ..segmentation import InvalidInputError

LIST_SUFFIX = ".txt"
"""Suffix of a file that lists images, one path on each line."""

_WILDCARD = re.compile(r"[*?\[]")


@dataclass(frozen=True)
class Source:
    """An image of a run.

    Parameters
    ----------
    path : Path
    name : str
        Path relative to the folder, pattern or list that it was found by, with slashes. Its results
        are in the same subfolder of the output folder.
    error : str
        Why it cannot be read, if it is a subfolder whose images are unknown; empty for an image.
    """

    path: Path
    name: str
    error: str = ""

    @property
    def folder(self) -> str:
        """The subfolder of the results; ``"."`` without one."""
        return PurePosixPath(self.name).parent.as_posix()

    @property
    def stem(self) -> str:
        """The name that the result files begin with, including the subfolder."""
        return PurePosixPath(self.name).with_suffix("").as_posix()


@dataclass(frozen=True)
class Shard:
    """One of several equal shares of the images.

    Parameters
    ----------
    index, count : int
        The share, from 1, and the number of shares.
    """

    index: int
    count: int

    @classmethod
    def parsed(cls, text: str) -> Shard:
        """Read ``"3/8"``.

        Raises
        ------
        InvalidInputError
        """
        found = re.fullmatch(r"(\d+)/(\d+)", text.strip())
        if found is None or not 1 <= int(found[1]) <= int(found[2]):
            raise InvalidInputError(
                f"The shard is {text!r}. Give its number and their count, such as 3/8."
            )
        return cls(int(found[1]), int(found[2]))

    def of(self, sources: Sequence[Source]) -> list[Source]:
        """Return every `count`-th image."""
        return list(sources[self.index - 1 :: self.count])


def find_images(paths: Sequence[Path], output: Path | None = None) -> list[Source]:
    """Expand folders, patterns and lists into their image files.

    Parameters
    ----------
    paths : sequence of Path
        Each is one of:

        - a file or an OME-Zarr folder, which is taken as it is;
        - a folder: all files in it and in its subfolders with an image suffix, and all OME-Zarr
          folders, in natural order (2 before 10), except hidden files and folders, links to
          folders, and the results of earlier runs. A subfolder that cannot be read is a source
          with an error;
        - a pattern with ``*``, ``?`` or ``**``, unless there is a file of that name; folders
          without permission are left out;
        - a list: a file that ends in ``.txt``, with the path of an image on each line. Relative
          paths start at the folder of the list.
    output : Path, optional
        The folder of the results. If it lies within one of the folders, it is skipped.

    Returns
    -------
    list of Source
        Without duplicates.

    Raises
    ------
    InvalidInputError
        For a folder, pattern or list without an image.
    FileError
        For a folder or list that cannot be read.
    """
    found: dict[Path, Source] = {}
    for path in paths:
        for source in _expanded(path, output):
            found.setdefault(source.path, source)
    return list(found.values())


def _expanded(path: Path, output: Path | None) -> list[Source]:
    if is_zarr(path):
        return [Source(path, path.name)]
    if path.is_dir():
        return _of_folder(path, output)
    if path.suffix.lower() == LIST_SUFFIX and path.is_file():
        return _of_list(path)
    if is_pattern(path):
        return of_pattern(path)
    return [Source(path, path.name)]


def is_pattern(path: Path) -> bool:
    """Return whether a path has wildcards and is no file."""
    return _WILDCARD.search(str(path)) is not None and not path.exists()


def _of_folder(folder: Path, output: Path | None) -> list[Source]:
    suffixes = image_suffixes()
    own = OwnFiles()
    skipped = None if output is None or not output.exists() else output.resolve()
    unread: dict[Path, str] = {}
    images = [
        file
        for file in _files(folder, skipped, unread)
        if file in unread or file.suffix.lower() in suffixes or is_zarr(file)
    ]
    if folder in unread:
        raise FileAccessError(unread[folder])
    found = [
        Source(file, file.relative_to(folder).as_posix(), unread.get(file, ""))
        for file in images
        if file in unread or not own.wrote(file)
    ]
    if not found and images:
        raise InvalidInputError(
            f"All images in the folder {folder} are results of napari-cliper, which are left out. "
            f'Give another folder, or a pattern such as "{folder / "**" / "*"}{images[0].suffix}".'
        )
    if not found:
        raise InvalidInputError(f"There is no image in the folder {folder}. Give another folder.")
    return found


def _files(folder: Path, skipped: Path | None, unread: dict[Path, str]) -> Iterator[Path]:
    """All files and OME-Zarr folders that are not hidden, those of a folder before subfolders.

    A folder that cannot be read is yielded itself, and `unread` then says why.
    """
    try:
        shown = [one for one in sorted(folder.iterdir(), key=natural_key) if one.name[0] != "."]
        images = dict.fromkeys(entry for entry in shown if _is_file(entry) or is_zarr(entry))
        others = [entry for entry in shown if entry not in images and not entry.is_symlink()]
        folders = [entry for entry in others if entry.is_dir() and entry.resolve() != skipped]
    except OSError as error:
        unread[folder] = str(cannot("read", folder, error))
        yield folder
        return
    yield from images
    for entry in folders:
        yield from _files(entry, skipped, unread)


def _is_file(path: Path) -> bool:
    """Whether a path is a file, or a link to one that is gone or closed, which the run names."""
    try:
        return path.is_file() or (path.is_symlink() and not path.exists())
    except PermissionError:
        if path.is_symlink():
            return True
        raise


def of_pattern(pattern: Path) -> list[Source]:
    """Return the files and OME-Zarr folders that match a pattern, in natural order.

    Raises
    ------
    InvalidInputError
        If there are none.
    FileError
        For folders that cannot be read.
    """
    parts = pattern.parts
    start = next(index for index, part in enumerate(parts) if _WILDCARD.search(part))
    root = Path(*parts[:start])
    try:
        found = sorted(root.glob("/".join(parts[start:])))
        folders = {one for path in found for one in (path, *path.parents)}
        stores = set(filter(is_zarr, folders))
        files = [path for path in found if path in stores or _is_file(path)]
        files = [path for path in files if not stores.intersection(path.parents)]
    except OSError as error:
        raise cannot("read", root, error) from error
    if not files:
        raise InvalidInputError(f"No file matches {pattern}. Give another pattern.")
    names = {file.relative_to(root).as_posix(): file for file in files}
    return [Source(names[name], name) for name in in_natural_order(names)]


def _of_list(path: Path) -> list[Source]:
    try:
        content = path.read_bytes()
    except OSError as error:
        raise cannot("read", path, error) from error
    if content.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):  # PowerShell writes these
        text = content.decode("utf-16", "replace")
    else:
        text = content.decode("utf-8-sig", "surrogateescape")
    if "\0" in text:
        raise FileError(f"{path} is not a list of images. Save it as text, with one path per line.")
    files = [Path(line.strip()) for line in text.splitlines() if line.strip()]
    if not files:
        raise InvalidInputError(f"There is no path in the list {path}. Write one on each line.")
    wholes = [Path(os.path.normpath(path.parent / file)) for file in files]
    inside = [file for file in wholes if file.is_relative_to(path.parent)]
    outside = [file for file in wholes if not file.is_relative_to(path.parent)]
    top = path.parent
    if outside:
        try:
            top = Path(os.path.commonpath([file.parent for file in outside]))
        except ValueError as error:  # several drives, or relative and absolute
            raise FileError(
                f"The paths in {path} have no folder in common ({error}). Write several lists."
            ) from error
    names = {file: file.relative_to(path.parent).as_posix() for file in inside}
    names |= {file: file.relative_to(top).as_posix() for file in outside}
    return [Source(file, names[file]) for file in wholes]


def in_natural_order(names: Iterable[str]) -> list[str]:
    """Sort names by their folders and numbers (2 before 10)."""
    return sorted(names, key=lambda name: [natural_key(Path(part)) for part in name.split("/")])
