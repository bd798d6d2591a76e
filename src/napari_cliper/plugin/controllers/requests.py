"""The request for the engine from the panels, or the reason why nothing can be run."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from numpy.typing import NDArray

from ...annotation.project.settings import ProjectSettings
from ...labels.label_class import ClassRow
from ...segmentation import InvalidInputError, Reduction, SegmentationConfig, reduction
from .. import ui_text
from ..engine_requests import ImageInput, Request, classes_of
from ..layers.image_layers import ImageChoice, check_memory, runs_by_chunk
from ..panels.classes_panel import ClassesPanel
from ..panels.engine_panel import EnginePanel
from ..panels.image_panel import ImagePanel
from ..tile_costs import CostKey
from .live_result import LiveResult
from .mask_layers import MaskLayers
from .prototype_learning import PrototypeLearning


class Requests:
    """Frozen snapshots of the panels, for runs and for projects.

    Parameters
    ----------
    images : ImagePanel
    classes : ClassesPanel
    engine : EnginePanel
    result : LiveResult
        Has the thresholds of the last result.
    learning : PrototypeLearning
        Has the prototypes and their weight.
    masks : MaskLayers
        Reads the masks of an image.
    """

    def __init__(
        self,
        images: ImagePanel,
        classes: ClassesPanel,
        engine: EnginePanel,
        result: LiveResult,
        learning: PrototypeLearning,
        masks: MaskLayers,
    ) -> None:
        self._images = images
        self._classes = classes
        self._engine = engine
        self._result = result
        self._learning = learning
        self._masks = masks
        self.applied = 0
        """How often other settings were applied: results of earlier requests are outdated."""

    # ------------------------------------------------------------------ readiness

    def why_not(self) -> str:
        """Return why nothing can be run; empty if it can."""
        return self._images.why_not() or self.why_no_words() or self.why_no_engine()

    def why_no_words(self) -> str:
        """Return why the words cannot be run; empty if they can."""
        return "" if self._classes.pending() else self._classes.problem()

    def why_no_engine(self) -> str:
        """Return why the settings cannot be run; empty if they can."""
        if problem := self._engine.problem():
            return problem
        missing = self._engine.missing()
        return ui_text.weights_missing(missing) if missing else ""

    def context(self) -> tuple[str, Reduction | None]:
        """The chosen model, and how much a run would reduce the image; for the head."""
        choice = self._images.value()
        if self._engine.problem():
            return "", None
        config = self._engine.value()
        model = ui_text.plain_name(config.model)
        return model, None if choice is None else reduction(choice.shape, config)

    # ------------------------------------------------------------------ requests

    def of_run(self) -> tuple[ImageChoice, tuple[ClassRow, ...], Request] | str:
        """Return the chosen image, its classes and the request; or why nothing can be run."""
        why_not = self.why_not()
        choice = self._images.value()
        if why_not or choice is None:
            return why_not or self._images.why_not()
        try:
            config = self._engine.value()
            if not (by_chunk := runs_by_chunk(choice, config)):
                check_memory(choice)
        except InvalidInputError as error:
            return str(error)
        rows = self._classes.value()
        image = self._masks.image(choice, config)
        request = replace(self._request(image, config), by_chunk=by_chunk)
        return choice, tuple(row for row in rows if not row.background), request

    def of_plane(self, request: Request, choice: ImageChoice) -> Request:
        """Return a request for another plane of the image, with the pixels and masks of it."""
        return replace(request, image=self._masks.image(choice, request.config))

    def of_costs(self) -> tuple[CostKey, Request] | None:
        """Return what a run in tiles depends on, and the request to estimate its costs.

        None without tiles or without an image, or if the settings cannot be run.
        """
        choice = self._images.value()
        if choice is None or self.why_no_engine():
            return None
        config = self._engine.value()
        if config.tiles is None:
            return None
        # Nothing is downloaded before the user presses Run.
        request = Request(
            self._masks.image(choice, config),
            replace(config, offline=True),
            classes=(),
            background=(),
            by_chunk=runs_by_chunk(choice, config),
        )
        return cost_key(choice, config), request

    def of_project(self) -> Request | str:
        """Return the request for the images of a project, or why nothing can be run."""
        if not self._classes.finish_editing():
            return self._classes.message.text()
        why_not = self.why_no_words() or self.why_no_engine()
        return why_not or self._request(ImageInput(_no_image), self._engine.value())

    def chosen(self) -> Request | None:
        """Return the request for the images of a project as it is now; None if incomplete."""
        if self._engine.problem() or self._classes.problem():
            return None
        return self._request(ImageInput(_no_image), self._engine.value())

    def settings(self) -> ProjectSettings | None:
        """Return the settings that a project stores; None if the engine settings are invalid."""
        if self._engine.problem():
            return None
        config = self._engine.value()
        thresholds = self._result.thresholds_for(config) or config.settings().thresholds
        return ProjectSettings(
            self._classes.value(),
            thresholds,
            config,
            self._learning.prototypes,
            self._learning.weight,
        )

    def apply(self, settings: ProjectSettings) -> None:
        """Use the classes, thresholds and engine settings of a project."""
        self.applied += 1
        self._classes.setValue(settings.classes)
        self._engine.setValue(settings.config)
        self._learning.begin_with(settings.prototypes, settings.prototype_weight)
        self._result.start_with(settings.config, settings.thresholds)

    def continue_with(self, settings: ProjectSettings) -> None:
        """Use the settings of an earlier session, and keep the classes that are in the table."""
        names = {row.name.casefold() for row in settings.classes}
        more = [row for row in self._classes.value() if row.name.casefold() not in names]
        self.apply(replace(settings, classes=(*settings.classes, *more)))

    def _request(self, image: ImageInput, config: SegmentationConfig) -> Request:
        classes, words = classes_of(self._classes.value())
        return Request(
            image,
            config,
            classes,
            (*words, *config.chosen_background),
            self._result.thresholds_for(config),
            self._learning.prototypes,
            self._learning.weight,
        )


def cost_key(choice: ImageChoice, config: SegmentationConfig) -> CostKey:
    """Return the values that the costs of a run depend on."""
    return choice.key, tuple(map(id, choice.arrays)), config.embedding_key


def _no_image() -> NDArray[Any]:
    """Placeholder for `ImageInput.read`; each image of a project replaces it."""
    raise InvalidInputError(ui_text.NO_IMAGE_GIVEN)
