"""What to do next if there is no image, model, words or result, or if nothing was found."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial

from napari._app_model import get_app_model

from ...segmentation import WeightsEntry
from .. import ui_text
from ..layers.image_view import go_to_plane
from ..panels.engine_panel import EnginePanel
from ..panels.preset_buttons import ENGINE_PRESETS
from ..panels.state_panel import State, StateButton, StatePanel
from ..panels.threshold_panel import ThresholdPanel
from ..state import DockState
from .base import Controller
from .result_on_screen import plane_in_words

CLASSES_NAMED = 2


class NextStep(Controller):
    """Updates the state panels of the pages Find and Correct.

    Parameters
    ----------
    state : DockState
    find, correct : StatePanel
    engine : EnginePanel
    thresholds : ThresholdPanel
        Visible if there is a result.
    """

    def __init__(
        self,
        state: DockState,
        find: StatePanel,
        correct: StatePanel,
        engine: EnginePanel,
        thresholds: ThresholdPanel,
    ) -> None:
        super().__init__(find)
        self._panels = find, correct
        self._state = state
        self._engine = engine
        self._thresholds = thresholds
        self._free: int | None = None
        self._busy = self._loading = self._cramped = False
        thresholds.cramped_changed.connect(self._on_cramped)
        state.inputs_changed.connect(self.update)
        state.prediction_changed.connect(self.update)
        state.main_job.busy_changed.connect(self._on_busy)

    def set_free(self, free: int) -> None:
        """Set the free bytes on the disk of the weights."""
        self._free = free
        self.update()

    def _on_busy(self, busy: bool) -> None:
        """Disable runs and downloads while a job runs."""
        self._busy = busy
        self.update()

    def set_loading(self, *, loading: bool) -> None:
        """Show whether PyTorch is being loaded."""
        self._loading = loading
        self.update()

    def _on_cramped(self, cramped: bool) -> None:
        """Say in one line that nothing was found, while *More* is open and room is needed."""
        self._cramped = cramped
        self.update()

    def update(self) -> None:
        """Show the present state."""
        missing = self._engine.missing()
        find, correct = self._panels
        state = self._find(missing)
        find.show_state(state)
        self._thresholds.set_brief(brief=state is not None)
        correct.show_state(self._correct(missing))
        self._thresholds.setVisible(self._state.shown is not None and not missing)

    @property
    def explains(self) -> bool:
        """Whether the page on the screen says why nothing was found."""
        on_page = any(panel.isVisibleTo(panel.window()) for panel in self._panels)
        return on_page and bool(self._state.result.why_empty())

    # ------------------------------------------------------------------ what the buttons do

    def _open_image(self) -> None:
        """Open napari's file dialog."""
        get_app_model().commands.execute_command("napari.window.file.open_files_dialog")

    def _run(self) -> None:
        """Run on the plane that the viewer shows, and show the page that says what is found."""
        self._state.page_wanted.emit("find")
        self._state.run_on_screen_wanted.emit()

    def _click(self) -> None:
        """Let the user click an object."""
        self._state.page_wanted.emit("correct")
        self._state.tool_wanted.emit("click")

    # ------------------------------------------------------------------ without a result

    def _find(self, missing: Sequence[WeightsEntry]) -> State | None:
        """The state of the page Find."""
        if not self._state.has_images:
            return self._with_loading(self._no_image())
        if missing:
            return self._missing(missing)
        if self._state.shown is not None:
            return self._nothing_found()
        if not self._has_words():
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
        return self._no_result(missing) if self._has_words() else self._no_words()

    def _has_words(self) -> bool:
        """Whether there are words to run, in the table or still in the field."""
        return bool(self._state.rows) or self._state.words_typed

    def _with_loading(self, state: State) -> State:
        if not self._loading:
            return state
        return State(f"{state.text} {ui_text.LOADING_PYTORCH_NOW}", state.buttons, state.tone)

    def _no_image(self) -> State:
        example = StateButton(
            ui_text.SHOW_EXAMPLE,
            self._state.example_wanted.emit,
            ui_text.SHOW_EXAMPLE_TIP,
            ui_text.BUSY_WHY_NOT if self._busy else "",
        )
        open_ = StateButton(ui_text.OPEN_IMAGE, self._open_image, ui_text.OPEN_IMAGE_TIP)
        return State(ui_text.NO_IMAGE_YET, (open_, example))

    def _no_words(self) -> State:
        button = StateButton(ui_text.TYPE_WORDS, self._state.type_words, ui_text.TYPE_WORDS_TIP)
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
                self._state.download_wanted.emit([row.name for row in rows])

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
        buttons = [StateButton(run, self._run, ui_text.RUN_THIS_TIP, why_not)]
        nearest = state.result.nearest_plane(seen)
        if state.result.stored_on_screen and not empty:
            buttons.append(
                StateButton(
                    ui_text.GO_ACCEPT, self._state.annotations.accept, ui_text.GO_ACCEPT_TIP
                )
            )
        elif nearest is not None and nearest.plane != seen.plane:
            name = plane_in_words(nearest, nearest.plane)
            there = ui_text.go_to(name)
            buttons.append(StateButton(there, partial(go_to_plane, state.viewer, nearest), there))
        return State(text, tuple(buttons))

    def _nothing_found(self) -> State | None:
        if not self._state.result.why_empty():
            return None
        text = self._below()
        in_short = ui_text.NOTHING_FOUND_SHORT if self._cramped else ""
        return State(text, self._ways_out(in_short=self._cramped), "warning", in_short)

    def _nothing_to_correct(self) -> State | None:
        if not self._state.result.why_empty():
            return None
        text = self._below()
        ways = self._ways_out(in_short=True)
        return State(text, ways, "warning", ui_text.NOTHING_FOUND_SHORT)

    def _below(self) -> str:
        """Which classes stay below which threshold."""
        seen, short = self._state.result.seen(), self._state.result.shortfalls()
        complete = seen is None or seen.complete
        return ui_text.classes_below(short, complete=complete, most=CLASSES_NAMED)

    def _ways_out(self, *, in_short: bool) -> tuple[StateButton, ...]:
        """The buttons where nothing was found."""
        short = self._state.result.shortfalls()
        lower = StateButton(
            ui_text.LOWER_THRESHOLD,
            lambda: self._thresholds.lower(short[0]),
            ui_text.LOWER_THRESHOLD_TIP,
        )
        text = ui_text.CLICK_ONE_SHORT if in_short else ui_text.CLICK_ONE
        click = StateButton(text, self._click, ui_text.CLICK_ONE_TIP)
        return (lower, click) if short else (click,)
