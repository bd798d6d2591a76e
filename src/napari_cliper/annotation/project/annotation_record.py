"""Read and write the annotation of one image: labels, edit mask and annotation record.

Several files cannot be replaced atomically. So each save first writes labels and edit mask under
new names and then replaces the small record ``NAME.json`` that names them; this single rename is
the save. Older arrays are deleted afterwards; those of an interrupted save by the next one.

    annotations/NAME.json                   the record: status, classes, thresholds, provenance
    annotations/NAME.1f0c92ab.tif           the labels, uint16, OME-TIFF
    annotations/NAME.1f0c92ab_edit_mask.tif the edit mask: 0 open, 1 accepted, 2 painted,
                                            3 cleaned
    annotations/NAME.1f0c92ab.zarr          in place of both, for a stack or a large image: see
                                            `label_store`

Of a stack or a large image, a save replaces the chunks that have changed, each atomically.
"""

from __future__ import annotations

import math
import re
import shutil
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from secrets import token_hex
from types import MappingProxyType
from typing import Any, Literal, get_args

import numpy as np
from numpy.typing import NDArray

from ...io.class_list import row_from_record, to_record
from ...io.files import FileError, cannot
from ...io.image_decoding import decode_image
from ...io.record_checks import Sides, check_keys, checked, current_keys, from_record, mapping
from ...io.tiff_axes import with_axes_of_tiff
from ...io.tiff_decoding import LazyTiff
from ...io.writers.tiff import write_ome_tiff
from ...labels.label_class import ClassRow
from ...labels.labelled_image import LabelledImage
from ...segmentation import InvalidInputError, Monitor, Thresholds, atomic
from ..edit_mask import ACCEPTED, CLEANED, PAINTED, AnnotationState
from ..label_store import LabelStore
from ..memory_store import MemoryStore
from ..open_stores import in_use
from ..stored_state import StoredState, memory_store_of
from .settings import thresholds_from_record

Status = Literal["open", "started", "done"]
STATUSES: tuple[Status, ...] = get_args(Status)

EDIT_MASK_CLASSES: Mapping[int, ClassRow] = MappingProxyType(
    {
        ACCEPTED: ClassRow("accepted"),
        PAINTED: ClassRow("painted"),
        CLEANED: ClassRow("cleaned"),
    }
)
"""Class names of the edit mask, written to its TIFF for other programs."""

_MASK_ENDING = "(?:_edit_mask|_marks)"  # the second is that of version 0.1

MOST = int(np.iinfo(np.uint16).max)
"""The highest label."""

_MOST_AXES = 4

# ---------------------------------------------------------------------- record


@dataclass(frozen=True, eq=False)
class AnnotationRecord:
    """Contents of the record ``NAME.json`` of an image.

    Parameters
    ----------
    image : str
        The image's name.
    status : {'open', 'started', 'done'}
    saved : str
        Time of the save in UTC, ISO 8601.
    labels, edit_mask : str
        File names in the same folder; empty if only a status was saved. For a stack or a large
        image, both are the name of one folder.
    shape : tuple of int
        Shape of both arrays. TIFF files of stacks, which older versions wrote, merge the leading
        axes of more than four dimensions.
    classes : mapping of int to ClassRow
    thresholds : Thresholds, optional
        Thresholds of the prediction.
    record : mapping
        Provenance of the annotation.
    pixels : mapping of int to int, optional
        Number of pixels of each label but 0. None in the files of older versions.
    """

    image: str
    status: Status
    saved: str = ""
    labels: str = ""
    edit_mask: str = ""
    shape: Sides = ()
    classes: Mapping[int, ClassRow] = field(default_factory=dict)
    thresholds: Thresholds | None = None
    record: Mapping[str, Any] = field(default_factory=dict)
    pixels: Mapping[int, int] | None = None

    def to_record(self) -> dict[str, Any]:
        """Return a dict for JSON; `record` is included unchecked."""
        record: dict[str, Any] = {"image": self.image, "status": self.status, "saved": self.saved}
        if self.labels:
            record |= {
                "labels": self.labels,
                "edit_mask": self.edit_mask,
                "shape": list(self.shape),
                "classes": {str(k): to_record(row) for k, row in sorted(self.classes.items())},
                "thresholds": None if self.thresholds is None else self.thresholds.as_dict,
                "record": dict(self.record),
            }
            if self.pixels is not None:
                record["pixels"] = {str(label): count for label, count in self.pixels.items()}
        return record


