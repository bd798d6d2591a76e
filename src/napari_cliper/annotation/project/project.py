"""An annotation project: a folder with everything of an annotation except the models.

    project.cliper.json     the list of images and the current one (`image_list`)
    classes.yaml            the classes, in the exchange format (`io.class_list`)
    prototypes.safetensors  visual prototypes of the classes, if learned (`io.prototype_file`)
    settings.json           thresholds and the engine's configuration (`settings`)
    annotations/            labels, edit mask and record of each image (`annotation_record`)
    copies/                 pixels of images that have no file of their own, as TIFF
    predictions/            predictions of *Run on all images* (`prediction_store`)
    backups/                files as they were before a class was changed (`class_edits`)

All files are in formats that other programs read. Saves are atomic: a process that is killed
while saving leaves the previous annotation (see `annotation_record`).

Several programs, or people on a shared disk, may have a project open. Changes that another
program saved after they were loaded here are never overwritten silently: the save fails with
`ChangedOnDiskError`, and nothing is lost on either side. There is no lock file, which a killed
process would leave behind.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING

from ...io.files import FileError, cannot
from ...io.json_records import encoded
from ...io.resumed_files import finish_moves
from ...labels.label_class import ClassRow
from ...segmentation import Monitor, SegmentationConfig, Thresholds, atomic
from ..class_change import ClassChange, pixels_of
from ..edit_mask import AnnotationState
from ..user_hints import CLICKS, clicks_in
from .annotation_record import AnnotationRecord, Status
from .class_edits import ClassChanged, ClassPixels, change_class
from .image_edits import ProjectImageEdits
from .image_files import is_there
from .image_list import (
    FILE,
    ImageList,
)
from .prediction_store import ImageIdentity, PredictionKey, StoredPrediction
from .settings import ProjectSettings
from .settings_files import SettingsFiles, free_names

if TYPE_CHECKING:
    from ...segmentation import Prototypes


def is_project(path: str | Path) -> bool:
    """Return whether a path is a project folder or project file; contents are not read."""
    path = Path(path)
    return is_there(path if path.name == FILE else path / FILE)


class Project(ProjectImageEdits):
    """An annotation project; use `create` or `open`.

    Threads can read while another one saves: readers wait only while a small file is replaced,
    and see a save once it is complete. Saves from several threads run one after the other.

    Parameters
    ----------
    folder : Path
    """

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self._settings = SettingsFiles(folder)
        self.completed_change = False
        """Whether `open` has completed a change of a class that was interrupted."""

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
        """Open a project; complete a change of a class that was interrupted.

        Image files that are missing are an error only when they are read.

        Parameters
        ----------
        path : path-like
            The project's folder or project file.

        Raises
        ------
        FileError
            For a path without a project, and for a project file that cannot be read, is
            invalid, or was written by a newer version. If an interrupted change cannot be
            completed.
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
        folder = folder.resolve()
        finished = finish_moves(folder)
        project = cls(folder)
        project.completed_change = finished
        return project

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
        monitor: Monitor | None = None,
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
            Whether to replace changes that another program has saved; of a large image, those of
            the parts of 512 x 512 pixels that have changed here, while its other parts are taken.
        monitor : Monitor, optional
            Told of each chunk of a large image that is saved for the first time.

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
        file = self._list.get(name).file
        self._store.save(file, annotation_record, state, overwrite=overwrite, monitor=monitor)

    def set_status(self, name: str, status: Status) -> None:
        """Set the status of an image without changing its annotation.

        Waits for a save in progress. Changes of other programs are kept.

        Raises
        ------
        FileError
            If it cannot be written.
        """
        self._store.set_status(self._list.get(name).file, name, status)

    def prediction(
        self, name: str, key: PredictionKey, *, any_prototypes: bool = False
    ) -> StoredPrediction | None:
        """Return the prediction of an image that is kept; None if it is missing or out of date.

        Parameters
        ----------
        name : str
        key : PredictionKey
            Of what it must have been made with; see `workflows.predict_images.prediction_key`.
        any_prototypes : bool
            Whether it may have been made with other prototypes.
        """
        return self._predictions.read(
            self._list.get(name).file, self._identity(name), key, any_prototypes=any_prototypes
        )

    def _identity(self, name: str) -> ImageIdentity:
        entry = self._list.get(name)
        display = repr([one.channel for one in entry.channels]) if entry.channels else ""
        digest = sha256(display.encode()).hexdigest() if display else ""
        return ImageIdentity(self.image(name).files, digest)

    def save_prediction(self, name: str, key: PredictionKey, prediction: StoredPrediction) -> None:
        """Keep the prediction of an image, in the place of the one before.

        Raises
        ------
        FileError
            If it cannot be written.
        """
        identity = self._identity(name)
        self._predictions.save(self._list.get(name).file, identity, key, prediction)

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

    # ------------------------------------------------------------------ classes

    def pixels_of_class(self, name: str, monitor: Monitor | None = None) -> ClassPixels:
        """Count the pixels and clicks of a class in all annotations.

        Raises
        ------
        FileError
            For a damaged annotation.
        """
        monitor = monitor or Monitor()
        change = ClassChange(name)
        pixels, clicks, images = 0, 0, []
        entries = self._list.entries
        for index, entry in enumerate(entries):
            monitor.tell("Counting", index, len(entries))
            record = self._store.look(entry.file)
            if record is None or not record.labels:
                continue
            counts = record.pixels
            if counts is None:
                state = self.peek(entry.name)
                here = 0 if state is None else pixels_of(state, name)
            else:
                here = sum(
                    counts.get(label, 0)
                    for label, row in record.classes.items()
                    if change.is_of(row.name)
                )
            clicked = clicks_in(record.record.get(CLICKS))
            hints = sum(len(points) for one, points in clicked.items() if change.is_of(one))
            pixels, clicks = pixels + here, clicks + hints
            images += [entry.name] if here or hints else []
        return ClassPixels(pixels, clicks, tuple(images))

    def change_class(self, change: ClassChange, monitor: Monitor | None = None) -> ClassChanged:
        """Rename, merge or delete a class: in all annotations, the class list and the settings.

        All files are replaced, or none; if the program is killed during the change, `open`
        completes it. Those with annotations or prototypes of the class are copied to a folder in
        ``backups/`` first; see `class_edits`. Saves wait meanwhile.

        Parameters
        ----------
        change : ClassChange
        monitor : Monitor, optional

        Raises
        ------
        ChangedOnDiskError
            If another program has changed a file since it was loaded or saved here.
        FileError
            For a damaged annotation, or if files cannot be written.
        InvalidInputError
            For words that another class has.
        """
        return change_class(
            self.folder, self._list, self._store, self._settings, self._lock, change,
            monitor or Monitor(),
        )  # fmt: skip
