"""The panels of the dock, and the page that each is on. Nothing is connected here."""

from __future__ import annotations

from collections.abc import Mapping

from napari.viewer import Viewer
from qtpy.QtWidgets import QVBoxLayout, QWidget

from . import preferences, ui_text
from .frame import Frame, PageName
from .panels.annotation_panel import AnnotationPanel
from .panels.axes_panel import AxesPanel
from .panels.classes_panel import ClassesPanel
from .panels.corrections_panel import CorrectionsPanel
from .panels.engine_panel import EnginePanel
from .panels.export_page import ExportPage
from .panels.export_panel import ExportPanel
from .panels.image_panel import ImagePanel
from .panels.offers_panel import OffersPanel
from .panels.project_panel import ProjectPanel
from .panels.prototypes_panel import PrototypesPanel
from .panels.run_panel import RunPanel
from .panels.state_panel import StatePanel
from .panels.status_panel import StatusPanel
from .panels.threshold_panel import ThresholdPanel
from .panels.tiles_panel import TilesPanel
from .qt.closing_widget import ClosingWidget
from .qt.first_visible import first_visible
from .qt.wrapping_label import wrapping


class DockPanels(ClosingWidget):
    """All panels that have a controller, in a frame.

    Parameters
    ----------
    viewer : Viewer
    """

    def __init__(self, viewer: Viewer) -> None:
        super().__init__()
        self.offers_panel = OffersPanel()
        self.axes_panel = AxesPanel()
        self.image_panel = ImagePanel(viewer)
        self.classes_panel = ClassesPanel()
        self.engine_panel = EnginePanel(preferences.read().config)
        self.run_panel = RunPanel()
        self.tiles_panel = TilesPanel()
        self.state_panel = StatePanel()
        self.correct_state = StatePanel()
        self.status_panel = StatusPanel()
        self.threshold_panel = ThresholdPanel()
        self.annotation_panel = AnnotationPanel()
        self.corrections_panel = CorrectionsPanel()
        self.prototypes_panel = PrototypesPanel()
        self.project_panel = ProjectPanel()
        self.result_details = wrapping(ui_text.NO_RESULTS)
        self.export_panel = ExportPanel()
        self.export_page = ExportPage(self.project_panel, self.export_panel, self.prototypes_panel)
        self._lay_out()

    def _lay_out(self) -> None:
        self.frame = frame = Frame(self.image_panel, self.status_panel)
        self.image_panel.add_button(frame.settings_button)
        frame.add_above(self.image_panel.strip)
        frame.add_above(first_visible(self.offers_panel, self.axes_panel))
        frame.add_below(self.project_panel.line)
        pages: Mapping[PageName, tuple[QWidget, ...]] = {
            "find": (
                self.image_panel.offer,
                self.classes_panel,
                self.run_panel,
                self.tiles_panel,
                first_visible(self.classes_panel.message, self.state_panel, self.tiles_panel.costs),
                self.threshold_panel,
            ),
            "correct": (
                self.correct_state,
                self.corrections_panel,
                self.annotation_panel,
                first_visible(self.corrections_panel.state, self.corrections_panel.legend),
            ),
            "settings": (self.engine_panel,),
        }
        for page, panels in pages.items():
            for panel in panels:
                frame.add(page, panel)
        self.engine_panel.add_fold(ui_text.RESULTS_FOLD, self.result_details)
        frame.add("export", self.export_page, fills=True)
        outer = QVBoxLayout(self)
        outer.setContentsMargins(0, 0, 0, 0)
        outer.addWidget(frame)
