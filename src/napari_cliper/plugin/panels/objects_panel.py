"""The page Objects: the connected regions of the current plane, by class."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from napari.layers import Labels
from qtpy.QtGui import QShowEvent
from qtpy.QtWidgets import (
    QFileDialog,
    QGridLayout,
    QHBoxLayout,
    QLabel,
    QPushButton,
    QSpinBox,
    QWidget,
)

from ...io.files import whole_files
from ...io.formats import FORMATS
from ...labels.label_names import WHITE, label_name
from ...labels.labelled_image import PIXEL, LabelledImage
from ...labels.regions import ClassSize, Regions, connected_regions, pixel_area
from ...segmentation import InvalidInputError, Progress
from .. import ui_text
from ..job_slot import JobSlot
from ..layers.image_group import in_viewer
from ..layers.image_layers import OUTPUT_KEY, labels_shape, place, transforms
from ..layers.image_view import go_to_box
from ..newest_job import NewestJob
from ..qt.timers import once
from ..qt.wrapping_label import wrapping
from ..state import DockState, SeenLabels
from .base import DockPanel
from .objects_table import ObjectsRow, ObjectsTable

COUNT_AFTER = 300  # milliseconds without a change before counting starts
LARGEST_SMALLEST = 10_000_000  # pixels

Report = Callable[[Progress], None]
ShouldStop = Callable[[], bool]


class Counted(NamedTuple):
    """The labels of the current plane with their connected regions."""

    seen: SeenLabels
    regions: Regions


class ObjectsPanel(DockPanel):
    """Counts and median areas of objects, by class; measures, shows and removes objects.

    Follows the state while it is visible. An object is a connected region of one class.

    Parameters
    ----------
    state : DockState
    """

    def __init__(self, state: DockState, parent: QWidget | None = None) -> None:
        super().__init__(state, parent)
        self._counted: Counted | None = None
        self._names: list[tuple[int, str]] = []  # label and name of each row
        self._closed = False
        self.source = wrapping()
        self.source.setToolTip(ui_text.OBJECTS_SOURCE_TIP)
        self.smallest = QSpinBox()
        self.smallest.setRange(1, LARGEST_SMALLEST)
        self.smallest.setStepType(QSpinBox.StepType.AdaptiveDecimalStepType)
        self.smallest.setSuffix(ui_text.PIXELS_SUFFIX)
        self.smallest.setToolTip(ui_text.SMALLEST_TIP)
        self._smallest_label = QLabel(ui_text.SMALLEST)
        self._smallest_label.setBuddy(self.smallest)
        self.remove_button = QPushButton(ui_text.REMOVE_SMALLER)
        self.table = ObjectsTable()
        self.summary = wrapping()
        self.measure_button = QPushButton(ui_text.MEASURE)
        self.show_button = QPushButton(ui_text.SHOW_OBJECTS)
        self._lay_out()

        self._counting = NewestJob(self, self._snapshot)
        self._counting.succeeded.connect(self._on_counted)
        self._counting.failed.connect(self._say_error)
        self._timer = once(self, COUNT_AFTER, self._on_rest)
        self._jobs = JobSlot(self)
        self._jobs.failed.connect(self._say_error)
        for signal in (self._jobs.started, self._jobs.finished):
            signal.connect(self._show)
        for signal in (
            state.image_changed,
            state.result_changed,
            state.prediction_changed,
            state.annotation_changed,
        ):
            signal.connect(self.follow)
        state.classes_changed.connect(self.follow)
        self.smallest.valueChanged.connect(self._show)
        self.table.chosen.connect(self._on_chosen)
        self.table.activated_row.connect(self._go_to_largest)
        self.remove_button.clicked.connect(self._on_remove)
        self.measure_button.clicked.connect(self._on_measure)
        self.show_button.clicked.connect(self._on_show)
        self._show()

    def _lay_out(self) -> None:
        grid = QGridLayout(self)
        grid.setContentsMargins(0, 0, 0, 0)
        grid.setVerticalSpacing(6)
        grid.addWidget(self.source, 0, 0, 1, 2)
        grid.addWidget(self._smallest_label, 1, 0)
        grid.addWidget(self.smallest, 1, 1)
        grid.addWidget(self.table, 2, 0, 1, 2)
        below = QHBoxLayout()
        below.addWidget(self.summary, 1)
        below.addWidget(self.remove_button)
        grid.addLayout(below, 3, 0, 1, 2)
        buttons = QHBoxLayout()
        buttons.addWidget(self.measure_button)
        buttons.addWidget(self.show_button)
        grid.addLayout(buttons, 4, 0, 1, 2)
        grid.setColumnStretch(1, 1)

    def close_down(self) -> None:
        """Stop the running job, and ignore later changes."""
        self._closed = True
        for part in (self._timer, self._counting, self._jobs):
            part.close()

    @property
    def idle(self) -> bool:
        """Whether the table is up to date and nothing is being written."""
        return self._jobs.idle and self._counting.idle and self._timer.idle

    # ------------------------------------------------------------------ following

    def showEvent(self, event: QShowEvent | None) -> None:  # noqa: N802 - Qt's name
        """Count again after changes while the page was hidden."""
        super().showEvent(event)
        self.follow()

    def follow(self, _changed: object = None) -> None:
        """Count soon, if the page is visible."""
        if self.in_sight and not self._closed:
            self._timer.start()

    def _on_rest(self) -> None:
        if self.in_sight and not self._closed:
            self._counting.request()

    def _snapshot(self) -> Any:
        """The work that counts the objects; None, and an empty page, if there are no labels."""
        if self._closed:
            return None
        seen = self._state.seen_labels()
        if seen is None:
            self._counted = None
            self._show()
            return None
        return partial(_count, seen)

    def _on_counted(self, counted: Counted) -> None:
        self._counted = counted
        self._show()

    # ------------------------------------------------------------------ showing

    def _show(self) -> None:
        """Show the counts of objects of at least the smallest size."""
        counted = self._counted
        for widget in (self.table, self.summary, self.remove_button):
            widget.setVisible(counted is not None)
        if counted is None:
            self.source.setText(self._state.why_nothing_seen or ui_text.OBJECTS_EMPTY)
            self._set_available(ui_text.OBJECTS_EMPTY, ui_text.OBJECTS_EMPTY)
            return
        seen, regions = counted
        of_annotation = seen.source == "annotation"
        self.source.setText(
            ui_text.OBJECTS_OF_ANNOTATION if of_annotation else ui_text.OBJECTS_OF_PREDICTION
        )
        image = seen.image(seen.labels)
        sizes = regions.class_sizes(self.smallest.value())
        order = {row.name.casefold(): at for at, row in enumerate(self._state.rows)}
        named = {label: label_name(image, label) for label in (*image.classes, *sizes)}
        self._names = sorted(
            named.items(), key=lambda one: (order.get(one[1].casefold(), len(order)), one[0])
        )
        self.table.show_rows(
            [_row(image, label, name, sizes.get(label)) for label, name in self._names]
        )
        smaller = regions.smaller(self.smallest.value())
        found = sum(size.regions for size in sizes.values())
        self.summary.setText(ui_text.objects_counted(objects=found, smaller=smaller))
        no_remove = "" if smaller else ui_text.NO_SMALLER
        self._set_available(
            no_remove if of_annotation else ui_text.ACCEPT_TO_REMOVE,
            "" if found else ui_text.NO_OBJECTS,
        )

    def _set_available(self, no_remove: str, no_objects: str) -> None:
        """Enable the buttons, or disable them with the reason as tooltip."""
        no_objects = no_objects or ("" if self._jobs.idle else ui_text.OBJECTS_BUSY)
        for button, why_not, tip in (
            (self.remove_button, no_remove, ui_text.REMOVE_SMALLER_TIP),
            (self.measure_button, no_objects, ui_text.MEASURE_TIP),
            (self.show_button, no_objects, ui_text.SHOW_OBJECTS_TIP),
        ):
            button.setEnabled(not why_not)
            button.setToolTip(why_not or tip)

    # ------------------------------------------------------------------ rows

    def _on_chosen(self, row: int) -> None:
        self._state.select_class(self._names[row][1])

    def _go_to_largest(self, row: int) -> None:
        if self._counted is None:
            return
        label, name = self._names[row]
        box = self._counted.regions.largest(label, self.smallest.value())
        if not box:
            self._state.message.emit(ui_text.no_object_of(name), False)
            return
        try:
            go_to_box(self._state.viewer, self._counted.seen.choice, (box[0], box[1]))
        except InvalidInputError as error:
            self._say_error(str(error))

    # ------------------------------------------------------------------ remove, measure, show

    def _on_remove(self) -> None:
        self._state.annotations.remove_smaller(self.smallest.value())

    def _on_measure(self) -> None:
        counted = self._counted
        if counted is None:
            return
        proposed = ui_text.objects_file(counted.seen.image(counted.seen.labels).name)
        path, _ = QFileDialog.getSaveFileName(
            self, ui_text.MEASURE_TITLE, proposed, ui_text.TABLE_FILES
        )
        if path:
            target = Path(path)
            target = target if target.suffix else target.with_suffix(".csv")
            self._jobs.start(
                partial(_measure, counted, self.smallest.value(), target), self._on_done
            )

    def _on_show(self) -> None:
        if self._counted is not None:
            work = partial(_as_layer, self._counted, self.smallest.value())
            self._jobs.start(work, partial(self._on_layer, self._counted.seen))

    def _on_layer(self, seen: SeenLabels, made: tuple[Regions, pd.DataFrame]) -> None:
        """Show objects in the layer of the image's objects, or in a new one."""
        regions, features = made
        choice, viewer = seen.choice, self._state.viewer
        if not in_viewer(viewer, choice.layer):
            return
        numbers = np.zeros(labels_shape(choice), np.int32)
        numbers[place(choice)] = regions.numbers
        layer = next((one for one in viewer.layers if _shows(one, choice.name)), None)
        if layer is not None and layer.data.shape == numbers.shape:
            layer.data = numbers
        else:
            active = viewer.layers.selection.active
            layer = Labels(
                numbers,
                name=ui_text.objects_layer(choice.name),
                metadata={OUTPUT_KEY: {"objects_of": choice.name}},
                **transforms(choice),
            )
            viewer.add_layer(layer)
            viewer.layers.selection.active = active  # the active layer stays active
        layer.features = features
        layer.visible = True
        self._on_done(ui_text.objects_shown(objects=len(regions.areas), layer=layer.name))

    def _on_done(self, message: str) -> None:
        self._state.message.emit(message, False)

    def _say_error(self, message: str) -> None:
        self._state.message.emit(message, True)


