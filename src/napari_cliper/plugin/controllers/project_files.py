"""Read and write the images, annotations and settings of a project, in its thread."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from napari.layers import Image
from numpy.typing import NDArray

from ...annotation.export import readers_of
from ...annotation.project.annotation_record import Status
from ...annotation.project.project import Project
from ...annotation.project.settings import ProjectSettings
from ...io.files import FileError
from ...io.images import read_image_file
from ...io.lazy_images import Images, LazyImages, read_in_turn
from ...labels.axes import UNKNOWN, axes_from_names, napari_names
from ...segmentation import InvalidInputError, Progress
from ..layers.annotation_layer import AnnotationLayer

if TYPE_CHECKING:
    from ...annotation.edit_mask import AnnotationState


Gather = Callable[[], Images]


@dataclass(frozen=True)
class ProjectImages:
    """The annotated images of a project, for export. The default is no project.

    Parameters
    ----------
    count : int
        Number of images with an annotation.
    gather : callable
        Returns these images; called in a thread.
    files : tuple of Path
        The files of all images, which an export never replaces.
    """

    count: int = 0
    gather: Gather = list
    files: tuple[Path, ...] = ()


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
    """Iterate over the annotated images of a project; each is read when it is needed."""
    return read_in_turn(readers_of(project))


def image_layer_of(
    name: str, pixels: NDArray[Any], in_file: str, state: AnnotationState | None
) -> Image:
    """Return the layer of an image, with the pixel size and axes of its annotation or file.

    Parameters
    ----------
    name : str
    pixels : array
    in_file : str
        The names of the axes in the file; empty if it has none.
    state : AnnotationState or None
    """
    geometry = {} if state is None else dict(state.record.get("geometry", {}))
    scale = geometry.get("pixel_size")
    rgb = pixels.ndim > 2 and pixels.shape[-1] in (3, 4)
    ndim = pixels.ndim - rgb
    kept = {"scale": scale, "units": geometry["units"]} if scale and len(scale) == ndim else {}
    axes = str(geometry.get("axes", ""))
    if len(axes) != ndim or UNKNOWN in axes:
        axes = in_file if len(in_file) == ndim else ""
    if axes:
        kept["axis_labels"] = napari_names(axes)
    return Image(pixels, name=name, rgb=rgb, **kept)


def new_project_of(folder: Path, annotation: AnnotationLayer) -> tuple[Project, str]:
    """Create a project of one annotated image; return it and the name of the image in it.

    Raises
    ------
    FileError, InvalidInputError
        If it cannot be written.
    """
    path, pixels = annotation.image.source.path, annotation.pixels()
    if path is not None and is_image_of(Path(path), pixels):
        project = Project.create(folder, [Path(path)])
        name = project.images[0].name
    else:
        project = Project.create(folder, [])
        rgb = bool(annotation.image.rgb)
        axes = axes_from_names(annotation.image.axis_labels, annotation.image.ndim)
        name = project.add_image(annotation.name, pixels, rgb=rgb, axes=axes).name
    return project, name
