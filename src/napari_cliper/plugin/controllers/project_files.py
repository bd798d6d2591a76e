"""Read and write the images, annotations and settings of a project, in its thread."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from napari.layers import Image

from ...annotation.export import readers_of
from ...annotation.project.annotation_record import Status
from ...annotation.project.channel_group import StoredChannel
from ...annotation.project.project import Project
from ...annotation.project.project_images import ProjectImage
from ...annotation.project.settings import ProjectSettings
from ...annotation.stored_state import StoredState
from ...io.files import FileError
from ...io.images import Pixels
from ...io.lazy_images import Images, read_in_turn
from ...io.ome_zarr_images import OmeZarr
from ...io.tiff_decoding import LazyTiff
from ...labels.axes import UNKNOWN, napari_names
from ...labels.labelled_image import PIXEL
from ...segmentation import Composite, Report, ShouldStop
from ..layers.annotation_layer import AnnotationLayer
from ..layers.image_group import value_range
from ..layers.large_annotation_layer import LargeAnnotationLayer, ready
from .project_groups import GroupTask, group_of

if TYPE_CHECKING:
    from ...annotation.edit_mask import AnnotationState


Gather = Callable[[], Images]


@dataclass(frozen=True, eq=False)
class LoadedImage:
    """An image of a project, as its file has it.

    Parameters
    ----------
    pixels : array
        Of a group of channels, a `Composite`.
    axes : str
        A letter for each axis but that of colours; see `labels.axes`.
    pixel_sizes : mapping of str to (float, str)
        Length and unit of a pixel by the letter of its axis, where the file gives them.
    limits : (float, float), optional
        Contrast limits of a grey image that is read where it is indexed.
    channels : tuple of StoredChannel
        Of a group.
    """

    pixels: Pixels | Composite
    axes: str
    pixel_sizes: Mapping[str, tuple[float, str]]
    limits: tuple[float, float] | None = None
    channels: tuple[StoredChannel, ...] = ()


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
    total : int
        Number of images, those without an annotation too.
    """

    count: int = 0
    gather: Gather = list
    files: tuple[Path, ...] = ()
    total: int = 0


def open_project(
    path: Path, _report: Report, _should_stop: ShouldStop
) -> tuple[Project, ProjectSettings]:
    """Open a project, and read its settings."""
    project = Project.open(path)
    return project, project.settings()


def load_image(
    project: Project, name: str, _report: Report, _should_stop: ShouldStop
) -> tuple[LoadedImage, AnnotationState | None]:
    """Read an image, with its axes and pixel sizes, and its annotation."""
    pixels, axes = project.open_image(name)
    grey = pixels.ndim == len(axes)
    limits = value_range(pixels) if grey and isinstance(pixels, LazyTiff | OmeZarr) else None
    sizes, channels = project.pixel_sizes(name), project.channels(name)
    state = ready(project.load(name))
    loaded = LoadedImage(pixels, axes, sizes, limits, channels), state
    with suppress(FileError):  # on a read-only disk, images can still be viewed
        project.go_to(name)
    return loaded


@dataclass(frozen=True, eq=False)
class UnsavedImage:
    """What is written of one image of a project.

    Parameters
    ----------
    name : str
    status : Status
    state : AnnotationState or None
        None if only the status has changed.
    """

    name: str
    status: Status
    state: AnnotationState | None

    @classmethod
    def of(cls, name: str, status: Status, annotation: AnnotationLayer | None) -> UnsavedImage:
        """Return an image with a copy of its annotation."""
        return cls(name, status, None if annotation is None else annotation.state())


def write_images(
    project: Project,
    groups: Sequence[GroupTask],
    images: Sequence[UnsavedImage],
    settings: ProjectSettings | None,
    current: str,
    *,
    overwrite: bool = False,
) -> None:
    """Write groups of channels, annotations and status of images, settings, and what is current."""
    for group in groups:
        group.write(project)
    thresholds = None if settings is None else settings.thresholds
    for one in images:
        if one.state is not None:
            project.save(
                one.name, one.state, one.status, thresholds=thresholds, overwrite=overwrite
            )
        else:
            project.set_status(one.name, one.status)
    if settings is not None:
        save_settings(project, settings, overwrite=overwrite)
    if current and (project.current is None or project.current.name != current):
        project.go_to(current)


def show_others(project: Project, annotations: Mapping[str, AnnotationLayer | None]) -> None:
    """Show what another program had saved of large images, after a save with `overwrite`."""
    for name, annotation in annotations.items():
        saved = project.peek(name)
        if isinstance(annotation, LargeAnnotationLayer) and saved is not None:
            annotation.show_others(saved.classes)


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


def save_in_thread(write: Callable[[], None], _report: Report, _should_stop: ShouldStop) -> None:
    """Write what `write` writes."""
    write()


def exported_images(
    project: Project, count: int, name: str, annotation: AnnotationLayer | None
) -> ProjectImages:
    """Return the annotated images of a project for an export; each is read when it is needed.

    The annotation in the window, of the image of this name, is exported as it is now.
    """
    state = None if annotation is None or annotation.blank else annotation.state()
    states = {name: state.snapshot()} if isinstance(state, StoredState) else {}
    files = tuple(path for image in project.images for path in image.files)

    def gather() -> Images:
        return read_in_turn(readers_of(project, states)) if count else []

    return ProjectImages(count, gather, files, len(project.images))


def images_with(project: Project, status: Mapping[str, Status]) -> list[ProjectImage]:
    """Return the images of a project with the status that they have in the window."""
    return [replace(image, status=status.get(image.name, image.status)) for image in project.images]


def image_layer_of(name: str, image: LoadedImage, state: AnnotationState | None) -> Image:
    """Return the layer of an image, with the pixel size and axes of its annotation or file.

    Of a group of channels, an `ImageGroup`.

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
    if isinstance(pixels, Composite):
        return group_of(name, pixels.planes, image.channels, kept)
    return Image(pixels, name=name, rgb=rgb, **kept)
