"""Vision foundation models: timm's own features, and the two ways they are used."""

from __future__ import annotations

import numpy as np
import pytest
import timm
import torch
from huggingface_hub import constants
from loopback_hub import COMMIT
from safetensors.torch import save_file
from timm.models.vision_transformer import VisionTransformer

from napari_cliper.segmentation import REGISTRY, ClassPrompt, SegmentationConfig, Segmenter
from napari_cliper.segmentation.errors import (
    DamagedWeightsError,
    Stopped,
    WeightsUnavailableError,
)
from napari_cliper.segmentation.features.preprocessing import (
    normalised,
    resized,
)
from napari_cliper.segmentation.models import dino as proxy
from napari_cliper.segmentation.models.loading import load_foundation
from napari_cliper.segmentation.progress import Monitor
from napari_cliper.segmentation.refiners.attention_maps import refine_with_attention
from napari_cliper.segmentation.refiners.foundation import feature_attention
from napari_cliper.segmentation.working_size import patch_aligned_shape

REAL = "vit_small_patch16_224.dino"
WORDS = [ClassPrompt("dog"), ClassPrompt("cat")]


def network(**options):
    """DINO's or DINOv2's class of network, small."""
    torch.manual_seed(0)
    return VisionTransformer(
        **{
            "img_size": 32,
            "patch_size": 8,
            "embed_dim": 48,
            "depth": 2,
            "num_heads": 3,
            "num_classes": 0,
            "dynamic_img_size": True,
        }
        | options
    ).eval()


KINDS = {
    "DINO": ({}, 1),
    "DINOv2: layer scale": ({"init_values": 0.5}, 1),
    "registers": ({"reg_tokens": 4, "no_embed_class": True}, 5),
    "registers with positions": ({"reg_tokens": 2}, 3),
}


