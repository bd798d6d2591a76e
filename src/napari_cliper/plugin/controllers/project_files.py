"""What the thread of a project does: read and write images, annotations and settings."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from ...annotation.export import readers_of
from ...annotation.project.annotation_record import Status
from ...annotation.project.project import Project
from ...annotation.project.settings import ProjectSettings
from ...io.files import FileError
from ...io.images import read_image_file
from ...io.lazy_images import LazyImages, read_in_turn
from ...segmentation import InvalidInputError, Progress

if TYPE_CHECKING:
    from ...annotation.edit_mask import AnnotationState


def open_project(
    path: Path, _report: Callable[[Progress], None], _should_stop: Callable[[], bool]
) -> tuple[Project, ProjectSettings]:
    """Open a project, and read its settings."""
    project = Project.open(path)
    return project, project.settings()


def load_image(
    project: Project,
    name: str,
    _report: Callable[[Progress], None],
    _should_stop: Callable[[], bool],
) -> tuple[tuple[NDArray[Any], str], AnnotationState | None]:
    """Read an image, with the names of its axes, and its annotation."""
    loaded = project.read_image_with_axes(name), project.load(name)
    with suppress(FileError):  # on a read-only disk, images can still be viewed
        project.go_to(name)
    return loaded


def write_image(
    project: Project,
    name: str,
    state: AnnotationState | None,
    status: Status | None,
    settings: ProjectSettings | None,
    *,
    overwrite: bool = False,
) -> None:
    """Write an annotation, its status and the settings, each unless it is None."""
    if status is not None and state is not None:
        thresholds = None if settings is None else settings.thresholds
        project.save(name, state, status, thresholds=thresholds, overwrite=overwrite)
    elif status is not None:
        project.set_status(name, status)
    if settings is not None:
        save_settings(project, settings, overwrite=overwrite)


def save_settings(project: Project, settings: ProjectSettings, *, overwrite: bool = False) -> None:
    """Write the settings of a project."""
    project.save_settings(
        settings.classes,
        settings.thresholds,
        settings.config,
        prototypes=settings.prototypes,
        prototype_weight=settings.prototype_weight,
        overwrite=overwrite,
    )


def is_image_of(path: Path, pixels: NDArray[Any]) -> bool:
    """Whether a file contains exactly these pixels, and not more or others."""
    try:
        return path.is_file() and np.array_equal(read_image_file(path), pixels)
    except (FileError, InvalidInputError, OSError):
        return False


def save_in_thread(
    write: Callable[[], None],
    _report: Callable[[Progress], None],
    _should_stop: Callable[[], bool],
) -> None:
    """Write what `write` writes."""
    write()


def annotated_images(project: Project) -> LazyImages:
    """Every image of a project that has an annotation, read when its turn comes."""
    return read_in_turn(readers_of(project))
