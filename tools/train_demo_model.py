"""Train the demo model: a CLIP of 8 MB that knows the words of our microscopy-like scenes.

With it, the whole program can be tried on any computer without a download; it says nothing about
quality on real images. Two phases, on a CPU, from one seed:

1. CLIP's own contrastive loss on crops of scenes and captions of what they show (Radford
   et al., 2103.00020).
2. A loss on the maps that the methods give. Such a small network does not learn from captions where
things are, as large ones do; here the per-layer and the coarse map of CLIPer
   (2411.13836), and with a small weight that of MaskCLIP (2112.01071), are compared with the
   scene's label map. The maps come from the engine's own functions. Random classes are
   asked, words without a meaning among them, so that things nobody asked for are background.

    python tools/train_demo_model.py [--seed 0] [--only-finer]
    napari-cliper demo --compare 120    # measures the file on scenes of other seeds
"""

from __future__ import annotations

import argparse
import json
import math
import os
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import open_clip
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from safetensors.torch import load_file, save_file
from torch import Tensor
from torch.func import vmap

from napari_cliper.demo.scenes import GROUNDS, KINDS, make_scene
from napari_cliper.segmentation.features.preprocessing import normalised, resized
from napari_cliper.segmentation.models.clip_image_encoder import MEAN, STD, ClipImageEncoder
from napari_cliper.segmentation.prompts import BACKGROUND_WORDS, TEMPLATES
from napari_cliper.segmentation.scoring import similarity as scoring
from napari_cliper.segmentation.scoring.similarity import Queries

PACKAGE = Path(__file__).resolve().parents[1] / "src" / "napari_cliper"
OUTPUT = PACKAGE / "segmentation" / "demo_clip.safetensors"

CONFIG: dict[str, Any] = {
    "embed_dim": 64,
    "quick_gelu": True,
    "vision_cfg": {
        "image_size": 64, "patch_size": 8, "layers": 4, "width": 128, "head_width": 64,
    },
    "text_cfg": {
        "context_length": 32, "vocab_size": 49408, "width": 64, "heads": 1, "layers": 2,
    },
}  # fmt: skip

# ------------------------------------------------------------------------ what is learned
KIND_WORDS = [(kind.name, *kind.synonyms) for kind in KINDS]
GROUND_WORDS = [(ground.name, *ground.synonyms) for ground in GROUNDS]
KNOWN = [word for words in KIND_WORDS + GROUND_WORDS for word in words]
PLAIN_WORDS = [word for word in BACKGROUND_WORDS["microscopy"] if word not in KNOWN]
WORDS = KNOWN + PLAIN_WORDS

CAPTIONS = (*TEMPLATES["cliper-15"], "{}", "a microscopy image of {}", "a micrograph of {}.")
SCENE_PX, SCENES = 192, 5000
CONTRASTIVE = {"steps": 300, "batch": 128, "rate": 1e-3}
MAPS = {"steps": 3600, "rate": 1.5e-3}
# Shorter side in pixels: scenes a step, and the share of the steps.
MAP_SIZES = {64: (12, 0.1), 96: (8, 0.2), 128: (6, 0.3), 160: (4, 0.4)}
FINER = {"steps": 1500, "rate": 8e-4}
FINER_SIZES = {128: (6, 0.2), 160: (4, 0.4), 224: (3, 0.4)}
LOGIT_SCALE, SELECT_LAYER, ATTENTION_THRESHOLD = 50.0, -1, 0.3  # also the engine's settings


