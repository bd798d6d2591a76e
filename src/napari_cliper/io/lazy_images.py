"""Images that are read one after the other, so that an export of many needs memory for few.

Writers go through their images more than once: first to number the classes and choose the names
of files, then to write. Images that are read from disk are read again each time.
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
    """Images that can be gone through any number of times and are not kept between.

    Parameters
    ----------
    start : callable
        Returns a new iterator over all images, in the same order each time.
    """

    start: Callable[[], Iterator[LabelledImage]]

    def __iter__(self) -> Iterator[LabelledImage]:
        """Go through the images from the first on."""
        return self.start()


Images = LazyImages | Sequence[LabelledImage]
"""What writers take: images that can be gone through more than once."""


@dataclass(frozen=True)
class Summary:
    """What is known of an image without its pixels.

    Parameters
    ----------
    name : str
    shape : tuple of int
        Of the labels.
    classes : mapping of int to ClassRow
    used : tuple of int
        The labels that occur; see `categories.used_labels`.
    """

    name: str
    shape: tuple[int, ...]
    classes: Mapping[int, ClassRow]
    used: tuple[int, ...]


def summary_of(image: LabelledImage) -> Summary:
    """The summary of an image."""
    return Summary(image.name, image.labels.shape, image.classes, tuple(used_labels(image)))


def read_in_turn(readers: Sequence[Reader]) -> LazyImages:
    """Images that are read when their turn comes.

    Raises
    ------
    InvalidInputError
        While it is gone through, for an image whose shape or labels are not those of the first
        time: numbers and names that were settled then no longer fit.
    """
    seen: dict[int, Summary] = {}

    def checked(index: int, image: LabelledImage) -> LabelledImage:
        now = summary_of(image)
        if seen.setdefault(index, now) != now:
            raise InvalidInputError(f"{image.name} changed during the export. Export again.")
        return image

    return LazyImages(lambda: (checked(index, read()) for index, read in enumerate(readers)))


def planes_of(images: Images) -> LazyImages:
    """The planes of all images; see `LabelledImage.planes`."""
    return LazyImages(lambda: chain.from_iterable(image.planes() for image in images))
