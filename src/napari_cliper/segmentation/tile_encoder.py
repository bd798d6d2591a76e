"""The steps of the engine for an image in tiles: embed and score.

Each tile is read by the method and the refiner as if it were an image. What is normalised over an
image (contrast, maxima, thresholds relative to a maximum) is taken over all tiles.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

from .config import Settings
from .errors import InvalidInputError
from .features.mosaic import Mosaic, presence
from .features.pixel_planes import InterpolatedPlanes, PixelPlanes
from .features.preprocessing import RGBPixels, is_constant
from .features.tiled_image import TiledImage, tile_window
from .image_reader import ImageReader
from .labelling.label_rule import ClassRanges
from .methods.protocol import ClipFeatures, ImageInput
from .methods.table import METHODS
from .models.tile_cache import TileStore, key_of
from .progress import Monitor
from .refiners.attention_maps import SelfAttention
from .refiners.protocol import PixelRefiner
from .refiners.refined_planes import RefinedPlanes
from .refiners.table import REFINERS
from .results import ImageEmbedding, StageMaps, TilePart, TileSet
from .scoring.similarity import Queries
from .tile_arrays import (
    packed_attention,
    packed_features,
    unpacked_attention,
    unpacked_features,
)
from .tiles import TileLayout, Window

FORMAT = 1
"""Changed when entries of older versions must not be used."""

ATTENTION_SHARE = 0.5
"""Share of the cache that the refiner's attention of one image may take."""


