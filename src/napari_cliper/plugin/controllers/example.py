"""*Show me an example*: a synthetic scene with its words and the demo model."""

from __future__ import annotations

from ...demo.scenes import KINDS, Scene, example_scene
from ...labels.label_class import ClassRow
from .. import ui_text
from ..panels.engine_panel import EnginePanel
from ..state import DockState
from .base import Controller


class ExampleController(Controller):
    """Shows the example.

    Parameters
    ----------
    state : DockState
    engine : EnginePanel
    """

    def __init__(self, state: DockState, engine: EnginePanel) -> None:
        super().__init__(engine)
        self._state = state
        self._engine = engine
        self._making = self.jobs()
        state.example_wanted.connect(self.show)

    def show(self, scene: Scene | None = None) -> None:
        """Add a synthetic scene, its words and the demo model, and run.

        Parameters
        ----------
        scene : Scene, optional
            By default, one is generated in a thread.
        """
        if scene is not None:
            self._show_scene(scene)
        else:
            self._making.start(lambda _report, _should_stop: example_scene(), self._show_scene)

    def _show_scene(self, scene: Scene) -> None:
        self._state.viewer.add_image(scene.image, name=ui_text.DEMO_SCENE)
        self._engine.choose_demo()
        self._state.set_rows(
            ClassRow(kind.name, kind.synonyms) for kind in KINDS if kind.name in scene.kinds
        )
        self._state.run_wanted.emit()
