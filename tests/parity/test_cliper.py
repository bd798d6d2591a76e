"""CLIPer's coarse maps and labels against the arrays of the published program."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from napari_cliper.segmentation.config import Settings, published_settings
from napari_cliper.segmentation.features.preprocessing import (
    RGBImage,
    normalised,
    resized,
)
from napari_cliper.segmentation.labelling.label_rule import LabelRule, cliper_best
from napari_cliper.segmentation.methods.cliper import cliper_maps, read_early_layers
from napari_cliper.segmentation.models import clip
from napari_cliper.segmentation.models.clip_image_encoder import (
    MEAN,
    STD,
    ClipImageEncoder,
    LayerFeatures,
)
from napari_cliper.segmentation.progress import Monitor
from napari_cliper.segmentation.results import ImageEmbedding, PatchFeatures
from napari_cliper.segmentation.scoring.similarity import Queries, cliper_coarse, cliper_logits
from napari_cliper.segmentation.tiles import Window
from napari_cliper.segmentation.working_size import patch_aligned_shape

FLOAT = {"rtol": 0, "atol": 1e-4}


@pytest.fixture(scope="module")
def encoder(reference: Path) -> ClipImageEncoder:
    config = json.loads((reference / "cliper" / "clip_visual.json").read_text())
    tensors = load_file(reference / "cliper" / "clip_visual.safetensors")
    return clip.build(config, tensors, source="reference").image


def settings_of(case) -> Settings:
    config = case.config
    return Settings(
        shorter_side=config["size"],
        window=config["sliding_crop_size"],
        stride=published_settings("cliper", "ViT-B/16").stride,
        select_layer=config["select_layer"],
        logit_scale=config["logit_scale"],
        attention_threshold=config["attention_thr"],
        class_threshold=config["class_thr"],
        background_threshold=config["background_thr"],
        min_max=True,
        area_threshold=0,
        templates="word",
    )


def queries_of(case) -> Queries:
    classes, background = len(case["fg_text"]), len(case["bg_text"])
    vectors = torch.cat([case.tensor("fg_text"), case.tensor("bg_text")])
    return Queries(vectors, (*range(classes), *[-1] * background))


def layers_of(case, encoder: ClipImageEncoder) -> LayerFeatures:
    config = case.config
    attention = "fused" if config["attn_type"] == "fused-attn" else config["attn_type"]
    (layers,) = encoder.early_layers(
        case.tensor("pixel_values"),
        attention=attention,
        only_layer=None if config["fuse_feature"] else config["select_layer"],
    )
    return layers


def coarse_of(case, encoder: ClipImageEncoder) -> np.ndarray:
    """The coarse map as the engine computes it, from the image on."""
    settings, queries = settings_of(case), queries_of(case)
    pixels = resized(
        case["image"],
        patch_aligned_shape(case["image"].shape[:2], settings.shorter_side, encoder.patch),
        "bicubic",
    )
    if case.config["attn_type"] == "fused-attn" and case.config["fuse_feature"]:
        whole, windows, attention = read_early_layers(encoder, pixels, settings, Monitor())
    else:
        # The variants of the paper's ablation have no method of their own.
        layers = layers_of(case, encoder)
        grid = pixels.shape[0] // encoder.patch, pixels.shape[1] // encoder.patch
        everything = Window(0, 0, *pixels.shape[:2])
        whole = PatchFeatures(
            layers.features[:, 1:], grid, layers.attention, everything, everything,
            pixels.shape[:2],
        )  # fmt: skip
        if not case.config["fuse_feature"]:
            logits = cliper_logits(whole.features, queries, settings.logit_scale)
            probabilities = logits.softmax(dim=-1)[..., : queries.class_count].mT
            return (
                cliper_coarse(
                    probabilities,
                    layers.attention,
                    select_layer=0,
                    attention_threshold=settings.attention_threshold,
                    fuse=False,
                )
                .reshape(-1, *grid)
                .numpy()
            )
        windows, attention = (), None
    embedding = ImageEmbedding(
        RGBImage(case["image"]), pixels, whole, windows, attention, None, None, {}
    )
    return cliper_maps(embedding, queries, settings, encoder.patch).maps


def test_pixel_values(cliper_case, encoder):
    shape = patch_aligned_shape(
        cliper_case["image"].shape[:2], cliper_case.config["size"], encoder.patch
    )
    pixels = normalised(resized(cliper_case["image"], shape, "bicubic"), MEAN, STD)
    np.testing.assert_allclose(pixels, cliper_case["pixel_values"], **FLOAT)


def test_layer_features(cliper_case, encoder):
    expected = cliper_case["layer_features"]
    if not cliper_case.config["fuse_feature"]:
        # Without fusion only the selected layer counts; the published program feeds zeros
        # for the others, and the engine does not compute them.
        expected = expected[[cliper_case.config["select_layer"]]]
    np.testing.assert_allclose(layers_of(cliper_case, encoder).features, expected, **FLOAT)


def test_attention(cliper_case, encoder):
    attention = layers_of(cliper_case, encoder).attention
    np.testing.assert_allclose(attention, cliper_case["attention"], **FLOAT)


def test_coarse_and_class_score(cliper_case, encoder):
    coarse = coarse_of(cliper_case, encoder)
    np.testing.assert_allclose(coarse, cliper_case["coarse"], **FLOAT)
    np.testing.assert_allclose(coarse.max(axis=(1, 2)), cliper_case["class_score"], **FLOAT)


def test_pixel_score(cliper_case, encoder, pixel_scores):
    coarse = torch.from_numpy(coarse_of(cliper_case, encoder))
    shape = cliper_case["image"].shape[:2]
    scores = pixel_scores(coarse, coarse.amax(dim=(1, 2)), shape, min_max=False)
    found = scores.at(Window(0, 0, *shape), range(len(coarse)))
    np.testing.assert_allclose(torch.stack(found), cliper_case["pixel_score"], **FLOAT)


@pytest.mark.parametrize("key", ["label_map_normalized", "label_map_raw"])
def test_label_map(cliper_case, encoder, pixel_scores, key):
    coarse = torch.from_numpy(coarse_of(cliper_case, encoder))
    scores = pixel_scores(
        coarse,
        coarse.amax(dim=(1, 2)),
        cliper_case["image"].shape[:2],
        min_max=key == "label_map_normalized",
    )
    best = cliper_best(scores, class_threshold=cliper_case.config["class_thr"])
    levels = np.full(len(coarse) + 1, cliper_case.config["background_thr"])
    labels = LabelRule(levels, background_competes=True).labels(best)
    assert (labels == cliper_case[key]).mean() >= 0.995
