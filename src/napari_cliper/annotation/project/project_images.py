"""The images of a project: which there are, which is looked at, and their pixels."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...io.axis_slice import AxisSlice
from ...io.files import FileError, cannot
from ...io.images import Pixels, open_image_with_axes, pixel_sizes_of
from ...io.json_records import content_of, encoded, understood
from ...labels.axes import axes_from_names
from ...segmentation import Composite, InvalidInputError, atomic
from .annotation_record import Status, with_axes
from .annotation_store import AnnotationStore
from .channel_group import StoredChannel
from .image_files import is_there
from .image_list import (
    ANNOTATIONS,
    FILE,
    Entry,
    ImageList,
    list_from_record,
)
from .prediction_store import PREDICTIONS, PredictionStore


@dataclass(frozen=True)
class ProjectImage:
    """One image of a project.

    Parameters
    ----------
    name : str
        Unique within the project.
    path : Path
        The image file, which may be missing; of a group of channels, the first.
    status : {'open', 'started', 'done'}
    classes : tuple of str
        Names of the classes that have a pixel in its annotation. In files of older versions, which
        have no counts, of all classes of the annotation.
    files : tuple of Path
        All files that the image is read from.
    is_group : bool
        Whether the image is a group of channels that are shown together.
    """

    name: str
    path: Path
    status: Status
    classes: tuple[str, ...] = ()
    files: tuple[Path, ...] = ()
    is_group: bool = False


class ProjectImages:
    """The images of a project, each with its place and its status; see `Project`.

    Parameters
    ----------
    folder : Path
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._lock = threading.RLock()  # held only while a small file is read or written
        self._store = AnnotationStore(folder / ANNOTATIONS)
        self._predictions = PredictionStore(folder / PREDICTIONS)
        self._places: dict[Entry, tuple[Path, ...]] = {}  # cached, because network disks are slow
        self._list = ImageList()
        self._read_list()
        self._current = self._list.current

    @property
    def images(self) -> tuple[ProjectImage, ...]:
        """The images in their order."""
        with self._lock:
            return tuple(self._image(entry) for entry in self._list.entries)

    @property
    def current(self) -> ProjectImage | None:
        """The image that was opened last; None if there is none."""
        with self._lock:
            names = {entry.name for entry in self._list.entries}
            return self.image(self._current) if self._current in names else None

    def image(self, name: str) -> ProjectImage:
        """Return the image with a name.

        Raises
        ------
        InvalidInputError
            For an unknown name; this holds for all methods below.
        """
        with self._lock:
            return self._image(self._list.get(name))

    def go_to(self, name: str) -> ProjectImage:
        """Make an image the current one.

        Raises
        ------
        FileError
            If this cannot be saved; the image is still the current one until the project is
            closed.
        """
        with self._lock:
            found = self.image(name)
            self._current = name
            self._change_list(lambda images: images)
            return found

    def open_image(self, name: str) -> tuple[Pixels | Composite, str]:
        """Return an image's pixels and the letter of each axis; see `io.images`.

        Those of a large stack, OME-Zarr or tiled TIFF are read where they are indexed. Axes that
        the file does not name have the names of `name_axes`. A group of channels is a `Composite`.

        Raises
        ------
        FileError
            For a file that is missing or not an image, and for an image whose size differs from
            that of its annotation.
        """
        entry = self._list.get(name)
        annotation_record = self._store.known(entry.file)
        path = entry.place(self.folder)
        if entry.channels:
            pixels: Any = self._composite(entry)
            axes = entry.axes
        else:
            pixels, axes = self._open(name, path, entry.shape)
            if entry.is_copy:
                axes = axes_from_names(entry.axes, len(axes))
        axes = self._list.axes.get(axes, axes)
        shape = () if annotation_record is None else annotation_record.shape
        if pixels.shape[: len(shape)] != shape:
            raise FileError(
                f"The image {path} has the shape {pixels.shape}, but its annotation has {shape}. "
                "Restore the image that was annotated, or add this one under another name."
            )
        return pixels, axes

    @staticmethod
    def _open(name: str, path: Path, shape: tuple[int, ...]) -> tuple[Any, str]:
        """The pixels of a file, with the shape of a copy, and the letters of its axes."""
        if not is_there(path):
            raise FileError(f"The image {name!r} is no longer at {path}. Put it back there.")
        pixels, axes = open_image_with_axes(path)
        if not shape:
            return pixels, axes
        colours = pixels.ndim - len(axes)
        return with_axes(path, pixels, shape), axes_from_names(None, len(shape) - colours)

    def _composite(self, entry: Entry) -> Composite:
        """The channels of a group as one RGB image, which is combined where it is indexed."""
        planes = []
        for one in entry.channels:
            path = one.place(self.folder)
            pixels, _ = self._open(f"{entry.name}, {one.channel.name}", path, one.shape)
            if one.axis is not None:
                if one.axis >= pixels.ndim or one.index >= pixels.shape[one.axis]:
                    raise FileError(
                        f"{path} has the shape {tuple(pixels.shape)}, without channel {one.index} "
                        f"of {entry.name!r}. Restore the file as it was."
                    )
                keep = len(entry.axes) == pixels.ndim
                pixels = AxisSlice(pixels, one.axis, one.index, keep=keep)
            planes.append(pixels)
        try:
            return Composite(planes, [one.channel for one in entry.channels])
        except InvalidInputError as error:
            raise FileError(f"{entry.name!r}: {error}") from error

    def channels(self, name: str) -> tuple[StoredChannel, ...]:
        """Return the channels of a group; empty for another image."""
        return self._list.get(name).channels

    def read_image(self, name: str) -> NDArray[Any]:
        """Return all pixels of an image; see `open_image`."""
        return np.asarray(self.open_image(name)[0])

    def pixel_sizes(self, name: str) -> Mapping[str, tuple[float, str]]:
        """Return the pixel sizes that an image's file gives; see `io.images.pixel_sizes_of`."""
        return pixel_sizes_of(self._list.get(name).place(self.folder))

    @property
    def named_axes(self) -> Mapping[str, str]:
        """The axes that were named for images without axis names; see `ImageList.axes`."""
        return self._list.axes

    # ------------------------------------------------------------------ the list

    def _image(self, entry: Entry) -> ProjectImage:
        annotation_record, files = self._store.known(entry.file), self._places[entry]
        status: Status = "open" if annotation_record is None else annotation_record.status
        classes: tuple[str, ...] = ()
        if annotation_record is not None:
            counts = annotation_record.pixels
            classes = tuple(
                row.name
                for label, row in annotation_record.classes.items()
                if counts is None or label in counts
            )
        return ProjectImage(entry.name, files[0], status, classes, files, bool(entry.channels))

    def _read_list(self) -> None:
        path = self.folder / FILE
        content = content_of(path)
        if content is None:
            raise FileError(f"{path} is gone. Is its disk connected?")
        self._adopt(understood(path, content, list_from_record))

    def _change_list(self, change: Callable[[ImageList], ImageList]) -> None:
        """Apply a change to the list as it is on disk now; other programs may have changed it."""
        path = self.folder / FILE
        with self._lock:
            self._read_list()
            try:
                found = change(self._list)
                if any(entry.name == self._current for entry in found.entries):
                    found = replace(found, current=self._current)
                atomic.write(path, encoded(found.to_record(), FILE))
            except OSError as error:
                raise cannot("write", path, error) from error
            self._adopt(found)

    def _adopt(self, found: ImageList) -> None:
        """Use a list, and read paths and annotation records of new images."""
        for entry in found.entries:
            if entry not in self._places:
                self._places[entry] = entry.places(self.folder)
                self._store.known(entry.file)
        self._list = found
