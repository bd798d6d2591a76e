"""The refined maps against the arrays of the published program."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

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


@dataclass(frozen=True)
class Refined:
    """What one pass of the network gives: rows of the attention as it is, and refined maps."""

    rows: torch.Tensor
    sparse: np.ndarray
    dense: np.ndarray

    @classmethod
    @cache  # several tests look at the same pass
    def of(cls, reference: Path, case: Any) -> Refined:
        model, latents = loaded(reference, case), noisy(reference, case)

        def keep(raw):
            sharp = sharpen(raw.clone(), case.config["attention_thr"])
            return raw[case.tensor("row_index")].clone(), compress(sharp), sharp

        found = model.self_attention(
            latents,
            keep,
            layers=case.config["attention_layers"],
            step_index=case.config["time_step"],
        )
        rows, *forms = zip(*found, strict=True)
        sparse, dense = (
            refine_with_attention(
                case.tensor("coarse"),
                SelfAttention(maps, (model.side, model.side)),
                FUSIONS[case.config["refinement"]],
            ).numpy()
            for maps in forms
        )
        return cls(torch.stack(rows), sparse, dense)


@cache
def loaded(reference: Path, case: Any) -> Diffusion:
    return load(reference / "diffusion", case.tensor("prompt_embeds"), torch.float32)


@cache
def noisy(reference: Path, case: Any) -> torch.Tensor:
    model = loaded(reference, case)
    return model.noisy_latents(
        squashed(case["image"], model.image_side),
        case.tensor("noise"),
        step_index=case.config["time_step"],
    )


@pytest.fixture
def refined(reference: Path, diffusion_case) -> Refined:
    return Refined.of(reference, diffusion_case)


def test_timestep_noise_and_latents(reference, diffusion_case):
    model, latents = loaded(reference, diffusion_case), noisy(reference, diffusion_case)
    assert model.timestep(diffusion_case.config["time_step"]) == diffusion_case["timestep"]
    noise = model.noise(diffusion_case.config["noise_seed"])
    # torch draws it in float32, with the sines and logarithms that the processor has
    np.testing.assert_allclose(noise, diffusion_case["noise"], rtol=0, atol=1e-5)
    np.testing.assert_allclose(latents, diffusion_case["noisy_latents"], rtol=0, atol=1e-4)


def test_raw_attention_rows(diffusion_case, refined):
    expected = diffusion_case["raw_attention_rows"]  # float16: half a unit in the last place
    np.testing.assert_allclose(refined.rows, expected, rtol=2**-11, atol=1e-4)


@pytest.mark.parametrize("form", ["sparse", "dense"])
def test_refined_and_class_score(diffusion_case, refined, form):
    found = getattr(refined, form)
    error = np.abs(found - diffusion_case["refined"])
    assert error.mean() <= 1e-5
    assert (error > 1e-4).mean() <= 0.005
    assert error.max() <= 5e-3
    score = (found.max(axis=(1, 2)) + diffusion_case["coarse"].max(axis=(1, 2))) / 2
    np.testing.assert_allclose(score, diffusion_case["class_score"], rtol=0, atol=1e-4)


@pytest.mark.parametrize("key", ["label_map_normalized", "label_map_raw"])
def test_label_map(diffusion_case, refined, pixel_scores, key):
    maps = torch.from_numpy(refined.sparse)
    score = (maps.amax(dim=(1, 2)) + diffusion_case.tensor("coarse").amax(dim=(1, 2))) / 2
    scores = pixel_scores(
        maps, score, diffusion_case["image"].shape[:2], min_max=key == "label_map_normalized"
    )
    best = cliper_best(scores, class_threshold=diffusion_case.config["class_thr"])
    levels = np.full(len(maps) + 1, diffusion_case.config["background_thr"])
    labels = LabelRule(levels, background_competes=True).labels(best)
    assert (labels == diffusion_case[key]).mean() >= 0.995
