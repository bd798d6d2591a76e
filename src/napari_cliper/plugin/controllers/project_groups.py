"""Groups of channels as images of a project: files of the layers, and layers of the files."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from napari.layers import Image
from napari.utils.colormaps import AVAILABLE_COLORMAPS, Colormap

from ...annotation.project.channel_group import GroupChannel, StoredChannel
from ...annotation.project.project import Project
from ...io.axis_slice import AxisSlice
from ...io.filenames import Names
from ...io.find_pixels import channel_in_file, is_image_of
from ...labels.axes import axes_from_names
from ...segmentation import COLOUR_STEPS, Channel
from ..layers.image_group import ChannelArray, ImageGroup, full_resolution, members_of


@dataclass(frozen=True, eq=False)
class GroupTask:
    """A snapshot of a group, to be written to a project in a thread.

    Parameters
    ----------
    name : str
        Of the image in the project.
    axes : str
        A letter for each axis of the group.
    axis : int, optional
        The axis of channels of the only array; None for an array for each channel.
    sources : tuple of array
    paths : tuple of (Path or None)
        The file that napari has read each array from.
    same : tuple of bool
        Whether an array is known to be that of its file.
    shown : ChannelArray
        How the channels are shown.
    colormaps : tuple of str
    after : str
        Name of the image that it comes after.
    """

    name: str
    axes: str
    axis: int | None
    sources: tuple[Any, ...]
    paths: tuple[Path | None, ...]
    same: tuple[bool, ...]
    shown: ChannelArray
    colormaps: tuple[str, ...]
    after: str = ""

    def write(self, project: Project) -> None:
        """Add the group to the project, or change how its channels are shown."""
        channels = self.shown.composite.channels
        if self.name in (image.name for image in project.images):
            project.show_channels(self.name, list(zip(channels, self.colormaps, strict=True)))
            return
        if self.axis is None:
            parts = list(map(_channel_in_file, self.sources, self.paths, self.same))
        else:
            parts = _channels_in_file(
                self.sources[0], self.paths[0], self.axis, same=self.same[0], count=len(channels)
            )
        found = [
            GroupChannel(channel, *part, colormap)
            for channel, part, colormap in zip(channels, parts, self.colormaps, strict=True)
        ]
        project.add_channels(self.name, found, self.axes, after=self.after)


_Part = tuple[Path | None, int | None, int, Any]
"""File, axis, index and pixels of a channel; see `GroupChannel`."""


def task_of(
    group: ImageGroup, name: str, files: Mapping[Image, Path], after: str = ""
) -> GroupTask:
    """Return a snapshot of a group.

    Parameters
    ----------
    group : ImageGroup
    name : str
    files : mapping of Image to Path
        The files of layers that are images of the project.
    after : str
    """
    paths = [
        files.get(one, None if one.source.path is None else Path(one.source.path))
        for one in group.members
    ]
    return GroupTask(
        name,
        axes_from_names(group.axis_labels, group.ndim),
        group.axis,
        tuple(map(full_resolution, group.members)),
        tuple(paths),
        tuple(one in files for one in group.members),
        group.snapshot(),
        group.colormaps,
        after,
    )


def _channel_in_file(source: Any, path: Path | None, same: bool) -> _Part:
    """Where the pixels of a layer are: a file, a channel of one, or a copy."""
    if path is not None and (same or is_image_of(path, source)):
        return path, None, 0, None
    place = None if path is None else channel_in_file(path, source)
    return (None, None, 0, source) if place is None else (path, *place, None)


def _channels_in_file(
    source: Any, path: Path | None, axis: int, *, same: bool, count: int
) -> list[_Part]:
    """Where the channels along an axis of a layer are."""
    if path is not None and (same or is_image_of(path, source)):
        return [(path, axis, index, None) for index in range(count)]
    return [(None, None, 0, AxisSlice(source, axis, index)) for index in range(count)]


def group_of(
    name: str,
    planes: Sequence[Any],
    channels: Sequence[StoredChannel],
    placement: Mapping[str, Any],
) -> ImageGroup:
    """Return the group of a project as layers that napari shows together.

    Parameters
    ----------
    name : str
    planes : sequence of array
        The pixels of each channel.
    channels : sequence of StoredChannel
    placement : mapping
        Scale, units and axis labels of the layers.
    """
    members = [
        Image(
            plane,
            name=one.channel.name,
            rgb=False,
            colormap=_colormap(one.channel, one.colormap),
            contrast_limits=one.channel.limits,
            gamma=one.channel.gamma,
            opacity=one.channel.opacity,
            blending="additive" if number else "translucent_no_depth",
            **placement,
        )
        for number, (plane, one) in enumerate(zip(planes, channels, strict=True))
    ]
    return ImageGroup(members, title=name)


def _colormap(channel: Channel, name: str) -> Colormap:
    """Napari's colormap of that name if it has the colours of the channel, else its colours."""
    known = AVAILABLE_COLORMAPS.get(name)
    if known is not None:
        table = Channel.of_table("", known.map(COLOUR_STEPS), (0.0, 1.0))
        if table.colours == channel.colours:
            return known
    return Colormap([[*colour, 1.0] for colour in channel.colours], name=name or channel.name)


class ShownImages:
    """The images of a project that are in the window: the one that was opened, and its groups."""

    def __init__(self) -> None:
        self._layers: dict[str, Image] = {}
        self._displays: dict[str, tuple[Any, ...]] = {}  # of groups, as they are on disk

    def clear(self) -> tuple[Image, ...]:
        """Forget all images, and return them."""
        found = tuple(self._layers.values())
        self._layers.clear()
        self._displays.clear()
        return found

    def show(self, name: str, image: Image, *, saved: bool = True) -> None:
        """Remember an image of the window; `saved` tells whether the project has it."""
        self._layers[name] = image
        if isinstance(image, ImageGroup) and saved:
            self._displays[name] = image.display

    def layer(self, name: str) -> Image | None:
        """Return the layer or group of an image; None if it is not in the window."""
        return self._layers.get(name)

    def name_of(self, image: Image) -> str:
        """Return the name of a layer or group in the project; empty for another one."""
        return next((name for name, one in self._layers.items() if one is image), "")

    def joins(self, image: Image) -> bool:
        """Whether an image is a group that has an image of the project among its layers."""
        ours = {layer for one in self._layers.values() for layer in members_of(one)}
        return isinstance(image, ImageGroup) and any(one in ours for one in image.members)

    def free_name(self, project: Project, name: str) -> str:
        """Return a name that no image of the project has."""
        return Names([*(one.name for one in project.images), *self._layers]).first_free(name)

    def unsaved(self) -> list[str]:
        """Return the names of groups that are not in the project, or are shown otherwise there."""
        return [
            name
            for name, one in self._layers.items()
            if isinstance(one, ImageGroup) and self._displays.get(name) != one.display
        ]

    def take_unsaved(self, project: Project) -> tuple[list[GroupTask], Callable[[], None]]:
        """Return what writes the groups of `unsaved`, and what is called when it is written."""
        paths = {image.name: image.path for image in project.images if not image.is_group}
        files = {one: paths[key] for key, one in self._layers.items() if key in paths}
        tasks, displays = [], {}
        for name in self.unsaved():
            group = self._layers[name]
            assert isinstance(group, ImageGroup)  # noqa: S101 - as `unsaved` says
            after = next((key for key, one in self._layers.items() if one in group.members), "")
            tasks.append(task_of(group, name, files, after))
            displays[name] = group.display

        def written() -> None:
            self._displays |= {name: one for name, one in displays.items() if name in self._layers}

        return tasks, written
