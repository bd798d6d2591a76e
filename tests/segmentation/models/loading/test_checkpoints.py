"""Checkpoints and their configurations: what is found, and what is refused."""

from __future__ import annotations

import json
import pickle
from pathlib import Path

import open_clip
import pytest
import torch
from loading_configs import WORDS, config
from safetensors.torch import load_file, save_file

from napari_cliper.segmentation import Segmenter
from napari_cliper.segmentation.errors import (
    DamagedWeightsError,
    InvalidInputError,
    WeightsUnavailableError,
)
from napari_cliper.segmentation.models import loading, weights
from napari_cliper.segmentation.models.clip_image_encoder import MEAN, STD


@pytest.fixture
def without_hints(tiny_clip, tmp_path):
    """The tiny CLIP with no configuration beside it."""
    path = tmp_path / "alone.safetensors"
    path.write_bytes(tiny_clip.read_bytes())
    return path


def vectors_of(path):
    """What a checkpoint says of the prompt "dog", however its architecture was told."""
    segmenter = Segmenter(config(path))
    segmenter.load()
    return segmenter.networks.loaded["clip"].network.text.encode(["dog"])


def test_configuration_beside_the_checkpoint_by_its_name(tiny_clip):
    source = loading.clip_source(str(tiny_clip))
    assert (source.path, source.entry) == (tiny_clip, None)
    assert (source.patch, source.layers, source.heads) == (16, 3, 2)
    assert (source.mean, source.std) == (MEAN, STD)


@pytest.mark.parametrize("wrapped", [True, False])
def test_configuration_of_open_clip_beside_the_checkpoint(tiny_clip, without_hints, wrapped):
    own = json.loads(tiny_clip.with_suffix(".json").read_text())
    pixels = {"mean": [0.5, 0.5, 0.5], "std": [0.25, 0.25, 0.25]}
    document = {"model_cfg": own, "preprocess_cfg": pixels} if wrapped else own
    without_hints.with_name("open_clip_config.json").write_text(json.dumps(document))
    source = loading.clip_source(str(without_hints))
    assert source.heads == 2
    assert (source.mean, source.std) == (((0.5,) * 3, (0.25,) * 3) if wrapped else (MEAN, STD))
    assert torch.equal(vectors_of(without_hints), vectors_of(tiny_clip))


def test_pixels_are_normalised_as_the_weights_want(tiny_clip, without_hints, image):
    """A plane whose mean is taken off and one whose is not are not the same to the network."""
    own = json.loads(tiny_clip.with_suffix(".json").read_text())
    beside = without_hints.with_name("open_clip_config.json")
    features = []
    for mean, std in ((MEAN, STD), ([0.5] * 3, [0.5] * 3)):
        document = {"model_cfg": own, "preprocess_cfg": {"mean": mean, "std": std}}
        beside.write_text(json.dumps(document))
        features.append(Segmenter(config(without_hints)).embed(image).whole.features)
    usual = Segmenter(config(tiny_clip)).embed(image).whole.features
    assert torch.equal(features[0], usual)
    assert not torch.allclose(features[1], usual, atol=1e-3)


def test_configuration_in_the_metadata(tiny_clip, tmp_path):
    path = tmp_path / "self.safetensors"
    own = tiny_clip.with_suffix(".json").read_text()
    save_file(load_file(tiny_clip), path, {"config": own})
    path.with_suffix(".json").write_text("{}")  # what the file says itself comes first
    assert torch.equal(vectors_of(path), vectors_of(tiny_clip))


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("{", "cannot be read as JSON"),
        ("[1]", "is not an open_clip configuration"),
        ("{}", "is not an open_clip configuration"),
        ('{"embed_dim": 32}', "'vision_cfg'"),
    ],
)
def test_a_configuration_that_is_none_is_named(without_hints, text, words):
    beside = without_hints.with_suffix(".json")
    beside.write_text(text)
    with pytest.raises(InvalidInputError, match=words) as error:
        loading.clip_source(str(without_hints))
    assert str(beside) in str(error.value)


