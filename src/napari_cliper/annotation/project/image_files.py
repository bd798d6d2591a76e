"""The images of a project as files: which of a folder they are, and what they are called."""

from __future__ import annotations

import os
import re
import unicodedata
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import tifffile
from numpy.typing import NDArray

from ...io.filenames import Names, file_name
from ...io.files import FileError, cannot, whole_files
from ...io.image_decoding import is_image
from ...io.short_writes import full_when_short
from ...segmentation import atomic

LONGEST = 120
"""Bytes that an image's name may take in names of files; the rest of 255 is for endings."""


def images_in(folder: str | Path) -> tuple[Path, ...]:
    """The images of a folder, in the order in which a person counts: 2 before 10.

    Looks at the first bytes of each file; folders inside it and hidden files are passed over.

    Parameters
    ----------
    folder : path-like

    Returns
    -------
    tuple of Path
        Those that `export.pictures.read_image_file` knows how to read.

    Raises
    ------
    FileError
        For a folder that is none or cannot be read.
    """
    folder = Path(folder)
    try:
        files = [path for path in folder.iterdir() if path.is_file() and path.name[0] != "."]
    except FileNotFoundError:
        raise FileError(f"There is no folder {folder}. Check the name.") from None
    except NotADirectoryError:
        raise FileError(f"{folder} is a file. Choose the folder that it is in.") from None
    except OSError as error:
        raise cannot("read", folder, error) from error
    return tuple(path for path in sorted(files, key=natural_key) if is_image(path))


def natural_key(path: Path) -> tuple[list[tuple[bool, int, str]], str]:
    """What sorts names with their numbers taken as numbers."""
    parts = [
        (True, int(part), "") if part.isdecimal() else (False, 0, part)
        for part in re.split(r"(\d+)", path.name.casefold())
    ]
    return parts, path.name


# ---------------------------------------------------------------------- names


class ImageNames(Names):
    """The names of a project's images, and of their files, each given once."""

    def of_image(self, path: Path) -> str:
        """Take the stem of an image's file, with as much more as is needed."""
        return self.first_free(path.stem, f"{path.name} ({path.parent.name})")

    def as_file(self, name: str) -> str:
        """Take what the files of an image of any name are called."""
        return self.first_free(as_file(name), as_file(name, spare=8))


def as_file(name: str, spare: int = 0) -> str:
    """What the files of an image are called, at most `LONGEST` bytes; see `file_name`."""
    return file_name(unicodedata.normalize("NFC", name), LONGEST - spare)


# ---------------------------------------------------------------------- places


def is_there(path: Path) -> bool:
    """Whether there is a file that can be looked at."""
    try:
        return path.is_file()
    except OSError:  # no permission, a name that is too long
        return False


def settled(path: str | Path) -> Path:
    """An absolute path, links in its folder followed, and the file's own kept.

    A link in the place of an image has the image's name; what it leads to may have any.
    """
    path = Path(path)
    return path.parent.resolve() / path.name if path.name not in ("", "..") else path.resolve()


def relative(path: Path, folder: Path) -> str:
    """The way from a folder to a file with slashes; the whole path where there is none."""
    with suppress(ValueError):  # another drive
        return Path(os.path.relpath(path, folder)).as_posix()
    return path.as_posix()


def found_below(folder: Path, fits: Callable[[Path], bool]) -> list[Path]:
    """The files below a folder for which something holds, in the order of their paths.

    Raises
    ------
    FileError
        For a folder that is none.
    """
    if not folder.is_dir():
        raise FileError(f"There is no folder {folder}. Check the name.")
    below = (Path(parent) / name for parent, _, names in os.walk(folder) for name in names)
    return sorted(path for path in below if fits(path))


def check_folder(folder: Path) -> None:
    """Refuse to write if a project's folder is gone; writing would create it again.

    Raises
    ------
    FileError
    """
    if not folder.is_dir():
        raise FileError(f"The project's folder {folder} is gone. Is its disk connected?")


def write_copy(path: Path, array: NDArray[Any], *, rgb: bool) -> None:
    """Write the pixels of an image without a file as a losslessly compressed TIFF.

    Parameters
    ----------
    path : Path
        ``copies/NAME.tif`` in the project's folder; appears whole or not at all.
    array : (..., Y, X) or (..., Y, X, C) array
    rgb : bool
        Whether the last axis holds red, green, blue and perhaps alpha.

    Raises
    ------
    FileError
        For a full disk and the like.
    """
    check_folder(path.parent.parent)
    with whole_files(path.parent, replace="any") as staging, full_when_short(path):
        tifffile.imwrite(
            staging / path.name,
            np.ascontiguousarray(array),
            photometric="rgb" if rgb else "minisblack",
            compression="zlib",
        )
        atomic.sync_file(staging / path.name)
