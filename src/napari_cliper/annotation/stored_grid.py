"""The annotation of a large image on a coarser grid, such as that of score maps."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from .chunks import Region, pieces_by_chunk, region_of_chunk
from .edit_mask import PAINTED, EditMask, Labels
from .label_store import LabelStore


def on_grid(store: LabelStore, region: Region, grid: tuple[int, int]) -> tuple[Labels, EditMask]:
    """Return labels and edit mask of a region of a store, reduced to a grid.

    A cell has the label of a painted pixel, if it has one, and else that of one of its pixels.

    Parameters
    ----------
    store : LabelStore
    region : (slice, slice)
    grid : (int, int)
        Rows and columns of cells, at most as many as the region has pixels.

    Returns
    -------
    labels : (h, w) uint16 array
    edit_mask : (h, w) uint8 array
    """
    labels, edit_mask = np.zeros(grid, np.uint16), np.zeros(grid, np.uint8)
    painted: list[tuple[NDArray[np.intp], NDArray[np.intp], Labels]] = []
    sides = tuple(part.stop - part.start for part in region)
    for index, inside, outside in pieces_by_chunk(region, store.shape):
        here = tuple(
            slice(whole.start + part.start, whole.start + part.stop)
            for whole, part in zip(region_of_chunk(index, store.shape), inside, strict=True)
        )
        own, mask = store.read(here)
        if not mask.any():
            continue
        rows, columns = (
            np.arange(part.start, part.stop) * cells // side
            for part, cells, side in zip(outside, grid, sides, strict=True)
        )
        (down, first), (across, left) = (
            np.unique(cells, return_index=True) for cells in (rows, columns)
        )
        labels[np.ix_(down, across)] = own[np.ix_(first, left)]
        edit_mask[np.ix_(down, across)] = mask[np.ix_(first, left)]
        at = np.nonzero(mask == PAINTED)
        painted.append((rows[at[0]], columns[at[1]], own[at]))
    for down, across, own in painted:
        labels[down, across] = own
        edit_mask[down, across] = PAINTED
    return labels, edit_mask
