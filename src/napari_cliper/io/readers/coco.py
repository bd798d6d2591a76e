"""Read labels from COCO JSON: polygons and run-length codes, drawn like pycocotools does."""

from __future__ import annotations

import json
import reprlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from types import MappingProxyType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...labels.axes import POSITION_KEY, Position, position_from_record, position_of_suffix
from ...labels.imported_labels import HIGHEST, Imported, as_labels
from ...labels.label_class import ClassRow, Colour
from ...segmentation import InvalidInputError
from ..filenames import file_name
from ..files import FileError, cannot
from ..record_checks import why_not
from .coco_masks import pixels_of, runs_of

MAX_PIXELS = 2**31
"""Most pixels per image; run-length codes have 32 bits."""


@dataclass(frozen=True, eq=False)
class CocoFile:
    """The content of a COCO JSON file, from which the labels of each image can be drawn.

    Parameters
    ----------
    path : Path
    images : tuple of mapping
        Records with ``id``, ``file_name``, ``height`` and ``width``.
    annotations : mapping
        By image id, records with ``category_id`` and, if they can be drawn, ``segmentation``, in
        the order of the file.
    categories : tuple of mapping
        Records with ``id`` and ``name``.
    """

    path: Path
    images: tuple[Mapping[str, Any], ...]
    annotations: Mapping[Any, Sequence[Mapping[str, Any]]]
    categories: tuple[Mapping[str, Any], ...]

    @property
    def names(self) -> tuple[str, ...]:
        """The file names of the images."""
        return tuple(record["file_name"] for record in self.images)

    def of_image(self, image: Mapping[str, Any]) -> Sequence[Mapping[str, Any]]:
        """The annotations of one of `images`."""
        return self.annotations.get(image["id"], ())

    def record_of(self, image_name: str | None = None) -> Mapping[str, Any]:
        """The record of an image by its name, as in `read_coco`.

        Raises
        ------
        InvalidInputError
            If no image, or more than one, has this name.
        """
        return _choose(self, image_name)

    def draw(self, image: Mapping[str, Any], labels: Mapping[int, int]) -> NDArray[np.uint16]:
        """Draw the annotations of an image, smaller ones over larger ones.

        Of annotations of equal size, the later one is on top.

        Parameters
        ----------
        image : mapping
            One of `images`.
        labels : mapping of int to int
            Label, 0 to 65535, of each category id in the annotations of the image.

        Returns
        -------
        (Y, X) uint16 array

        Raises
        ------
        FileError
            For an annotation that cannot be drawn, such as one with only a bounding box.
        """
        shape = (image["height"], image["width"])
        drawn = []
        for one in self.of_image(image):
            label = labels[one["category_id"]]
            try:
                drawn.append((runs_of(one.get("segmentation"), shape), label))
            except (ValueError, TypeError, KeyError, OverflowError) as error:
                raise FileError(
                    f"Annotation {reprlib.repr(one.get('id'))} of {image['file_name']} in "
                    f"{self.path} cannot be drawn: {error}. Correct its segmentation (polygons or "
                    "a run-length code of the size of the image), or remove it."
                ) from error
        canvas = np.zeros(shape[0] * shape[1], dtype=np.uint16)
        for runs, label in sorted(drawn, key=lambda one: -int(one[0][1::2].sum())):  # stable
            canvas[pixels_of(runs)] = label
        return np.ascontiguousarray(canvas.reshape(shape[::-1]).T)

    def read(self, image_name: str | None = None) -> Imported:
        """Labels of one image; see `read_coco`.

        Raises
        ------
        FileError
            For an annotation that cannot be drawn.
        InvalidInputError
            If no image, or more than one, has this name.
        """
        return self._read(_choose(self, image_name))

    def read_planes(self, image_name: str) -> tuple[Imported, ...]:
        """Labels of an image, or of the planes of a stack, each with its `Imported.position`.

        Parameters
        ----------
        image_name : str
            As in `read_coco`, or the name of a stack. Its planes are recognised by the metadata of
            our own export, or by names such as ``stack_t0`` (`axes.plane_suffix`).

        Raises
        ------
        FileError
            For an annotation that cannot be drawn.
        InvalidInputError
            If no image, or more than one, has this name.
        """
        names = {part(image_name) for part in (str, _name, _stem)}
        names |= {name.removesuffix(".ome") for name in names}
        names |= {file_name(name) for name in names}
        planes: dict[Position, Mapping[str, Any]] = {}
        for record in self.images:
            stack, position = _place(record)
            stem = _stem(record["file_name"])
            if not stack or not position:
                fitting = [name for name in names if stem.startswith(name)]
                stack = max(fitting, key=len, default="")
                position = position_of_suffix(stem[len(stack) :])
            if stack in names and position:
                other = planes.setdefault(position, record)
                if other is not record:
                    raise InvalidInputError(
                        f"{self.path} has two images for one plane of {image_name!r}: "
                        f"{other['file_name']} and {record['file_name']}. Remove one of them."
                    )
        whole = image_name in self.names or not planes
        return tuple(
            self._read(record, position)
            for position, record in ({(): _choose(self, image_name)} if whole else planes).items()
        )

    def _read(self, image: Mapping[str, Any], position: Position = ()) -> Imported:
        source = f"{image['file_name']} in {self.path}"
        known = [one["id"] for one in self.categories]
        used = (one["category_id"] for one in self.of_image(image))
        labels, renumbered = _labels_of([*known, *used], source)
        array = self.draw(image, labels)
        classes = {labels[one["id"]]: _row(one, self.path) for one in self.categories}
        return Imported(
            source=source,
            labels=as_labels(array, source),
            classes=MappingProxyType(dict(sorted(classes.items()))),
            colours=MappingProxyType(
                {
                    label: row.colour
                    for label, row in classes.items()
                    if row.colour is not None and label in array
                }
            ),
            renumbered=MappingProxyType(renumbered),
            position=position or _place(image)[1],
        )


