"""The frame of the dock: a fixed head, pages behind tabs, and a fixed foot.

`dock.py` puts the panels on the pages.
"""

from __future__ import annotations

from typing import Literal

from qtpy.QtCore import QSize, Qt, Signal
from qtpy.QtGui import QKeyEvent, QKeySequence, QResizeEvent
from qtpy.QtWidgets import (
    QFrame,
    QScrollArea,
    QShortcut,
    QSizePolicy,
    QStackedWidget,
    QTabBar,
    QToolButton,
    QVBoxLayout,
    QWidget,
)

from . import ui_text
from .qt.focus import focus_first, focus_window
from .qt.theme_colours import set_tone

PageName = Literal["find", "correct", "objects", "export", "settings"]

STEPS: tuple[PageName, ...] = ("find", "correct", "objects", "export")
"""The pages behind tabs, from left to right."""

WIDTH, HEIGHT = 322, 578
"""Width of the dock, and maximum height of a page, in pixels."""

ROOMY = 38
"""Lines of text in the height of a page that has room for everything at once."""

_ALL_THAT_IS_LEFT = 1000  # stretch factor; the empty space below the panels has 1


class _Inside(QWidget):
    """The content of a page at its minimum height: tables shrink before the page scrolls."""

    def __init__(self, page: QScrollArea) -> None:
        super().__init__()
        self._page = page

    def heightForWidth(self, width: int) -> int:  # noqa: N802 - Qt's name
        """The minimum height; without a scroll bar, if the page then needs none.

        Otherwise a scroll bar would never disappear again: it makes texts narrower, and so higher.
        """
        layout = self.layout()
        if layout is None:
            return -1
        room = self._page.maximumViewportSize()
        height = layout.minimumHeightForWidth(room.width())
        return height if height <= room.height() else layout.minimumHeightForWidth(width)

    def minimumSizeHint(self) -> QSize:  # noqa: N802 - Qt's name
        """The minimum width; the height is that for the width, not for the minimum width."""
        hint, layout = super().minimumSizeHint(), self.layout()
        wraps = layout is not None and layout.hasHeightForWidth()
        return QSize(hint.width(), 0 if wraps else hint.height())


class Page(QScrollArea):
    """A column of panels; it scrolls only in windows below the supported size."""

    resized = Signal()

    def __init__(self) -> None:
        super().__init__()
        inside = _Inside(self)
        self._column = QVBoxLayout(inside)
        self._column.setContentsMargins(0, 0, 0, 0)
        self._column.setSpacing(3)
        self._column.addStretch(1)
        self.setWidgetResizable(True)
        self.setFrameShape(QFrame.Shape.NoFrame)
        self.setFocusPolicy(Qt.FocusPolicy.NoFocus)  # Tab goes from control to control
        self.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self.setWidget(inside)

    def add(self, panel: QWidget, *, fills: bool = False) -> None:
        """Add a panel below the others.

        Parameters
        ----------
        panel : QWidget
        fills : bool
            Whether the panel takes the remaining height.
        """
        self._column.insertWidget(self._column.count() - 1, panel, _ALL_THAT_IS_LEFT * fills)

    @property
    def roomy(self) -> bool:
        """Whether the page is so high that no panel need be brief."""
        return self.height() >= ROOMY * self.fontMetrics().lineSpacing()

    def resizeEvent(self, event: QResizeEvent | None) -> None:  # noqa: N802 - Qt's name
        """Tell of the new size."""
        super().resizeEvent(event)
        self.resized.emit()

    def minimumSizeHint(self) -> QSize:  # noqa: N802 - Qt's name
        """The width of the panels and a small height, because the page can scroll."""
        inside = self.widget()
        width = inside.minimumSizeHint().width() if inside is not None else 0
        return QSize(width, 4 * self.fontMetrics().height())


