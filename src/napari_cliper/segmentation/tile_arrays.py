"""What the networks compute from a tile, as arrays of a store."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from scipy import sparse

from .errors import InvalidInputError
from .methods.protocol import ClipFeatures
from .refiners.attention_maps import AttentionMap, LevelMap, SelfAttention
from .results import PatchFeatures, TileSet
from .tiles import Window

EXTRA = "extra."
"""Prefix of the names of arrays that only some methods have."""


def stored_features(tiles: TileSet) -> Iterator[tuple[Window, PatchFeatures | None]]:
    """Yield patches and features of each tile; None for a tile without contrast.

    Raises
    ------
    InvalidInputError
        If an entry was deleted from the store after the image was embedded.
    """
    for cells, keys in zip(tiles.layout.cells, tiles.keys, strict=True):
        found = tiles.store.get(keys["clip"]) if keys else None
        if keys and found is None:
            raise InvalidInputError(
                "The cached tiles of this image were deleted. Run the image again."
            )
        yield cells, None if found is None else whole_or_window(unpacked_features(found))


def whole_or_window(features: ClipFeatures) -> PatchFeatures:
    """Return the features of a tile, which is read as a whole or as a single window."""
    return features.whole or features.windows[0]


def packed_features(features: ClipFeatures) -> dict[str, NDArray[Any]]:
    """Return the features of a tile as arrays, in float16."""
    part = whole_or_window(features)
    numbers = [
        features.whole is not None, *part.grid, *part.padded_shape,
        part.window.bottom, part.window.right,
        part.padding.top, part.padding.left, part.padding.bottom, part.padding.right,
    ]  # fmt: skip
    arrays = {
        "features": part.features.half().numpy(),
        "numbers": np.array(numbers, np.int32),
    }
    if part.attention is not None:
        arrays["attention"] = part.attention.half().numpy()
    return arrays | {f"{EXTRA}{name}": one.half().numpy() for name, one in part.extra.items()}


def unpacked_features(arrays: Mapping[str, NDArray[Any]]) -> ClipFeatures:
    """Return the features of a tile from `packed_features`, in float32."""
    whole, h, w, padded_h, padded_w, height, width, *padding = arrays["numbers"].tolist()
    attention = arrays.get("attention")
    part = PatchFeatures(
        features=torch.from_numpy(arrays["features"]).float(),
        grid=(h, w),
        attention=None if attention is None else torch.from_numpy(attention).float(),
        window=Window(0, 0, height, width),
        padding=Window(*padding),
        padded_shape=(padded_h, padded_w),
        extra={
            name.removeprefix(EXTRA): torch.from_numpy(one).float()
            for name, one in arrays.items()
            if name.startswith(EXTRA)
        },
    )
    return ClipFeatures(part, ()) if whole else ClipFeatures(None, (part,))


def packed_attention(attention: SelfAttention) -> dict[str, NDArray[Any]]:
    """Return the attention maps of a refiner as arrays."""
    arrays: dict[str, NDArray[Any]] = {"grid": np.array(attention.grid, np.int32)}
    for index, one in enumerate(attention.maps):
        if isinstance(one, LevelMap):
            arrays[f"{index}.levels"] = one.levels.numpy()
            arrays[f"{index}.step"] = one.step.numpy()
        elif isinstance(one, sparse.csr_array):
            arrays[f"{index}.data"] = one.data
            arrays[f"{index}.indices"], arrays[f"{index}.indptr"] = one.indices, one.indptr
        else:
            arrays[f"{index}.dense"] = one.numpy()
    return arrays


def unpacked_attention(arrays: Mapping[str, NDArray[Any]]) -> SelfAttention:
    """Return the attention maps from `packed_attention`."""
    height, width = arrays["grid"].tolist()
    count = len({name.partition(".")[0] for name in arrays} - {"grid"})
    side = height * width

    def one(index: int) -> AttentionMap:
        if f"{index}.levels" in arrays:
            levels, step = arrays[f"{index}.levels"], arrays[f"{index}.step"]
            return LevelMap(torch.from_numpy(levels), torch.from_numpy(step))
        if f"{index}.data" in arrays:
            data, indices, indptr = (arrays[f"{index}.{n}"] for n in ("data", "indices", "indptr"))
            return sparse.csr_array((data, indices, indptr), shape=(side, side))
        return torch.from_numpy(arrays[f"{index}.dense"])

    return SelfAttention(tuple(map(one, range(count))), (height, width))
