"""The parts of `speed.py`, each measured in its own process: numbers, as JSON.

python benchmarks/parts.py PART --folder NETWORKS [--quick] [--device DEVICE]
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import published
import torch
from bench import BACKGROUND, MEGABYTE, Bench, Peak, Published, allocated, touch
from diffusers import AutoencoderKL, PNDMScheduler, UNet2DConditionModel
from transformers import CLIPTextModel

from napari_cliper.demo.run import all_classes
from napari_cliper.demo.scenes import make_scene
from napari_cliper.segmentation import (
    ClassPrompt,
    ImageEmbedding,
    LiveLabels,
    ScoreMaps,
    SegmentationConfig,
    Segmenter,
    Thresholds,
)
from napari_cliper.segmentation.config import Precision
from napari_cliper.segmentation.models.stable_diffusion import Diffusion
from napari_cliper.segmentation.refiners.attention_maps import (
    LevelMap,
    SelfAttention,
    compress,
    refine_with_attention,
)
from napari_cliper.segmentation.results import Stage, StageMaps

WORDS = ("cup", "spoon", "table", "dog", "cat")  # with the background seven words
EIGHT = ("cup", "spoon", "table", "dog", "cat", "tree", "house", "car")
FILLS = {"1 %": 0.01, "5 %": 0.05, "20 %": 0.2, "dense": 1.0}
STAGES: tuple[Stage, ...] = ("coarse", "refined")


def labels_of(segmenter: Segmenter, embedding: ImageEmbedding, words: Sequence[str]) -> ScoreMaps:
    """Scores and labels: what a person waits for."""
    scores = segmenter.score(embedding, words)
    scores.to_labels()
    return scores


# ---------------------------------------------------------------------- an image and words


def first(bench: Bench, *, half: bool) -> dict[str, Any]:
    """A first result: seconds of all ways in turns, by stage; and whether they agree."""
    segmenters = {"float32": bench.segmenter()}
    if half:
        segmenters["bfloat16"] = bench.segmenter("bfloat16")
    segmenter = segmenters["float32"]
    published = Published(bench, segmenter)
    published.run(WORDS[:1])  # what only the first pass pays for
    for one in segmenters.values():
        one.embed(bench.image)
    rounds: dict[str, list[dict[str, float]]] = {
        "published": [],
        **{name: [] for name in segmenters},
    }
    for number in range(1 if bench.quick else 3):
        stages: dict[str, float] = {}
        total = bench.seconds(partial(published.run, WORDS, stages))
        rounds["published"].append({**stages, "all": total})
        for name, one in segmenters.items():
            rounds[name].append(first_of_ours(bench, one, f"{name} {number} "))
    coarse, refined = published.run(WORDS)
    embedding = segmenter.embed(bench.image)
    scores = segmenter.score(embedding, WORDS)
    assert scores.refined is not None
    return {
        "seconds": {name: min(found, key=lambda one: one["all"]) for name, found in rounds.items()},
        "rounds": {name: [one["all"] for one in found] for name, found in rounds.items()},
        "agreement": {
            "coarse": float(np.abs(scores.coarse.maps - coarse.numpy()).max()),
            **agreement(scores.refined.maps, refined.numpy()),
        },
        "changed": changed(segmenters, bench) if half else None,
        "new word": new_word(bench, segmenter),
        "known words": known_words(bench, segmenter, EIGHT),
        "fill here": fill_of(embedding),
    }


def first_of_ours(bench: Bench, segmenter: Segmenter, mark: str) -> dict[str, float]:
    """Seconds of the engine's first result, with words that it has never seen."""
    found: list[ScoreMaps] = []

    def run() -> None:
        requested = [mark + word for word in WORDS]
        background = [mark + word for word in BACKGROUND]
        scores = segmenter.score(segmenter.embed(bench.image), requested, background=background)
        scores.to_labels()
        found.append(scores)

    total = bench.seconds(run)
    stages = found[0].record["seconds"]
    return {
        "words": stages["words"],
        "CLIP": stages["clip"] + stages["score"],
        "VAE and UNet": stages["refiner"],
        "all": total,
    }


def new_word(bench: Bench, segmenter: Segmenter) -> float:
    """Seconds for one more word on an image that is known."""
    embedding = segmenter.embed(bench.image)
    labels_of(segmenter, embedding, WORDS)
    new = iter(("lamp", "chair", "window", "door", "book"))
    return bench.fastest(lambda: labels_of(segmenter, embedding, (*WORDS, next(new))), 5)


def known_words(bench: Bench, segmenter: Segmenter, words: Sequence[str]) -> dict[str, float]:
    """Seconds for words seen before, by how filled the self-attention is."""
    embedding = segmenter.embed(bench.image)
    labels_of(segmenter, embedding, words)
    found = {}
    for name, fill in FILLS.items():
        filled = replace(embedding, self_attention=synthetic(bench, fill))
        found[name] = bench.fastest(partial(labels_of, segmenter, filled, words), 9)
    return found


