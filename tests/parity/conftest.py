"""Find the cases in the reference folder and hand each to the tests of its kind."""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from napari_cliper.segmentation.features.pixel_planes import InterpolatedPlanes
from napari_cliper.segmentation.labelling.label_rule import CliperScores, class_ranges
from napari_cliper.segmentation.models import clip
from napari_cliper.segmentation.models.clip_image_encoder import MEAN, STD, ClipImageEncoder

FOLDERS = {
    "cliper_case": "cliper",
    "attention_case": "attention",
    "diffusion_case": "diffusion",
    "proxy_case": "proxy_refinement",
    "scclip_case": "later/scclip",
    "resclip_case": "later/resclip",
    "cliptrase_case": "later/cliptrase",
    "corrclip_case": "later/corrclip",
    "trident_case": "later/trident",
}


@dataclass(frozen=True)
class Case:
    """One file of reference arrays."""

    path: Path

    @cached_property
    def arrays(self) -> dict[str, np.ndarray]:
        with np.load(self.path) as file:
            return dict(file)

    @cached_property
    def config(self) -> dict[str, Any]:
        return json.loads(str(self.arrays["config"]))

    def __getitem__(self, key: str) -> np.ndarray:
        return self.arrays[key]

    def tensor(self, key: str) -> torch.Tensor:
        return torch.from_numpy(self.arrays[key])

    def pixels(self) -> np.ndarray:
        """The image as (H, W, 3) uint8, from its normalised pixels."""
        values = self.tensor("pixel_values")[0].permute(1, 2, 0) * torch.tensor(STD)
        return ((values + torch.tensor(MEAN)) * 255).round().byte().numpy()


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    reference = metafunc.config.getoption("--reference")
    for fixture, folder in FOLDERS.items():
        if fixture in metafunc.fixturenames:
            cases = [Case(path) for path in sorted((reference / folder).glob("*.npz"))]
            if not cases:
                raise pytest.UsageError(f"There is no reference case in {reference / folder}.")
            metafunc.parametrize(fixture, cases, ids=[case.path.stem for case in cases])


@pytest.fixture(scope="session")
def reference(request: pytest.FixtureRequest) -> Path:
    return request.config.getoption("--reference")


@pytest.fixture(scope="session")
def later_encoder(reference: Path) -> ClipImageEncoder:
    """The image tower of the methods in ``later``."""
    config = json.loads((reference / "later" / "clip_visual.json").read_text())
    tensors = load_file(reference / "later" / "clip_visual.safetensors")
    return clip.build(config, tensors, source="reference").image


@pytest.fixture
def pixel_scores():
    """The scores that CLIPer's rule compares, from maps and class scores."""

    def make(
        maps: torch.Tensor, class_scores: torch.Tensor, shape: tuple[int, int], *, min_max: bool
    ) -> CliperScores:
        source = InterpolatedPlanes(maps, shape)
        return CliperScores(source, class_ranges(source), class_scores.numpy(), min_max)

    return make
