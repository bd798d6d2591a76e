"""Accept and clean the annotation, and how much of it is done."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal, get_args

from qtpy.QtCore import Signal
from qtpy.QtGui import QActionGroup
from qtpy.QtWidgets import QGridLayout, QHBoxLayout, QProgressBar, QPushButton, QSpinBox, QWidget

from ...annotation.cleanup import CLEANING, Cleanup
from ...annotation.completion import Done
from ...annotation.merge import RULES, Rule
from .. import ui_text
from ..qt.eliding_combo_box import ElidingComboBox
from ..qt.menu_button import MenuButton
from ..qt.wrapping_label import wrapping

Scope = Literal["all", "chosen", "rectangle", "region"]
SCOPES: tuple[Scope, ...] = get_args(Scope)


@dataclass(frozen=True)
class CleanupRequest:
    """A tool and its number."""

    tool: Cleanup
    amount: int | None


class AnnotationPanel(QWidget):
    """Buttons to accept a prediction and to clean the annotation.

    Emits requests; updated by `show_done` and `set_available`.
    """

    accept_wanted = Signal()
    clean_wanted = Signal()

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.done = QProgressBar()
        self.done.setRange(0, 100)
        self.accept = MenuButton(ui_text.ACCEPT, ui_text.ACCEPT_MENU)
        self.accept_button = self.accept.button
        self._scopes = QActionGroup(self)
        for name in SCOPES:
            title, tip = ui_text.SCOPES[name]
            action = self._scopes.addAction(title)
            action.setCheckable(True)
            action.setToolTip(tip)
            action.setData(name)
            self.accept.menu.addAction(action)
        self.choose_scope("all")
        self.accept.menu.addSeparator()
        self.accepted_follow = self.accept.menu.addAction(ui_text.ACCEPTED_FOLLOW)
        self.accepted_follow.setCheckable(True)
        self.accepted_follow.setChecked(True)
        self.accepted_follow.setToolTip(ui_text.ACCEPTED_FOLLOW_TIP)
        self.rule = _combo(ui_text.RULE_NAMES, ui_text.RULE_TIP)
        self.clean_button = QPushButton(ui_text.CLEAN)
        self.tool = _combo(
            {name: (tool.words, tool.help) for name, tool in CLEANING.items()},
            ui_text.TOOL_TIP,
        )
        self.amount = QSpinBox()
        self.amount.setAccessibleName(ui_text.AMOUNT_NAME)
        self.amount.setMaximum(1_000_000)

        grid = QGridLayout(self)
        grid.setContentsMargins(0, 0, 0, 0)
        grid.setVerticalSpacing(4)
        grid.addWidget(self.accept, 0, 0, 1, 2)
        grid.addWidget(self.rule, 1, 0, 1, 2)
        grid.addWidget(self.done, 2, 0, 1, 2)
        grid.addWidget(self.clean_button, 3, 0)
        cleaning = QHBoxLayout()  # a hidden number leaves no gap
        cleaning.addWidget(self.tool, 1)
        cleaning.addWidget(self.amount)
        grid.addLayout(cleaning, 3, 1)
        grid.addWidget(wrapping(ui_text.LEGEND), 4, 0, 1, 2)
        grid.setColumnStretch(1, 1)

        self.accept.clicked.connect(self.accept_wanted)
        self.clean_button.clicked.connect(self.clean_wanted)
        self.tool.currentIndexChanged.connect(self._show_amount)
        self._show_amount()
        self.set_available(ui_text.NO_PREDICTION, ui_text.NO_ANNOTATION)
        self.show_done(None)

    # ------------------------------------------------------------------ values

    def chosen_scope(self) -> Scope:
        """Return what to accept or clean."""
        chosen = self._scopes.checkedAction()
        return "all" if chosen is None else chosen.data()

    def choose_scope(self, scope: Scope) -> None:
        """Choose what to accept or clean."""
        self._scopes.actions()[SCOPES.index(scope)].setChecked(True)

    def chosen_rule(self) -> Rule:
        """Return which pixels Accept may change."""
        return RULES[self.rule.currentIndex()]

    def cleaning(self) -> CleanupRequest:
        """Return the cleaning tool and its amount."""
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
            self.amount.setSuffix(ui_text.PIXELS_SUFFIX)
            self.amount.setToolTip(ui_text.amount_tip(amount))

    # ------------------------------------------------------------------ showing

    def set_available(self, no_accept: str, no_clean: str) -> None:
        """Enable the buttons, or disable them with the reason as tooltip.

        Parameters
        ----------
        no_accept, no_clean : str
            Reasons; empty to enable.
        """
        self.accept_button.setEnabled(not no_accept)
        self.accept_button.setToolTip(no_accept or ui_text.ACCEPT_TIP)
        self.clean_button.setEnabled(not no_clean)
        self.clean_button.setToolTip(no_clean or ui_text.CLEAN_TIP)

    def show_done(self, done: Done | None) -> None:
        """Show how much is done."""
        self.done.setValue(0 if done is None else round(100 * done.decided))
        self.done.setFormat(ui_text.done_bar(done))
        self.done.setToolTip(ui_text.done_text(done))


def _combo(entries: Mapping[Any, tuple[str, str]], tip: str) -> ElidingComboBox:
    """A combo box of named entries with tooltips."""
    combo = ElidingComboBox(tip)
    combo.setAccessibleName(tip.rstrip("."))
    for words, explanation in entries.values():
        combo.offer(words, explanation)
    return combo