def read_coco(path: str | Path, image_name: str | None = None) -> Imported:
    """Read the labels of one image from a COCO JSON file.

    The label of a pixel is the category of its annotation. Of overlapping annotations the smaller
    one is on top, and of two with equal size the later one. Crowd annotations are drawn like the
    others. To read several images, use `open_coco`, which parses the file once.

    Parameters
    ----------
    path : path-like
        Instances or stuff, with polygons or run-length codes, compressed or not.
    image_name : str, optional
        The ``file_name`` of the image, also without its folder or suffix if it is then still
        unique. Not needed if the file has one image.

    Returns
    -------
    Imported
        Labels are category ids. A category whose id cannot be a label (0, or over 65535) gets a
        free one; see `Imported.renumbered`.

    Raises
    ------
    FileError
        For a file that is missing or not COCO JSON, and an annotation that cannot be drawn, such
        as one with only a bounding box.
    InvalidInputError
        If no image, or more than one, has this name.
    """
    return open_coco(path).read(image_name)


# ---------------------------------------------------------------------- the file


def open_coco(path: str | Path) -> CocoFile:
    """Read a COCO JSON file and check all its records, except the segmentations.

    Parameters
    ----------
    path : path-like

    Raises
    ------
    FileError
        For a file that is missing or not COCO JSON, and for an image, annotation or category that
        is not valid (no id, no name, a repeated id, an unknown image). The message has its number.
    """
    path = Path(path)
    try:
        data = json.loads(path.read_bytes())
        lists = tuple(data[key] for key in ("images", "annotations", "categories"))
        if not all(isinstance(one, list) for one in lists):
            raise ValueError("images, annotations and categories are not all lists")  # noqa: TRY301
    except OSError as error:
        raise cannot("read", path, error) from error
    except (ValueError, KeyError, TypeError, IndexError, RecursionError) as error:
        raise FileError(
            f"{path} is not COCO JSON: {why_not(error)}. It needs lists of images (id, file_name, "
            "height, width), annotations (image_id, category_id, segmentation) and categories "
            "(id, name)."
        ) from error
    images = _checked(path, "Image", lists[0], _image)
    annotations = _checked(path, "Annotation", lists[1], _annotation)
    categories = _checked(path, "Category", lists[2], _category)
    _refuse_repeated(path, "images", images)
    _refuse_repeated(path, "categories", categories)
    known = {one["id"] for one in images}
    by_image: dict[Any, list[Mapping[str, Any]]] = {}
    for number, one in enumerate(annotations, 1):
        if one["image_id"] not in known:
            raise FileError(
                f"Annotation {one.get('id', number)} (number {number}) of {path} refers to the "
                f"image {one['image_id']!r}, which is not in the file. Add the image, or remove "
                "the annotation."
            )
        by_image.setdefault(one["image_id"], []).append(one)
    return CocoFile(path, images, MappingProxyType(by_image), categories)


Record = Mapping[str, Any]


def _checked(
    path: Path, what: str, records: Sequence[Any], check: Callable[[Record], Record]
) -> tuple[Record, ...]:
    """Check records and normalise their ids.

    Raises
    ------
    FileError
        Names the position of the record in its list.
    """
    found = []
    for number, record in enumerate(records, 1):
        try:
            if not isinstance(record, dict):
                raise ValueError(f"it is {reprlib.repr(record)}")  # noqa: TRY301, TRY004
            found.append(check(record))
        except KeyError as error:
            raise FileError(f"{what} number {number} of {path} has no {error}. Add it.") from error
        except ValueError as error:
            raise FileError(
                f"{what} number {number} of {path} is not valid: {error}. Correct or remove it."
            ) from error
    return tuple(found)