def record_reader(file: str) -> Callable[[dict[str, Any]], AnnotationRecord]:
    """Return a function that parses and checks an `AnnotationRecord`.

    Parameters
    ----------
    file : str
        Base name of the image's files; the record may name only files that start with it.
    """

    def read(record: dict[str, Any]) -> AnnotationRecord:
        record = current_keys(record, {"marks": "edit_mask"})
        found = check_keys(record, [one.name for one in fields(AnnotationRecord)], "it", ["status"])
        if found.get("labels") is None:  # only a status was saved
            found = {key: found[key] for key in ("image", "status", "saved") if key in found}
        else:
            check_keys(found, found, "it", ("labels", "edit_mask", "shape", "classes"))
        parsed = from_record(
            AnnotationRecord,
            {"image": file, **found},
            "it",
            {
                "classes": _classes,
                "pixels": _pixel_counts,
                "thresholds": lambda given: (
                    None if given is None else thresholds_from_record(given)
                ),
            },
        )
        for key, name, ending in (
            ("labels", parsed.labels, ""),
            ("edit_mask", parsed.edit_mask, _MASK_ENDING),
        ):
            stored = parsed.labels == parsed.edit_mask and _stored(file).fullmatch(name)
            if "labels" in found and not (stored or _named(file, ending).fullmatch(name)):
                raise InvalidInputError(
                    f"{key} is {name!r}, which is not the name of a saved file."
                )
        return parsed

    return read


def _classes(record: Any) -> dict[int, ClassRow]:
    classes = {}
    for key, value in mapping(record, "classes").items():
        if not key.isdecimal() or not 1 <= int(key) <= MOST:
            raise InvalidInputError(f"classes has the label {key!r}. Labels are 1 to {MOST}.")
        try:
            classes[int(key)] = row_from_record(value)
        except InvalidInputError as error:
            raise InvalidInputError(f"the class of label {key}: {error}") from error
    return classes


def _pixel_counts(record: Any) -> dict[int, int] | None:
    if record is None:
        return None
    counts = checked(dict[str, int], record, "pixels")
    wrong = [key for key in counts if not key.isdecimal() or not 1 <= int(key) <= MOST]
    if wrong:
        raise InvalidInputError(f"pixels has the label {wrong[0]!r}. Labels are 1 to {MOST}.")
    return {int(key): count for key, count in counts.items()}


def count_pixels(state: AnnotationState) -> dict[int, int]:
    """Return the number of pixels of each label that occurs, except 0."""
    if isinstance(state, StoredState):
        return dict(state.store.counts().labels)
    counts = np.bincount(state.labels.ravel(), minlength=1)
    return {label: int(counts[label]) for label in (np.flatnonzero(counts[1:]) + 1).tolist()}


def _named(file: str, ending: str = f"{_MASK_ENDING}?") -> re.Pattern[str]:
    """Return a pattern for the file names of one image's arrays."""
    return re.compile(rf"{re.escape(file)}\.[0-9a-f]{{8}}{ending}\.tif")


def _stored(file: str) -> re.Pattern[str]:
    """Return a pattern for the folder names of one image's `LabelStore`."""
    return re.compile(rf"{re.escape(file)}\.[0-9a-f]{{8}}\.zarr")


# ---------------------------------------------------------------------- arrays


def check_state(state: AnnotationState) -> None:
    """Raise an error for an annotation that could not be read again.

    Raises
    ------
    InvalidInputError
        For empty arrays, and for edit mask values or class labels out of range.
    """
    if not math.prod(state.shape):
        raise InvalidInputError(f"The labels {state.shape} have no pixels to save.")
    if not isinstance(state, StoredState) and int(state.edit_mask.max()) > CLEANED:
        raise InvalidInputError(
            f"The edit mask has the value {state.edit_mask.max()}. Give 0 to {CLEANED}."
        )
    wrong = [label for label in state.classes if not 1 <= label <= MOST]
    if wrong:
        raise InvalidInputError(f"A class has the label {wrong[0]}. Give 1 to {MOST}.")


@contextmanager
def written_arrays(
    folder: Path,
    file: str,
    state: AnnotationState,
    *,
    store: str = "",
    monitor: Monitor | None = None,
) -> Iterator[tuple[str, str]]:
    """Write labels and edit mask under new names and flush them to disk.

    A `LabelStore` uses its new folder once the block has ended, but not if the block raises.

    Parameters
    ----------
    folder : Path
    file : str
        Base name of the image's files.
    state : AnnotationState
    store : str
        Name of the folder of the annotation, whose place `folder` will take, for a stack or a large
        image; default: a new one.
    monitor : Monitor, optional
        Told of each chunk of a stack or a large image.

    Yields
    ------
    (str, str)
        The names of the two files.

    Raises
    ------
    OSError
        If writing fails; no partial files are left.
    """
    stem = f"{file}.{token_hex(4)}"
    on_disk = isinstance(state, StoredState) and not state.store.in_memory
    if on_disk or len(state.shape) > 2:
        found = state.store if isinstance(state, StoredState) else memory_store_of(state)
        geometry = state.record.get("geometry")
        axes = str(geometry.get("axes", "")) if isinstance(geometry, dict) else ""
        name = store or f"{stem}.zarr"
        with ExitStack() as saved:
            try:
                saved.enter_context(
                    found.saved_to(folder / name, monitor, axes, in_place=bool(store))
                )
            except BaseException:
                remove(folder, (name,))
                raise
            yield name, name
        return
    names = f"{stem}.tif", f"{stem}_edit_mask.tif"
    labels = LabelledImage(file, state.labels, state.classes)
    edit_mask = LabelledImage(file, state.edit_mask, EDIT_MASK_CLASSES)
    try:
        for target, image in zip(names, (labels, edit_mask), strict=True):
            write_ome_tiff(folder / target, image)
            atomic.sync_file(folder / target)
        atomic.sync_folder(folder)
    except BaseException:
        remove(folder, names)
        raise
    yield names


