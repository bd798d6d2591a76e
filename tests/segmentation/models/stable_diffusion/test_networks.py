"""Stable Diffusion in small: a folder of diffusers' own parts, from an image to refined maps."""

from __future__ import annotations

import shutil

import numpy as np
import pytest
import torch
from diffusers import AutoencoderKL, AutoencoderTiny, PNDMScheduler, UNet2DConditionModel
from safetensors import safe_open
from safetensors.torch import load_file, save_file
from small_diffusion import REFERENCE, SIDE, WEIGHTS, load, write_text_encoder
from transformers import CLIPTextModel, CLIPTokenizer

from napari_cliper.segmentation import ClassPrompt, SegmentationConfig, Segmenter
from napari_cliper.segmentation.errors import (
    Stopped,
)
from napari_cliper.segmentation.features.preprocessing import squashed
from napari_cliper.segmentation.models import loading, transformers_networks
from napari_cliper.segmentation.models import stable_diffusion as diffusion
from napari_cliper.segmentation.models import tensor_cache as kept
from napari_cliper.segmentation.progress import Monitor
from napari_cliper.segmentation.refiners.attention_maps import refine_with_attention

WORDS = [ClassPrompt("dog"), ClassPrompt("cat")]


@pytest.fixture
def cached_prompts(user_cache):
    """Where the empty prompt is kept."""
    return user_cache / "empty-prompts"


@pytest.fixture
def encoded(monkeypatch):
    """Counts how often the text encoder runs."""
    runs = []
    real = transformers_networks.empty_prompt

    def counted(*args):
        runs.append(args[0])
        return real(*args)

    monkeypatch.setattr(transformers_networks, "empty_prompt", counted)
    return runs


@pytest.fixture(scope="module")
def model(whole_folder):
    return diffusion.load(whole_folder, torch.zeros(1, 12, 32), torch.float32)


def config(tiny_clip, folder, **options):
    return SegmentationConfig(
        **{
            "model": str(tiny_clip),
            "diffusion_model": str(folder),
            "refiner": "stable-diffusion",
            "shorter_side": 64,
            "device": "cpu",
            "templates": "word",
        }
        | options
    )


# --- from an image to labels


@pytest.mark.parametrize("fusion", ["product", "mean"])
def test_from_an_image_to_labels(tiny_clip, whole_folder, image, fusion):
    refiner = {"product": "stable-diffusion", "mean": "stable-diffusion-mean"}[fusion]
    segmenter = Segmenter(config(tiny_clip, whole_folder, refiner=refiner))
    seen = []
    embedding = segmenter.embed(image, report=seen.append)
    assert embedding.self_attention.grid == (SIDE, SIDE)
    assert len(embedding.self_attention.maps) == 4  # two heads of two layers
    stages = list(dict.fromkeys(progress.stage for progress in seen))
    assert stages[-2:] == [
        "Encoding for the diffusion model",
        "Reading the diffusion model's attention",
    ]
    files = [row["file"] for row in embedding.record["weights"]]
    assert files == [tiny_clip.name, WEIGHTS, WEIGHTS]

    scores = segmenter.score(embedding, WORDS, background=["grass"])
    expected = refine_with_attention(
        torch.from_numpy(scores.coarse.maps), embedding.self_attention, fusion
    )
    np.testing.assert_allclose(scores.refined.maps, expected, atol=1e-5)
    assert scores.to_labels().shape == (60, 90)


def test_a_tiny_encoder_gives_the_latents_itself(
    tiny_clip, whole_folder, image, tmp_path, monkeypatch
):
    torch.manual_seed(0)
    tiny = AutoencoderTiny(
        encoder_block_out_channels=(16,) * 4,
        decoder_block_out_channels=(16,) * 4,
    ).eval()  # fmt: skip
    tiny.save_pretrained(tmp_path / "tiny")
    files = {path.name: path for path in (tmp_path / "tiny").iterdir()}
    monkeypatch.setattr(loading.weights, "fetch", lambda *_, **__: files)
    usual = Segmenter(config(tiny_clip, whole_folder))
    segmenter = usual.with_config(config(tiny_clip, whole_folder, refiner="stable-diffusion-tiny"))
    embedding = segmenter.embed(image)
    with segmenter.networks.for_one_job("diffusion", Monitor()) as network:
        noise = network.noise(0)
        found = network.noisy_latents(squashed(image, network.image_side), noise)
        with torch.no_grad():
            latents = tiny.encode(squashed(image, network.image_side)).latents
        time = torch.tensor([network.timestep()])
        expected = network.scheduler.add_noise(latents, noise, time)
    torch.testing.assert_close(found, expected)
    assert embedding.record["weights"][-1]["file"] == WEIGHTS
    scores = segmenter.score(embedding, WORDS, background=["grass"])
    assert any("tiny image encoder was not published" in note for note in scores.notes)
    other = usual.score(usual.embed(image), WORDS, background=["grass"])
    assert np.abs(other.refined.maps - scores.refined.maps).max() > 1e-4


