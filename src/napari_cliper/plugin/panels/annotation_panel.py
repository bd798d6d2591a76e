"""Accept and clean the annotation, and how much of it is done."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal, get_args

from qtpy.QtCore import Signal
from qtpy.QtGui import QActionGroup
from qtpy.QtWidgets import QGridLayout, QHBoxLayout, QProgressBar, QPushButton, QSpinBox, QWidget
from superqt.utils import signals_blocked

from ...annotation.cleanup import CLEANING, Cleanup
from ...annotation.completion import Done
from ...annotation.merge import RULES, Rule
from .. import ui_text
from ..qt.eliding_combo_box import ElidingComboBox
from ..qt.menu_button import MenuButton

Scope = Literal["all", "chosen", "rectangle", "region"]
SCOPES: tuple[Scope, ...] = get_args(Scope)


@dataclass(frozen=True)
class AnnotationChoice:
    """What Accept and Clean do.

    Parameters
    ----------
    scope : {'all', 'chosen', 'rectangle', 'region'}
        What is accepted or cleaned.
    rule : str
        Of `RULES`: the pixels that Accept may change.
    accepted_follow : bool
        Whether accepted pixels follow later hints.
    tool : str
        Of `CLEANING`.
    amount : int or None
        The number of the tool; None if it has none.
    """

    scope: Scope = "all"
    rule: Rule = RULES[0]
    accepted_follow: bool = True
    tool: Cleanup = "fill holes"
    amount: int | None = None


class AnnotationPanel(QWidget):
    """Buttons to accept a prediction and to clean the annotation.

    The value is the `AnnotationChoice`. Emits requests; updated by `show_done` and `set_available`.
    """

    valueChanged = Signal(object)
    accept_wanted = Signal()
    accept_planes_wanted = Signal()
    clean_wanted = Signal()

    def __init__(self) -> None:
        super().__init__()
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
        self._scopes.actions()[0].setChecked(True)
        self.accept.menu.addSeparator()
        self.accept_planes = self.accept.menu.addAction(ui_text.ACCEPT_PLANES)
        self.accept_planes.triggered.connect(
            lambda _checked=False: self.accept_planes_wanted.emit()
        )
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
        grid.setColumnStretch(1, 1)

        self.accept.clicked.connect(self.accept_wanted)
        self.clean_button.clicked.connect(self.clean_wanted)
        self.tool.currentIndexChanged.connect(self._show_amount)
        self._scopes.triggered.connect(self._on_changed)
        self.accepted_follow.toggled.connect(self._on_changed)
        self.rule.currentIndexChanged.connect(self._on_changed)
        self.tool.currentIndexChanged.connect(self._on_changed)
        self.amount.valueChanged.connect(self._on_changed)
        self._show_amount()
        self.set_available(ui_text.NO_PREDICTION, ui_text.NO_ANNOTATION)
        self.show_done(None)

    # ------------------------------------------------------------------ values

    def value(self) -> AnnotationChoice:
        """Return the choices."""
        scope, tool = self._scopes.checkedAction(), self._chosen_tool()
        return AnnotationChoice(
            "all" if scope is None else scope.data(),
            RULES[self.rule.currentIndex()],
            self.accepted_follow.isChecked(),
            tool,
            None if CLEANING[tool].amount is None else self.amount.value(),
        )

    def setValue(self, choice: AnnotationChoice) -> None:
        """Show choices; emits `valueChanged` if they differ."""
        before = self.value()
        with signals_blocked(self):
            self._scopes.actions()[SCOPES.index(choice.scope)].setChecked(True)
            self.rule.setCurrentIndex(RULES.index(choice.rule))
            self.accepted_follow.setChecked(choice.accepted_follow)
            self.tool.setCurrentIndex(list(CLEANING).index(choice.tool))
            if choice.amount is not None:
                self.amount.setValue(choice.amount)
        if self.value() != before:
            self._on_changed()

    def _on_changed(self, _value: object = None) -> None:
        self.valueChanged.emit(self.value())

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

    def set_planes(self, why_not: str) -> None:
        """Enable *Accept all planes*, or disable it with the reason as tooltip."""
        self.accept_planes.setEnabled(not why_not)
        self.accept_planes.setToolTip(why_not or ui_text.ACCEPT_PLANES_TIP)

    def show_done(self, done: Done | None, *, begun: bool = False) -> None:
        """Show how much of the plane is done; nothing without a plane of a `begun` annotation."""
        self.done.setValue(0 if done is None else round(100 * done.decided))
        self.done.setFormat("" if done is None and begun else ui_text.done_bar(done))
        self.done.setToolTip(ui_text.done_text(done))


def _combo(entries: Mapping[Any, tuple[str, str]], tip: str) -> ElidingComboBox:
    """A combo box of named entries with tooltips."""
    combo = ElidingComboBox(tip)
    combo.setAccessibleName(tip.rstrip("."))
    for words, explanation in entries.values():
        combo.offer(words, explanation)
    return combo
