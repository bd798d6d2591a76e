"""A dialog that asks for the class of each label that could not be matched by name."""

from __future__ import annotations

from collections.abc import Mapping

from qtpy.QtWidgets import (
    QComboBox,
    QDialog,
    QDialogButtonBox,
    QFormLayout,
    QLabel,
    QScrollArea,
    QVBoxLayout,
    QWidget,
)

from ...labels.class_matching import Matching
from ...labels.imported_labels import Imported
from ...labels.label_class import ClassRow
from .. import ui_text


class ImportDialog(QDialog):
    """A row for each unmatched label, with the classes to choose from.

    Parameters
    ----------
    imported : Imported
    matching : Matching
    classes : mapping of int to ClassRow
        The classes of the annotation, by label.
    """

    def __init__(
        self,
        imported: Imported,
        matching: Matching,
        classes: Mapping[int, ClassRow],
        parent: QWidget | None = None,
    ) -> None:
        super().__init__(parent)
        self.setWindowTitle(ui_text.MATCH_TITLE)
        self._names = {
            label: imported.classes[label].name
            if label in imported.classes
            else ui_text.label_name(label)
            for label in matching.open
        }
        taken = {row.name.casefold() for row in classes.values()}
        self.boxes: dict[int, QComboBox] = {}
        rows = QFormLayout()
        for label in matching.open:
            box = QComboBox()
            for number, row in classes.items():
                box.addItem(row.name, number)
            if self._names[label].casefold() not in taken:
                box.addItem(ui_text.NEW_CLASS, ui_text.NEW_CLASS)
            box.addItem(ui_text.LEAVE_OUT, None)
            box.setPlaceholderText(ui_text.MATCH_PLACEHOLDER)
            named = label in imported.classes and label not in matching.clashing
            box.setCurrentIndex(box.findText(ui_text.NEW_CLASS) if named else -1)
            box.currentIndexChanged.connect(self._update)
            why = matching.clashing.get(label, "")
            name = QLabel(ui_text.label_to_match(label=label, name=self._names[label], why=why))
            name.setWordWrap(True)
            rows.addRow(name, box)
            self.boxes[label] = box
        inside = QWidget()
        inside.setLayout(rows)
        scroll = QScrollArea()
        scroll.setWidgetResizable(True)
        scroll.setWidget(inside)
        column = QVBoxLayout(self)
        column.addWidget(QLabel(ui_text.MATCH_TEXT))
        column.addWidget(scroll)
        self.buttons = QDialogButtonBox(
            QDialogButtonBox.StandardButton.Ok | QDialogButtonBox.StandardButton.Cancel
        )
        self.buttons.accepted.connect(self.accept)
        self.buttons.rejected.connect(self.reject)
        column.addWidget(self.buttons)
        self._update()

    def _update(self) -> None:
        chosen = all(box.currentIndex() >= 0 for box in self.boxes.values())
        okay = self.buttons.button(QDialogButtonBox.StandardButton.Ok)
        okay.setEnabled(chosen)
        okay.setToolTip("" if chosen else ui_text.MATCH_WHY_NOT)

    def assignments(self) -> dict[int, int | None]:
        """Return the class by label of the file, None to leave it out; without new classes."""
        return {label: box.currentData() for label, box in self.boxes.items()
                if box.currentData() != ui_text.NEW_CLASS}  # fmt: skip

    def new_classes(self) -> dict[int, str]:
        """Return the name of the new class by label of the file."""
        return {label: self._names[label] for label, box in self.boxes.items()
                if box.currentData() == ui_text.NEW_CLASS}  # fmt: skip
