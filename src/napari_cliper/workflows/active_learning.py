"""Which image of a project to look at next: the one of which the engine is least sure.

An image counts by the mean uncertainty of the pixels that nobody has decided on. Of a stack the
middle plane is asked, which a viewer shows first.
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
"""Gives the uncertainty (Y, X) of an image (Y, X[, C]); told where to report."""


@dataclass(frozen=True)
class Ranking:
    """The images of a project, the most uncertain first.

    Parameters
    ----------
    order : tuple of str
        All names: those that are not done by their values, those that could not be looked
        at, and those that are done in the order that they had.
    values : mapping of str to float
        0 to 1, of those that were looked at.
    problems : mapping of str to str
        Why the others were not.
    """

    order: tuple[str, ...]
    values: Mapping[str, float]
    problems: Mapping[str, str]


def uncertain_first(project: Project, ask: Ask, monitor: Monitor | None = None) -> Ranking:
    """Look at every image of a project that is not done, and rank them.

    Parameters
    ----------
    project : Project
        Is read, not changed (`Project.reorder` does that).
    ask : callable
    monitor : Monitor, optional

    Raises
    ------
    InvalidInputError
        Where none of them could be looked at, with the reason of the first.
    SegmentationError
        As `ask`, but for images that it cannot work with, which are put behind.
    """
    monitor = monitor or Monitor()
    images = project.images
    wanted = [image.name for image in images if image.status != "done"]
    values: dict[str, float] = {}
    problems: dict[str, str] = {}
    for index, name in enumerate(wanted):
        monitor.tell("Looking at the images", index, len(wanted))
        try:
            pixels, confirmed = open_plane(project, name)
            uncertainty = ask(pixels, partial(_pass_downloads, monitor))
        except (FileError, InvalidInputError, OutOfMemoryError) as error:
            problems[name] = str(error)
        else:
            values[name] = mean_of_open(uncertainty, confirmed)
    if problems and not values:
        raise InvalidInputError(f"None of the images could be looked at. {problems[wanted[0]]}")
    order = sorted(values, key=lambda name: -values[name])  # equal ones keep their order
    done = [image.name for image in images if image.status == "done"]
    return Ranking((*order, *problems, *done), values, problems)


def open_plane(project: Project, name: str) -> tuple[NDArray[Any], NDArray[np.bool_]]:
    """The plane of an image that is looked at, and which of its pixels are decided.

    Returns
    -------
    (Y, X) or (Y, X, C) array
    (Y, X) bool array

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
    """The mean uncertainty of the pixels that are not confirmed; 0 where all are.

    Parameters
    ----------
    uncertainty : (Y, X) float array
    confirmed : (Y, X) bool array
    """
    left = uncertainty[~confirmed]
    return float(left.mean(dtype=np.float64)) if left.size else 0.0


def _pass_downloads(monitor: Monitor, progress: Progress) -> None:
    """Tell of what comes before the first image; the steps of each would hide how many are left."""
    if progress.unit == "byte":
        monitor.report(progress)
