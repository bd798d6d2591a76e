"""Predictions that a project keeps, one for each image, until they are out of date.

    predictions/NAME.npz              labels, uncertainty and a record in JSON
    predictions/NAME.CODE.zarr        labels of a large image that was labelled by chunk

NAME.npz of the latter has the labels of a reduced copy of the image, and names the folder: both are
replaced together. Labels are uint8 or uint16, the uncertainty is uint8 from 0 to 255, all
compressed. The record has a key of what the prediction was made with (words, configuration,
thresholds, prototypes) and the size and time of the image file: a prediction of anything else
counts as missing.
"""

from __future__ import annotations

import glob
import json
import zipfile
import zlib
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from secrets import token_hex
from typing import Any

import numpy as np
import zarr
from numpy.typing import NDArray

from ...io.bounded_zarr import bounded
from ...io.files import cannot
from ...io.ome_zarr_images import files_of
from ...segmentation import LabelsByChunk, StoredLabels, Window, atomic
from ..chunks import CHUNK
from .annotation_record import make_folder, remove

PREDICTIONS = "predictions"
_STEPS = 255  # of the uncertainty


@dataclass(frozen=True, eq=False)
class StoredPrediction:
    """The prediction of one plane.

    Parameters
    ----------
    labels : (Y, X) uint8 or uint16 array or LabelsByChunk
        0 is background, i + 1 is class i.
    uncertainty : (Y, X) float32 array
        0 (certain) to 1; kept in steps of 1 / 255. Beside a `LabelsByChunk`, that of the reduced
        copy of the image.
    stage : str
        Which stage it is of.
    scores : tuple of float
        Class scores.
    plane : tuple of int
        Indices along the leading axes of the image.
    record : mapping
        How it was made; JSON-serialisable.
    """

    labels: NDArray[np.uint8 | np.uint16] | LabelsByChunk
    uncertainty: NDArray[np.float32]
    stage: str
    scores: tuple[float, ...]
    plane: tuple[int, ...] = ()
    record: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class PredictionKey:
    """Hashes of all that a prediction depends on, except the image.

    Parameters
    ----------
    settings : str
        Of words, configuration and thresholds.
    prototypes : str
        Of the visual prototypes and their weight.
    """

    settings: str
    prototypes: str = ""


@dataclass(frozen=True)
class ImageIdentity:
    """What tells whether an image is still the one that was predicted.

    Parameters
    ----------
    files : tuple of Path
        All files that it is read from.
    display : str
        How its channels are shown; empty for an image that is no group.
    """

    files: tuple[Path, ...]
    display: str = ""

    def found(self) -> list[Any]:
        """Return size and newest time of the files, and the display.

        Raises
        ------
        OSError
            If one is missing.
        """
        stats = [path.stat() for file in self.files for path in files_of(file)]
        size = sum(one.st_size for one in stats)
        newest = max((one.st_mtime_ns for one in stats), default=0)
        return [size, newest, *([self.display] if self.display else [])]


class PredictionStore:
    """The predictions folder of a project; images are identified by the base name of their files.

    Parameters
    ----------
    folder : Path
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def read(
        self,
        file: str,
        image: ImageIdentity,
        key: PredictionKey,
        *,
        any_prototypes: bool = False,
    ) -> StoredPrediction | None:
        """Read the prediction of an image; None if there is none, or it is out of date or damaged.

        Parameters
        ----------
        file : str
            Base name of the image's files.
        image : ImageIdentity
        key : PredictionKey
            Of what the prediction must have been made with.
        any_prototypes : bool
            Whether it may have been made with other prototypes.
        """
        try:
            with np.load(self._path(file), allow_pickle=False) as arrays:
                record = json.loads(arrays["record"].tobytes())
                made_with, identity = PredictionKey(*record["key"]), image.found()
                if any_prototypes:
                    made_with = replace(made_with, prototypes=key.prototypes)
                if (made_with, record["image"]) != (key, identity):
                    return None
                labels, uncertainty = arrays["labels"], arrays["uncertainty"]
                if labels.dtype not in (np.uint8, np.uint16) or labels.shape != uncertainty.shape:
                    return None
                by_chunk = self._by_chunk(record, labels)
                return StoredPrediction(
                    labels if by_chunk is None else by_chunk,
                    uncertainty.astype(np.float32) / _STEPS,
                    str(record["stage"]),
                    tuple(map(float, record["scores"])),
                    tuple(map(int, record["plane"])),
                    dict(record["record"]),
                )
        except (OSError, ValueError, KeyError, TypeError, EOFError, zlib.error, zipfile.BadZipFile):
            return None

    def save(
        self, file: str, image: ImageIdentity, key: PredictionKey, prediction: StoredPrediction
    ) -> None:
        """Keep a prediction in the place of the one before.

        Raises
        ------
        FileError
            If it cannot be written.
        """
        make_folder(self.folder)
        path, labels, large = self._path(file), prediction.labels, dict[str, Any]()
        try:
            if isinstance(labels, LabelsByChunk):
                large = self._written(file, labels)
                labels = labels.reduced
            record = {
                "key": [key.settings, key.prototypes],
                "image": image.found(),
                "stage": prediction.stage,
                "scores": prediction.scores,
                "plane": prediction.plane,
                "record": prediction.record,
                **large,
            }
            text = np.frombuffer(json.dumps(record).encode(), np.uint8)
            steps = np.round(prediction.uncertainty * _STEPS).astype(np.uint8)
            with atomic.replacing(path) as part, part.open("wb") as target:
                np.savez_compressed(target, labels=labels, uncertainty=steps, record=text)
        except OSError as error:
            raise cannot("write", path, error) from error
        remove(self.folder, self._folders(file) - {large.get("folder", "")})

    def remove(self, file: str) -> None:
        """Delete the prediction of an image."""
        remove(self.folder, {self._path(file).name, *self._folders(file)})

    def _written(self, file: str, labels: LabelsByChunk) -> dict[str, Any]:
        """Write labels by chunk to a new folder; returns what the record says of it."""
        name = f"{file}.{token_hex(4)}.zarr"
        return {"folder": name, "pixels": written(labels, self.folder / name).counts.tolist()}

    def _by_chunk(self, record: Mapping[str, Any], reduced: Any) -> StoredLabels | None:
        """The labels of a large image; None for another one."""
        if "folder" not in record:
            return None
        array: Any = bounded(zarr.open_array(self.folder / str(record["folder"]), mode="r"))
        if array.dtype != reduced.dtype or array.ndim != 2:
            raise ValueError("the labels are those of another prediction")
        return StoredLabels(array, reduced, np.array(record["pixels"], np.int64))

    def _folders(self, file: str) -> set[str]:
        """Names of the folders with labels of an image, of interrupted saves too."""
        return {one.name for one in self.folder.glob(f"{glob.escape(file)}.????????.zarr")}

    def _path(self, file: str) -> Path:
        return self.folder / f"{file}.npz"


def written(labels: LabelsByChunk, store: Any) -> StoredLabels:
    """Write all labels of a large image to a new Zarr array, and return those.

    Parameters
    ----------
    labels : LabelsByChunk
        Chunks that are not known yet are computed.
    store : Path or Zarr store
    """
    array = zarr.create_array(store, shape=labels.shape, chunks=(CHUNK, CHUNK), dtype=labels.dtype)
    for chunk in labels.chunks(Window(0, 0, *labels.shape)):
        array[chunk.slices] = labels[chunk.slices]
    return StoredLabels(array, labels.reduced, labels.counts)
