"""Provisional labels of what is visible of a large image, before all its tiles are encoded.

They use the maxima known so far: those of the tiles that the view touches, and of other tiles that
are already in the store. The result of the whole image replaces them.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from .chunk_parts import Extremes, either
from .features.composite import Composite
from .features.interpolation import bilinear_region, nearest, needed
from .features.mosaic import Mosaic, presence_rank_of
from .features.tiled_image import TiledImage
from .labelling.label_rule import LabelArray
from .labelling.thresholds import Thresholds
from .progress import Monitor
from .prompts import ClassPrompt, usable_background
from .refiners.protocol import PixelRefiner
from .results import ImageEmbedding, ScoreMaps, TilePart
from .scoring.prototypes import Prototypes
from .scoring.similarity import Queries
from .segmenter import Segmenter
from .tile_encoder import TileEncoder, stage_of
from .tiled_embedding import identity_of
from .tiles import TileLayout, Window
from .words import question_of

FEW = 16
"""Most tiles of a view that is labelled in tiles; a larger view is labelled reduced."""

PART = 4
"""A view is labelled in tiles if the image has so many times more of them."""

OTHERS = 32
"""Other tiles whose maxima count, if they are in the store; they are spread evenly."""

SMALLEST = 448
"""Shorter side, in pixels, of a reduced view."""

MOST = 1 << 24
"""Most pixels that are read for a reduced view of an image that is not in memory."""


@dataclass(frozen=True, eq=False)
class VisibleLabels:
    """Provisional labels of a part of an image.

    Parameters
    ----------
    labels : (h, w) uint8 or uint16 array
        At the resolution of the image, or a lower one.
    window : Window
        The pixels of the image that they cover.
    """

    labels: LabelArray
    window: Window


def visible_labels(
    segmenter: Segmenter,
    image: TiledImage,
    view: Window,
    classes: Sequence[ClassPrompt],
    *,
    background: Sequence[str] | None = None,
    thresholds: Thresholds | None = None,
    prototypes: Prototypes | None = None,
    prototype_weight: float | None = None,
    monitor: Monitor | None = None,
) -> VisibleLabels | None:
    """Label what is visible of an image in tiles.

    A view of a few tiles is labelled in tiles, which are then in the store; with prototypes, it is
    labelled as an image of its own. A larger one is reduced and encoded as a whole. The final stage
    is labelled.

    Parameters
    ----------
    segmenter : Segmenter
        With tiles.
    image : TiledImage
        From `Segmenter.check`.
    view : Window
        In pixels of the image, inside it.
    classes, background, prototypes, prototype_weight
        As in `Segmenter.score`.
    thresholds : Thresholds, optional
        Default: those of the settings.
    monitor : Monitor, optional

    Returns
    -------
    VisibleLabels or None
        None if the whole image has few tiles, and if too many pixels would be read.

    Raises
    ------
    SegmentationError
        As raised by `Segmenter.embed` and `Segmenter.score`.
    """
    monitor, layout = monitor or Monitor(), segmenter.layout(image.shape)
    if layout is None or len(layout) <= FEW:
        return None
    touched = len(list(layout.touching(_cells(layout, view))))
    words = segmenter.config.chosen_background if background is None else background
    few = touched <= FEW and touched * PART <= len(layout)
    if few and prototypes is None:
        thresholds = thresholds or segmenter.settings.thresholds
        with segmenter.networks.guard("labelling what is visible"), torch.inference_mode():
            found = _View(segmenter, image, layout, view, monitor).scores(classes, words)
            return VisibleLabels(found.to_labels(thresholds, window=view), view)
    if touched * PART > len(layout):
        view = Window(0, 0, *image.shape)  # nearly all is visible
    pixels = image.region(view) if few else _reduced(image, view)
    if pixels is None:
        return None
    part = segmenter
    if not few:
        part = segmenter.with_config(replace(segmenter.config, tiles=None))
    masks = None
    if image.masks is not None:
        masks = nearest(image.masks[view.slices], (pixels.shape[0], pixels.shape[1]))
    options: dict[str, Any] = {"report": monitor.report, "should_stop": monitor.should_stop}
    scores = part.score(
        part.embed(pixels, masks=masks, **options),
        classes,
        background=words,
        prototypes=prototypes,
        prototype_weight=prototype_weight,
        **options,
    )
    return VisibleLabels(scores.to_labels(thresholds), view)


def _cells(layout: TileLayout, view: Window) -> Window:
    """The patches that the pixels of a view lie in."""
    seen, patch = needed(view, layout.shape, layout.scaled), layout.patch
    return Window(
        seen.top // patch, seen.left // patch, -(-seen.bottom // patch), -(-seen.right // patch)
    )


def _reduced(image: TiledImage, view: Window) -> NDArray[np.uint8] | None:
    """A view in 8-bit RGB, from the coarsest level that is fine enough, or every n-th pixel.

    None if too many pixels would be read.
    """
    found = None
    for level in (image.source, *image.coarser):
        ratios = [have / want for have, want in zip(level.shape[:2], image.shape, strict=True)]
        part = Window(
            math.floor(view.top * ratios[0]), math.floor(view.left * ratios[1]),
            math.ceil(view.bottom * ratios[0]), math.ceil(view.right * ratios[1]),
        )  # fmt: skip
        if found is None or min(part.shape) >= SMALLEST:
            found = level, part
    assert found is not None  # noqa: S101 - there is the image itself
    level, part = found
    in_memory = isinstance(level, np.ndarray)
    if isinstance(level, Composite) or not (in_memory or math.prod(part.shape) <= MOST):
        return None
    pixels = level[part.slices]
    step = max(min(part.shape) // SMALLEST, 1) if in_memory else 1
    pixels = np.asarray(pixels[::step, ::step])
    return TiledImage(pixels, image.stretch).pixels


class _Tile(NamedTuple):
    """A tile whose features are in the store."""

    place: Window
    keys: Mapping[TilePart, str]


_Maps = Callable[[_Tile], tuple[Tensor, Tensor | None] | None]
"""Returns the coarse and the refined maps of a tile; None for a tile without contrast."""


@dataclass(frozen=True, eq=False)
class _RegionPlanes:
    """Planes of a part of an image, as `pixel_planes.PixelPlanes`.

    Parameters
    ----------
    planes : (C, h, w) tensor
    shape, grid : (int, int)
        Of the whole image, and of the whole planes.
    origin : (int, int)
        Cell of the whole planes where `planes` starts.
    view : Window
        The pixels of the image that are available.
    """

    planes: Tensor
    shape: tuple[int, int]
    grid: tuple[int, int]
    origin: tuple[int, int]
    view: Window

    @property
    def count(self) -> int:
        """Number of planes."""
        return len(self.planes)

    @property
    def nbytes(self) -> int:
        """Bytes of memory."""
        return self.planes.nbytes

    def windows(self) -> Iterator[Window]:
        """The whole available part."""
        yield self.view

    def at(self, window: Window, chosen: Sequence[int] | None = None) -> Tensor:
        """Planes in a part of the image, (C, height, width) float32."""
        planes = self.planes if chosen is None else self.planes[list(chosen)]
        return bilinear_region(planes, self.shape, window, grid=self.grid, origin=self.origin)


class _View:
    """Scores the part of an image that is visible, in tiles of the whole image.

    Parameters
    ----------
    segmenter, image, layout, view, monitor
        As in `visible_labels`.
    """

    def __init__(
        self,
        segmenter: Segmenter,
        image: TiledImage,
        layout: TileLayout,
        view: Window,
        monitor: Monitor,
    ) -> None:
        self._segmenter, self._image, self._layout = segmenter, image, layout
        self._view, self._monitor = view, monitor
        self._encoder = TileEncoder(segmenter.reader, segmenter.tile_store)
        self._blank = ImageEmbedding(
            image, np.zeros((0, 0, 3), np.uint8), None, (), None, None, segmenter.config, {}
        )

    def scores(
        self,
        classes: Sequence[ClassPrompt],
        background: Sequence[str],
    ) -> ScoreMaps:
        """The scores of the final stage; only the view can be labelled."""
        segmenter, encoder, layout = self._segmenter, self._encoder, self._layout
        segmenter.networks.load(self._monitor)
        kept, _ = usable_background(classes, background)
        queries, _, _ = question_of(
            segmenter.networks, classes, kept, None, None, None, (), self._monitor
        )
        seen, others = self._visible(), self._others()
        self._monitor.tell("Labelling what is visible", 0, 0)
        maps_of = self._reader_of_maps((*seen, *others), queries)
        box = Window(
            min(one.place.top for one in seen), min(one.place.left for one in seen),
            max(one.place.bottom for one in seen), max(one.place.right for one in seen),
        )  # fmt: skip
        count = len(classes)
        blended, fine = self._mosaics(seen, maps_of, box, count)
        joined, cells, finer, region = blended, blended, 1, box
        if encoder.by_pixels:
            joined, cells, region = self._refined(blended, box)
            finer = layout.patch
        elif fine is not None:
            finer = fine.finer
            joined, region = fine.result(len(blended)), box.in_pixels(finer)
            cells = F.max_pool2d(joined, finer)
        tile = math.prod(layout.tile)
        rank = presence_rank_of(math.prod(box.shape) / tile + len(others), tile)
        before, last = Extremes.of(blended, rank), Extremes.of(cells, rank)
        ranges = Extremes.of(joined)
        for one in others:
            if (maps := maps_of(one)) is not None:
                found = Extremes.of(maps[0], rank)
                before, last = before.merged(found, rank), last.merged(found, rank)
                ranges = ranges.merged(replace(found, top=ranges.top), 0)
        class_scores = before.top[:count, -1]
        if segmenter.reader.refiner is not None:
            class_scores = encoder.class_scores(last.top[:count, -1], class_scores)
        grid = (layout.grid[0] * finer, layout.grid[1] * finer)
        detail = _RegionPlanes(
            _padded(joined), layout.shape, grid, (region.top - 1, region.left - 1), self._view
        )
        stage = replace(
            stage_of(torch.zeros(len(blended), 1, 1), class_scores.numpy()),
            detail=detail,
            known_ranges=ranges.ranges,
        )
        return ScoreMaps(
            stage, None, tuple(classes), kept, self._image.shape, segmenter.settings,
            segmenter.config, owner=queries.owner,
        )  # fmt: skip

    def _reader_of_maps(self, tiles: Sequence[_Tile], queries: Queries) -> _Maps:
        """Return the function that computes the maps of a tile, with the maxima of all these."""
        encoder = self._encoder
        peaks: Tensor | None = None
        for one in tiles:
            if (tile := self._embedding(one)) is not None:
                own = encoder.reader.method.peaks(tile, queries, encoder.settings)
                peaks = either(peaks, own, torch.maximum)

        def maps_of(one: _Tile) -> tuple[Tensor, Tensor | None] | None:
            tile = self._embedding(one)
            if tile is None:
                return None
            return encoder.maps_of(
                tile, self._image, self._layout, one.place, one.keys, queries, peaks, self._monitor
            )

        return maps_of

    def _mosaics(
        self, seen: Sequence[_Tile], maps_of: _Maps, box: Window, planes: int
    ) -> tuple[Tensor, Mosaic | None]:
        """Blend the coarse maps of tiles, (C, h, w), and the refined ones, if there are any."""
        coarse, fine = Mosaic(self._layout, 1, box), None
        for one in seen:
            found = maps_of(one)
            if found is None:
                continue
            maps, refined = found
            planes = len(maps)
            coarse.add(maps, one.place)
            if refined is not None:
                finer = -(-refined.shape[1] // one.place.shape[0])
                fine = fine or Mosaic(self._layout, finer, box.in_pixels(finer))
                fine.add(refined, one.place)
        for one in seen:
            if not one.keys:
                coarse.add(None, one.place)
                if fine is not None:
                    fine.add(None, one.place)
        return coarse.result(planes), fine

    def _visible(self) -> list[_Tile]:
        """The tiles that the view touches, encoded if need be."""
        encoder, found = self._encoder, []
        identity = identity_of(self._segmenter.networks)
        tiles = list(self._layout.touching(_cells(self._layout, self._view)))
        allowed = encoder.attention_bytes() * len(tiles) // len(self._layout)
        for done, (_, place) in enumerate(tiles):
            self._monitor.tell("Encoding the visible tiles", done, len(tiles))
            pixels = encoder.pixels_of(self._image, self._layout, place)
            keys, stored = encoder.encoded(
                self._image, self._layout, identity, place, pixels, allowed, self._monitor
            )
            allowed -= stored
            found.append(_Tile(place, keys))
        return found

    def _others(self) -> list[_Tile]:
        """Some of the other tiles, if they are in the store."""
        encoder, layout, found = self._encoder, self._layout, []
        identity = identity_of(self._segmenter.networks)
        touched = {index for index, _ in layout.touching(_cells(layout, self._view))}
        rest = [index for index in range(len(layout)) if index not in touched]
        for index in rest[:: max(-(-len(rest) // OTHERS), 1)]:
            self._monitor.check()
            place = layout.cell(index)
            pixels = encoder.pixels_of(self._image, layout, place)
            keys = encoder.keys_of(self._image, layout, identity, place, pixels)
            if keys and keys["clip"] in encoder.store:
                found.append(_Tile(place, keys))
        return found

    def _embedding(self, one: _Tile) -> ImageEmbedding | None:
        self._monitor.check()
        return self._encoder.tile(
            self._blank, self._image, self._layout, one.place, one.keys, self._monitor
        )

    def _refined(self, blended: Tensor, box: Window) -> tuple[Tensor, Tensor, Window]:
        """The maps after a refiner of pixels, their maxima in each patch, and where they lie."""
        layout, refiner = self._layout, self._segmenter.reader.refiner
        assert isinstance(refiner, PixelRefiner)  # noqa: S101 - called only with one
        region = box.in_pixels(layout.patch)
        scaled = bilinear_region(
            _padded(blended),
            layout.scaled,
            region,
            grid=layout.grid,
            origin=(box.top - 1, box.left - 1),
        )
        pixels = self._encoder.pixels_of(self._image, layout, box)
        joined = refiner.refine_pixels(scaled, pixels, self._monitor)
        return joined, F.max_pool2d(joined, layout.patch), region


def _padded(planes: Tensor) -> Tensor:
    """(C, h, w) planes with their outer cells repeated, as there are no values beyond them."""
    return F.pad(planes, (1, 1, 1, 1), mode="replicate")
