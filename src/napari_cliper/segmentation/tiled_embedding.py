"""Embed images in tiles with the networks of a configuration."""

from __future__ import annotations

import torch

from .features.tiled_image import TiledImage
from .image_reader import ImageReader
from .models.tile_cache import TileStore
from .networks import Networks
from .progress import Monitor
from .provenance import embedding_record
from .region_masks import mask_record
from .results import ImageEmbedding
from .tile_encoder import TileEncoder
from .tiles import TileLayout
from .whole_encoder import timed


def embed_tiled(
    reader: ImageReader,
    store: TileStore,
    image: TiledImage,
    layout: TileLayout,
    monitor: Monitor,
) -> ImageEmbedding:
    """Encode an image tile by tile; tiles in the store are not encoded again."""
    networks, seconds = reader.networks, dict[str, float]()
    with networks.guard("encoding the tiles"), torch.inference_mode():
        with timed(seconds, "load"):
            networks.load(monitor)
        with timed(seconds, "clip"):
            tiles, overview = TileEncoder(reader, store).embed(
                image, layout, identity_of(networks), monitor
            )
    record = embedding_record(networks, image, layout.scaled, seconds)
    return ImageEmbedding(
        image=image,
        resized=overview,
        whole=None,
        windows=(),
        window_attention=None,
        self_attention=None,
        config=reader.config,
        record={
            **record,
            **mask_record(image.masks, "given"),
            "tiles": {"count": len(layout), "without contrast": tiles.empty},
        },
        tiles=tiles,
        masks=image.masks,
    )


def identity_of(networks: Networks) -> str:
    """What the features of a tile depend on, except its pixels."""
    return f"{networks.identity} {networks.dtype}"
