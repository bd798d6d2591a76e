"""The project in the window: navigation between images, and automatic saving.

A change is on disk within two seconds. The first change starts a timer, which later changes do not
restart; then a thread writes a copy. Changing the image and closing the window wait for the write.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from napari.layers import Image
from qtpy.QtCore import QTimer, Signal

from ...annotation.project.annotation_record import Status
from ...annotation.project.annotation_store import ChangedOnDiskError
from ...annotation.project.project import Project
from ...annotation.project.settings import ProjectSettings
from ...annotation.stored_state import StoredState
from ...io.files import FileError
from ...segmentation import InvalidInputError
from .. import ui_text
from ..layers.annotation_layer import AnnotationLayer
from ..layers.image_group import ImageGroup, in_viewer, members_of
from ..layers.large_annotation_layer import LargeAnnotationLayer
from ..panels.project_panel import ProjectPanel
from ..state import DockState
from .base import Controller
from .new_project import NewProject
from .project_dialogs import ProjectDialogs
from .project_files import (
    LoadedImage,
    ProjectImages,
    UnsavedImage,
    exported_images,
    image_layer_of,
    images_with,
    load_image,
    open_project,
    save_in_thread,
    save_settings,
    show_others,
    write_images,
)
from .project_groups import ShownImages
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

    going_to_project = Signal()
    """An annotation is about to be saved in a new project, and nowhere else."""
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
        self._shown = ShownImages()
        self._jobs = self.jobs()
        self._jobs.finished.connect(self._show)
        self.confirm: Callable[[str], bool] = partial(self.ask, ui_text.CHANGED_ON_DISK_TITLE)
        self._wanted = ""  # the image that was requested last
        self._arriving = False  # it has been read and is about to be shown
        self._unsaved: set[str] = set()
        self._writing: tuple[str, ...] = ()  # the images that the job saves
        self._saved_settings: ProjectSettings | None = None  # as on disk
        self._status: dict[str, Status] = {}
        self._uncertain: Mapping[str, float] = {}
        self._opening: Path | None = None
        self.holding = False
        """Whether a class is being changed in all images; no image is loaded or saved then."""
        self._timer = self.timer(SAVE_AFTER, self.save_soon)
        annotation_controller.changed.connect(self._on_changed)
        annotation_controller.leaving.connect(self._on_annotation_leaving)
        state.image_changed.connect(self._on_image)
        self.marked_done.connect(learning.learn_by_itself)
        learning.changed.connect(self.request_changed)
        dialogs = self.own(ProjectDialogs(panel, self.create, self.open, self.save_as))
        dialogs.message.connect(self.message)
        panel.step_wanted.connect(self.step)
        panel.done_wanted.connect(self.toggle_done)
        panel.chosen.connect(self.go_to)

    @property
    def layer(self) -> Image | None:
        """The layer of the current image; of a group of channels, an `ImageGroup`."""
        return self._shown.layer(self.current)

    def holds(self, annotation: AnnotationLayer) -> bool:
        """Whether an annotation belongs to an image of the project in the window."""
        return self.project is not None and bool(self._shown.name_of(annotation.image))

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
        if project.completed_change:
            self.message.emit(ui_text.COMPLETED_CHANGE, False)

    def _begin(self, project: Project) -> None:
        """Show the image of the project that was shown last, or the first that is not done."""
        self._leave()
        self.project, self.current, self._opening, self._uncertain = project, "", None, {}
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
            self.say_error(ui_text.NO_ANNOTATION_TO_SAVE)
            return
        # An annotation that cannot be saved in its project goes to the new one.
        if not self.save_now(ask=False) and not self.holds(annotation):
            return
        new = NewProject.of(folder, annotation)
        if new.is_long:
            done = partial(self._on_written, annotation, new)
            if not self._state.main_job.start_told(new.write, done, ui_text.NO_PROJECT_WRITTEN):
                self.say_error(ui_text.WAIT_FOR_JOB)
            return
        with self.showing_errors():
            self._go_on_with(*new.create(), annotation)
            if self.save_now():
                self.saved_as.emit(annotation)
            self._show()

    def _on_written(
        self, annotation: AnnotationLayer, new: NewProject, written: tuple[Project, str]
    ) -> str:
        """Continue with a project that a thread has written; returns the message."""
        there = annotation in self._annotation_controller.all
        if there and (self.save_now(ask=False) or self.holds(annotation)):
            self.going_to_project.emit()
            if isinstance(annotation, LargeAnnotationLayer) and isinstance(new.state, StoredState):
                annotation.store.go_on_from(new.state.store)
            self._go_on_with(*written, annotation)
            self.saved_as.emit(annotation)
            self.save_soon()
            self._show()
        return ui_text.project_written(new.folder)

    def _go_on_with(self, project: Project, name: str, annotation: AnnotationLayer) -> None:
        """Use a project that contains the image annotated in the window."""
        self._shown.clear()
        self.project, self.current = project, name
        self._shown.show(name, annotation.image)
        self._opening, self._uncertain, self._status = None, {}, {name: "started"}
        self._wanted, self._unsaved = name, {name}

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
        if self.current not in self._names() and not self.save_now():
            return  # a group that is not in the list yet
        was_done = self._status.get(self.current) == "done"
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
        there = self.layer is not None and in_viewer(self._viewer, self.layer)
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
        self, project: Project, name: str, image: LoadedImage, state: AnnotationState | None
    ) -> None:
        """Show an image, unless another one was requested or is shown by now."""
        self._arriving = False
        if project is not self.project or name != self._wanted or self.layer is not None:
            return
        self.current, layer = name, image_layer_of(name, image, state)
        self._shown.show(name, layer)
        for one in members_of(layer):
            self._viewer.add_layer(one)
        if isinstance(layer, ImageGroup):
            self._state.choose_group(layer)
        if state is not None:
            self._annotation_controller.begin(layer, name, state)
        else:
            self._viewer.layers.selection.active = members_of(layer)[-1]
        self._viewer.reset_view()
        self._show()
        self.arrived.emit()

    def _leave(self) -> None:
        """Remove the image and our layers, except predictions that the user has edited."""
        for image in self._shown.clear():
            annotation = self._annotation_controller.of(image)
            self._state.leaving.emit(image)
            for layer in members_of(image):
                if layer in self._viewer.layers:
                    self._viewer.layers.remove(layer)
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

    def _on_image(self) -> None:
        """Follow the choice between an image of the project and a group with it."""
        choice = self._state.choice
        name = "" if choice is None else self._shown.name_of(choice.layer)
        if name and name != self.current:
            self.current = name
            self._show()

    def _names(self) -> list[str]:
        return [] if self.project is None else [image.name for image in self.project.images]

    # ------------------------------------------------------------------ saving

    def _on_changed(self, annotation: AnnotationLayer) -> None:
        project, name = self.project, self._shown.name_of(annotation.image)
        if project is None:
            return
        if not name and self._shown.joins(annotation.image):
            name = self._shown.free_name(project, annotation.name)
            self._shown.show(name, annotation.image, saved=False)
            self._status[name] = "open"
            self.current = name
        if name:
            self._unsaved.add(name)
            if self._status.get(name, "open") == "open":  # another program may have added it
                self._status[name] = "started"
                self._show()
            if not self._timer.isActive():  # later changes do not restart it
                self._timer.start()

    def _on_annotation_leaving(self, annotation: AnnotationLayer) -> None:
        """Save an annotation whose layer is being removed."""
        if self._shown.name_of(annotation.image) in self._unsaved:
            self.save_now(ask=False)

    def save_soon(self) -> None:
        """Save changes in a thread."""
        if self.project is None or not self._has_unsaved():
            return
        if not self._jobs.idle or self.holding:
            self._timer.start()
            return
        writing = tuple(self._unsaved)
        write, written = self._take_unsaved()
        self._writing = writing
        self._jobs.start(
            partial(save_in_thread, write),
            partial(self._on_saved, self.project, written),
            partial(self._on_thread_failed, writing),
            ui_text.SAVING_JOB,
        )

    def request_changed(self) -> None:
        """Save changed settings soon."""
        if self.project is not None and not self._timer.isActive():
            self._timer.start()

    def save_now(self, *, ask: bool = True) -> bool:
        """Save now, and `ask` before other changes are replaced; returns whether all is on disk."""
        if self._busy():
            return False
        self._wait()
        project = self.project
        for annotation in self._annotation_controller.all:
            if self.holds(annotation):
                annotation.follow()  # includes strokes that napari has not reported yet
        if project is None or not self._has_unsaved():
            return True
        names = tuple(self._unsaved)
        write, written = self._take_unsaved()
        try:
            try:
                write()
            except ChangedOnDiskError as error:
                if not (ask and self.confirm(ui_text.overwrite_question(error))):
                    raise
                write(overwrite=True)
                of, layer = self._annotation_controller.of, self._shown.layer
                show_others(project, {one: of(layer(one)) for one in names})
        except (FileError, InvalidInputError) as error:
            self._on_save_failed(names, str(error))
            return False
        self._on_saved(project, written)
        return True

    def _has_unsaved(self) -> bool:
        return bool(self._unsaved or self._shown.unsaved() or self._other_settings())

    def _other_settings(self) -> bool:
        """Whether the settings differ from those on disk."""
        settings = self._settings_shown()
        return settings is not None and settings != self._saved_settings

    def _take_unsaved(self) -> tuple[Callable[..., None], Callable[[], None]]:
        """The call that writes copies of all changes, and what is called when it has."""
        project, settings = self.project, self._settings_shown()
        assert project is not None  # noqa: S101 - checked by the callers
        groups, groups_written = self._shown.take_unsaved(project)
        of, layer, status = self._annotation_controller.of, self._shown.layer, self._status
        images = [
            UnsavedImage.of(one, status.get(one, "open"), of(layer(one))) for one in self._unsaved
        ]
        self._unsaved.clear()

        def written() -> None:
            self._saved_settings = settings
            groups_written()

        write = partial(write_images, project, groups, images, settings, self.current)
        return write, written

    def _wait(self) -> None:
        """Wait for the running job; if it failed, its images are marked as unsaved again."""
        writing, self._writing = self._writing, ()
        if self._jobs.wait() is not None:
            self._unsaved.update(writing)

    def _on_saved(
        self, project: Project | None, written: Callable[[], None], _nothing: None = None
    ) -> None:
        if project is self.project:
            written()
            self._show()

    def _on_thread_failed(self, writing: tuple[str, ...], message: str) -> None:
        if writing is self._writing:  # else `_wait` has handled it
            self._on_save_failed(writing, message)

    def _on_save_failed(self, names: Sequence[str], message: str) -> None:
        self._unsaved.update(names)  # tried again after the next change
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
        images = images_with(self.project, self._status)
        left = {image.name for image in images if image.status != "done"}
        values = {name: value for name, value in self._uncertain.items() if name in left}
        self._panel.show_images(str(self.project.folder), images, self.current, values)

    def exported(self) -> ProjectImages:
        """The images of the project, for an export."""
        saved = self.save_now()  # else it can be exported from the window only
        if self.project is None:
            return ProjectImages()
        found, count = self._annotation_controller.of(self.layer), self.annotated if saved else 0
        return exported_images(self.project, count, self.current, found)
