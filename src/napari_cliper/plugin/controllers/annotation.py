"""Accept predictions into annotations; clean annotations and count what is done."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
from napari.layers import Image, Labels
from napari.viewer import Viewer
from numpy.typing import NDArray
from qtpy.QtCore import Signal

from ...annotation.class_change import ClassChange
from ...annotation.edit_mask import AnnotationState, protected
from ...annotation.merge import region_at
from ...labels.label_class import ClassRow
from ...segmentation import InvalidInputError
from .. import shortcuts, ui_text
from ..layers.annotation_layer import AnnotationLayer
from ..layers.image_group import in_viewer
from ..layers.image_layers import ImageChoice, Region, check_annotation_memory
from ..layers.image_view import pixel_under, rectangle_mask, rectangle_of
from ..layers.large_annotation_layer import LargeAnnotationLayer, annotation_of
from ..layers.prediction_layers import LargePrediction, Prediction
from ..layers.quick_layers import SoonShown
from ..panels.annotation_panel import AnnotationPanel
from ..panels.classes_panel import ClassesPanel
from ..panels.image_panel import ImagePanel
from ..worker import Work
from .accept_job import AcceptJob, accept_stored, accepting, is_long
from .annotation_work import Found, Tool, cleaned, cleaning, counting, take_cleaned, tool_for
from .base import Controller
from .live_result import LiveResult
from .main_job import MainJob

COUNT_AFTER = 300  # milliseconds without a change before counting starts


class AnnotationController(Controller):
    """The annotations of one viewer.

    Parameters
    ----------
    viewer : Viewer
    panel : AnnotationPanel
    result : LiveResult
        Where predictions come from.
    images : ImagePanel
    classes : ClassesPanel
    main_job : MainJob
    """

    changed = Signal(object)
    """An `AnnotationLayer` has changed."""
    stepped = Signal(object, bool)
    """The undo history of an `AnnotationLayer` has a new step; carries whether the user drew it."""
    accepted_all = Signal(object)
    """A whole prediction was accepted into an `AnnotationLayer`."""
    begun = Signal(object)
    """A new `AnnotationLayer` was created."""
    leaving = Signal(object)
    """The layer of an `AnnotationLayer` was removed; the `AnnotationLayer` is dropped next."""
    picking_changed = Signal()
    """Picking regions by mouse was started or stopped."""
    lost = Signal(object)
    """The user removed the layer of an `AnnotationLayer`."""
    class_changed = Signal(object)
    """A class was renamed, merged or deleted; carries the `ClassChange`."""

    def __init__(
        self,
        viewer: Viewer,
        panel: AnnotationPanel,
        result: LiveResult,
        images: ImagePanel,
        classes: ClassesPanel,
        main_job: MainJob,
    ) -> None:
        super().__init__(panel)
        self._viewer = viewer
        self._panel = panel
        self._result = result
        self._images = images
        self._classes = classes
        self._all: list[AnnotationLayer] = []
        self._removing: AnnotationLayer | None = None
        self._soon = self.own(SoonShown(self, viewer))
        self.picking = False
        """Whether the next press of the mouse picks a region."""
        self.keys = {
            shortcuts.ACCEPT: self.accept,
            shortcuts.ACCEPT_REGION: self.accept_under_cursor,
        }
        self._cleaning = self.jobs()
        self._cleaning.started.connect(self.update_available)
        self._cleaning.finished.connect(self.update_available)
        self.confirm: Callable[[str], bool] = partial(self.ask, ui_text.REPLACE_PAINTED_TITLE)
        self.accept_job = self.own(
            AcceptJob(panel, main_job, self._confirmed, self._all.__contains__)
        )
        self.accept_job.message.connect(self.message)
        main_job.finished.connect(self.update_available)  # it may have found nothing
        self._counting = self.newest(self._count, panel.show_done, delay=COUNT_AFTER)
        panel.accept_wanted.connect(self.accept)
        panel.clean_wanted.connect(self.clean)
        images.valueChanged.connect(self.update_available)
        images.valueChanged.connect(self.count_soon)
        classes.appearance_changed.connect(self.recolour)
        result.appeared.connect(self.count_soon)
        result.relabelled.connect(self.update_available)
        viewer.layers.events.removed.connect(self._on_removed)

    def close(self) -> None:
        """Disconnect all events; the layers stay."""
        self.stop_picking()
        super().close()
        self._viewer.layers.events.removed.disconnect(self._on_removed)
        for one in self._all:
            one.close()

    # ------------------------------------------------------------------ annotations

    @property
    def all(self) -> tuple[AnnotationLayer, ...]:
        """The annotations in the window."""
        return tuple(self._all)

    def of(self, image: Image | None) -> AnnotationLayer | None:
        """Return the annotation of an image, or None."""
        return next((one for one in self._all if one.image is image), None)

    def behind(self, layer: Any) -> AnnotationLayer | None:
        """Return the annotation of a layer, or None."""
        return next((one for one in self._all if one.layer is layer), None)

    def current(self) -> AnnotationLayer | None:
        """Return the active annotation, or else that of the chosen image."""
        choice = self._images.value()
        return self.behind(self._viewer.layers.selection.active) or self.of(
            None if choice is None else choice.layer
        )

    def begin(
        self, image: Image, name: str, state: AnnotationState | None = None
    ) -> AnnotationLayer:
        """Return the annotation of an image; add one if there is none, or replace it from a state.

        Raises
        ------
        InvalidInputError
            If the image was removed, replaced by one of another size, or is too large.
        """
        if not in_viewer(self._viewer, image):
            raise InvalidInputError(ui_text.image_removed(name))
        found = self.of(image)
        if found is not None and state is None:
            self._check_fits(found)
            return found
        if found is not None:
            self.remove(found)
        check_annotation_memory(ImageChoice(image, name))
        annotation = annotation_of(image, name, state)
        annotation.changed.connect(partial(self._on_changed, annotation))
        annotation.stepped.connect(partial(self.stepped.emit, annotation))
        annotation.refused.connect(self.say_error)
        self._all.append(annotation)
        annotation.show_classes(self._rows())  # now: later, napari would draw the layer again
        self._viewer.add_layer(annotation.layer)
        if not annotation.layer.visible:  # it is large
            self._soon.show(annotation.layer)
        self._result.make_room(annotation.layer)
        self._counting.request()
        self.update_available()
        self.begun.emit(annotation)
        return annotation

    def show(self, layer: Labels, then: Callable[[], object]) -> None:
        """Make the layer of an annotation visible, and then call a function."""
        if self._soon.waits(layer):
            self._soon.show(layer, then)
        else:
            layer.visible = True
            then()

    def remove(self, annotation: AnnotationLayer) -> None:
        """Remove an annotation that is saved, or replaced, from the viewer."""
        self._removing = annotation
        try:
            if annotation.layer in self._viewer.layers:
                self._viewer.layers.remove(annotation.layer)
        finally:
            self._removing = None

    def _on_removed(self, event: Any) -> None:
        annotation = self.behind(event.value)
        if annotation is not None:
            annotation.close()
            self.leaving.emit(annotation)
            self._all.remove(annotation)
            if annotation is not self._removing:
                self.lost.emit(annotation)
            self.update_available()
            self._counting.request()

    @staticmethod
    def _check_fits(annotation: AnnotationLayer) -> None:
        if not annotation.fits:
            raise InvalidInputError(
                ui_text.another_size(image=annotation.name, layer=annotation.layer.name)
            )

    def _on_changed(self, annotation: AnnotationLayer) -> None:
        self._counting.request()
        self.changed.emit(annotation)

    def update_available(self) -> None:
        """Enable or disable the buttons."""
        no_accept = self._result.why_not_seen or self._why_nothing()
        no_clean = "" if self.current() else ui_text.NO_ANNOTATION
        if not self._cleaning.idle:
            no_clean = ui_text.CLEANING_RUNS
        self._panel.set_available(no_accept, no_clean)

    # ------------------------------------------------------------------ accept

    def accept(self) -> None:
        """Accept the prediction, with the choices of the panel."""
        scope = self._panel.value().scope
        self.stop_picking()
        if scope == "region":
            self._start_picking(self._accept_at)
            return
        with self.showing_errors():
            prediction = self._prediction()
            choice, rectangle = prediction.choice, scope == "rectangle"
            chosen = self._chosen_names() if scope == "chosen" else None
            if is_long(prediction):
                drawn = rectangle_of(self._viewer, choice.layer) if rectangle else None
                self._accept_long(prediction, chosen=chosen, rectangle=drawn)
            else:
                where = rectangle_mask(self._viewer, choice) if rectangle else None
                self._accept(prediction, chosen=chosen, where=where)

    def accept_under_cursor(self) -> None:
        """Accept the region of the prediction under the cursor."""
        self._accept_at(self._viewer.cursor.position)

    def _accept_at(self, world: Any) -> None:
        with self.showing_errors():
            prediction = self._prediction()
            *plane, row, column = pixel_under(self._viewer, prediction.layer, world)
            if tuple(plane) != prediction.choice.plane:
                raise InvalidInputError(ui_text.OTHER_PLANE)
            if is_long(prediction):
                self._accept_long(prediction, point=(row, column))
            else:
                where = region_at(prediction.labels.copy(), row, column)
                self._accept(prediction, where=where)

    def _accept_long(
        self,
        prediction: Prediction,
        *,
        chosen: set[str] | None = None,
        rectangle: Region | None = None,
        point: tuple[int, int] | None = None,
    ) -> None:
        """Accept in a thread."""
        annotation = self.begin(prediction.choice.layer, prediction.choice.name)
        assert isinstance(annotation, LargeAnnotationLayer)  # noqa: S101 - as `is_long`
        whole = chosen is None and rectangle is None and point is None
        done = partial(self._on_accepted, annotation, prediction, whole)
        rows, rule = self._result.seen_rows, self._panel.value().rule
        work = accepting(
            annotation, prediction, rows, rule, chosen=chosen, rectangle=rectangle, point=point
        )
        self.accept_job.start(
            annotation,
            partial(accept_stored, work, annotation.store, annotation.edits.region),
            annotation.take_accepted,
            done,
        )

    def _accept(
        self,
        prediction: Prediction,
        *,
        chosen: set[str] | None = None,
        where: NDArray[np.bool_] | None = None,
    ) -> None:
        choice, rule = prediction.choice, self._panel.value().rule
        annotation = self.begin(choice.layer, choice.name)
        place = annotation.place_of(choice)
        painted = protected(annotation.edits.edit_mask[place])
        if where is not None:
            painted = painted & where
        if rule == "all" and painted.any() and not self._confirmed(int(painted.sum())):
            return
        rows = self._result.seen_rows
        changed = annotation.accept(
            choice, prediction.labels.copy(), rows, rule, chosen=chosen, where=where
        )
        whole = chosen is None and where is None
        self.message.emit(self._on_accepted(annotation, prediction, whole, changed), False)

    def _on_accepted(
        self,
        annotation: AnnotationLayer,
        prediction: Prediction,
        whole: bool,
        changed: int,
    ) -> str:
        """Show what was accepted; returns the message, which stays while it is learned from."""
        annotation.record = dict(prediction.layer.metadata.get("napari_cliper", {}))
        if whole:
            self._result.make_room(annotation.layer)
            self._viewer.layers.selection.active = annotation.layer
        self.update_available()
        if whole:
            self.accepted_all.emit(annotation)
        return ui_text.accepted(changed=changed)

    def _confirmed(self, painted: int) -> bool:
        return self.confirm(ui_text.replace_painted_question(painted=painted))

    def _prediction(self) -> Prediction:
        """The prediction of the current plane."""
        self._result.look()
        found = self._result.seen()
        if found is None:
            raise InvalidInputError(self._result.why_not_seen)
        if why_nothing := self._why_nothing():
            raise InvalidInputError(ui_text.nothing_to_accept(why_nothing))
        return found

    def _why_nothing(self) -> str:
        """Why there is nothing to accept; empty while labels that are not computed may have it."""
        seen = self._result.seen()
        return "" if seen is not None and not seen.complete else self._result.why_empty()

    def _chosen_names(self) -> set[str]:
        rows = self._classes.value()
        names = {rows[i].name for i in self._classes.table.chosen_rows() if not rows[i].background}
        if not names:
            raise InvalidInputError(ui_text.NO_CLASS_SELECTED)
        return names

    # ------------------------------------------------------------------ regions by the mouse

    def pick_regions(self) -> None:
        """Accept each region that is clicked, until `stop_picking`."""
        self._start_picking(self._accept_at, once=False)

    def _start_picking(self, use: Callable[[Any], None], *, once: bool = True) -> None:
        self._use_click, self._once = use, once
        if not self.picking:
            self.picking = True
            self._viewer.mouse_drag_callbacks.append(self._on_click)
            self.picking_changed.emit()
        self.message.emit(ui_text.CLICK_REGION if once else ui_text.CLICK_REGIONS, False)

    def stop_picking(self) -> None:
        """Stop picking regions."""
        if self.picking:
            self.picking = False
            self._viewer.mouse_drag_callbacks.remove(self._on_click)
            self.picking_changed.emit()

    def _on_click(self, _viewer: Any, event: Any) -> None:
        if self._once:
            self.stop_picking()
        event.handled = True  # so that the brush does not paint
        self._use_click(event.position)

    # ------------------------------------------------------------------ clean

    def clean(self) -> None:
        """Clean the annotation in a thread, with the choices of the panel."""
        self.stop_picking()
        with self.showing_errors():
            if self._panel.value().scope == "region":
                self._start_picking(self._clean_at)
            else:
                self._clean(None)

    def _clean_at(self, world: Any) -> None:
        with self.showing_errors():
            self._clean(world)

    def remove_smaller(self, smallest: int) -> None:
        """Remove objects with fewer pixels from the current plane, in a thread."""
        with self.showing_errors():
            found = self._to_clean()
            if found is not None:
                self._start_cleaning(*found, partial(cleaned, "remove specks", smallest))

    def _clean(self, world: Any | None) -> None:
        found = self._to_clean()
        if found is None:
            return
        annotation, choice = found
        request = self._panel.value()
        chosen = self._chosen_names() if request.scope == "chosen" else None
        tool = tool_for(self._viewer, annotation, choice, request, chosen, world)
        self._start_cleaning(annotation, choice, tool)

    def _to_clean(self) -> tuple[AnnotationLayer, ImageChoice] | None:
        """Annotation and current plane; None while a cleaning runs."""
        annotation, choice = self.current(), self._images.on_screen()
        if annotation is None:
            raise InvalidInputError(ui_text.NO_ANNOTATION)
        if choice.layer is not annotation.image:
            raise InvalidInputError(ui_text.choose_as_image(annotation.name))
        if not self._cleaning.idle:
            return None
        self._check_fits(annotation)
        return annotation, annotation.part(choice)

    def _start_cleaning(self, annotation: AnnotationLayer, choice: ImageChoice, tool: Tool) -> None:
        on_success = partial(self._on_cleaned, annotation)
        self._cleaning.start(cleaning(annotation, choice, tool), on_success)

    def _on_cleaned(self, annotation: AnnotationLayer, found: Found) -> None:
        if annotation not in self._all:
            return
        with self.showing_errors():
            changed = take_cleaned(annotation, found)
            if changed is None:
                self.message.emit(ui_text.CHANGED_MEANWHILE, True)
            else:
                self.message.emit(ui_text.cleaned(changed=changed), False)

    # ------------------------------------------------------------------ classes

    def change_class(self, change: ClassChange) -> None:
        """Rename, merge or delete a class in the annotations of the window."""
        for one in self._all:
            one.change_class(change)
        self.class_changed.emit(change)
        self.recolour()

    def recolour(self) -> None:
        """Show the annotations in the colours of the table."""
        for one in self._all:
            one.show_classes(self._rows())

    def _rows(self) -> list[ClassRow]:
        return [row for row in self._classes.value() if not row.background]

    # ------------------------------------------------------------------ counts

    def _count(self) -> Work | None:
        """The work that counts what is annotated in the current plane; None if there is nothing."""
        annotation, choice = self.current(), self._plane_on_screen()
        of_this = annotation is not None and choice is not None and (
            choice.layer is annotation.image and annotation.fits
        )  # fmt: skip
        if annotation is None or choice is None or not of_this:
            self._panel.show_done(None, begun=annotation is not None and choice is None)
            return None
        predicted: tuple[NDArray[Any], Region] | tuple[()] = ()
        seen = self._result.seen()
        of_this = seen is not None and seen.choice.layer is choice.layer
        known = seen is not None and of_this and not isinstance(seen, LargePrediction)
        if seen is not None and known and seen.choice.plane == choice.plane:
            predicted = seen.labels, annotation.region_of(seen.choice)
        return counting(annotation, choice, predicted)

    def _plane_on_screen(self) -> ImageChoice | None:
        try:
            return self._images.on_screen()
        except InvalidInputError:
            return None

    def count_soon(self) -> None:
        """Count after a short pause in the user's work."""
        self._counting.request()
