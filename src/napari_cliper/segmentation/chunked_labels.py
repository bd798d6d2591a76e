"""Labels of a large image in tiles, chunk by chunk, in any number of processes.

The work on an image has several passes. The parts of a pass can be done in any order and by any
process, because all they need to know of each other is small: it is combined after each pass.

    encode       features of tiles into the store;             maxima that methods need
    score        score maps of tiles into a folder
    summarise    maps refined once;                            scores of the classes, ranges
    join         maps joined with prototypes, if there are any; their highest values
    label        labels of the chunks of a label image;        pixels of each class
    compare      uncertainty;                                  its sum

Memory depends neither on the size of the image nor on the number of tiles. The results do not
depend on who does which part.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from .chunk_parts import UNIT, Extremes, Kind, Known, Part, either
from .features.mosaic import presence_rank, resampled
from .features.patch_features import tile_features
from .features.pixel_planes import PixelPlanes
from .features.tiled_image import TiledImage
from .labelling.label_rule import LabelArray, label_dtype
from .labelling.live_labels import LiveLabels
from .labelling.thresholds import Thresholds
from .progress import Monitor
from .prompts import ClassPrompt, usable_background
from .prototype_fusion import PrototypeFusion
from .prototype_maps import JoinedPlanes, PrototypeLogits, cell_means, log_probabilities
from .provenance import embedding_record, prototype_usage, score_record
from .refiners.refined_planes import CHUNK, RefinedPlanes, part_side
from .results import ImageEmbedding, ScoreMaps, Stage, StageMaps, TilePart
from .scoring.prototypes import Prototypes
from .segmenter import Segmenter
from .tile_encoder import TileEncoder, stage_of
from .tile_maps import BlendedPlanes, TileMaps
from .tile_maps import Kind as MapKind
from .tiled_embedding import identity_of
from .tiles import Window, squares
from .words import Question, question_of

Write = Callable[[Stage, Window, LabelArray], None]
"""Takes the labels of a chunk."""


class Described(NamedTuple):
    """What a process that has loaded the networks knows of an image: notes and provenance."""

    notes: tuple[str, ...]
    background: tuple[str, ...]
    embedding: dict[str, Any]
    prototypes: dict[str, Any]
    fusion: PrototypeFusion | None


class ChunkedLabels:
    """Labels of one image in tiles, chunk by chunk.

    Parameters
    ----------
    segmenter : Segmenter
    image : TiledImage
        From `Segmenter.check`, larger than a tile, without masks.
    classes, thresholds
    folder : Path
        For score maps; must exist, and be the same for all processes.
    prototypes, prototype_weight, pixel_size
        As in `Segmenter.score`.

    Raises
    ------
    InvalidInputError
        For invalid classes.
    """

    def __init__(
        self,
        segmenter: Segmenter,
        image: TiledImage,
        classes: Sequence[ClassPrompt],
        thresholds: Thresholds,
        folder: Path,
        *,
        prototypes: Prototypes | None = None,
        prototype_weight: float | None = None,
        pixel_size: float | None = None,
    ) -> None:
        layout = segmenter.layout(image.shape)
        assert layout is not None  # noqa: S101 - it is larger than a tile
        self.segmenter, self.image, self.layout = segmenter, image, layout
        self.classes, self.thresholds = tuple(classes), thresholds
        self.background, self._dropped = usable_background(
            self.classes, segmenter.config.chosen_background
        )
        self._prototypes, self._weight = prototypes, prototype_weight
        self._pixel_size = pixel_size
        self._folder = folder
        self._encoder = TileEncoder(segmenter.reader, segmenter.tile_store)
        self._maps = TileMaps(folder, layout)
        self._question: Question | None = None
        self._logits: PrototypeLogits | None = None
        self._refined: RefinedPlanes | None = None
        self._work: Mapping[Kind, Callable[[Part, Known, Monitor], Known]] = {
            "encode": self._encode,
            "score": self._score,
            "summarise": self._summarise,
            "join": self._join,
            "find": self._find,
            "compare": self._compare,
        }

    # ------------------------------------------------------------------ parts and results

    @property
    def rank(self) -> int:
        """How many of the highest values of a map are needed; see `Known.merged`."""
        return presence_rank(self.layout)

    @property
    def stages(self) -> tuple[Stage, ...]:
        """Names of the stages, the final one last."""
        return ("coarse",) if self.segmenter.reader.refiner is None else ("coarse", "refined")

    def passes(self, chunk: int) -> Iterator[tuple[str, int, Iterator[Part]]]:
        """Yield what is done in each pass, the number of its parts, and the parts.

        Parameters
        ----------
        chunk : int
            Side of a chunk of the label image, in pixels.
        """
        groups = -(-len(self.layout) // len(next(self._maps.groups())))
        side = part_side(self.layout.patch)
        cells = math.prod(-(-length // side) for length in self.layout.grid)
        chunks = math.prod(-(-length // chunk) for length in self.layout.shape)

        def of_tiles(kind: Kind) -> Iterator[Part]:
            return (Part(kind, tiles=tiles) for tiles in self._maps.groups())

        def of_cells(kind: Kind) -> Iterator[Part]:
            return (
                Part(kind, cells=cells, window=window) for cells, window in self.layout.parts(side)
            )

        def labels() -> Iterator[Part]:
            yield from of_cells("find")
            yield from (Part("label", window=one) for one in squares(self.layout.shape, chunk))

        yield "Encoding the tiles", groups, of_tiles("encode")
        yield "Scoring the tiles", groups, of_tiles("score")
        yield "Comparing the classes", cells, of_cells("summarise")
        if self._prototypes:
            yield "Comparing with the prototypes", cells, of_cells("join")
        yield "Labelling", cells + chunks, labels()
        yield "Computing the uncertainty", cells, of_cells("compare")

    def run(self, part: Part, known: Known, write: Write, monitor: Monitor) -> Known:
        """Do one part; return what it has found.

        Parameters
        ----------
        part : Part
        known : Known
            Of all passes before.
        write : callable
            Called with stage, window and labels of each chunk.
        monitor : Monitor

        Raises
        ------
        SegmentationError
            As raised by `Segmenter.embed` and `Segmenter.score`.
        """
        with self.segmenter.networks.guard("labelling a large image"), torch.inference_mode():
            if part.kind == "label":
                return self._label(part, known, write, monitor)
            return self._work[part.kind](part, known, monitor)

    def described(self, monitor: Monitor) -> Described:
        """Notes and provenance; loads the networks."""
        networks = self.segmenter.networks
        with networks.guard("scoring the words"), torch.inference_mode():
            networks.load(monitor)
            asked = self._asked(monitor)
        embedding = embedding_record(networks, self.image, self.layout.scaled, {})
        usage = prototype_usage(self._prototypes, self.classes, asked.fusion)
        return Described(
            asked.notes, self.background, dict(embedding), usage, self._fusion(monitor)
        )

    def result(self, known: Known, described: Described) -> ScoreMaps:
        """The scores of the classes and the record; the maps have no pixels."""
        scores = replace(self._scores(known, described.fusion), notes=described.notes)
        tiles = {"count": len(self.layout), "without contrast": known.blank}
        embedding = {**described.embedding, "tiles": tiles}
        record = {**score_record(scores, embedding, {}), **described.prototypes}
        return replace(scores, record=record)

    # ------------------------------------------------------------------ tiles

    def _asked(self, monitor: Monitor) -> Question:
        if self._question is None:
            segmenter = self.segmenter
            self._question = question_of(
                segmenter.networks, self.classes, self.background, self._prototypes, self._weight,
                self._pixel_size, segmenter.remarks(self.image, self._dropped), monitor,
            )  # fmt: skip
        return self._question

    def _fusion(self, monitor: Monitor) -> PrototypeFusion | None:
        """The prototypes that the words are joined with; None if none count."""
        found = self._asked(monitor).fusion if self._prototypes else None
        return found if found is not None and found.counts else None

    def _tiles(
        self, tiles: range, allowed: int, monitor: Monitor
    ) -> Iterator[tuple[Window, Mapping[TilePart, str], ImageEmbedding | None]]:
        """Patches, keys and embedding of some tiles, which are encoded if need be.

        `allowed` are the bytes of the refiner's attention that may be stored.
        """
        encoder, layout = self._encoder, self.layout
        self.segmenter.networks.load(monitor)
        identity = identity_of(self.segmenter.networks)
        for index in tiles:
            place = layout.cell(index)
            pixels = encoder.pixels_of(self.image, layout, place)
            keys, stored = encoder.encoded(
                self.image, layout, identity, place, pixels, allowed, monitor
            )
            allowed -= stored
            yield place, keys, encoder.tile(self._blank, self.image, layout, place, keys, monitor)
        self.segmenter.tile_store.trim()

    @cached_property
    def _blank(self) -> ImageEmbedding:
        """What the embeddings of all tiles have in common."""
        return ImageEmbedding(
            image=self.image,
            resized=np.zeros((0, 0, 3), np.uint8),
            whole=None,
            windows=(),
            window_attention=None,
            self_attention=None,
            config=self.segmenter.config,
            record={},
        )

    def _encode(self, part: Part, _known: Known, monitor: Monitor) -> Known:
        asked, encoder = self._asked(monitor), self._encoder
        peaks: Tensor | None = None
        blank = 0
        allowed = encoder.attention_bytes() * len(part.tiles) // len(self.layout)
        for *_, tile in self._tiles(part.tiles, allowed, monitor):
            if tile is None:
                blank += 1
                continue
            found = encoder.reader.method.peaks(tile, asked.queries, encoder.settings)
            peaks = either(peaks, found, torch.maximum)
        return Known(peaks=peaks, blank=blank)

    def _score(self, part: Part, known: Known, monitor: Monitor) -> Known:
        asked, fusion, layout = self._asked(monitor), self._fusion(monitor), self.layout
        found: list[dict[MapKind, Tensor] | None] = []
        planes, finer = len(self.classes), 1
        for place, keys, tile in self._tiles(part.tiles, 0, monitor):
            if tile is None:
                found.append(None)
                continue
            maps, refined = self._encoder.maps_of(
                tile, self.image, layout, place, keys, asked.queries, known.peaks,
                monitor,
            )  # fmt: skip
            planes = len(maps)
            own: dict[MapKind, Tensor] = {"coarse": resampled(maps.float(), place.shape)}
            if refined is not None:
                finer = -(-refined.shape[1] // place.shape[0])
                own["refined"] = resampled(refined.float(), place.in_pixels(finer).shape)
            if fusion is not None:
                part_features = tile_features(tile.whole or tile.windows[0])
                logits = fusion.classifier.patch_logits(part_features)
                own["prototypes"] = resampled(logits, place.shape)
            found.append(own)
        self._maps.write(part.tiles, found)
        return Known(planes=planes, finer=finer)

    # ------------------------------------------------------------------ maps

    def _planes(self, stage: Stage, known: Known, shape: tuple[int, int]) -> BlendedPlanes:
        """The maps of tiles, interpolated to a shape."""
        finer = known.finer if stage == "refined" else 1
        return BlendedPlanes(self._maps, stage, known.planes, finer, shape)

    def _refined_planes(self, known: Known) -> RefinedPlanes:
        """The maps after a refiner of pixels."""
        if self._refined is None:
            scaled = self._planes("coarse", known, self.layout.scaled)
            self._refined = self._encoder.refined_planes(
                scaled, self.image, self.layout, keeps=False
            )
        return self._refined

    def _refines_pixels(self, stage: Stage) -> bool:
        return stage == "refined" and self._encoder.by_pixels

    def _summarise(self, part: Part, known: Known, monitor: Monitor) -> Known:
        ranged = self.segmenter.config.rule == "cliper"
        cells, pixels = dict[str, Extremes](), dict[str, Extremes]()
        for stage in self.stages:
            if self._refines_pixels(stage):
                planes = self._refined_planes(known)
                summary = planes.summary_of(part.window, part.cells, monitor)
                np.save(self._path(part), summary.means.numpy())
                pixels[stage] = Extremes(summary.low, summary.high, torch.empty(known.planes, 0))
                highest = summary.maxima
            else:
                blended = self._planes(stage, known, self.layout.shape)
                highest = F.max_pool2d(blended.on_grid(part.cells), blended.finer)
                if ranged:
                    pixels[stage] = Extremes.of(blended.at(part.window))
            cells[stage] = Extremes.of(highest, self.rank)
        cells["final"] = Extremes.of(self._final(part, known))
        return Known(cells=cells, pixels=pixels)

    def _final(self, part: Part, known: Known) -> Tensor:
        """The maps of the last stage in a part of the mosaic, (C, h, w)."""
        stage = self.stages[-1]
        if self._refines_pixels(stage):
            return torch.from_numpy(np.load(self._path(part), allow_pickle=False))
        return self._planes(stage, known, self.layout.shape).on_grid(part.cells)

    def _path(self, part: Part, name: str = "means") -> Path:
        return self._folder / f"{name}-{part.cells.top}-{part.cells.left}.npy"

    # ------------------------------------------------------------------ prototypes

    def _join(self, part: Part, known: Known, monitor: Monitor) -> Known:
        fusion = self._fusion(monitor)
        if fusion is None:
            return Known()
        joined = dict[str, Extremes]()
        for stage, planes in self._joined(self._by_words(known), fusion).items():
            finer = known.finer if stage == "refined" else 1
            rows, columns = self.layout.grid
            means, highest = cell_means(
                planes, self._pieces(part.window), part.cells.in_pixels(finer),
                (rows * finer, columns * finer), monitor,
            )  # fmt: skip
            joined[stage] = Extremes(highest, highest, torch.empty(len(highest), 0))
            if stage == self.stages[-1]:
                np.save(self._path(part, "joined"), means.numpy())
        return Known(joined=joined)

    def _joined(self, words: ScoreMaps, fusion: PrototypeFusion) -> dict[Stage, JoinedPlanes]:
        """The planes of words and prototypes, by stage; computed on request."""
        if self._logits is None:
            patches = BlendedPlanes(
                self._maps, "prototypes", fusion.classifier.count, 1, self.layout.shape,
                log_probabilities,
            )  # fmt: skip
            self._logits = PrototypeLogits(fusion.classifier, self.image, patches)
        return {
            stage: JoinedPlanes(words, words.stage(stage), fusion, self._logits)
            for stage in words.stages
        }

    # ------------------------------------------------------------------ labels

    def _class_scores(self, known: Known) -> dict[Stage, NDArray[np.float32]]:
        """The scores of the classes, by stage."""
        count = len(self.classes)
        coarse = known.cells["coarse"].top[:count, -1]
        found: dict[Stage, NDArray[np.float32]] = {"coarse": coarse.numpy()}
        if "refined" in self.stages:
            refined = known.cells["refined"].top[:count, -1]
            found["refined"] = self._encoder.class_scores(refined, coarse).numpy()
        return found

    def _scores(self, known: Known, fusion: PrototypeFusion | None) -> ScoreMaps:
        """The score maps; parts of them are computed on request."""
        words = self._by_words(known)
        if fusion is None:
            return words
        stages = {
            stage: planes.stage_maps(torch.zeros(planes.count, 1, 1), known.joined[stage].high)
            for stage, planes in self._joined(words, fusion).items()
        }
        return replace(words, coarse=stages["coarse"], refined=stages.get("refined"))

    def _by_words(self, known: Known) -> ScoreMaps:
        """The score maps without prototypes."""
        maps: dict[Stage, StageMaps] = {}
        empty = torch.zeros(known.planes, 1, 1)
        for stage, class_scores in self._class_scores(known).items():
            planes: PixelPlanes = (
                self._refined_planes(known)
                if self._refines_pixels(stage)
                else self._planes(stage, known, self.layout.shape)
            )
            ranges = known.pixels[stage].ranges if stage in known.pixels else None
            plain = stage_of(empty, class_scores)
            maps[stage] = replace(plain, detail=planes, known_ranges=ranges)
        return self._of(maps["coarse"], maps.get("refined"), self.layout.shape)

    def _of(
        self, coarse: StageMaps, refined: StageMaps | None, shape: tuple[int, int]
    ) -> ScoreMaps:
        segmenter = self.segmenter
        return ScoreMaps(
            coarse, refined, self.classes, self.background, shape, segmenter.settings,
            segmenter.config, owner=(),
        )  # fmt: skip

    def _label(self, part: Part, known: Known, write: Write, monitor: Monitor) -> Known:
        scores, window = self._scores(known, self._fusion(monitor)), part.window
        count = len(self.classes) + 1
        found = {stage: np.zeros(window.shape, label_dtype(count - 1)) for stage in self.stages}
        for piece in self._pieces(window):
            place = piece.within(window).slices
            for stage, labels in found.items():
                monitor.check()
                labels[place] = scores.to_labels(self.thresholds, stage=stage, window=piece)
        for stage, labels in found.items():
            write(stage, window, labels)
        return Known(counts=np.bincount(found[self.stages[-1]].ravel(), minlength=count))

    def _pieces(self, window: Window) -> Iterator[Window]:
        """Parts of a chunk that the networks see as `CHUNK` pixels or fewer along each side."""
        scale = max(
            want / have for want, have in zip(self.layout.scaled, self.layout.shape, strict=True)
        )
        count = math.ceil(max(window.shape) * scale / CHUNK)
        for one in squares(window.shape, -(-max(window.shape) // count)):
            top, left = window.top, window.left
            yield Window(one.top + top, one.left + left, one.bottom + top, one.right + left)

    # ------------------------------------------------------------------ uncertainty

    def _live(self, part: Part, known: Known, monitor: Monitor) -> LiveLabels:
        """The labels of a part of the mosaic, as if it were an image."""
        final, fusion = self.stages[-1], self._fusion(monitor)
        if fusion is None:
            planes = self._final(part, known)
            at_pixels = known.pixels if self._refines_pixels(final) else {}
            ranges = at_pixels.get(final, known.cells["final"]).ranges
            plain = stage_of(planes, self._class_scores(known)[final])
            maps = replace(plain, known_ranges=ranges)
        else:
            planes = torch.from_numpy(np.load(self._path(part, "joined"), allow_pickle=False))
            joined = self._joined(self._by_words(known), fusion)[final]
            maps = replace(joined.stage_maps(planes, known.joined[final].high), detail=None)
        shape = planes.shape[1], planes.shape[2]
        return LiveLabels(self._of(maps, None, shape), "coarse")

    def _find(self, part: Part, known: Known, monitor: Monitor) -> Known:
        return Known(winners=self._live(part, known, monitor).winners(self.thresholds))

    def _compare(self, part: Part, known: Known, monitor: Monitor) -> Known:
        live = self._live(part, known, monitor)
        values = live.uncertainty(self.thresholds, winners=known.winners)
        total = int(np.rint(values * float(UNIT)).sum(dtype=np.float64))
        return Known(uncertainty=total, compared=values.size)
