"""Score maps of the tiles of an image, in a folder that several processes write and read."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from .features.interpolation import bilinear_region, needed
from .features.mosaic import Mosaic
from .tiles import TileLayout, Window

Kind = Literal["coarse", "refined", "prototypes"]
"""Scores of a stage, or logits of the labels with prototypes."""

TILES_A_FILE = 16

FILES_IN_MEMORY = 32


class TileMaps:
    """The maps of all tiles of an image, and blends of them.

    Parameters
    ----------
    folder : Path
        Must exist.
    layout : TileLayout
    """

    def __init__(self, folder: Path, layout: TileLayout) -> None:
        self.folder, self.layout = folder, layout
        self._load = lru_cache(FILES_IN_MEMORY)(self._read)

    def groups(self) -> Iterator[range]:
        """Yield the indices of the tiles of each file."""
        count = len(self.layout)
        for start in range(0, count, TILES_A_FILE):
            yield range(start, min(start + TILES_A_FILE, count))

    def write(self, tiles: range, found: Sequence[Mapping[Kind, Tensor] | None]) -> None:
        """Write the maps of a group of tiles.

        Parameters
        ----------
        tiles : range
            One of `groups`.
        found : sequence of (mapping or None)
            The maps of each tile in the cells of the mosaic, (C, h, w), of the same kinds for all;
            None for a tile without contrast.
        """
        maps = [one for one in found if one is not None]
        arrays: dict[str, Any] = {"contrast": np.array([one is not None for one in found])}
        for kind in maps[0] if maps else ():
            arrays[kind] = torch.stack([one[kind] for one in maps]).numpy()
        np.savez(self._path(tiles.start), **arrays)

    def blended(self, kind: Kind, planes: int, finer: int, cells: Window) -> Tensor:
        """Blend the maps of tiles in a part of the mosaic.

        Parameters
        ----------
        kind : {'coarse', 'refined', 'prototypes'}
        planes : int
            How many there are.
        finer : int
            Cells of the mosaic along each side of a patch.
        cells : Window
            In cells of the mosaic.

        Returns
        -------
        (planes, height, width) float32 tensor
            Those of the mosaic of all tiles.
        """
        mosaic, blank = Mosaic(self.layout, finer, cells), []
        patches = Window(
            cells.top // finer, cells.left // finer, -(-cells.bottom // finer),
            -(-cells.right // finer),
        )  # fmt: skip
        for index, place in self.layout.touching(patches):
            maps = self._load(index - index % TILES_A_FILE, kind)[index % TILES_A_FILE]
            if maps is None:
                blank.append(place)
            else:
                mosaic.add(maps, place)
        for place in blank:
            mosaic.add(None, place)
        return mosaic.result(planes)

    def _read(self, start: int, kind: Kind) -> list[Tensor | None]:
        """The maps of the tiles of a file."""
        with np.load(self._path(start), allow_pickle=False) as file:
            contrast: NDArray[np.bool_] = file["contrast"]
            maps = iter(torch.from_numpy(file[kind]) if contrast.any() else ())
            return [next(maps) if has else None for has in contrast]

    def _path(self, start: int) -> Path:
        return self.folder / f"{start}.npz"


@dataclass(frozen=True, eq=False)
class BlendedPlanes:
    """Maps of tiles, blended and interpolated on request, as `pixel_planes.PixelPlanes`.

    Parameters
    ----------
    maps : TileMaps
    kind : {'coarse', 'refined', 'prototypes'}
    count : int
        Number of planes.
    finer : int
        Cells of the mosaic along each side of a patch.
    shape : (int, int)
        (Y, X) of what they are interpolated to.
    change : callable, optional
        Changes the blended maps before they are interpolated.
    """

    maps: TileMaps
    kind: Kind
    count: int
    finer: int
    shape: tuple[int, int]
    change: Callable[[Tensor], Tensor] | None = None

    @property
    def nbytes(self) -> int:
        """Bytes of memory: nothing is kept."""
        return 0

    @property
    def grid(self) -> tuple[int, int]:
        """Rows and columns of the mosaic."""
        height, width = self.maps.layout.grid
        return height * self.finer, width * self.finer

    def on_grid(self, cells: Window) -> Tensor:
        """The maps without interpolation, (C, h, w), in some patches."""
        return self.maps.blended(self.kind, self.count, self.finer, cells.in_pixels(self.finer))

    def windows(self) -> Iterator[Window]:
        """All of it."""
        yield Window(0, 0, *self.shape)

    def at(self, window: Window, chosen: Sequence[int] | None = None) -> Tensor:
        """Planes in a part of the image, (C, height, width) float32."""
        region = needed(window, self.shape, self.grid)
        planes = self.maps.blended(self.kind, self.count, self.finer, region)
        if self.change is not None:
            planes = self.change(planes)
        return bilinear_region(
            planes if chosen is None else planes[list(chosen)],
            self.shape,
            window,
            grid=self.grid,
            origin=(region.top, region.left),
        )
