"""What a hint changes: accepted pixels, a flash on the image, a message."""

from __future__ import annotations

from typing import Any

from .. import ui_text
from ..layers.annotation_layer import AnnotationLayer
from ..layers.changed_labels import ChangedLabels
from ..layers.following_pixels import FollowedHint, Hint, following
from ..layers.large_annotation_layer import LargeAnnotationLayer
from ..layers.prediction_layers import Prediction
from ..layers.quick_layers import NEXT
from ..layers.temporary_layers import TemporaryLayer
from ..panels.annotation_panel import AnnotationPanel
from ..state import DockState
from ..worker import Work
from .base import Controller
from .clicks import ClickController

FLASH = 500  # milliseconds for which the changes of a hint are shown


class HintEffects(Controller):
    """Updates accepted pixels after a hint, and shows what it has changed.

    Only strokes and clicks of the user are answered by a message: labels that are imported or kept
    as outlines are hints too, but have messages of their own.

    Parameters
    ----------
    state : DockState
    panel : AnnotationPanel
        Says whether accepted pixels follow hints.
    clicks : ClickController
    """

    def __init__(self, state: DockState, panel: AnnotationPanel, clicks: ClickController) -> None:
        super().__init__(panel)
        self._panel = panel
        self._result = state.result
        self._annotations = state.annotations
        self._by_user = False  # the newest hint is a stroke or click of the user
        self._flash = TemporaryLayer(self, state.viewer, FLASH)
        self._flashed: tuple[Prediction, ChangedLabels] | None = None  # what it shows next
        self._flashes = self.timer(NEXT, self._show_flash)
        self._hint: Hint | None = None  # on a large image, that accepted pixels follow
        self._following = self.newest(self._snapshot, self._on_followed)
        state.result.hinted.connect(self._on_hinted)
        state.result.thresholds_followed.connect(self._on_thresholds)
        state.annotations.stepped.connect(self._on_step)
        clicks.hinted.connect(self._on_user_hint)

    def close(self) -> None:
        """Remove the flash; the other layers stay."""
        self._flash.clear()
        super().close()

    def _on_step(self, _annotation: AnnotationLayer, drawn: bool) -> None:
        self._by_user = drawn

    def _on_user_hint(self, _image: object) -> None:
        self._by_user = True

    def _on_hinted(
        self, prediction: Prediction, before: Any, after: Any, changed: ChangedLabels
    ) -> None:
        choice, shown = prediction.choice, self._result.shown
        if shown is None:
            return
        if not changed.pixels:
            self._answer(ui_text.HINT_CHANGED_NOTHING)
            return
        annotation, accepted = self._annotations.of(choice.layer), 0
        if annotation is not None and annotation.fits and self._panel.value().accepted_follow:
            if isinstance(annotation, LargeAnnotationLayer):
                self._hint = Hint(choice, before, after, shown.rows, changed.pixels)
                self._following.request()
            else:
                accepted = annotation.follow_hint(choice, before, after, shown.rows)
        self._flashed = prediction, changed
        self._flashes.start()
        self._answer(ui_text.changed_by_hint(predicted=changed.pixels, accepted=accepted))

    def _show_flash(self) -> None:
        """Show what a hint has changed, a moment after the labels were drawn."""
        if self._flashed is not None:
            prediction, changed = self._flashed
            self._flash.show(changed.layer(prediction))

    def _answer(self, message: str) -> None:
        if self._by_user:
            self.message.emit(message, False)

    def _on_thresholds(self) -> None:
        self._following.drop()
        for one in self._annotations.all:
            one.forget_following()

    # ------------------------------------------------------------------ large images

    def _snapshot(self) -> Work | None:
        """The work that moves accepted pixels of a large image; None if there are none."""
        hint = self._hint
        annotation = None if hint is None else self._annotations.of(hint.choice.layer)
        if hint is None or not isinstance(annotation, LargeAnnotationLayer):
            return None
        return following(annotation, hint)

    def _on_followed(self, found: FollowedHint) -> None:
        if found.annotation not in self._annotations.all:
            return
        if not found.take():
            self._following.request()  # again, with what has changed meanwhile
        elif found.followed.pixels and found.hint is self._hint:
            changed, pixels = found.hint.changed, found.followed.pixels
            self._answer(ui_text.changed_by_hint(predicted=changed, accepted=pixels))
