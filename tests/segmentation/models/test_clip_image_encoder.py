"""The walk through CLIP's image tower, against open_clip's own forward pass."""

from __future__ import annotations

import open_clip
import pytest
import torch
import torch.nn.functional as F

from napari_cliper.segmentation.errors import Stopped
from napari_cliper.segmentation.models.clip_image_encoder import ClipImageEncoder
from napari_cliper.segmentation.progress import Monitor

EXACT = {"rtol": 0, "atol": 2e-5}
TOWERS = {
    "QuickGELU": {"quick_gelu": True},
    "GELU": {},
    "layer scale": {"ls_init_value": 0.3},
    "no ln_pre": {"no_ln_pre": True},
    "patches dropped in training": {"patch_dropout": 0.5},
    "norm after the pooling": {"final_ln_after_pool": True},
    "not square": {"image_size": (32, 48)},
}


def tower(*, quick_gelu: bool = False, **settings):
    """A small image tower whose attention is far from uniform."""
    torch.manual_seed(0)
    vision = {"image_size": 32, "layers": 3, "width": 64, "patch_size": 8, "head_width": 16}
    text = {"context_length": 8, "vocab_size": 16, "width": 16, "heads": 1, "layers": 1}
    visual = open_clip.CLIP(32, vision | settings, text, quick_gelu=quick_gelu).visual.eval()
    with torch.no_grad():
        for name, parameter in visual.named_parameters():
            if "attn" in name or "mlp" in name:
                parameter.mul_(3)
    return visual


def pixels_of(visual, count=1):
    height, width = visual.image_size
    return torch.randn((count, 3, height, width), generator=torch.Generator().manual_seed(1))


@pytest.fixture
def visual():
    return tower(quick_gelu=True)


@pytest.mark.parametrize("settings", TOWERS.values(), ids=TOWERS)
def test_at_the_native_size_it_gives_what_the_library_gives(settings):
    visual = tower(**settings)
    encoder = ClipImageEncoder(visual)
    pixels = pixels_of(visual, 2)
    with torch.no_grad():
        pooled = visual(pixels)
        visual.output_tokens = True
        tokens = visual(pixels)[1]  # (B, N, W), as they are before the projection
        if visual.final_ln_after_pool:
            tokens = visual.ln_post(tokens)
        walked = encoder.last_block(pixels, "vanilla", residual=True)
        torch.testing.assert_close(walked, tokens @ visual.proj, **EXACT)
        # The class token goes the same way as the patches.
        x = torch.cat(list(encoder.before_last(pixels, interpolation="bilinear")))
        end = encoder.project_out(encoder.blocks[-1](x))
        torch.testing.assert_close(end[:, 0], pooled, **EXACT)


def test_the_activations_differ():
    """QuickGELU and GELU would pass the test above also if both were the same function."""
    quick, exact = (ClipImageEncoder(tower(quick_gelu=flag)) for flag in (True, False))
    pixels = pixels_of(quick.visual)
    difference = quick.last_block(pixels, "vanilla", residual=True) - exact.last_block(
        pixels, "vanilla", residual=True
    )
    assert difference.abs().max() > 1e-3


def library_attention(visual, pixels):
    """What nn.MultiheadAttention says of every block: its weights per head and its output."""
    inputs = []
    handles = [
        block.attn.register_forward_pre_hook(lambda _module, args: inputs.append(args[0]))
        for block in visual.transformer.resblocks
    ]
    with torch.no_grad():
        visual(pixels)
    for handle in handles:
        handle.remove()
    requested = []
    for block, x in zip(visual.transformer.resblocks, inputs, strict=True):
        output, weights = block.attn(x, x, x, need_weights=True, average_attn_weights=False)
        requested.append((weights[0], output))
    return requested


def test_early_layers_walk_like_the_library(visual):
    """The last embedding under the plain attention is the library's last attention layer."""
    encoder, pixels = ClipImageEncoder(visual), pixels_of(visual)
    weights, output = library_attention(visual, pixels)[-1]
    (layers,) = encoder.early_layers(pixels, attention="vanilla", only_layer=-1)
    expected = visual.ln_post(output) @ visual.proj
    torch.testing.assert_close(layers.features, expected, **EXACT)
    torch.testing.assert_close(layers.attention, weights.mean(dim=0)[1:, 1:], **EXACT)


def test_fused_attention_from_the_weights_of_the_library(visual):
    """CLIPer, sec. 3.2, written out again over nn.MultiheadAttention's own weights."""
    encoder, pixels = ClipImageEncoder(visual), pixels_of(visual)
    summed = sum(weights.double() for weights, _ in library_attention(visual, pixels)[:-1])
    for _ in range(len(encoder.blocks)):  # once more for every embedding
        summed = summed / summed.sum(dim=1, keepdim=True)
        summed = summed / summed.sum(dim=2, keepdim=True)
    both = (summed + summed.transpose(1, 2)) / 2
    kept = torch.relu(both - both.mean(dim=1, keepdim=True))
    fused = kept / kept.sum(dim=2, keepdim=True)
    (layers,) = encoder.early_layers(pixels)
    assert layers.features.shape == (3, 17, 32)
    assert layers.attention.shape == (16, 16)
    torch.testing.assert_close(layers.attention, fused.mean(dim=0)[1:, 1:].float(), **EXACT)
    # Rows of the whole attention sum to 1; what is missing here went to the class token.
    assert (layers.attention >= 0).all()
    rows = layers.attention.sum(dim=1) + fused.mean(dim=0)[1:, 0].float()
    torch.testing.assert_close(rows, torch.ones(16), **EXACT)