class Pictures:
    """Scenes of the training seeds, and random crops of them."""

    def __init__(self, seed: int) -> None:
        self.rng = np.random.default_rng(seed)
        first = seed * SCENES
        self.scenes = [make_scene((SCENE_PX,) * 2, first + index) for index in range(SCENES)]

    def crops(
        self, count: int, shape: tuple[int, int], smallest: float
    ) -> tuple[Tensor, Tensor, list[str]]:
        """Normalised pixels (B, 3, h, w), labels (B, h, w) and the names of the grounds."""
        chosen = [self.scenes[i] for i in self.rng.integers(len(self.scenes), size=count)]
        pixels, truths = [], []
        for scene in chosen:
            height = SCENE_PX * min(shape[0] / shape[1], 1.0) * self.rng.uniform(smallest, 1.0)
            width = height * shape[1] / shape[0]
            top, left = self.rng.uniform(0, (SCENE_PX - height, SCENE_PX - width))
            window = (slice(int(top), int(top + height)), slice(int(left), int(left + width)))
            flip = slice(None, None, int(self.rng.choice((-1, 1))))
            image = np.ascontiguousarray(scene.image[window][:, flip])
            truth = scene.labels[window][:, flip]
            light = self.rng.normal(1.0, 0.06) * self.rng.normal(1.0, 0.02, 3)
            image = np.clip(image * light, 0, 255).astype(np.uint8)
            pixels.append(prepared(image, shape))
            rows, columns = (
                ((np.arange(new) + 0.5) * old / new).astype(int)
                for old, new in zip(truth.shape, shape, strict=True)
            )
            truths.append(torch.from_numpy(truth[np.ix_(rows, columns)].astype(np.int64)))
        return torch.cat(pixels), torch.stack(truths), [scene.ground for scene in chosen]


def prepared(image: NDArray[np.uint8], shape: tuple[int, int]) -> Tensor:
    """(Y, X, 3) uint8 as the tower takes it: (1, 3, h, w)."""
    return normalised(resized(image, shape, "bicubic"), MEAN, STD)


def caption(truth: Tensor, ground: str, rng: np.random.Generator) -> str:
    """Say what a crop shows: kinds that cover 1 % of it or more, and often the ground."""
    shares = torch.bincount(truth.flatten(), minlength=len(KINDS) + 1) / truth.numel()
    seen = [str(rng.choice(KIND_WORDS[i])) for i in range(len(KINDS)) if shares[i + 1] > 0.01]
    rng.shuffle(seen)
    things = " and ".join([", ".join(seen[:-1]), seen[-1]] if len(seen) > 1 else seen)
    names = next(words for words in GROUND_WORDS if words[0] == ground)
    place = str(rng.choice((*names, "background") if not things else names))
    what = f"{things} on {place}" if things and rng.random() < 0.6 else things or place
    return str(rng.choice(CAPTIONS)).format(what)


# -------------------------------------------------------------------------------- training
def steps_of(
    model: open_clip.CLIP, steps: int, rate: float, every: int, what: str
) -> Iterator[Callable[[Tensor], None]]:
    """Yield, for each step, a function that takes the loss and updates the weights."""
    groups = [
        {"params": [p for p in model.parameters() if p.ndim < 2], "weight_decay": 0.0},
        {"params": [p for p in model.parameters() if p.ndim > 1], "weight_decay": 0.01},
    ]
    optimizer = torch.optim.AdamW(groups, lr=rate, betas=(0.9, 0.98))
    schedule = torch.optim.lr_scheduler.LambdaLR(
        optimizer,
        lambda s: min(1.0, (s + 1) / 50) * (0.51 + 0.49 * math.cos(math.pi * s / steps)),
    )
    started, losses = time.perf_counter(), []

    def learn(loss: Tensor) -> None:
        optimizer.zero_grad()
        loss.backward()
        if torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0).isfinite():
            optimizer.step()
        schedule.step()
        losses.append(loss.item())

    for step in range(1, steps + 1):
        yield learn
        if step % every == 0 or step == steps:
            seconds = time.perf_counter() - started
            recent = np.mean(losses[-every:])
            print(f"{what} {step}/{steps}: {recent:.3f} after {seconds:.0f} s", flush=True)


