"""Write a new project of the image that is annotated in the window."""

from __future__ import annotations

import math
import shutil
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ...annotation.project.image_files import is_there
from ...annotation.project.image_list import ANNOTATIONS, COPIES, FILE
from ...annotation.project.project import Project
from ...annotation.stored_state import StoredState
from ...io.files import FileError
from ...io.find_pixels import is_image_of
from ...io.images import open_image_with_axes
from ...labels.axes import axes_from_names
from ...segmentation import InvalidInputError, Monitor, Report, ShouldStop
from .. import ui_text
from ..layers.annotation_layer import AnnotationLayer
from ..layers.image_group import ImageGroup
from ..layers.image_layers import ImageChoice, exceeds_memory
from ..layers.large_annotation_layer import LargeAnnotationLayer
from .project_groups import GroupTask, task_of

if TYPE_CHECKING:
    from ...annotation.edit_mask import AnnotationState

LONG = 1 << 24
"""Values of an image above which its project is written in a thread."""


@dataclass(frozen=True, eq=False)
class NewProject:
    """A project of one annotated image, before it is written; accesses no layer.

    Parameters
    ----------
    folder : Path
    name : str
        Name of the image.
    state : AnnotationState
    group : GroupTask or None
        For a group of channels.
    path : Path or None
        The file of the image.
    pixels : array
    rgb : bool
    axes : str
        One letter for each axis but that of colours.
    lazy : bool
        Whether the pixels are never read as a whole.
    """

    folder: Path
    name: str
    state: AnnotationState
    group: GroupTask | None
    path: Path | None
    pixels: Any
    rgb: bool
    axes: str
    lazy: bool

    @classmethod
    def of(cls, folder: Path, annotation: AnnotationLayer) -> NewProject:
        """Return the project of an annotation as it is now."""
        image, name = annotation.image, annotation.name
        group = task_of(image, name, {}) if isinstance(image, ImageGroup) else None
        path = None if group is not None else image.source.path
        pixels, state = ImageChoice(image, name).source, annotation.state()
        on_disk = isinstance(state, StoredState) and not state.store.in_memory
        if isinstance(state, StoredState) and on_disk:  # the window goes on with its own
            state = StoredState(state.store.fork(), state.classes, state.record)
        large = isinstance(annotation, LargeAnnotationLayer) and exceeds_memory(annotation.shape)
        return cls(
            folder,
            name,
            state,
            group,
            None if path is None else Path(path),
            pixels,
            rgb=group is None and bool(image.rgb),
            axes=axes_from_names(image.axis_labels, image.ndim),
            lazy=large and not isinstance(pixels, np.ndarray),
        )

    @property
    def is_long(self) -> bool:
        """Whether writing takes too long for the window's thread."""
        return math.prod(self.pixels.shape) > LONG

    def create(self) -> tuple[Project, str]:
        """Create the project without the annotation; return it and the name of the image in it.

        Raises
        ------
        FileError, InvalidInputError
            If it cannot be written.
        """
        if self.group is not None:
            project = Project.create(self.folder, [])
            self.group.write(project)
            return project, self.name
        if self.lazy:
            files = [_file_of(self.path, self.pixels, self.name)]
        else:
            there = self.path is not None and is_image_of(self.path, self.pixels)
            files = [self.path] if self.path is not None and there else []
        project = Project.create(self.folder, files)
        if files:
            return project, project.images[0].name
        pixels = np.asarray(self.pixels)
        return project, project.add_image(self.name, pixels, rgb=self.rgb, axes=self.axes).name

    def write(self, report: Report, should_stop: ShouldStop) -> tuple[Project, str]:
        """Create the project with the annotation; none is left if it fails or is cancelled."""
        there = set(self.folder.iterdir()) if self.folder.exists() else None
        monitor = Monitor(report, should_stop)
        try:
            monitor.tell(ui_text.COPYING_THE_IMAGE, 0, 1)
            project, name = self.create()
            monitor.check()
            project.save(name, self.state, monitor=monitor)
        except BaseException:
            self._remove(there)
            raise
        return project, name

    def _remove(self, before: set[Path] | None) -> None:
        """Delete what was written into the folder."""
        if before is None:
            shutil.rmtree(self.folder, ignore_errors=True)
            return
        with suppress(OSError):
            for path in set(self.folder.iterdir()) - before:
                if path.name == FILE:
                    path.unlink()
                elif path.name in (ANNOTATIONS, COPIES):
                    shutil.rmtree(path, ignore_errors=True)


def _file_of(path: Path | None, source: Any, name: str) -> Path:
    """Return the file of a lazy image, which is not read.

    Raises
    ------
    InvalidInputError
        If it has none that a project can read.
    """
    if path is not None and is_there(path):
        with suppress(FileError, InvalidInputError):
            if tuple(open_image_with_axes(path)[0].shape) == tuple(source.shape):
                return path
    raise InvalidInputError(ui_text.no_file_for_project(name))
