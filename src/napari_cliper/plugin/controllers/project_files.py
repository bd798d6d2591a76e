"""Read and write the images, annotations and settings of a project, in its thread."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from napari.layers import Image

from ...annotation.export import readers_of
from ...annotation.project.annotation_record import Status
from ...annotation.project.image_files import is_there
from ...annotation.project.project import Project
from ...annotation.project.settings import ProjectSettings
from ...io.files import FileError
from ...io.images import Pixels, open_image_with_axes
from ...io.lazy_images import Images, LazyImages, read_in_turn
from ...io.ome_zarr_images import OmeZarr
from ...io.tiff_decoding import LazyTiff
from ...labels.axes import UNKNOWN, axes_from_names, napari_names
from ...labels.labelled_image import PIXEL
from ...segmentation import InvalidInputError, Progress
from .. import ui_text
from ..layers.annotation_layer import AnnotationLayer
from ..layers.image_group import value_range
from ..layers.image_layers import ImageChoice
from ..layers.large_annotation_layer import LargeAnnotationLayer

if TYPE_CHECKING:
    from ...annotation.edit_mask import AnnotationState


Gather = Callable[[], Images]


@dataclass(frozen=True, eq=False)
class LoadedImage:
    """An image of a project, as its file has it.

    Parameters
    ----------
    pixels : array
    axes : str
        A letter for each axis but that of colours; see `labels.axes`.
    pixel_sizes : mapping of str to (float, str)
        Length and unit of a pixel by the letter of its axis, where the file gives them.
    limits : (float, float), optional
        Contrast limits of a grey image that is read where it is indexed.
    """

    pixels: Pixels
    axes: str
    pixel_sizes: Mapping[str, tuple[float, str]]
    limits: tuple[float, float] | None = None


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
) -> tuple[LoadedImage, AnnotationState | None]:
    """Read an image, with its axes and pixel sizes, and its annotation."""
    pixels, axes = project.open_image(name)
    grey = pixels.ndim == len(axes)
    limits = value_range(pixels) if grey and isinstance(pixels, LazyTiff | OmeZarr) else None
    loaded = LoadedImage(pixels, axes, project.pixel_sizes(name), limits), project.load(name)
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


def is_image_of(path: Path, pixels: Any) -> bool:
    """Whether a file contains exactly these pixels, and not more or others; compares by plane."""
    try:
        if not is_there(path):
            return False
        found, axes = open_image_with_axes(path)
        planes = np.ndindex(found.shape[: len(axes) - 2])
        return tuple(found.shape) == tuple(pixels.shape) and all(
            np.array_equal(np.asarray(found[at]), np.asarray(pixels[at])) for at in planes
        )
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


def image_layer_of(name: str, image: LoadedImage, state: AnnotationState | None) -> Image:
    """Return the layer of an image, with the pixel size and axes of its annotation or file.

    Parameters
    ----------
    name : str
    image : LoadedImage
    state : AnnotationState or None
    """
    pixels, in_file = image.pixels, image.axes
    geometry = {} if state is None else dict(state.record.get("geometry", {}))
    scale = geometry.get("pixel_size")
    rgb = pixels.ndim > len(in_file)
    ndim = pixels.ndim - rgb
    kept: dict[str, Any] = {} if image.limits is None else {"contrast_limits": image.limits}
    if scale and len(scale) == ndim:
        kept |= {"scale": scale, "units": geometry["units"]}
    elif image.pixel_sizes:
        sizes = [image.pixel_sizes.get(letter, (1.0, PIXEL)) for letter in in_file]
        kept |= {"scale": [size for size, _ in sizes], "units": [unit for _, unit in sizes]}
    axes = str(geometry.get("axes", ""))
    if len(axes) != ndim or UNKNOWN in axes:
        axes = in_file if len(in_file) == ndim else ""
    if axes:
        kept["axis_labels"] = napari_names(axes)
    return Image(pixels, name=name, rgb=rgb, **kept)


def _file_of(path: str | None, source: Any, name: str) -> Path:
    """Return the file of a lazy image, which is not read.

    Raises
    ------
    InvalidInputError
        If it has none that a project can read.
    """
    if path is not None and is_there(Path(path)):
        with suppress(FileError, InvalidInputError):
            if tuple(open_image_with_axes(Path(path))[0].shape) == tuple(source.shape):
                return Path(path)
    raise InvalidInputError(ui_text.no_file_for_project(name))


def new_project_of(folder: Path, annotation: AnnotationLayer) -> tuple[Project, str]:
    """Create a project of one annotated image; return it and the name of the image in it.

    Raises
    ------
    FileError, InvalidInputError
        If it cannot be written.
    """
    path = annotation.image.source.path
    pixels = ImageChoice(annotation.image, annotation.name).source
    if isinstance(annotation, LargeAnnotationLayer) and not isinstance(pixels, np.ndarray):
        project = Project.create(folder, [_file_of(path, pixels, annotation.name)])
        return project, project.images[0].name
    if path is not None and is_image_of(Path(path), pixels):
        project = Project.create(folder, [Path(path)])
        name = project.images[0].name
    else:
        project = Project.create(folder, [])
        rgb = bool(annotation.image.rgb)
        axes = axes_from_names(annotation.image.axis_labels, annotation.image.ndim)
        name = project.add_image(annotation.name, np.asarray(pixels), rgb=rgb, axes=axes).name
    return project, name
