"""Which formats, and where to."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from qtpy.QtWidgets import (
    QCheckBox,
    QDialog,
    QDialogButtonBox,
    QFileDialog,
    QHBoxLayout,
    QLabel,
    QLineEdit,
    QPushButton,
    QVBoxLayout,
    QWidget,
)

from ...io.formats import FORMATS
from .. import ui_text


@dataclass(frozen=True)
class ExportRequest:
    """What a person wants to export.

    Parameters
    ----------
    folder : Path
    formats : tuple of str
    overwrite : bool
    every_image : bool
        All images of the project, not the chosen one alone.
    """

    folder: Path
    formats: tuple[str, ...]
    overwrite: bool
    every_image: bool


class ExportDialog(QDialog):
    """Formats to tick, a folder, and what may be replaced.

    Parameters
    ----------
    images : int
        How many images of the project have an annotation; 0 for no project.
    folder : str
        What is proposed.
    """

    def __init__(self, images: int, folder: str, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setWindowTitle(ui_text.EXPORT_TITLE)
        column = QVBoxLayout(self)
        self.boxes: dict[str, QCheckBox] = {}
        for name, one in FORMATS.items():
            box = QCheckBox(one.title)
            box.setToolTip(one.help)
            box.toggled.connect(self._update)
            column.addWidget(box)
            self.boxes[name] = box
        self.every_image = QCheckBox(ui_text.every_image(images))
        self.every_image.setVisible(images > 1)
        self.every_image.setChecked(images > 1)
        self.overwrite = QCheckBox(ui_text.OVERWRITE)
        self.folder = QLineEdit(folder)
        self.folder.setAccessibleName(ui_text.FOLDER_LABEL)
        self.folder.textChanged.connect(self._update)
        browse = QPushButton(ui_text.BROWSE)
        browse.clicked.connect(self._on_browse)
        row = QHBoxLayout()
        row.addWidget(QLabel(ui_text.FOLDER_LABEL))
        row.addWidget(self.folder, 1)
        row.addWidget(browse)
        column.addLayout(row)
        column.addWidget(self.every_image)
        column.addWidget(self.overwrite)
        self.buttons = QDialogButtonBox(
            QDialogButtonBox.StandardButton.Save | QDialogButtonBox.StandardButton.Cancel
        )
        self.buttons.accepted.connect(self.accept)
        self.buttons.rejected.connect(self.reject)
        column.addWidget(self.buttons)
        self._update()

    def request(self) -> ExportRequest:
        """What was ticked."""
        return ExportRequest(
            Path(self.folder.text()).expanduser(),
            tuple(name for name, box in self.boxes.items() if box.isChecked()),
            self.overwrite.isChecked(),
            self.every_image.isChecked(),
        )

    def _update(self) -> None:
        request = self.request()
        save = self.buttons.button(QDialogButtonBox.StandardButton.Save)
        ready = bool(request.formats and self.folder.text().strip())
        save.setEnabled(ready)
        save.setToolTip("" if ready else ui_text.EXPORT_WHY_NOT)

    def _on_browse(self) -> None:
        folder = QFileDialog.getExistingDirectory(
            self, ui_text.EXPORT_FOLDER_TITLE, self.folder.text()
        )
        if folder:
            self.folder.setText(folder)
