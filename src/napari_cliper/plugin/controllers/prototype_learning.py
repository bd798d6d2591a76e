"""Learn visual prototypes of the classes from confirmed pixels, and save them with the classes.

Learning waits until no other job runs. The thread learns from one image only. Its result is added
to the prototypes at the time it ends, so that changes made since its start are not lost.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from qtpy.QtCore import Signal

from ...annotation.class_change import ClassChange, change_prototypes
from ...annotation.edit_mask import OPEN
from ...io.files import FileError, cannot
from ...io.own_files import OwnFiles
from ...io.prototype_file import beside, write_prototypes
from ...segmentation import InvalidInputError, Report, SegmentationConfig, ShouldStop
from .. import ui_text
from ..engine_requests import LearningRequest
from ..engine_session import Session
from ..layers.annotation_layer import AnnotationLayer
from ..layers.image_layers import ImageChoice
from ..layers.plane_labels import annotated_on
from ..panels.classes_panel import ClassesPanel
from ..panels.engine_panel import EnginePanel
from ..panels.image_panel import ImagePanel
from ..panels.prototypes_panel import PrototypesChoice, PrototypesPanel
from ..state import DockState
from ..worker import Work
from .base import Controller
from .mask_layers import MaskLayers

if TYPE_CHECKING:
    from ...segmentation import Prototype, Prototypes

_STEPS_KEPT = 20


class PrototypeLearning(Controller):
    """The visual prototypes of one dock.

    Parameters
    ----------
    state : DockState
    panel : PrototypesPanel
    images : ImagePanel
    classes : ClassesPanel
        The prototypes are saved and loaded with its class lists.
    engine : EnginePanel
    masks : MaskLayers
        Reads the masks of an image.
    """

    changed = Signal()
    """The prototypes, or their weight, have changed."""

    def __init__(
        self,
        state: DockState,
        panel: PrototypesPanel,
        images: ImagePanel,
        classes: ClassesPanel,
        engine: EnginePanel,
        masks: MaskLayers,
    ) -> None:
        super().__init__(panel)
        self._panel = panel
        self._images = images
        self._engine = engine
        self._masks = masks
        self._state = state
        self._annotation_controller = annotation_controller = state.annotations
        self._session = state.session
        self._start = state.main_job.start_told
        self.prototypes: Prototypes | None = None
        self._before: list[Prototypes | None] = []
        self._number = 0  # of the class list; results for an earlier list are dropped
        self._waiting: dict[str, tuple[Work, Callable[[Any], str]]] = {}
        self._refused: set[Path] = set()  # files that hold other prototypes
        panel.learn_wanted.connect(self.learn)
        panel.remove_wanted.connect(self.remove)
        panel.undo_wanted.connect(self.undo)
        self._weight = panel.value().weight
        panel.valueChanged.connect(self._on_choice)
        classes.loaded.connect(self.load_beside)
        classes.saved.connect(self.save_beside)
        state.inputs_changed.connect(self.update_available)
        state.main_job.finished.connect(self.go_on)
        annotation_controller.changed.connect(self.update_available)
        annotation_controller.accepted_all.connect(self.learn_by_itself)

    @property
    def idle(self) -> bool:
        """Whether nothing waits to be learned."""
        return not self._waiting

    def close(self) -> None:
        """Drop all waiting jobs."""
        super().close()
        self._waiting.clear()
        self._number += 1

    # ------------------------------------------------------------------ prototypes

    @property
    def weight(self) -> float | None:
        """Weight of the prototypes relative to the words, 0 to 1; None for automatic."""
        return self._panel.value().weight

    def begin_with(self, prototypes: Prototypes | None, weight: float | None) -> None:
        """Use the prototypes of a project instead of the current ones."""
        self._number += 1
        self._waiting.clear()
        self._before.clear()
        self.prototypes = prototypes or None
        self._weight = weight
        self._panel.setValue(replace(self._panel.value(), weight=weight))
        self._show()

    def remove(self, gone: list[Prototype]) -> None:
        """Remove some prototypes."""
        if self.prototypes is not None:
            self._change(self.prototypes.without(*gone))

    def change_class(self, change: ClassChange) -> None:
        """Rename, merge or delete a class in the prototypes, and in what undo brings back.

        What is being learned under the old name is dropped.
        """
        self._number += 1
        self._waiting.clear()
        self._before = [change_prototypes(one, change) for one in self._before]
        changed = change_prototypes(self.prototypes, change)
        if changed is not self.prototypes:
            self.prototypes = changed
            self._show()
            self.changed.emit()

    def undo(self) -> None:
        """Undo the last change of the prototypes."""
        if self._before:
            self.prototypes = self._before.pop()
            self._show()
            self._tell(ask_again=True)

    def _change(self, prototypes: Prototypes | None, *, ask_again: bool = True) -> None:
        self._before = [*self._before, self.prototypes][-_STEPS_KEPT:]
        self.prototypes = prototypes or None
        self._show()
        self._tell(ask_again=ask_again)

    def _tell(self, *, ask_again: bool) -> None:
        self.changed.emit()
        if ask_again:
            self._state.rescore_wanted.emit()

    def _on_choice(self, choice: PrototypesChoice) -> None:
        if choice.weight != self._weight:
            self._weight = choice.weight
            self._tell(ask_again=self.prototypes is not None)

    def _show(self) -> None:
        items = () if self.prototypes is None else self.prototypes.items
        self._panel.show_prototypes(items, can_undo=bool(self._before))
        self.update_available()

    # ------------------------------------------------------------------ availability

    def update_available(self, _annotation: object = None) -> None:
        """Enable or disable the panel, with the reason."""
        self._panel.set_available(self.why_not(), self._note())

    def why_not(self) -> str:
        """Why learning is not possible; empty if it is."""
        choice, annotation = self._choice(), self._annotation_controller.current()
        if isinstance(choice, str):
            return choice
        if annotation is None or choice.layer is not annotation.image:
            return ui_text.nothing_annotated(choice.name)
        return (
            _nothing_confirmed(annotation, choice) or self._no_engine() or self._of_another_model()
        )

    def _choice(self) -> ImageChoice | str:
        """The chosen region of the current plane, or the reason why there is none."""
        choice = self._images.value()
        if choice is None:
            return self._images.why_not()
        try:
            return replace(choice, plane=self._images.on_screen().plane)
        except InvalidInputError as error:
            return str(error)

    def _no_engine(self) -> str:
        missing = ui_text.MODEL_MISSING
        return self._engine.problem() or (missing if self._engine.missing() else "")

    def _of_another_model(self) -> str:
        if self.prototypes is None or self._engine.problem():
            return ""
        learned, chosen = self.prototypes.model, self._engine.value().model
        if learned == chosen:
            return ""
        return ui_text.other_model(learned=learned, chosen=chosen)

    def _note(self) -> str:
        """What the user should know about the prototypes and the chosen image."""
        found, choice = self.prototypes, self._images.value()
        if (other := self._of_another_model()) or found is None:
            return other
        names = dict.fromkeys(one.name for one in found.items)
        size = None if choice is None else choice.pixel_size
        return " ".join(filter(None, [found.mixed_sizes_note(), found.size_note(names, size)]))

    # ------------------------------------------------------------------ learning

    def learn(self) -> None:
        """Learn from the confirmed pixels of the current plane."""
        choice, annotation = self._choice(), self._annotation_controller.current()
        why_not = self.why_not()
        if why_not or isinstance(choice, str) or annotation is None:
            self.message.emit(why_not, True)
            return
        self._learn(annotation, choice, ask_again=True)

    def learn_by_itself(self, annotation: AnnotationLayer) -> None:
        """Learn from an image that is done, if the user has chosen this and it is possible."""
        choice = self._choice()
        if isinstance(choice, str) or choice.layer is not annotation.image:
            if annotation.edits.labels.ndim > 2:
                return  # no plane is chosen
            choice = ImageChoice(annotation.image, annotation.name)
        wanted = self._panel.value().by_itself and not self._no_engine()
        if not wanted or _nothing_confirmed(annotation, choice):
            return
        if why_not := self._of_another_model():
            self.message.emit(ui_text.not_learned(image=annotation.name, why=why_not), False)
            return
        self._learn(annotation, choice, ask_again=False)

    def _learn(self, annotation: AnnotationLayer, choice: ImageChoice, *, ask_again: bool) -> None:
        annotation.follow()
        choice = annotation.part(choice)
        config = self._engine.value()
        learning_request = LearningRequest(
            self._masks.image(choice, config),
            config,
            partial(_confirmed_on, annotation, choice),
            {label: row.name for label, row in annotation.classes.items()},
            ui_text.source_name(image=annotation.name, plane=choice.plane),
        )
        self._when_free(
            learning_request.source,
            partial(self._session.learn, learning_request),
            partial(self._on_learned, self._number, learning_request.source, ask_again),
        )

    def _on_learned(self, number: int, source: str, ask_again: bool, found: Prototypes) -> str:
        if number != self._number:
            return ui_text.dropped_for_classes(source)
        if not found:
            self._forget(source, ask_again=ask_again)
            return ui_text.no_class_to_learn(source)
        self._change(
            found if self.prototypes is None else self.prototypes.union(found),
            ask_again=ask_again,
        )
        classes = len({one.name for one in found.items if one.name})
        learned = ui_text.learned_from(source=source, classes=classes)
        mixed = "" if self.prototypes is None else self.prototypes.mixed_sizes_note()
        return " ".join(filter(None, [learned, mixed]))

    def _forget(self, source: str, *, ask_again: bool) -> None:
        """Remove the prototypes of an image without confirmed pixels."""
        if self.prototypes is not None:
            kept = self.prototypes.without_source(source)
            if len(kept) < len(self.prototypes):
                self._change(kept, ask_again=ask_again)

    def _when_free(self, what: str, work: Work, on_success: Callable[[Any], str]) -> None:
        """Start a job when no other runs; it replaces a waiting one with the same name."""
        self._waiting.pop(what, None)
        self._waiting[what] = work, on_success
        self.go_on()

    def go_on(self) -> None:
        """Start the next waiting job, if no other runs."""
        for what in list(self._waiting)[:1]:
            if self._start(*self._waiting[what]):
                del self._waiting[what]

    # ------------------------------------------------------------------ with the list of classes

    def save_beside(self, classes: Path) -> None:
        """Save the prototypes beside a class list; if there are none, rename an old file."""
        path = beside(classes)
        try:
            if path.exists() and (
                self.prototypes is None or path in self._refused or not OwnFiles().wrote(path)
            ):
                aside = _free_name(path)
                path.replace(aside)
                self._refused.discard(path)
                self.message.emit(ui_text.put_aside(aside.name), False)
            if self.prototypes is not None:
                write_prototypes(path, self.prototypes)
        except OSError as error:
            self.message.emit(str(cannot("write", path, error)), True)
        except FileError as error:
            self.message.emit(ui_text.prototypes_not_saved(error), True)

    def load_beside(self, classes: Path) -> None:
        """Use the prototypes that are saved beside a class list, or none."""
        self._number += 1
        path = beside(classes)
        if not path.exists():
            if self.prototypes is not None:
                self._change(None)
                self.message.emit(
                    ui_text.NO_PROTOTYPES_BESIDE,
                    False,
                )
            return
        config = None if self._engine.problem() else self._engine.value()
        self._when_free(
            str(path),
            partial(_read, self._session, path, config, not self._engine.missing()),
            partial(self._on_loaded, self._number, path),
        )

    def _on_loaded(self, number: int, path: Path, found: Prototypes | str) -> str:
        if number != self._number:
            return ui_text.other_classes_loaded(path.name)
        if isinstance(found, str):
            self._refused.add(path)
            if self.prototypes is not None:
                self._change(None)
            raise InvalidInputError(ui_text.prototypes_not_loaded(found))
        self._change(found)
        return ui_text.prototypes_loaded(len(found))


def _free_name(path: Path) -> Path:
    """A new name, which no file has, for an old file that is renamed."""
    names = (f"{path.name}.old", *(f"{path.name}.old{number}" for number in range(2, 1000)))
    return next(place for place in map(path.with_name, names) if not place.exists())


def _confirmed_on(
    annotation: AnnotationLayer, choice: ImageChoice
) -> tuple[NDArray[np.uint16], NDArray[np.bool_]]:
    """The labels of a choice, and which of them are decided; threads may call it."""
    labels, edit_mask = annotated_on(annotation, choice)
    return labels, edit_mask != OPEN


def _nothing_confirmed(annotation: AnnotationLayer, choice: ImageChoice) -> str:
    if not annotation.fits:
        return ui_text.another_size(image=annotation.name)
    decided, labelled = annotation.decided_in(choice)
    if not decided:
        return ui_text.NOTHING_CONFIRMED
    return "" if labelled else ui_text.ONLY_BACKGROUND


def _read(
    session: Session,
    path: Path,
    config: SegmentationConfig | None,
    on_disk: bool,
    report: Report,
    should_stop: ShouldStop,
) -> Prototypes | str:
    """The prototypes of a file, or the reason why they cannot be used."""
    try:
        return session.prototypes_of(path, config, on_disk, report, should_stop)
    except (FileError, InvalidInputError) as error:
        return str(error)
