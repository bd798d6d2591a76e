"""Link objects that move or disappear for a frame, with the optional package laptrack.

`linking.link` needs objects to overlap from frame to frame. Here their centres are linked, over
gaps too, by the linear assignment of Jaqaman et al. (Nature Methods 2008).
"""

from __future__ import annotations

import math
from importlib import import_module
from importlib.util import find_spec
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..labels.numbers import mapped
from ..segmentation import InvalidInputError
from .linking import LinkedNumbers, LinkedObjects, Merge, Split
from .object_set import Objects, objects_of

INSTALL = 'Install it with pip install "napari-cliper[track]".'


def can_track() -> bool:
    """Return whether laptrack is installed."""
    return find_spec("laptrack") is not None


def link_moving(
    objects: Objects, farthest: float, *, gap: int = 1, highest: int = 0
) -> LinkedObjects:
    """Give objects of successive frames the same number where their centres are near each other.

    Parameters
    ----------
    objects : Objects
        Of a stack with one leading axis, (T, Y, X); each frame has its own objects.
    farthest : float
        Longest way of an object from one frame to the next, in pixels; also between an object and
        those into which it splits or with which it merges.
    gap : int
        Most successive frames in which an object may be missing.
    highest : int
        The highest number ever used, if no present object has it.

    Returns
    -------
    LinkedObjects
        As for `linking.link`; the nearest object keeps the number.

    Raises
    ------
    InvalidInputError
        Without the package laptrack, for an array without a leading axis or with several, and for
        a distance or gap that is not valid.
    """
    if objects.numbers.ndim != 3:
        raise InvalidInputError(
            f"Objects with {objects.numbers.ndim} dimensions cannot be linked. Give a stack of "
            "frames with one leading axis."
        )
    if not (math.isfinite(farthest) and farthest > 0) or gap < 0:
        raise InvalidInputError(
            f"The longest way is {farthest} and the gap {gap}. Give a positive number of pixels, "
            "and a gap of 0 frames or more."
        )
    try:
        laptrack: Any = import_module("laptrack")
    except ImportError as error:
        raise InvalidInputError(
            f"Linking over gaps needs the package laptrack. {INSTALL}"
        ) from error
    frames = [objects_of(frame) for frame in objects.numbers]
    centres = [_centres(one) for one in frames]
    limit = farthest**2
    tracker = laptrack.LapTrack(
        cutoff=limit,
        gap_closing_cutoff=limit if gap else False,
        gap_closing_max_frame_count=gap + 1,  # the difference of the frame numbers
        splitting_cutoff=limit,
        merging_cutoff=limit,
        alternative_cost_percentile=100,  # a few objects are not cheaper to end than to link
    )
    graph = tracker.predict(centres)
    return _numbered(objects, frames, centres, graph, highest)


def _centres(objects: Objects) -> NDArray[np.float64]:
    """Mean row and column of each object, (N, 2)."""
    inside = np.nonzero(objects.numbers)
    index = np.searchsorted(objects.ids, objects.numbers[inside])
    sums = [np.bincount(index, axis, len(objects.ids)) for axis in inside]
    centres: NDArray[np.float64] = np.stack(sums, axis=1) / objects.areas[:, None]
    return centres


def _numbered(
    objects: Objects,
    frames: list[Objects],
    centres: list[NDArray[np.float64]],
    graph: Any,
    highest: int,
) -> LinkedObjects:
    """Numbers along the edges of the graph, whose nodes are (frame, index)."""

    def nearest(node: tuple[int, int], others: list[tuple[int, int]]) -> tuple[int, int]:
        at = centres[node[0]][node[1]]
        return min(others, key=lambda one: float(np.hypot(*(centres[one[0]][one[1]] - at))))

    number: dict[tuple[int, int], int] = {}
    chosen = LinkedNumbers(max(highest, int(objects.ids.max(initial=0))))
    linked = np.zeros_like(objects.numbers)
    for time, frame in enumerate(frames):
        known = {}
        for index in range(len(frame.ids)):
            node = (time, index)
            origins = sorted(graph.predecessors(node)) if node in graph else []
            origin = nearest(node, origins) if origins else None
            if origin and nearest(origin, sorted(graph.successors(origin))) == node:
                known[index] = number[origin]
        numbers = chosen.numbers_of(frame, known)
        number |= {(time, index): one for index, one in enumerate(numbers.tolist())}
        linked[time] = mapped(objects.numbers[time], frame.ids, numbers.astype(np.int32))
    splits = [
        Split(node[0], number[node], tuple(sorted(number[one] for one in graph.successors(node))))
        for node in sorted(graph.nodes)
        if graph.out_degree(node) > 1
    ]
    merges = [
        Merge(
            min(one[0] for one in graph.predecessors(node)),
            tuple(sorted(number[one] for one in graph.predecessors(node))),
            number[node],
        )
        for node in sorted(graph.nodes)
        if graph.in_degree(node) > 1
    ]
    found = objects_of(linked, objects.label_array())
    return LinkedObjects(found, tuple(splits), tuple(merges))
