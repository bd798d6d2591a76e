"""Shared by the benchmarks: networks, timing, the published method on them, and peak memory."""

from __future__ import annotations

import threading
import time
import tracemalloc
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from itertools import accumulate
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import published
import torch

from napari_cliper.segmentation import SegmentationConfig, Segmenter
from napari_cliper.segmentation.config import Precision
from napari_cliper.segmentation.features.preprocessing import (
    normalised,
    resized,
    squashed,
)
from napari_cliper.segmentation.models.clip import Clip
from napari_cliper.segmentation.models.stable_diffusion import Diffusion
from napari_cliper.segmentation.prompts import TEMPLATES, fill
from napari_cliper.segmentation.working_size import patch_aligned_shape

BACKGROUND = ("sky", "grass")
MEGABYTE = 1e6


class Bench:
    """The networks, an image, and time measurement on a device."""

    def __init__(self, folder: Path, device: str, *, quick: bool) -> None:
        self.folder, self.device, self.quick = folder, device, quick
        self.shape = (112, 160) if quick else (336, 448)
        # Smooth, because pure noise would not resemble an image.
        rng = np.random.default_rng(0)
        coarse = torch.from_numpy(rng.random((1, 3, 12, 16), np.float32))
        full = torch.nn.functional.interpolate(coarse, self.shape, mode="bicubic").clamp(0, 1)
        self.image = (full[0].permute(1, 2, 0) * 255).byte().numpy()

    def segmenter(
        self, precision: Precision = "float32", refiner: str = "stable-diffusion"
    ) -> Segmenter:
        """The engine, with its networks loaded as usual."""
        config = SegmentationConfig(
            model=str(self.folder / "clip.safetensors"),
            diffusion_model=str(self.folder / "sd"),
            refiner=refiner,
            device=self.device,
            precision=precision,
            shorter_side=self.shape[0],
            background=BACKGROUND,
            offline=True,
        )
        segmenter = Segmenter(config)
        segmenter.load()
        for loaded in segmenter.networks.loaded.values():
            for network in loaded.network.networks:
                touch(network)
        return segmenter

    def seconds(self, call: Callable[[], object]) -> float:
        """Return how long a call takes, including the device."""
        self.wait()
        start = time.perf_counter()
        call()
        self.wait()
        return time.perf_counter() - start

    def fastest(self, call: Callable[[], object], rounds: int) -> float:
        """Return the fastest of some rounds, because other programs can only slow it down."""
        return min(self.seconds(call) for _ in range(rounds))

    def wait(self) -> None:
        """Let a GPU finish."""
        if self.device.startswith("cuda"):
            torch.cuda.synchronize(self.device)


def touch(network: torch.nn.Module) -> None:
    """Read weights into memory that loading has only mapped from their file."""
    for parameter in network.parameters():
        parameter.sum()


