"""An annotation project: a folder that keeps all of an annotation but the networks.

    project.cliper.json     the images and which is looked at (`project_file`)
    classes.yaml            the classes, as they are exchanged anywhere else (`export.classes`)
    prototypes.safetensors  what they look like, where that was learned (`export.prototypes`)
    settings.json           thresholds and the engine's configuration (`settings`)
    annotations/            of each image labels, marks and a sheet (`stored`, `sheets`)
    copies/                 the pixels of images that have no file of their own, as TIFF

Everything is in formats that other programs read. A save happens whole or not at all: a process
that is killed in the middle of one leaves the annotation as it was before (`stored` says how).

Two programs, or two people on one disk, may have a project open. What another one has
saved since it was loaded here is never replaced unasked: the save is refused with
`ChangedOnDiskError`, and nothing is lost on either side. There is no lock file, which a
killed process would leave behind.
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
from ...io.images import read_picture_with_axes
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
        No two images of a project have the same.
    path : Path
        Its file, or where that should be.
    status : {'open', 'started', 'done'}
    """

    name: str
    path: Path
    status: Status


def is_project(path: str | Path) -> bool:
    """Whether a path is a project's folder or its project file; looks at names alone."""
    path = Path(path)
    return is_there(path if path.name == FILE else path / FILE)


