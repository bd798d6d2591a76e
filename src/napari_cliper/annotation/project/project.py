"""An annotation project: a folder with everything of an annotation except the models.

    project.cliper.json     the list of images and the current one (`image_list`)
    classes.yaml            the classes, in the exchange format (`io.class_list`)
    prototypes.safetensors  visual prototypes of the classes, if learned (`io.prototype_file`)
    settings.json           thresholds and the engine's configuration (`settings`)
    annotations/            labels, edit mask and record of each image (`annotation_record`)
    copies/                 pixels of images that have no file of their own, as TIFF

All files are in formats that other programs read. Saves are atomic: a process that is killed
while saving leaves the previous annotation (see `annotation_record`).

Several programs, or people on a shared disk, may have a project open. Changes that another
program saved after they were loaded here are never overwritten silently: the save fails with
`ChangedOnDiskError`, and nothing is lost on either side. There is no lock file, which a killed
process would leave behind.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from numpy.typing import NDArray

from ...io.filenames import Names
from ...io.files import FileError, cannot
from ...io.images import read_image_with_axes
from ...io.json_records import content_of, encoded, understood
from ...labels.axes import axes_from_names
from ...labels.label_class import ClassRow
from ...segmentation import InvalidInputError, SegmentationConfig, Thresholds, atomic
from ..edit_mask import AnnotationState
from .annotation_record import AnnotationRecord, Status, remove, with_axes
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
from .settings import ProjectSettings
from .settings_files import SettingsFiles, free_names

if TYPE_CHECKING:
    from ...segmentation import Prototypes


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
    """

    name: str
    path: Path
    status: Status


def is_project(path: str | Path) -> bool:
    """Return whether a path is a project folder or project file; contents are not read."""
    path = Path(path)
    return is_there(path if path.name == FILE else path / FILE)