class Published:
    """The published method, on the networks of a segmenter."""

    def __init__(
        self, bench: Bench, segmenter: Segmenter, diffusion: Diffusion | None = None
    ) -> None:
        loaded = segmenter.networks.loaded
        self.clip: Clip = loaded["clip"].network
        self.diffusion = diffusion
        if diffusion is None and "diffusion" in loaded:
            self.diffusion = loaded["diffusion"].network
        self.bench, self.settings = bench, segmenter.settings

    def words(self, words: Sequence[str]) -> torch.Tensor:
        """Their vectors."""
        text = self.clip.text
        assert text is not None
        prompts = [fill(word, TEMPLATES[self.settings.templates]) for word in words]
        return published.word_vectors(text.model, text.tokenizer, prompts).cpu()

    def features(self, image: Any) -> tuple[torch.Tensor, torch.Tensor, tuple[int, int]]:
        """CLIP's."""
        encoder = self.clip.image
        shape = patch_aligned_shape(image.shape[:2], self.settings.shorter_side, encoder.patch)
        pixels = normalised(resized(image, shape, "bicubic"), encoder.mean, encoder.std)
        tokens = encoder.tokens(pixels, "bilinear")
        features, attention = published.patch_features(encoder.visual, tokens)
        grid = (shape[0] // encoder.patch, shape[1] // encoder.patch)
        return features.float().cpu(), attention.float().cpu(), grid

    def coarse(self, vectors: torch.Tensor, classes: int, image: Any) -> torch.Tensor:
        """(T, h, w)."""
        features, attention, grid = self.features(image)
        maps = published.coarse_maps(
            features,
            attention,
            vectors,
            classes,
            scale=self.settings.logit_scale,
            layer=self.settings.select_layer,
            threshold=self.settings.attention_threshold,
        )
        return maps.reshape(-1, *grid)

    def attention(self, image: Any) -> torch.Tensor:
        """The UNet's maps that are read, (m, n, n)."""
        model = self.diffusion
        assert model is not None
        latents = model.noisy_latents(squashed(image, model.image_side), model.noise(0))
        weight = next(model.unet.parameters())
        return published.self_attention(
            model.unet,
            latents.to(weight.device, weight.dtype),
            model.timestep(),
            model.prompt.to(weight.device, weight.dtype),
        )

    def run(self, classes: Sequence[str], seconds: dict[str, float] | None = None) -> Any:
        """An image and words to coarse and refined maps; each stage's seconds on the way."""
        seconds = {} if seconds is None else seconds
        with torch.inference_mode():
            with self._timed(seconds, "words"):
                vectors = self.words((*classes, *BACKGROUND))
            with self._timed(seconds, "CLIP"):
                coarse = self.coarse(vectors, len(classes), self.bench.image)
            with self._timed(seconds, "VAE and UNet"):
                maps = self.attention(self.bench.image)
            with self._timed(seconds, "products"):
                refined = published.refined_maps(
                    coarse.to(maps.device), maps, self.settings.attention_threshold
                ).cpu()
        return coarse, refined

    @contextmanager
    def _timed(self, seconds: dict[str, float], name: str) -> Iterator[None]:
        self.bench.wait()
        start = time.perf_counter()
        yield
        self.bench.wait()
        seconds[name] = time.perf_counter() - start


def allocated(call: Callable[[], object]) -> int:
    """Peak bytes of tensors and arrays during a call, exact on a CPU."""
    tracemalloc.start()  # NumPy tells it of its arrays; Python's own objects are few
    with torch.profiler.profile(
        activities=[torch.profiler.ProfilerActivity.CPU], profile_memory=True
    ) as profile:
        call()
    arrays = sum(trace.size for trace in tracemalloc.take_snapshot().traces if trace.domain)
    tracemalloc.stop()
    events = [one for one in profile.profiler.kineto_results.events() if one.name() == "[memory]"]
    events.sort(key=lambda one: one.start_ns())
    return arrays + max(accumulate((int(one.nbytes()) for one in events), initial=0))


class Peak:
    """The peak resident size of this process in a block, or that of the GPU's tensors."""

    def __init__(self, device: str) -> None:
        self.device = device
        self._process = psutil.Process()
        self._stop = threading.Event()
        self.before = self.highest = 0

    def _now(self) -> int:
        if self.device.startswith("cuda"):
            return int(torch.cuda.memory_allocated(self.device))
        return int(self._process.memory_info().rss)

    def _watch(self) -> None:
        while not self._stop.wait(0.002):
            self.highest = max(self.highest, self._now())

    def __enter__(self) -> Peak:
        """Begin to watch."""
        self.before = self.highest = self._now()
        if self.device.startswith("cuda"):
            torch.cuda.reset_peak_memory_stats(self.device)
        self._thread = threading.Thread(target=self._watch, daemon=True)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        """End it."""
        self._stop.set()
        self._thread.join()
        self.highest = max(self.highest, self._now())
        if self.device.startswith("cuda"):
            self.highest = int(torch.cuda.max_memory_allocated(self.device))

    @property
    def sizes(self) -> dict[str, float]:
        """Megabytes before, at the highest, and the difference."""
        over = self.highest - self.before
        return {
            "before": self.before / MEGABYTE,
            "highest": self.highest / MEGABYTE,
            "over": over / MEGABYTE,
        }
