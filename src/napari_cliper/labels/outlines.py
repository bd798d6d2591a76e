"""Exact outlines of the regions of a label map: rings that run along the edges of pixels.

Contours through the centres or between pixels (`skimage.measure.find_contours`) cut corners, and
what is filled in again differs from the labels. Here a pixel (x, y) is the square from x to x + 1
and from y to y + 1, and a ring is where such squares end, so that every rasteriser which looks
at the centres of pixels gives the labels back.

The corners are found from the four pixels around each point of the grid. Along every row of
the grid, as along every column, the corners of one part lie in pairs, and each pair is an edge;
following the edges gives the rings.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage
from skimage import measure

from .labelled_image import LabelArray

Ring = NDArray[np.int64]
"""(N, 2): x and y of the corners, the first not repeated at the end."""

Polygon = tuple[Ring, ...]
"""The outer ring and then the holes'.

The outer ring is counter-clockwise and holes are clockwise where y is drawn upwards (as RFC 7946
has it); on a screen, where y goes down, it is the other way round.
"""


@dataclass(frozen=True, eq=False)
class Region:
    """Pixels of one label that hang together, over corners too.

    Parameters
    ----------
    label : int
    left, top : int
        Where the mask's first pixel lies in the image.
    mask : (Y, X) bool array
        The region within its bounding box.
    polygons : tuple of Polygon
        What the region is made of, in the coordinates of the image.
    """

    label: int
    left: int
    top: int
    mask: NDArray[np.bool_]
    polygons: tuple[Polygon, ...]


def find_regions(
    labels: LabelArray, ignored: NDArray[np.bool_] | None = None, *, joined: bool = False
) -> list[Region]:
    """Every connected region (8-connectivity) of a label map, with its outline.

    Parameters
    ----------
    labels : (Y, X) uint8 or uint16 array
        0 is background.
    ignored : (Y, X) bool array, optional
        Pixels that belong to no region.
    joined : bool
        How pixels that share only a corner are drawn. False: parts of a region that hang
        together by corners alone are polygons of their own, and no ring meets itself, as
        the simple features of OGC (and JTS, which QuPath uses) want it. True: a region is one
        polygon, whose rings may pass a point twice.

    Returns
    -------
    list of Region
        In the order of the labels, and for each of the first pixel from the top.
    """
    kept = labels if ignored is None else np.where(ignored, labels.dtype.type(0), labels)
    regions = measure.label(kept, background=0, connectivity=2)
    boxes = ndimage.find_objects(regions)
    if joined:
        polygons = [[polygon] for polygon in trace(regions)]
    else:
        polygons = _by_region(measure.label(kept, background=0, connectivity=1), regions)
    found = []
    for number, ((rows, columns), own) in enumerate(zip(boxes, polygons, strict=True), 1):
        x, y = own[0][0][0]
        # The first corner of a ring is the top left one of its first pixel.
        region = Region(
            label=int(labels[y, x]),
            left=columns.start,
            top=rows.start,
            mask=regions[rows, columns] == number,
            polygons=tuple(own),
        )
        found.append(region)
    return sorted(found, key=lambda region: region.label)


def _by_region(parts: NDArray[np.int64], regions: NDArray[np.int64]) -> list[list[Polygon]]:
    """The polygons of the parts, gathered by the region that each part is of."""
    gathered: list[list[Polygon]] = [[] for _ in range(int(regions.max(initial=0)))]
    for polygon in trace(parts):
        x, y = polygon[0][0]
        gathered[regions[y, x] - 1].append(polygon)
    return gathered


def trace(parts: NDArray[np.integer]) -> list[Polygon]:
    """The outline of every part of an image.

    Where two pixels of one part share only a corner, the outline joins them: it passes the point
    twice, around each of the two other pixels. Of a part that hangs together without that
    corner, these are two rings, as one of the other pixels is then enclosed; of a part that
    does not, a ring meets itself.

    Parameters
    ----------
    parts : (Y, X) array of int
        Parts are numbered from 1 without a gap; each hangs together, if only by corners. 0
        belongs to none.

    Returns
    -------
    list of Polygon
        One for each part, in their order. The first corner of an outer ring is the top left
        one of the part's first pixel.
    """
    corners = _corners(parts)
    if not len(corners):
        return []
    rings = _follow(_next_corners(corners))
    owners = np.array([corners[ring[0], _PART] for ring in rings])
    areas = np.array([_signed_area(corners[ring][:, [_X, _Y]]) for ring in rings])
    # By part, the outer ring first: it alone is counted positive.
    order = np.lexsort((np.arange(len(rings)), areas < 0, owners))
    polygons: list[list[Ring]] = [[] for _ in range(int(owners.max()))]
    for index in order.tolist():
        polygons[owners[index] - 1].append(corners[rings[index]][:, [_X, _Y]])
    return [tuple(polygon) for polygon in polygons]


# Columns of the table of corners: the part, where the corner is, to which side its horizontal
# and its vertical edge go (-1 or 1), and whether the ring leaves it by the horizontal one.
_PART, _Y, _X, _SIDE_X, _SIDE_Y, _LEAVES_BY_X = range(6)


def _corners(parts: NDArray[np.integer]) -> NDArray[np.int64]:
    """All corners of all parts, (N, 6), by part, row and column.

    A corner is convex where a pixel differs from its neighbours in the row, in the column and
    across, and concave where those beside and above it are of one part that it is not of. Two
    pixels of one part across a corner therefore count as two concave corners.
    """
    padded = np.pad(parts, 1)
    quadrants = {(sy, sx): padded[(sy + 1) // 2 :, (sx + 1) // 2 :][: parts.shape[0] + 1,
                 : parts.shape[1] + 1] for sy in (-1, 1) for sx in (-1, 1)}  # fmt: skip
    found = []
    for (sy, sx), own in quadrants.items():
        beside, above, across = quadrants[sy, -sx], quadrants[-sy, sx], quadrants[-sy, -sx]
        convex = (own > 0) & (own != beside) & (own != above) & (own != across)
        concave = (beside > 0) & (beside == above) & (beside != own)
        # Outer rings go right along the top of a pixel. The part lies below the horizontal
        # edge of a convex corner if the pixel itself does, of a concave one if it does not.
        for where, part, flow in ((convex, own, sy), (concave, beside, -sy)):
            y, x = np.nonzero(where)
            column = np.ones_like(y)
            found.append(
                np.stack(
                    [part[y, x], y, x, sx * column, sy * column, (flow == sx) * column], axis=1
                )
            )
    table = np.concatenate(found).astype(np.int64, copy=False)
    return table[np.lexsort((table[:, _SIDE_X], table[:, _X], table[:, _Y], table[:, _PART]))]


def _next_corners(corners: NDArray[np.int64]) -> NDArray[np.int64]:
    """The corner that follows each along its ring.

    Of two corners at one point the one whose edge comes from the left (from above) is sorted
    first, so that pairs are always neighbours.
    """
    along_x = _partners(np.arange(len(corners)))
    by_column = np.lexsort((corners[:, _SIDE_Y], corners[:, _Y], corners[:, _X], corners[:, _PART]))
    along_y = np.empty_like(along_x)
    along_y[by_column] = _partners(by_column)
    return np.where(corners[:, _LEAVES_BY_X] == 1, along_x, along_y)


def _partners(order: NDArray[np.int64]) -> NDArray[np.int64]:
    """The other of each pair of neighbours."""
    return order.reshape(-1, 2)[:, ::-1].ravel()


def _follow(following: NDArray[np.int64]) -> list[NDArray[np.int64]]:
    """The rings, each as indices of its corners from the first in the table on."""
    after: list[int] = following.tolist()
    seen = bytearray(len(after))
    rings = []
    for start in range(len(after)):
        if seen[start]:
            continue
        ring, corner = [], start
        while not seen[corner]:
            seen[corner] = 1
            ring.append(corner)
            corner = after[corner]
        rings.append(np.array(ring, dtype=np.int64))
    return rings


def _signed_area(ring: Ring) -> int:
    x, y = ring.T
    return int((x * np.roll(y, -1) - np.roll(x, -1) * y).sum()) // 2


def one_ring(region: Region) -> Ring:
    """The outline of a joined region as a single ring, its holes cut open.

    A cut of no width leads from the left side of each hole through pixels of the region to
    the ring left of it. It is passed once in each direction, so it encloses nothing.

    Parameters
    ----------
    region : Region
        Of `find_regions` with ``joined=True``.

    Returns
    -------
    Ring
        It may pass points twice.
    """
    rings = region.polygons[0]
    if len(rings) == 1:
        return rings[0]
    starts, places = _cuts(region, rings)
    # What is met on the way along each ring, in the order of travel: (edge, distance) -> hole.
    meetings: list[list[tuple[int, int, int]]] = [[] for _ in rings]
    edge_ring, edge_index, edge_start = _edges_met(rings, places)
    for hole, (ring, edge, begin) in enumerate(
        zip(edge_ring, edge_index, edge_start, strict=True), 1
    ):
        meetings[ring].append((edge, abs(int(places[hole - 1, 1]) - begin), hole))
    path = np.array(_walk(rings, starts, places, meetings), dtype=np.int64)
    moved: Ring = path[(path != np.roll(path, 1, axis=0)).any(axis=1)]
    return moved


def _cuts(region: Region, rings: Sequence[Ring]) -> tuple[list[int], Ring]:
    """Where the cut of each hole begins (a corner of it) and ends (a point of another ring)."""
    # Column by column: how far left the region goes on from each of its pixels.
    columns = np.arange(1, region.mask.shape[1] + 1)
    ends = np.maximum.accumulate(np.where(region.mask, 0, columns), axis=1)
    starts, places = [], []
    for ring in rings[1:]:
        # The top end of the hole's leftmost edge: the pixel left of it is the region's.
        corner = int(np.lexsort((ring[:, 1], ring[:, 0]))[0])
        x, y = ring[corner].tolist()
        starts.append(corner)
        places.append((region.left + int(ends[y - region.top, x - 1 - region.left]), y))
    return starts, np.array(places, dtype=np.int64)


def _edges_met(rings: Sequence[Ring], places: Ring) -> tuple[list[int], list[int], list[int]]:
    """The vertical edge that each place is on: its ring, its index there, the y it begins at."""
    table = []
    for number, ring in enumerate(rings):
        after = np.roll(ring, -1, axis=0)
        upright = np.flatnonzero(ring[:, 0] == after[:, 0])
        low = np.minimum(ring[upright, 1], after[upright, 1])
        one = np.full(len(upright), number)
        table.append(np.stack([ring[upright, 0], low, one, upright, ring[upright, 1]], axis=1))
    edges = np.concatenate(table)
    edges = edges[np.lexsort((edges[:, 1], edges[:, 0]))]
    # The last edge that begins at or above the place in its column of the grid: edges of one
    # region in one column do not overlap.
    span = max(int(ring[:, 1].max()) for ring in rings) + 1
    found = np.searchsorted(edges[:, 0] * span + edges[:, 1], places[:, 0] * span + places[:, 1],
                            side="right") - 1  # fmt: skip
    met = edges[found]
    return met[:, 2].tolist(), met[:, 3].tolist(), met[:, 4].tolist()


def _walk(
    rings: Sequence[Ring],
    starts: Sequence[int],
    places: Ring,
    meetings: Sequence[Sequence[tuple[int, int, int]]],
) -> list[list[int]]:
    """All points in order: along the outer ring, and through each cut around its hole and back.

    Holes hang on holes to any depth, hence a stack in place of recursion.
    """
    path: list[list[int]] = []
    todo: list[list[list[int]] | int] = [0]
    while todo:
        step = todo.pop()
        if isinstance(step, list):
            path += step
            continue
        start = starts[step - 1] if step else 0
        corners = np.roll(rings[step], -start, axis=0).tolist()
        count = len(corners)
        pieces: list[list[list[int]] | int] = []
        done = 0
        if step:
            pieces.append([places[step - 1].tolist()])
        for edge, _, hole in sorted(
            ((edge - start) % count, distance, hole) for edge, distance, hole in meetings[step]
        ):
            pieces += [corners[done : edge + 1], hole]
            done = edge + 1
        pieces.append(corners[done:])
        if step:
            pieces.append([corners[0], places[step - 1].tolist()])
        todo += reversed(pieces)
    return path
