"""Add hints and strokes at the cursor by keys; move the cursor by keys."""

from __future__ import annotations

from functools import partial

from napari.layers import Points

from ...annotation.user_hints import BACKGROUND
from ...segmentation import InvalidInputError
from .. import shortcuts, ui_text
from ..layers.image_layers import ImageChoice, image_shape, transforms
from ..layers.image_view import pixel_under, step_cursor
from ..layers.temporary_layers import TemporaryLayer
from ..panels.corrections_panel import CorrectionsPanel
from ..state import DockState
from .base import Controller
from .brush import Brush
from .clicks import ClickController

MARK = 1500  # milliseconds for which the cursor is marked after a step
_ON_SCREEN = 25  # size of the mark in pixels of the screen


class KeyCursor(Controller):
    """Moves the cursor by keys; clicks and paints under it.

    Parameters
    ----------
    state : DockState
    panel : CorrectionsPanel
        Its class is clicked and painted.
    brush : Brush
    clicks : ClickController
    """

    def __init__(
        self, state: DockState, panel: CorrectionsPanel, brush: Brush, clicks: ClickController
    ) -> None:
        super().__init__(panel)
        self._state = state
        self._panel = panel
        self._viewer = state.viewer
        self._brush = brush
        self._clicks = clicks
        self._mark = TemporaryLayer(self, state.viewer, MARK)
        self.keys = {
            shortcuts.REJECT_REGION: partial(self.click, BACKGROUND),
            shortcuts.CLICK: self.click,
            shortcuts.PAINT: self.paint,
            **{key: partial(self.move, *step) for key, step in shortcuts.MOVE_CURSOR.items()},
        }

    def close(self) -> None:
        """Remove the mark."""
        super().close()
        self._mark.clear()

    def move(self, rows: int, columns: int) -> None:
        """Move the cursor by steps, and mark it."""
        with self.showing_errors():
            choice = self._choice()
            step_cursor(self._viewer, choice, rows, columns)
            self._mark.show(_cross(choice, self._under(choice)))

    def click(self, name: str = "") -> None:
        """Add a click under the cursor: of a class, or of the chosen one."""
        with self.showing_errors():
            chosen = name or self._panel.value().chosen
            self._clicks.click_at(self._viewer.cursor.position, chosen)

    def paint(self) -> None:
        """Paint a spot of the chosen class under the cursor, as large as the brush."""
        with self.showing_errors():
            choice = self._choice()
            self._under(choice)
            layer = self._state.annotations.begin(choice.layer, choice.name).layer
            pixel = pixel_under(self._viewer, layer, self._viewer.cursor.position)
            if not _contains(layer.data.shape, pixel):
                raise InvalidInputError(ui_text.CURSOR_OUTSIDE_WINDOW)
            row = self._brush.row_of(self._panel.value().chosen)
            layer.visible = True
            self._viewer.layers.selection.active = layer
            if row is not None:
                self._brush.brush(row)
            with layer.block_history():
                layer.paint(pixel, 0 if row is None else layer.selected_label)

    def _choice(self) -> ImageChoice:
        """The image and plane on the screen."""
        choice = self._state.on_screen
        if choice is None:
            raise InvalidInputError(self._state.why_no_choice)
        return choice

    def _under(self, choice: ImageChoice) -> tuple[int, ...]:
        """The pixel of the image under the cursor."""
        pixel = pixel_under(self._viewer, choice.layer, self._viewer.cursor.position)
        if not _contains(image_shape(choice.layer), pixel):
            raise InvalidInputError(ui_text.cursor_outside(choice.name))
        return pixel


def _contains(shape: tuple[int, ...], pixel: tuple[int, ...]) -> bool:
    return all(0 <= at < size for at, size in zip(pixel, shape, strict=True))


def _cross(choice: ImageChoice, pixel: tuple[int, ...]) -> Points:
    """A layer that marks a pixel of an image."""
    return Points(
        [pixel],
        name=ui_text.CURSOR_LAYER,
        symbol="cross",
        size=1,
        canvas_size_limits=(_ON_SCREEN, _ON_SCREEN),
        face_color="white",
        border_color="black",
        **transforms(ImageChoice(choice.layer, choice.name)),
    )
