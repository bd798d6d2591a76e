"""The networks of one configuration: loaded on first use, shared, and freed."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Collection, Iterable, Iterator
from contextlib import AbstractContextManager, contextmanager
from functools import partial
from typing import Any

import torch

from .config import SegmentationConfig, Settings
from .errors import InvalidInputError, OutOfMemoryError
from .methods.table import METHODS
from .models import devices, loading, sam
from .models.memory import is_out_of_memory
from .models.text_embeddings import Prompts, TextEmbedding, TextEmbeddings
from .progress import Monitor


class Networks:
    """The networks of one configuration, on its device.

    Parameters
    ----------
    config : SegmentationConfig

    Raises
    ------
    InvalidInputError
        For a device or a precision that this machine does not have.
    """

    def __init__(self, config: SegmentationConfig) -> None:
        self.config = config
        self.device = devices.choose_device(config.device)
        self.dtype = devices.choose_dtype(config.precision, self.device)
        self.settings: Settings = config.settings()
        self.loaded: dict[str, loading.Loaded[Any]] = {}
        self.text_embeddings = TextEmbeddings()
        self._source: loading.ClipSource | None = None

    @property
    def source(self) -> loading.ClipSource:
        """The CLIP model and its properties, known without loading it."""
        if self._source is None:
            self._source = loading.clip_source(self.config.model)
        return self._source

    def load(self, monitor: Monitor, *, only: Collection[str] = ()) -> None:
        """Download and load the networks that are needed and not loaded yet.

        Parameters
        ----------
        monitor : Monitor
        only : collection of str
            Names of some of them: ``"clip"``, ``"foundation"``, ... Default: all.

        Raises
        ------
        WeightsUnavailableError, DamagedWeightsError, OutOfMemoryError, Stopped
        """
        config, device, dtype = self.config, self.device, self.dtype
        loaders: dict[str, Callable[[], loading.Loaded[Any]]] = {
            "clip": partial(loading.load_clip, self.source, config, device, dtype),
            "foundation": partial(loading.load_foundation, config, device, dtype),
            "diffusion": partial(loading.load_diffusion, config, device, dtype),
            "sam": partial(sam.load_sam, config.sam_model, device, offline=config.offline),
        }
        for name in only or ("clip", *config.networks):
            if name not in self.loaded:
                loaded = loaders[name](monitor=monitor)  # type: ignore[call-arg]  # partial hides it
                self.loaded[name] = loaded

    def for_one_job(
        self, name: str, monitor: Monitor, *, together: bool = False
    ) -> AbstractContextManager[Any]:
        """Context manager: a loaded network whose passes end when the monitor requests a stop.

        See `Loaded.for_one_job`.
        """
        return self.loaded[name].for_one_job(monitor, together=together)

    def share_with(self, other: Networks) -> None:
        """Share networks and text embeddings with another configuration."""
        other.loaded = {
            name: loaded
            for name, loaded in self.loaded.items()
            if self._key(name) == other._key(name)
        }
        if "clip" in other.loaded:
            other.text_embeddings = self.text_embeddings.copy()

    def _key(self, name: str) -> tuple[str, ...]:
        """Return the key by which a network is shared."""
        names = {
            "clip": self.config.model,
            "foundation": self.config.chosen_foundation,
            "sam": self.config.sam_model,
            "diffusion": f"{self.config.diffusion_model} {self.config.autoencoder}",
        }
        return name, names[name], str(self.device), str(self.dtype)

    @property
    def nbytes(self) -> int:
        """Bytes of memory that the loaded networks take."""
        return sum(loaded.nbytes for loaded in list(self.loaded.values()))

    def unload(self) -> None:
        """Release the networks; memory is freed once nobody else uses them."""
        self.loaded.clear()
        self.text_embeddings.clear()
        if self.device.type == "cuda":
            torch.cuda.empty_cache()

    @property
    def identity(self) -> str:
        """Identifier of everything that patch features depend on, except the image; loads CLIP."""
        if "clip" not in self.loaded:
            with self.guard("loading the networks"):
                self.load(Monitor(), only=["clip"])
        files = sorted(row["sha256"] for row in self.loaded["clip"].weights)
        needed = METHODS[self.config.method].needs
        beside = self.config.chosen_foundation if "foundation" in needed else None
        made_of: list[object] = [files, self.source.config, self.config.method, beside]
        if "sam" in needed:
            made_of.append(self.config.sam_model)
        if METHODS[self.config.method].uses_masks:
            made_of.append(self.config.masks)
        if self.settings.numbers:
            made_of.append(self.settings.numbers)
        return hashlib.sha256(json.dumps(made_of, sort_keys=True, default=str).encode()).hexdigest()

    def embed_text(
        self, words: Iterable[Prompts], monitor: Monitor
    ) -> tuple[list[TextEmbedding], list[str]]:
        """Return the text embedding of each word, and notes on truncated prompts.

        Parameters
        ----------
        words : iterable of tuple of str
            The prompts of each word.

        Raises
        ------
        InvalidInputError
            For a CLIP without a text tower.
        """
        if "clip" not in self.loaded:
            self.load(monitor, only=["clip"])
        loaded = self.loaded["clip"]
        text = loaded.network.text
        if text is None:
            raise InvalidInputError(
                f"{self.config.model} has no text tower: it can encode images but no words. "
                "Choose a whole CLIP."
            )
        found = self.text_embeddings.of(words, loaded, text, monitor)
        notes = [
            f"The prompt {cut!r} is longer than the {text.context_length} tokens that the model "
            "reads; its end was cut off."
            for cut in dict.fromkeys(one.cut for one in found)
            if cut
        ]
        return found, notes

    @contextmanager
    def guard(self, doing: str) -> Iterator[None]:
        """Turn torch's out-of-memory errors into an error that says what to change."""
        try:
            yield
        except (MemoryError, RuntimeError) as error:
            if not is_out_of_memory(error):
                raise
            if self.device.type == "cuda":
                torch.cuda.empty_cache()
            raise OutOfMemoryError(
                f"{self.device} has not enough memory for {doing}. Ways out: a smaller shorter "
                f"side (now {self.settings.shorter_side}), another refiner (now "
                f"{self.config.chosen_refiner}; 'pamr' and 'none' need the least), or device 'cpu'."
            ) from error
