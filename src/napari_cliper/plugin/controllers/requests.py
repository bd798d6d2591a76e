"""What the panels ask of the engine now, or why there is nothing to ask."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

from numpy.typing import NDArray

from ...annotation.project.settings import ProjectSettings
from ...labels.label_class import ClassRow
from ...segmentation import InvalidInputError, SegmentationConfig
from .. import ui_text
from ..engine_requests import Request
from ..engine_session import classes_of
from ..layers.image_layers import ImageChoice, check_memory
from ..panels.classes_panel import ClassesPanel
from ..panels.engine_panel import EnginePanel
from ..panels.image_panel import ImagePanel
from .live_result import LiveResult
from .prototype_learning import PrototypeLearning


class Requests:
    """Frozen snapshots of the panels, for runs and for projects.

    Parameters
    ----------
    images : ImagePanel
    classes : ClassesPanel
    engine : EnginePanel
    result : LiveResult
        Knows the thresholds of the last result.
    learning : PrototypeLearning
        Knows the prototypes and their weight.
    """

    def __init__(
        self,
        images: ImagePanel,
        classes: ClassesPanel,
        engine: EnginePanel,
        result: LiveResult,
        learning: PrototypeLearning,
    ) -> None:
        self._images = images
        self._classes = classes
        self._engine = engine
        self._result = result
        self._learning = learning

    # ------------------------------------------------------------------ readiness

    def why_not(self) -> str:
        """Why there is nothing to run; empty where there is."""
        return self._images.why_not() or self.why_no_words() or self.why_no_engine()

    def why_no_words(self) -> str:
        """Why the words cannot run; empty where they can."""
        return "" if self._classes.pending() else self._classes.problem()

    def why_no_engine(self) -> str:
        """Why the settings cannot run; empty where they can."""
        if problem := self._engine.problem():
            return problem
        missing = self._engine.missing()
        return ui_text.weights_missing(missing) if missing else ""

    # ------------------------------------------------------------------ requests

    def of_run(self) -> tuple[ImageChoice, tuple[ClassRow, ...], Request] | str:
        """The chosen image, its classes and the request; or why there is nothing to run."""
        why_not = self.why_not()
        choice = self._images.choice()
        if why_not or choice is None:
            return why_not or self._images.why_not()
        try:
            config = self._engine.config()
            check_memory(choice)
        except InvalidInputError as error:
            return str(error)
        rows = self._classes.classes()
        request = replace(self._request(choice.read, config), contrast=choice.contrast)
        return choice, tuple(row for row in rows if not row.background), request

    def of_project(self) -> Request | str:
        """What each image of a project is asked, or why there is nothing to ask."""
        if not self._classes.finish_editing():
            return self._classes.message.text()
        why_not = self.why_no_words() or self.why_no_engine()
        return why_not or self._request(_no_image, self._engine.config())

    def chosen(self) -> Request | None:
        """What each image of a project would be asked now; None if that is incomplete."""
        if self._engine.problem() or self._classes.problem():
            return None
        return self._request(_no_image, self._engine.config())

    def settings(self) -> ProjectSettings | None:
        """What a project keeps beside the annotations; None if the settings cannot work."""
        if self._engine.problem():
            return None
        config = self._engine.config()
        thresholds = self._result.thresholds_for(config) or config.settings().thresholds
        return ProjectSettings(
            self._classes.classes(),
            thresholds,
            config,
            self._learning.prototypes,
            self._learning.weight,
        )

    def _request(self, read: Callable[[], NDArray[Any]], config: SegmentationConfig) -> Request:
        classes, words = classes_of(self._classes.classes())
        return Request(
            read,
            config,
            classes,
            (*words, *config.chosen_background),
            self._result.thresholds_for(config),
            self._learning.prototypes,
            self._learning.weight,
        )


def _no_image() -> NDArray[Any]:
    """Stands where every image of a project will give its own pixels."""
    raise InvalidInputError(ui_text.NO_IMAGE_GIVEN)
