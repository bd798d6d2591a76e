"""Export of annotations, and import of labels."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

import numpy as np
from qtpy.QtCore import QUrl
from qtpy.QtGui import QDesktopServices
from qtpy.QtWidgets import QFileDialog

from ...io.readers.coco import open_coco
from ...io.readers.label_files import SUFFIXES, read_labels
from ...labels.axes import axes_from_names
from ...labels.class_matching import apply, match_classes
from ...labels.imported_labels import Imported, fitted_planes
from ...labels.label_class import ClassRow
from ...labels.labelled_image import LabelledImage
from ...segmentation import InvalidInputError, Report, ShouldStop
from .. import ui_text
from ..export_choice import keep_choice, last_choice
from ..layers.annotation_layer import AnnotationLayer
from ..layers.image_layers import ImageChoice
from ..layers.labels_history import Place
from ..panels.export_panel import ExportPanel, ExportRequest
from ..panels.import_dialog import ImportDialog
from ..state import DockState
from .base import Controller
from .project import ProjectController
from .project_files import Gather, ProjectImages

FILES_NAMED = 4


class ImportExport(Controller):
    """Export and import, each in a thread.

    Parameters
    ----------
    state : DockState
    panel : ExportPanel
        Also the parent of the dialogs.
    projects : ProjectController
    """

    def __init__(
        self,
        state: DockState,
        panel: ExportPanel,
        projects: ProjectController,
    ) -> None:
        super().__init__(panel)
        self._panel = panel
        self._state = state
        self._annotation_controller = state.annotations
        self._projects = projects
        self._slot = self.jobs()
        self._slot.started.connect(self.update_available)
        self._slot.finished.connect(self.update_available)
        self.folder = ""
        """The folder of the last export."""
        panel.setValue(last_choice())
        panel.export_wanted.connect(self.export)
        panel.import_wanted.connect(self.import_labels)
        panel.open_wanted.connect(self.open_folder)
        state.image_changed.connect(self.update_available)
        state.annotation_changed.connect(self.update_available)
        projects.annotated_changed.connect(self.update_available)

    # ------------------------------------------------------------------ export

    def export(self) -> None:
        """Export with the choices of the panel."""
        annotation, project = self._annotation_controller.current(), self._projects.exported()
        if annotation is None and not project.count:
            self.message.emit(ui_text.NOTHING_TO_EXPORT, True)
            return
        keep_choice(self._panel.value())
        self.write(self._panel.request(), annotation, project)

    def open_folder(self) -> None:
        """Open the folder of the last export in the file manager."""
        if not QDesktopServices.openUrl(QUrl.fromLocalFile(self.folder)):
            self.message.emit(ui_text.cannot_open_folder(self.folder), True)

    def update_available(self, _changed: object = None) -> None:
        """Enable or disable the panel, depending on what can be exported."""
        self._panel.set_available(
            has_annotation=self._annotation_controller.current() is not None,
            images=self._projects.annotated,
            why_not="" if self.idle else ui_text.EXCHANGE_RUNS,
        )

    def write(
        self, request: ExportRequest, annotation: AnnotationLayer | None, project: ProjectImages
    ) -> None:
        """Export in a thread."""
        if not self.idle:
            self.message.emit(ui_text.EXCHANGE_RUNS, True)
            return
        self.folder = str(request.folder)
        gather, inputs, total = project.gather, list(project.files), project.total
        if annotation is not None:
            if not request.every_image:
                gather, total = partial(_one, annotation.gathered()), 0
            if annotation.image.source.path is not None:
                inputs.append(Path(annotation.image.source.path))
        self._slot.start(
            partial(_export, request, gather, inputs),
            partial(self._on_exported, total),
            title=ui_text.EXCHANGE_JOB,
        )

    def _on_exported(self, total: int, exported: tuple[list[Path], int, list[str]]) -> None:
        made, images, notes = exported
        names = [path.name for path in made]
        text = ui_text.exported(
            folder=self.folder, files=names, notes=notes, most=FILES_NAMED, images=images, of=total
        )
        self.message.emit(text, False)
        self._panel.set_exported(self.folder)

    # ------------------------------------------------------------------ import

    def import_labels(self) -> None:
        """Ask for a file and import its labels into the annotation."""
        choice = self._state.choice
        if choice is None:
            self.message.emit(ui_text.CHOOSE_IMAGE_TO_IMPORT, True)
            return
        patterns = " ".join(f"*{suffix}" for suffix in SUFFIXES)
        path, _ = QFileDialog.getOpenFileName(
            self._panel,
            ui_text.IMPORT_TITLE,
            self._panel.value().folder,
            ui_text.label_files(patterns),
        )
        if path:
            self.read(Path(path))

    def read(self, path: Path) -> None:
        """Read labels in a thread; from a data set, those of the chosen image."""
        choice = self._state.choice
        if self.idle and choice is not None:
            file = choice.layer.source.path
            name = choice.name if file is None else Path(file).name
            self._slot.start(
                partial(_read, path, name),
                partial(self._on_read, choice),
                title=ui_text.EXCHANGE_JOB,
            )

    def _on_read(self, choice: ImageChoice, planes: Sequence[Imported]) -> None:
        try:
            annotation = self._annotation_controller.begin(choice.layer, choice.name)
            axes = axes_from_names(choice.layer.axis_labels, choice.layer.ndim)
            shape = annotation.shape
            place, imported = fitted_planes(planes, shape, axes, choice.plane)
            self._take(annotation, place, imported)
        except InvalidInputError as error:
            self.say_error(str(error))

    def _take(self, annotation: AnnotationLayer, place: Place, imported: Imported) -> None:
        for row in self._state.labelled_rows:
            annotation.number_of(row)
        matching = match_classes(imported, annotation.classes)
        assignments: dict[int, int | None] = {}
        if matching.open:
            dialog = ImportDialog(imported, matching, annotation.classes, self._panel)
            accepted = bool(dialog.exec())
            dialog.deleteLater()
            if not accepted:
                self.message.emit(ui_text.NOTHING_IMPORTED, False)
                return
            assignments = dialog.assignments()
            if self._annotation_controller.behind(annotation.layer) is None:
                raise InvalidInputError(ui_text.removed_while_importing(annotation.layer.name))
            for label, name in dialog.new_classes().items():
                row = imported.classes.get(label, ClassRow(name))
                assignments[label] = annotation.number_of(row, label)
        labels = apply(imported, matching, assignments).astype(np.uint16)
        known = {row.name.casefold() for row in self._state.rows}
        new = [row for row in annotation.classes.values() if row.name.casefold() not in known]
        if new:
            self._state.set_rows((*self._state.rows, *new))
        annotation.show_classes(self._state.labelled_rows)
        changed = annotation.add_labels(place, labels)
        self.message.emit(ui_text.imported(source=imported.source, changed=changed), False)


def _one(image: Callable[[], LabelledImage]) -> list[LabelledImage]:
    return [image()]


def _export(
    request: ExportRequest,
    gather: Gather,
    inputs: Sequence[Path],
    _report: Report,
    _should_stop: ShouldStop,
) -> tuple[list[Path], int, list[str]]:
    """Export; return what was written, of how many images, and notes."""
    from ...io.export import export_images, export_notes, split_notes  # noqa: PLC0415 - as above

    images = gather()
    made = export_images(
        request.folder,
        images,
        request.formats,
        overwrite=request.overwrite,
        every_plane=request.every_plane,
        validation=request.validation,
        inputs=inputs,
    )
    formats, every = request.formats, request.every_plane
    found = [export_notes(image, formats, every_plane=every) for image in images]
    notes = [note for one in found for note in one]
    return made, len(found), [*notes, *split_notes(images, formats, request.validation)]


def _read(path: Path, name: str, _report: Report, _should_stop: ShouldStop) -> tuple[Imported, ...]:
    if path.suffix.lower() == ".json":
        coco = open_coco(path)
        if len(coco.names) > 1:
            return coco.read_planes(name)
    return (read_labels(path),)
