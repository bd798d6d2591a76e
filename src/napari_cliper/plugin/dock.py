"""The dock: builds the panels and controllers, which connect themselves.

A controller that needs only the state and its panel is a row of `panel_table.PANELS`. Those that
need each other are built here, by page. The engine computes in a thread; layers are changed in the
window's thread only.
"""

from __future__ import annotations

from typing import TypeVar

from napari.utils.notifications import show_error
from napari.viewer import Viewer
from qtpy.QtWidgets import QMessageBox

from . import ui_text
from .controllers.all_planes import AllPlanes
from .controllers.annotation import AnnotationController
from .controllers.annotation_window import AnnotationWindows
from .controllers.autosave import Autosave
from .controllers.axes import AxesController
from .controllers.base import Controller
from .controllers.brush import Brush
from .controllers.chunks_in_view import ChunksInView
from .controllers.class_changes import ClassChanges
from .controllers.correction import CorrectionController
from .controllers.example import ExampleController
from .controllers.hint_effects import HintEffects
from .controllers.import_export import ImportExport
from .controllers.kept_results import Shown
from .controllers.key_cursor import KeyCursor
from .controllers.live_result import LiveResult
from .controllers.main_job import MainJob
from .controllers.mask_layers import MaskLayers
from .controllers.next_step import NextStep
from .controllers.object_tool import ObjectTool
from .controllers.plane_propagation import PlanePropagation
from .controllers.project import ProjectController
from .controllers.project_runs import ProjectRuns
from .controllers.prototype_learning import PrototypeLearning
from .controllers.provisional import ProvisionalLabels
from .controllers.remembered_engine import RememberedEngine
from .controllers.requests import Requests
from .controllers.result_display import ResultDisplay
from .controllers.run import RunController
from .controllers.tiles import TilesController
from .controllers.tools import ToolController
from .controllers.weights import WeightsController
from .dock_panels import DockPanels
from .engine_session import Session
from .garbage import free_removed_layers
from .napari_version import check_napari
from .panel_table import PANELS
from .panels.base import Panel
from .qt.canvas_context import CanvasContext
from .qt.keys import FieldKeys, ViewerKeys
from .qt.theme_colours import tone_style
from .state import DockState
from .worker import Job, wait_for_stopped_jobs

C = TypeVar("C", bound=Controller)

CLOSE_WAITS = 1.5  # seconds for a job to end when the window is closed


