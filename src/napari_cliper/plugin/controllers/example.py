"""*Show me an example*: a synthetic scene with its words and the demo model."""

from __future__ import annotations

from collections.abc import Callable

from napari.viewer import Viewer

from ...demo.scenes import KINDS, Scene, example_scene
from ...labels.label_class import ClassRow
from .. import ui_text
from ..panels.classes_panel import ClassesPanel
from ..panels.engine_panel import EnginePanel
from .base import Controller


class ExampleController(Controller):
    """Shows the example.

    Parameters
    ----------
    viewer : Viewer
    classes : ClassesPanel
    engine : EnginePanel
    run : callable
        Starts a run.
    """

    def __init__(
        self,
        viewer: Viewer,
        classes: ClassesPanel,
        engine: EnginePanel,
        run: Callable[[], None],
    ) -> None:
        super().__init__(classes)
        self._viewer = viewer
        self._classes = classes
        self._engine = engine
        self._run = run
        self._making = self.jobs()

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
        self._viewer.add_image(scene.image, name=ui_text.DEMO_SCENE)
        self._engine.choose_demo()
        self._classes.setValue(
            ClassRow(kind.name, kind.synonyms) for kind in KINDS if kind.name in scene.kinds
        )
        self._run()