def _image(record: Record) -> Record:
    height, width, name = record["height"], record["width"], record["file_name"]
    whole = all(isinstance(side, int) and not isinstance(side, bool) for side in (height, width))
    if not whole or min(height, width) < 1 or height * width > MAX_PIXELS:
        raise ValueError(f"it is {reprlib.repr(height)} x {reprlib.repr(width)} pixels")
    if not isinstance(name, str) or not name:
        raise ValueError(f"its file_name is {reprlib.repr(name)}")
    return {**record, "id": _id(record["id"])}


def _annotation(record: Record) -> Record:
    category = _whole(record["category_id"])
    return {**record, "image_id": _id(record["image_id"]), "category_id": category}


def _category(record: Record) -> Record:
    name = record["name"]
    if not isinstance(name, str) or not name.strip():
        raise ValueError(f"its name is {reprlib.repr(name)}")
    return {**record, "id": _whole(record["id"])}


def _id(value: Any) -> int | str:
    """An id; digits in a text and numbers such as 1.0 become integers."""
    if isinstance(value, str) and value.isascii() and value.isdecimal() and len(value) < 19:
        return int(value)
    if isinstance(value, float) and value.is_integer():
        return int(value)
    if isinstance(value, int | str) and not isinstance(value, bool):
        return value
    raise ValueError(f"it has the id {reprlib.repr(value)}")


def _whole(value: Any) -> int:
    number = _id(value)
    if not isinstance(number, int):
        raise ValueError(f"its category id {reprlib.repr(value)} is not an integer")  # noqa: TRY004
    return number


def _refuse_repeated(path: Path, what: str, records: Sequence[Record]) -> None:
    seen: dict[Any, int] = {}
    for number, record in enumerate(records, 1):
        first = seen.setdefault(record["id"], number)
        if first != number:
            raise FileError(
                f"The {what} number {first} and {number} of {path} have the same id "
                f"{record['id']!r}. Give each its own id."
            )


def _place(image: Record) -> tuple[str, Position]:
    """The stack of a plane and its position there, from the metadata of our own export.

    Raises
    ------
    FileError
        For a position that is not valid.
    """
    own = image.get(POSITION_KEY)
    if own is None:
        return "", ()
    try:
        return str(own["stack"]), position_from_record(own["position"])
    except (ValueError, KeyError, TypeError) as error:
        raise FileError(
            f"The position of the image {image['file_name']} in its stack cannot be read: "
            f"{error}. Remove its entry {POSITION_KEY!r}."
        ) from error


def _choose(file: CocoFile, image_name: str | None) -> Mapping[str, Any]:
    names = file.names
    listed = ", ".join(names[:10]) + (", ..." if len(names) > 10 else "")
    if image_name is None:
        if len(names) == 1:
            return file.images[0]
        raise InvalidInputError(
            f"{file.path} has {len(names)} images ({listed}). Choose the one to import."
        )
    for shortened in (str, _name, _stem):
        matches = [record for record, name in zip(file.images, names, strict=True)
                   if shortened(name) == shortened(image_name)]  # fmt: skip
        if len(matches) == 1:
            return matches[0]
        if matches:
            raise InvalidInputError(
                f"{file.path} has {len(matches)} images that match {image_name!r}: "
                f"{', '.join(record['file_name'] for record in matches)}. Give the whole name."
            )
    raise InvalidInputError(
        f"{file.path} has no image {image_name!r}. Its images are: {listed or 'none'}."
    )


def _name(file_name: str) -> str:
    return PurePosixPath(file_name.replace("\\", "/")).name


def _stem(file_name: str) -> str:
    return PurePosixPath(_name(file_name)).stem


def _labels_of(ids: Sequence[int], source: str) -> tuple[dict[int, int], dict[int, int]]:
    """The label of each category id, and of those whose label is another number."""
    labels = {one: one for one in ids if 0 < one <= HIGHEST}
    rest = sorted(set(ids) - set(labels))
    free = (label for label in range(max(labels, default=0) + 1, HIGHEST + 1))
    renumbered = dict(zip(rest, free, strict=False))
    if len(renumbered) < len(rest):
        raise InvalidInputError(
            f"{source} has no free label for the category {rest[0]}: labels go up to {HIGHEST}. "
            "Give its categories lower ids, or remove some."
        )
    return labels | renumbered, renumbered


def _row(category: Mapping[str, Any], path: Path) -> ClassRow:
    try:
        return ClassRow(str(category["name"]), colour=_colour(category.get("color")))
    except InvalidInputError as error:
        raise FileError(f"Category {category['id']} of {path}: {error}") from error


def _colour(value: Any) -> Colour | None:
    """A colour in the form of COCO's panoptic files, or None for anything else."""
    if (
        isinstance(value, list)
        and len(value) == 3
        and all(isinstance(part, int) and 0 <= part <= 255 for part in value)
    ):
        return value[0], value[1], value[2]
    return None
