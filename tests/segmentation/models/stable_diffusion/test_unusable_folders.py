"""Folders of Stable Diffusion that cannot be used are named."""

from __future__ import annotations

import shutil

import pytest
import torch
from safetensors.torch import load_file, save_file
from small_diffusion import WEIGHTS, load, write_text_encoder

from napari_cliper.segmentation.errors import (
    DamagedWeightsError,
    InvalidInputError,
)


@pytest.mark.parametrize("part", ["unet", "vae", "scheduler"])
def test_a_missing_part_is_named(folder, part):
    shutil.rmtree(folder / part)
    with pytest.raises(
        InvalidInputError,
        match=rf"not a Stable Diffusion model in diffusers format: .*lacks {part}\.",
    ):
        load(folder)


@pytest.mark.parametrize("part", ["text_encoder", "tokenizer"])
def test_what_the_empty_prompt_needs_is_named(folder, part):
    shutil.rmtree(folder / part)
    with pytest.raises(InvalidInputError, match=r"lacks text_encoder .* or tokenizer"):
        load(folder)


def test_no_folder_at_all(tmp_path):
    with pytest.raises(InvalidInputError, match=str(tmp_path / "none")):
        load(tmp_path / "none")


@pytest.mark.parametrize(
    "file",
    [
        f"unet/{WEIGHTS}",
        f"vae/{WEIGHTS}",
        "text_encoder/model.safetensors",
        "unet/config.json",
        "vae/config.json",
        "scheduler/scheduler_config.json",
        "text_encoder/config.json",
        "tokenizer/vocab.json",
    ],
)
@pytest.mark.parametrize("share", [0.0, 0.6])
def test_a_damaged_file_names_its_folder(folder, file, share):
    path = folder / file
    path.write_bytes(path.read_bytes()[: int(share * path.stat().st_size)])
    with pytest.raises(DamagedWeightsError, match="download it again") as error:
        load(folder)
    assert str(path.parent) in str(error.value)


@pytest.mark.parametrize(
    ("file", "name"),
    [
        (f"unet/{WEIGHTS}", "conv_in.weight"),
        (f"vae/{WEIGHTS}", "encoder.conv_in.weight"),
        ("text_encoder/model.safetensors", "text_model.final_layer_norm.weight"),
    ],
)
@pytest.mark.parametrize("change", ["missing", "another shape"])
def test_a_tensor_that_is_missing_or_of_another_shape(folder, file, name, change):
    """The libraries only warn of one that is missing, and go on with random numbers."""
    path = folder / file
    tensors = load_file(path)
    name = next(n for n in tensors if n == name or name.endswith(n))
    if change == "missing":
        del tensors[name]
    else:
        tensors[name] = torch.ones(3)
    save_file(tensors, path, {"format": "pt"})
    with pytest.raises(DamagedWeightsError, match="download it again") as error:
        load(folder)
    assert str(path.parent) in str(error.value)


def test_parts_of_two_models(folder):
    write_text_encoder(folder, width=64)
    with pytest.raises(DamagedWeightsError, match="belong to different models") as error:
        load(folder)
    assert "prompts of width 32, but its text encoder gives 64" in str(error.value)


def test_pickles_are_not_read(folder):
    path = folder / "unet" / WEIGHTS
    torch.save(load_file(path), path.with_suffix(".bin"))
    path.unlink()
    with pytest.raises(DamagedWeightsError, match="cannot be read"):
        load(folder)
