"""Rename, merge and delete classes, in the window and in all images of the project.

The files of a project are changed first, in a thread; the window follows when they are written.
Until then, the table of classes and the project are locked.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

from qtpy.QtCore import QTimer
from qtpy.QtWidgets import QApplication

from ...annotation.class_change import ClassChange, Relabelled, pixels_of
from ...annotation.edit_mask import AnnotationState
from ...annotation.project.class_edits import ClassChanged, ClassPixels
from ...annotation.project.project import Project
from ...annotation.stored_edits import StoredEdits, unpack
from ...annotation.user_hints import CLICKS, clicks_in
from ...segmentation import Monitor, Report, ShouldStop
from .. import ui_text
from ..layers.annotation_layer import AnnotationLayer
from ..panels.classes_panel import ClassesPanel
from ..state import DockState
from ..worker import Work
from .autosave import Autosave
from .base import Controller
from .brush import Brush
from .clicks import ClickController
from .project import ProjectController
from .prototype_learning import PrototypeLearning

Relabellings = Mapping[AnnotationLayer, Callable[[Monitor], Relabelled | None]]
"""What a thread does for annotations of the window."""


@dataclass(eq=False)
class _Task:
    """Work that waits for the running job of the dock, and its callback."""

    work: Work
    on_success: Callable[[Any], str]
    on_failure: Callable[[], None]
    started: bool = False


class ClassChanges(Controller):
    """Renames, merges and deletes the classes of one dock.

    Parameters
    ----------
    state : DockState
    panel : ClassesPanel
    brush : Brush
    clicks : ClickController
    learning : PrototypeLearning
    projects : ProjectController
    autosave : Autosave
    """

    def __init__(
        self,
        state: DockState,
        panel: ClassesPanel,
        brush: Brush,
        clicks: ClickController,
        learning: PrototypeLearning,
        projects: ProjectController,
        autosave: Autosave,
    ) -> None:
        super().__init__(panel)
        self._panel = panel
        self._annotations = state.annotations
        self._brush = brush
        self._clicks = clicks
        self._learning = learning
        self._result = state.result
        self._projects = projects
        self._autosave = autosave
        self._start = state.main_job.start_told
        state.main_job.finished.connect(self.go_on)
        self._task: _Task | None = None
        self._had_focus = False
        self.confirm: Callable[[str], bool] = partial(self.ask, ui_text.CHANGE_CLASS_TITLE)
        panel.renamed.connect(self._on_renamed)
        panel.change_wanted.connect(self._on_change_wanted)

    @property
    def idle(self) -> bool:
        """Whether no class is being changed."""
        return self._task is None

    # ------------------------------------------------------------------ rename

    def _on_renamed(self, change: ClassChange) -> None:
        """Rename a class everywhere after it was renamed in the table."""
        project = self._projects.project
        if not self._may_begin():
            self._panel.take_back_renamed()
        elif project is None:
            self._follow(change, {})
        else:
            work = partial(_changed, (project,), change, self._relabellings(change))
            self._begin(work, partial(self._on_changed, change), self._panel.take_back_renamed)

    # ------------------------------------------------------------------ merge and delete

    def _on_change_wanted(self, change: ClassChange) -> None:
        """Count what a merge or deletion changes, ask, and change it."""
        if not (self._may_begin() and self._projects.save_now() and self._autosave.save_now()):
            return
        project = self._projects.project
        states = [one.state() for one in self._annotations.all if not self._projects.holds(one)]
        work = partial(_counted, () if project is None else (project,), states, change)
        self._begin(work, partial(self._on_counted, change), _nothing)

    def _on_counted(self, change: ClassChange, found: ClassPixels) -> str:
        # The question lets events pass, and comes when the job has ended.
        QTimer.singleShot(0, partial(self._confirm, change, found))
        return ""

    def _confirm(self, change: ClassChange, found: ClassPixels) -> None:
        pixels, clicks, images = found.pixels, found.clicks, len(found.images)
        projects = self._all_projects()
        question = ui_text.class_change_question(
            old=change.old,
            new=None if change.new is None else change.new.name,
            pixels=pixels,
            clicks=clicks,
            images=images,
            backed_up=bool(projects),
        )
        if self.confirm(question) and self._may_begin():
            work = partial(_changed, projects, change, self._relabellings(change))
            self._begin(work, partial(self._on_changed, change), _nothing)

    def _all_projects(self) -> tuple[Project, ...]:
        """The stores of annotations without a project, and the open project."""
        project = self._projects.project
        return (*self._autosave.projects, *(() if project is None else (project,)))

    # ------------------------------------------------------------------ doing it

    def _may_begin(self) -> bool:
        busy = self._task is not None or self._projects.loading
        if busy:
            self.say_error(ui_text.WAIT_FOR_JOB)
        return not busy

    def _begin(
        self, work: Work, on_success: Callable[..., str], on_failure: Callable[[], None]
    ) -> None:
        focus = QApplication.focusWidget()
        self._had_focus = focus is not None and self._panel.isAncestorOf(focus)
        self._task = _Task(work, on_success, on_failure)
        self._hold(holding=True)
        self.go_on()

    def go_on(self) -> None:
        """Start the waiting work; called when the dock has ended its job."""
        task = self._task
        if task is None:
            return
        if task.started:
            self._end()
            task.on_failure()
        else:
            task.started = self._start(task.work, partial(self._on_success, task))

    def _on_success(self, task: _Task, result: object) -> str:
        self._end()
        return task.on_success(result)

    def _end(self) -> None:
        self._task = None
        self._hold(holding=False)
        if self._had_focus:
            self._panel.table.setFocus()

    def _hold(self, *, holding: bool) -> None:
        self._panel.setEnabled(not holding)
        self._projects.holding = holding

    def _relabellings(self, change: ClassChange) -> Relabellings:
        """What a thread does before the annotations of the window are changed."""
        every = (*self._annotations.all, *self._autosave.lost)
        return {one: one.relabelling(change) for one in every}

    def _on_changed(
        self,
        change: ClassChange,
        done: tuple[ClassChanged, Mapping[AnnotationLayer, Relabelled | None]],
    ) -> str:
        found, relabelled = done
        self._follow(change, relabelled)
        project, backup = self._projects.project, found.backup
        if project is not None and backup is not None and backup.is_relative_to(project.folder):
            backup = backup.relative_to(project.folder)
        return ui_text.class_changed(
            old=change.old,
            new=None if change.new is None else change.new.name,
            merged=change.merge,
            images=len(found.images),
            backup=backup,
        )

    def _follow(
        self, change: ClassChange, relabelled: Mapping[AnnotationLayer, Relabelled | None]
    ) -> None:
        """Change the class in the window."""
        for one, done in relabelled.items():
            one.relabelled = done
        if change.merge or change.new is None:
            self._panel.drop(change)
        self._result.change_class(change)
        self._annotations.change_class(change)
        self._brush.change_class(change)
        for one in self._autosave.lost:
            one.change_class(change)
        self._clicks.change_class(change)
        self._learning.change_class(change)
        self._projects.request_changed()


def _nothing() -> None:
    """Do nothing: nothing was changed, so there is nothing to restore."""


def _counted(
    projects: tuple[Project, ...],
    states: Sequence[AnnotationState],
    change: ClassChange,
    report: Report,
    should_stop: ShouldStop,
) -> ClassPixels:
    """Count the pixels of a class in projects, and in annotations that are in none."""
    monitor = Monitor(report, should_stop)
    found = [project.pixels_of_class(change.old, monitor) for project in projects]
    for state in states:
        points = clicks_in(state.record.get(CLICKS))
        clicks = sum(len(some) for name, some in points.items() if change.is_of(name))
        pixels = pixels_of(state, change.old)
        found.append(ClassPixels(pixels, clicks, ("",) if pixels or clicks else ()))
    return ClassPixels(
        sum(one.pixels for one in found),
        sum(one.clicks for one in found),
        tuple(name for one in found for name in one.images),
    )


def _changed(
    projects: tuple[Project, ...],
    change: ClassChange,
    relabellings: Relabellings,
    report: Report,
    should_stop: ShouldStop,
) -> tuple[ClassChanged, Mapping[AnnotationLayer, Relabelled | None]]:
    """Change a class in all projects; the last one is the open project.

    First, the labels of annotations of the window are changed, as forks.
    """
    monitor = Monitor(report, should_stop)
    relabelled = {one: work(monitor) for one, work in relabellings.items()}
    done = [project.change_class(change, monitor) for project in projects]
    for one, labels in relabelled.items():
        if labels is not None and isinstance(one.edits, StoredEdits):
            unpack(labels.changes, one.edits.region)
    backups = [one.backup for one in done if one.backup is not None]
    names = tuple(name for one in done for name in one.images)
    return ClassChanged(names, backups[-1] if backups else None), relabelled