class Project:
    """An annotation project; made by `create` and `open`.

    One thread may save while others read: a save in progress keeps nobody waiting for longer
    than it takes to replace a small file, and is not seen before it is done. Saves from
    several threads happen one after the other.

    Parameters
    ----------
    folder : Path
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._lock = threading.RLock()  # held for the moment that a small file takes
        self._adding = threading.Lock()  # held while pixels are copied
        self._store = AnnotationStore(folder / ANNOTATIONS)
        self._settings = SettingsFiles(folder)
        self._places: dict[Entry, Path] = {}  # looking takes a while on a network's disk
        self._list = ImageList()
        self._read_list()
        self._current = self._list.current

    @classmethod
    def create(cls, folder: str | Path, images: Sequence[str | Path] = ()) -> Project:
        """Begin a project.

        Parameters
        ----------
        folder : path-like
            Made where it is missing; it may hold other files, the images themselves too. These
            stay as they are: where one is called ``classes.yaml``, say, the project's is called
            ``project classes.yaml``.
        images : sequence of path-like
            Image files in the order in which they are to be annotated (`images_in` for those of
            a folder). They stay where they are.

        Raises
        ------
        FileError
            Where there is a project already, for images that are not there, and for a folder
            that cannot be written.
        InvalidInputError
            For an image that is given twice.
        """
        folder = Path(folder)
        if is_project(folder):
            raise FileError(f"{folder} is a project already. Open it, or choose another folder.")
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

        Images that are not where they were do not keep it from opening (see `missing`).

        Parameters
        ----------
        path : path-like
            Its folder or its project file.

        Raises
        ------
        FileError
            For a path without a project, a project file that cannot be read or understood,
            and one that a newer version has written.
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
                "that has one."
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
        """The image that was looked at last."""
        with self._lock:
            names = {entry.name for entry in self._list.entries}
            return self.image(self._current) if self._current in names else None

    @property
    def missing(self) -> tuple[ProjectImage, ...]:
        """The images whose files are not there."""
        return tuple(image for image in self.images if not is_there(image.path))

    def image(self, name: str) -> ProjectImage:
        """The image of a name.

        Raises
        ------
        InvalidInputError
            For a name that no image has, as everywhere below.
        """
        with self._lock:
            return self._image(self._list.get(name))

    def go_to(self, name: str) -> ProjectImage:
        """Make an image the current one.

        Raises
        ------
        FileError
            Where that cannot be written; it is the current one all the same, until the project
            is closed.
        """
        with self._lock:
            found = self.image(name)
            self._current = name
            self._change_list(lambda images: images)
            return found

    def reorder(self, names: Sequence[str]) -> tuple[ProjectImage, ...]:
        """Put the images into another order.

        Parameters
        ----------
        names : sequence of str
            Those that are not among them, as others may have added some, come behind them.

        Returns
        -------
        tuple of ProjectImage
            In the new order.

        Raises
        ------
        FileError
            Where the list cannot be written; the order is then as before.
        InvalidInputError
            For a name that no image has, and one that is given twice.
        """
        with self._lock:
            self._change_list(lambda found: found.ordered(names))
            return self.images

    def add_files(self, images: Sequence[str | Path]) -> tuple[ProjectImage, ...]:
        """Put image files at the end of the list.

        Raises
        ------
        FileError
            For files that are not there, and where the list cannot be written.
        InvalidInputError
            For an image that the project has already.
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
        """Put an image that has no file at the end of the list, with a copy of its pixels.

        Parameters
        ----------
        name : str
            Any characters; a number is put behind it where another image has it.
        array : (..., Y, X) or (..., Y, X, C) array
            Kept as TIFF, compressed without loss.
        rgb : bool
            Whether the last axis holds red, green, blue and perhaps alpha, so that other
            programs show them as colours.
        axes : str
            A letter for each axis but that of the colours (see `export.axes`); by default
            the leading ones are unknown.
        keep_pixels : bool
            False leaves the copy out, of an image that is too large for it; the image is then
            `missing`, and its annotation is kept all the same.

        Raises
        ------
        FileError
            For a full disk and the like; the project is then as before.
        InvalidInputError
            For arrays that are no image.
        """
        if array.ndim < 2 or array.size == 0 or array.dtype.kind not in "buifc":
            raise InvalidInputError(
                f"An array {array.shape} of {array.dtype} is no image. Give numbers with rows and "
                "columns."
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
            except BaseException:  # whatever happened, an image off the list leaves no copy
                remove(self.folder, (entry.path,))
                raise
            return self.image(own)

    def remove_image(self, name: str) -> None:
        """Take an image off the list, and delete its annotation and the copy of its pixels.

        A file of the image's own stays.

        Raises
        ------
        FileError
            Where the list cannot be written; all is then as before.
        """
        entry = self._list.get(name)
        self._change_list(lambda found: found.without(name))
        self._store.remove(entry.file)
        copy = f"{COPIES}/{entry.file}.tif"
        if entry.is_copy and entry.path == copy:
            remove(self.folder, (copy,))

    def find_images(self, folder: str | Path) -> tuple[ProjectImage, ...]:
        """Look for images that are not where they were, in a folder and those inside it.

        A file is taken for the image when its name and its size in bytes are the same, and no
        other file there is like it.

        Returns
        -------
        tuple of ProjectImage
            Those that are still missing.

        Raises
        ------
        FileError
            For a folder that is none, and where the list cannot be written.
        """
        lost = {image.name for image in self.missing}
        entries = [one for one in self._list.entries if one.name in lost and not one.is_copy]
        places = found_again(Path(folder), entries)
        if places:
            self._change_list(lambda found: found.moved(self.folder, places))
        return self.missing

    def read_image(self, name: str) -> NDArray[Any]:
        """The pixels of `read_image_with_axes` alone."""
        return self.read_image_with_axes(name)[0]

    def read_image_with_axes(self, name: str) -> tuple[NDArray[Any], str]:
        """An image's pixels and a letter for each axis (`export.pictures`).

        Raises
        ------
        FileError
            For a file that is missing or no image, and for one that has another size than the
            image's annotation.
        """
        entry = self._list.get(name)
        annotation_record = self._store.known(entry.file)
        path = entry.place(self.folder)
        if not is_there(path):
            raise FileError(f"The image {name!r} is no longer at {path}. Put it back there.")
        pixels, axes = read_picture_with_axes(path)
        if entry.is_copy:
            ndim = len(entry.shape) - (pixels.ndim - len(axes))
            pixels = with_axes(path, pixels, entry.shape)
            axes = axes_from_names(entry.axes, ndim)
        shape = () if annotation_record is None else annotation_record.shape
        if pixels.shape[: len(shape)] != shape:
            raise FileError(
                f"The image {path} is {pixels.shape}, and its annotation is {shape}. Put back the "
                "file that was annotated, or add this one under another name."
            )
        return pixels, axes

    # ------------------------------------------------------------------ annotations

    def load(self, name: str) -> AnnotationState | None:
        """The annotation of an image, to go on with: what `save` will replace.

        Returns
        -------
        AnnotationState or None
            None where nothing was saved.

        Raises
        ------
        FileError
            For files that are damaged, missing, or changed into something else.
        """
        return self._store.read(self._list.get(name).file, to_go_on=True)

    def peek(self, name: str) -> AnnotationState | None:
        """The annotation of an image as `load` gives it, to look at only.

        A later `save` minds other programs' changes since `load` as if nobody had looked.
        """
        return self._store.read(self._list.get(name).file, to_go_on=False)

    def thresholds(self, name: str) -> Thresholds | None:
        """The thresholds that were saved with an image's annotation.

        Raises
        ------
        FileError
            For a sheet that is damaged.
        """
        annotation_record = self._store.look(self._list.get(name).file)
        return None if annotation_record is None else annotation_record.thresholds

    def saved_at(self, name: str) -> datetime | None:
        """When an image's annotation was saved last, in local time; None where it was not.

        Raises
        ------
        FileError
            For a sheet that is damaged.
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
        """Keep the annotation of an image; when this returns it is on the disk.

        Parameters
        ----------
        name : str
        state : AnnotationState
            Nobody may change its arrays meanwhile: hand over copies of what is edited.
        status : {'open', 'started', 'done'}
        thresholds : Thresholds, optional
            Those that the prediction was made with.
        overwrite : bool
            Whether to replace what another program has saved meanwhile.

        Raises
        ------
        ChangedOnDiskError
            Where there is another annotation than the one that was loaded or saved here.
        FileError
            For a full disk, a read-only folder and the like. What was saved before stays.
        InvalidInputError
            For a state that could not be read again.
        """
        annotation_record = AnnotationRecord(
            name, status, classes=state.classes, thresholds=thresholds, record=state.record
        )
        self._store.save(self._list.get(name).file, annotation_record, state, overwrite=overwrite)

    def set_status(self, name: str, status: Status) -> None:
        """Say how far an image is, its annotation as it is; waits for a save in progress.

        Raises
        ------
        FileError
            As `save`, but for other programs' changes, which stay.
        """
        self._store.set_status(self._list.get(name).file, name, status)

    # ------------------------------------------------------------------ settings

    def settings(self) -> ProjectSettings:
        """Classes with their prototypes, thresholds, configuration; defaults where none were saved.

        Raises
        ------
        FileError
            For files that cannot be read or understood, with the place in them.
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
        """Keep what goes along from image to image: all that `settings` gives.

        The classes' file is replaced just before that of the rest: they are not one, since the
        list of classes is also exchanged alone, and thresholds of classes that are not there
        have no effect.

        Raises
        ------
        ChangedOnDiskError
            Where the files are others than those that were read or saved here.
        FileError
            For a full disk and the like.
        InvalidInputError
            For numbers that are none.
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
        """Change the list as it is on the disk now: others may have added images."""
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
        """Look at the places and the sheets of images that are new."""
        for entry in found.entries:
            if entry not in self._places:
                self._places[entry] = entry.place(self.folder)
                self._store.known(entry.file)
        self._list = found
