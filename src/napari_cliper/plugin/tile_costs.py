"""What a run in tiles costs, and whether it fits in the memory and on the disk. Without Qt."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import psutil

from ..segmentation import InvalidInputError
from . import ui_text

if TYPE_CHECKING:
    from ..segmentation import TileEstimate, TileStore

LONG_RUN = 60
"""A run in tiles that takes more seconds waits for the user's consent."""

CostKey = tuple[object, ...]
"""The image, plane and region, and the settings of the networks."""


@dataclass(frozen=True)
class Costs:
    """The costs of a run.

    Parameters
    ----------
    key : tuple
        What would be run.
    cost : TileEstimate or None
        None for an image that is encoded as a whole.
    on_disk : bool
        Whether the features of tiles are kept on disk.
    by_chunk : bool
        Whether labels are computed chunk by chunk.
    problem : str
        Why memory or disk are not enough; empty if they are.
    """

    key: CostKey
    cost: TileEstimate | None
    on_disk: bool
    by_chunk: bool
    problem: str = ""

    @property
    def text(self) -> str:
        """The costs in words; empty for an image that is encoded as a whole."""
        if self.cost is None:
            return ""
        return ui_text.tile_costs(
            tiles=self.cost.tiles,
            seconds=self.cost.new_seconds,
            disk=self.cost.new_disk,
            memory=memory_of(self.cost, by_chunk=self.by_chunk),
            on_disk=self.on_disk,
        )


def memory_of(cost: TileEstimate, *, by_chunk: bool) -> int:
    """Return the bytes of memory of a run in tiles."""
    return cost.maps_memory if by_chunk else cost.memory


def check_room(cost: TileEstimate, store: TileStore, *, by_chunk: bool) -> None:
    """Check that a run in tiles has enough memory and disk; called in a thread.

    Cached tiles need neither.

    Raises
    ------
    InvalidInputError
        If it has not; the message gives what is needed and what is free.
    """
    from ..segmentation import TileCache, free_space  # noqa: PLC0415 - heavy

    memory, free = memory_of(cost, by_chunk=by_chunk), psutil.virtual_memory().available
    if isinstance(store, TileCache):
        disk = free_space(store.folder)
        if cost.new_disk > disk:
            raise InvalidInputError(
                ui_text.tiles_exceed_disk(tiles=cost.new_tiles, needed=cost.new_disk, free=disk)
            )
    else:
        memory += min(cost.new_disk, store.limit)
    if memory > free:
        raise InvalidInputError(
            ui_text.tiles_exceed_memory(tiles=cost.tiles, needed=memory, free=free)
        )
