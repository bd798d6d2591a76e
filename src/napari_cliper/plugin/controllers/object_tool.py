"""The tool Object: from clicks on one object, or a box around it, to its outline.

The model runs in a thread, always on the newest clicks. Nothing is downloaded without a press of
the button that says what and how large.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Protocol

from numpy.typing import NDArray
from qtpy.QtCore import Signal
from qtpy.QtWidgets import QFileDialog

from ...annotation.user_hints import BACKGROUND
from ...segmentation import REGISTRY, InvalidInputError, ObjectPrompt, tile_around
from .. import preferences, shortcuts, ui_text
from ..layers.clicks_layer import BACKGROUND_COLOUR, class_colours_of
from ..layers.image_layers import ImageChoice
from ..layers.image_view import pixel_under, visible_region
from ..layers.object_preview import Box, ObjectPreview, Place
from ..object_session import Outline, OutlineRequest, SamChoice
from ..panels.corrections_panel import CorrectionsPanel
from ..panels.engine_panel import EnginePanel
from ..panels.image_panel import ImagePanel
from ..panels.state_panel import State, StateButton
from ..state import DockState
from ..worker import Work
from .base import Controller
from .brush import Brush
from .next_step import NextStep

DRAG = 4  # pixels of the canvas that the mouse moves before a click becomes a box


@dataclass(frozen=True, eq=False)
class _Outlined:
    """Outlines of an object.

    Parameters
    ----------
    tile : ImageChoice
        The image and plane; its region is the tile.
    outlines : tuple of Outline
        The best first.
    """

    tile: ImageChoice
    outlines: tuple[Outline, ...]


class OutlineHost(Protocol):
    """The page that outlines are made for, if it is not the page Correct."""

    def chosen_class(self) -> str:
        """Return the class of the outlined object."""

    def show_object(self, state: State | None) -> None:
        """Show what can be done next."""

    def keep_outline(self, tile: ImageChoice, mask: NDArray[Any]) -> None:
        """Use the pixels of an object in a tile of an image."""


class ObjectTool(Controller):
    """The tool Object of one dock.

    Parameters
    ----------
    state : DockState
    panel : CorrectionsPanel
    brush : Brush
    images : ImagePanel
    engine : EnginePanel
    next_step : NextStep
        Makes the button that downloads a model.
    """

    active_changed = Signal()
    """The tool was taken or ended."""

    def __init__(
        self,
        state: DockState,
        panel: CorrectionsPanel,
        brush: Brush,
        images: ImagePanel,
        engine: EnginePanel,
        next_step: NextStep,
    ) -> None:
        super().__init__(panel)
        self._viewer = viewer = state.viewer
        self._panel = panel
        self._annotations = state.annotations
        self._brush = brush
        self._images = images
        self._engine = engine
        self._result = state.result
        self._session = state.session
        self._next_step = next_step
        self.active = False
        """Whether the mouse outlines objects."""
        self.offering = False
        """Whether the panel offers to get a model."""
        self.host: OutlineHost | None = None
        """The page that outlines are made for; None for the annotation."""
        self.ask_folder: Callable[[], str] = self._ask_folder
        self._plane: ImageChoice | None = None  # of the clicks
        self._inside: list[Place] = []
        self._outside: list[Place] = []
        self._box: Box | None = None
        self._outlined: _Outlined | None = None
        self._number = 0  # of the outline that is shown
        self._preview = ObjectPreview(viewer)
        self._job = self.newest(self._snapshot, self._on_outlined, self._on_failed)
        self._job.became_idle.connect(self._show_state)
        self.keys = {
            shortcuts.NEXT_OUTLINE: self.next_outline,
            shortcuts.KEEP_OUTLINE: self.keep,
        }
        state.inputs_changed.connect(self._look_again)
        state.main_job.busy_changed.connect(self._look_again)
        images.valueChanged.connect(self._on_image)
        panel.chosen.connect(self._on_class)
        state.class_selected.connect(self._on_class)
        state.outline_wanted.connect(self.begin)
        state.outline_ended.connect(self.end)
        viewer.dims.events.current_step.connect(self._on_image)

    def close(self) -> None:
        """End the tool and disconnect all events."""
        self.end()
        super().close()
        self._viewer.dims.events.current_step.disconnect(self._on_image)

    # ------------------------------------------------------------------ begin and end

    def begin(self, host: OutlineHost | None = None) -> None:
        """Take the tool, or offer a model if there is none on this machine."""
        self.end()
        self.host = host
        self._use_for_corrections()
        if self._missing():
            self.offering = True
            self._show_state()
            return
        self.active = True
        self._viewer.mouse_drag_callbacks.append(self._on_drag)
        self._job.request()  # embeds what is in view before the first click
        self._show_state()
        self.active_changed.emit()

    def end(self) -> None:
        """End the tool; an outline that was not kept is dropped."""
        self.offering = False
        self._forget()
        if self.active:
            self.active = False
            self._viewer.mouse_drag_callbacks.remove(self._on_drag)
            self.active_changed.emit()
        self._show_state()
        self.host = None

    def _forget(self) -> None:
        """Drop the clicks and the outline."""
        self._job.drop()
        self._plane = self._box = self._outlined = None
        self._inside, self._outside = [], []
        self._preview.clear()

    def _on_image(self, _event: object = None) -> None:
        """Another image or plane is shown: drop the object."""
        plane = self._plane
        if plane is None:
            return
        try:
            now = self._images.on_screen()
        except InvalidInputError:
            self._forget()
        else:
            if now.layer is not plane.layer or now.plane != plane.plane or not plane.is_current:
                self._forget()
        self._show_state()

    # ------------------------------------------------------------------ the model

    def _missing(self) -> str:
        """Why there is no model on this machine; empty if there is one."""
        sam = preferences.read().sam
        row = REGISTRY.get(sam)
        if row is None:
            return "" if Path(sam).is_dir() else ui_text.sam_folder_missing(sam)
        return "" if self._engine.form.on_disk(sam) else ui_text.sam_needed(row)

    def _model(self) -> SamChoice:
        return SamChoice(preferences.read().sam, self._engine.config_or_outline().device)

    def _use_for_corrections(self) -> None:
        """Let corrections use the model, if it is on this machine and wanted."""
        wanted = preferences.read().sam_corrects and not self._missing()
        self._session.features_of_corrections = self._model() if wanted else None

    def _look_again(self) -> None:
        """Use the model, and take the tool, if what was offered is on this machine by now."""
        self._use_for_corrections()
        if self.offering and not self._missing():
            self.begin(self.host)
        elif self.offering:
            self._show_state()  # a download may have begun or ended

    def _ask_folder(self) -> str:
        return str(QFileDialog.getExistingDirectory(self._panel, ui_text.SAM_FOLDER_TITLE))

    def _choose_folder(self) -> None:
        folder = self.ask_folder()
        if folder:
            preferences.write(sam=folder)
            self.begin(self.host)

    def _offer(self) -> State:
        """What is needed, and the buttons that get it."""
        row = REGISTRY.get(preferences.read().sam, REGISTRY[preferences.Preferences().sam])
        folder = StateButton(
            ui_text.CHOOSE_SAM_FOLDER, self._choose_folder, ui_text.CHOOSE_SAM_FOLDER_TIP
        )
        text = self._missing()
        if not text:  # it is there, but cannot be used
            return State(ui_text.SAM_UNUSABLE, (folder,), "warning")
        download = self._next_step.download_button([row], row.purpose)

        def press() -> None:
            preferences.write(sam=row.name)
            download.press()

        return State(text, (replace(download, press=press), folder))

    # ------------------------------------------------------------------ outlines

    def next_outline(self) -> None:
        """Show the next of the outlines that the model offers."""
        if not self.active:
            return
        found = self._outlined
        if found is None or not found.outlines:
            self.message.emit(ui_text.NO_OUTLINE, False)
            return
        if len(found.outlines) == 1:
            self.message.emit(ui_text.ONE_OUTLINE, False)
            return
        self._number = (self._number + 1) % len(found.outlines)
        self._show_outline()

    def keep(self) -> None:
        """Paint the outlined object into the annotation, as one undo step."""
        if not self.active:
            return
        found = self._outlined
        if found is None or not found.outlines:
            self.message.emit(ui_text.NO_OUTLINE, False)
            return
        name, host = self._chosen(), self.host
        if host is not None:
            tile, mask = found.tile, found.outlines[self._number].mask
            self._forget()
            self._show_state()
            host.keep_outline(tile, mask)
            return
        with self.showing_errors():
            annotation = self._annotations.begin(found.tile.layer, found.tile.name)
            row = self._brush.row_of(name)
            number = 0 if row is None else annotation.number_of(row)
            place = annotation.place_of(found.tile)
            labels = annotation.edits.labels[place].copy()
            labels[found.outlines[self._number].mask] = number
            changed = annotation.rewrite(place, labels)
            self._annotations.recolour()
            self._forget()
            self._show_state()
            self.message.emit(ui_text.outline_kept(name=self._shown_name(), changed=changed), False)

    def _snapshot(self) -> Work | None:
        """The work on the newest clicks; without clicks, on what is in view."""
        if not self.active:
            return None
        try:
            return self._work()
        except InvalidInputError as error:
            self.say_error(str(error))
            return None

    def _work(self) -> Work:
        plane = self._plane or self._images.on_screen()
        rows, columns = visible_region(self._viewer, plane.layer)
        prompt = None
        places: Sequence[Place] = [(_middle(rows), _middle(columns))]
        if self._inside or self._box is not None:
            prompt = ObjectPrompt(tuple(self._inside), tuple(self._outside), self._box)
            places = prompt.places
        view = max(rows.stop - rows.start, columns.stop - columns.start)
        tile = replace(plane, region=tile_around(plane.shape, places, view))
        top, left = (part.start for part in tile.region or ())
        request = OutlineRequest(
            self._model(),
            tile.read,
            tile.contrast,
            tile.gamma,
            None if prompt is None else prompt.moved(top, left),
            self._likely(tile) if len(places) == 1 else None,
            self._previous(tile),
        )
        outline = self._session.objects.outline
        return lambda report, should_stop: _Outlined(tile, outline(request, report, should_stop))

    def _previous(self, tile: ImageChoice) -> NDArray[Any] | None:
        """The outline that the newest click corrects; None if there is none in this tile."""
        found = self._outlined
        if found is None or not found.outlines or found.tile.key != tile.key:
            return None
        return found.outlines[self._number].logits

    def _likely(self, tile: ImageChoice) -> NDArray[Any] | None:
        """Where the class is predicted in a tile; None without a prediction."""
        seen, name = self._result.seen(), self._chosen()
        names = [row.name for row in self._result.seen_rows]
        labels = None if seen is None or name not in names else seen.labels_in(tile)
        return None if labels is None else labels == names.index(name) + 1

    def _on_outlined(self, found: _Outlined) -> None:
        if self._plane is None:
            return  # nothing was clicked: the tile is embedded
        self._outlined, self._number = found, 0
        if not found.outlines:
            self._preview.hide_mask()
            self.message.emit(ui_text.NOTHING_THERE, False)
        self._show_outline()

    def _on_failed(self, message: str) -> None:
        clicked = self._plane is not None
        if not clicked:  # the model or the image cannot be used
            host = self.host
            self.end()
            self.host, self.offering = host, True
            self._show_state()
        self.say_error(message)

    # ------------------------------------------------------------------ the mouse

    def _on_drag(self, _viewer: Any, event: Any) -> Iterator[None]:
        """A click, or a box if the mouse moves while the button is down."""
        if event.button != 1:
            return
        event.handled = True  # so that nothing is painted, and the image stays where it is
        with self.showing_errors():
            start = self._place(event.position)
            outside = any(key.name.casefold() == "shift" for key in event.modifiers)
            first = tuple(event.pos)
            yield
            while event.type == "mouse_move":
                box = None if outside else self._dragged(start, first, event)
                self._preview.show_box(self._images.on_screen(), box or self._box, self._pixel())
                event.handled = True
                yield
            box = None if outside else self._dragged(start, first, event)
            self._add(start, box, outside=outside)

    def _dragged(self, start: Place, first: tuple[float, ...], event: Any) -> Box | None:
        """The box from the start of a drag to the mouse; None if it has hardly moved."""
        if max(abs(now - then) for now, then in zip(event.pos, first, strict=True)) < DRAG:
            return None
        rows, columns = zip(start, self._place(event.position), strict=True)
        return min(rows), min(columns), max(rows), max(columns)

    def _place(self, world: Any) -> Place:
        """The pixel of the image at a position, moved into the image."""
        plane = self._images.on_screen()
        row, column = pixel_under(self._viewer, plane.layer, world)[-2:]
        height, width = plane.shape
        return min(max(row, 0), height - 1), min(max(column, 0), width - 1)

    def _pixel(self) -> float:
        """The size of a pixel of the canvas, in pixels of the image."""
        step = abs(float(self._images.on_screen().layer.extent.step[-1]))
        return 1 / (float(self._viewer.scene.camera.zoom) * step)

    def _add(self, place: Place, box: Box | None, *, outside: bool) -> None:
        """Add a click or a box, and outline the object again."""
        if outside and not (self._inside or self._box):
            self.message.emit(ui_text.NO_OUTLINE, False)
            return
        self._plane = self._plane or self._images.on_screen()
        if box is not None:
            self._box = box
        else:
            (self._outside if outside else self._inside).append(place)
        pixel = self._pixel()
        self._preview.show_clicks(self._plane, self._inside, self._outside, pixel)
        self._preview.show_box(self._plane, self._box, pixel)
        self._job.request()
        self._show_state()

    # ------------------------------------------------------------------ showing

    def _on_class(self, _chosen: object) -> None:
        if self._outlined is not None:
            self._show_outline()

    def _show_outline(self) -> None:
        found = self._outlined
        if found is not None and found.outlines:
            row = self._brush.row_of(self._chosen())
            colour = BACKGROUND_COLOUR if row is None else class_colours_of([row])[row.name]
            self._preview.show_mask(found.tile, found.outlines[self._number].mask, colour)
        self._show_state()

    def _chosen(self) -> str:
        return self._panel.value().chosen if self.host is None else self.host.chosen_class()

    def _shown_name(self) -> str:
        name = self._chosen()
        return ui_text.BACKGROUND_NAME if name == BACKGROUND else name

    def _show_state(self) -> None:
        """Show what can be done next."""
        page = self.host or self._panel
        if self.offering:
            page.show_object(self._offer())
        elif self.active:
            page.show_object(self._present())
        else:
            page.show_object(None)

    def _present(self) -> State:
        found = self._outlined
        there = found is not None and bool(found.outlines)
        why_not = "" if there else ui_text.NO_OUTLINE
        tip = ui_text.keep_outline_tip if self.host is None else ui_text.add_outline_tip
        buttons = (
            StateButton(ui_text.NEXT_OUTLINE, self.next_outline, ui_text.NEXT_OUTLINE_TIP, why_not),
            StateButton(
                ui_text.KEEP_OUTLINE,
                self.keep,
                tip(self._shown_name()),
                why_not,
            ),
        )
        if self._plane is not None and not self._job.idle:
            return State(ui_text.OUTLINING, buttons)
        if found is None or not found.outlines:
            return State(ui_text.OBJECT_HOW, buttons)
        text = ui_text.outline_shown(
            number=self._number + 1, of=len(found.outlines), name=self._shown_name()
        )
        return State(text, buttons)


def _middle(part: slice) -> float:
    return float(part.start + part.stop) / 2
