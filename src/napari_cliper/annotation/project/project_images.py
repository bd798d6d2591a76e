"""The images of a project: which there are, in which order, and which is looked at."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...io.filenames import Names
from ...io.files import FileError, cannot
from ...io.images import Pixels, open_image_with_axes, pixel_sizes_of
from ...io.json_records import content_of, encoded, understood
from ...labels.axes import axes_from_names
from ...segmentation import InvalidInputError, atomic
from .annotation_record import Status, remove, with_axes
from .annotation_store import AnnotationStore
from .image_files import is_there, write_copy
from .image_list import (
    ANNOTATIONS,
    COPIES,
    FILE,
    Entry,
    ImageList,
    found_again,
    free_files,
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
        The image file, which may be missing.
    status : {'open', 'started', 'done'}
    classes : tuple of str
        Names of the classes that have a pixel in its annotation. In files of older versions, which
        have no counts, of all classes of the annotation.
    """

    name: str
    path: Path
    status: Status
    classes: tuple[str, ...] = ()


class ProjectImages:
    """The images of a project, each with its place and its status; see `Project`.

    Parameters
    ----------
    folder : Path
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._lock = threading.RLock()  # held only while a small file is read or written
        self._adding = threading.Lock()  # held while pixels are copied
        self._store = AnnotationStore(folder / ANNOTATIONS)
        self._predictions = PredictionStore(folder / PREDICTIONS)
        self._places: dict[Entry, Path] = {}  # cached, because network disks are slow
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

    @property
    def missing(self) -> tuple[ProjectImage, ...]:
        """The images whose files are missing."""
        return tuple(image for image in self.images if not is_there(image.path))

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

    def reorder(self, names: Sequence[str]) -> tuple[ProjectImage, ...]:
        """Change the order of the images.

        Parameters
        ----------
        names : sequence of str
            The new order. Images that are not listed, for example because another program added
            them, come last.

        Returns
        -------
        tuple of ProjectImage
            In the new order.

        Raises
        ------
        FileError
            If the list cannot be written; the order is then unchanged.
        InvalidInputError
            For an unknown name, or one that is given twice.
        """
        with self._lock:
            self._change_list(lambda found: found.ordered(names))
            return self.images

    def add_files(self, images: Sequence[str | Path]) -> tuple[ProjectImage, ...]:
        """Append image files to the list.

        Returns
        -------
        tuple of ProjectImage
            The new images.

        Raises
        ------
        FileError
            For a missing file, or if the list cannot be written.
        InvalidInputError
            For an image that is already in the project.
        """
        with self._lock:
            before = {entry.name for entry in self._list.entries}
            self._change_list(lambda found: found.with_files(self.folder, images))
            return tuple(image for image in self.images if image.name not in before)

    def add_image(
        self,
        name: str,
        array: NDArray[Any],
        *,
        rgb: bool = False,
        axes: str = "",
        keep_pixels: bool = True,
    ) -> ProjectImage:
        """Append an image without a file to the list, with a copy of its pixels.

        Parameters
        ----------
        name : str
            Any characters; a number is appended if another image has this name.
        array : (..., Y, X) or (..., Y, X, C) array
            Saved as a losslessly compressed TIFF.
        rgb : bool
            Whether the last axis is colour: red, green, blue and optionally alpha.
        axes : str
            One letter per axis except the colour axis (see `labels.axes`); by default, leading
            axes are unknown.
        keep_pixels : bool
            If False, no copy is written, for very large images. The image is then `missing`, but
            its annotation is saved.

        Raises
        ------
        FileError
            If the copy or the list cannot be written; the project is then unchanged.
        InvalidInputError
            For an array that is not an image.
        """
        if array.ndim < 2 or array.size == 0 or array.dtype.kind not in "buifc":
            raise InvalidInputError(
                f"An array of shape {array.shape} and type {array.dtype} is not an image. Give a "
                "numeric array with rows and columns."
            )
        with self._adding:
            with self._lock:
                self._read_list()
                found = self._list
            own = Names(one.name for one in found.entries).first_free(name or "image")
            file = free_files(self.folder, found).as_file(own)
            entry = Entry(own, file, f"{COPIES}/{file}.tif", shape=array.shape, axes=axes)
            if keep_pixels:
                write_copy(self.folder / entry.path, array, rgb=rgb)
            try:
                self._change_list(lambda images: images.with_entry(entry))
            except BaseException:  # on any error, leave no copy of an image that is not listed
                remove(self.folder, (entry.path,))
                raise
            return self.image(own)

    def remove_image(self, name: str) -> None:
        """Remove an image from the list, and delete its annotation and its copy, if any.

        The image file itself is not deleted.

        Raises
        ------
        FileError
            If the list cannot be written; the project is then unchanged.
        """
        entry = self._list.get(name)
        self._change_list(lambda found: found.without(name))
        self._store.remove(entry.file)
        self._predictions.remove(entry.file)
        copy = f"{COPIES}/{entry.file}.tif"
        if entry.is_copy and entry.path == copy:
            remove(self.folder, (copy,))

    def find_images(self, folder: str | Path) -> tuple[ProjectImage, ...]:
        """Find missing image files in a folder and its subfolders.

        A file matches an image if it has the same name and size in bytes, and is the only such
        file.

        Returns
        -------
        tuple of ProjectImage
            The images that are still missing.

        Raises
        ------
        FileError
            If the folder does not exist, or the list cannot be written.
        """
        lost = {image.name for image in self.missing}
        entries = [one for one in self._list.entries if one.name in lost and not one.is_copy]
        places = found_again(Path(folder), entries)
        if places:
            self._change_list(lambda found: found.moved(self.folder, places))
        return self.missing

    def open_image(self, name: str) -> tuple[Pixels, str]:
        """Return an image's pixels and the letter of each axis; see `io.images`.

        Those of a large stack, OME-Zarr or tiled TIFF are read where they are indexed. Axes that
        the file does not name have the names of `name_axes`.

        Raises
        ------
        FileError
            For a file that is missing or not an image, and for an image whose size differs from
            that of its annotation.
        """
        entry = self._list.get(name)
        annotation_record = self._store.known(entry.file)
        path = entry.place(self.folder)
        if not is_there(path):
            raise FileError(f"The image {name!r} is no longer at {path}. Put it back there.")
        pixels, axes = open_image_with_axes(path)
        if entry.is_copy:
            ndim = len(entry.shape) - (pixels.ndim - len(axes))
            pixels = with_axes(path, pixels, entry.shape)
            axes = axes_from_names(entry.axes, ndim)
        axes = self._list.axes.get(axes, axes)
        shape = () if annotation_record is None else annotation_record.shape
        if pixels.shape[: len(shape)] != shape:
            raise FileError(
                f"The image {path} has the shape {pixels.shape}, but its annotation has {shape}. "
                "Restore the image that was annotated, or add this one under another name."
            )
        return pixels, axes

    def read_image(self, name: str) -> NDArray[Any]:
        """Return all pixels of an image; see `open_image`."""
        return np.asarray(self.open_image(name)[0])

    def pixel_sizes(self, name: str) -> Mapping[str, tuple[float, str]]:
        """Return the pixel sizes that an image's file gives; see `io.images.pixel_sizes_of`."""
        return pixel_sizes_of(self._list.get(name).place(self.folder))

    # ------------------------------------------------------------------ axes

    @property
    def named_axes(self) -> Mapping[str, str]:
        """The axes that were named for images without axis names; see `ImageList.axes`."""
        return self._list.axes

    def name_axes(self, asked: str, answer: str) -> None:
        """Name the axes of all images whose files do not name them.

        Parameters
        ----------
        asked : str
            The letters that the files give, such as ``"QYX"``.
        answer : str
            One letter per axis; `labels.axes.UNKNOWN` stays for an axis of another kind.

        Raises
        ------
        FileError
            If the list cannot be written; the names are then unchanged.
        """
        with self._lock:
            self._change_list(lambda found: replace(found, axes={**found.axes, asked: answer}))

    # ------------------------------------------------------------------ the list

    def _image(self, entry: Entry) -> ProjectImage:
        annotation_record = self._store.known(entry.file)
        if annotation_record is None:
            return ProjectImage(entry.name, self._places[entry], "open")
        counts = annotation_record.pixels
        classes = tuple(
            row.name
            for label, row in annotation_record.classes.items()
            if counts is None or label in counts
        )
        return ProjectImage(entry.name, self._places[entry], annotation_record.status, classes)

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
                self._places[entry] = entry.place(self.folder)
                self._store.known(entry.file)
        self._list = found
