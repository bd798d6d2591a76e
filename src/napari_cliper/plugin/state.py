"""The state of the dock that panels and controllers follow: image, classes, result, annotation.

A panel that needs only the state derives from `panels.base.DockPanel` and has no controller. A
controller takes the state and its panel, and connects itself to both.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, Literal

import numpy as np
from napari.viewer import Viewer
from numpy.typing import NDArray
from qtpy.QtCore import QObject, Signal

from ..labels.axes import plane_suffix
from ..labels.label_class import ClassRow
from ..labels.labelled_image import LabelledImage
from ..segmentation import InvalidInputError, LabelsByChunk, Monitor, Window
from .controllers.annotation import AnnotationController
from .controllers.kept_results import PredictedPlane, Shown
from .controllers.live_result import LiveResult
from .controllers.main_job import MainJob
from .engine_session import Session
from .layers.annotation_layer import AnnotationLayer
from .layers.image_group import ImageGroup
from .layers.image_layers import (
    ImageChoice,
    check_objects_memory,
    depth_of,
    geometry_of,
    image_shape,
)
from .layers.plane_labels import annotated_on
from .layers.prediction_layers import AnyLabels
from .panels.classes_panel import ClassesPanel
from .panels.engine_panel import EnginePanel
from .panels.image_panel import ImagePanel


@dataclass(frozen=True, eq=False)
class SeenLabels:
    """A copy of the labels of the current plane, with their image and classes.

    Parameters
    ----------
    source : {'annotation', 'prediction'}
    choice : ImageChoice
        The image, plane and region of the labels; of a prediction, the region that was run.
    labels : (Y, X) uint8 or uint16 array or LabelsByChunk
    classes : mapping of int to ClassRow
        The class of each label.
    """

    source: Literal["annotation", "prediction"]
    choice: ImageChoice
    labels: Any
    classes: Mapping[int, ClassRow]

    def in_memory(self, monitor: Monitor) -> SeenLabels:
        """Return the same with all labels as an array; call it in a thread.

        Raises
        ------
        InvalidInputError
            If objects of labels that are computed chunk by chunk do not fit in the free memory.
        """
        labels = self.labels
        if not isinstance(labels, LabelsByChunk):
            return self
        check_objects_memory(self.choice)
        for chunk in labels.missing(Window(0, 0, *labels.shape)):
            monitor.check()
            labels.compute(chunk)
        return replace(self, labels=labels[:, :].astype(np.uint16))

    @property
    def depth(self) -> int | None:
        """The leading axis Z with several planes; None if there is none."""
        return depth_of(self.choice)

    def volume(self, labels: NDArray[np.uint8 | np.uint16]) -> LabelledImage:
        """Return labels of the volume of the plane for export, (Z, Y, X), without pixels."""
        geometry, depth, plane = geometry_of(self.choice.layer), self.depth, self.choice.plane
        axes = [axis for axis in range(len(plane)) if axis == depth] + [-2, -1]
        others = [axis for axis in range(len(plane)) if axis != depth]
        names, sizes = geometry["axes"], image_shape(self.choice.layer)
        suffix = plane_suffix(
            "".join(names[axis] for axis in others),
            tuple(plane[axis] for axis in others),
            [sizes[axis] for axis in others],
        )
        return LabelledImage(
            self.choice.name + suffix,
            labels,
            self.classes,
            pixel_size=tuple(geometry["pixel_size"][axis] for axis in axes),
            units=tuple(geometry["units"][axis] for axis in axes),
            axes="".join(names[axis] for axis in axes),
            position=tuple((names[axis], plane[axis]) for axis in others),
            stack=self.choice.name if others else "",
        )

    def image(
        self, labels: NDArray[np.uint8 | np.uint16], *, with_pixels: bool = False
    ) -> LabelledImage:
        """Return labels of the same image, plane and region for export.

        Parameters
        ----------
        labels : (Y, X) array
            Of the shape of `labels`.
        with_pixels : bool
            Whether to include the image; reading it is slow, so call this in a thread.
        """
        layer, plane = self.choice.layer, self.choice.plane
        geometry = geometry_of(layer)
        axes = geometry["axes"]
        suffix = plane_suffix(axes, plane, image_shape(layer)[: len(plane)])
        return LabelledImage(
            self.choice.name + suffix,
            labels,
            self.classes,
            image=self.choice.read() if with_pixels else None,
            pixel_size=tuple(geometry["pixel_size"][-2:]),
            units=tuple(geometry["units"][-2:]),
            axes=axes[-2:],
            position=tuple(zip(axes, plane, strict=False)),
            stack=self.choice.name if plane else "",
        )


class DockState(QObject):
    """The image, classes, result and annotation of one dock, and signals when they change.

    Signals named `..._wanted` are requests to another part of the dock.

    Parameters
    ----------
    viewer : Viewer
    images : ImagePanel
    classes : ClassesPanel
    engine : EnginePanel
    result : LiveResult
    annotations : AnnotationController
    session : Session
        Runs the engine.
    main_job : MainJob
        Runs the job that the user waits for.
    """

    image_changed = Signal()
    """Another image, plane or region is chosen."""
    classes_changed = Signal()
    """Words, order, colours or visibility of the classes have changed."""
    words_changed = Signal()
    """Words or order of the classes have changed: a run would differ."""
    class_selected = Signal(int)
    """The user has selected a class in the table; carries its label, 0 for background."""
    inputs_changed = Signal()
    """What a run needs has changed: the image, words, settings or weights, or a job has ended."""
    result_changed = Signal()
    """Another result, or none, is shown."""
    prediction_changed = Signal()
    """The labels of the current prediction have changed, by thresholds or hints."""
    annotation_changed = Signal()
    """The labels of an annotation, or the set of annotations, have changed."""
    leaving = Signal(object)
    """An image layer is about to be removed for the next image of the project; carries it."""
    run_wanted = Signal()
    run_on_screen_wanted = Signal()
    example_wanted = Signal()
    download_wanted = Signal(object)
    """Carries the names of weights."""
    tool_wanted = Signal(str)
    tool_taken = Signal(object)
    """A tool begins to use the mouse, so that others end; carries the controller of the tool."""
    outline_wanted = Signal(object)
    """Carries the `OutlineHost` for which single objects are to be outlined."""
    outline_ended = Signal()
    """The host needs no more outlines."""
    rescore_wanted = Signal()
    """The image on the screen is to be scored again soon, with changed words or prototypes."""
    page_wanted = Signal(str)
    message = Signal(str, bool)
    """A message for the foot of the dock, and whether it is an error."""

    def __init__(
        self,
        viewer: Viewer,
        images: ImagePanel,
        classes: ClassesPanel,
        engine: EnginePanel,
        result: LiveResult,
        annotations: AnnotationController,
        session: Session,
        main_job: MainJob,
    ) -> None:
        super().__init__()
        self.viewer = viewer
        self.result = result
        self.annotations = annotations
        self.session = session
        self.main_job = main_job
        self._images = images
        self._classes = classes
        images.valueChanged.connect(self.image_changed)
        classes.valueChanged.connect(self.classes_changed)
        classes.words_changed.connect(self.words_changed)
        classes.words_changed.connect(self.rescore_wanted)
        classes.selected.connect(self.class_selected)
        for signal in (
            images.valueChanged,
            classes.words_changed,
            classes.pending_changed,
            engine.valueChanged,
            main_job.finished,
        ):
            signal.connect(self._on_input)
        result.appeared.connect(self.result_changed)
        result.relabelled.connect(self.prediction_changed)
        for signal in (annotations.changed, annotations.begun, annotations.lost):
            signal.connect(self._on_annotation)

    @property
    def has_images(self) -> bool:
        """Whether there is an image layer to choose."""
        return self._images.has_images

    def choose_group(self, group: ImageGroup) -> None:
        """Choose a group of layers of the viewer as the image."""
        self._images.choose_group(group)

    @property
    def choice(self) -> ImageChoice | None:
        """The chosen image, plane and region; None if there is none."""
        return self._images.value()

    @property
    def on_screen(self) -> ImageChoice | None:
        """The plane of the chosen image that the viewer shows; None if there is none."""
        try:
            return self._images.on_screen()
        except InvalidInputError:
            return None

    @property
    def rows(self) -> tuple[ClassRow, ...]:
        """The classes in the table, from top to bottom, background words included."""
        return self._classes.value()

    @property
    def labelled_rows(self) -> tuple[ClassRow, ...]:
        """The classes in the table that have a label: all but background words."""
        return tuple(row for row in self.rows if not row.background)

    def set_rows(self, rows: Iterable[ClassRow]) -> None:
        """Replace the classes in the table; this can be undone there.

        Raises
        ------
        InvalidInputError
            For a repeated word.
        """
        self._classes.setValue(rows)

    def type_words(self) -> None:
        """Put the cursor into the field for words."""
        self.page_wanted.emit("find")
        self._classes.type_words()

    @property
    def why_no_choice(self) -> str:
        """The reason why `choice` is None; empty if it is not."""
        return self._images.why_not()

    @property
    def words_typed(self) -> bool:
        """Whether there are words in the field that are not in the table yet."""
        return bool(self._classes.pending())

    @property
    def shown(self) -> Shown | None:
        """The result of the current plane, or None."""
        return self.result.shown

    def seen_labels(self) -> SeenLabels | None:
        """Return the annotation of the current plane, or else its prediction.

        The annotation is used if something is accepted or painted on the plane. None if there is
        neither.
        """
        choice = self.on_screen
        if choice is None:
            return None
        annotated = self._annotated(choice)
        if annotated is not None:
            return annotated
        seen = self.result.seen()
        if seen is None:
            return None
        return self._predicted(seen.choice, seen.labels, self.result.seen_rows)

    def labels_of_planes(
        self, planes: Iterable[ImageChoice]
    ) -> list[Callable[[], SeenLabels | None] | None]:
        """Return a function for each of some planes of the chosen image that copies its labels.

        It returns what `seen_labels` would for the plane; call it in a thread. The annotation of
        other planes than the current one is that of the call. None instead of a function where
        there is surely nothing.
        """
        choice, found = self.on_screen, list[Callable[[], SeenLabels | None] | None]()
        if choice is None:
            return [None for _ in planes]
        seen = self.seen_labels()
        predicted = {one.choice.plane: one for one in self.result.kept.planes_of(choice.layer)}
        annotation = self.annotations.of(choice.layer)
        if annotation is not None and annotation.fits:
            annotation.follow()
            if seen is None and not predicted and annotation.edits.store.blank:
                annotation = None
        else:
            annotation = None
        table = _by_name(self.rows)
        for plane in planes:
            if plane.plane == choice.plane:
                found.append(None if seen is None else partial(_known, seen))
                continue
            one = predicted.get(plane.plane)
            if annotation is None and one is None:
                found.append(None)
            else:
                found.append(partial(_labels_of_plane, plane, annotation, one, table))
        return found

    def _annotated(self, choice: ImageChoice) -> SeenLabels | None:
        """The annotation of a plane on which something is accepted or painted."""
        annotation = self.annotations.of(choice.layer)
        if annotation is None or not annotation.fits:
            return None
        choice = annotation.part(choice)
        at = annotation.place_of(choice)
        if not annotation.edits.edit_mask[at].any():
            return None
        labels = annotation.edits.labels[at].copy()
        return SeenLabels("annotation", choice, labels, self._as_in_table(annotation.classes))

    def _predicted(
        self, choice: ImageChoice, labels: AnyLabels, rows: Iterable[ClassRow]
    ) -> SeenLabels:
        classes = self._as_in_table(dict(enumerate(rows, 1)))
        if not isinstance(labels, LabelsByChunk):
            labels = labels.astype(np.uint16)
        return SeenLabels("prediction", choice, labels, classes)

    @property
    def why_nothing_seen(self) -> str:
        """The reason why `seen_labels` is None, for example a plane that was not run."""
        return self._images.why_not() or self.result.why_not

    def select_class(self, name: str) -> None:
        """Select a class, like a click on its row in the table of classes."""
        self._classes.select(name)

    def _as_in_table(self, classes: Mapping[int, ClassRow]) -> dict[int, ClassRow]:
        """The classes with the colours of the table; classes that are not in it are unchanged."""
        return _coloured(classes, _by_name(self.rows))

    def _on_input(self, _changed: object = None) -> None:
        self.inputs_changed.emit()

    def _on_annotation(self, _annotation: object) -> None:
        self.annotation_changed.emit()


def _by_name(rows: Iterable[ClassRow]) -> dict[str, ClassRow]:
    return {row.name.casefold(): row for row in rows}


def _coloured(
    classes: Mapping[int, ClassRow], table: Mapping[str, ClassRow]
) -> dict[int, ClassRow]:
    """The classes with the colours of a table, whose rows are found by name."""
    return {label: table.get(row.name.casefold(), row) for label, row in classes.items()}


def _known(seen: SeenLabels) -> SeenLabels:
    return seen


def _labels_of_plane(
    choice: ImageChoice,
    annotation: AnnotationLayer | None,
    predicted: PredictedPlane | None,
    table: Mapping[str, ClassRow],
) -> SeenLabels | None:
    """The annotation of a plane on which something is accepted or painted, or else its prediction.

    Threads may call it.
    """
    if annotation is not None:
        labels, edit_mask = annotated_on(annotation, choice)
        if edit_mask.any():
            classes = _coloured(dict(annotation.classes), table)  # after the labels: all are there
            return SeenLabels("annotation", choice, labels, classes)
    if predicted is None:
        return None
    classes = _coloured(dict(enumerate(predicted.rows, 1)), table)
    return SeenLabels("prediction", predicted.choice, predicted.labels().astype(np.uint16), classes)
