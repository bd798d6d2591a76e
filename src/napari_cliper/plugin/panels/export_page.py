"""The page Export: project buttons, and folds for files, images and prototypes."""

from __future__ import annotations

from qtpy.QtWidgets import QVBoxLayout, QWidget

from .. import ui_text
from ..qt.accordion import Accordion
from .export_panel import ExportPanel
from .project_panel import ProjectPanel
from .prototypes_panel import PrototypesPanel


class ExportPage(QWidget):
    """Project buttons, and folds; one is always open, because closing one opens that of files.

    Parameters
    ----------
    project : ProjectPanel
    export : ExportPanel
    prototypes : PrototypesPanel
    """

    def __init__(
        self, project: ProjectPanel, export: ExportPanel, prototypes: PrototypesPanel
    ) -> None:
        super().__init__()
        self.folds = Accordion()
        self.files = self.folds.add(ui_text.EXPORT_FOLD, export)
        self.images = self.folds.add(ui_text.PROJECT_IMAGES, project.list, fills=True)
        self.prototypes = self.folds.add(ui_text.PROTOTYPES, prototypes, fills=True)
        self.prototypes.header.setToolTip(ui_text.PROTOTYPES_TIP)
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        column.setSpacing(4)
        column.addWidget(project)
        column.addWidget(self.folds, 1)
        self.files.set_open(is_open=True)
        prototypes.title_changed.connect(self.prototypes.set_title)
        project.images_changed.connect(self._on_images)
        project.list_wanted.connect(self._on_list_wanted)
        for fold in self.folds.folds:
            fold.toggled.connect(self._on_toggled)
        self._on_images(0)

    def _on_images(self, images: int) -> None:
        """Show the list of images if there is one."""
        self.images.setVisible(images > 0)
        if not images:
            self.images.set_open(is_open=False)
        self.images.set_title(ui_text.project_images(images))

    def _on_list_wanted(self) -> None:
        self.images.set_open(is_open=True)

    def _on_toggled(self, is_open: bool) -> None:
        opened = [fold for fold in self.folds.folds if fold.is_open]
        if not is_open and not opened and self.sender() is not self.files:
            self.files.set_open(is_open=True)