def learn_captions(model: open_clip.CLIP, pictures: Pictures, tokenizer: Any) -> None:
    """Phase 1: crops and their captions find each other within a batch."""
    steps, batch, rate = int(CONTRASTIVE["steps"]), int(CONTRASTIVE["batch"]), CONTRASTIVE["rate"]
    for learn in steps_of(model, steps, rate, 100, "captions"):
        pixels, truths, grounds = pictures.crops(batch, (64, 64), 0.25)
        texts = [caption(t, g, pictures.rng) for t, g in zip(truths, grounds, strict=True)]
        seen = F.normalize(model.encode_image(pixels), dim=-1)
        read = F.normalize(model.encode_text(tokenizer(texts)), dim=-1)
        logits = model.logit_scale.exp().clamp(max=100) * seen @ read.T  # (B, B)
        same = torch.arange(batch)
        learn((F.cross_entropy(logits, same) + F.cross_entropy(logits.T, same)) / 2)


def ask(
    model: open_clip.CLIP, tokenizer: Any, rng: np.random.Generator
) -> tuple[Queries, list[int]]:
    """Make up classes and background words, and the label of each class in a scene; 0 for none.

    All kinds or some, by one name or by all of them; at times words that mean nothing
    here; as background words one or more for each ground, and some for any.
    """
    some = int(rng.integers(2, len(KINDS))) if rng.random() < 0.6 else len(KINDS)
    requested = [int(index) for index in rng.permutation(len(KINDS))[:some]]
    classes = [_names(KIND_WORDS[index], rng) for index in requested]
    for _ in range(int(rng.integers(1, 4)) if rng.random() < 0.5 else 0):
        classes.append([_stranger(tokenizer, rng)])
        requested.append(-1)
    background = [word for words in GROUND_WORDS for word in _names(words, rng)]
    background += [word for word in PLAIN_WORDS if rng.random() < 0.2]
    owner = [index for index, names in enumerate(classes) for _ in names]
    words = [word for names in classes for word in names] + background
    chosen = rng.choice(CAPTIONS, 2, replace=False)
    vectors = model.encode_text(tokenizer([t.format(w) for w in words for t in chosen]))
    vectors = F.normalize(vectors, dim=-1).unflatten(0, (-1, len(chosen))).mean(dim=1)
    queries = Queries(F.normalize(vectors, dim=-1), (*owner, *[-1] * len(background)))
    return queries, [index + 1 for index in requested]


def _names(words: tuple[str, ...], rng: np.random.Generator) -> list[str]:
    return list(words) if rng.random() < 0.4 else [str(rng.choice(words))]


def _stranger(tokenizer: Any, rng: np.random.Generator) -> str:
    """Return any word of the vocabulary; it is rarely one of ours."""
    while True:
        word = str(tokenizer.decode([int(rng.integers(512, 49000))])).strip()
        if word.isalpha() and len(word) > 2:
            return word