def test_features_can_be_trained():
    """The gradient that the demo model's training uses tells how features change with an image."""
    encoder, precise = (ClipImageEncoder(tower(quick_gelu=True)) for _ in range(2))
    precise.visual.double()
    pixels, step = pixels_of(encoder.visual, 4).chunk(2)
    goal = torch.randn((3, 17, 32), generator=torch.Generator().manual_seed(2))

    def value(of, images):
        return sum((one.features * goal).sum() for one in of.early_layers(images))

    (gradient,) = torch.autograd.grad(value(encoder, pixels.requires_grad_()), pixels)
    with torch.no_grad():
        ahead, behind = (
            value(precise, pixels.double() + sign * step.double()) for sign in (1e-4, -1e-4)
        )
    torch.testing.assert_close((gradient * step).sum(), (ahead - behind) / 2e-4, rtol=1e-2, atol=0)


def test_identity_leaves_each_patch_alone(visual):
    encoder, pixels = ClipImageEncoder(visual), pixels_of(visual)
    (layers,) = encoder.early_layers(pixels, attention="identity")
    assert torch.equal(layers.attention, torch.eye(16))


@pytest.mark.parametrize("only", [0, 1, -1])
def test_one_layer_is_that_of_all_layers(visual, only):
    encoder, pixels = ClipImageEncoder(visual), pixels_of(visual)
    (every,) = encoder.early_layers(pixels, attention="v-v")
    (one,) = encoder.early_layers(pixels, attention="v-v", only_layer=only)
    torch.testing.assert_close(one.features, every.features[[only]], **EXACT)


@pytest.mark.parametrize("attention", ["fused", "identity", "vanilla", "q-q+k-k"])
def test_several_images_in_one_pass_are_each_as_alone(visual, attention):
    encoder, pixels = ClipImageEncoder(visual), pixels_of(visual, 3)
    several = encoder.early_layers(pixels, attention=attention)
    assert len(several) == 3
    for found, one in zip(several, pixels, strict=True):
        (alone,) = encoder.early_layers(one[None], attention=attention)
        torch.testing.assert_close(found.features, alone.features, **EXACT)
        torch.testing.assert_close(found.attention, alone.attention, **EXACT)


@pytest.mark.parametrize("grid", [(7, 3), (2, 9), (8, 8)])
def test_positions_on_another_grid(visual, grid):
    encoder = ClipImageEncoder(visual)
    table = visual.positional_embedding[1:].reshape(1, 4, 4, 64).permute(0, 3, 1, 2)
    expected = {
        "bilinear": F.interpolate(table, size=grid, mode="bilinear"),
        "bicubic-offset": F.interpolate(
            table, scale_factor=((grid[0] + 0.1) / 4, (grid[1] + 0.1) / 4), mode="bicubic"
        ),
    }
    for interpolation, resized in expected.items():
        positions = encoder.positions(grid, interpolation)
        torch.testing.assert_close(positions[1:], resized[0].flatten(1).T, rtol=0, atol=1e-6)
        assert torch.equal(positions[0], visual.positional_embedding[0])
    assert not torch.allclose(
        encoder.positions(grid, "bilinear"), encoder.positions(grid, "bicubic-offset"), atol=1e-4
    )