@pytest.mark.parametrize("method", ["maskclip", "sclip"])
def test_behind_another_method(tiny_clip, whole_folder, image, method):
    segmenter = Segmenter(
        config(tiny_clip, whole_folder, method=method, window=64, stride=32, shorter_side=64)
    )
    scores = segmenter.score(segmenter.embed(image), WORDS, background=["grass"])
    assert scores.refined.maps.shape == (2, SIDE, SIDE)
    assert scores.to_labels(
        scores.settings.thresholds.with_values(background_threshold=0)
    ).shape == (60, 90)


def test_the_seed_is_the_noise_and_is_in_the_record(tiny_clip, whole_folder, image):
    held, found = [], []
    for seed in (7, 7, 8):
        segmenter = Segmenter(config(tiny_clip, whole_folder, seed=seed))
        scores = segmenter.score(segmenter.embed(image), WORDS, background=["grass"])
        assert scores.record["seed"] == scores.record["config"]["seed"] == seed
        found.append(scores.refined.maps)
        held.append(segmenter)
    np.testing.assert_array_equal(found[0], found[1])
    assert not np.allclose(found[0], found[2], atol=1e-6)


def test_noise_and_latents_are_those_of_the_library(model, image):
    torch.manual_seed(5)
    expected = torch.randn(1, 4, SIDE, SIDE)
    assert torch.equal(model.noise(5), expected)
    scheduler = PNDMScheduler.from_pretrained(REFERENCE / "scheduler")
    scheduler.set_timesteps(50)
    vae = AutoencoderKL.from_pretrained(REFERENCE / "vae")
    pixels = squashed(image, SIDE * 8)
    with torch.no_grad():
        mean = vae.encode(pixels).latent_dist.mode() * vae.config.scaling_factor
        latents = model.noisy_latents(pixels, expected)
    time = scheduler.timesteps[45]
    assert model.timestep() == time
    torch.testing.assert_close(
        latents, scheduler.add_noise(mean, expected, time[None]), rtol=0, atol=1e-5
    )


# --- one pass of the UNet


def state_of(unet):
    hooks = sum(len(m._forward_hooks) + len(m._forward_pre_hooks) for m in unet.modules())
    return {name: id(one) for name, one in unet.attn_processors.items()}, hooks


def test_the_pass_ends_behind_the_last_layer_that_is_read(model):
    before = state_of(model.unet)
    block = model.unet.up_blocks[3]
    ran = []
    watched = {
        "read first": block.attentions[0].transformer_blocks[0].attn1,
        "read last": block.attentions[1].transformer_blocks[0].attn1,
        "behind": block.attentions[1].transformer_blocks[0].attn2,
        "next": block.resnets[2],
        "end": model.unet.conv_out,
    }
    handles = [
        module.register_forward_pre_hook(lambda *_, name=name: ran.append(name))
        for name, module in watched.items()
    ]
    latents = torch.randn(1, 4, SIDE, SIDE)
    with torch.no_grad():
        maps = model.self_attention(latents, torch.clone)
        assert ran == ["read first", "read last"]
        ran.clear()
        model.self_attention(latents, torch.clone, layers=(-6,))
        assert ran == ["read first"]
    for handle in handles:
        handle.remove()
    assert state_of(model.unet) == before
    assert len(maps) == 4
    for one in maps:
        assert one.shape == (SIDE**2, SIDE**2)
        torch.testing.assert_close(one.sum(dim=1), torch.ones(SIDE**2), rtol=0, atol=1e-4)
    # and afterwards the whole network runs as ever
    whole = UNet2DConditionModel.from_pretrained(REFERENCE / "unet")
    with torch.no_grad():
        expected = whole(latents, 1, torch.ones(1, 12, 32)).sample
        torch.testing.assert_close(model.unet(latents, 1, torch.ones(1, 12, 32)).sample, expected)


def test_maps_are_those_the_library_attends_with(model):
    """Out of each layer's own queries and keys, as they arrive in the library's own pass."""
    latents = torch.randn(1, 4, SIDE, SIDE)
    block = model.unet.up_blocks[3]
    inputs = []
    layers = [block.attentions[i].transformer_blocks[0].attn1 for i in (1, 0)]
    handles = [
        layer.register_forward_pre_hook(lambda _module, args: inputs.append(args[0]))
        for layer in layers
    ]
    with torch.no_grad():
        model.unet(latents, model.timestep(), encoder_hidden_states=model.prompt)
        for handle in handles:
            handle.remove()
        expected = []
        for layer, x in zip(layers, reversed(inputs), strict=True):
            q, k = (f(x)[0].unflatten(-1, (2, 16)) for f in (layer.to_q, layer.to_k))
            expected += [(q[:, head] @ k[:, head].T / 4).softmax(dim=-1) for head in range(2)]
        maps = model.self_attention(latents, torch.clone)
    torch.testing.assert_close(torch.stack(maps), torch.stack(expected), rtol=0, atol=1e-5)


