"""The Zarr array of a `LabelStore`: a file for each chunk, replaced atomically."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import zarr
from numpy.typing import NDArray
from zarr.storage import LocalStore

from ..io.files import FileError
from ..segmentation import atomic
from . import chunks
from .chunks import Index, region_of_chunk

if TYPE_CHECKING:
    from zarr.core.buffer import Buffer


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


def create_array(path: Path, shape: tuple[int, int]) -> zarr.Array[Any]:
    """Create an empty array for an image of this shape."""
    return zarr.create_array(
        _SyncedStore(path),
        shape=(2, *shape),
        chunks=_chunks(shape),
        dtype=np.uint16,
        fill_value=0,
        dimension_names=("labels_and_edit_mask", "y", "x"),
        config={"write_empty_chunks": False},
    )


def open_array(path: Path, shape: tuple[int, int]) -> zarr.Array[Any]:
    """Open the array of an image of this shape.

    Raises
    ------
    FileError
        If it is missing, damaged or another one.
    """
    try:
        array = zarr.open_array(_SyncedStore(path), mode="r+", config={"write_empty_chunks": False})
    except (OSError, ValueError, KeyError) as error:
        raise FileError(
            f"{path} is missing or damaged, with the annotation. Take it from a backup."
        ) from error
    expected = _chunks(shape)
    if array.shape != (2, *shape) or array.dtype != np.uint16 or array.chunks != expected:
        raise FileError(
            f"{path} is {array.dtype} {array.shape} in chunks of {array.chunks}, and was uint16 "
            f"{(2, *shape)}. Another program has changed it: take it from a backup."
        )
    return array


def chunks_in(path: Path) -> set[Index]:
    """Return the chunks of an array that have a file."""
    found = (one for one in (path / "c" / "0").glob("*/*") if one.name.isdecimal())
    return {(int(one.parent.name), int(one.name)) for one in found}


def read_chunk(
    array: zarr.Array[Any], path: Path, index: Index, shape: tuple[int, int]
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


def _chunks(shape: tuple[int, int]) -> tuple[int, int, int]:
    return 2, min(chunks.CHUNK, shape[0]), min(chunks.CHUNK, shape[1])
