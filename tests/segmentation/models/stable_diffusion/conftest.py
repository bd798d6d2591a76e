"""A folder of a small Stable Diffusion."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from small_diffusion import REFERENCE, SIDE, edit, write_text_encoder


@pytest.fixture(scope="module")
def whole_folder(tmp_path_factory):
    """The small UNet and VAE of the reference, and the parts that it lacks."""
    folder = tmp_path_factory.mktemp("sd") / "model"
    for part in ("unet", "vae", "scheduler"):
        shutil.copytree(REFERENCE / part, folder / part)
    edit(folder / "unet" / "config.json", sample_size=SIDE)
    write_text_encoder(folder)
    return folder


@pytest.fixture
def folder(whole_folder, tmp_path):
    """One that a test may damage."""
    return Path(shutil.copytree(whole_folder, tmp_path / "model"))
