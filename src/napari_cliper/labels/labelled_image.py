"""Labels with their classes, image and metadata, as the exporters take them."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from types import MappingProxyType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..segmentation import InvalidInputError
from .axes import Position, axes_from_names, plane_suffix
from .label_class import ClassRow, Colour, colours_of
from .pieces import loaded

LabelArray = NDArray[np.uint8 | np.uint16]

PIXEL = "pixel"
"""Unit of an axis whose pixel size is unknown."""


@dataclass(frozen=True, eq=False)
class LabelledImage:
    """A label array with its classes, image and metadata.

    Parameters
    ----------
    name : str
        Name of the exported files, without a suffix.
    labels : (..., Y, X) uint8 or uint16 array
        0 is background; labels without a class may occur. For formats that are written piece by
        piece (`io.formats.Format.pieces`), labels, image and ignored pixels may be `pieces.Pieces`.
    classes : mapping of int to ClassRow
        Classes by label, from 1 on; gaps are allowed.
    image : (..., Y, X) or (..., Y, X, C) array, optional
        The pixels, in their original dtype; of any library, read where it is indexed.
    contrast : (float, float), optional
        Values of a greyscale image that are shown black and white. Default: percentiles.
    image_file : str
        File name of the image, as training programs look for it; empty if there is none.
    pixel_size : tuple of float, optional
        Pixel size along each axis of the labels; default: 1.
    units : tuple of str, optional
        Unit of the pixel size of each axis, such as ``"micrometer"``; default: ``"pixel"``.
    axes : str, optional
        One letter per axis of the labels (see `labels.axes`): T, Z, C, and Y and X last. Leading
        axes without a name are `axes.UNKNOWN`, which is the default.
    position : tuple of (str, int)
        For a plane of a stack: the letter of each leading axis and the index along it.
    stack : str
        For a plane, the name of its stack; empty for a whole image.
    ignored : (..., Y, X) bool array, optional
        Open pixels, which are neither accepted nor painted.
    record : mapping
        Provenance of the labels; JSON-safe.
    instances : (..., Y, X) int32 array, optional
        The number of each pixel's object; 0 for none. All pixels of an object have one label.
        Default: the connected regions of the labels are the objects.
    gamma : float
        Exponent of the values of a greyscale image between its black and white.
    separate : callable, optional
        Returns the same image with its objects, for formats of objects; see `with_separate`.

    Raises
    ------
    InvalidInputError
        If dtypes are wrong, or shapes or lengths do not match.
    """

    name: str
    labels: LabelArray
    classes: Mapping[int, ClassRow]
    image: Any = None
    image_file: str = ""
    pixel_size: tuple[float, ...] = ()
    units: tuple[str, ...] = ()
    axes: str = ""
    position: Position = ()
    stack: str = ""
    ignored: NDArray[np.bool_] | None = None
    record: Mapping[str, Any] = field(default_factory=dict)
    contrast: tuple[float, float] | None = None
    instances: NDArray[np.int32] | None = None
    gamma: float = 1.0
    separate: Callable[[], LabelledImage] | None = None

    def __post_init__(self) -> None:
        """Fill in defaults, and check dtypes, shapes and lengths."""
        ndim, shape = self.labels.ndim, self.labels.shape
        if self.labels.dtype not in (np.uint8, np.uint16) or ndim < 2:
            raise InvalidInputError(
                f"The labels of {self.name} are {self.labels.dtype} with {ndim} dimensions. Give "
                "uint8 or uint16 with at least two dimensions."
            )
        if self.image is not None and self.image.shape[:ndim] != shape:
            raise InvalidInputError(
                f"{self.name}: the image {self.image.shape} and its labels {shape} differ in size."
            )
        if self.ignored is not None and self.ignored.shape != shape:
            raise InvalidInputError(
                f"{self.name}: the mask {self.ignored.shape} and the labels {shape} differ in size."
            )
        if self.instances is not None and self.instances.shape != shape:
            raise InvalidInputError(
                f"{self.name}: the objects {self.instances.shape} and the labels {shape} differ in "
                "size."
            )
        object.__setattr__(self, "pixel_size", self.pixel_size or (1.0,) * ndim)
        object.__setattr__(self, "units", self.units or (PIXEL,) * ndim)
        object.__setattr__(self, "axes", self.axes or axes_from_names(None, ndim))
        if not len(self.pixel_size) == len(self.units) == len(self.axes) == ndim:
            raise InvalidInputError(
                f"{self.name}: {len(self.pixel_size)} pixel sizes, {len(self.units)} units and "
                f"{len(self.axes)} axis letters do not fit labels of {ndim} dimensions."
            )
        object.__setattr__(self, "axes", axes_from_names(self.axes, ndim))
        by_label = dict(sorted(self.classes.items()))
        object.__setattr__(self, "classes", MappingProxyType(by_label))

    @property
    def colours(self) -> dict[int, Colour]:
        """The colour of each class, by label."""
        return colours_of(self.classes)

    def with_separate(self) -> LabelledImage:
        """Return the image with its separate objects; itself if it has none."""
        return self if self.separate is None else replace(self.separate(), name=self.name)

    def loaded(self) -> LabelledImage:
        """Return the image with all arrays in memory, instead of `pieces.Pieces`."""
        return replace(
            self,
            labels=loaded(self.labels),
            image=loaded(self.image),
            ignored=loaded(self.ignored),
        )

    def planes(self) -> Iterator[LabelledImage]:
        """Iterate over the (Y, X) planes; their names end with the plane's indices."""
        leading = self.labels.shape[:-2]
        for index in np.ndindex(leading):
            yield replace(
                self,
                name=self.name + plane_suffix(self.axes, index, leading),
                position=self.position + tuple(zip(self.axes, index, strict=False)),
                stack=self.stack or (self.name if leading else ""),
                image_file="" if leading else self.image_file,  # a plane is no file
                labels=self.labels[index],
                image=None if self.image is None else np.asarray(self.image[index]),
                ignored=None if self.ignored is None else self.ignored[index],
                instances=None if self.instances is None else self.instances[index],
                separate=None,
                pixel_size=self.pixel_size[-2:],
                units=self.units[-2:],
                axes=self.axes[-2:],
            )
