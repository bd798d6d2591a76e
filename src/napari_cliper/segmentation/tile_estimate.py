"""What encoding an image in tiles costs, estimated from one tile and from what is cached."""

from __future__ import annotations

import math
import time
from collections import Counter
from dataclasses import dataclass, replace

import numpy as np

from .features.tiled_image import TiledImage, tile_window
from .progress import Monitor
from .results import TilePart
from .tile_encoder import TileEncoder
from .tiles import TileLayout

BYTES_A_PIXEL, BYTES_A_PATCH, REFINING_BYTES = 4, 400, 700_000_000
"""Memory of a run: labels and the image, maps of about ten classes, and one part with PAMR."""

CHUNK_BYTES = 300_000_000
"""Memory for labels chunk by chunk: parts of the image and of the maps."""

LOOKED_UP = 64
"""Tiles that are looked up in the store; of more tiles, these are spread evenly."""


@dataclass(frozen=True)
class TileCosts:
    """What one tile costs.

    Parameters
    ----------
    seconds, disk : float, int
        Time in the image networks, and bytes of the features.
    attention_seconds, attention_disk : float, int
        The same for the attention that the refiner reads.
    """

    seconds: float
    disk: int
    attention_seconds: float = 0.0
    attention_disk: int = 0


@dataclass(frozen=True)
class TileEstimate:
    """What encoding an image in tiles costs.

    Parameters
    ----------
    tiles : int
        Number of tiles.
    seconds : float
        Time in the networks, if no tile is cached.
    disk : int
        Bytes of the features on disk.
    memory : int
        Bytes of memory, without the networks.
    chunk_memory : int
        The same if it is labelled chunk by chunk (`ChunkedLabels`).
    maps_memory : int
        The same if only the maps and an image that is in memory are whole (`LabelsByChunk`).
    read_again : int
        Number of tiles whose attention does not fit into the cache: the refiner's network reads
        them again for every question.
    new_tiles, new_seconds, new_disk
        Number, time and bytes of the tiles that are not cached yet. Of more than `LOOKED_UP` tiles,
        their share is that of a sample.
    each : TileCosts
        Of one tile.
    """

    tiles: int
    seconds: float
    disk: int
    memory: int
    chunk_memory: int
    maps_memory: int
    read_again: int
    new_tiles: int
    new_seconds: float
    new_disk: int
    each: TileCosts

    def times(self, planes: int) -> TileEstimate:
        """Return the costs of several planes of this size, which are run one after the other.

        Only tiles of the first one are known to be cached.
        """
        more = planes - 1
        return replace(
            self,
            tiles=self.tiles * planes,
            seconds=self.seconds * planes,
            disk=self.disk * planes,
            read_again=self.read_again * planes,
            new_tiles=self.new_tiles + self.tiles * more,
            new_seconds=self.new_seconds + self.seconds * more,
            new_disk=self.new_disk + self.disk * more,
        )


def estimate_of(
    encoder: TileEncoder,
    image: TiledImage,
    layout: TileLayout,
    identity: str,
    each: TileCosts | None,
    monitor: Monitor,
) -> TileEstimate:
    """Estimate what all tiles cost.

    Parameters
    ----------
    encoder, image, layout
    identity : str
        As in `TileEncoder.embed`.
    each : TileCosts or None
        Of one tile; None encodes the one in the middle.
    monitor : Monitor
    """
    each = each or _costs_of_middle(encoder, image, layout, monitor)
    count = len(layout)
    kept = again = 0  # tiles whose attention is stored, and those without room for it
    if encoder.reads_attention:
        kept = min(encoder.attention_bytes() // max(each.attention_disk, 1), count)
        again = count - kept
    looked_up = np.unique(np.linspace(0, count - 1, min(count, LOOKED_UP)).round().astype(int))
    missing: Counter[TilePart] = Counter()
    for index in looked_up.tolist():
        monitor.check()
        place = layout.cell(index)
        pixels = encoder.pixels_of(image, layout, place)
        keys = encoder.keys_of(image, layout, identity, place, pixels)
        missing.update(part for part, key in keys.items() if key not in encoder.store)
    new, unread = (
        math.ceil(count * missing[part] / len(looked_up)) for part in ("clip", "refiner")
    )
    to_store = min(unread, max(kept - (count - unread), 0))
    area, patches = math.prod(layout.shape), math.prod(layout.grid)
    maps = patches * BYTES_A_PATCH
    in_memory = image.source.nbytes if isinstance(image.source, np.ndarray) else 0
    refining = REFINING_BYTES if encoder.by_pixels else 0
    return TileEstimate(
        tiles=count,
        seconds=count * (each.seconds + each.attention_seconds),
        disk=count * each.disk + kept * each.attention_disk,
        memory=area * BYTES_A_PIXEL + maps + refining,
        chunk_memory=in_memory + CHUNK_BYTES + refining,
        maps_memory=in_memory + maps + CHUNK_BYTES + refining,
        read_again=again,
        new_tiles=max(new, unread),
        new_seconds=new * each.seconds + unread * each.attention_seconds,
        new_disk=new * each.disk + to_store * each.attention_disk,
        each=each,
    )


def _costs_of_middle(
    encoder: TileEncoder, image: TiledImage, layout: TileLayout, monitor: Monitor
) -> TileCosts:
    """Encode the tile in the middle, and measure it."""
    place = layout.cell(len(layout) // 2)
    seconds, disk = 0.0, 0
    for _ in range(2):  # the first time includes what is done once
        start = time.perf_counter()
        disk = encoder.encode_alone(image, layout, place, monitor)
        seconds = time.perf_counter() - start
    if not encoder.reads_attention:
        return TileCosts(seconds, disk)
    start = time.perf_counter()
    crop = image.region(tile_window(layout, place))
    found = encoder.reader.attention(crop, monitor.downloads_only())
    taken = time.perf_counter() - start
    return TileCosts(seconds, disk, taken, 0 if found is None else found.nbytes)
