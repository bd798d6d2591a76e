"""Tell before a run how large objects must be to be found, and what the run costs."""

from __future__ import annotations

from pathlib import Path

from ..io.files import DiskError
from ..segmentation import (
    Monitor,
    RGBImage,
    Segmenter,
    TileCache,
    TiledImage,
    free_space,
    reduction,
)
from .quantities import duration, size_text
from .segment_files import reading_errors


def cost_note(
    segmenter: Segmenter,
    path: Path,
    image: RGBImage | TiledImage,
    monitor: Monitor,
    *,
    by_chunks: bool,
) -> str:
    """Describe before a run which objects are found, and what it costs.

    Parameters
    ----------
    segmenter : Segmenter
    path : Path
        The image.
    image : RGBImage or TiledImage
        From `read_checked`.
    monitor : Monitor
        With tiles, one is encoded to estimate the time.
    by_chunks : bool
        Whether the image is labelled chunk by chunk.

    Raises
    ------
    DiskError
        If the features of all tiles do not fit on the disk.
    InvalidInputError
        If the tile that is encoded cannot be read.
    """
    shape = image.shape
    reduced = reduction(shape, segmenter.config)
    smallest = max(1, round(reduced.smallest))
    size = f"{path.name}: {shape[0]} x {shape[1]} px, objects of at least {smallest} px"
    cost = None
    if isinstance(image, TiledImage):
        with reading_errors():
            cost = segmenter.estimate_tiles(image, monitor)
    if cost is None:
        hint = ""
        if reduced.notable:
            hint = (
                " Smaller ones are lost. To find them, give their size with --object-size, or "
                "encode tiles with --tile 256."
            )
        return f"{size} can be found.{hint}"
    store = segmenter.tile_store
    disk = min(cost.new_disk, store.limit) if by_chunks else cost.new_disk
    memory = cost.chunk_memory if by_chunks else cost.memory
    where = "in memory"
    if isinstance(store, TileCache):
        where = "on disk"
        free = free_space(store.folder)
        if disk > free:
            raise DiskError(
                f"{path}: the features of {cost.new_tiles} new tiles need {size_text(disk)} in "
                f"{store.folder}, where {size_text(free) or '0 MB'} are free. Choose another "
                "folder with --tile-cache, or larger tiles."
            )
    new = f", {cost.new_tiles} of them new" if cost.new_tiles < cost.tiles else ""
    text = (
        f"{size} can be found in {cost.tiles} tiles{new}. Estimate: "
        f"{duration(cost.new_seconds)} in the networks, {size_text(disk) or '0 MB'} {where}, "
        f"{size_text(memory)} of memory."
    )
    if cost.read_again:
        text += (
            f" Each question about other words reads {cost.read_again} tiles with the refiner's "
            "network again, because their attention exceeds the cache."
        )
    return text