class CliperWidget(DockPanels):
    """CLIPer segmentation: image, words, Run, thresholds, results.

    Parameters
    ----------
    napari_viewer : Viewer
    """

    def __init__(self, napari_viewer: Viewer) -> None:
        check_napari()
        super().__init__(napari_viewer)
        self.viewer = napari_viewer
        self.session = Session()
        self.keys = ViewerKeys(napari_viewer)
        self.canvas_context = CanvasContext(self, napari_viewer)
        self.controllers: list[Controller] = []
        self.panels: dict[str, Panel] = {}
        self._add_state()
        self._add_corrections()
        self._add_engine()
        self._add_runs()
        self._add_projects()
        self._add_panels()
        self._field_keys = FieldKeys(self)
        free_removed_layers(napari_viewer)
        napari_viewer.events.theme.connect(self._on_theme)
        self._on_theme()
        self.state.inputs_changed.emit()

    # ------------------------------------------------------------------ building

    def _add(self, controller: C) -> C:
        """Show the messages of a controller, bind its keys, and close it with the dock."""
        controller.message.connect(self._say)
        self.keys.bind(controller.keys)
        self.controllers.append(controller)
        return controller

    def _add_state(self) -> None:
        """Build the main job, the result, the annotations, and the state that the others follow."""
        images, classes = self.image_panel, self.classes_panel
        self.main_job = self._add(MainJob(self.status_panel, images))
        self.result = self._add(LiveResult(self.viewer, images, self.threshold_panel))
        self.annotation_controller = self._add(
            AnnotationController(
                self.viewer, self.annotation_panel, self.result, images, classes, self.main_job
            )
        )
        self.state = DockState(
            self.viewer,
            images,
            classes,
            self.engine_panel,
            self.result,
            self.annotation_controller,
            self.session,
            self.main_job,
        )
        self.state.message.connect(self._say)
        self.state.page_wanted.connect(self.frame.go_to)

    def _add_corrections(self) -> None:
        """Build what shows results and annotations, and the tools of the page Correct."""
        add, state, corrections = self._add, self.state, self.corrections_panel
        engine = self.engine_panel
        self.windows = add(AnnotationWindows(state, self.annotation_panel))
        add(ChunksInView(state, self.status_panel))
        add(ResultDisplay(state, self.classes_panel, self.threshold_panel, self.result_details))
        self.brush = add(Brush(state, self.classes_panel))
        self.correction_controller = add(CorrectionController(state, corrections))
        self.clicks = self.correction_controller.click_controller
        add(HintEffects(state, self.annotation_panel, self.clicks))
        self.next_step = add(
            NextStep(state, self.state_panel, self.correct_state, engine, self.threshold_panel)
        )
        self.object_tool = add(
            ObjectTool(state, corrections, self.brush, self.image_panel, engine, self.next_step)
        )
        self.tool_controller = add(
            ToolController(state, corrections, self.brush, self.clicks, self.object_tool)
        )
        self.key_cursor = add(KeyCursor(state, corrections, self.brush, self.clicks))

    def _add_engine(self) -> None:
        """Build weights, masks, prototypes, and the requests for the engine."""
        add, state, engine = self._add, self.state, self.engine_panel
        images, classes = self.image_panel, self.classes_panel
        self.example = add(ExampleController(state, engine))
        self.weights = add(WeightsController(state, engine, self.next_step))
        masks = add(MaskLayers(state, engine))
        self.learning_controller = add(
            PrototypeLearning(state, self.prototypes_panel, images, classes, engine, masks)
        )
        self.requests = Requests(
            images, classes, engine, self.result, self.learning_controller, masks
        )

    def _add_runs(self) -> None:
        """Build the runs on an image or a stack, and what they cost in tiles."""
        add, state, images = self._add, self.state, self.image_panel
        self.tiles = add(TilesController(state, self.tiles_panel, self.engine_panel, self.requests))
        self.frame.page_changed.connect(self.tiles_panel.follow)
        self.provisional = add(ProvisionalLabels(state, self.status_panel))
        self.threshold_panel.cramped_changed.connect(self.tiles_panel.set_brief)
        self.frame.roomy_changed.connect(self.threshold_panel.set_roomy)
        self.run_controller = add(
            RunController(
                state,
                self.run_panel,
                self.status_panel,
                images,
                self.classes_panel,
                self.requests,
                self.clicks,
                self.next_step,
                self.tiles,
                self.provisional,
            )
        )
        self.frame.page_changed.connect(self.run_controller.follow_page)
        self.all_planes = add(
            AllPlanes(
                state,
                images,
                self.run_panel,
                self.threshold_panel,
                self.annotation_panel,
                self.requests,
            )
        )
        add(
            PlanePropagation(
                state, images, self.run_panel, self.correction_controller, self.requests
            )
        )

    def _add_projects(self) -> None:
        """Build projects, autosave, changes of classes, export, and remembered settings."""
        add, state, requests = self._add, self.state, self.requests
        self.project_controller = add(
            ProjectController(state, self.project_panel, requests, self.learning_controller)
        )
        add(AxesController(state, self.axes_panel, self.project_controller))
        self.autosave = add(Autosave(state, self.offers_panel, self.project_controller, requests))
        self.class_changes = add(
            ClassChanges(
                state,
                self.classes_panel,
                self.brush,
                self.clicks,
                self.learning_controller,
                self.project_controller,
                self.autosave,
            )
        )
        self.project_runs = add(
            ProjectRuns(
                state, self.project_panel, self.run_panel, requests, self.project_controller
            )
        )
        self.import_export = add(ImportExport(state, self.export_panel, self.project_controller))
        add(RememberedEngine(self.engine_panel))

    def _add_panels(self) -> None:
        """Build the panels of the table, and their controllers."""
        for name, row in PANELS.items():
            self.panels[name] = panel = row.make(self.state)
            if row.fold:
                fold = self.engine_panel.add_fold(row.fold, panel)
                fold.toggled.connect(panel.follow)
            else:
                self.frame.add(row.page, panel)
            self.frame.page_changed.connect(panel.follow)
            if row.control is not None:
                self._add(row.control(self.state, panel))

    # ------------------------------------------------------------------ state

    @property
    def job(self) -> Job | None:
        """The job that the user waits for."""
        return self.main_job.job

    @property
    def idle(self) -> bool:
        """Whether nothing runs or waits to run, and everything is saved."""
        parts: tuple[Panel | Controller, ...] = (*self.panels.values(), *self.controllers)
        return all(part.idle for part in parts)

    @property
    def shown(self) -> Shown | None:
        """The result of the current plane, or None."""
        return self.result.shown

    def run(self) -> None:
        """Run on the chosen image."""
        self.run_controller.run()

    def cancel(self) -> None:
        """Cancel the job; nothing is changed."""
        self.main_job.cancel()

    # ------------------------------------------------------------------ showing

    def _say(self, message: str, error: bool = False) -> None:
        """Show a message in the foot; an error also as a notification if the dock is hidden."""
        if error and self.window().isVisible() and not self.isVisible():
            show_error(message)
        self.status_panel.show_message(message, tone="error" if error else "")
        self.viewer.status = message.splitlines()[0] if message else ""

    def _on_theme(self, _event: object = None) -> None:
        """Use colours for texts and bars that are legible in napari's theme."""
        self.setStyleSheet(tone_style(self.viewer.theme))
        self.classes_panel.table.set_theme(self.viewer.theme)

    # ------------------------------------------------------------------ closing

    def may_close(self) -> bool:
        """Whether everything is saved, or the user wants to close anyway."""
        left = len(self.viewer.layers) > 0
        saved = self.autosave.save_now()
        return (
            (self.project_controller.save_now(ask=left) and saved)
            or not left
            or self._ask_to_close()
        )

    def _ask_to_close(self) -> bool:
        question = ui_text.close_question(self.status_panel.message.text())
        return bool(
            QMessageBox.question(self, ui_text.NOT_SAVED_TITLE, question)
            == QMessageBox.StandardButton.Yes
        )

    def close_down(self) -> None:
        """Save, stop all jobs, and disconnect from the viewer."""
        if self.closed:
            return
        self.closed = True
        self.keys.clear()
        self.viewer.events.theme.disconnect(self._on_theme)
        for controller in reversed(self.controllers):
            controller.close()  # those that save before those that they save from
        for panel in self.panels.values():
            panel.close_down()
        wait_for_stopped_jobs(CLOSE_WAITS)
        self.session.unload()
        self.session.forget()
        self.canvas_context.close()
