"""Iterate over images that are read on demand, so that exports hold few of them in memory.

Writers iterate over their images more than once: first to number the classes and choose file
names, then to write. Images on disk are read again each time.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain

from ..labels.categories import used_labels
from ..labels.label_class import ClassRow
from ..labels.labelled_image import LabelledImage
from ..segmentation import InvalidInputError

Reader = Callable[[], LabelledImage]
"""Reads one image."""


@dataclass(frozen=True)
class LazyImages:
    """A re-iterable sequence of images that are not kept in memory.

    Parameters
    ----------
    start : callable
        Returns a new iterator over all images, in the same order each time.
    """

    start: Callable[[], Iterator[LabelledImage]]

    def __iter__(self) -> Iterator[LabelledImage]:
        """Iterate over all images."""
        return self.start()


Images = LazyImages | Sequence[LabelledImage]
"""Input of the writers: images that can be iterated over more than once."""


@dataclass(frozen=True)
class Summary:
    """Metadata of a labelled image without its pixels.

    Parameters
    ----------
    name : str
    classes : mapping of int to ClassRow
        Classes by label.
    used : tuple of int
        The labels that occur; see `categories.used_labels`.
    """

    name: str
    classes: Mapping[int, ClassRow]
    used: tuple[int, ...]


def summary_of(image: LabelledImage) -> Summary:
    """Return the summary of an image."""
    return Summary(image.name, image.classes, tuple(used_labels(image)))


def read_in_turn(readers: Sequence[Reader]) -> LazyImages:
    """Return images that are read when they are iterated over.

    Raises
    ------
    InvalidInputError
        During a later iteration, if the shape, classes or labels of an image have changed since
        the first one, so that the chosen numbers and names no longer fit.
    """
    seen: dict[int, Summary] = {}

    def checked(index: int, image: LabelledImage) -> LabelledImage:
        now = summary_of(image)
        if seen.setdefault(index, now) != now:
            raise InvalidInputError(f"{image.name} changed during the export. Export again.")
        return image

    return LazyImages(lambda: (checked(index, read()) for index, read in enumerate(readers)))


def planes_of(images: Images, *, every_plane: bool = True) -> LazyImages:
    """Iterate over the planes of all images; see `LabelledImage.planes`.

    Parameters
    ----------
    images : sequence of LabelledImage or LazyImages
    every_plane : bool
        Whether planes whose pixels are all ignored are returned: those of an annotated stack that
        were never touched. A stack without any touched plane is returned as a whole.
    """

    def chosen(image: LabelledImage) -> Iterator[LabelledImage]:
        kept = every_plane or not untouched_planes(image)
        return (
            plane
            for plane in image.planes()
            if kept or plane.ignored is None or not plane.ignored.all()
        )

    return LazyImages(lambda: chain.from_iterable(map(chosen, images)))


def untouched_planes(image: LabelledImage) -> int:
    """Return how many planes of a stack have ignored pixels only; 0 if all have."""
    if image.ignored is None or image.ignored.ndim < 3:
        return 0
    touched = ~image.ignored.all(axis=(-2, -1))
    return int((~touched).sum()) if touched.any() else 0


def loaded(images: Images) -> LazyImages:
    """Iterate over all images with their pixels in memory; see `LabelledImage.loaded`."""
    return LazyImages(lambda: (image.loaded() for image in images))


def with_objects_of(images: Images) -> LazyImages:
    """Iterate over all images with their separate objects; see `LabelledImage.with_separate`."""
    return LazyImages(lambda: (image.with_separate() for image in images))
