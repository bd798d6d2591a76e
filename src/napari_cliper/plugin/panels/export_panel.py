"""Export annotations by purpose, and import labels."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from qtpy.QtCore import Signal
from qtpy.QtWidgets import (
    QCheckBox,
    QFileDialog,
    QGridLayout,
    QHBoxLayout,
    QLabel,
    QLineEdit,
    QMenu,
    QPushButton,
    QSpinBox,
    QToolButton,
    QVBoxLayout,
    QWidget,
)
from superqt.utils import signals_blocked

from ...io.formats import FORMATS, PURPOSES, Purpose, formats_for
from .. import ui_text
from ..export_choice import ExportChoice
from ..qt.popup import PopupButton
from ..qt.theme_colours import set_tone


@dataclass(frozen=True)
class ExportRequest:
    """The choices of an export.

    Parameters
    ----------
    folder : Path
    formats : tuple of str
    overwrite : bool
    every_image : bool
        All images of the project, not the chosen one alone.
    every_plane : bool
        Whether untouched planes of stacks are written too.
    validation : float
        Share of the images for validation, from 0 to below 1.
    """

    folder: Path
    formats: tuple[str, ...]
    overwrite: bool
    every_image: bool
    every_plane: bool = False
    validation: float = 0.0


class PurposeRow(QWidget):
    """A check box for a purpose, with a menu if it has several formats.

    Parameters
    ----------
    purpose : str
        Of `PURPOSES`.
    """

    changed = Signal()

    def __init__(self, purpose: Purpose) -> None:
        super().__init__()
        self.names = formats_for(purpose)
        self.box = QCheckBox(PURPOSES[purpose])
        self.box.setToolTip(
            ui_text.purpose_tip([(FORMATS[name].title, FORMATS[name].help) for name in self.names])
        )
        self.box.toggled.connect(self.changed)
        row = QHBoxLayout(self)
        row.setContentsMargins(0, 0, 0, 0)
        row.addWidget(self.box, 1)
        self.menu = QMenu(self)
        self.button = QToolButton()
        for name in self.names:
            action = self.menu.addAction(FORMATS[name].title)
            assert action is not None  # noqa: S101 - for the types
            action.setToolTip(FORMATS[name].help)
            action.setCheckable(True)
            action.setChecked(True)
            action.toggled.connect(self._on_format)
        self.menu.setToolTipsVisible(True)
        if len(self.names) > 1:
            self.button.setMenu(self.menu)
            self.button.setPopupMode(QToolButton.ToolButtonPopupMode.InstantPopup)
            self.button.setToolTip(ui_text.FORMATS_TIP)
            self.button.setAutoRaise(True)
            self.button.setStyleSheet("QToolButton::menu-indicator {image: none;}")
            row.addWidget(self.button)
            self._show()
        elif self.names:
            title = FORMATS[self.names[0]].title
            label = QLabel("" if title == PURPOSES[purpose] else title)
            set_tone(label, "muted")
            row.addWidget(label)

    def left_out(self) -> list[str]:
        """The names of the formats that are unticked in the menu."""
        return [
            name
            for name, action in zip(self.names, self.menu.actions(), strict=True)
            if not action.isChecked()
        ]

    def leave_out(self, names: tuple[str, ...]) -> None:
        """Untick these formats, and tick the others."""
        for name, action in zip(self.names, self.menu.actions(), strict=True):
            with signals_blocked(action):
                action.setChecked(name not in names)
        self._show()

    def _on_format(self, chosen: bool) -> None:
        self._show()
        if chosen:
            self.box.setChecked(True)
        self.changed.emit()

    def _show(self) -> None:
        number = len(self.names) - len(self.left_out())
        self.button.setText(ui_text.formats_chosen(number, len(self.names)))


class ExportPanel(QWidget):
    """Purposes to tick, a folder, and whether files may be replaced.

    The value is the `ExportChoice`; `request` adds which images.
    """

    valueChanged = Signal(object)
    export_wanted = Signal()
    import_wanted = Signal()
    open_wanted = Signal()

    def __init__(self) -> None:
        super().__init__()
        self._images = 0
        self._why_not = ui_text.NOTHING_TO_EXPORT
        self._has_annotation = False
        self.purposes = {purpose: PurposeRow(purpose) for purpose in PURPOSES}
        self.folder = QLineEdit()
        self.folder.setPlaceholderText(ui_text.FOLDER_LABEL)
        self.folder.setAccessibleName(ui_text.FOLDER_LABEL)
        self.browse = QPushButton(ui_text.BROWSE)
        self.every_image = QCheckBox()
        self.every_image.setChecked(True)
        self.overwrite = QCheckBox(ui_text.OVERWRITE)
        self.overwrite.setToolTip(ui_text.OVERWRITE_TIP)
        self.every_plane = QCheckBox(ui_text.EVERY_PLANE)
        self.every_plane.setToolTip(ui_text.EVERY_PLANE_TIP)
        self.validation = QSpinBox()
        self.validation.setRange(0, 90)
        self.validation.setSingleStep(5)
        self.validation.setSuffix(" %")
        self.validation.setSpecialValueText(ui_text.VALIDATION_NONE)
        self.validation.setAccessibleName(ui_text.VALIDATION)
        self.export_button = QPushButton()
        set_tone(self.export_button, "primary")
        self.open_button = QPushButton(ui_text.OPEN_EXPORT_FOLDER)
        self.import_button = QPushButton(ui_text.IMPORT)
        self.import_button.setToolTip(ui_text.IMPORT_TIP)
        self.options_button = self._options()
        self._lay_out()

        for row in self.purposes.values():
            row.changed.connect(self._on_changed)
        self.folder.textChanged.connect(self._on_changed)
        self.overwrite.toggled.connect(self._on_changed)
        self.every_image.toggled.connect(self._on_changed)
        self.every_plane.toggled.connect(self._on_changed)
        self.validation.valueChanged.connect(self._on_changed)
        self.browse.clicked.connect(self._on_browse)
        self.export_button.clicked.connect(self.export_wanted)
        self.import_button.clicked.connect(self.import_wanted)
        self.open_button.clicked.connect(self.open_wanted)
        self.set_exported("")
        self.set_available(has_annotation=False, images=0)

    def _options(self) -> PopupButton:
        """A button that opens what few exports need."""
        inside = QWidget()
        column = QVBoxLayout(inside)
        column.addWidget(self.every_plane)
        row = QHBoxLayout()
        row.addWidget(QLabel(ui_text.VALIDATION))
        row.addWidget(self.validation)
        row.addStretch(1)
        column.addLayout(row)
        tip = ui_text.EXPORT_OPTIONS_TIP
        return PopupButton(ui_text.EXPORT_OPTIONS, tip, tip, inside)

    def _lay_out(self) -> None:
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        column.setSpacing(4)
        boxes = QVBoxLayout()
        boxes.setSpacing(0)
        for purpose_row in self.purposes.values():
            boxes.addWidget(purpose_row)
        column.addLayout(boxes)
        row = QHBoxLayout()
        row.addWidget(self.folder, 1)
        row.addWidget(self.browse)
        row.addWidget(self.options_button)
        column.addLayout(row)
        row = QHBoxLayout()
        row.addWidget(self.every_image)
        row.addWidget(self.overwrite)
        row.addStretch(1)
        column.addLayout(row)
        grid = QGridLayout()
        grid.setSpacing(4)
        grid.addWidget(self.export_button, 0, 0, 1, 2)
        grid.addWidget(self.open_button, 1, 0)
        grid.addWidget(self.import_button, 1, 1)
        column.addLayout(grid)
        column.addStretch(1)

    # ------------------------------------------------------------------ values in and out

    def value(self) -> ExportChoice:
        """Return the choices."""
        return ExportChoice(
            tuple(purpose for purpose, row in self.purposes.items() if row.box.isChecked()),
            tuple(name for row in self.purposes.values() for name in row.left_out()),
            self.folder.text(),
            self.overwrite.isChecked(),
            self.every_plane.isChecked(),
            self.validation.value(),
        )

    def setValue(self, choice: ExportChoice) -> None:
        """Show choices; emits `valueChanged` if they differ."""
        before = self.value()
        with signals_blocked(self):
            for purpose, row in self.purposes.items():
                row.leave_out(choice.left_out)
                row.box.setChecked(purpose in choice.purposes)
            self.folder.setText(choice.folder)
            self.overwrite.setChecked(choice.overwrite)
            self.every_plane.setChecked(choice.every_plane)
            self.validation.setValue(choice.validation)
        self._update()
        if self.value() != before:
            self.valueChanged.emit(self.value())

    def request(self) -> ExportRequest:
        """Return the request of the Export button."""
        choice = self.value()
        return ExportRequest(
            Path(choice.folder.strip()).expanduser(),
            choice.formats,
            choice.overwrite,
            self._every_image(),
            choice.every_plane,
            choice.validation / 100 if choice.is_split else 0.0,
        )

    def _every_image(self) -> bool:
        return self._images > 1 and (self.every_image.isChecked() or not self._has_annotation)

    # ------------------------------------------------------------------ showing

    def set_available(self, *, has_annotation: bool, images: int, why_not: str = "") -> None:
        """Set what can be exported.

        Parameters
        ----------
        has_annotation : bool
            Whether the image in the window has an annotation.
        images : int
            Number of annotated images of the project; 0 for no project.
        why_not : str
            Why nothing can be exported or imported now; empty if it can.
        """
        self._has_annotation, self._images = has_annotation, images
        self._why_not = why_not or ("" if has_annotation or images else ui_text.NOTHING_TO_EXPORT)
        self.every_image.setVisible(images > 1)
        self.every_image.setEnabled(has_annotation)  # without one, there are only those
        self.every_image.setText(ui_text.every_image(images))
        self.every_image.setToolTip(ui_text.EVERY_IMAGE_TIP)
        self.import_button.setEnabled(not why_not)
        self.import_button.setToolTip(why_not or ui_text.IMPORT_TIP)
        self._update()

    def set_exported(self, folder: str) -> None:
        """Set the folder that *Open folder* opens; empty for none."""
        self.open_button.setEnabled(bool(folder))
        self.open_button.setToolTip(ui_text.open_folder_tip(folder))

    def _on_changed(self, _value: object = None) -> None:
        self._update()
        self.valueChanged.emit(self.value())

    def _update(self) -> None:
        request = self.request()
        chosen = bool(request.formats and self.folder.text().strip())
        why_not = self._why_not or ("" if chosen else ui_text.EXPORT_WHY_NOT)
        number = self._images if self._every_image() else 1
        self.export_button.setText(ui_text.export_images(number))
        self.export_button.setEnabled(not why_not)
        is_split = self.value().is_split
        self.validation.setEnabled(is_split)
        self.validation.setToolTip(
            ui_text.VALIDATION_TIP if is_split else ui_text.VALIDATION_WHY_NOT
        )
        titles = [FORMATS[name].title for name in request.formats]
        self.export_button.setToolTip(why_not or ui_text.export_tip(titles))

    def _on_browse(self) -> None:
        folder = QFileDialog.getExistingDirectory(
            self, ui_text.EXPORT_FOLDER_TITLE, self.folder.text()
        )
        if folder:
            self.folder.setText(folder)
