"""The engine's front door, and the only file that knows the order of the steps.

embed   seconds, no words:  windows, CLIP, the refiner's network
score   milliseconds:       words, coarse maps, refined maps
labels  milliseconds:       `ScoreMaps.to_labels`
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from .config import SegmentationConfig, Settings
from .errors import InvalidInputError
from .features.contrast import Limits
from .features.patch_features import patch_features
from .features.preprocessing import RGBImage, resized, to_rgb
from .methods.protocol import ClipFeatures, Method
from .methods.table import METHODS
from .models import clip, loading
from .models.memory import check_budget
from .models.registry import entry
from .networks import Networks
from .progress import Monitor, Report, ShouldStop
from .prompts import TEMPLATES, ClassPrompt, class_prompts, fill, key, usable_background
from .provenance import prototype_usage, score_record, versions
from .refiners.attention_maps import SelfAttention
from .refiners.protocol import Refiner, refined_maps
from .refiners.table import REFINERS
from .results import ImageEmbedding, ScoreMaps
from .scoring.prototype_fusion import PrototypeFusion, prototype_fusion
from .scoring.prototypes import Prototypes, learn_prototypes
from .scoring.similarity import Queries

WORDS_SHOWN = 12
"""Words that a note lists of those that a model knows."""


class Segmenter:
    """Open-vocabulary segmentation of images with one configuration.

    Networks are loaded when they are first needed, shared with every other segmenter of the
    same weights, and freed by `unload` or with the segmenter.

    Parameters
    ----------
    config : SegmentationConfig

    Raises
    ------
    InvalidInputError
        For a device or a precision that this machine does not have, and for a CLIP that cannot
        work.

    Examples
    --------
    >>> from napari_cliper.demo.scenes import make_scene
    >>> segmenter = Segmenter(SegmentationConfig(model="demo"))
    >>> embedding = segmenter.embed(make_scene((96, 96), seed=1).image)
    >>> classes = [ClassPrompt("nucleus"), ClassPrompt("crystal")]
    >>> segmenter.score(embedding, classes).to_labels().shape
    (96, 96)
    """

    def __init__(self, config: SegmentationConfig | None = None) -> None:
        self.config = config or SegmentationConfig()
        self.networks = Networks(self.config)
        self.settings: Settings = self.networks.settings
        self._method: Method = METHODS[self.config.method].make()
        make_refiner = REFINERS[self.config.chosen_refiner].make
        self._refiner: Refiner | None = None if make_refiner is None else make_refiner()

    # ------------------------------------------------------------------ networks

    @property
    def device(self) -> torch.device:
        """The device that the networks run on."""
        return self.networks.device

    @property
    def dtype(self) -> torch.dtype:
        """What the networks compute in."""
        return self.networks.dtype

    @property
    def source(self) -> loading.ClipSource:
        """Which CLIP it is; told without loading it."""
        return self.networks.source

    @property
    def identity(self) -> str:
        """All that patch features depend on but the image; loads CLIP where it is not loaded."""
        return self.networks.identity

    @property
    def nbytes(self) -> int:
        """Bytes of memory that the loaded networks take."""
        return self.networks.nbytes

    def load(self, *, report: Report | None = None, should_stop: ShouldStop | None = None) -> None:
        """Fetch and load every network that the configuration needs.

        `embed` does this by itself.

        Raises
        ------
        WeightsUnavailableError, DamagedWeightsError, OutOfMemoryError, Stopped
        """
        with self.networks.guard("loading the networks"):
            self.networks.load(_monitor(report, should_stop))

    def with_config(self, config: SegmentationConfig) -> Segmenter:
        """A segmenter of another configuration that keeps the networks and words in common."""
        other = Segmenter(config)
        self.networks.share_with(other.networks)
        return other

    def unload(self) -> None:
        """Let go of the networks; their memory is free once nobody else uses them."""
        self.networks.unload()

    # ------------------------------------------------------------------ embed

    def check(self, image: NDArray[Any], contrast: Limits | None = None) -> RGBImage:
        """Refuse an image that cannot be worked with, before anything is loaded.

        Parameters
        ----------
        image : (Y, X) or (Y, X, C) array
        contrast : (float, float), optional
            As for `embed`.

        Returns
        -------
        RGBImage

        Raises
        ------
        InvalidInputError
            See `images.to_rgb`; also for more patches than the memory allows, and for a layer
            that the model does not have.
        """
        rgb = to_rgb(image, contrast)
        self._method.check(self.settings, self.source.layers, self.config.model)
        resized_shape = self._method.resized_shape(rgb.shape, self.settings, self.source.patch)
        seen = self._method.network_shape(resized_shape, self.settings)
        parts = {"CLIP": (seen, self.source.patch, self.source.heads)}
        if self.config.needs_foundation:
            patch = entry(self.config.foundation_model, "foundation").patch
            whole = None
            if self._refiner is not None:
                whole = self._refiner.network_shape(rgb.shape, self.settings.shorter_side, patch)
            parts["the foundation model"] = (whole or seen, patch, 1)
        free = loading.free_memory(self.device)
        for name, ((height, width), patch, heads) in parts.items():
            patches = height // patch * (width // patch)
            check_budget(name, rgb.shape, patches, heads, self.device, free)
        return rgb

    def embed(
        self,
        image: NDArray[Any],
        *,
        contrast: Limits | None = None,
        report: Report | None = None,
        should_stop: ShouldStop | None = None,
    ) -> ImageEmbedding:
        """Encode an image once, for any words.

        Parameters
        ----------
        image : (Y, X) or (Y, X, C) array
            Grey, RGB or RGBA, any real dtype; see `images.to_rgb`.
        contrast : (float, float), optional
            The values of a grey image that become black and white. Default: its 0.1 and 99.9
            percentiles. Colours stay as they are.
        report : callable, optional
            Called with a `Progress` at every stage, window and block, and while downloading.
        should_stop : callable, optional
            Asked often; once it returns True this ends with `Stopped`, within a second.

        Returns
        -------
        ImageEmbedding

        Raises
        ------
        InvalidInputError
            For an image that cannot be worked with, before anything is loaded.
        WeightsUnavailableError, DamagedWeightsError, OutOfMemoryError, Stopped
        """
        monitor = _monitor(report, should_stop)
        rgb = self.check(image, contrast)
        seconds: dict[str, float] = {}
        with self.networks.guard("encoding the image"), torch.inference_mode():
            with _timed(seconds, "load"):
                self.networks.load(monitor)
            shape = self._method.resized_shape(rgb.shape, self.settings, self.source.patch)
            pixels = resized(rgb.pixels, shape, self._method.resampling)
            with _timed(seconds, "clip"):
                features = self._read(pixels, monitor)
            with _timed(seconds, "refiner"):
                self_attention = self._read_for_refiner(rgb, monitor)
        return ImageEmbedding(
            image=rgb,
            resized=pixels,
            **features._asdict(),
            self_attention=self_attention,
            config=self.config,
            record=self._record(rgb, shape, seconds),
        )

    def _read(self, pixels: NDArray[np.uint8], monitor: Monitor) -> ClipFeatures:
        """CLIP's view of the image."""
        with ExitStack() as stack:

            def network(name: str) -> Any:
                return stack.enter_context(self.networks.for_one_job(name, monitor))

            encoder = network("clip").image
            needed = METHODS[self.config.method].needs
            foundation = network("foundation") if "foundation" in needed else None
            return self._method.read(encoder, foundation, pixels, self.settings, monitor)

    def _read_for_refiner(self, rgb: RGBImage, monitor: Monitor) -> SelfAttention | None:
        """What the refiner reads of the image, with its network where it has one."""
        name = REFINERS[self.config.chosen_refiner].needs
        if self._refiner is None:
            return None
        if name is None:
            return self._refiner.read(None, rgb.pixels, self.config, monitor)
        with self.networks.for_one_job(name, monitor) as network:
            return self._refiner.read(network, rgb.pixels, self.config, monitor)

    # ------------------------------------------------------------------ score

    def check_words(
        self, classes: Sequence[ClassPrompt], background: Sequence[str] | None = None
    ) -> None:
        """Refuse words that cannot be worked with, before anything is loaded.

        Raises
        ------
        InvalidInputError
            For no class, a repeated one, or one class with no background.
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
        report: Report | None = None,
        should_stop: ShouldStop | None = None,
    ) -> ScoreMaps:
        """Ask an embedded image for words; no image network runs.

        Parameters
        ----------
        embedding : ImageEmbedding
            Made with the same configuration.
        classes : sequence of ClassPrompt or str
            What to look for.
        background : sequence of str, optional
            What else is in the image; default: the configuration's. A word that is also a
            class is left out.
        prototypes : Prototypes, optional
            What classes look like; asked beside their words. Those of classes that are not asked
            for are passed over.
        prototype_weight : float, optional
            How much the prototypes of a class count against its words, 0 to 1. Default: the more,
            the more images they were learned from, and the less its words know them.

        Returns
        -------
        ScoreMaps

        Raises
        ------
        InvalidInputError
            For no class, a repeated one, one class with no background, an embedding of another
            configuration, prototypes of another CLIP, or a weight beyond 0 to 1.
        WeightsUnavailableError, DamagedWeightsError, OutOfMemoryError, Stopped
        """
        monitor = _monitor(report, should_stop)
        requested = [ClassPrompt(one) if isinstance(one, str) else one for one in classes]
        words = self.config.chosen_background if background is None else background
        kept, dropped = usable_background(requested, words)
        if embedding.config.embedding_key != self.config.embedding_key:
            raise InvalidInputError(
                "The embedding was made with another configuration. Embed the image again."
            )
        if prototype_weight is not None and not 0 <= prototype_weight <= 1:
            raise InvalidInputError(
                f"The weight of the prototypes is {prototype_weight}. Give 0 to 1."
            )
        notes = list(embedding.image.notes)
        if dropped:
            notes.append(f"Left out of the background, as they are classes: {', '.join(dropped)}.")
        seconds = dict(embedding.record["seconds"])
        notes += self._warnings(requested)
        with self.networks.guard("scoring the words"), torch.inference_mode():
            with _timed(seconds, "words"):
                queries = self._queries(requested, kept, notes, monitor)
                seen = self._fuse_prototypes(
                    prototypes, requested, queries, prototype_weight, notes
                )
            with _timed(seconds, "score"):
                coarse = self._method.score(
                    embedding, queries, self.settings, self.source.patch, seen
                )
                owner = queries.owner
                del queries  # many words' vectors take as much as some of their maps
                refined = (
                    None
                    if self._refiner is None
                    else refined_maps(coarse, embedding, self._refiner, self.config.rule, monitor)
                )
        scores = ScoreMaps(
            coarse=coarse,
            refined=refined,
            classes=tuple(requested),
            background=kept,
            shape=embedding.image.shape,
            settings=self.settings,
            config=self.config,
            owner=owner,
            notes=tuple(notes),
        )
        record = {
            **score_record(scores, embedding, seconds),
            **prototype_usage(prototypes, requested, seen),
        }
        return replace(scores, record=record)

    def _warnings(self, classes: Sequence[ClassPrompt]) -> Iterator[str]:
        """What is doubtful about the settings and the words."""
        if self.source.words:
            known = {key(word) for word in self.source.words}
            unknown = [word for one in classes for word in one.words if key(word) not in known]
            if unknown:
                shown, more = self.source.words[:WORDS_SHOWN], self.source.words[WORDS_SHOWN:]
                rest = f" and {len(more)} more" if more else ""
                yield (
                    f"The model does not know: {', '.join(unknown)}. It knows only: "
                    f"{', '.join(shown)}{rest}."
                )
        elif not self.settings.validated:
            yield (
                f"Nobody has published settings for {self.config.method} with {self.config.model}; "
                "those of a near one were used."
            )

    def _queries(
        self,
        classes: Sequence[ClassPrompt],
        background: Sequence[str],
        notes: list[str],
        monitor: Monitor,
    ) -> Queries:
        """Every word's vector; those asked before are remembered."""
        templates = self._templates()
        groups = [
            (index, prompts)
            for index, one in enumerate(classes)
            for prompts in class_prompts(one, templates)
        ]
        groups += [(-1, fill(word, templates)) for word in background]
        words, cut_off = self.networks.embed_text((prompts for _, prompts in groups), monitor)
        notes += cut_off
        vectors = torch.stack([word.vector for word in words])
        return Queries(vectors, tuple(index for index, _ in groups))

    def _fuse_prototypes(
        self,
        prototypes: Prototypes | None,
        classes: Sequence[ClassPrompt],
        queries: Queries,
        weight: float | None,
        notes: list[str],
    ) -> PrototypeFusion | None:
        """The prototypes that are asked beside the words."""
        if prototypes is None or not len(prototypes):
            return None
        prototypes.check_model(self.identity, self.config.model)
        found = prototype_fusion(prototypes, classes, queries, weight, self.settings.logit_scale)
        if found is None:
            notes.append(
                "The prototypes were left out: fewer than two of the classes, the background among "
                "them, have any, so there is nothing to compare."
            )
        return found

    # ------------------------------------------------------------------ learn

    def learn(
        self,
        embedding: ImageEmbedding,
        labels: NDArray[np.integer],
        confirmed: NDArray[np.bool_],
        names: Mapping[int, str],
        source: str,
        prototypes: Prototypes | None = None,
    ) -> Prototypes:
        """Learn from the confirmed pixels of an image what its classes look like.

        Parameters
        ----------
        embedding : ImageEmbedding
        labels : (Y, X) array of int
            0 is background.
        confirmed : (Y, X) bool array
            Which of them a person stands behind.
        names : mapping of int to str
            The class of each label; other labels are passed over.
        source : str
            What the image is called: learning from it again replaces what it taught.
        prototypes : Prototypes, optional
            What was learned from other images.

        Returns
        -------
        Prototypes

        Raises
        ------
        InvalidInputError
            For arrays of another size than the image, and prototypes of another CLIP.
        """
        if not labels.shape == confirmed.shape == embedding.image.shape:
            raise InvalidInputError(
                f"The image is {embedding.image.shape}, its labels {labels.shape} and what is "
                f"confirmed of them {confirmed.shape}: they must be of one size."
            )
        planes = patch_features(embedding)  # (D, h, w)
        grid = (planes.shape[1], planes.shape[2])
        features = planes.flatten(1).T
        image = embedding.image.pixels
        found = learn_prototypes(features, grid, image, labels, confirmed, names, source)
        before = prototypes or Prototypes(self.config.model, self.identity)
        before = before.without_source(source)  # also where it teaches nothing any more
        return before.union(Prototypes(self.config.model, self.identity, tuple(found)))

    def _templates(self) -> tuple[str, ...]:
        request = self.config.templates
        if isinstance(request, tuple):
            return request
        name = self.settings.templates
        return TEMPLATES[name] if name in TEMPLATES else clip.openai_templates(name)

    # ------------------------------------------------------------------ the record

    def _record(
        self, rgb: RGBImage, shape: tuple[int, int], seconds: dict[str, float]
    ) -> Mapping[str, Any]:
        return {
            "image": {
                "shape": list(rgb.shape),
                "resized": list(shape),
                "contrast": rgb.contrast,
            },
            "device": str(self.device),
            "precision": str(self.dtype).removeprefix("torch."),
            "weights": [dict(row) for one in self.networks.loaded.values() for row in one.weights],
            "versions": versions(),
            "seconds": seconds,
        }


def _monitor(report: Report | None, should_stop: ShouldStop | None) -> Monitor:
    return Monitor(report or (lambda progress: None), should_stop or (lambda: False))


@contextmanager
def _timed(seconds: dict[str, float], name: str) -> Iterator[None]:
    start = time.perf_counter()
    yield
    seconds[name] = time.perf_counter() - start
