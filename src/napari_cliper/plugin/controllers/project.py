"""The project in the window: navigation between images, and automatic saving.

A change is on disk within two seconds. The first change starts a timer, which later changes do not
restart; then a thread writes a copy. Changing the image and closing the window wait for the write.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from napari.layers import Image
from qtpy.QtCore import QTimer, Signal
from qtpy.QtWidgets import QFileDialog

from ...annotation.project.annotation_record import Status
from ...annotation.project.annotation_store import ChangedOnDiskError
from ...annotation.project.image_files import images_in
from ...annotation.project.project import Project
from ...annotation.project.settings import ProjectSettings
from ...io.files import FileError
from ...segmentation import InvalidInputError
from .. import ui_text
from ..layers.annotation_layer import AnnotationLayer
from ..panels.project_panel import ProjectPanel
from ..state import DockState
from .base import Controller
from .project_files import (
    LoadedImage,
    ProjectImages,
    annotated_images,
    image_layer_of,
    load_image,
    new_project_of,
    open_project,
    save_in_thread,
    save_settings,
    write_image,
)
from .prototype_learning import PrototypeLearning
from .requests import Requests

if TYPE_CHECKING:
    from ...annotation.edit_mask import AnnotationState
    from ...workflows.active_learning import Ranking

SAVE_AFTER = 1500  # milliseconds
DRAWN_AFTER = 50  # milliseconds for the canvas to redraw


class ProjectController(Controller):
    """Opens, shows and saves the project of a dock.

    Parameters
    ----------
    state : DockState
    panel : ProjectPanel
    requests : Requests
        Gives the current settings, and shows those of a project.
    learning : PrototypeLearning
        Learns from images that are done.
    """

    saved_as = Signal(object)
    """Carries the `AnnotationLayer` that was saved to a new project."""
    annotated_changed = Signal(int)
    """Carries the number of images of the project with an annotation."""
    arrived = Signal()
    """Another image of the project is shown."""
    marked_done = Signal(object)
    """Carries the `AnnotationLayer` of an image that was marked as done."""

    def __init__(
        self,
        state: DockState,
        panel: ProjectPanel,
        requests: Requests,
        learning: PrototypeLearning,
    ) -> None:
        super().__init__(panel)
        self._state = state
        self._viewer = state.viewer
        self._panel = panel
        self._annotation_controller = annotation_controller = state.annotations
        self._settings_shown = requests.settings
        self._apply_settings = requests.apply
        self.project: Project | None = None
        self.current = ""
        self.layer: Image | None = None
        self._jobs = self.jobs()
        self._jobs.finished.connect(self._show)
        self.confirm: Callable[[str], bool] = partial(self.asked, ui_text.CHANGED_ON_DISK_TITLE)
        self._wanted = ""  # the image that was requested last
        self._arriving = False  # it has been read and is about to be shown
        self._unsaved: set[str] = set()
        self._writing: tuple[str, ...] = ()  # the image that the job saves
        self._saved_settings: ProjectSettings | None = None  # as on disk
        self._status: dict[str, Status] = {}
        self._uncertain: Mapping[str, float] = {}
        self._opening: Path | None = None
        self.holding = False
        """Whether a class is being changed in all images: none is loaded or saved meanwhile."""
        self._timer = self.timer(SAVE_AFTER, self.save_soon)
        annotation_controller.changed.connect(self._on_changed)
        annotation_controller.leaving.connect(self._on_annotation_leaving)
        self.marked_done.connect(learning.learn_by_itself)
        learning.changed.connect(self.request_changed)
        panel.new_wanted.connect(self._on_new)
        panel.open_wanted.connect(self._on_open)
        panel.save_wanted.connect(self._on_save_as)
        panel.step_wanted.connect(self.step)
        panel.done_wanted.connect(self.toggle_done)
        panel.chosen.connect(self.go_to)

    def holds(self, annotation: AnnotationLayer) -> bool:
        """Whether an annotation belongs to the current image of the project."""
        return self.project is not None and annotation.image is self.layer

    @property
    def idle(self) -> bool:
        """Whether everything is saved and no image is being loaded."""
        return super().idle and not self._arriving

    def close(self) -> None:
        """Save all changes and close the project."""
        self._timer.stop()
        self.holding = False
        self.save_now(ask=False)
        self._annotation_controller.leaving.disconnect(self._on_annotation_leaving)
        self.project = self._opening = None
        super().close()

    def _busy(self) -> bool:
        """Ask the user to wait while a class is being changed."""
        if self.holding:
            self.message.emit(ui_text.CLASS_IS_CHANGED, True)
        return self.holding

    @property
    def loading(self) -> bool:
        """Whether another image or project is about to be shown."""
        return self._arriving or (not self._jobs.idle and self._wanted != self.current)

    # ------------------------------------------------------------------ projects

    def create(self, folder: Path, images: Sequence[Path]) -> None:
        """Create a project from images, with the current settings, and show it."""
        if not self.save_now():
            return
        try:
            project = Project.create(folder, images)
            settings = self._settings_shown()
            if settings is not None:
                save_settings(project, settings)
        except (FileError, InvalidInputError) as error:
            self.say_error(str(error))
            return
        self._begin(project)

    def open(self, path: Path) -> None:
        """Open a project by its folder or file."""
        if not self.save_now():
            return
        self._opening = path
        self._jobs.start(
            partial(open_project, path),
            partial(self._on_opened, path),
            title=ui_text.OPENING_PROJECT,
        )

    def _on_opened(self, path: Path, opened: tuple[Project, ProjectSettings]) -> None:
        if path is not self._opening or not self.save_now():
            return  # another project was opened since, or changes cannot be saved
        project, settings = opened
        self._apply_settings(settings)
        self._begin(project)

    def _begin(self, project: Project) -> None:
        """Show the image of the project that was shown last, or the first that is not done."""
        self._leave()
        self.project, self.current = project, ""
        self._opening, self._uncertain = None, {}
        self._saved_settings = self._settings_shown()
        self._status = {image.name: image.status for image in project.images}
        open_ones = [image for image in project.images if image.status != "done"]
        first = project.current or next(iter(open_ones or project.images), None)
        if first is not None:
            self.go_to(first.name)
        self._show()
        self._panel.list_wanted.emit()

    def save_as(self, folder: Path) -> None:
        """Create a project from the image that is annotated in the window."""
        annotation = self._annotation_controller.current()
        if annotation is None:
            self.message.emit(ui_text.NO_ANNOTATION_TO_SAVE, True)
            return
        # An annotation that cannot be saved in its project goes to the new one.
        if not self.save_now(ask=False) and annotation.image is not self.layer:
            return
        try:
            project, name = new_project_of(folder, annotation)
        except (FileError, InvalidInputError) as error:
            self.say_error(str(error))
            return
        self.project, self.current, self.layer = project, name, annotation.image
        self._opening, self._uncertain = None, {}
        self._status = {name: "started"}
        self._wanted, self._unsaved = name, {name}
        if self.save_now():
            self.saved_as.emit(annotation)
        self._show()

    def _on_new(self) -> None:
        start = str(Path.home())
        folder_of_images = QFileDialog.getExistingDirectory(
            self._panel, ui_text.IMAGES_TITLE, start
        )
        if not folder_of_images:
            return
        try:
            found = images_in(Path(folder_of_images))
        except FileError as error:
            self.say_error(str(error))
            return
        if not found:
            self.say_error(ui_text.no_image_in(folder_of_images))
            return
        proposed = str(
            Path(folder_of_images).with_name(
                ui_text.annotations_folder(Path(folder_of_images).name)
            )
        )
        folder, _ = QFileDialog.getSaveFileName(self._panel, ui_text.NEW_PROJECT_TITLE, proposed)
        if folder:
            self.create(Path(folder), found)

    def _on_open(self) -> None:
        folder = QFileDialog.getExistingDirectory(self._panel, ui_text.OPEN_PROJECT_TITLE)
        if folder:
            self.open(Path(folder))

    def _on_save_as(self) -> None:
        folder, _ = QFileDialog.getSaveFileName(self._panel, ui_text.NEW_PROJECT_TITLE)
        if folder:
            self.save_as(Path(folder))

    # ------------------------------------------------------------------ from image to image

    def step(self, by: int) -> None:
        """Go to the next (1) or the previous (-1) image."""
        names = self._names()
        if self.current in names:
            at = names.index(self.current) + by
            if 0 <= at < len(names):
                self.go_to(names[at])

    def toggle_done(self) -> None:
        """Mark the image as done and go to the next; or mark it as not done."""
        if not self.current or self._busy():
            return
        was_done = self._status[self.current] == "done"
        self._status[self.current] = "started" if was_done else "done"
        self._unsaved.add(self.current)
        annotation = self._annotation_controller.of(self.layer)
        if not was_done and annotation is not None:
            self.marked_done.emit(annotation)
        if not was_done and self.current != self._names()[-1]:
            self.step(1)
        else:
            self.save_soon()
            self._show()

    def go_to(self, name: str) -> None:
        """Show an image with its annotation, after saving the one that is shown."""
        if self._busy():
            return
        self._wanted = name
        there = self.layer is not None and self.layer in self._viewer.layers
        if self.project is None or (name == self.current and there) or not self.save_now():
            return
        self._jobs.start(
            partial(load_image, self.project, name),
            partial(self._on_loaded, self.project, name),
        )

    def _on_loaded(self, project: Project, name: str, loaded: tuple[LoadedImage, Any]) -> None:
        if project is not self.project or name != self._wanted or not self.save_now():
            return  # another image was requested since, or changes cannot be saved
        self._leave()
        # napari's canvas may crash if layers are removed and added without a redraw in between.
        self._arriving = True
        arrive = partial(self._arrive, project, name, *loaded)
        QTimer.singleShot(DRAWN_AFTER, arrive)

    def _arrive(
        self,
        project: Project,
        name: str,
        image: LoadedImage,
        state: AnnotationState | None,
    ) -> None:
        """Show an image, unless another one was requested or is shown by now."""
        self._arriving = False
        if project is not self.project or name != self._wanted or self.layer is not None:
            return
        self.current = name
        self.layer = image_layer_of(name, image, state)
        self._viewer.add_layer(self.layer)
        if state is not None:
            self._annotation_controller.begin(self.layer, name, state)
        else:
            self._viewer.layers.selection.active = self.layer
        self._viewer.reset_view()
        self._show()
        self.arrived.emit()

    def _leave(self) -> None:
        """Remove the image and our layers, except predictions that the user has edited."""
        if self.layer is None:
            return
        image, self.layer = self.layer, None
        annotation = self._annotation_controller.of(image)
        self._state.leaving.emit(image)
        if image in self._viewer.layers:
            self._viewer.layers.remove(image)
        if annotation is not None:
            self._annotation_controller.remove(annotation)

    def reorder(self, ranking: Ranking) -> None:
        """Show the images in the order of a ranking, and save this order.

        Raises
        ------
        FileError
            If it cannot be saved; the order is then unchanged.
        """
        if self.project is None:
            return
        done = [image for image in self._names() if self._status.get(image) == "done"]
        self.project.reorder([*(name for name in ranking.order if name not in done), *done])
        self._uncertain = ranking.values
        self._show()

    def _names(self) -> list[str]:
        return [] if self.project is None else [image.name for image in self.project.images]

    # ------------------------------------------------------------------ saving

    def _on_changed(self, annotation: AnnotationLayer) -> None:
        if self.holds(annotation):
            self._unsaved.add(self.current)
            if self._status[self.current] == "open":
                self._status[self.current] = "started"
                self._show()
            if not self._timer.isActive():  # later changes do not restart it
                self._timer.start()

    def _on_annotation_leaving(self, annotation: AnnotationLayer) -> None:
        """Save an annotation whose layer is being removed."""
        if annotation.image is self.layer and self.current in self._unsaved:
            self.save_now(ask=False)

    def save_soon(self) -> None:
        """Save changes in a thread."""
        if self.project is None or not (self._unsaved or self._other_settings()):
            return
        if not self._jobs.idle or self.holding:
            self._timer.start()
            return
        self._writing = writing = (self.current,)
        write, settings = self._take_unsaved()
        self._jobs.start(
            partial(save_in_thread, write),
            partial(self._on_saved, self.project, settings),
            partial(self._on_thread_failed, writing),
            ui_text.SAVING_JOB,
        )

    def request_changed(self) -> None:
        """Save changed settings soon."""
        if self.project is not None and not self._timer.isActive():
            self._timer.start()

    def save_now(self, *, ask: bool = True) -> bool:
        """Save changes and wait for it; returns whether everything is on disk.

        Parameters
        ----------
        ask : bool
            Whether to ask if files that another program has changed may be overwritten.
        """
        if self._busy():
            return False
        self._wait()
        project, annotation = self.project, self._annotation_controller.of(self.layer)
        if annotation is not None:
            annotation.follow()  # includes strokes that napari has not reported yet
        if project is None or not (self._unsaved or self._other_settings()):
            return True
        name = self.current
        write, settings = self._take_unsaved()
        try:
            try:
                write()
            except ChangedOnDiskError as error:
                if not (ask and self.confirm(ui_text.overwrite_question(error))):
                    raise
                write(overwrite=True)
        except (FileError, InvalidInputError) as error:
            self._on_save_failed(name, str(error))
            return False
        self._on_saved(project, settings)
        return True

    def _other_settings(self) -> bool:
        """Whether the settings differ from those on disk."""
        settings = self._settings_shown()
        return settings is not None and settings != self._saved_settings

    def _take_unsaved(self) -> tuple[Callable[..., None], ProjectSettings | None]:
        """The call that writes copies of all changes, and the settings that it writes."""
        assert self.project is not None  # noqa: S101 - checked by the callers
        project, name, settings = self.project, self.current, self._settings_shown()
        annotation = None if self.layer is None else self._annotation_controller.of(self.layer)
        state = None if annotation is None else annotation.state()
        status = self._status.get(name, "open") if name in self._unsaved else None
        self._unsaved.clear()
        return partial(write_image, project, name, state, status, settings), settings

    def _wait(self) -> None:
        """Wait for the running job; if it failed, its image is marked as unsaved again."""
        writing, self._writing = self._writing, ()
        if self._jobs.wait() is not None:
            self._unsaved.update(writing)

    def _on_saved(
        self, project: Project | None, settings: ProjectSettings | None, _nothing: None = None
    ) -> None:
        if project is self.project:
            self._saved_settings = settings

    def _on_thread_failed(self, writing: tuple[str, ...], message: str) -> None:
        if writing is self._writing:  # else `_wait` has handled it
            self._on_save_failed(writing[0], message)

    def _on_save_failed(self, name: str, message: str) -> None:
        self._unsaved.add(name)  # tried again after the next change
        self.message.emit(ui_text.not_saved(error=message), True)

    @property
    def annotated(self) -> int:
        """Number of images of the project with an annotation."""
        return 0 if self.project is None else sum(one != "open" for one in self._status.values())

    def _show(self) -> None:
        self.annotated_changed.emit(self.annotated)
        if self.project is None:
            self._panel.show_images("", (), "")
            return
        images = [
            replace(image, status=self._status.get(image.name, image.status))
            for image in self.project.images
        ]
        left = {image.name for image in images if image.status != "done"}
        values = {name: value for name, value in self._uncertain.items() if name in left}
        self._panel.show_images(str(self.project.folder), images, self.current, values)

    # ------------------------------------------------------------------ export

    def exported(self) -> ProjectImages:
        """The images of the project, for an export."""
        project = self.project
        if project is None:
            return ProjectImages()
        files = tuple(image.path for image in project.images)
        if not self.save_now():  # only the annotation in the window can be exported
            return ProjectImages(files=files)
        return ProjectImages(self.annotated, partial(annotated_images, project), files)
