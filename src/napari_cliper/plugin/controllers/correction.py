"""Hints: strokes and clicks that change the prediction in similar regions; uncertain places.

`LiveResult` calls `LiveResult.read_hints` whenever it updates the labels; the hints are read in
its thread, from copies that are made here.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from typing import Any
from weakref import WeakSet

from napari.layers import Image, Points

from ...annotation.user_hints import Click, Hints, clicks_on
from ...segmentation import InvalidInputError
from .. import shortcuts, ui_text
from ..engine_requests import Outcome
from ..job_slot import JobSlot
from ..layers.annotation_layer import AnnotationLayer
from ..layers.image_group import in_viewer
from ..layers.image_layers import ImageChoice, labels_shape, map_transforms
from ..layers.image_view import go_to_pixel
from ..layers.large_annotation_layer import LargeAnnotationLayer
from ..layers.plane_labels import annotated_on
from ..layers.temporary_layers import TemporaryLayer
from ..layers.uncertainty_layer import UncertaintyLayer
from ..panels.corrections_panel import CorrectionsChoice, CorrectionsPanel
from ..qt.focus import focus_window
from ..state import DockState
from ..worker import Work
from .base import Controller
from .clicks import ClickController
from .kept_results import Shown
from .label_update import (
    Draw,
    Drawn,
    GetAffinity,
    ReadHints,
    UncertainPlaces,
    drawn_on_grid,
    read_hints,
    uncertain_places,
)

PLACES_PER_SIDE = 5
"""The number of uncertain places that fit side by side on the canvas after zooming to one."""
MARK = 1500  # milliseconds for which the place is marked


class CorrectionController(Controller):
    """Connects the hints of one dock with its result.

    Parameters
    ----------
    state : DockState
        Its annotations have the strokes and clicks, which its result follows.
    panel : CorrectionsPanel
    """

    def __init__(self, state: DockState, panel: CorrectionsPanel) -> None:
        super().__init__(panel)
        self._dock = state
        self._viewer = viewer = state.viewer
        self._panel = panel
        self._annotation_controller = annotation_controller = state.annotations
        self._result = result = state.result
        self._session = state.session
        self.click_controller = self.own(ClickController(state, panel))
        self.click_controller.message.connect(self.message)
        self.click_controller.hinted.connect(self._on_hinted)
        self.keys = {
            shortcuts.NEXT_UNCERTAIN: self._on_key,
        }
        self.uncertainty = UncertaintyLayer(viewer)
        self.uncertain_places: UncertainPlaces | None = None
        self._preparing = self.own(JobSlot(self))  # computes the affinity before it is needed
        self._preparing.failed.connect(self._on_no_affinity)
        self._preparing.finished.connect(self._show_hints)
        self._hints: Hints | None = None  # what the labels on the screen follow
        self._mark = TemporaryLayer(self, viewer, MARK)
        self._look = self.newest(
            self._look_snapshot, self._on_uncertain_places, self._on_no_uncertain_places
        )
        self._hinted: WeakSet[Image] = WeakSet()
        self._state = 0  # counts the changes that make uncertain places old
        self._at = 0  # the place to go to next
        self._go_when_known = False
        self._chosen = panel.value()
        panel.valueChanged.connect(self._on_choice)
        panel.next_wanted.connect(self.next_uncertain)
        annotation_controller.changed.connect(self._on_changed)
        annotation_controller.leaving.connect(self._on_changed)
        result.read_hints = self._read_hints
        result.hints_read.connect(self._on_hints_read)
        result.appeared.connect(self._on_appeared)
        result.followed.connect(self._on_followed)
        result.relabelled.connect(self.update_available)
        state.image_changed.connect(self.update_available)
        state.leaving.connect(self.leave)
        viewer.layers.events.removed.connect(self._on_removed)
        self.update_available()

    def close(self) -> None:
        """Disconnect all events; the layers stay."""
        super().close()
        self._mark.clear()
        self._annotation_controller.changed.disconnect(self._on_changed)
        self._annotation_controller.leaving.disconnect(self._on_changed)
        self._viewer.layers.events.removed.disconnect(self._on_removed)

    def leave(self, image: Image) -> None:
        """Remove the layers of an image from the viewer; the clicks stay in its annotation."""
        self.uncertainty.clear()
        self._panel.show_state("")
        self.click_controller.leave(image)

    def update_available(self) -> None:
        """Enable or disable the buttons."""
        no_click = "" if self._dock.choice else self._dock.why_no_choice
        no_next = self._result.why_not
        self._panel.set_available(no_click, no_next)
        if no_next:
            self._panel.show_state("")

    def _shown(self) -> Shown | None:
        """The current result, if its image is unchanged."""
        shown = self._result.shown
        there = shown is not None and in_viewer(self._viewer, shown.choice.layer)
        return shown if shown is not None and there and shown.choice.is_current else None

    def _on_removed(self, event: Any) -> None:
        if event.value is self.uncertainty.layer:
            self.uncertainty.clear()
            self._choose(uncertainty=False)

    def _choose(self, **changed: Any) -> None:
        self._panel.setValue(replace(self._panel.value(), **changed))

    def _on_choice(self, choice: CorrectionsChoice) -> None:
        before, self._chosen = self._chosen, choice
        if choice.spread != before.spread:
            self._prepare()
            self._result.follow()
        if choice.uncertainty and not before.uncertainty:
            self._look.request()
        elif not choice.uncertainty:
            self.uncertainty.clear()

    # ------------------------------------------------------------------ hints

    def _on_appeared(self) -> None:
        """Another result is shown."""
        self._hints = None
        self._go_when_known = False
        self._forget_uncertain_places()
        self.update_available()
        if self._panel.value().uncertainty:
            self._look.request()
        self._prepare()

    def _prepare(self) -> None:
        """Compute the affinity of the current image, so that the first stroke is fast."""
        self._preparing.drop()
        shown = self._shown()
        if shown is not None and self._panel.value().spread:
            work = self._affinity_of(shown.outcome)
            self._preparing.start(work, _nothing)
        self._show_hints()

    def _affinity_of(self, outcome: Outcome) -> GetAffinity:
        affinity, shape = partial(self._session.affinity, outcome.embedding), outcome.hinted_shape
        return affinity if shape is None else partial(affinity, shape=shape)

    def _on_no_affinity(self, message: str) -> None:
        self.message.emit(ui_text.cannot_propagate(message), True)
        self._choose(spread=False)

    def _on_changed(self, annotation: AnnotationLayer) -> None:
        shown = self._shown()
        if shown is None and self._panel.value().spread:
            self._panel.show_state(ui_text.hints_kept(self._result.why_not))
        elif shown is not None and shown.choice.layer is annotation.image:
            self._forget_uncertain_places()
            self._result.follow()

    def _on_hinted(self, image: Image) -> None:
        """Show what a stroke, click or undo of the user changes."""
        if image not in self._hinted:
            self._hinted.add(image)
            self._dock.page_wanted.emit("correct")
        shown, annotation = self._shown(), self._annotation_controller.of(image)
        if shown is None or shown.choice.layer is not image or not self._panel.value().spread:
            return
        self._result.reveal(None if annotation is None else annotation.layer)

    def _read_hints(self, shown: Shown) -> ReadHints | None:
        """Return copies of the hints on a result, for a thread; None if they are not used."""
        if not self._panel.value().spread:
            return None
        names = [one.name for one in shown.outcome.scores.classes]
        affinity = self._affinity_of(shown.outcome)
        propagated = shown.outcome.propagated
        seeds = None if propagated is None else propagated.seeds
        draw = self._draw(shown, painted_only=True)
        return partial(read_hints, draw, names, affinity, seeds=seeds)

    def _on_hints_read(self, hints: Hints | None) -> None:
        self._hints = hints
        self._show_hints()

    def _show_hints(self) -> None:
        """Show which hints the labels follow."""
        text = "" if self._preparing.idle else ui_text.COMPUTING_SIMILARITY
        if self._hints is not None:
            text = (
                ui_text.hints_used(
                    clicked=self._hints.clicked,
                    painted=self._hints.painted,
                    left_out=self._hints.left_out,
                    follows=self._result.live,
                )
                or text
            )
        self._panel.show_state(text)

    def drawn_on(self, choice: ImageChoice) -> Drawn:
        """Return copies of the strokes and clicks on a choice, for a thread."""
        (read,) = self.readers_on([choice])
        return read()

    def _draw(self, shown: Shown, *, painted_only: bool = False) -> Draw:
        """Return what reads the strokes and clicks on a result, as its hints need them."""
        grid = shown.outcome.hinted_shape
        (read,) = self.readers_on([shown.choice], grid, painted_only=painted_only)
        return read

    def readers_on(
        self,
        choices: Sequence[ImageChoice],
        grid: tuple[int, int] | None = None,
        *,
        painted_only: bool = False,
    ) -> list[Draw]:
        """Return a function for each choice of an image that reads what is drawn on it.

        Threads may call it: the strokes are those of the call, the clicks those of now. With
        `grid`, what is drawn is reduced to these rows and columns; with `painted_only`, what was
        accepted is then left out.
        """
        layer = choices[0].layer if choices else None
        annotation = self._annotation_controller.of(layer)
        if annotation is not None and annotation.fits:
            annotation.follow()
        else:
            annotation = None
        clicks = None if layer is None else self.click_controller.of(layer)
        points = {} if clicks is None else clicks.clicks()
        found = list[Draw]()
        for one in choices:
            corner = [part.start for part in one.region] if one.region else (0, 0)
            here = clicks_on(points, one.plane, corner, labels_shape(one)[-2:])
            found.append(partial(_drawn, annotation, one, here, grid, painted_only=painted_only))
        return found

    # ------------------------------------------------------------------ where to look next

    def _forget_uncertain_places(self) -> None:
        self.uncertain_places = None
        self._state += 1

    def _on_followed(self) -> None:
        self._forget_uncertain_places()
        if self._panel.value().uncertainty or self._go_when_known:
            self._look.request()

    def _on_key(self) -> None:
        """Go to the next uncertain place, at which the keys then work."""
        focus_window(self._panel)
        self.next_uncertain()

    def next_uncertain(self) -> None:
        """Move the camera to the next uncertain place that is not decided yet."""
        if self.closed:
            return  # the key is on layers that stay
        if self._shown() is None:
            self.message.emit(self._result.why_not, True)
        elif self.uncertain_places is None:
            self._go_when_known = True
            self._look.request()
        else:
            self._go(self.uncertain_places)

    def _look_snapshot(self) -> Work | None:
        """The work that finds uncertain places; None if there is no result."""
        kept = self._result.current
        if kept is None or self._shown() is None:
            return None
        thresholds, hints = kept.followed
        scores = kept.shown.outcome.scores
        live = kept.shown.outcome.live[scores.stages[-1]]
        find = partial(uncertain_places, live, thresholds, hints, self._draw(kept.shown))
        state = self._state
        return lambda report, should_stop: (kept.shown, state, find(report, should_stop))

    def _on_uncertain_places(self, found: tuple[Shown, int, UncertainPlaces]) -> None:
        shown, state, places = found
        wanted = self._go_when_known or self._panel.value().uncertainty
        if shown is not self._shown() or state != self._state:
            if wanted:
                self._look.request()  # something has changed meanwhile
            return
        self.uncertain_places, self._at = places, 0
        if self._panel.value().uncertainty:
            layers = (
                self._annotation_controller.of(shown.choice.layer),
                self.click_controller.of(shown.choice.layer),
            )
            above = [one.layer for one in layers if one is not None]
            self.uncertainty.show(shown.choice, places.map, above)
        if self._go_when_known:
            self._go(places)

    def _go(self, found: UncertainPlaces) -> None:
        self._go_when_known = False
        places, size = found.places, found.map.shape
        shown = self._shown()
        if shown is None or not places:
            self.message.emit(ui_text.NO_UNCERTAIN_PLACE, False)
            return
        number = self._at % len(places)
        cells = zip(places[number], labels_shape(shown.choice)[-2:], size, strict=True)
        row, column = ((2 * at + 1) * side // (2 * length) for at, side, length in cells)
        try:
            go_to_pixel(self._viewer, shown.choice, row, column)
        except InvalidInputError as error:
            self.say_error(str(error))
            return
        self._at = number + 1
        camera = self._viewer.scene.camera
        camera.zoom = max(camera.zoom, self._zoom_to_place(shown.choice))
        self._mark.show(self._ring(shown.choice, (row, column)))
        self.message.emit(ui_text.uncertain_place(number=self._at, of=len(places)), False)

    def _zoom_to_place(self, choice: ImageChoice) -> float:
        """The zoom at which a fraction of the image fills the canvas."""
        sides = zip(labels_shape(choice)[-2:], choice.layer.extent.step[-2:], strict=True)
        longest = max(abs(float(step)) * pixels for pixels, step in sides)
        return min(self._viewer.canvas.size) / longest * PLACES_PER_SIDE

    @staticmethod
    def _ring(choice: ImageChoice, pixel: tuple[int, int]) -> Points:
        """A Shapes layer that marks a pixel of a choice."""
        rows, columns = labels_shape(choice)[-2:]
        return Points(
            [(*(0,) * len(choice.plane), *pixel)],
            name=ui_text.NEXT_PLACE_LAYER,
            symbol="ring",
            size=min(rows, columns) / PLACES_PER_SIDE / 2,
            face_color="white",
            border_color="black",
            **map_transforms(choice, (rows, columns)),
        )

    def _on_no_uncertain_places(self, message: str) -> None:
        self._go_when_known = False
        self._choose(uncertainty=False)
        self.message.emit(ui_text.no_uncertainty(message), True)


def _nothing(_affinity: object) -> None:
    """Do nothing: the session keeps the affinity."""


def _drawn(
    annotation: AnnotationLayer | None,
    choice: ImageChoice,
    clicks: list[Click],
    grid: tuple[int, int] | None,
    *,
    painted_only: bool,
) -> Drawn:
    """Return what is drawn on a choice now; threads may call it."""
    classes = {} if annotation is None else dict(annotation.classes)
    if grid is not None:
        store = annotation.store if isinstance(annotation, LargeAnnotationLayer) else None
        return drawn_on_grid(store, choice, classes, clicks, grid, painted_only=painted_only)
    return Drawn(*annotated_on(annotation, choice), classes, clicks)