def _row(image: LabelledImage, label: int, name: str, size: ClassSize | None) -> ObjectsRow:
    colour = image.colours.get(label, WHITE)
    if size is None:
        return ObjectsRow(name, colour, 0, "")
    area, unit = pixel_area(image)
    text = ui_text.object_area(pixels=size.median, pixel_area=area, unit=unit)
    return ObjectsRow(name, colour, size.regions, text)


def _shows(layer: Any, image: str) -> bool:
    """Whether a layer is the one of an image's objects."""
    record = layer.metadata.get(OUTPUT_KEY, {})
    return isinstance(layer, Labels) and record.get("objects_of") == image


# ---------------------------------------------------------------------- in a thread


def _count(seen: SeenLabels, _report: Report, _should_stop: ShouldStop) -> Counted:
    return Counted(seen, connected_regions(seen.labels))


def _measure(
    counted: Counted, smallest: int, path: Path, _report: Report, _should_stop: ShouldStop
) -> str:
    """Write the table of regions; returns the message."""
    regions = counted.regions.without_smaller(smallest)
    image = counted.seen.image(regions.label_array(), with_pixels=True)
    csv = FORMATS["csv"]
    with whole_files(path.parent) as staging:
        csv.save(staging / path.name, image)
    return ui_text.objects_measured(
        objects=len(regions.areas), path=path, notes=" ".join(csv.notes_of(image))
    )


def _as_layer(
    counted: Counted, smallest: int, _report: Report, _should_stop: ShouldStop
) -> tuple[Regions, pd.DataFrame]:
    """The objects, and the features by which napari names the one under the cursor."""
    regions = counted.regions.without_smaller(smallest)
    image = counted.seen.image(counted.seen.labels)
    area, unit = pixel_area(image)
    return regions, pd.DataFrame(
        {
            "index": range(1, len(regions.areas) + 1),
            "class": [label_name(image, label) for label in regions.labels.tolist()],
            ui_text.objects_area_column(unit or PIXEL): regions.areas * area,
        }
    )
