"""Image files of a project: find them in a folder, name them, resolve their paths."""

from __future__ import annotations

import os
import re
import unicodedata
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import tifffile
from numpy.typing import NDArray

from ...io.filenames import Names, file_name
from ...io.files import FileError, cannot, whole_files
from ...io.full_disk_errors import full_disk_errors
from ...io.image_decoding import is_image
from ...io.ome_zarr_images import is_zarr
from ...segmentation import atomic

LONGEST = 120
"""Most UTF-8 bytes of an image's name in file names; file systems allow 255 with the ending."""


def images_in(folder: str | Path) -> tuple[Path, ...]:
    """List the images of a folder in natural order: 2 before 10.

    Images are recognised by their first bytes, OME-Zarr by its metadata. Other subfolders and
    hidden files are skipped.

    Parameters
    ----------
    folder : path-like

    Returns
    -------
    tuple of Path
        Files in a format that `io.images.read_image_file` reads.

    Raises
    ------
    FileError
        For a folder that does not exist or cannot be read.
    """
    folder = Path(folder)
    try:
        files = [path for path in folder.iterdir() if is_there(path) and path.name[0] != "."]
    except FileNotFoundError:
        raise FileError(f"There is no folder {folder}. Check the name.") from None
    except NotADirectoryError:
        raise FileError(f"{folder} is a file. Choose the folder that contains it.") from None
    except OSError as error:
        raise cannot("read", folder, error) from error
    found = sorted(files, key=natural_key)
    return tuple(path for path in found if is_zarr(path) or is_image(path))


def natural_key(path: Path) -> tuple[list[tuple[bool, int, str]], str]:
    """Return a sort key that compares numbers in file names by value."""
    parts = [
        (True, int(part), "") if part.isdecimal() else (False, 0, part)
        for part in re.split(r"(\d+)", path.name.casefold())
    ]
    return parts, path.name


# ---------------------------------------------------------------------- names


class ImageNames(Names):
    """Generate unique names for the images of a project and for their files."""

    def of_image(self, path: Path) -> str:
        """Return a unique name for an image file: its stem, extended if that is taken."""
        return self.first_free(path.stem, f"{path.name} ({path.parent.name})")

    def as_file(self, name: str) -> str:
        """Return a unique base name for the files of an image."""
        return self.first_free(as_file(name), as_file(name, spare=8))


def as_file(name: str, spare: int = 0) -> str:
    """Return the base name for an image's files, at most `LONGEST` bytes; see `file_name`."""
    return file_name(unicodedata.normalize("NFC", name), LONGEST - spare)


# ---------------------------------------------------------------------- paths


def is_there(path: Path) -> bool:
    """Return whether a file or an OME-Zarr folder exists and is accessible."""
    try:
        return path.is_file() or is_zarr(path)
    except OSError:  # for example no permission, or the name is too long
        return False


def settled(path: str | Path) -> Path:
    """Return an absolute path with links in its folder resolved, but not a link to the file.

    The link carries the image's name; its target may have any name.
    """
    path = Path(path)
    return path.parent.resolve() / path.name if path.name not in ("", "..") else path.resolve()


def relative(path: Path, folder: Path) -> str:
    """Return the relative path from a folder to a file, with slashes; absolute across drives."""
    with suppress(ValueError):  # on another drive
        return Path(os.path.relpath(path, folder)).as_posix()
    return path.as_posix()


def check_folder(folder: Path) -> None:
    """Check that a project's folder still exists, because writing would create it again.

    Raises
    ------
    FileError
        If it does not exist.
    """
    if not folder.is_dir():
        raise FileError(f"The project's folder {folder} is gone. Is its disk connected?")


def write_copy(path: Path, array: NDArray[Any], *, rgb: bool) -> None:
    """Write the pixels of an image without a file as a losslessly compressed TIFF.

    Parameters
    ----------
    path : Path
        ``copies/NAME.tif`` in the project's folder; written atomically.
    array : (..., Y, X) or (..., Y, X, C) array
    rgb : bool
        Whether the last axis is colour: red, green, blue and optionally alpha.

    Raises
    ------
    FileError
        If it cannot be written.
    """
    check_folder(path.parent.parent)
    with whole_files(path.parent, replace="any") as staging, full_disk_errors(path):
        tifffile.imwrite(
            staging / path.name,
            np.ascontiguousarray(array),
            photometric="rgb" if rgb else "minisblack",
            compression="zlib",
        )
        atomic.sync_file(staging / path.name)
