"""Exact outlines of the regions of a label map: rings along pixel edges.

Contours through pixel centres (`skimage.measure.find_contours`) cut corners, so filling them does
not reproduce the labels. Here a pixel (x, y) is the square from x to x + 1 and y to y + 1, and
rings run along the edges of these squares. Any rasteriser that tests pixel centres therefore
reproduces the labels.

Corners are found from the four pixels around each grid point. In every row and every column of
the grid, the corners of a region come in pairs, and each pair is an edge; following the edges
gives the rings.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage
from skimage import measure

from .labelled_image import LabelArray
from .numbers import without_gaps

Ring = NDArray[np.int64]
"""(N, 2) int64: x and y of the corners in pixels; the first is not repeated at the end."""

Polygon = tuple[Ring, ...]
"""The outer ring, followed by the rings of the holes.

With y pointing up, the outer ring is counter-clockwise and holes are clockwise (as in RFC 7946);
on a screen, with y pointing down, it is the other way round.
"""


@dataclass(frozen=True, eq=False)
class Region:
    """An 8-connected region of one label, or an object.

    Parameters
    ----------
    label : int
    number : int
        The number of the object; otherwise that of the region, from 1.
    left, top : int
        Column and row of the bounding box in the image.
    mask : (Y, X) bool array
        The region within its bounding box.
    polygons : tuple of Polygon
        Outlines of the region in image coordinates.
    """

    label: int
    number: int
    left: int
    top: int
    mask: NDArray[np.bool_]
    polygons: tuple[Polygon, ...]


def find_regions(
    labels: LabelArray,
    ignored: NDArray[np.bool_] | None = None,
    *,
    joined: bool = False,
    instances: NDArray[np.int32] | None = None,
) -> list[Region]:
    """Find all 8-connected regions of a label map, or all objects, with their outlines.

    Parameters
    ----------
    labels : (Y, X) uint8 or uint16 array
        0 is background.
    ignored : (Y, X) bool array, optional
        Pixels that belong to no region.
    joined : bool
        Treatment of pixels that share only a corner. False: the 4-connected components of a
        region are separate polygons, and no ring touches itself, as OGC simple features (and
        JTS, which QuPath uses) require. True: each region is one polygon, whose rings may pass
        through a point twice.
    instances : (Y, X) int32 array, optional
        Objects by number, which become the regions. One that is not connected has several
        polygons; with `joined`, each of its connected parts is a region with its number.

    Returns
    -------
    list of Region
        Sorted by label, then by first pixel in row-major order.
    """
    numbers = labels if instances is None else instances
    kept = numbers if ignored is None else np.where(ignored, numbers.dtype.type(0), numbers)
    if instances is None or joined:
        regions = measure.label(kept, background=0, connectivity=2)
    else:
        regions = without_gaps(kept)[0]
    boxes = ndimage.find_objects(regions)
    if joined:
        polygons = [[polygon] for polygon in trace(regions)]
    else:
        polygons = _by_region(measure.label(kept, background=0, connectivity=1), regions)
    found = []
    for number, ((rows, columns), own) in enumerate(zip(boxes, polygons, strict=True), 1):
        mask = regions[rows, columns] == number
        y, x = rows.start, columns.start + int(mask[0].argmax())  # the first pixel
        region = Region(
            label=int(labels[y, x]),
            number=number if instances is None else int(instances[y, x]),
            left=columns.start,
            top=rows.start,
            mask=mask,
            polygons=tuple(own),
        )
        found.append(region)
    return sorted(found, key=lambda region: region.label)


def _by_region(parts: NDArray[np.int64], regions: NDArray[np.int64]) -> list[list[Polygon]]:
    """Trace the parts and group their polygons by the region that contains them."""
    gathered: list[list[Polygon]] = [[] for _ in range(int(regions.max(initial=0)))]
    for polygon in trace(parts):
        x, y = polygon[0][0]
        gathered[regions[y, x] - 1].append(polygon)
    return gathered


def trace(parts: NDArray[np.integer]) -> list[Polygon]:
    """Trace the outline of every part of a numbered image.

    Where two pixels of a part share only a corner, the outline passes through this point twice.
    If the part is also connected elsewhere, these are two different rings, because one of the two
    other pixels is then enclosed; otherwise one ring touches itself.

    Parameters
    ----------
    parts : (Y, X) array of int
        8-connected parts, numbered from 1 without gaps; 0 belongs to no part.

    Returns
    -------
    list of Polygon
        One per part, in order. The first corner of an outer ring is the top left corner of the
        part's first pixel.
    """
    corners = _corners(parts)
    if not len(corners):
        return []
    rings = _follow(_next_corners(corners))
    owners = np.array([corners[ring[0], _PART] for ring in rings])
    areas = np.array([_signed_area(corners[ring][:, [_X, _Y]]) for ring in rings])
    # Sort by part, the outer ring first; only outer rings have a positive area.
    order = np.lexsort((np.arange(len(rings)), areas < 0, owners))
    polygons: list[list[Ring]] = [[] for _ in range(int(owners.max()))]
    for index in order.tolist():
        polygons[owners[index] - 1].append(corners[rings[index]][:, [_X, _Y]])
    return [tuple(polygon) for polygon in polygons]


# Columns of the table of corners: the part, the corner's row and column, the direction of its
# horizontal and vertical edge (-1 or 1), and whether the ring leaves along the horizontal edge.
_PART, _Y, _X, _SIDE_X, _SIDE_Y, _LEAVES_BY_X = range(6)


def _corners(parts: NDArray[np.integer]) -> NDArray[np.int64]:
    """Find all corners of all parts: (N, 6) int64, sorted by part, row and column.

    At each grid point, a corner is convex if a pixel differs from the other three, and concave if
    the pixels beside and above it belong to one part to which it does not belong. Two diagonal
    pixels of one part therefore give two concave corners.
    """
    padded = np.pad(parts, 1)
    quadrants = {(sy, sx): padded[(sy + 1) // 2 :, (sx + 1) // 2 :][: parts.shape[0] + 1,
                 : parts.shape[1] + 1] for sy in (-1, 1) for sx in (-1, 1)}  # fmt: skip
    found = []
    for (sy, sx), own in quadrants.items():
        beside, above, across = quadrants[sy, -sx], quadrants[-sy, sx], quadrants[-sy, -sx]
        convex = (own > 0) & (own != beside) & (own != above) & (own != across)
        concave = (beside > 0) & (beside == above) & (beside != own)
        # Outer rings run to the right along the top of a pixel. The part is below the horizontal
        # edge if the pixel is (convex corner) or if the pixel is not (concave corner).
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
    """Return, for each corner, the index of the next one along its ring.

    Of two corners at one point, the one whose edge comes from the left (or from above) is sorted
    first, so that the two ends of an edge are always adjacent.
    """
    along_x = _partners(np.arange(len(corners)))
    by_column = np.lexsort((corners[:, _SIDE_Y], corners[:, _Y], corners[:, _X], corners[:, _PART]))
    along_y = np.empty_like(along_x)
    along_y[by_column] = _partners(by_column)
    return np.where(corners[:, _LEAVES_BY_X] == 1, along_x, along_y)


def _partners(order: NDArray[np.int64]) -> NDArray[np.int64]:
    """Swap each pair of adjacent entries."""
    return order.reshape(-1, 2)[:, ::-1].ravel()


def _follow(following: NDArray[np.int64]) -> list[NDArray[np.int64]]:
    """Return the rings as arrays of corner indices, each starting at its lowest index."""
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
    """Return the outline of a joined region as a single ring, for formats without holes.

    A cut of zero width connects the left side of each hole, through the region, with the ring to
    its left. It is traversed once in each direction, so it does not change the area.

    Parameters
    ----------
    region : Region
        From `find_regions` with ``joined=True``.

    Returns
    -------
    Ring
        It may pass through points twice.
    """
    rings = region.polygons[0]
    if len(rings) == 1:
        return rings[0]
    starts, places = _cuts(region, rings)
    # For each ring, the cuts that end on it: (edge, distance along the edge, hole).
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
    """Return where the cut of each hole starts (one of its corners) and ends (on another ring)."""
    # For each pixel, the column where the run of region pixels to its left starts.
    columns = np.arange(1, region.mask.shape[1] + 1)
    ends = np.maximum.accumulate(np.where(region.mask, 0, columns), axis=1)
    starts, places = [], []
    for ring in rings[1:]:
        # The top end of the hole's leftmost edge; the pixel to its left belongs to the region.
        corner = int(np.lexsort((ring[:, 1], ring[:, 0]))[0])
        x, y = ring[corner].tolist()
        starts.append(corner)
        places.append((region.left + int(ends[y - region.top, x - 1 - region.left]), y))
    return starts, np.array(places, dtype=np.int64)


def _edges_met(rings: Sequence[Ring], places: Ring) -> tuple[list[int], list[int], list[int]]:
    """Find the vertical edge under each place: its ring, its index there, and its starting y."""
    table = []
    for number, ring in enumerate(rings):
        after = np.roll(ring, -1, axis=0)
        upright = np.flatnonzero(ring[:, 0] == after[:, 0])
        low = np.minimum(ring[upright, 1], after[upright, 1])
        one = np.full(len(upright), number)
        table.append(np.stack([ring[upright, 0], low, one, upright, ring[upright, 1]], axis=1))
    edges = np.concatenate(table)
    edges = edges[np.lexsort((edges[:, 1], edges[:, 0]))]
    # The last edge that starts at or above the place in its grid column, because edges of one
    # region in the same column do not overlap.
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
    """Return all points in order: the outer ring, with a detour around the hole of each cut.

    Cuts of holes may end on other holes to any depth, hence a stack instead of recursion.
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


def drawn_outlines(labels: LabelArray, width: int) -> LabelArray:
    """Keep only the pixels of each label that lie near pixels of another label.

    Parameters
    ----------
    labels : (Y, X) array of int
    width : int
        Width of the outlines in pixels, along rows and columns; at least 1.

    Returns
    -------
    (Y, X) array
        As `labels`, with 0 inside of the regions. The edge of the image is no outline.
    """
    size = 2 * width + 1
    inside = ndimage.maximum_filter(labels, size) == ndimage.minimum_filter(labels, size)
    outlines: LabelArray = np.where(inside, 0, labels).astype(labels.dtype)
    return outlines