@dataclass(frozen=True, eq=False)
class TileEncoder:
    """Embeds and scores images in tiles.

    Parameters
    ----------
    reader : ImageReader
        Runs the networks on the pixels of a tile.
    store : TileStore
    """

    reader: ImageReader
    store: TileStore

    @property
    def settings(self) -> Settings:
        """The settings of a tile: without sliding windows."""
        return replace(self.reader.settings, window=0)

    # ------------------------------------------------------------------ embed

    def embed(
        self, image: TiledImage, layout: TileLayout, identity: str, monitor: Monitor
    ) -> tuple[TileSet, RGBPixels]:
        """Run the networks on every tile that is not in the store.

        Parameters
        ----------
        identity : str
            What the features depend on beside the pixels and given masks.

        Returns
        -------
        TileSet
        (h, w, 3) uint8 array
            The image at one pixel for each patch.
        """
        keys: list[Mapping[TilePart, str]] = []
        overview = np.zeros((*layout.grid, 3), np.uint8)
        cells = layout.cells
        allowed = self.attention_bytes()
        for index, place in enumerate(cells):
            monitor.tell("Encoding the tiles", index, len(cells))
            pixels = self.pixels_of(image, layout, place)
            size = place.shape[::-1]
            overview[place.slices] = np.asarray(
                Image.fromarray(pixels).resize(size, Image.Resampling.BOX)
            )
            own, stored = self.encoded(image, layout, identity, place, pixels, allowed, monitor)
            allowed -= stored
            keys.append(own)
        self.store.trim()
        return TileSet(image, layout, tuple(keys), self.store), overview

    def encoded(
        self,
        image: TiledImage,
        layout: TileLayout,
        identity: str,
        place: Window,
        pixels: RGBPixels,
        allowed: int,
        monitor: Monitor,
    ) -> tuple[dict[TilePart, str], int]:
        """The keys of a tile, and how many bytes of attention are new in the store."""
        own = self.keys_of(image, layout, identity, place, pixels)
        if own and own["clip"] not in self.store:
            self._read_features(own["clip"], self._source(image, layout, place, pixels), monitor)
        if "refiner" not in own or allowed <= 0 or own["refiner"] in self.store:
            return own, 0
        crop = image.region(tile_window(layout, place))
        return own, self._read_attention(own["refiner"], crop, monitor).nbytes

    def keys_of(
        self,
        image: TiledImage,
        layout: TileLayout,
        identity: str,
        place: Window,
        pixels: RGBPixels,
    ) -> dict[TilePart, str]:
        """The keys of a tile in the store; none for a tile without contrast."""
        if is_constant(pixels):
            return {}
        source = self._source(image, layout, place, pixels)
        depends_on = [identity, pixels]
        if source.original is not pixels:
            depends_on.append(source.original)
        if source.masks is not None:
            depends_on.append(source.masks)
        own: dict[TilePart, str] = {"clip": key_of("clip", FORMAT, *depends_on)}
        if self.reads_attention:
            crop = image.region(tile_window(layout, place))
            own["refiner"] = key_of("refiner", FORMAT, self.reader.config.embedding_key, crop)
        return own

    @property
    def reads_attention(self) -> bool:
        """Whether the refiner computes attention from each tile."""
        return bool(REFINERS[self.reader.config.chosen_refiner].reads)

    def attention_bytes(self) -> int:
        """Bytes of the refiner's attention that may be stored for one image."""
        return int(self.store.limit * ATTENTION_SHARE)

    def pixels_of(self, image: TiledImage, layout: TileLayout, cells: Window) -> RGBPixels:
        """A tile as the networks see it, (height, width, 3) uint8."""
        window = cells.in_pixels(layout.patch)
        return image.scaled(window, layout.scaled, self.reader.method.resampling)

    def _source(
        self, image: TiledImage, layout: TileLayout, cells: Window, pixels: RGBPixels
    ) -> ImageInput:
        """What the method encodes of a tile; not resized only for a method that needs it so."""
        window = tile_window(layout, cells)
        row = METHODS[self.reader.config.method]
        original = image.region(window) if "sam" in row.needs or row.uses_masks else pixels
        masks = None if image.masks is None else image.masks[window.slices]
        return ImageInput(pixels, original, masks)

    def _features(self, source: ImageInput, monitor: Monitor) -> ClipFeatures:
        monitor = monitor.downloads_only()  # the progress is that of all tiles
        masks = self.reader.masks(source.original, source.masks, monitor)
        return self.reader.features(replace(source, masks=masks), self.settings, monitor)

    def _read_features(self, key: str, source: ImageInput, monitor: Monitor) -> None:
        self.store.put(key, packed_features(self._features(source, monitor)))

    def _read_attention(self, key: str, crop: RGBPixels, monitor: Monitor) -> SelfAttention:
        found = self.reader.attention(crop, monitor.downloads_only())
        if not isinstance(found, SelfAttention):
            raise InvalidInputError(
                f"The refiner {self.reader.config.chosen_refiner} returned no attention."
            )
        self.store.put(key, packed_attention(found))
        return found

    def encode_alone(
        self, image: TiledImage, layout: TileLayout, place: Window, monitor: Monitor
    ) -> int:
        """Encode a tile without storing it; return the bytes of its features."""
        tile = self._source(image, layout, place, self.pixels_of(image, layout, place))
        found = packed_features(self._features(tile, monitor))
        return sum(one.nbytes for one in found.values())

    # ------------------------------------------------------------------ score

    def score(
        self,
        embedding: ImageEmbedding,
        tiles: TileSet,
        queries: Queries,
        monitor: Monitor,
    ) -> tuple[StageMaps, StageMaps | None]:
        """Compute the coarse and the refined maps of the mosaic.

        Returns
        -------
        coarse : StageMaps
        refined : StageMaps or None
            None without a refiner.
        """
        layout, count = tiles.layout, queries.class_count
        peaks = self._peaks(embedding, tiles, queries, monitor)
        coarse, sharp = Mosaic(layout), None
        planes, empty = count, []
        for place, keys, tile in self._tiles(embedding, tiles, "Scoring the tiles", monitor):
            if tile is None:
                empty.append(place)
                continue
            maps, found = self.maps_of(
                tile, tiles.image, layout, place, keys, queries, peaks, monitor
            )
            planes = len(maps)
            coarse.add(maps, place)
            if found is not None:
                sharp = sharp or Mosaic(layout, -(-found.shape[1] // place.shape[0]))
                sharp.add(found, place)
        for place in empty:
            coarse.add(None, place)
            if sharp is not None:
                sharp.add(None, place)
        blended = coarse.result(planes)
        before = presence(blended[:count], layout)
        stage = stage_of(blended, before.numpy())
        if self.by_pixels:
            return stage, self._refined_by_pixels(blended, stage, tiles, monitor)
        if sharp is None:
            return stage, None
        joined = sharp.result(planes)
        scores = presence(F.max_pool2d(joined[:count], sharp.finer), layout)
        return stage, stage_of(joined, self.class_scores(scores, before).numpy())

    def _tiles(
        self, embedding: ImageEmbedding, tiles: TileSet, doing: str, monitor: Monitor
    ) -> Iterator[tuple[Window, Mapping[TilePart, str], ImageEmbedding | None]]:
        """Patches, keys and embedding of each tile; None for one without contrast."""
        layout, cells = tiles.layout, tiles.layout.cells
        for index, (place, keys) in enumerate(zip(cells, tiles.keys, strict=True)):
            monitor.tell(doing, index, len(cells))
            yield place, keys, self.tile(embedding, tiles.image, layout, place, keys, monitor)

    def tile(
        self,
        embedding: ImageEmbedding,
        image: TiledImage,
        layout: TileLayout,
        place: Window,
        keys: Mapping[TilePart, str],
        monitor: Monitor,
    ) -> ImageEmbedding | None:
        """The embedding of a tile from the store; None for one without contrast.

        Networks run only for an entry that was deleted from the store.
        """
        if not keys:
            return None
        arrays = self.store.get(keys["clip"])
        if arrays is None:
            pixels = self.pixels_of(image, layout, place)
            features = self._features(self._source(image, layout, place, pixels), monitor)
            arrays = packed_features(features)
            self.store.put(keys["clip"], arrays)
        height, width = place.in_pixels(layout.patch).shape
        unread = np.broadcast_to(np.uint8(0), (height, width, 3))
        features = unpacked_features(arrays)
        return replace(embedding, resized=unread, tiles=None, **features._asdict())

    def maps_of(
        self,
        tile: ImageEmbedding,
        image: TiledImage,
        layout: TileLayout,
        place: Window,
        keys: Mapping[TilePart, str],
        queries: Queries,
        peaks: Tensor | None,
        monitor: Monitor,
    ) -> tuple[Tensor, Tensor | None]:
        """The maps of a tile, (C, h, w), and those after a refiner that works tile by tile."""
        monitor = monitor.downloads_only()
        stage = self.reader.method.score(
            self.reader.with_words(tile, queries, monitor),
            queries,
            self.settings,
            self.reader.patch,
            peaks,
        )
        maps = _planes(stage)
        if self.reader.refiner is None or self.by_pixels:
            return maps, None
        return maps, self._refined(maps, tile, image, layout, place, keys, monitor)

    def _peaks(
        self,
        embedding: ImageEmbedding,
        tiles: TileSet,
        queries: Queries,
        monitor: Monitor,
    ) -> Tensor | None:
        """The maxima over all tiles that the method's thresholds are relative to, (T,)."""
        peaks: Tensor | None = None
        for *_, tile in self._tiles(embedding, tiles, "Comparing the tiles", monitor):
            if tile is None:
                continue
            found = self.reader.method.peaks(tile, queries, self.settings)
            if found is None:
                return None
            peaks = found if peaks is None else torch.maximum(peaks, found)
        return peaks

    # ------------------------------------------------------------------ refine

    @property
    def by_pixels(self) -> bool:
        """Whether the refiner works on the pixels of the whole image, part by part."""
        return isinstance(self.reader.refiner, PixelRefiner)

    def _refined(
        self,
        maps: Tensor,
        tile: ImageEmbedding,
        image: TiledImage,
        layout: TileLayout,
        place: Window,
        keys: Mapping[TilePart, str],
        monitor: Monitor,
    ) -> Tensor:
        """The maps of a tile after the refiner, (C, h', w')."""
        assert self.reader.refiner is not None  # noqa: S101 - called only with one
        attention = None
        if self.reads_attention:
            arrays = self.store.get(keys["refiner"])
            if arrays is None:
                crop = image.region(tile_window(layout, place))
                attention = self.reader.attention(crop, monitor)
            else:
                attention = unpacked_attention(arrays)
        pixels = self.pixels_of(image, layout, place)
        whole = replace(tile, resized=pixels, self_attention=attention)
        return self.reader.refiner.refine(maps, whole, monitor)

    def _refined_by_pixels(
        self, maps: Tensor, coarse: StageMaps, tiles: TileSet, monitor: Monitor
    ) -> StageMaps:
        """The refined maps of a mosaic, which are computed part by part."""
        scaled = InterpolatedPlanes(maps, tiles.layout.scaled)
        planes = self.refined_planes(scaled, tiles.image, tiles.layout)
        summary = planes.summary(monitor)
        count = len(coarse.class_scores)
        scores = presence(summary.maxima[:count], tiles.layout)
        before = torch.from_numpy(coarse.class_scores)
        stage = stage_of(summary.means, self.class_scores(scores, before).numpy())
        ranges = ClassRanges(tuple(summary.low.tolist()), tuple(summary.high.tolist()))
        return replace(stage, detail=planes, known_ranges=ranges)

    def refined_planes(
        self, scaled: PixelPlanes, image: TiledImage, layout: TileLayout, *, keeps: bool = True
    ) -> RefinedPlanes:
        """The maps after a refiner of pixels; `scaled` are those before, as the networks see."""
        refiner, resampling = self.reader.refiner, self.reader.method.resampling
        assert isinstance(refiner, PixelRefiner)  # noqa: S101 - called only with one
        return RefinedPlanes(scaled, image, layout, refiner, resampling, keeps=keeps)

    def class_scores(self, refined: Tensor, coarse: Tensor) -> Tensor:
        """The class scores of the refined stage, (T,), from those of both stages."""
        return (refined + coarse) / 2 if self.reader.config.rule == "cliper" else refined


def _planes(stage: StageMaps) -> Tensor:
    """The maps of the classes and, if there is one, of the background, (C, h, w)."""
    maps = torch.from_numpy(stage.maps)
    if stage.background is None:
        return maps
    return torch.cat([maps, torch.from_numpy(stage.background)[None]])


def stage_of(planes: Tensor, class_scores: NDArray[np.float32]) -> StageMaps:
    """The maps of the classes, and of the background if there is one more plane."""
    count = len(class_scores)
    background = planes[count].numpy() if len(planes) > count else None
    return StageMaps(planes[:count].contiguous().numpy(), class_scores, background)
