"""The page Objects: counts of objects by class, tools that edit single ones, and their table."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from qtpy.QtCore import Signal
from qtpy.QtGui import QHideEvent, QShowEvent
from qtpy.QtWidgets import (
    QCheckBox,
    QFileDialog,
    QGridLayout,
    QHBoxLayout,
    QLabel,
    QPushButton,
    QSpinBox,
    QVBoxLayout,
)
from superqt.utils import signals_blocked

from ...objects.plane_objects import ObjectsChoice
from .. import ui_text
from ..qt.eliding_combo_box import ElidingComboBox
from ..qt.first_visible import first_visible
from ..qt.switch import Switch
from ..qt.theme_colours import set_tone
from ..qt.wrapping_label import wrapping
from .base import Panel
from .objects_table import ObjectsRow, ObjectsTable
from .state_panel import StatePanel
from .tools_row import ToolsRow

LARGEST_SMALLEST = 10_000_000  # pixels


class ObjectsPanel(Panel):
    """Widgets of the page Objects. The value is the `ObjectsChoice`.

    `seen` carries whether the page is on the screen. `origin_chosen` carries the index of the
    source of the objects.
    """

    valueChanged = Signal(object)
    seen = Signal(bool)
    origin_chosen = Signal(int)
    show_toggled = Signal(bool)
    class_chosen = Signal(str)
    largest_wanted = Signal(str)
    remove_wanted = Signal()
    table_wanted = Signal()
    measure_wanted = Signal()
    undo_wanted = Signal()
    link_wanted = Signal()

    def __init__(self) -> None:
        super().__init__()
        self._names: list[str] = []  # of the rows
        self._diameters: tuple[tuple[str, float], ...] = ()
        self.origin = ElidingComboBox(ui_text.OBJECTS_FROM_TIP)
        self._origin_label = QLabel(ui_text.OBJECTS_FROM)
        self._origin_label.setBuddy(self.origin)
        self.smallest = QSpinBox()
        self.smallest.setRange(1, LARGEST_SMALLEST)
        self.smallest.setStepType(QSpinBox.StepType.AdaptiveDecimalStepType)
        self.smallest.setSuffix(ui_text.PIXELS_SUFFIX)
        self.smallest.setButtonSymbols(QSpinBox.ButtonSymbols.NoButtons)  # five digits fit
        self.smallest.setStyleSheet("min-width: 60px;")  # its highest value would need more
        self.smallest.setToolTip(ui_text.SMALLEST_TIP)
        self._smallest_label = QLabel(ui_text.SMALLEST)
        self._smallest_label.setBuddy(self.smallest)
        self.border = QCheckBox(ui_text.AT_BORDER)
        self.border.setChecked(True)
        self.border.setToolTip(ui_text.AT_BORDER_TIP)
        self.volume = QCheckBox(ui_text.IN_3D)
        self.volume.setToolTip(ui_text.IN_3D_TIP)
        self.show_switch = Switch(ui_text.SHOW_OBJECTS)
        self.show_switch.setChecked(True)
        self.show_switch.setToolTip(ui_text.SHOW_OBJECTS_TIP)
        self.table = ObjectsTable()
        self.summary = wrapping()
        self.tools = ToolsRow(ui_text.OBJECT_TOOLS)
        self.hint = wrapping()
        self.object_state = StatePanel()
        self.table_button = QPushButton(ui_text.TABLE)
        self.measure_button = QPushButton(ui_text.MEASURE)
        self.remove_button = QPushButton(ui_text.REMOVE_SMALLER)
        self.undo_button = QPushButton(ui_text.UNDO_EDIT)
        self.link_button = QPushButton()
        self._lay_out()

        self.smallest.valueChanged.connect(self._on_changed)
        self.border.toggled.connect(self._on_changed)
        self.volume.toggled.connect(self._on_changed)
        self.origin.activated.connect(self.origin_chosen)
        self.show_switch.toggled.connect(self.show_toggled)
        self.table.chosen.connect(lambda row: self.class_chosen.emit(self._names[row]))
        self.table.activated_row.connect(lambda row: self.largest_wanted.emit(self._names[row]))
        self.table.diameter_set.connect(self._on_diameter)
        self.table_button.clicked.connect(self.table_wanted)
        self.measure_button.clicked.connect(self.measure_wanted)
        self.remove_button.clicked.connect(self.remove_wanted)
        self.undo_button.clicked.connect(self.undo_wanted)
        self.link_button.clicked.connect(self.link_wanted)
        self.show_stack((), "", deep=False)
        self.show_origins([ui_text.OF_LABELS], 0)
        self.show_objects(None, "")
        self.show_hint("")
        self.set_available(ui_text.OBJECTS_EMPTY, ui_text.OBJECTS_EMPTY, ui_text.NO_EDIT)

    def _lay_out(self) -> None:
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        column.setSpacing(4)
        row = QHBoxLayout()
        row.addWidget(self._origin_label)
        row.addWidget(self.origin, 1)
        row.addWidget(self.volume)
        column.addLayout(row)
        row = QHBoxLayout()
        row.addWidget(self._smallest_label)
        row.addWidget(self.smallest, 1)
        row.addWidget(self.border)
        column.addLayout(row)
        column.addWidget(self.table)
        column.addWidget(self.summary)
        column.addWidget(self.tools)
        column.addWidget(first_visible(self.object_state, self.hint))
        buttons = QGridLayout()
        buttons.setSpacing(4)
        for index, button in enumerate(
            (self.undo_button, self.remove_button, self.table_button, self.measure_button)
        ):
            buttons.addWidget(button, *divmod(index, 2))
        column.addLayout(buttons)
        row = QHBoxLayout()
        row.addWidget(self.show_switch, 1)
        row.addWidget(self.link_button, 1)
        column.addLayout(row)

    # ------------------------------------------------------------------ value

    def value(self) -> ObjectsChoice:
        """Return how labels are split."""
        return ObjectsChoice(
            self.smallest.value(),
            self.border.isChecked(),
            self._diameters,
            self.volume.isChecked(),
        )

    def setValue(self, choice: ObjectsChoice) -> None:
        """Show another choice; emits `valueChanged` if it differs."""
        before = self.value()
        with signals_blocked(self):
            self.smallest.setValue(choice.smallest)
            self.border.setChecked(choice.border)
            self.volume.setChecked(choice.volume)
            self._diameters = choice.diameters
        if self.value() != before:
            self._on_changed()

    def _on_changed(self, _value: object = None) -> None:
        self.valueChanged.emit(self.value())

    def _on_diameter(self, name: str, pixels: float | None) -> None:
        others = tuple(one for one in self._diameters if one[0].casefold() != name.casefold())
        own = () if pixels is None else ((name, pixels),)
        self.setValue(replace(self.value(), diameters=(*others, *own)))

    # ------------------------------------------------------------------ showing

    def chosen_class(self) -> str:
        """Return the class of the selected row, or else of the first one; empty without rows."""
        return self.table.selected() or (self._names[0] if self._names else "")

    def show_origins(self, texts: Sequence[str], chosen: int) -> None:
        """Show where objects can come from."""
        if [self.origin.itemText(index) for index in range(self.origin.count())] != list(texts):
            self.origin.clear()
            for text in texts:
                self.origin.offer(text)
        self.origin.setCurrentIndex(chosen)
        self.origin.explain("")

    def show_objects(
        self, rows: Sequence[ObjectsRow] | None, summary: str, *, volumes: bool = False
    ) -> None:
        """Show counts by class, with areas or volumes; None hides the table."""
        self.table.show_volumes(volumes=volumes)
        self._names = [] if rows is None else [row.name for row in rows]
        self.table.setVisible(rows is not None)
        if rows is not None:
            self.table.show_rows(rows)
        self.summary.setText(summary)
        self.summary.setVisible(bool(summary))

    def show_hint(self, text: str, *, warning: bool = False) -> None:
        """Show what a click does, or what to do where there is no object."""
        self.hint.setText(text)
        self.hint.setVisible(bool(text))
        set_tone(self.hint, "warning" if warning else "")

    def set_available(self, no_remove: str, no_objects: str, no_undo: str) -> None:
        """Enable the buttons, or disable them with the reason as tooltip."""
        for button, why_not, tip in (
            (self.remove_button, no_remove, ui_text.REMOVE_SMALLER_TIP),
            (self.table_button, no_objects, ui_text.TABLE_TIP),
            (self.measure_button, no_objects, ui_text.MEASURE_TIP),
            (self.undo_button, no_undo, ui_text.UNDO_EDIT_TIP),
        ):
            button.setEnabled(not why_not)
            button.setToolTip(why_not or tip)

    def show_stack(self, axes: Sequence[str], why_not: str, *, deep: bool) -> None:
        """Offer what a stack has.

        Parameters
        ----------
        axes : sequence of str
            Names of the axes through which objects can be linked.
        why_not : str
            Why they cannot be linked now; empty if they can.
        deep : bool
            Whether they can be split in 3-D.
        """
        self.volume.setVisible(deep)
        self.link_button.setVisible(bool(axes))
        self.link_button.setText(ui_text.link_button(axes))
        self.link_button.setEnabled(not why_not)
        self.link_button.setToolTip(why_not or ui_text.link_tip(axes))

    def ask_objects(self) -> str:
        """Ask for a file with objects; empty if the user cancels."""
        path, _ = QFileDialog.getOpenFileName(
            self, ui_text.OBJECTS_FILE_TITLE, "", ui_text.OBJECT_FILES
        )
        return str(path)

    def ask_file(self, proposed: str) -> str:
        """Ask for the file of a table; empty if the user cancels."""
        path, _ = QFileDialog.getSaveFileName(
            self, ui_text.MEASURE_TITLE, proposed, ui_text.TABLE_FILES
        )
        return str(path)

    # ------------------------------------------------------------------ on the screen

    def follow(self, _changed: object = None) -> None:
        """Tell that another page or fold is shown."""
        self.seen.emit(self.in_sight)

    def showEvent(self, event: QShowEvent | None) -> None:  # noqa: N802 - Qt's name
        """Tell that the page is shown."""
        super().showEvent(event)
        self.seen.emit(self.in_sight)

    def hideEvent(self, event: QHideEvent | None) -> None:  # noqa: N802 - Qt's name
        """Tell that the page is hidden."""
        super().hideEvent(event)
        self.seen.emit(self.in_sight)
