"""What to do next if there is no image, model, words or result, or if nothing was found."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial

from qtpy.QtCore import QObject, Signal

from ...segmentation import Shortfall, WeightsEntry
from .. import ui_text
from ..layers.image_layers import go_to_plane
from ..panels.engine_panel import EnginePanel
from ..panels.preset_buttons import ENGINE_PRESETS
from ..panels.state_panel import State, StateButton, StatePanel
from ..state import DockState
from .result_on_screen import plane_in_words

CLASSES_NAMED = 4


@dataclass(frozen=True)
class Actions:
    """The callbacks of the buttons of a state.

    Parameters
    ----------
    open_image, show_example, type_words, run, accept, click : callable
    download : callable
        Takes the names of weights.
    lower : callable
        Takes the shortfall whose threshold is to be lowered.
    """

    open_image: Callable[[], None]
    show_example: Callable[[], None]
    type_words: Callable[[], None]
    run: Callable[[], None]
    accept: Callable[[], None]
    click: Callable[[], None]
    download: Callable[[Sequence[str]], None]
    lower: Callable[[Shortfall], None]


class NextStep(QObject):
    """Updates the state panels of the pages Find and Correct.

    Emits `changed` with whether the thresholds can be moved.

    Parameters
    ----------
    find, correct : StatePanel
    state : DockState
    engine : EnginePanel
    actions : Actions
    """

    changed = Signal(bool)

    def __init__(
        self,
        find: StatePanel,
        correct: StatePanel,
        state: DockState,
        engine: EnginePanel,
        actions: Actions,
    ) -> None:
        super().__init__(find)
        self._panels = find, correct
        self._state = state
        self._engine = engine
        self._do = actions
        self._free: int | None = None
        self._busy = self._loading = self._cramped = False

    def set_free(self, free: int) -> None:
        """Set the free bytes on the disk of the weights."""
        self._free = free
        self.update()

    def set_busy(self, *, busy: bool) -> None:
        """Disable runs and downloads while a job runs."""
        self._busy = busy
        self.update()

    def set_loading(self, *, loading: bool) -> None:
        """Show whether PyTorch is being loaded."""
        self._loading = loading
        self.update()

    def set_cramped(self, cramped: bool) -> None:
        """Use shorter texts while *More* is open."""
        self._cramped = cramped
        self.update()

    def update(self) -> None:
        """Show the present state."""
        missing = self._engine.missing()
        find, correct = self._panels
        find.show_state(self._find(missing))
        correct.show_state(self._correct(missing))
        self.changed.emit(self._state.shown is not None and not missing)

    def _find(self, missing: Sequence[WeightsEntry]) -> State | None:
        """The state of the page Find."""
        if not self._state.has_images:
            return self._with_loading(self._no_image())
        if missing:
            return self._missing(missing)
        if self._state.shown is not None:
            return self._nothing_found()
        if not self._state.rows:
            return self._with_loading(self._no_words())
        result = self._state.result
        kept = next(iter(result.kept), None) is not None
        seen = self._state.on_screen
        elsewhere = seen is not None and result.nearest_plane(seen) is not None
        if kept or elsewhere or result.stored_on_screen or self._state.choice is None:
            return self._no_result(missing)
        return State(ui_text.LOADING_PYTORCH_NOW) if self._loading else None

    def _correct(self, missing: Sequence[WeightsEntry]) -> State | None:
        """The state of the page Correct."""
        if not self._state.has_images:
            return self._no_image()
        if self._state.shown is not None:
            return self._nothing_to_correct()
        return self._no_result(missing) if self._state.rows else self._no_words()

    def _with_loading(self, state: State) -> State:
        if not self._loading:
            return state
        return State(f"{state.text} {ui_text.LOADING_PYTORCH_NOW}", state.buttons, state.tone)

    def _no_image(self) -> State:
        example = StateButton(
            ui_text.SHOW_EXAMPLE,
            self._do.show_example,
            ui_text.SHOW_EXAMPLE_TIP,
            ui_text.BUSY_WHY_NOT if self._busy else "",
        )
        open_ = StateButton(ui_text.OPEN_IMAGE, self._do.open_image, ui_text.OPEN_IMAGE_TIP)
        return State(ui_text.NO_IMAGE_YET, (open_, example))

    def _no_words(self) -> State:
        button = StateButton(ui_text.TYPE_WORDS, self._do.type_words, ui_text.TYPE_WORDS_TIP)
        return State(ui_text.NO_WORDS_YET, (button,))

    # ------------------------------------------------------------------ weights

    def _missing(self, missing: Sequence[WeightsEntry]) -> State:
        """The buttons for missing weights: demo model, small download, large download."""
        config = self._engine.config_or_outline()
        demo = ENGINE_PRESETS["demo"].applied_to(config)
        buttons = [
            StateButton(
                ui_text.TRY_DEMO,
                partial(self._engine.setValue, demo),
                ui_text.preset_tip("demo", ()),
            )
        ]
        offered = list(missing)
        presets = [ENGINE_PRESETS[name] for name in ("fast", "best")]
        if any(preset.is_in(config) for preset in presets):
            offered = []
            for preset in presets:
                chosen = preset.applied_to(config)
                rows = self._engine.missing(chosen)
                offered += [row for row in rows if row not in offered]
                tip = ui_text.preset_tip(preset.name, preset.weights)
                buttons.append(
                    self.download_button(rows, tip, partial(self._engine.setValue, chosen))
                )
        else:
            tip = "\n".join(ui_text.missing_text(row) for row in missing)
            buttons.append(self.download_button(missing, tip))
        return State(ui_text.weights_needed(missing, offered), tuple(buttons))

    def download_button(
        self, rows: Sequence[WeightsEntry], tip: str, choose: Callable[[], None] = lambda: None
    ) -> StateButton:
        """Return the button that downloads weights, after the call of `choose`."""
        size = sum(row.size for row in rows)
        why_not = ""
        if rows and self._engine.offline:
            why_not = ui_text.OFFLINE_WHY_NOT
        elif rows and self._busy:
            why_not = ui_text.BUSY_WHY_NOT
        elif self._free is not None and size > self._free:
            why_not = ui_text.disk_full(needed=size, free=self._free)

        def press() -> None:
            choose()
            if rows:
                self._do.download([row.name for row in rows])

        text = ui_text.download_size(size) if rows else ui_text.USE_PAMR_BUTTON
        return StateButton(text, press, tip, why_not)

    # ------------------------------------------------------------------ results

    def _no_result(self, missing: Sequence[WeightsEntry]) -> State:
        """The buttons where the plane on the screen has no result: run, or go elsewhere."""
        state, seen = self._state, self._state.on_screen
        empty = state.result.why_empty()
        text = empty or state.why_nothing_seen
        if seen is None:
            dims = state.viewer.dims
            flat = StateButton(
                ui_text.TO_2D, partial(setattr, dims, "ndisplay", 2), ui_text.TO_2D_TIP
            )
            return State(text, (flat,) if dims.ndisplay > 2 else ())
        why_not = ui_text.BUSY_WHY_NOT if self._busy else ""
        if missing:
            why_not = ui_text.weights_missing(missing)
        run = ui_text.RUN_THIS_PLANE if seen.plane else ui_text.RUN_THIS_IMAGE
        buttons = [StateButton(run, self._do.run, ui_text.RUN_THIS_TIP, why_not)]
        nearest = state.result.nearest_plane(seen)
        if state.result.stored_on_screen and not empty:
            buttons.append(StateButton(ui_text.GO_ACCEPT, self._do.accept, ui_text.GO_ACCEPT_TIP))
        elif nearest is not None and nearest.plane != seen.plane:
            name = plane_in_words(nearest, nearest.plane)
            there = ui_text.go_to(name)
            buttons.append(StateButton(there, partial(go_to_plane, state.viewer, nearest), there))
        return State(text, tuple(buttons))

    def _nothing_found(self) -> State | None:
        if not self._state.result.why_empty():
            return None
        if self._cramped:
            return State(ui_text.NOTHING_FOUND, (), "warning")
        text = ui_text.classes_below(self._state.result.shortfalls(), most=CLASSES_NAMED)
        return State(text, self._ways_out(), "warning")

    def _nothing_to_correct(self) -> State | None:
        if not self._state.result.why_empty():
            return None
        return State(ui_text.NOTHING_TO_CORRECT, self._ways_out(), "warning")

    def _ways_out(self) -> tuple[StateButton, ...]:
        """The buttons where nothing was found."""
        short = self._state.result.shortfalls()
        lower = StateButton(
            ui_text.LOWER_THRESHOLD, lambda: self._do.lower(short[0]), ui_text.LOWER_THRESHOLD_TIP
        )
        click = StateButton(ui_text.CLICK_ONE, self._do.click, ui_text.CLICK_ONE_TIP)
        return (lower, click) if short else (click,)