@pytest.mark.parametrize(
    ("vision", "reason"),
    [
        ({"pool_type": "avg"}, "it pools by 'avg'"),
        ({"layers": [3, 4, 6, 3]}, "its image tower is a ResNet"),
        ({"timm_model_name": "vit_base_patch16_siglip_224"}, "its image tower comes from timm"),
    ],
)
def test_a_configuration_that_cannot_work_is_refused(
    tiny_clip, without_hints, image, monkeypatch, vision, reason
):
    monkeypatch.setattr(weights, "read_tensors", lambda _path: pytest.fail("weights were read"))
    own = json.loads(tiny_clip.with_suffix(".json").read_text())
    own["vision_cfg"] |= vision
    without_hints.with_suffix(".json").write_text(json.dumps(own))
    with pytest.raises(InvalidInputError, match=rf"alone\.safetensors cannot be used: {reason}"):
        Segmenter(config(without_hints)).embed(image)


def test_without_anything_beside_it_the_shapes_tell(tmp_path):
    """A bare image tower of a real name that no other has the shapes of, and one that two have."""
    tensors = {
        "visual.conv1.weight": torch.zeros(256, 3, 16, 16),
        "visual.positional_embedding": torch.zeros(197, 256),
        "visual.proj": torch.zeros(256, 256),
    } | {f"visual.transformer.resblocks.{i}.ln_1.weight": torch.zeros(1) for i in range(12)}
    path = tmp_path / "small.pt"
    assert open_clip.get_model_config("ViT-S-16-alt")["vision_cfg"]["width"] == 384
    torch.save(tensors, path)
    with pytest.raises(InvalidInputError, match="none of open_clip's fits its shapes") as error:
        loading.clip_source(str(path))
    assert f"Choose open_clip:NAME/{path}" in str(error.value)
    assert "small.json" in str(error.value)

    with torch.device("meta"):
        shapes = open_clip.CLIP(**open_clip.get_model_config("ViT-S-16")).state_dict()
    few = {name: torch.zeros(tensor.shape) for name, tensor in shapes.items()}
    torch.save(few, path)
    source = loading.clip_source(str(path))
    assert (source.patch, source.layers, source.path) == (16, 12, path)


def test_twins_are_named_with_the_way_to_choose(tmp_path):
    with torch.device("meta"):
        shapes = open_clip.CLIP(**open_clip.get_model_config("ViT-B-32")).state_dict()
    # As many zeros as it has, in a file of a few bytes: the shapes are what counts.
    tensors = {name: torch.zeros(()).expand(tensor.shape) for name, tensor in shapes.items()}
    path = tmp_path / "mine.pt"
    torch.save(tensors, path)
    with pytest.raises(InvalidInputError, match="ViT-B-32, ViT-B-32-quickgelu fit") as error:
        loading.clip_source(str(path))
    assert f"Choose open_clip:NAME/{path}" in str(error.value)
    source = loading.clip_source(f"open_clip:ViT-B-32-quickgelu/{path}")
    assert source.path == path
    assert source.config["quick_gelu"] is True


def test_a_file_of_a_named_architecture(tiny_clip, monkeypatch, image):
    """open_clip:NAME/FILE, with a small architecture in open_clip's table."""
    own = json.loads(tiny_clip.with_suffix(".json").read_text())
    table = open_clip.factory._MODEL_CONFIGS
    monkeypatch.setitem(table, "ViT-tiny-test", own)
    segmenter = Segmenter(config(f"open_clip:ViT-tiny-test/{tiny_clip}"))
    there = Segmenter(config(tiny_clip)).embed(image)
    assert torch.equal(segmenter.embed(image).whole.features, there.whole.features)
    with pytest.raises(InvalidInputError, match="is a file on this computer"):
        loading.weights_of(f"open_clip:ViT-tiny-test/{tiny_clip}")


def test_a_file_of_another_architecture(tiny_clip, image):
    with pytest.raises(DamagedWeightsError, match="Choose the architecture") as error:
        Segmenter(config(f"open_clip:ViT-S-32-alt/{tiny_clip}")).embed(image)
    assert str(tiny_clip) in str(error.value)