def learn_maps(
    model: open_clip.CLIP,
    pictures: Pictures,
    tokenizer: Any,
    plan: dict[str, float],
    sizes: dict[int, tuple[int, float]],
) -> None:
    """Phase 2: the maps of CLIPer and of MaskCLIP become those of the scene."""
    encoder = ClipImageEncoder(model.visual)
    model.train().requires_grad_()  # the encoder has frozen its tower
    rng = pictures.rng

    to_coarse = partial(
        scoring.cliper_coarse, select_layer=SELECT_LAYER, attention_threshold=ATTENTION_THRESHOLD
    )
    for learn in steps_of(model, int(plan["steps"]), plan["rate"], 200, "maps"):
        side = int(rng.choice(list(sizes), p=[share for _, share in sizes.values()]))
        shape = (side, side if rng.random() < 0.7 else side + 8 * int(rng.integers(1, side // 16)))
        smallest = float(rng.choice((0.5, 0.9)))
        pixels, truths, _ = pictures.crops(sizes[side][0], shape, smallest)
        queries, values = ask(model, tokenizer, rng)
        wanted = torch.stack([(truths == v) & (v > 0) for v in values], dim=1).float()
        half = F.avg_pool2d(wanted, 2)  # (B, T, h / 2, w / 2)
        patches = F.avg_pool2d(wanted, encoder.patch)  # (B, T, h / 8, w / 8)

        images = encoder.early_layers(pixels)
        features = torch.stack([one.features[:, 1:] for one in images])  # (B, K, N, D)
        attention = torch.stack([one.attention for one in images])  # (B, N, N)
        logits = scoring.cliper_logits(features, queries, LOGIT_SCALE)  # (B, K, N, P)
        layers = logits.softmax(dim=-1)[..., : len(values)].mT  # (B, K, T, N)
        coarse = vmap(to_coarse)(layers, attention).unflatten(-1, patches.shape[-2:])
        shown = F.interpolate(coarse / 2, size=half.shape[-2:], mode="bilinear").clamp(1e-3, 0.999)
        if not shown.isfinite().all():
            continue  # the attention is not finite; go on with the next batch
        overlap = (shown * half).sum((0, 2, 3)) / (shown + half).sum((0, 2, 3)).clamp(min=1)
        loss = cross_entropy(logits, patches[:, None]) - 2 * overlap.mean()
        loss = loss + 2 * len(values) * F.binary_cross_entropy(shown, half)
        if rng.random() < 0.25:  # MaskCLIP
            features = encoder.last_block(pixels, "identity", residual=False)  # (B, N, D)
            cosines = scoring.cosine(features, queries.vectors) * LOGIT_SCALE
            merged = scoring.merge_synonyms(cosines, queries.owner)
            loss = loss + 0.6 * cross_entropy(merged, patches)
        learn(loss)
    model.eval()


def cross_entropy(logits: Tensor, shares: Tensor) -> Tensor:
    """Return the loss of (..., N, P) logits; `shares` of the classes in patches, (..., T, h, w).

    The rest of a patch belongs to all other queries together.
    """
    shares = shares.flatten(-2).mT  # (..., N, T)
    found = logits.log_softmax(dim=-1)
    classes, others = found[..., : shares.shape[-1]], found[..., shares.shape[-1] :]
    rest = (1 - shares.sum(dim=-1)) * others.logsumexp(dim=-1)
    return -((shares * classes).sum(dim=-1) + rest).mean()


def save(model: open_clip.CLIP, seed: int, path: Path) -> None:
    """Write half-precision weights and what is needed to use them; whole or not at all."""
    tensors = {name: value.half().contiguous() for name, value in model.state_dict().items()}
    metadata = {
        "config": json.dumps(CONFIG),
        "words": json.dumps(WORDS),
        "seed": str(seed),
        "licence": "BSD-3-Clause",
    }
    unfinished = path.with_suffix(f".{os.getpid()}.tmp")
    try:
        save_file(tensors, unfinished, metadata)
        unfinished.chmod(0o644)  # safetensors keeps files to their owner
        unfinished.replace(path)
    finally:
        unfinished.unlink(missing_ok=True)


def main() -> None:
    """Train and write the file."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--only-finer", action="store_true", help="the last phase, from the file")
    options = parser.parse_args()
    torch.set_num_threads(2)
    started = time.perf_counter()
    torch.manual_seed(options.seed)
    model = open_clip.CLIP(**CONFIG)
    tokenizer = open_clip.SimpleTokenizer(context_length=CONFIG["text_cfg"]["context_length"])
    if options.only_finer:
        model.load_state_dict(load_file(OUTPUT))
    else:
        pictures = Pictures(options.seed)
        learn_captions(model, pictures, tokenizer)
        learn_maps(model, pictures, tokenizer, MAPS, MAP_SIZES)
    learn_maps(model, Pictures(options.seed + 1), tokenizer, FINER, FINER_SIZES)
    save(model, options.seed, OUTPUT)
    minutes = (time.perf_counter() - started) / 60
    print(f"{OUTPUT}: {OUTPUT.stat().st_size / 1e6:.1f} MB after {minutes:.1f} minutes")


if __name__ == "__main__":
    main()