def read_arrays(folder: Path, annotation_record: AnnotationRecord) -> AnnotationState:
    """Read the labels and the edit mask that a record names.

    A `StoredState` for a large image, and for a stack, which is read into memory.

    Raises
    ------
    FileError
        If a file is missing, damaged, or has another shape or dtype than the record says.
    """
    if annotation_record.labels == annotation_record.edit_mask:
        path, shape = folder / annotation_record.labels, annotation_record.shape
        if len(shape) < 2:
            raise FileError(f"{annotation_record.labels} cannot have {shape}.")
        store = LabelStore(shape, path) if len(shape) == 2 else MemoryStore.opened(shape, path)
        return StoredState(store, annotation_record.classes, annotation_record.record)
    labels = _read_array(
        folder / annotation_record.labels, annotation_record.shape, np.uint16, MOST
    )
    edit_mask = _read_array(
        folder / annotation_record.edit_mask, annotation_record.shape, np.uint8, CLEANED
    )
    return AnnotationState(labels, edit_mask, annotation_record.classes, annotation_record.record)


def _read_array(path: Path, shape: tuple[int, ...], dtype: Any, most: int) -> NDArray[Any]:
    if not path.exists():
        raise FileError(f"{path} is missing, with the annotation. Take it from a backup.")
    decoded = decode_image(path)
    array = decoded.pixels if "S" in decoded.axes else with_axes_of_tiff(decoded).array
    array = np.asarray(with_axes(path, array, _saved_shape(shape)))
    if array.dtype.kind != "u" or int(array.max()) > most:
        raise FileError(
            f"{path} holds {array.dtype} up to {array.max()} where whole numbers from 0 to {most} "
            "are expected. Another program has changed it: take it from a backup."
        )
    return array.astype(dtype, copy=False).reshape(shape)


def with_axes(path: Path, array: Any, shape: tuple[int, ...]) -> Any:
    """Restore the axes of length 1 that TIFF readers drop, in an array or a `LazyTiff`.

    Raises
    ------
    FileError
        If the array has another shape apart from axes of length 1.
    """
    found, wanted = ([side for side in one if side != 1] for one in (array.shape, shape))
    if found != wanted:
        raise FileError(
            f"{path} is {array.shape} and was {shape}. Another program has changed it: take it "
            "from a backup."
        )
    return replace(array, shape=shape) if isinstance(array, LazyTiff) else array.reshape(shape)


def _saved_shape(shape: tuple[int, ...]) -> tuple[int, ...]:
    """Merge leading axes to at most four, as older versions did in the TIFF files of stacks."""
    return shape if len(shape) <= _MOST_AXES else (math.prod(shape[:-2]), *shape[-2:])


# ---------------------------------------------------------------------- deleting files


def remove(folder: Path, names: Iterable[str]) -> None:
    """Delete files and folders; one that is open in another program stays until the next save."""
    for name in names:
        if (folder / name).is_dir():
            shutil.rmtree(folder / name, ignore_errors=True)
        with suppress(OSError):
            (folder / name).unlink(missing_ok=True)


def sweep(folder: Path, file: str, keep: AnnotationRecord, *, in_use_too: bool = False) -> None:
    """Delete the arrays of older and interrupted saves of an image.

    Call right after a save: a simultaneous save of another program then fails with an error.
    Labels that an annotation of this process still reads, such as one whose layer was removed, stay
    unless `in_use_too`.
    """
    beside = re.compile(rf"\.{re.escape(file)}\.json\.[0-9a-f]{{8}}\.tmp")
    stored = _stored(file)

    def is_old(name: str) -> bool:
        if name in (keep.labels, keep.edit_mask):
            return False
        if stored.fullmatch(name):
            return in_use_too or not in_use(folder / name)
        return bool(_named(file).fullmatch(name) or beside.fullmatch(name))

    with suppress(OSError):
        names = [path.name for path in folder.iterdir()]
        remove(folder, tuple(filter(is_old, names)))


def make_folder(folder: Path) -> None:
    """Create the annotations folder, but not the project folder, whose disk may be disconnected.

    Raises
    ------
    FileError
    """
    try:
        folder.mkdir(exist_ok=True)
    except FileNotFoundError:
        raise FileError(
            f"Cannot write {folder}: the project's folder is gone. Is its disk connected?"
        ) from None
    except OSError as error:
        raise cannot("write", folder, error) from error
