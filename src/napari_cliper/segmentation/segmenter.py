"""`Segmenter`, the entry point of the engine, which runs the steps in order.

embed   seconds, without words:  windows, CLIP, the refiner's network
score   milliseconds:            words, coarse maps, refined maps
labels  milliseconds:            `ScoreMaps.to_labels`
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from .config import SegmentationConfig, Settings
from .errors import InvalidInputError
from .features.composite import Composite
from .features.contrast import Limits
from .features.patch_features import patch_features
from .features.preprocessing import RGBImage, check_shape, to_rgb
from .features.pyramid import Pyramid
from .features.tiled_image import TiledImage, tiled_image
from .image_reader import ImageReader
from .models import loading
from .models.tile_cache import TileCache, TileStore
from .networks import Networks
from .pixel_size import check_pixel_size
from .progress import Monitor, Report, ShouldStop
from .prompts import ClassPrompt, several, usable_background
from .prototype_maps import with_prototypes
from .provenance import engine_record, prototype_usage, score_record, settings_record
from .refiners.protocol import refined_maps
from .refiners.table import REFINERS
from .region_masks import given_masks
from .results import ImageEmbedding, ScoreMaps, StageMaps
from .scoring.prototypes import Prototypes, learn_prototypes
from .tile_encoder import TileEncoder
from .tile_estimate import TileCosts, TileEstimate, estimate_of
from .tiled_embedding import embed_tiled, identity_of
from .tiles import TileLayout, tile_layout
from .whole_encoder import embed_whole, timed
from .words import question_of


class Segmenter:
    """Open-vocabulary segmentation of images with one configuration.

    Networks are loaded on first use and shared by all segmenters with the same weights. `unload`
    or deleting the segmenter frees them.

    Parameters
    ----------
    config : SegmentationConfig, optional
        Default: ``SegmentationConfig()``.
    tile_store : TileStore, optional
        Where the features of tiles are kept, so that new words need no image network and a stopped
        run can continue. Default: ``TileCache()``, in the user's cache folder. ``TileMemory()``
        writes nothing to disk.

    Raises
    ------
    InvalidInputError
        For a device or a precision that this machine does not have, and for a CLIP model that is
        not supported.

    Examples
    --------
    >>> from napari_cliper.demo.scenes import make_scene
    >>> segmenter = Segmenter(SegmentationConfig(model="demo"))
    >>> embedding = segmenter.embed(make_scene((96, 96), seed=1).image)
    >>> classes = [ClassPrompt("nucleus"), ClassPrompt("crystal")]
    >>> segmenter.score(embedding, classes).to_labels().shape
    (96, 96)
    """

    def __init__(
        self, config: SegmentationConfig | None = None, *, tile_store: TileStore | None = None
    ) -> None:
        self.config = config or SegmentationConfig()
        self.networks = Networks(self.config)
        self.settings: Settings = self.networks.settings
        self.reader = ImageReader(self.networks)
        self.tile_store = TileCache() if tile_store is None else tile_store

    # ------------------------------------------------------------------ networks

    @property
    def device(self) -> torch.device:
        """The device that the networks run on."""
        return self.networks.device

    @property
    def dtype(self) -> torch.dtype:
        """The data type that the networks compute in."""
        return self.networks.dtype

    @property
    def source(self) -> loading.ClipSource:
        """The CLIP model and its properties, known without loading it."""
        return self.networks.source

    @property
    def identity(self) -> str:
        """Identifier of the model and settings that patch features depend on; loads CLIP."""
        return self.networks.identity

    @property
    def nbytes(self) -> int:
        """Bytes of memory that the loaded networks take."""
        return self.networks.nbytes

    @property
    def settings_record(self) -> dict[str, Any]:
        """All settings that results depend on, as JSON values; known without loading anything."""
        return settings_record(self.networks)

    @property
    def engine_record(self) -> dict[str, Any]:
        """The weights of the loaded networks and the versions of libraries, as JSON values."""
        return engine_record(self.networks)

    def load(self, *, report: Report | None = None, should_stop: ShouldStop | None = None) -> None:
        """Download, if needed, and load every network of the configuration.

        `embed` calls this itself.

        Raises
        ------
        WeightsUnavailableError, DamagedWeightsError, OutOfMemoryError, Stopped
        """
        with self.networks.guard("loading the networks"):
            self.networks.load(Monitor.of(report, should_stop))

    def with_config(self, config: SegmentationConfig) -> Segmenter:
        """A segmenter with another configuration that shares loaded networks and word vectors."""
        other = Segmenter(config, tile_store=self.tile_store)
        self.networks.share_with(other.networks)
        return other

    def unload(self) -> None:
        """Release the networks; memory is freed once no other segmenter uses them."""
        self.networks.unload()

    # ------------------------------------------------------------------ embed

    def check(
        self,
        image: NDArray[Any] | Composite | Pyramid,
        contrast: Limits | None = None,
        gamma: float = 1.0,
        masks: NDArray[Any] | None = None,
    ) -> RGBImage | TiledImage:
        """Check that an image can be embedded, without loading anything.

        Parameters
        ----------
        image, contrast, gamma, masks
            As for `embed`.

        Returns
        -------
        RGBImage or TiledImage
            The image as the networks will see it, before resizing; with tiles it is not read yet.

        Raises
        ------
        InvalidInputError
            For an image that `preprocessing.to_rgb` refuses, for more patches than the memory
            allows, for a `select_layer` that the model does not have, for masks that do not fit the
            image, and for masks with a method that uses none.
        """
        self.reader.method.check(self.settings, self.source.layers, self.config.model)
        layout = None
        if self.config.tiles is not None:
            check_shape(image)
            layout = self.layout((int(image.shape[0]), int(image.shape[1])))
        read = to_rgb if layout is None else tiled_image
        rgb = read(image, contrast, gamma)
        self.reader.check_memory(rgb.shape, layout)
        return (
            rgb if masks is None else replace(rgb, masks=given_masks(self.config, masks, rgb.shape))
        )

    def embed(
        self,
        image: NDArray[Any] | Composite | Pyramid,
        *,
        contrast: Limits | None = None,
        gamma: float = 1.0,
        masks: NDArray[Any] | None = None,
        report: Report | None = None,
        should_stop: ShouldStop | None = None,
    ) -> ImageEmbedding:
        """Encode an image once; it can then be scored for any words.

        Parameters
        ----------
        image : (Y, X) or (Y, X, C) array, Composite or Pyramid
            Grey, RGB or RGBA, any real dtype; see `preprocessing.to_rgb`. With tiles, dask and zarr
            arrays and the levels of a `Pyramid` are read by tile. A `Composite` has channels.
        contrast : (float, float), optional
            The values of a grey image that become black and white. Default: its 0.1 and 99.9
            percentiles. Ignored for colour images.
        gamma : float
            Exponent of the values of a grey image, after they were scaled to 0 to 1.
        masks : (Y, X) array of int, optional
            For CorrCLIP: the number of the mask at each pixel, 0 in none. Default: computed as the
            configuration says.
        report : callable, optional
            Called with a `Progress` at every stage, window and block, and during downloads.
        should_stop : callable, optional
            Polled often; once it returns True, `Stopped` is raised within a second.

        Returns
        -------
        ImageEmbedding

        Raises
        ------
        InvalidInputError
            As for `check`, before anything is loaded.
        WeightsUnavailableError, DamagedWeightsError, OutOfMemoryError, Stopped
        """
        monitor = Monitor.of(report, should_stop)
        (found,) = self.embed_each([self.check(image, contrast, gamma, masks)], monitor)
        return found

    def embed_each(
        self, images: Sequence[RGBImage | TiledImage], monitor: Monitor, *, together: bool = False
    ) -> list[ImageEmbedding]:
        """Encode images of one size from `check`, at most `at_once` of them, in one pass.

        The images do not influence each other. With `together`, CLIP encodes others for other
        threads at the same time, at most `beside` of them.
        """
        whole = [one for one in images if isinstance(one, RGBImage)]
        tiled = [one for one in images if isinstance(one, TiledImage)]
        return (embed_whole(self.reader, whole, monitor, together=together) if whole else []) + [
            embed_tiled(self.reader, self.tile_store, one, self._tiles_of(one), monitor)
            for one in tiled
        ]

    def at_once(self, shape: tuple[int, int]) -> int:
        """Return how many images of (Y, X) pixels are encoded in one pass; 1 with tiles."""
        return 1 if self.layout(shape) is not None else self.reader.at_once(shape)

    def beside(self, shape: tuple[int, int]) -> int:
        """Return how many images of (Y, X) pixels threads may encode at the same time."""
        return 0 if self.layout(shape) is not None else self.reader.beside(shape)

    def layout(self, shape: tuple[int, int]) -> TileLayout | None:
        """The tiles of an image of (Y, X) pixels.

        None if the configuration has no tiles, and for an image that is no larger than a tile: it
        is encoded as a whole, unless the tiles have a scale.
        """
        tiles = self.config.tiles
        if tiles is None or (tiles.scale is None and max(shape) <= tiles.side):
            return None
        return tile_layout(
            shape,
            tiles,
            overlap=self.config.tile_overlap,
            shorter_side=self.settings.shorter_side,
            patch=self.source.patch,
        )

    def _tiles_of(self, image: TiledImage) -> TileLayout:
        layout = self.layout(image.shape)
        assert layout is not None  # noqa: S101 - it is larger than a tile
        return layout

    def estimate(
        self,
        image: NDArray[Any] | Composite | Pyramid,
        *,
        contrast: Limits | None = None,
        gamma: float = 1.0,
        each: TileCosts | None = None,
        report: Report | None = None,
        should_stop: ShouldStop | None = None,
    ) -> TileEstimate | None:
        """Estimate what encoding an image costs; None for one that is encoded as a whole.

        `each` is what one tile costs, from an earlier estimate; by default, one tile is encoded.
        The other parameters and the errors are those of `embed`.
        """
        found, monitor = self.check(image, contrast, gamma), Monitor.of(report, should_stop)
        return self.estimate_tiles(found, monitor, each) if isinstance(found, TiledImage) else None

    def estimate_tiles(
        self, image: TiledImage, monitor: Monitor, each: TileCosts | None = None
    ) -> TileEstimate:
        """Estimate what encoding an image from `check` costs; see `estimate`."""
        layout = self._tiles_of(image)
        with self.networks.guard("encoding a tile"), torch.inference_mode():
            self.networks.load(monitor)
            encoder = TileEncoder(self.reader, self.tile_store)
            identity = identity_of(self.networks)
            return estimate_of(encoder, image, layout, identity, each, monitor)

    # ------------------------------------------------------------------ score

    def check_words(
        self, classes: Sequence[ClassPrompt], background: Sequence[str] | None = None
    ) -> None:
        """Check classes and background words without loading anything.

        Raises
        ------
        InvalidInputError
            For no class, a repeated one, or a single class without background words.
        """
        usable_background(
            classes, self.config.chosen_background if background is None else background
        )

    def score(
        self,
        embedding: ImageEmbedding,
        classes: Sequence[ClassPrompt | str],
        *,
        background: Sequence[str] | None = None,
        prototypes: Prototypes | None = None,
        prototype_weight: float | None = None,
        pixel_size: float | None = None,
        report: Report | None = None,
        should_stop: ShouldStop | None = None,
    ) -> ScoreMaps:
        """Score an embedded image for classes.

        Of the networks, only the text encoder runs; with a method whose features depend on words
        (`MethodRow.words_change_features`), also a part of CLIP.

        Parameters
        ----------
        embedding : ImageEmbedding
            Made with the same `embedding_key`.
        classes : sequence of ClassPrompt or str
            The classes to look for.
        background : sequence of str, optional
            Words for what else is in the image. Default: those of the configuration. A word that
            is also a class is left out.
        prototypes : Prototypes, optional
            Visual prototypes, combined with the words. Prototypes of other classes are ignored.
        prototype_weight : float, optional
            Weight of a class's prototypes relative to its words, 0 to 1. Default: computed for
            each class; it grows with the number of images that the prototypes were learned from
            and is high where the words separate the class poorly.
        pixel_size : float, optional
            Of the image, in micrometres. A note warns if prototypes were learned at another one.

        Returns
        -------
        ScoreMaps

        Raises
        ------
        InvalidInputError
            For no class, a string in place of a list, a repeated class, a single class without
            background words, an embedding of another configuration, prototypes of another CLIP
            model, a weight outside 0 to 1, or a pixel size that is not above 0.
        WeightsUnavailableError, DamagedWeightsError, OutOfMemoryError, Stopped
        """
        monitor = Monitor.of(report, should_stop)
        given = several("classes", classes)
        requested = [ClassPrompt(one) if isinstance(one, str) else one for one in given]
        words = self.config.chosen_background if background is None else background
        kept, dropped = usable_background(requested, words)
        if embedding.config.embedding_key != self.config.embedding_key:
            raise InvalidInputError(
                "The embedding was made with another configuration. Embed the image again."
            )
        if prototype_weight is not None and not 0 <= prototype_weight <= 1:
            raise InvalidInputError(f"prototype_weight is {prototype_weight}; it must be 0 to 1.")
        if pixel_size is not None:
            check_pixel_size(pixel_size)
        seconds = dict(embedding.record["seconds"])
        remarks = self.remarks(embedding.image, dropped)
        with self.networks.guard("scoring the words"), torch.inference_mode():
            with timed(seconds, "words"):
                queries, fusion, notes = question_of(
                    self.networks, requested, kept, prototypes, prototype_weight, pixel_size,
                    remarks, monitor,
                )  # fmt: skip
            with timed(seconds, "score"):
                owner = queries.owner
                if embedding.tiles is not None:
                    coarse, refined = TileEncoder(self.reader, self.tile_store).score(
                        embedding, embedding.tiles, queries, monitor
                    )
                else:
                    coarse = self.reader.method.score(
                        self.reader.with_words(embedding, queries, monitor),
                        queries,
                        self.settings,
                        self.source.patch,
                    )
                    del queries  # as large as maps, with many words
                    refined = self._refined(coarse, embedding, monitor)
        scores = ScoreMaps(
            coarse=coarse,
            refined=refined,
            classes=tuple(requested),
            background=kept,
            shape=embedding.image.shape,
            settings=self.settings,
            config=self.config,
            owner=owner,
            masks=embedding.masks,
            notes=notes,
        )
        with self.networks.guard("comparing with the prototypes"):
            refine = partial(self.reader.refined, embedding=embedding, monitor=monitor)
            scores = with_prototypes(scores, fusion, embedding, refine, monitor)
        record = {
            **score_record(scores, embedding.record, seconds),
            **prototype_usage(prototypes, requested, fusion),
        }
        return replace(scores, record=record)

    def remarks(self, image: RGBImage | TiledImage, dropped: Sequence[str] = ()) -> list[str]:
        """Return messages for the user about an image from `check` and the settings.

        `dropped` are background words that are not used, because they are classes.
        """
        words = f"Not used as background words, because they are classes: {', '.join(dropped)}."
        of_method = self.reader.notes(image.shape, self.layout(image.shape))
        of_refiner = filter(None, [REFINERS[self.config.chosen_refiner].note])
        return [*image.notes, *([words] if dropped else []), *of_method, *of_refiner]

    def _refined(
        self, coarse: StageMaps, embedding: ImageEmbedding, monitor: Monitor
    ) -> StageMaps | None:
        """The refined maps of an image without tiles; None without a refiner."""
        if self.reader.refiner is None:
            return None
        monitor.tell("Refining", 0, 1)
        return refined_maps(
            coarse,
            lambda maps: self.reader.refined(maps, embedding, monitor),
            self.config.rule,
        )

    # ------------------------------------------------------------------ learn

    def learn(
        self,
        embedding: ImageEmbedding,
        labels: NDArray[np.integer],
        confirmed: NDArray[np.bool_],
        names: Mapping[int, str],
        source: str,
        prototypes: Prototypes | None = None,
        pixel_size: float | None = None,
    ) -> Prototypes:
        """Learn visual prototypes of classes from the confirmed pixels of an image.

        Parameters
        ----------
        embedding : ImageEmbedding
        labels : (Y, X) array of int
            0 is background.
        confirmed : (Y, X) bool array
            Pixels whose label was confirmed by a person.
        names : mapping of int to str
            The class name of each label; other labels are ignored.
        source : str
            Name of the image. Learning from the same source again replaces its prototypes.
        prototypes : Prototypes, optional
            Prototypes of other images, included in the result.
        pixel_size : float, optional
            Side of a pixel of the image in micrometres; stored with the prototypes.

        Returns
        -------
        Prototypes

        Raises
        ------
        InvalidInputError
            For arrays of another size, prototypes of another CLIP model, and a wrong pixel size.
        """
        if not labels.shape == confirmed.shape == embedding.image.shape:
            raise InvalidInputError(
                f"The image has shape {embedding.image.shape}, the labels {labels.shape} and the "
                f"mask of confirmed pixels {confirmed.shape}: all three must be equal."
            )
        found = learn_prototypes(
            patch_features(embedding), embedding.image, labels, confirmed, names, source
        )
        before = prototypes or Prototypes(self.config.model, self.identity)
        before = before.without_source(source)  # even if nothing was learned from it this time
        sizes = {} if pixel_size is None else {source: pixel_size}
        return before.union(Prototypes(self.config.model, self.identity, tuple(found), sizes))
