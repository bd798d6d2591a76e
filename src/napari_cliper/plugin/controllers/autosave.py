"""Save annotations outside projects to a session folder, and restore them.

A change is on disk within two seconds, as in a project. An annotation whose layer is removed stays
in memory and in the session until the user restores or discards it. When the dock opens, it
offers the annotations of earlier sessions, including those that crashed.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import partial

from napari.layers import Image, Labels
from qtpy.QtCore import Signal

from ...annotation.project.project import Project
from ...annotation.project.sessions import FoundSession, Session, delete_session
from ...annotation.project.settings import ProjectSettings
from ...io.files import FileError
from ...labels.axes import axes_from_names
from ...segmentation import InvalidInputError, Report, ShouldStop
from .. import ui_text
from ..layers.annotation_layer import AnnotationLayer
from ..layers.image_group import in_viewer
from ..layers.image_layers import ImageChoice
from ..panels.offers_panel import Offer, OffersPanel
from ..state import DockState
from .base import Controller
from .project import SAVE_AFTER, ProjectController
from .project_files import save_settings
from .requests import Requests
from .session_files import (
    LAYER,
    PLACE_KEY,
    FoundAnnotation,
    SaveTask,
    add_image,
    image_layer,
    look_for_sessions,
    offer_of,
    open_session,
    painted_on,
    place_of,
    shown_properties,
)


class Autosave(Controller):
    """Saves the annotations of a dock to a session, and restores those of earlier ones.

    Parameters
    ----------
    state : DockState
    panel : OffersPanel
    project_controller : ProjectController
        Annotations of its project are saved there instead.
    requests : Requests
        Gives the current settings, and shows those of a session that is continued.
    """

    looked = Signal()
    """The search for earlier sessions has ended."""

    def __init__(
        self,
        state: DockState,
        panel: OffersPanel,
        project_controller: ProjectController,
        requests: Requests,
    ) -> None:
        super().__init__(panel)
        self._viewer = state.viewer
        self._panel = panel
        self._annotation_controller = annotation_controller = state.annotations
        self._project_controller = project_controller
        self._settings = requests.settings
        self._apply_settings = requests.continue_with
        self._jobs = self.jobs()
        self._looking = self.jobs()
        self.lost: list[AnnotationLayer] = []
        self.found: list[FoundSession] = []
        self.confirm: Callable[[str], bool] = partial(self.ask, ui_text.DISCARD_TITLE)
        self._unsaved: set[AnnotationLayer] = set()
        self._writing: list[SaveTask] = []  # what the job saves
        # Only the job changes these while it runs; other code calls `_wait` first.
        self._sessions: list[Session] = []
        self._places: dict[AnnotationLayer, tuple[Session, str]] = {}
        self._kept: dict[Session, ProjectSettings] = {}
        self._told = ""
        self._timer = self.timer(SAVE_AFTER, self.save_soon)
        annotation_controller.changed.connect(self._on_changed)
        annotation_controller.lost.connect(self._on_lost)
        annotation_controller.begun.connect(self._on_begun)
        state.leaving.connect(self._on_project_leaving)
        project_controller.going_to_project.connect(self._wait)
        project_controller.saved_as.connect(self.forget)
        panel.accepted.connect(self._on_accepted)
        panel.discarded.connect(self._on_discarded)
        self.timer(0, self.look).start()

    def close(self) -> None:
        """Save all changes and release the sessions, so that another dock can continue them."""
        if self.closed:
            return
        self._timer.stop()
        self.closed = True
        self.save_now()
        super().close()
        for annotation in [one for one in self._places if one.blank]:
            self.forget(annotation)
        for session in self._sessions:
            session.close()
        self._sessions.clear()

    @property
    def projects(self) -> tuple[Project, ...]:
        """The projects in which annotations of this window are saved."""
        self._wait()
        return tuple(session.project for session in self._sessions)

    # ------------------------------------------------------------------ saving

    def _on_changed(self, annotation: AnnotationLayer) -> None:
        if not self._project_controller.holds(annotation):
            self._unsaved.add(annotation)
            if not self._timer.isActive():  # later changes do not restart it
                self._timer.start()

    def save_soon(self) -> None:
        """Save changes in a thread."""
        if not self._jobs.idle:
            self._timer.start()
            return
        tasks = self._tasks()
        if tasks:
            self._writing = tasks
            work = partial(self._write_in_thread, tasks, self._settings())
            self._jobs.start(work, self._on_saved, partial(self._on_thread_failed, tasks))

    def save_now(self) -> bool:
        """Save changes and wait for it; returns whether everything is on disk."""
        self._wait()
        for annotation in self._annotation_controller.all:
            annotation.follow()  # includes strokes that napari has not reported yet
        tasks = self._tasks()
        if not tasks:
            return True
        try:
            self._write(tasks, self._settings())
        except (FileError, InvalidInputError) as error:
            self._on_save_failed(tasks, str(error))
            return False
        self._on_saved(None)
        return True

    def _tasks(self) -> list[SaveTask]:
        """Copies of the unsaved annotations, without blank ones that are in no session."""
        tasks = []
        for annotation in self._unsaved:
            if annotation not in self._places and annotation.blank:
                continue
            image = annotation.image
            source = ImageChoice(image, annotation.name).source
            state = annotation.state()
            record = {**state.record, LAYER: shown_properties(image)}
            axes = axes_from_names(image.axis_labels, image.ndim)
            state = state.with_record(record)
            task = SaveTask(annotation, state, source, image.source.path, axes)
            tasks.append(task)
        self._unsaved.clear()
        return tasks

    def _write_in_thread(
        self,
        tasks: list[SaveTask],
        settings: ProjectSettings | None,
        _report: Report,
        _should_stop: ShouldStop,
    ) -> None:
        self._write(tasks, settings)

    def _write(self, tasks: list[SaveTask], settings: ProjectSettings | None) -> None:
        """Write each annotation to the session that contains it, or else to our first one."""
        thresholds = None if settings is None else settings.thresholds
        for task in tasks:
            place = self._places.get(task.annotation)
            if place is None:
                if not self._sessions:
                    self._sessions.append(Session.create())
                session = self._sessions[0]
                place = session, add_image(session.project, task)
                self._places[task.annotation] = place
            session, name = place
            session.project.save(name, task.state, thresholds=thresholds)
            if settings is not None and self._kept.get(session) != settings:
                save_settings(session.project, settings)
                self._kept[session] = settings

    def _on_saved(self, _nothing: None) -> None:
        self._told = ""
        for annotation, (session, name) in self._places.items():
            annotation.layer.metadata[PLACE_KEY] = (session.folder.name, name)

    def _on_thread_failed(self, tasks: list[SaveTask], message: str) -> None:
        if tasks is self._writing:  # else `_wait` has handled it
            self._on_save_failed(tasks, message)

    def _on_save_failed(self, tasks: list[SaveTask], message: str) -> None:
        self._unsaved.update(task.annotation for task in tasks)  # tried again after the next change
        if message != self._told or self.closed:
            self._told = message
            self.message.emit(ui_text.not_saved(error=message), True)

    def _wait(self) -> None:
        """Wait for the running job; if it failed, its annotations are marked as unsaved again."""
        if not self._jobs.idle:
            tasks, self._writing = self._writing, []
            if self._jobs.wait() is not None:
                self._unsaved.update(task.annotation for task in tasks)

    def forget(self, annotation: AnnotationLayer) -> None:
        """Delete an annotation from its session, as it is saved elsewhere or discarded."""
        self._wait()
        self._unsaved.discard(annotation)
        place = self._places.pop(annotation, None)
        if place is None:
            return
        session, name = place
        try:
            session.project.remove_image(name)
        except (FileError, InvalidInputError) as error:
            self.say_error(str(error))
            return
        if not session.project.images:
            self._sessions.remove(session)
            session.delete()

    # ------------------------------------------------------------------ removed from the window

    def _on_lost(self, annotation: AnnotationLayer) -> None:
        """Keep the annotation of a removed layer."""
        if self.closed:
            return
        if annotation.blank:
            self.forget(annotation)
            return
        self.lost.append(annotation)
        self._on_changed(annotation)
        self._show()

    def _on_begun(self, annotation: AnnotationLayer) -> None:
        """Keep a removed annotation here when a new one replaces it in the project."""
        for one in self.lost:
            if one.image is annotation.image and self._project_controller.holds(one):
                self._unsaved.add(one)
                self._timer.start()

    def _on_project_leaving(self, image: Image) -> None:
        """Forget removed annotations that are saved in the project."""
        self.lost = [
            one for one in self.lost
            if one.image is not image or one in self._unsaved or one in self._places
        ]  # fmt: skip
        self._show()

    def restore(self, lost: AnnotationLayer) -> None:
        """Restore a removed annotation and its image, in place of a newer annotation."""
        self.lost.remove(lost)
        if not in_viewer(self._viewer, lost.image):
            lost.image.visible = True  # a group whose layers are gone is shown by itself
            self._viewer.add_layer(lost.image)
        newer = self._annotation_controller.of(lost.image)
        if newer is not None and not newer.blank:
            self._viewer.layers.remove(newer.layer)
            self._unsaved.add(newer)  # because a project will save the restored one
        annotation = self._annotation_controller.begin(lost.image, lost.name, lost.state())
        if self._project_controller.holds(annotation):
            self.forget(lost)
        else:
            self._wait()
            if lost in self._places:
                self._places[annotation] = self._places.pop(lost)
            self._unsaved.discard(lost)
        annotation.changed.emit()
        self.message.emit(ui_text.annotation_back(lost.name), False)
        self._show()

    # ------------------------------------------------------------------ earlier sessions

    def look(self) -> None:
        """Search for earlier sessions in a thread."""
        self._looking.start(look_for_sessions, self._on_looked)

    def _on_looked(self, found: list[FoundSession]) -> None:
        self.found = found
        self._show()
        self.looked.emit()
        orphans = {place[0] for layer in self._viewer.layers if (place := place_of(layer))}
        for session in found:
            if session.folder.name in orphans:  # the dock of this viewer was closed and reopened
                self.resume(session)
                break

    def resume(self, found: FoundSession) -> None:
        """Continue an earlier session: add its images and annotations to the viewer."""
        if not self._jobs.idle:
            self.message.emit(ui_text.SAVING, True)
            return
        held = next((one for one in self._sessions if one.folder == found.folder), None)
        placed = {name for session, name in self._places.values() if session is held}
        open_images = [
            (layer, ImageChoice(layer, layer.name).source, layer.source.path)
            for layer in self._viewer.layers
            if isinstance(layer, Image) and self._annotation_controller.of(layer) is None
        ]
        self._writing = []
        self._jobs.start(
            partial(open_session, found.folder, held, placed, open_images),
            partial(self._on_opened, found),
        )

    def _on_opened(
        self, found: FoundSession, opened: tuple[Session, ProjectSettings, list[FoundAnnotation]]
    ) -> None:
        session, settings, images = opened
        if self.closed:
            session.close()
            return
        if session not in self._sessions:
            self._sessions.append(session)
            self._apply_settings(settings)
        left, problems = [], []
        for one in images:
            if one.problem:
                left.append(one.name)
                problems.append(one.problem)
            else:
                self._bring_back(session, one)
        self.found = [one for one in self.found if one.folder != found.folder]
        if left:
            self.found.insert(0, replace(found, images=tuple(left)))
            self.message.emit(" ".join(problems), True)
        else:
            completed = session.project.completed_change
            told = ui_text.COMPLETED_CHANGE if completed else ui_text.ANNOTATIONS_BACK
            self.message.emit(told, False)
        self._show()

    def _bring_back(self, session: Session, one: FoundAnnotation) -> None:
        name = str(one.shown.get("name", one.name))
        image = one.layer
        if image is None or image not in self._viewer.layers:
            image = image_layer(one, name)
            self._viewer.add_layer(image)
        state, orphan = one.state, self._orphan(session, one.name)
        if orphan is not None:  # may have been painted on while the dock was closed
            state = painted_on(state, orphan)
            self._viewer.layers.remove(orphan)
        annotation = self._annotation_controller.begin(image, name, state)
        annotation.layer.metadata[PLACE_KEY] = (session.folder.name, one.name)
        self._places[annotation] = session, one.name
        if orphan is not None:
            annotation.changed.emit()

    def _orphan(self, session: Session, name: str) -> Labels | None:
        """The layer of an annotation that a closed dock has left in the viewer."""
        for layer in self._viewer.layers:
            mine = place_of(layer) == (session.folder.name, name)
            if mine and self._annotation_controller.behind(layer) is None:
                return layer
        return None

    # ------------------------------------------------------------------ offers

    def _show(self) -> None:
        removed = [
            Offer(
                one,
                ui_text.removed_title(one.layer.name),
                ui_text.annotation_removed(one.name),
                ui_text.RESTORE,
            )
            for one in self.lost
        ]
        self._panel.show_offers((*removed, *(offer_of(one) for one in self.found)))

    def _on_accepted(self, what: AnnotationLayer | FoundSession) -> None:
        if isinstance(what, FoundSession):
            self.resume(what)
        else:
            self.restore(what)

    def _on_discarded(self, what: AnnotationLayer | FoundSession) -> None:
        name = ui_text.session_name(what.images) if isinstance(what, FoundSession) else what.name
        if not self.confirm(ui_text.discard_question(name)):
            return
        if not isinstance(what, FoundSession):
            self.lost.remove(what)
            self.forget(what)
        else:
            try:
                self._discard(what)
            except FileError as error:
                self.say_error(str(error))
            self.found.remove(what)
        self._show()

    def _discard(self, found: FoundSession) -> None:
        self._wait()
        held = next((one for one in self._sessions if one.folder == found.folder), None)
        if held is None:
            delete_session(found.folder)
            return
        for name in found.images:  # only those that could not be shown
            held.project.remove_image(name)
