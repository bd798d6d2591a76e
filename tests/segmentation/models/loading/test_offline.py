"""Models that are on disk, or cannot be had."""

from __future__ import annotations

import json

import open_clip
import pytest
import torch
from huggingface_hub import constants
from loading_configs import config
from loopback_hub import COMMIT
from safetensors.torch import load_file

from napari_cliper.segmentation import Segmenter
from napari_cliper.segmentation.errors import DamagedWeightsError, WeightsUnavailableError


@pytest.mark.parametrize(
    ("model", "repository"),
    [
        ("ViT-B/16", "timm/vit_base_patch16_clip_224.openai"),
        ("open_clip:ViT-B-32/laion2b_s34b_b79k", "laion/CLIP-ViT-B-32-laion2B-s34B-b79K"),
    ],
)
def test_offline_with_nothing_on_disk(monkeypatch, tmp_path, image, model, repository):
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path))
    with pytest.raises(WeightsUnavailableError) as error:
        Segmenter(config(model)).embed(image)
    text = str(error.value)
    assert f"{repository}: not tried, the offline option is on" in text
    folder = tmp_path / f"models--{repository.replace('/', '--')}" / "snapshots"
    assert str(folder) in text
    assert "open_clip_model.safetensors" in text
    assert f"napari-cliper models download {model}" in text


@pytest.fixture
def tagged(tiny_clip, tmp_path, monkeypatch):
    """A tag of open_clip whose file is in the hub's cache."""
    own = json.loads(tiny_clip.with_suffix(".json").read_text())
    monkeypatch.setitem(open_clip.factory._MODEL_CONFIGS, "ViT-tiny-test", own)
    monkeypatch.setitem(
        open_clip.pretrained._PRETRAINED,
        "ViT-tiny-test",
        {"some": {"hf_hub": "someone/tiny/", "mean": (0.5,) * 3, "std": (0.5,) * 3}},
    )
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "hub"))

    def cache(repository, name, content):
        folder = tmp_path / "hub" / f"models--{repository.replace('/', '--')}"
        (folder / "snapshots" / COMMIT).mkdir(parents=True, exist_ok=True)
        (folder / "refs").mkdir(exist_ok=True)
        (folder / "refs" / "main").write_text(COMMIT)
        (folder / "snapshots" / COMMIT / name).write_bytes(content)

    cache("someone/tiny", "open_clip_model.safetensors", tiny_clip.read_bytes())
    return own, cache


@pytest.mark.usefixtures("tagged")
def test_a_tag_that_is_on_disk(image, tiny_clip):
    segmenter = Segmenter(config("open_clip:ViT-tiny-test/some"))
    embedding = segmenter.embed(image)
    assert embedding.record["weights"][0]["file"] == "open_clip_model.safetensors"
    encoder = segmenter.networks.loaded["clip"].network.image
    assert encoder.mean == encoder.std == (0.5,) * 3  # as the table of open_clip says
    assert torch.equal(encoder.visual.proj, load_file(tiny_clip)["visual.proj"])


def test_a_tokenizer_of_its_own_is_fetched_like_weights(tagged, image):
    """Not behind the back of the cache, of `offline` and of a stop."""
    own, cache = tagged
    own["text_cfg"]["hf_tokenizer_name"] = "someone/words"
    segmenter = Segmenter(config("open_clip:ViT-tiny-test/some"))
    with pytest.raises(WeightsUnavailableError, match=r"someone/words: not tried, the offline"):
        segmenter.embed(image)
    for name in ("config.json", "tokenizer.json", "tokenizer_config.json"):
        cache("someone/words", name, b"{")
    with pytest.raises(DamagedWeightsError, match=r"tokenizer in .* cannot be read"):
        segmenter.embed(image)