def synthetic(bench: Bench, fill: float) -> SelfAttention:
    """Ten maps of which this share is left after the threshold."""
    side = 32 if bench.quick else 64
    generator = torch.Generator().manual_seed(1)
    maps = []
    for _ in range(10):
        dense = torch.rand((side**2, side**2), generator=generator)
        kept = torch.where(dense < fill, 0.1 + 0.9 * dense / fill, 0)
        kept.fill_diagonal_(1)
        maps.append(compress(kept / kept.sum(dim=1, keepdim=True)))
    return SelfAttention(tuple(maps), (side, side))


def attention_of(embedding: ImageEmbedding) -> SelfAttention:
    """The attention that the refiner read."""
    assert isinstance(embedding.self_attention, SelfAttention)
    return embedding.self_attention


def fill_of(embedding: ImageEmbedding) -> list[float]:
    """Which share of each map is not 0."""
    found = []
    for one in attention_of(embedding).maps:
        if isinstance(one, LevelMap | torch.Tensor):
            values = one.levels if isinstance(one, LevelMap) else one
            found.append(float((values.float() > 0).float().mean()))
        else:
            found.append(one.nnz / one.shape[0] ** 2)
    return found


def agreement(ours: Any, theirs: Any) -> dict[str, float]:
    """How far refined maps are off, as the tolerance of the reference arrays counts it."""
    off = np.abs(ours - theirs)
    return {"mean": float(off.mean()), "over": float((off > 1e-4).mean()), "max": float(off.max())}


def changed(segmenters: Mapping[str, Segmenter], bench: Bench) -> dict[str, float]:
    """Which share of the labels is another in bfloat16: of these weights, and of trained ones."""
    found = {name: one.score(one.embed(bench.image), WORDS) for name, one in segmenters.items()}
    every_class = found["float32"].settings.thresholds.with_values(class_threshold=0)
    shares = {
        f"bfloat16, random weights, {stage}": float(
            (
                found["float32"].to_labels(every_class, stage=stage)
                != found["bfloat16"].to_labels(every_class, stage=stage)
            ).mean()
        )
        for stage in STAGES
    }
    return {
        "bfloat16, demo model": demo_changed(bench),
        **shares,
        "float32 in another order, random weights, refined": reordered(
            segmenters["float32"], bench
        ),
    }


def reordered(segmenter: Segmenter, bench: Bench) -> float:
    """Which share of the labels is another where float32 sums are taken in another order.

    What arithmetic alone decides: no precision can be told from another below it.
    """

    def labels() -> Any:
        scores = segmenter.score(segmenter.embed(bench.image), WORDS)
        return scores.to_labels(scores.settings.thresholds.with_values(class_threshold=0))

    before = labels()
    unet = segmenter.networks.loaded["diffusion"].network.unet
    unet.to(memory_format=torch.channels_last)
    return float((before != labels()).mean())


def demo_changed(bench: Bench) -> float:
    """The same of the demo model, whose weights are trained; the worst of four scenes."""
    worst = 0.0
    for seed in (1, 3, 7, 11):
        image = make_scene((224, 300), seed=seed).image
        found = []
        precisions: tuple[Precision, ...] = ("float32", "bfloat16")
        for precision in precisions:
            config = SegmentationConfig(model="demo", device=bench.device, precision=precision)
            segmenter = Segmenter(config)
            found.append(segmenter.score(segmenter.embed(image), all_classes()).to_labels())
        worst = max(worst, float((found[0] != found[1]).mean()))
    return worst


# ---------------------------------------------------------------------- single steps


def refinement(bench: Bench) -> dict[str, Any]:
    """Eight classes through ten maps: the published products, and ours by fill."""
    side = 32 if bench.quick else 64
    coarse = torch.rand((8, side, side), generator=torch.Generator().manual_seed(0))
    dense = torch.rand((10, side**2, side**2), generator=torch.Generator().manual_seed(1))
    dense /= dense.sum(dim=2, keepdim=True)
    columns = coarse.flatten(1).T
    on_device = dense.to(bench.device)
    with torch.inference_mode():
        there = columns.to(bench.device)
        theirs = bench.fastest(lambda: published.product(on_device) @ there, 3)
        found = {}
        for name, fill in FILLS.items():
            maps = synthetic(bench, fill)
            found[name] = {
                "seconds": bench.fastest(partial(refine_with_attention, coarse, maps), 15),
                "megabytes": maps.nbytes / MEGABYTE,
            }
    return {"published": theirs, "ours": found}


def thresholds(bench: Bench) -> dict[str, float]:
    """Moving both thresholds over 2048 x 2048 pixels and eight classes."""
    rng = np.random.default_rng(0)
    maps = StageMaps(rng.random((8, 64, 64), np.float32), np.linspace(0.3, 1, 8, dtype=np.float32))
    config = SegmentationConfig(refiner="none", device="cpu")
    scores = ScoreMaps(
        coarse=maps,
        refined=None,
        classes=tuple(ClassPrompt(word) for word in EIGHT),
        background=BACKGROUND,
        shape=(2048, 2048),
        settings=config.settings(),
        config=config,
        owner=(*range(8), -1, -1),
    )
    live = LiveLabels(scores, "coarse")
    prepared = bench.seconds(lambda: live.labels(Thresholds(0.5, 0.4, min_max=True)))
    moves = [
        Thresholds(float(one), float(two), min_max=True)
        for one, two in zip(np.linspace(0.2, 1, 12), np.linspace(0, 0.9, 12), strict=True)
    ]
    return {
        "prepare": prepared,
        "slowest": max(bench.seconds(partial(live.labels, move)) for move in moves),
    }