class Project:
    """An annotation project; use `create` or `open`.

    Threads can read while another one saves: readers wait only while a small file is replaced,
    and see a save once it is complete. Saves from several threads run one after the other.

    Parameters
    ----------
    folder : Path
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._lock = threading.RLock()  # held only while a small file is read or written
        self._adding = threading.Lock()  # held while pixels are copied
        self._store = AnnotationStore(folder / ANNOTATIONS)
        self._settings = SettingsFiles(folder)
        self._places: dict[Entry, Path] = {}  # cached, because network disks are slow
        self._list = ImageList()
        self._read_list()
        self._current = self._list.current

    @classmethod
    def create(cls, folder: str | Path, images: Sequence[str | Path] = ()) -> Project:
        """Create a project.

        Parameters
        ----------
        folder : path-like
            Created if missing. It may contain other files, such as the images; they are not
            changed. If one of them is named ``classes.yaml``, for example, the project's file is
            named ``project classes.yaml``.
        images : sequence of path-like
            Image files in the order of annotation (see `images_in` for those of a folder). They
            are not moved or copied.

        Raises
        ------
        FileError
            If there is already a project, an image is missing, or the folder cannot be written.
        InvalidInputError
            For an image that is given twice.
        """
        folder = Path(folder)
        if is_project(folder):
            raise FileError(f"{folder} is already a project. Open it, or choose another folder.")
        try:
            folder = folder.resolve()
            files = free_names(folder)
            found = ImageList(files=files).with_files(folder, images)
            folder.mkdir(parents=True, exist_ok=True)
            atomic.write(folder / FILE, encoded(found.to_record(), FILE))
        except OSError as error:
            raise cannot("write", folder, error) from error
        return cls(folder)

    @classmethod
    def open(cls, path: str | Path) -> Project:
        """Open a project.

        Missing image files are not an error (see `missing`).

        Parameters
        ----------
        path : path-like
            The project's folder or project file.

        Raises
        ------
        FileError
            For a path without a project, and for a project file that cannot be read, is
            invalid, or was written by a newer version.
        """
        path = Path(path)
        folder = path.parent if path.name == FILE else path
        if not is_project(path):
            try:
                if not folder.exists():
                    raise FileError(f"There is no folder {folder}. Check the name.")
            except OSError as error:
                raise cannot("read", folder, error) from error
            raise FileError(
                f"There is no annotation project in {folder}: {FILE} is missing. Choose the folder "
                "that contains it."
            )
        return cls(folder.resolve())

    # ------------------------------------------------------------------ the images

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

    def read_image(self, name: str) -> NDArray[Any]:
        """Return only the pixels of `read_image_with_axes`."""
        return self.read_image_with_axes(name)[0]

    def read_image_with_axes(self, name: str) -> tuple[NDArray[Any], str]:
        """Read an image's pixels and the letter of each axis; see `io.images`.

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
        pixels, axes = read_image_with_axes(path)
        if entry.is_copy:
            ndim = len(entry.shape) - (pixels.ndim - len(axes))
            pixels = with_axes(path, pixels, entry.shape)
            axes = axes_from_names(entry.axes, ndim)
        shape = () if annotation_record is None else annotation_record.shape
        if pixels.shape[: len(shape)] != shape:
            raise FileError(
                f"The image {path} has the shape {pixels.shape}, but its annotation has {shape}. "
                "Restore the image that was annotated, or add this one under another name."
            )
        return pixels, axes

    # ------------------------------------------------------------------ annotations

    def load(self, name: str) -> AnnotationState | None:
        """Load the annotation of an image for editing; `save` may replace this version.

        Returns
        -------
        AnnotationState or None
            None if nothing was saved.

        Raises
        ------
        FileError
            For files that are damaged or missing, or were replaced by something else.
        """
        return self._store.read(self._list.get(name).file, to_go_on=True)

    def peek(self, name: str) -> AnnotationState | None:
        """Load the annotation of an image without editing it.

        Unlike `load`, this does not allow a later `save` to replace changes of other programs.
        """
        return self._store.read(self._list.get(name).file, to_go_on=False)

    def thresholds(self, name: str) -> Thresholds | None:
        """Return the thresholds saved with an image's annotation; None if there are none.

        Raises
        ------
        FileError
            For a damaged annotation record.
        """
        annotation_record = self._store.look(self._list.get(name).file)
        return None if annotation_record is None else annotation_record.thresholds

    def saved_at(self, name: str) -> datetime | None:
        """Return when an image's annotation was last saved, in local time; None if never.

        Raises
        ------
        FileError
            For a damaged annotation record.
        """
        annotation_record = self._store.look(self._list.get(name).file)
        if annotation_record is None or not annotation_record.saved:
            return None
        try:
            return datetime.fromisoformat(annotation_record.saved).astimezone()
        except ValueError:
            return None

    def save(
        self,
        name: str,
        state: AnnotationState,
        status: Status = "started",
        *,
        thresholds: Thresholds | None = None,
        overwrite: bool = False,
    ) -> None:
        """Save the annotation of an image; it is on disk (fsync) when this returns.

        Parameters
        ----------
        name : str
        state : AnnotationState
            Its arrays must not change during the save: pass copies of arrays being edited.
        status : {'open', 'started', 'done'}
        thresholds : Thresholds, optional
            Thresholds of the prediction.
        overwrite : bool
            Whether to replace changes that another program has saved.

        Raises
        ------
        ChangedOnDiskError
            If another program has saved the annotation since it was loaded or saved here.
        FileError
            If it cannot be written; the previous version is kept.
        InvalidInputError
            For a state that could not be read again, such as one without pixels.
        """
        annotation_record = AnnotationRecord(
            name, status, classes=state.classes, thresholds=thresholds, record=state.record
        )
        self._store.save(self._list.get(name).file, annotation_record, state, overwrite=overwrite)

    def set_status(self, name: str, status: Status) -> None:
        """Set the status of an image without changing its annotation.

        Waits for a save in progress. Changes of other programs are kept.

        Raises
        ------
        FileError
            If it cannot be written.
        """
        self._store.set_status(self._list.get(name).file, name, status)

    # ------------------------------------------------------------------ settings

    def settings(self) -> ProjectSettings:
        """Load classes, prototypes, thresholds and configuration; defaults if not saved.

        Raises
        ------
        FileError
            For a file that cannot be read or is invalid; the message names the position.
        """
        with self._lock:
            return self._settings.read(self._list.files)

    def save_settings(
        self,
        classes: Sequence[ClassRow],
        thresholds: Thresholds,
        config: SegmentationConfig,
        *,
        prototypes: Prototypes | None = None,
        prototype_weight: float | None = None,
        overwrite: bool = False,
    ) -> None:
        """Save the settings shared by all images; see `settings`.

        The class list is written first, as a separate file that can be exchanged alone. If the
        second write fails, thresholds of missing classes have no effect.

        Raises
        ------
        ChangedOnDiskError
            If another program has changed the files since they were read or saved here.
        FileError
            If they cannot be written.
        InvalidInputError
            For values that are not finite numbers.
        """
        settings = ProjectSettings(tuple(classes), thresholds, config, prototypes, prototype_weight)
        with self._lock:
            self._settings.save(self._list.files, settings, overwrite=overwrite)

    # ------------------------------------------------------------------ the list

    def _image(self, entry: Entry) -> ProjectImage:
        annotation_record = self._store.known(entry.file)
        status = "open" if annotation_record is None else annotation_record.status
        return ProjectImage(entry.name, self._places[entry], status)

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
