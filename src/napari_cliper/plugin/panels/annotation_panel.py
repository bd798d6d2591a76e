"""Accept, clean, and how much is done: the buttons of the annotation."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, Literal

from qtpy.QtCore import Signal
from qtpy.QtWidgets import QGridLayout, QHBoxLayout, QLabel, QPushButton, QSpinBox, QWidget

from ...annotation.cleanup import CLEANING, Cleanup
from ...annotation.completion import Done
from ...annotation.merge import RULE_NAMES, RULES, Rule
from ..qt.eliding_combo_box import ElidingComboBox
from ..qt.wrapping_label import wrapping

Scope = Literal["all", "chosen", "rectangle", "region"]
SCOPES: Mapping[Scope, tuple[str, str]] = MappingProxyType(
    {
        "all": ("all classes", "Everything, the background included."),
        "chosen": ("the chosen classes", "The classes whose rows are chosen in the table."),
        "rectangle": ("the rectangle", "What lies in the rectangle of the topmost Shapes layer."),
        "region": ("the region I click", "One connected region: press the button, then click it."),
    }
)
"""Name and explanation by what is accepted or cleaned."""


@dataclass(frozen=True)
class CleanupRequest:
    """A tool and its number."""

    tool: Cleanup
    amount: int | None


class AnnotationPanel(QWidget):
    """What a person does with a prediction and with the annotation.

    Emits what is wanted; is told by `show_done` and `set_available`.
    """

    accept_wanted = Signal()
    clean_wanted = Signal()
    export_wanted = Signal()
    import_wanted = Signal()

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        title = QLabel("<b>Annotation</b>")
        title.setToolTip("The layer that you stand behind; predictions are taken into it.")
        self.done = wrapping()
        self.accept_button = QPushButton("Accept")
        self.scope = _combo(SCOPES, "What is accepted or cleaned.")
        self.rule = _combo(RULE_NAMES, "Where it may go.")
        self.clean_button = QPushButton("Clean")
        self.tool = _combo(
            {name: (tool.words, tool.help) for name, tool in CLEANING.items()},
            "What is done to the annotation, in the plane that is seen.",
        )
        self.amount = QSpinBox()
        self.amount.setAccessibleName("How much")
        self.amount.setMaximum(1_000_000)

        grid = QGridLayout(self)
        grid.setContentsMargins(0, 0, 0, 0)
        grid.addWidget(title, 0, 0, 1, 3)
        grid.addWidget(self.accept_button, 1, 0)
        grid.addWidget(self.scope, 1, 1, 1, 2)
        grid.addWidget(self.rule, 2, 1, 1, 2)
        grid.addWidget(self.clean_button, 3, 0)
        grid.addWidget(self.tool, 3, 1)
        grid.addWidget(self.amount, 3, 2)
        grid.addWidget(self.done, 4, 0, 1, 3)
        self.import_button = QPushButton("&Import ...")
        self.import_button.setToolTip(
            "Take labels from a TIFF, a PNG or COCO JSON. One undo step; classes go by name."
        )
        self.export_button = QPushButton("&Export ...")
        self.export_button.setToolTip("For training, ImageJ, QuPath, spreadsheets, ...")
        row = QHBoxLayout()
        row.addWidget(self.import_button)
        row.addWidget(self.export_button)
        grid.addLayout(row, 5, 0, 1, 3)
        grid.setColumnStretch(1, 1)

        self.accept_button.clicked.connect(self.accept_wanted)
        self.clean_button.clicked.connect(self.clean_wanted)
        self.import_button.clicked.connect(self.import_wanted)
        self.export_button.clicked.connect(self.export_wanted)
        self.tool.currentIndexChanged.connect(self._show_amount)
        self._show_amount()
        self.set_available("There is no prediction yet: press Run.", "There is no annotation yet.")
        self.show_done(None)

    # ------------------------------------------------------------------ wishes

    def chosen_scope(self) -> Scope:
        """What is accepted or cleaned."""
        return list(SCOPES)[self.scope.currentIndex()]

    def chosen_rule(self) -> Rule:
        """Where an accept may go."""
        return RULES[self.rule.currentIndex()]

    def cleaning(self) -> CleanupRequest:
        """The tool and its number."""
        tool = self._chosen_tool()
        has_amount = CLEANING[tool].amount is not None
        return CleanupRequest(tool, self.amount.value() if has_amount else None)

    def _chosen_tool(self) -> Cleanup:
        return list(CLEANING)[self.tool.currentIndex()]

    def _show_amount(self) -> None:
        amount = CLEANING[self._chosen_tool()].amount
        self.amount.setVisible(amount is not None)
        if amount is not None:
            self.amount.setMinimum(amount.least)
            self.amount.setValue(amount.default)
            self.amount.setSuffix(" px")
            self.amount.setToolTip(f"{amount.words}, in {amount.unit}.")

    # ------------------------------------------------------------------ showing

    def set_available(self, no_accept: str, no_clean: str) -> None:
        """Allow the buttons, or say in their tooltips why they are grey.

        Parameters
        ----------
        no_accept, no_clean : str
            Reasons; empty where it can be done.
        """
        self.accept_button.setEnabled(not no_accept)
        self.accept_button.setToolTip(
            no_accept or "Take the prediction into the annotation. One undo step."
        )
        self.clean_button.setEnabled(not no_clean)
        self.clean_button.setToolTip(no_clean or "Tidy the annotation up. One undo step.")

    def show_done(self, done: Done | None) -> None:
        """Say how much is done."""
        if done is None:
            self.done.setText("Nothing accepted or painted yet.")
            return
        parts = [
            f"{done.labelled:.0%} labelled",
            f"{done.decided:.0%} decided",
            f"{done.classes} {'class' if done.classes == 1 else 'classes'}",
        ]
        if done.open_regions:
            word = "region" if done.open_regions == 1 else "regions"
            parts.append(f"{done.open_regions} suggested {word} open")
        self.done.setText(", ".join(parts) + ".")


def _combo(entries: Mapping[Any, tuple[str, str]], tip: str) -> ElidingComboBox:
    """A box of named entries with their explanations."""
    combo = ElidingComboBox(tip)
    combo.setAccessibleName(tip.rstrip("."))
    for words, explanation in entries.values():
        combo.offer(words, explanation)
    return combo