def curves(bench: Bench) -> dict[str, Any]:
    """Seconds against the image's side, and against the number of words."""
    sides = (96, 128) if bench.quick else (224, 336, 448, 560, 672)
    counts = (1, 2) if bench.quick else (1, 4, 16, 64)
    by_side, by_words = [], []
    for side in sides:
        bench.shape = (side, side * 4 // 3)
        segmenter = bench.segmenter(refiner="none")
        published = Published(bench, segmenter)
        image = np.ascontiguousarray(np.resize(bench.image, (*bench.shape, 3)))
        with torch.inference_mode():
            theirs = bench.fastest(partial(published.features, image), 2)
        ours = bench.fastest(partial(segmenter.embed, image), 2)
        by_side.append({"side": side, "published": theirs, "ours": ours})
    embedding = segmenter.embed(bench.image)
    for count in counts:
        words = [f"word {count} {number}" for number in range(count)]
        with torch.inference_mode():
            theirs = bench.seconds(partial(published.words, words))
        new = bench.seconds(partial(segmenter.score, embedding, words))
        known = bench.fastest(partial(segmenter.score, embedding, words), 5)
        by_words.append({"words": count, "published": theirs, "new": new, "known": known})
    return {"sides": by_side, "words": by_words}


# ---------------------------------------------------------------------- memory


def memory_published(bench: Bench) -> dict[str, Any]:
    """The whole pipeline as it is published holds it: both text towers and the VAE's decoder."""
    segmenter = bench.segmenter(refiner="none")
    sd = bench.folder / "sd"
    vae, unet = (
        kind.from_pretrained(sd / name, low_cpu_mem_usage=False)
        for kind, name in ((AutoencoderKL, "vae"), (UNet2DConditionModel, "unet"))
    )
    held = [vae, unet, CLIPTextModel.from_pretrained(sd / "text_encoder")]
    for network in held:
        network.eval().requires_grad_(requires_grad=False).to(bench.device)
        touch(network)
    scheduler = PNDMScheduler.from_pretrained(sd / "scheduler")
    prompt = torch.zeros(1, 77, unet.config.cross_attention_dim)
    published = Published(bench, segmenter, Diffusion(unet, vae, scheduler, prompt))
    with Peak(bench.device) as peak:
        published.run(EIGHT)
    weights = sum(p.nbytes for network in held for p in network.parameters())
    return {**peak.sizes, "weights": (weights + segmenter.nbytes) / MEGABYTE}


def memory(
    bench: Bench, *, dense: bool, classes: int, precision: Precision = "float32"
) -> dict[str, float]:
    """The engine's, for so many classes; with nothing below the threshold for `dense`."""
    segmenter = bench.segmenter(precision)
    if dense:
        segmenter = segmenter.with_config(replace(segmenter.config, attention_threshold=0.0))
    words = [f"word {number}" for number in range(classes)]
    with Peak(bench.device) as peak:
        embedding = segmenter.embed(bench.image)
        labels_of(segmenter, embedding, words)
    scoring = allocated(lambda: labels_of(segmenter, embedding, words))
    scores = labels_of(segmenter, embedding, words)
    maps = sum(
        stage.maps.nbytes + stage.class_scores.nbytes
        for stage in (scores.coarse, scores.refined)
        if stage is not None
    )
    return {
        **peak.sizes,
        "weights": segmenter.nbytes / MEGABYTE,
        "scoring": scoring / MEGABYTE,
        "maps": maps / MEGABYTE,
        "attention": attention_of(embedding).nbytes / MEGABYTE,
    }


PARTS: Mapping[str, Callable[[Bench], Any]] = {
    "first": lambda bench: first(bench, half=False),
    "first, also in bfloat16": lambda bench: first(bench, half=True),
    "refinement": refinement,
    "thresholds": thresholds,
    "curves": curves,
    "memory published": memory_published,
    "memory sparse": lambda bench: memory(bench, dense=False, classes=8),
    "memory dense": lambda bench: memory(bench, dense=True, classes=8),
    "memory dense, 16 classes": lambda bench: memory(bench, dense=True, classes=16),
    "memory dense, 166 classes": lambda bench: memory(bench, dense=True, classes=166),
    "memory bfloat16": lambda bench: memory(bench, dense=True, classes=8, precision="bfloat16"),
}


def main() -> None:
    """Measure one part and print it."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("part", choices=PARTS)
    parser.add_argument("--folder", type=Path, required=True)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--quick", action="store_true")
    request = parser.parse_args()
    found = PARTS[request.part](Bench(request.folder, request.device, quick=request.quick))
    print(json.dumps(found))


if __name__ == "__main__":
    main()