@pytest.mark.parametrize(
    "place",
    [
        "unet.down_blocks.0.resnets.0.conv1",
        "unet.mid_block.attentions.0",
        "unet.up_blocks.3.attentions.0.transformer_blocks.0.attn2",
        "encoder.down_blocks.1.resnets.0.norm1",
    ],
)
def test_a_stop_takes_effect_within_a_network(tiny_clip, whole_folder, image, place):
    segmenter = Segmenter(config(tiny_clip, whole_folder))
    segmenter.load()
    network = segmenter.networks.loaded["diffusion"].network
    part, _, name = place.partition(".")
    module = getattr(network, part).get_submodule(name)
    before = state_of(network.unet)
    begun, after = [], []
    handle = module.register_forward_pre_hook(lambda *_: begun.append(1))
    counter = torch.nn.modules.module.register_module_forward_hook(
        lambda *_: after.append(1) if begun else None
    )
    try:
        with pytest.raises(Stopped):
            segmenter.embed(image, should_stop=lambda: bool(begun))
    finally:
        handle.remove()
        counter.remove()
    assert len(begun) == 1
    assert after == []  # nothing else was computed
    assert state_of(network.unet) == before
    assert not any(m._forward_pre_hooks for n in network.networks for m in n.modules())
    assert segmenter.embed(image).self_attention is not None  # it can be used again


# --- the layouts of Stable Diffusion


def test_the_layout_of_1_5(tiny_clip, whole_folder, image, tmp_path):
    """Convolutions as projections, one number of heads, other groups, three cross blocks."""
    folder = tmp_path / "sd15"
    torch.manual_seed(0)
    unet = UNet2DConditionModel(
        sample_size=SIDE,
        block_out_channels=(16, 32, 32, 32),
        layers_per_block=2,
        down_block_types=(*["CrossAttnDownBlock2D"] * 3, "DownBlock2D"),
        up_block_types=("UpBlock2D", *["CrossAttnUpBlock2D"] * 3),
        attention_head_dim=8,  # in 1.5 this is the number of heads
        cross_attention_dim=24,
        norm_num_groups=8,
        use_linear_projection=False,
    )
    unet.save_pretrained(folder / "unet")
    AutoencoderKL(
        block_out_channels=(8, 8, 16, 16),
        down_block_types=["DownEncoderBlock2D"] * 4,
        up_block_types=["UpDecoderBlock2D"] * 4,
        norm_num_groups=4,
        latent_channels=4,
    ).save_pretrained(folder / "vae")
    shutil.copytree(whole_folder / "scheduler", folder / "scheduler")
    write_text_encoder(folder, width=24)
    projection = unet.up_blocks[3].attentions[0].proj_in
    assert isinstance(projection, torch.nn.Conv2d)
    segmenter = Segmenter(config(tiny_clip, folder))
    embedding = segmenter.embed(image)
    assert len(embedding.self_attention.maps) == 16  # eight heads of two layers
    assert embedding.self_attention.grid == (SIDE, SIDE)
    scores = segmenter.score(embedding, WORDS, background=["grass"])
    assert np.isfinite(scores.refined.maps).all()


def test_older_names_of_the_vae(folder):
    """The attention of the VAE has other names in the files of 1.5; the library knows them."""
    path = folder / "vae" / WEIGHTS
    names = {"to_q": "query", "to_k": "key", "to_v": "value", "to_out.0": "proj_attn"}
    tensors = load_file(path)
    for new, old in names.items():
        for name in [n for n in tensors if f"attentions.0.{new}." in n]:
            tensors[name.replace(f".{new}.", f".{old}.")] = tensors.pop(name)
    assert any("query" in name for name in tensors)
    save_file(tensors, path, {"format": "pt"})
    found = load(folder).encoder.state_dict()
    expected = AutoencoderKL.from_pretrained(REFERENCE / "vae").encoder.state_dict()
    assert all(torch.equal(found[name], tensor) for name, tensor in expected.items())


def test_files_in_half_precision(folder, encoded):
    """As they are fetched first: only the float16 form of each network is on disk."""
    for part, name in (
        ("unet", "diffusion_pytorch_model"),
        ("vae", "diffusion_pytorch_model"),
        ("text_encoder", "model"),
    ):
        path = folder / part / f"{name}.safetensors"
        half = {key: tensor.half() for key, tensor in load_file(path).items()}
        save_file(half, path.with_name(f"{name}.fp16.safetensors"), {"format": "pt"})
        path.unlink()
    found = load(folder)
    assert len(encoded) == 1
    assert {p.dtype for network in found.networks for p in network.parameters()} == {torch.float32}
    exact = UNet2DConditionModel.from_pretrained(REFERENCE / "unet").conv_in.weight
    assert torch.equal(found.unet.conv_in.weight, exact.half().float())