@pytest.mark.parametrize("model", ["{}", "open_clip:ViT-B-32/{}"])
def test_a_file_that_is_not_there(tmp_path, image, model):
    path = tmp_path / "none.pt"
    with pytest.raises(InvalidInputError, match=r"no checkpoint file at .*none\.pt"):
        Segmenter(config(model.format(path))).embed(image)


@pytest.mark.parametrize("model", ["{}", "open_clip:ViT-B-32/{}"])
def test_a_checkpoint_that_runs_code_is_refused_and_not_run(tmp_path, image, model):
    target, path = tmp_path / "it_ran", tmp_path / "model.pt"

    class Malicious:
        def __reduce__(self):
            return (Path.touch, (target,))

    path.write_bytes(pickle.dumps({"visual.proj": Malicious()}, protocol=2))
    with pytest.raises(DamagedWeightsError, match="none of its code was run") as error:
        Segmenter(config(model.format(path))).embed(image)
    assert str(path) in str(error.value)
    assert not target.exists()


def test_a_damaged_local_file(tiny_clip, image):
    copy = tiny_clip.with_name("cut.safetensors")
    copy.write_bytes(tiny_clip.read_bytes()[:5000])
    copy.with_suffix(".json").write_text(tiny_clip.with_suffix(".json").read_text())
    with pytest.raises(DamagedWeightsError, match=r"cut\.safetensors"):
        Segmenter(config(copy)).embed(image)


def test_a_bare_image_tower_encodes_images_and_no_words(tiny_clip, tmp_path, image):
    path = tmp_path / "bare.safetensors"
    tensors = {k: v for k, v in load_file(tiny_clip).items() if k.startswith("visual.")}
    own = tiny_clip.with_suffix(".json").read_text()
    save_file(tensors, path, {"config": own})
    segmenter = Segmenter(config(path))
    embedding = segmenter.embed(image)
    expected = Segmenter(config(tiny_clip)).embed(image)
    assert torch.equal(embedding.whole.features, expected.whole.features)
    with pytest.raises(InvalidInputError, match="no text tower"):
        segmenter.score(embedding, WORDS, background=["grass"])


def test_every_model_of_the_registry_is_identified_without_loading(monkeypatch):
    monkeypatch.setattr(weights, "fetch", lambda *_args, **_options: pytest.fail("it was fetched"))
    for name, patch, heads in (("ViT-B/16", 16, 12), ("ViT-L/14", 14, 16), ("ViT-H/14", 14, 16)):
        source = loading.clip_source(name)
        assert (source.patch, source.heads, source.path) == (patch, heads, None)
        assert (source.entry,) == loading.weights_of(name)
    assert loading.clip_source("ViT-B/16").config["quick_gelu"]
    tagged = loading.clip_source("open_clip:ViT-B-16/openai")
    assert tagged.quick_gelu
    assert not tagged.config.get("quick_gelu")
    assert tagged.entry.repositories == ("timm/vit_base_patch16_clip_224.openai",)
    odd = loading.clip_source("open_clip:ViT-L-14/laion2b_s32b_b82k")
    assert (odd.mean, odd.std) == ((0.5,) * 3, (0.5,) * 3)
    assert [row.kind for row in loading.weights_of("dino-vits8")] == ["foundation"]
    weights_row, tokenizer = loading.weights_of("open_clip:roberta-ViT-B-32/laion2b_s12b_b32k")
    assert weights_row.repositories == ("laion/CLIP-ViT-B-32-roberta-base-laion2B-s12B-b32k",)
    assert tokenizer.repositories == ("roberta-base",)
    assert any("tokenizer.json" in alternatives for alternatives in tokenizer.files)


def test_a_demo_model_that_is_missing(monkeypatch):
    monkeypatch.setattr(weights, "cached", lambda _entry: None)
    with pytest.raises(WeightsUnavailableError, match="Install napari-cliper again"):
        loading.clip_source("demo")
