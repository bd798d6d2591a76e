"""What the panels follow: the image, classes, result and annotation of the moment.

A panel that only shows or uses these takes the state alone, and needs no controller of its own.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from napari.viewer import Viewer
from qtpy.QtCore import QObject, Signal

from .controllers.annotation import AnnotationController
from .controllers.kept_results import Shown
from .controllers.live_result import LiveResult
from .layers.annotation_layer import AnnotationLayer
from .layers.image_layers import ImageChoice
from .panels.classes_panel import ClassesPanel
from .panels.image_panel import ImagePanel

if TYPE_CHECKING:
    from ..labels.label_class import ClassRow


class DockState(QObject):
    """The image, classes, result and annotation of one dock, and signals when they change.

    Parameters
    ----------
    viewer : Viewer
    images : ImagePanel
    classes : ClassesPanel
    result : LiveResult
    annotations : AnnotationController
    """

    image_changed = Signal()
    """Another image, plane or region is chosen."""
    classes_changed = Signal()
    """Words, order, colours or visibility of the classes."""
    result_changed = Signal()
    """Another result is on the screen, or none."""
    prediction_changed = Signal()
    """The labels of the prediction on the screen, by thresholds or hints."""
    annotation_changed = Signal()
    """The labels of an annotation, or which annotations there are."""
    message = Signal(str, bool)
    """Lines for the foot of the dock, and whether they tell of an error."""

    def __init__(
        self,
        viewer: Viewer,
        images: ImagePanel,
        classes: ClassesPanel,
        result: LiveResult,
        annotations: AnnotationController,
    ) -> None:
        super().__init__()
        self.viewer = viewer
        self.result = result
        self.annotations = annotations
        self._images = images
        self._classes = classes
        images.changed.connect(self.image_changed)
        classes.changed.connect(self.classes_changed)
        classes.appearance_changed.connect(self.classes_changed)
        result.appeared.connect(self.result_changed)
        result.relabelled.connect(self.prediction_changed)
        for signal in (annotations.changed, annotations.begun, annotations.lost):
            signal.connect(self._on_annotation)

    @property
    def choice(self) -> ImageChoice | None:
        """The chosen image, plane and region; None where there is none."""
        return self._images.choice()

    @property
    def rows(self) -> tuple[ClassRow, ...]:
        """The classes in the table, from top to bottom, background words included."""
        return self._classes.classes()

    @property
    def shown(self) -> Shown | None:
        """The result on the screen."""
        return self.result.shown

    @property
    def annotation(self) -> AnnotationLayer | None:
        """The annotation of the chosen image."""
        return self.annotations.current()

    def _on_annotation(self, _annotation: object) -> None:
        self.annotation_changed.emit()
