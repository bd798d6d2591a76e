"""Rank a project's images for annotation, the most uncertain prediction first.

The value of an image is the mean uncertainty over its open pixels (neither accepted nor
painted). For a stack it is computed on the middle plane, which the viewer shows first.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..annotation.edit_mask import OPEN
from ..annotation.project.project import Project
from ..io.files import FileError
from ..segmentation import InvalidInputError, Monitor, OutOfMemoryError, Progress

Ask = Callable[[NDArray[Any], Callable[[Progress], None]], NDArray[np.float32]]
"""Maps an image (Y, X[, C]) and a progress callback to its uncertainty, (Y, X) float32, 0 to 1."""


@dataclass(frozen=True)
class Ranking:
    """The images of a project, the most uncertain first.

    Parameters
    ----------
    order : tuple of str
        All names: the images that are not done by decreasing uncertainty, then those that
        could not be processed, then those that are done, in their previous order.
    values : mapping of str to float
        Mean uncertainty of the processed images, 0 to 1.
    problems : mapping of str to str
        Error message of each image that could not be processed.
    """

    order: tuple[str, ...]
    values: Mapping[str, float]
    problems: Mapping[str, str]


def uncertain_first(project: Project, ask: Ask, monitor: Monitor | None = None) -> Ranking:
    """Rank the images of a project that are not done by their mean uncertainty.

    Parameters
    ----------
    project : Project
        Only read; apply the order with `Project.reorder`.
    ask : callable
        Computes the uncertainty of one image; see `Ask`.
    monitor : Monitor, optional

    Raises
    ------
    InvalidInputError
        If no image could be processed; the message gives the reason for the first.
    SegmentationError
        As raised by `ask`. `InvalidInputError` and `OutOfMemoryError` only concern one image
        and are returned in `Ranking.problems`.
    """
    monitor = monitor or Monitor()
    images = project.images
    wanted = [image.name for image in images if image.status != "done"]
    values: dict[str, float] = {}
    problems: dict[str, str] = {}
    for index, name in enumerate(wanted):
        monitor.tell("Ranking the images", index, len(wanted))
        try:
            pixels, confirmed = open_plane(project, name)
            uncertainty = ask(pixels, partial(_pass_downloads, monitor))
        except (FileError, InvalidInputError, OutOfMemoryError) as error:
            problems[name] = str(error)
        else:
            values[name] = mean_of_open(uncertainty, confirmed)
    if problems and not values:
        raise InvalidInputError(f"None of the images could be processed. {problems[wanted[0]]}")
    order = sorted(values, key=lambda name: -values[name])  # stable: ties keep their order
    done = [image.name for image in images if image.status == "done"]
    return Ranking((*order, *problems, *done), values, problems)


def open_plane(project: Project, name: str) -> tuple[NDArray[Any], NDArray[np.bool_]]:
    """Read the middle plane of an image, and the mask of its accepted or painted pixels.

    Returns
    -------
    pixels : (Y, X) or (Y, X, C) array
    confirmed : (Y, X) bool array
        All False for an image without an annotation of its size.

    Raises
    ------
    FileError
        As `Project.read_image` and `Project.peek`.
    """
    pixels, state = project.read_image(name), project.peek(name)
    colours = pixels.ndim > 2 and pixels.shape[-1] in (3, 4)
    sides = pixels.shape[:-1] if colours else pixels.shape
    middle = tuple((side - 1) // 2 for side in sides[:-2])
    if state is None or state.edit_mask.shape != sides:
        return pixels[middle], np.zeros(sides[-2:], bool)
    return pixels[middle], state.edit_mask[middle] != OPEN


def mean_of_open(uncertainty: NDArray[np.floating], confirmed: NDArray[np.bool_]) -> float:
    """Mean uncertainty over the pixels that are not confirmed; 0 if all are.

    Parameters
    ----------
    uncertainty : (Y, X) float array
    confirmed : (Y, X) bool array
    """
    left = uncertainty[~confirmed]
    return float(left.mean(dtype=np.float64)) if left.size else 0.0


def _pass_downloads(monitor: Monitor, progress: Progress) -> None:
    """Report downloads only; the steps within each image would hide the overall progress."""
    if progress.unit == "byte":
        monitor.report(progress)
