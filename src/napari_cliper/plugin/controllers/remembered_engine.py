"""The settings of the engine, remembered for the next session."""

from __future__ import annotations

from .. import preferences
from ..panels.engine_panel import EnginePanel
from .base import Controller

REMEMBER_AFTER = 500  # milliseconds after the last change of the settings


class RememberedEngine(Controller):
    """Writes what the user chooses in the settings to napari's preferences.

    Parameters
    ----------
    panel : EnginePanel
    """

    def __init__(self, panel: EnginePanel) -> None:
        super().__init__(panel)
        self._panel = panel
        self._timer = self.timer(REMEMBER_AFTER, self._remember)
        panel.edited.connect(self._timer.start)

    def close(self) -> None:
        """Write what is not written yet."""
        if not self._timer.idle:
            self._remember()
        super().close()

    def _remember(self) -> None:
        """Write the settings, if they are valid."""
        if not self._panel.problem():
            config = self._panel.value()
            preferences.write(
                model=config.model,
                refiner=config.refiner or "",
                device=config.device,
                offline=config.offline,
            )