@pytest.mark.parametrize("shape", [(24, 56), (64, 40), (8, 8)])
@pytest.mark.parametrize("interpolation", ["bilinear", "bicubic-offset"])
def test_another_size_is_the_library_with_other_positions(visual, shape, interpolation):
    """A tower that was built for this size, given the interpolated positions, agrees."""
    encoder = ClipImageEncoder(visual)
    grid = (shape[0] // 8, shape[1] // 8)
    there = tower(quick_gelu=True, image_size=shape)
    tensors = visual.state_dict()
    tensors["positional_embedding"] = encoder.positions(grid, interpolation)
    there.load_state_dict(tensors)
    there.output_tokens = True
    pixels = pixels_of(there, 2)
    with torch.no_grad():
        expected = there(pixels)[1] @ there.proj
    walked = encoder.last_block(pixels, "vanilla", residual=True, interpolation=interpolation)
    torch.testing.assert_close(walked, expected, **EXACT)
    (layers,) = encoder.early_layers(pixels[:1], interpolation=interpolation)
    assert layers.features.shape == (3, 1 + grid[0] * grid[1], 32)
    assert layers.attention.shape == (grid[0] * grid[1],) * 2


@pytest.mark.parametrize("attention", ["vanilla", "identity", "q-q", "q-q+k-k"])
@pytest.mark.parametrize("residual", [True, False])
def test_a_batch_is_its_images_one_by_one(visual, attention, residual):
    encoder, pixels = ClipImageEncoder(visual), pixels_of(visual, 3)
    together = encoder.last_block(pixels, attention, residual=residual)
    alone = [encoder.last_block(one[None], attention, residual=residual) for one in pixels]
    torch.testing.assert_close(together, torch.cat(alone), **EXACT)


def test_proxied_batch_and_what_a_uniform_proxy_means(visual):
    encoder, pixels = ClipImageEncoder(visual), pixels_of(visual, 2)
    external = torch.randn((2, 5, 8, 6), generator=torch.Generator().manual_seed(2))
    together = encoder.proxied(pixels, external, beta=1.2, gamma=3.0)
    alone = [
        encoder.proxied(pixels[i : i + 1], external[i : i + 1], beta=1.2, gamma=3.0)
        for i in range(2)
    ]
    assert together.shape == (2, 48, 32)
    torch.testing.assert_close(together, torch.cat(alone), **EXACT)
    # Where the foundation model sees no difference, every patch becomes the mean of all.
    same = encoder.proxied(pixels, torch.ones(2, 5, 4, 4), beta=0.5, gamma=3.0)
    torch.testing.assert_close(same, same[:, :1].expand_as(same), **EXACT)
    # Where it sees every patch as its own kind, each keeps its own value: MaskCLIP.
    own = torch.eye(16).reshape(1, 16, 4, 4).expand(2, -1, -1, -1)
    torch.testing.assert_close(
        encoder.proxied(pixels, own, beta=1.2, gamma=3.0),
        encoder.last_block(pixels, "identity", residual=False),
        **EXACT,
    )


@pytest.mark.parametrize(
    "walk",
    [
        lambda encoder, pixels, monitor: encoder.early_layers(pixels, monitor=monitor),
        lambda encoder, pixels, monitor: encoder.last_block(
            pixels, "q-q", residual=True, monitor=monitor
        ),
        lambda encoder, pixels, monitor: encoder.proxied(
            pixels, torch.ones(1, 5, 4, 4), beta=0.5, gamma=3, monitor=monitor
        ),
    ],
    ids=["early_layers", "last_block", "proxied"],
)
def test_a_stop_takes_effect_between_the_blocks(visual, walk):
    encoder, seen = ClipImageEncoder(visual), []
    monitor = Monitor(seen.append, lambda: len(seen) == 2)
    ran = []
    for index, block in enumerate(encoder.blocks):
        block.ln_1.register_forward_hook(lambda *_, index=index: ran.append(index))
    with pytest.raises(Stopped):
        walk(encoder, pixels_of(visual), monitor)
    assert [progress.done for progress in seen] == [0, 1]
    assert ran == [0, 1]  # the last block never began


def test_progress_counts_blocks_and_layers(visual):
    seen = []
    ClipImageEncoder(visual).early_layers(pixels_of(visual), monitor=Monitor(seen.append))
    stages = [(progress.stage, progress.done, progress.total) for progress in seen]
    assert stages == [
        ("Encoding the image", 0, 3),
        ("Encoding the image", 1, 3),
        ("Fusing early layers", 0, 3),
        ("Fusing early layers", 1, 3),
        ("Fusing early layers", 2, 3),
    ]


@pytest.mark.parametrize("method", ["early_layers", "last_block", "proxied"])
def test_bfloat16_is_close_to_float32(method):
    def features(encoder):
        if method == "early_layers":
            return encoder.early_layers(pixels)[0].features
        if method == "last_block":
            return encoder.last_block(pixels, "q-q+k-k", residual=True)
        return encoder.proxied(pixels, external, beta=1.2, gamma=3.0)

    exact, half = tower(quick_gelu=True), tower(quick_gelu=True).to(torch.bfloat16)
    pixels = pixels_of(exact)
    external = torch.randn((1, 5, 4, 4), generator=torch.Generator().manual_seed(2))
    expected, found = features(ClipImageEncoder(exact)), features(ClipImageEncoder(half))
    assert found.dtype == torch.float32
    assert F.cosine_similarity(found, expected, dim=-1).min() > 0.995
    assert not torch.equal(found, expected)  # it was computed in bfloat16


def test_nothing_in_the_tower_is_changed(visual):
    """Walked, not patched: the library's forward pass is the same before and after."""
    pixels = pixels_of(visual)
    encoder = ClipImageEncoder(visual)
    before, names = visual(pixels), dict(vars(visual))
    encoder.early_layers(pixels)
    encoder.last_block(pixels, "q-q", residual=False)
    assert torch.equal(visual(pixels), before)
    assert dict(vars(visual)).keys() == names.keys()
    assert not any(module._forward_hooks for module in visual.modules())
