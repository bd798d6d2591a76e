"""Channels that are shown together as one image of a project: their files and their display."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ...io.record_checks import Sides, check_keys, checked
from ...segmentation import Channel, InvalidInputError
from .image_files import is_there


class Placed:
    """A file of a project, with its path relative to the project's folder and its absolute path."""

    path: str
    absolute: str
    size: int
    shape: Sides

    @property
    def is_copy(self) -> bool:
        """Whether the project holds a copy of the pixels."""
        return bool(self.shape)

    def place(self, folder: Path) -> Path:
        """Return the path of the file; the relative path if neither path exists."""
        here, there = Path(os.path.normpath(folder / self.path)), Path(self.absolute)
        return there if self.absolute and not is_there(here) and is_there(there) else here


@dataclass(frozen=True, eq=False)
class GroupChannel:
    """A channel to add to a project as part of a group.

    Parameters
    ----------
    channel : Channel
        Its name, and how it is shown.
    path : Path, optional
        The file of its pixels; None for a copy of `pixels` in the project.
    axis : int, optional
        The axis of channels of the file; None if the file is this channel alone.
    index : int
        Along that axis.
    pixels : array, optional
        Of any library.
    colormap : str
        napari's name of the colormap, for the layer.
    """

    channel: Channel
    path: Path | None = None
    axis: int | None = None
    index: int = 0
    pixels: Any = None
    colormap: str = ""


@dataclass(frozen=True)
class StoredChannel(Placed):
    """A channel of a group as the list of images has it.

    Parameters
    ----------
    channel : Channel
    path, absolute, size, shape
        As of `image_list.Entry`.
    axis, index, colormap
        As of `GroupChannel`.
    """

    channel: Channel
    path: str
    absolute: str = ""
    size: int = 0
    shape: Sides = ()
    axis: int | None = None
    index: int = 0
    colormap: str = ""

    def to_record(self) -> dict[str, Any]:
        """Return a JSON-safe dict."""
        shown = self.channel
        place = (
            {"shape": list(self.shape)}
            if self.is_copy
            else {"absolute": self.absolute, "size": self.size}
        )
        return {
            "name": shown.name,
            "path": self.path,
            **place,
            **({} if self.axis is None else {"axis": self.axis, "index": self.index}),
            "colormap": self.colormap,
            "colours": [list(one) for one in shown.colours],
            "limits": list(shown.limits),
            "gamma": shown.gamma,
            "opacity": shown.opacity,
        }


_KEYS = (
    "name", "path", "absolute", "size", "shape", "axis", "index", "colormap", "colours", "limits",
    "gamma", "opacity",
)  # fmt: skip


def channels_from_record(record: Any) -> tuple[StoredChannel, ...]:
    """Parse the channels of a group.

    Raises
    ------
    InvalidInputError
        For unknown and missing keys, and invalid values.
    """
    found = []
    for number, one in enumerate(checked(tuple[Any, ...], record, "channels"), 1):
        try:
            found.append(_channel(one))
        except InvalidInputError as error:
            raise InvalidInputError(f"channel {number}: {error}") from error
    return tuple(found)


def _channel(record: Any) -> StoredChannel:
    given = check_keys(record, _KEYS, "it", ("name", "path", "colours", "limits"))
    colours = tuple(
        checked(tuple[float, float, float], one, "a colour")
        for one in checked(tuple[Any, ...], given["colours"], "colours")
    )
    shape = given.get("shape")
    axis = given.get("axis")
    return StoredChannel(
        Channel(
            checked(str, given["name"], "name"),
            colours,
            checked(tuple[float, float], given["limits"], "limits"),
            checked(float, given.get("gamma", 1.0), "gamma"),
            checked(float, given.get("opacity", 1.0), "opacity"),
        ),
        checked(str, given["path"], "path"),
        checked(str, given.get("absolute", ""), "absolute"),
        checked(int, given.get("size", 0), "size"),
        () if shape is None else checked(Sides, shape, "shape"),
        None if axis is None else checked(int, axis, "axis"),
        checked(int, given.get("index", 0), "index"),
        checked(str, given.get("colormap", ""), "colormap"),
    )