@pytest.mark.parametrize(("options", "prefix"), KINDS.values(), ids=KINDS)
@pytest.mark.parametrize("shape", [(32, 32), (24, 56)])
def test_features_are_the_patch_tokens_of_timm(options, prefix, shape):
    model = proxy.FoundationModel(network(**options))
    pixels = torch.randn(2, 3, *shape)
    features = model.features(pixels)
    grid = (shape[0] // 8, shape[1] // 8)
    assert features.shape == (2, 48, *grid)
    with torch.no_grad():
        tokens = model.network.forward_features(pixels)
    assert tokens.shape[1] == prefix + grid[0] * grid[1]
    expected = tokens[:, prefix:].mT.unflatten(-1, grid)
    torch.testing.assert_close(features, expected, rtol=0, atol=1e-5)


@pytest.mark.parametrize(("options", "prefix"), KINDS.values(), ids=KINDS)
def test_query_key_sums_are_those_of_the_last_block(options, prefix):
    model = proxy.FoundationModel(network(**options))
    inputs = []
    last = model.network.blocks[-1]
    handle = last.register_forward_pre_hook(lambda _module, given: inputs.append(given[0]))
    pixels = torch.randn(2, 3, 24, 40)
    sums = model.query_key_sums(pixels)
    handle.remove()
    attention = last.attn
    tokens = last.norm1(inputs[0])[:, prefix:]
    weight, bias = (one.reshape(3, 48, -1) for one in (attention.qkv.weight, attention.qkv.bias))
    expected = tokens @ (weight[0] + weight[1]).T + (bias[0] + bias[1])[:, 0]
    torch.testing.assert_close(sums, expected.mT.unflatten(-1, (3, 5)), rtol=0, atol=1e-5)
    assert not any(module._forward_hooks for module in model.network.modules())


def test_bfloat16_is_close_and_comes_back_as_float32():
    exact, half = (proxy.FoundationModel(network()) for _ in range(2))
    half.network.to(torch.bfloat16)
    pixels = torch.randn(1, 3, 32, 32)
    found, expected = half.features(pixels), exact.features(pixels)
    assert found.dtype == torch.float32
    similarity = torch.nn.functional.cosine_similarity(found, expected, dim=1)
    assert 0.995 < similarity.min() < 1


def test_a_stop_takes_effect_within_the_blocks():
    model = proxy.FoundationModel(network())
    requested, ended = [], []

    def should_stop():
        requested.append(None)
        return len(requested) > 12

    model.network.blocks[1].register_forward_hook(lambda *_: ended.append(1))
    with pytest.raises(Stopped):
        model.features(torch.randn(1, 3, 32, 32), Monitor(should_stop=should_stop))
    assert ended == []
    assert not any(module._forward_pre_hooks for module in model.network.modules())
    assert model.features(torch.randn(1, 3, 32, 32)).isfinite().all()
    assert ended == [1]


# --- checkpoints


@pytest.fixture(scope="module")
def real():
    torch.manual_seed(0)
    tensors = timm.create_model(REAL, num_classes=0).state_dict()
    # far from uniform, as of a trained network
    return {k: v * 3 if "attn.qkv" in k or "mlp" in k else v for k, v in tensors.items()}


def test_a_checkpoint_of_a_timm_name(real):
    with_head = real | {"head.weight": torch.ones(1000, 384)}  # of a classifier; left out
    model = proxy.build(REAL, with_head, "test")
    assert model.patch == 16
    state = model.network.state_dict()
    assert all(torch.equal(state[name], tensor) for name, tensor in real.items())
    features = model.features(torch.randn(1, 3, 32, 64))  # any multiple of the patch
    assert features.shape == (1, 384, 2, 4)
    assert not any(p.requires_grad for p in model.network.parameters())


def test_a_checkpoint_that_does_not_fit_is_named(real):
    with pytest.raises(DamagedWeightsError, match=rf"other.safetensors does not fit {REAL}") as e:
        proxy.build(REAL, real | {"norm.weight": torch.ones(3)}, "other.safetensors")
    assert "norm.weight" in str(e.value)
    some = {name: tensor for name, tensor in real.items() if not name.startswith("blocks.11.")}
    with pytest.raises(DamagedWeightsError, match=r"lacks 12 tensors .*'blocks.11.norm1.weight'"):
        proxy.build(REAL, some, "some.safetensors")


# --- from an image to labels


@pytest.fixture(scope="module")
def foundation(real, tmp_path_factory):
    """The weights as the hub's library keeps them on disk; nothing is asked of a network.

    Held, so that every segmenter below shares the one network.
    """
    root = tmp_path_factory.mktemp("hub")
    snapshot = root / f"models--timm--{REAL}" / "snapshots" / COMMIT
    snapshot.mkdir(parents=True)
    (snapshot.parents[1] / "refs").mkdir()
    (snapshot.parents[1] / "refs" / "main").write_text(COMMIT)
    save_file(real, snapshot / "model.safetensors")
    chosen_config = SegmentationConfig(foundation_model="dino-vits16", offline=True)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(constants, "HF_HUB_CACHE", str(root))
        held = load_foundation(chosen_config, torch.device("cpu"), torch.float32, Monitor())
        yield held.network


@pytest.fixture
def image():
    rng = np.random.default_rng(0)
    picture = rng.integers(0, 90, (70, 100, 3), np.uint8)
    picture[20:50, 30:80] += 120
    return picture


def config(tiny_clip, **options):
    return SegmentationConfig(
        **{
            "model": str(tiny_clip),
            "foundation_model": "dino-vits16",
            "shorter_side": 112,
            "device": "cpu",
            "offline": True,
            "templates": "word",
        }
        | options
    )


@pytest.mark.usefixtures("foundation")
def test_proxyclip_from_an_image_to_labels(tiny_clip, image):
    segmenter = Segmenter(config(tiny_clip, method="proxyclip", window=112, stride=56))
    seen = []
    embedding = segmenter.embed(image, report=seen.append)
    # 112 x 160 pixels: two windows of 112, each on the foundation model's grid
    assert [(w.window.left, w.grid, w.features.shape) for w in embedding.windows] == [
        (0, (7, 7), (1, 49, 32)),
        (48, (7, 7), (1, 49, 32)),
    ]
    files = [row["file"] for row in embedding.record["weights"]]
    assert files == [tiny_clip.name, "model.safetensors"]
    assert all(len(row["sha256"]) == 64 for row in embedding.record["weights"])
    stages = dict.fromkeys(progress.stage for progress in seen)
    assert list(stages)[-2:] == ["Encoding the windows", "Encoding the image"]
    scores = segmenter.score(embedding, WORDS, background=["grass"])
    assert scores.refined is None
    np.testing.assert_allclose(
        scores.coarse.maps.sum(axis=0) + scores.coarse.background, 1, atol=1e-5
    )
    labels = scores.to_labels(scores.settings.thresholds.with_values(background_threshold=0))
    assert labels.shape == (70, 100)
    assert set(np.unique(labels)) <= {0, 1, 2}


def test_proxyclip_is_what_its_parts_give(foundation, tiny_clip, image):
    """The window's features, from the networks put together by hand."""
    segmenter = Segmenter(config(tiny_clip, method="proxyclip", window=112, stride=112))
    square = image[:, :70]
    (window,) = segmenter.embed(square).windows
    clip = segmenter.networks.loaded["clip"].network
    pixels = resized(square, (112, 112), "bilinear")
    external = foundation.network.forward_features(normalised(pixels, proxy.MEAN, proxy.STD))
    expected = clip.image.proxied(
        normalised(pixels, clip.image.mean, clip.image.std),
        external[:, 1:].mT.unflatten(-1, (7, 7)),
        beta=1.2,
        gamma=3.0,
    )
    torch.testing.assert_close(window.features, expected, rtol=0, atol=1e-4)


@pytest.mark.parametrize("method", ["cliper", "clip"])
def test_refiner_behind_another_method(foundation, tiny_clip, image, method):
    segmenter = Segmenter(config(tiny_clip, method=method, refiner="foundation", window=0))
    embedding = segmenter.embed(image)
    scores = segmenter.score(embedding, WORDS, background=["grass"])
    shape = patch_aligned_shape(image.shape[:2], 112, 16)
    pixels = normalised(resized(image, shape, "bicubic"), proxy.MEAN, proxy.STD)
    features = foundation.network.forward_features(pixels)[0, 1:].T.unflatten(-1, (7, 10))
    attention = feature_attention(features, beta=1.2, gamma=3.0)
    assert embedding.self_attention.grid == (7, 10)
    assert scores.refined.maps.shape[1:] == (7, 10)
    if method == "cliper":
        expected = refine_with_attention(torch.from_numpy(scores.coarse.maps), attention)
        np.testing.assert_allclose(scores.refined.maps, expected, atol=1e-4)
    assert scores.to_labels().shape == (70, 100)
    thresholds = scores.settings.thresholds.with_values(background_threshold=0)
    assert not np.allclose(
        scores.to_labels(thresholds, stage="coarse"),
        scores.to_labels(thresholds, stage="refined"),
    )


def test_a_stop_within_the_foundation_model(foundation, tiny_clip, image):
    segmenter = Segmenter(config(tiny_clip, refiner="foundation"))
    inside, ended = [], []
    blocks = foundation.network.blocks
    handles = [
        blocks[3].register_forward_hook(lambda *_: inside.append(1)),
        blocks[4].register_forward_hook(lambda *_: ended.append(1)),
    ]
    with pytest.raises(Stopped):
        segmenter.embed(image, should_stop=lambda: bool(inside))
    for handle in handles:
        handle.remove()
    assert (inside, ended) == ([1], [])


def test_weights_that_are_not_there(tiny_clip, image, tmp_path, monkeypatch):
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path))
    segmenter = Segmenter(
        config(tiny_clip, method="proxyclip", foundation_model="dinov2-vits14", window=112)
    )
    with pytest.raises(WeightsUnavailableError) as error:
        segmenter.embed(image)
    text = str(error.value)
    assert "timm/vit_small_patch14_dinov2.lvd142m: not tried, the offline option is on" in text
    assert str(tmp_path / "models--timm--vit_small_patch14_dinov2.lvd142m") in text
    assert "napari-cliper models download dinov2-vits14" in text


def test_every_foundation_model_of_the_registry_is_built_by_timm():
    """Its patch is told by its name; the parameters of its row's size are those of the network."""
    rows = [row for row in REGISTRY.values() if row.kind == "foundation"]
    assert len(rows) >= 7
    for row in rows:
        with torch.device("meta"):
            model = timm.create_model(row.architecture, num_classes=0, dynamic_img_size=True)
        assert f"patch{model.patch_embed.patch_size[0]}" in row.architecture
        size = 4 * sum(p.numel() for p in model.parameters())
        assert abs(row.size - size) / size < 0.01


def test_the_registry_knows_the_patch_of_every_foundation_model():
    rows = [row for row in REGISTRY.values() if row.kind == "foundation"]
    assert rows
    for row in rows:
        with torch.device("meta"):
            network = timm.create_model(row.architecture, pretrained=False)
        assert network.patch_embed.patch_size == (row.patch, row.patch), row.name