class Frame(QWidget):
    """Head, tabs, pages and foot of the dock.

    `page_changed` carries the name of the page that is shown, `roomy_changed` whether the pages are
    so high that no panel need be brief.

    Parameters
    ----------
    head, foot : QWidget
        Widgets above and below the pages.
    """

    page_changed = Signal(str)
    roomy_changed = Signal(bool)

    def __init__(self, head: QWidget, foot: QWidget) -> None:
        super().__init__()
        self.settings_button = QToolButton()
        self.settings_button.setText("\N{GEAR}")
        self.settings_button.setCheckable(True)
        set_tone(self.settings_button, "switch")
        self.settings_button.setToolTip(ui_text.SETTINGS_TIP)
        self.settings_button.setAccessibleName(ui_text.SETTINGS_NAME)
        self.tabs = QTabBar()
        self.tabs.setExpanding(True)
        self.tabs.setDrawBase(False)
        self.tabs.setElideMode(Qt.TextElideMode.ElideNone)
        self.tabs.setUsesScrollButtons(False)
        self.tabs.setAccessibleName(ui_text.STEPS_NAME)
        self._stack = QStackedWidget()
        self._pages: dict[PageName, Page] = {}
        self._roomy = False
        for number, name in enumerate(STEPS, 1):
            title, tip = ui_text.STEPS[name]
            self.tabs.addTab(f"{number} {title}")
            self.tabs.setTabToolTip(number - 1, ui_text.step_tip(tip=tip, number=number))
            self._add_page(name)
            shortcut = QShortcut(QKeySequence(f"Ctrl+{number}"), self)
            shortcut.activated.connect(lambda name=name: self.go_to_keys(name))
        self._add_page("settings")

        self._column = column = QVBoxLayout(self)
        column.setContentsMargins(6, 4, 6, 4)
        column.setSpacing(4)
        column.addWidget(head)
        self._above, self._above_column = _column(4)
        self._below, self._below_column = _column(2)
        column.addWidget(self._above)
        column.addWidget(self.tabs)
        column.addWidget(self._stack, 1)
        column.addWidget(self._below)
        column.addWidget(foot)
        for fixed in (head, self._below, foot):
            fixed.setSizePolicy(QSizePolicy.Policy.Preferred, QSizePolicy.Policy.Fixed)
        # napari would put empty space below a widget that does not expand.
        self.setSizePolicy(QSizePolicy.Policy.Preferred, QSizePolicy.Policy.Expanding)
        self.tabs.currentChanged.connect(self._on_tab)
        self.tabs.tabBarClicked.connect(self._on_tab_clicked)
        self.settings_button.toggled.connect(self._on_settings)

    def minimumSizeHint(self) -> QSize:  # noqa: N802 - Qt's name
        """The width of the dock."""
        return QSize(WIDTH, super().minimumSizeHint().height())

    def sizeHint(self) -> QSize:  # noqa: N802 - Qt's name
        """The height of a dock on a laptop screen, without napari's title and status bars."""
        return QSize(WIDTH, HEIGHT)

    # ------------------------------------------------------------------ pages

    def add(self, page: PageName, panel: QWidget, *, fills: bool = False) -> None:
        """Add a panel to a page; see `Page.add`."""
        self._pages[page].add(panel, fills=fills)

    def add_above(self, panel: QWidget) -> None:
        """Add a panel between the head and the tabs, visible on every page but the settings."""
        self._above_column.addWidget(panel)

    def add_below(self, panel: QWidget) -> None:
        """Add a panel between the pages and the foot, visible on every page but the settings."""
        self._below_column.addWidget(panel)

    @property
    def page(self) -> PageName:
        """The page that is shown."""
        return list(self._pages)[self._stack.currentIndex()]

    @property
    def current(self) -> Page:
        """The page that is shown, as a widget."""
        return self._pages[self.page]

    def go_to(self, page: PageName) -> None:
        """Show a page."""
        self.settings_button.setChecked(page == "settings")
        if page in STEPS:
            self.tabs.setCurrentIndex(STEPS.index(page))

    def go_to_keys(self, page: PageName) -> None:
        """Show a page, and give the keyboard to its first control."""
        self.go_to(page)
        focus_first(self.current)

    def keyPressEvent(self, event: QKeyEvent | None) -> None:  # noqa: N802 - Qt's name
        """Give the keyboard back to the image at Esc."""
        if event is not None and event.key() == Qt.Key.Key_Escape:
            focus_window(self)
            return
        super().keyPressEvent(event)

    def _add_page(self, name: PageName) -> None:
        self._pages[name] = page = Page()
        page.resized.connect(self._on_resized)
        self._stack.addWidget(page)

    def _on_resized(self) -> None:
        roomy = self.current.roomy
        if roomy != self._roomy:
            self._roomy = roomy
            self.roomy_changed.emit(roomy)

    def _on_tab(self, index: int) -> None:
        self.settings_button.setChecked(False)
        self._show(STEPS[index])

    def _on_tab_clicked(self, index: int) -> None:
        if index == self.tabs.currentIndex():
            self._on_tab(index)  # from the settings back to the previous page

    def _on_settings(self, shown: bool) -> None:
        set_tone(self.tabs, "away" if shown else "")
        self._show("settings" if shown else STEPS[self.tabs.currentIndex()])

    def _show(self, page: PageName) -> None:
        if page != self.page:
            for panels in (self._above, self._below):
                panels.setVisible(page in STEPS)
            self._stack.setCurrentIndex(list(self._pages).index(page))
            self.page_changed.emit(page)


def _column(spacing: int) -> tuple[QWidget, QVBoxLayout]:
    """Return an empty column of panels, and its layout."""
    panels = QWidget()
    column = QVBoxLayout(panels)
    column.setContentsMargins(0, 0, 0, 0)
    column.setSpacing(spacing)
    return panels, column
