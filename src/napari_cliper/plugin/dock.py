"""The dock: builds the panels and controllers, and connects them.

The engine computes in a thread; layers are changed in the window's thread only.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from typing import Any

from napari._app_model import get_app_model
from napari.utils.notifications import show_error
from napari.viewer import Viewer
from qtpy.QtGui import QKeySequence
from qtpy.QtWidgets import QMessageBox, QShortcut

from ..annotation.project.settings import ProjectSettings
from ..annotation.user_hints import BACKGROUND
from . import shortcuts, ui_text
from .controllers.annotation import AnnotationController
from .controllers.autosave import Autosave
from .controllers.brush import Brush
from .controllers.class_changes import ClassChanges
from .controllers.correction import CorrectionController
from .controllers.example import ExampleController
from .controllers.exchange import Exchange
from .controllers.kept_results import Shown
from .controllers.live_result import LiveResult
from .controllers.main_job import MainJob
from .controllers.memory import MemoryController
from .controllers.next_step import Actions, NextStep
from .controllers.object_tool import ObjectTool
from .controllers.project import ProjectController
from .controllers.project_runs import ProjectRuns
from .controllers.prototype_learning import PrototypeLearning
from .controllers.remembered_engine import RememberedEngine
from .controllers.requests import Requests
from .controllers.result_display import ResultDisplay
from .controllers.run import RunController
from .controllers.tools import ToolController
from .controllers.weights import WeightsController
from .dock_panels import DockPanels
from .engine_requests import Request
from .engine_session import Session
from .layers.prediction_layers import Prediction
from .napari_version import check_napari
from .panels.run_panel import RunEntry
from .panels.state_panel import StateButton
from .panels.table import PANELS
from .qt.keys import ViewerKeys
from .qt.tones import tone_style
from .state import DockState
from .worker import Job, wait_for_stopped_jobs

CLOSE_WAITS = 1.5  # seconds for a job to end when the window is closed


class CliperWidget(DockPanels):
    """CLIPer segmentation: image, words, Run, thresholds, results.

    Parameters
    ----------
    napari_viewer : Viewer
    """

    def __init__(self, napari_viewer: Viewer) -> None:
        check_napari()
        super().__init__(napari_viewer, self._run_entries)
        self.viewer = napari_viewer
        self.session = Session()

        self.main_job = MainJob(self.status_panel)
        self.main_job.failed.connect(self._on_failed)

        self.result = LiveResult(
            napari_viewer, self.image_panel, self.threshold_panel, self._on_frozen
        )
        self.result.failed.connect(self._on_labels_failed)
        self.result.appeared.connect(self._on_result_appeared)
        self.annotation_controller = AnnotationController(
            napari_viewer, self.annotation_panel, self.result, self.image_panel, self.classes_panel
        )
        self.result_display = ResultDisplay(
            napari_viewer,
            self.result,
            self.classes_panel,
            self.threshold_panel,
            self.result_details,
        )
        self.brush = Brush(
            napari_viewer, self.classes_panel, self.annotation_controller, self.result
        )
        self.correction_controller = CorrectionController(
            napari_viewer,
            self.corrections_panel,
            self.annotation_controller,
            self.result,
            self.session,
            self.image_panel,
            self.classes_panel,
        )
        self.object_tool = ObjectTool(
            napari_viewer,
            self.corrections_panel,
            self.annotation_controller,
            self.brush,
            self.image_panel,
            self.engine_panel,
            self.result,
            self.session,
        )
        self.tool_controller = ToolController(
            napari_viewer,
            self.corrections_panel,
            self.annotation_controller,
            self.brush,
            self.correction_controller.click_controller,
            self.object_tool,
            self.image_panel,
        )
        self.correction_controller.first_hint.connect(partial(self.frame.go_to, "correct"))
        self.brush.brushed.connect(self.correction_controller.click_controller.choose)
        self.annotation_controller.layer_keys.update(
            self.correction_controller.click_controller.keys
        )
        self.keys = ViewerKeys(napari_viewer)
        self.keys.bind(
            {
                shortcuts.RUN: self.run,
                shortcuts.SWAP_STAGES: self.swap_stages,
                shortcuts.BACKGROUND_CLASS: partial(self.tool_controller.choose, BACKGROUND),
                **self.annotation_controller.keys,
                **self.brush.keys,
                **self.correction_controller.keys,
                **self.object_tool.keys,
            }
        )
        self.state = DockState(
            napari_viewer,
            self.image_panel,
            self.classes_panel,
            self.result,
            self.annotation_controller,
        )
        self.state.message.connect(self._say)
        self.example = ExampleController(
            napari_viewer, self.classes_panel, self.engine_panel, self.run
        )
        self.next_step = NextStep(
            self.state_panel,
            self.correct_state,
            self.state,
            self.engine_panel,
            Actions(
                self._open_image,
                self.example.show,
                self._type_words,
                self._run_on_screen,
                self.annotation_controller.accept,
                self._click_one,
                self.download,
                self.threshold_panel.lower,
            ),
        )
        self.weights = WeightsController(
            self.engine_panel, self.next_step, self.main_job.start_told
        )
        self.weights.changed.connect(self._update_ready)
        self.weights.changed.connect(self.object_tool.look_again)
        self.main_job.busy_changed.connect(self._on_busy)
        self.main_job.finished.connect(self._on_finished)
        self.next_step.changed.connect(self.threshold_panel.setVisible)
        self.object_tool.download = self.next_step.download_button
        self.next_step.changed.connect(self.object_tool.show_offer)
        self.threshold_panel.more.toggled.connect(self.next_step.set_cramped)
        self.result.relabelled.connect(self.next_step.update)
        self.panels = {name: row.make(self.state) for name, row in PANELS.items()}
        for name, panel in self.panels.items():
            self.frame.add(PANELS[name].page, panel)
            self.frame.page_changed.connect(panel.follow)
        self.exchange = Exchange(
            self.export_panel, self.annotation_controller, self.image_panel, self.classes_panel
        )
        self.state.image_changed.connect(self.exchange.update_available)
        self.state.annotation_changed.connect(self.exchange.update_available)
        self.learning_controller = PrototypeLearning(
            self.prototypes_panel,
            self.image_panel,
            self.engine_panel,
            self.annotation_controller,
            self.session,
            self.main_job.start_told,
        )
        self.requests = Requests(
            self.image_panel,
            self.classes_panel,
            self.engine_panel,
            self.result,
            self.learning_controller,
        )
        self.run_controller = RunController(
            napari_viewer,
            self.status_panel,
            self.image_panel,
            self.classes_panel,
            self.requests,
            self.session,
            self.main_job,
            self.result,
            self._works_on,
            self._result_buttons,
        )
        self.result.relabelled.connect(self._on_relabelled)
        self.classes_panel.loaded.connect(self.learning_controller.load_beside)
        self.classes_panel.saved.connect(self.learning_controller.save_beside)
        self.project_controller = ProjectController(
            napari_viewer,
            self.project_panel,
            self.annotation_controller,
            self.requests.settings,
            self._apply_settings,
        )
        self.project_controller.leaving.connect(self._on_leaving)
        self.project_controller.marked_done.connect(self.learning_controller.learn_by_itself)
        self.autosave = Autosave(
            napari_viewer,
            self.offers_panel,
            self.annotation_controller,
            self.project_controller,
            self.requests.settings,
            self._continue_with,
        )
        self.learning_controller.changed.connect(self._on_prototypes_changed)
        self.class_changes = ClassChanges(
            self.classes_panel,
            self.annotation_controller,
            self.brush,
            self.correction_controller,
            self.learning_controller,
            self.result,
            self.project_controller,
            self.autosave,
            self.main_job.start_told,
        )
        self.project_runs = ProjectRuns(
            self.project_panel,
            self.classes_panel,
            self.project_controller,
            self.result,
            self.session,
            self._project_request,
            self.requests.chosen,
            partial(self.main_job.start_told, stopped=ui_text.STOPPED_IMAGES),
        )
        self.remembered_engine = RememberedEngine(self.engine_panel)
        self.memory_controller = MemoryController(
            self.memory_panel, self._memory_fold, self.session, self.main_job.start_told
        )
        self.memory_controller.cleared.connect(self.weights.look_up)
        self.controllers = (
            self.autosave,
            self.project_controller,
            self.class_changes,
            self.project_runs,
            self.exchange,
            self.tool_controller,
            self.object_tool,
            self.correction_controller,
            self.learning_controller,
            self.annotation_controller,
            self.example,
            self.result_display,
            self.remembered_engine,
            self.run_controller,
            self.memory_controller,
            self.weights,
            self.main_job,
        )
        """In the order in which they are closed: those that save come first."""
        for controller in self.controllers:
            controller.message.connect(self._say)
        self.exchange.project_images = self.project_controller.exported
        self.project_controller.annotated_changed.connect(self.exchange.set_annotated)
        napari_viewer.events.theme.connect(self._on_theme)
        self._on_theme()
        self.threshold_panel.valueChanged.connect(self.run_controller.on_threshold_moved)

        self.image_panel.changed.connect(self._update_ready)
        self.classes_panel.words_changed.connect(self._on_words_changed)
        self.classes_panel.words_changed.connect(self._warn_of_words)
        self.engine_panel.valueChanged.connect(self._warn_of_words)
        self.classes_panel.pending_changed.connect(self._update_ready)
        self.classes_panel.appearance_changed.connect(self._on_appearance_changed)
        self.classes_panel.selected.connect(self._on_class_selected)
        self.engine_panel.valueChanged.connect(self._update_ready)
        self.run_panel.run.connect(self.run)
        run_key = QShortcut(self)
        run_key.setKeys([QKeySequence("Ctrl+Return"), QKeySequence("Ctrl+Enter")])
        run_key.activated.connect(self.run)
        self._update_ready()
        self.memory_controller.update()

    @property
    def job(self) -> Job | None:
        """The job that the user waits for."""
        return self.main_job.job

    def download(self, names: Sequence[str]) -> None:
        """Download weights, with progress in the bar."""
        self.weights.download(names)

    def cancel(self) -> None:
        """Cancel the job; nothing is changed."""
        self.main_job.cancel()

    @property
    def idle(self) -> bool:
        """Whether nothing runs or waits to run, and everything is saved."""
        return (
            self.result.idle
            and all(panel.idle for panel in self.panels.values())
            and all(controller.idle for controller in self.controllers)
        )

    # ------------------------------------------------------------------ running

    def run(self) -> None:
        """Run on the chosen image."""
        self.run_controller.run()

    def _run_entries(self) -> list[RunEntry]:
        """The entries of the menu beside Run."""
        return [*self.run_controller.entries(), *self.project_runs.entries]

    def _open_image(self) -> None:
        """Open napari's file dialog."""
        get_app_model().commands.execute_command("napari.window.file.open_files_dialog")

    def _type_words(self) -> None:
        """Put the cursor into the field for words."""
        self.frame.go_to("find")
        self.classes_panel.field.setFocus()

    def _run_on_screen(self) -> None:
        """Run on the plane that the viewer shows, and show the page that says what is found."""
        self.frame.go_to("find")
        self.run_controller.run_on_screen()

    def _click_one(self) -> None:
        """Let the user click an object."""
        self.frame.go_to("correct")
        self.tool_controller.take("click")

    def _works_on(self, layer: Any) -> bool:
        """Whether the user paints or clicks in a layer."""
        clicks = self.correction_controller.click_controller
        return (self.annotation_controller.behind(layer) or clicks.behind(layer)) is not None

    def _result_buttons(self) -> tuple[StateButton, StateButton]:
        return (
            StateButton(
                ui_text.GO_CORRECT, partial(self.frame.go_to, "correct"), ui_text.GO_CORRECT_TIP
            ),
            StateButton(
                ui_text.GO_ACCEPT, self.annotation_controller.accept, ui_text.GO_ACCEPT_TIP
            ),
        )

    def _on_relabelled(self) -> None:
        """Offer nothing to accept where nothing is found; the state panel says so."""
        if self.state_panel.isVisibleTo(self.state_panel.parentWidget()):
            self.run_controller.clear_message()

    def _on_labels_failed(self, message: str) -> None:
        self._say(message, error=True)

    def _notify(self, message: str) -> None:
        """Show an error as napari's notification if the dock is hidden."""
        if self.window().isVisible() and not self.isVisible():
            show_error(message)

    def _say(self, message: str, error: bool = False) -> None:
        if error:
            self._notify(message)
        self.status_panel.show_message(message, tone="error" if error else "")
        self.viewer.status = message.splitlines()[0] if message else ""

    def _on_busy(self, busy: bool) -> None:
        self.run_panel.set_running(running=busy)
        for part in (self.next_step, self.engine_panel, self.memory_panel):
            part.set_busy(busy=busy)

    def _on_failed(self, message: str) -> None:
        self._notify(message)
        self.viewer.status = message.splitlines()[0]

    def _on_finished(self) -> None:
        self._update_ready()
        self.memory_controller.update()
        self.weights.look_up()
        self.class_changes.go_on()
        self.learning_controller.go_on()

    # ------------------------------------------------------------------ showing

    def _on_result_appeared(self) -> None:
        self.memory_controller.update()
        self.annotation_controller.count_soon()

    def _on_theme(self, _event: object = None) -> None:
        """Use colours for texts and bars that are legible in napari's theme."""
        self.setStyleSheet(tone_style(self.viewer.theme))
        self.classes_panel.table.set_theme(self.viewer.theme)

    @property
    def shown(self) -> Shown | None:
        """The result of the current plane, or None."""
        return self.result.shown

    def swap_stages(self) -> None:
        """Switch between the coarse and the refined map."""
        self.result.swap_stages()

    # ------------------------------------------------------------------ words and classes

    def _on_words_changed(self) -> None:
        self._update_ready()
        self.run_controller.again_soon()

    def _on_prototypes_changed(self, ask_again: bool) -> None:
        self.project_controller.request_changed()
        if ask_again:
            self.run_controller.again_soon()

    def _on_appearance_changed(self) -> None:
        self.result.recolour(self.classes_panel.value())
        self.annotation_controller.recolour()

    def _on_class_selected(self, label: int) -> None:
        rows = [row for row in self.classes_panel.value() if not row.background]
        if 0 < label <= len(rows):
            self.brush.brush(rows[label - 1])
            self.threshold_panel.choose_class(rows[label - 1].name)

    def _on_frozen(self, prediction: Prediction) -> None:
        message = ui_text.layer_edited(prediction.layer.name)
        self.status_panel.show_message(message)
        self.viewer.status = message
        if not self.result.live:
            self.threshold_panel.set_available(available=False, why_not=ui_text.LAYERS_EDITED)

    # ------------------------------------------------------------------ projects

    def _project_request(self) -> Request | str:
        """The request for the images of a project, or the reason why nothing can be run."""
        return self.requests.of_project() if self.job is None else ui_text.WAIT_FOR_JOB

    def _apply_settings(self, settings: ProjectSettings) -> None:
        """Use the classes, thresholds and engine settings of a project."""
        self.run_controller.drop()
        self.classes_panel.setValue(settings.classes)
        self.engine_panel.setValue(settings.config)
        self.learning_controller.begin_with(settings.prototypes, settings.prototype_weight)
        self.result.start_with(settings.config, settings.thresholds)

    def _continue_with(self, settings: ProjectSettings) -> None:
        """Use the settings of an earlier session, and keep the classes that are in the table."""
        names = {row.name.casefold() for row in settings.classes}
        rows = self.classes_panel.value()
        more = [row for row in rows if row.name.casefold() not in names]
        self._apply_settings(replace(settings, classes=(*settings.classes, *more)))

    def _on_leaving(self, image: Any) -> None:
        self.result_display.score_maps.clear()
        self.result.remove_of(image)
        self.correction_controller.leave(image)

    # ------------------------------------------------------------------ readiness, closing

    def _update_ready(self) -> None:
        self.image_panel.show_context(*self.requests.context())
        self.run_panel.set_ready(self.requests.why_not())
        self.next_step.update()
        self.annotation_controller.update_available()
        self.annotation_controller.count_soon()
        self.learning_controller.update_available()
        self.project_panel.set_orderable(
            self.requests.why_no_words() or self.requests.why_no_engine()
        )

    def _warn_of_words(self) -> None:
        """Show which words the chosen model does not know."""
        words = [w for row in self.classes_panel.value() for w in (row.name, *row.synonyms)]
        unknown = self.engine_panel.unknown_words(words)
        if unknown and self.job is None:
            self.status_panel.show_message(ui_text.unknown_words(unknown))

    def may_close(self) -> bool:
        """Whether everything is saved, or the user closes nevertheless."""
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
        for controller in self.controllers:
            controller.close()
        for panel in self.panels.values():
            panel.close_down()
        self.result.close()
        wait_for_stopped_jobs(CLOSE_WAITS)
        self.session.unload()
        self.session.forget()