@pytest.mark.parametrize(
    ("dtype", "of_vae"),
    [(torch.bfloat16, torch.bfloat16), (torch.float16, torch.float32)],
)
def test_precision_of_the_parts(whole_folder, dtype, of_vae):
    """The VAE overflows in float16, not in bfloat16."""
    found = load(whole_folder, dtype)
    assert next(found.unet.parameters()).dtype == dtype
    assert next(found.encoder.parameters()).dtype == of_vae


def test_how_far_bfloat16_is_off(model, whole_folder, image):
    """Half the sum of a row's differences bounds what any map in [0, 1] can change by.

    These weights are random and scaled up, so this is no measure of a trained network. Measured:
    0.097 with PyTorch's AVX2 and AVX-512 kernels, 0.201 with its scalar ones, 0.355 between this
    image and its mirror image.
    """
    half = load(whole_folder, torch.bfloat16)
    half.prompt = model.prompt
    pixels = squashed(image, SIDE * 8)

    def maps(one, pixels=pixels):
        with torch.inference_mode():
            found = one.self_attention(one.noisy_latents(pixels, one.noise(0)), torch.Tensor.float)
        return torch.stack(found)

    def off(found):
        return (found - expected).abs().sum(dim=-1).mean() / 2  # over (heads, n)

    expected = maps(model)
    limit = 0.25 if torch.backends.cpu.get_cpu_capability() == "DEFAULT" else 0.15
    assert 0 < off(maps(half)) < limit
    assert limit < off(maps(model, pixels.flip(-1)))


# --- the empty prompt


def test_the_empty_prompt_is_that_of_the_library(whole_folder):
    prompt = transformers_networks.empty_prompt(whole_folder)
    encoder = CLIPTextModel.from_pretrained(whole_folder / "text_encoder")
    tokenizer = CLIPTokenizer.from_pretrained(whole_folder / "tokenizer")
    ids = tokenizer("", padding="max_length", return_tensors="pt").input_ids
    assert ids.tolist() == [[4] + [5] * 11]
    with torch.no_grad():
        expected = encoder(ids).last_hidden_state
    assert prompt.shape == (1, 12, 32)
    torch.testing.assert_close(prompt, expected)


def test_the_empty_prompt_is_encoded_once_and_kept(folder, encoded, cached_prompts):
    first = load(folder).prompt
    assert len(encoded) == 1
    (kept,) = cached_prompts.iterdir()
    with safe_open(kept, "pt") as file:
        assert torch.equal(file.get_tensor("prompt"), first)
    assert torch.equal(load(folder).prompt, first)
    assert len(encoded) == 1
    # another text encoder has another prompt
    write_text_encoder(folder, width=32)
    path = folder / "text_encoder" / "model.safetensors"
    save_file({name: tensor * 2 for name, tensor in load_file(path).items()}, path)
    assert not torch.equal(load(folder).prompt, first)
    assert len(encoded) == 2


@pytest.mark.parametrize("content", [b"", b"\xff" * 100, None])
def test_a_kept_prompt_that_cannot_be_read_is_made_again(folder, encoded, cached_prompts, content):
    first = load(folder).prompt
    (kept,) = cached_prompts.iterdir()
    if content is None:
        save_file({"something else": torch.ones(1)}, kept)
    else:
        kept.write_bytes(content)
    assert torch.equal(load(folder).prompt, first)
    assert len(encoded) == 2
    assert torch.equal(load_file(kept)["prompt"], first)
    assert list(cached_prompts.iterdir()) == [kept]  # no part is left behind


@pytest.mark.parametrize("what", ["folder", "file"])
def test_a_cache_that_cannot_be_written_is_no_failure(
    folder, encoded, cached_prompts, monkeypatch, what
):
    if what == "folder":
        cached_prompts.parent.mkdir(parents=True)
        cached_prompts.write_text("a file in the way")
    else:  # as on a full disk: the library has an error of its own for it
        real = kept.save_file
        monkeypatch.setattr(kept, "save_file", lambda t, path: real(t, path / "no" / "dir"))
    assert load(folder).prompt.shape == (1, 12, 32)
    load(folder)
    assert len(encoded) == 2


def test_a_stop_within_the_text_encoder(folder, cached_prompts):
    requested = []

    def should_stop():
        requested.append(None)
        return len(requested) > 9

    with pytest.raises(Stopped):
        load(folder, monitor=Monitor(should_stop=should_stop))
    assert not cached_prompts.exists()
