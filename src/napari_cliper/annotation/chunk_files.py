"""The Zarr array of a `LabelStore`: a file for each chunk, replaced atomically."""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import zarr
from numpy.typing import NDArray
from zarr.storage import LocalStore

from ..io.bounded_zarr import bounded
from ..io.files import FileError
from ..labels.axes import UNKNOWN
from ..segmentation import atomic
from .chunks import Index, chunk_shape, region_of_chunk

if TYPE_CHECKING:
    from zarr.core.buffer import Buffer

_CONFIG: Any = {"write_empty_chunks": False}


class _SyncedStore(LocalStore):
    """Files of a Zarr array that are on the disk, whole, when a write returns."""

    async def set(self, key: str, value: Buffer) -> None:
        """Write one file atomically."""
        path = self.root / key
        path.parent.mkdir(parents=True, exist_ok=True)
        atomic.write(path, value.to_bytes())


def is_stored(path: Path) -> bool:
    """Return whether a folder has the labels of a `LabelStore`, as far as its metadata tells."""
    return (path / "zarr.json").is_file()


def create_array(path: Path, shape: tuple[int, ...], axes: str = "") -> zarr.Array[Any]:
    """Create an empty array for an image of this shape; `axes` are the letters of all its axes."""
    axes = axes if len(axes) == len(shape) else f"{UNKNOWN * (len(shape) - 2)}YX"
    return zarr.create_array(
        _SyncedStore(path),
        shape=(2, *shape),
        chunks=(2, *chunk_shape(shape)),
        dtype=np.uint16,
        fill_value=0,
        dimension_names=(
            "labels_and_edit_mask",
            *(None if letter == UNKNOWN else letter.lower() for letter in axes),
        ),
        config=_CONFIG,
    )


def open_array(path: Path, shape: tuple[int, ...]) -> zarr.Array[Any]:
    """Open the array of an image of this shape.

    Raises
    ------
    FileError
        If it is missing, damaged or another one.
    """
    try:
        array = bounded(zarr.open_array(_SyncedStore(path), mode="r+"), _CONFIG)
    except (OSError, ValueError, KeyError) as error:
        raise FileError(
            f"{path} is missing or damaged, with the annotation. Take it from a backup."
        ) from error
    expected = (2, *chunk_shape(shape))
    if array.shape != (2, *shape) or array.dtype != np.uint16 or array.chunks != expected:
        raise FileError(
            f"{path} is {array.dtype} {array.shape} in chunks of {array.chunks}, and was uint16 "
            f"{(2, *shape)}. Another program has changed it: take it from a backup."
        )
    return array


def chunks_in(path: Path, shape: tuple[int, ...]) -> set[Index]:
    """Return the chunks of an array that have a file."""
    folder = path / "c" / "0"
    found = (one.relative_to(folder).parts for one in folder.glob("/".join("*" for _ in shape)))
    return {tuple(map(int, parts)) for parts in found if all(map(str.isdecimal, parts))}


def link_chunks(path: Path, target: Path, indices: Collection[Index]) -> set[Index]:
    """Have the files of chunks in another array too, without a copy; return those that are there.

    On a disk without hard links, none are.
    """
    linked = set()
    folders = set()
    for index in indices:
        place = Path("c", "0", *map(str, index))
        (target / place).parent.mkdir(parents=True, exist_ok=True)
        try:
            (target / place).hardlink_to(path / place)
        except OSError:  # the caller reads and writes it
            continue
        linked.add(index)
        folders.add((target / place).parent)
    for folder in folders:
        atomic.sync_folder(folder)
    return linked


def read_chunk(
    array: zarr.Array[Any], path: Path, index: Index, shape: tuple[int, ...]
) -> NDArray[np.uint16]:
    """Read a chunk that has a file.

    Raises
    ------
    FileError
        If it is damaged, or the folder is gone.
    """
    try:
        chunk = np.asarray(array[(slice(None), *region_of_chunk(index, shape))])
    except (OSError, ValueError, RuntimeError) as error:
        raise FileError(
            f"The labels in {path} are damaged ({error}). Take them from a backup."
        ) from error
    if not chunk.any() and not is_stored(path):  # Zarr reads missing files as 0
        raise FileError(
            f"The labels in {path} are gone. Connect their disk again; if another "
            "program has saved this image, open the image again."
        )
    return chunk
