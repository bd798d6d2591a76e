"""The refined maps against the arrays of the published program."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from napari_cliper.segmentation.features.preprocessing import squashed
from napari_cliper.segmentation.labelling.label_rule import LabelRule, cliper_best
from napari_cliper.segmentation.models.stable_diffusion import Diffusion, load
from napari_cliper.segmentation.refiners.attention_maps import (
    SelfAttention,
    compress,
    refine_with_attention,
    sharpen,
)

FUSIONS = {"SFSA": "product", "mean": "mean"}


@pytest.fixture
def model(reference: Path, diffusion_case) -> Diffusion:
    return load(reference / "diffusion", diffusion_case.tensor("prompt_embeds"), torch.float32)


@pytest.fixture
def latents(model, diffusion_case) -> torch.Tensor:
    return model.noisy_latents(
        squashed(diffusion_case["image"], model.image_side),
        diffusion_case.tensor("noise"),
        step_index=diffusion_case.config["time_step"],
    )


def refined_of(case, model, latents, keep=lambda raw, threshold: compress(sharpen(raw, threshold))):
    maps = model.self_attention(
        latents,
        lambda raw: keep(raw, case.config["attention_thr"]),
        layers=case.config["attention_layers"],
        step_index=case.config["time_step"],
    )
    return refine_with_attention(
        case.tensor("coarse"),
        SelfAttention(tuple(maps), (model.side, model.side)),
        FUSIONS[case.config["refinement"]],
    ).numpy()


def test_timestep_noise_and_latents(diffusion_case, model, latents):
    assert model.timestep(diffusion_case.config["time_step"]) == diffusion_case["timestep"]
    noise = model.noise(diffusion_case.config["noise_seed"])
    # torch draws it in float32, with the sines and logarithms that the processor has
    np.testing.assert_allclose(noise, diffusion_case["noise"], rtol=0, atol=1e-5)
    np.testing.assert_allclose(latents, diffusion_case["noisy_latents"], rtol=0, atol=1e-4)


def test_raw_attention_rows(diffusion_case, model, latents):
    rows = diffusion_case.tensor("row_index")
    maps = model.self_attention(
        latents,
        lambda raw: raw[rows].clone(),
        layers=diffusion_case.config["attention_layers"],
        step_index=diffusion_case.config["time_step"],
    )
    expected = diffusion_case["raw_attention_rows"]  # float16: half a unit in the last place
    np.testing.assert_allclose(torch.stack(maps), expected, rtol=2**-11, atol=1e-4)


@pytest.mark.parametrize("form", ["sparse", "dense"])
def test_refined_and_class_score(diffusion_case, model, latents, form):
    keep = {
        "sparse": lambda raw, threshold: compress(sharpen(raw, threshold)),
        "dense": lambda raw, threshold: sharpen(raw, threshold),
    }[form]
    refined = refined_of(diffusion_case, model, latents, keep)
    error = np.abs(refined - diffusion_case["refined"])
    assert error.mean() <= 1e-5
    assert (error > 1e-4).mean() <= 0.005
    assert error.max() <= 5e-3
    score = (refined.max(axis=(1, 2)) + diffusion_case["coarse"].max(axis=(1, 2))) / 2
    np.testing.assert_allclose(score, diffusion_case["class_score"], rtol=0, atol=1e-4)


@pytest.mark.parametrize("key", ["label_map_normalized", "label_map_raw"])
def test_label_map(diffusion_case, model, latents, pixel_scores, key):
    refined = torch.from_numpy(refined_of(diffusion_case, model, latents))
    score = (refined.amax(dim=(1, 2)) + diffusion_case.tensor("coarse").amax(dim=(1, 2))) / 2
    scores = pixel_scores(
        refined, score, diffusion_case["image"].shape[:2], min_max=key == "label_map_normalized"
    )
    best = cliper_best(scores, class_threshold=diffusion_case.config["class_thr"])
    levels = np.full(len(refined) + 1, diffusion_case.config["background_thr"])
    labels = LabelRule(levels, background_competes=True).labels(best)
    assert (labels == diffusion_case[key]).mean() >= 0.995
