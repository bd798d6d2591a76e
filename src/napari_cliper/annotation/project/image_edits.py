"""Add, remove, find and reorder the images of a project."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...io.filenames import Names
from ...segmentation import Channel, InvalidInputError
from .annotation_record import remove
from .channel_group import GroupChannel, StoredChannel
from .image_files import settled, write_copy
from .image_list import COPIES, Entry, free_files, path_fields
from .project_images import ProjectImage, ProjectImages


class ProjectImageEdits(ProjectImages):
    """The images of a project, which can be added and removed; see `Project`.

    Parameters
    ----------
    folder : Path
    """

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self._adding = threading.Lock()  # held while pixels are copied

    def reorder(self, names: Sequence[str]) -> tuple[ProjectImage, ...]:
        """Change the order of the images.

        Parameters
        ----------
        names : sequence of str
            The new order. Images that are not listed, for example because another program added
            them, come last.

        Returns
        -------
        tuple of ProjectImage
            In the new order.

        Raises
        ------
        FileError
            If the list cannot be written; the order is then unchanged.
        InvalidInputError
            For an unknown name, or one that is given twice.
        """
        with self._lock:
            self._change_list(lambda found: found.ordered(names))
            return self.images

    def add_files(self, images: Sequence[str | Path]) -> tuple[ProjectImage, ...]:
        """Append image files to the list.

        Returns
        -------
        tuple of ProjectImage
            The new images.

        Raises
        ------
        FileError
            For a missing file, or if the list cannot be written.
        InvalidInputError
            For an image that is already in the project.
        """
        with self._lock:
            before = {entry.name for entry in self._list.entries}
            self._change_list(lambda found: found.with_files(self.folder, images))
            return tuple(image for image in self.images if image.name not in before)

    def add_image(
        self,
        name: str,
        array: NDArray[Any],
        *,
        rgb: bool = False,
        axes: str = "",
        keep_pixels: bool = True,
    ) -> ProjectImage:
        """Append an image without a file to the list, with a copy of its pixels.

        Parameters
        ----------
        name : str
            Any characters; a number is appended if another image has this name.
        array : (..., Y, X) or (..., Y, X, C) array
            Saved as a losslessly compressed TIFF.
        rgb : bool
            Whether the last axis is colour: red, green, blue and optionally alpha.
        axes : str
            One letter per axis except the colour axis (see `labels.axes`); by default, leading
            axes are unknown.
        keep_pixels : bool
            If False, only the annotation is saved, for very large images: the image has no file.

        Raises
        ------
        FileError
            If the copy or the list cannot be written; the project is then unchanged.
        InvalidInputError
            For an array that is not an image.
        """
        if array.ndim < 2 or array.size == 0 or array.dtype.kind not in "buifc":
            raise InvalidInputError(
                f"An array of shape {array.shape} and type {array.dtype} is not an image. Give a "
                "numeric array with rows and columns."
            )
        with self._adding:
            with self._lock:
                self._read_list()
                found = self._list
            own = Names(one.name for one in found.entries).first_free(name or "image")
            file = free_files(self.folder, found).as_file(own)
            entry = Entry(own, file, f"{COPIES}/{file}.tif", shape=array.shape, axes=axes)
            if keep_pixels:
                write_copy(self.folder / entry.path, array, rgb=rgb)
            try:
                self._change_list(lambda images: images.with_entry(entry))
            except BaseException:  # on any error, leave no copy of an image that is not listed
                remove(self.folder, (entry.path,))
                raise
            return self.image(own)

    def add_channels(
        self, name: str, channels: Sequence[GroupChannel], axes: str, *, after: str = ""
    ) -> ProjectImage:
        """Add a group of channels that are shown together as one image.

        Parameters
        ----------
        name : str
            Any characters; a number is appended if another image has this name.
        channels : sequence of GroupChannel
            Their pixels are in files, which are not copied, or given as arrays of one shape, which
            are.
        axes : str
            One letter per axis of the group; see `labels.axes`. It includes the axis of channels
            of a file if the group has length 1 there.
        after : str
            Name of the image that the group comes after in the list; the last by default.

        Raises
        ------
        FileError
            If a copy or the list cannot be written; the project is then unchanged.
        InvalidInputError
            For no channels.
        """
        if not channels:
            raise InvalidInputError("There are no channels to show together. Give at least one.")
        with self._adding:
            with self._lock:
                self._read_list()
                found = self._list
            own = Names(one.name for one in found.entries).first_free(name or "image")
            files = free_files(self.folder, found)
            file = files.as_file(own)
            stored = []
            try:
                for number, one in enumerate(channels):
                    copy = files.first_free(f"{file} {number}")
                    stored.append(self._stored(one, f"{COPIES}/{copy}.tif"))
                entry = Entry(own, file, stored[0].path, axes=axes, channels=tuple(stored))
                order = [one.name for one in found.entries]
                order.insert(order.index(after) + 1 if after in order else len(order), own)
                self._change_list(lambda images: images.with_entry(entry).ordered(order))
            except BaseException:  # on any error, leave no copy of a channel that is not listed
                remove(self.folder, tuple(one.path for one in stored if one.is_copy))
                raise
            return self.image(own)

    def _stored(self, channel: GroupChannel, copy: str) -> StoredChannel:
        """A channel as the list has it; one without a file is copied."""
        shown = (channel.channel, channel.axis, channel.index, channel.colormap)
        look, axis, index, colormap = shown
        if channel.path is None:
            write_copy(self.folder / copy, np.asarray(channel.pixels), rgb=False)
            shape = tuple(map(int, channel.pixels.shape))
            return StoredChannel(look, copy, shape=shape, colormap=colormap)
        path = settled(channel.path)
        of_copy = next((one.shape for one in self._list.entries
                        if one.is_copy and one.place(self.folder) == path), ())  # fmt: skip
        fields = path_fields(path, self.folder)
        if of_copy:
            fields = {"path": fields["path"], "shape": of_copy}
        return StoredChannel(look, **fields, axis=axis, index=index, colormap=colormap)

    def show_channels(self, name: str, shown: Sequence[tuple[Channel, str]]) -> None:
        """Change how the channels of a group are shown.

        Parameters
        ----------
        name : str
        shown : sequence of (Channel, str)
            Each channel, and the name of its colormap.

        Raises
        ------
        FileError
            If the list cannot be written; it is then unchanged.
        """
        with self._lock:
            channels = tuple(
                replace(one, channel=channel, colormap=colormap)
                for one, (channel, colormap) in zip(self.channels(name), shown, strict=True)
            )
            if channels != self.channels(name):
                self._change_list(lambda found: found.with_channels(name, channels))

    def remove_image(self, name: str) -> None:
        """Remove an image from the list, and delete its annotation and its copies, if any.

        The image files are not deleted.

        Raises
        ------
        FileError
            If the list cannot be written; the project is then unchanged.
        """
        entry = self._list.get(name)
        self._change_list(lambda found: found.without(name))
        self._store.remove(entry.file)
        self._predictions.remove(entry.file)
        used = {one.path for other in self._list.entries for one in other.files}
        own = (f"{COPIES}/{entry.file}.tif", f"{COPIES}/{entry.file} ")
        copies = [one.path for one in entry.files if one.is_copy and one.path.startswith(own)]
        remove(self.folder, tuple(path for path in copies if path not in used))

    def name_axes(self, asked: str, answer: str) -> None:
        """Name the axes of all images whose files do not name them.

        Parameters
        ----------
        asked : str
            The letters that the files give, such as ``"QYX"``.
        answer : str
            One letter per axis; `labels.axes.UNKNOWN` stays for an axis of another kind.

        Raises
        ------
        FileError
            If the list cannot be written; the names are then unchanged.
        """
        with self._lock:
            self._change_list(lambda found: replace(found, axes={**found.axes, asked: answer}))
