"""What a segmenter makes of images, whole or in windows."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import psutil
import pytest
import torch
from PIL import Image
from segmenter_inputs import CLASSES, IMAGE, maps_of
from torch.nn.modules.module import register_module_forward_pre_hook

from napari_cliper.segmentation import InvalidInputError, SegmentationConfig, Segmenter, Tiles
from napari_cliper.segmentation.methods import cliper as reading
from napari_cliper.segmentation.models import loading

# ---------------------------------------------------------------------- images


STANDARD = (0.48145466, 0.4578275, 0.40821073), (0.26862954, 0.26130258, 0.27577711)


@pytest.mark.parametrize("method", ["cliper", "sclip"])
@pytest.mark.parametrize("colour", ["red", "blue"])
def test_colours_reach_the_network_as_rgb(config, method, colour):
    image = np.zeros((64, 64, 3), np.uint8)
    image[16:48, 16:48, {"red": 0, "blue": 2}[colour]] = 255
    seen = []

    def look(module, inputs):
        if isinstance(module, torch.nn.Conv2d):
            seen.append(inputs[0])

    handle = register_module_forward_pre_hook(look)
    try:
        Segmenter(config(method=method)).embed(image)
    finally:
        handle.remove()
    assert len(seen) == 1
    pixels = seen[0][0].permute(1, 2, 0).numpy() * STANDARD[1] + STANDARD[0]
    np.testing.assert_allclose(pixels * 255, image, atol=1e-3)


def test_enlarged_with_pil_bicubic(config):
    resized = Segmenter(config(shorter_side=128)).embed(IMAGE).resized
    expected = Image.fromarray(IMAGE).resize((160, 128), Image.Resampling.BICUBIC)
    np.testing.assert_array_equal(resized, np.asarray(expected))


@pytest.mark.parametrize(
    "same",
    [
        lambda grey: grey[..., None],
        lambda grey: grey.astype(np.float32),
        lambda grey: grey.astype(np.uint16),
    ],
    ids=["one channel", "float", "uint16"],
)
def test_forms_of_one_image_give_one_result(segmenter, same):
    grey = IMAGE[..., 0]
    expected = maps_of(segmenter, ["dog"], image=grey)
    np.testing.assert_array_equal(maps_of(segmenter, ["dog"], image=same(grey)), expected)
    colours = maps_of(segmenter, ["dog"])
    for other in (IMAGE / 255, np.dstack([IMAGE, grey])):
        np.testing.assert_array_equal(maps_of(segmenter, ["dog"], image=other), colours)


def test_the_record_says_what_became_black_and_white(segmenter):
    grey = IMAGE[..., 0] // 2
    limited = segmenter.embed(grey, contrast=(20, 90))
    assert limited.record["image"]["contrast"] == {
        "black": 20.0, "white": 90.0, "source": "contrast limits"
    }  # fmt: skip
    scores = segmenter.score(limited, CLASSES)
    assert any("values 20 to 90 (contrast limits)" in note for note in scores.record["notes"])
    default = segmenter.embed(grey).record["image"]["contrast"]
    assert default["source"] == "percentiles 0.1 and 99.9"
    assert segmenter.embed(IMAGE).record["image"]["contrast"] is None
    assert (limited.image.pixels != segmenter.embed(grey).image.pixels).any()


def test_notes_tell_what_was_done_to_the_image(segmenter):
    image = np.dstack([IMAGE.astype(np.uint16) * 200, IMAGE[..., 0]])
    notes = segmenter.score(segmenter.embed(image), CLASSES).notes
    assert any("alpha" in note for note in notes)
    assert any("uint16" in note and "stretched" in note for note in notes)


@pytest.mark.parametrize("model", ["ViT-B/16", "ViT-L/14"])
def test_strip_is_refused_before_anything_is_loaded(model, monkeypatch):
    def touched(*_args, **_kwargs):
        pytest.fail("weights were touched")

    for name in ("load_clip", "load_diffusion", "load_foundation"):
        monkeypatch.setattr(loading, name, touched)
    monkeypatch.setattr(loading.weights, "fetch", touched)
    monkeypatch.setattr(loading.weights, "read_tensors", touched)
    strip = np.random.default_rng(0).random((100, 10_000))
    with pytest.raises(InvalidInputError) as caught:
        Segmenter(SegmentationConfig(model=model, device="cpu")).embed(strip)
    patches = {"ViT-B/16": "44,100", "ViT-L/14": "57,600"}[model]
    for words in ("100 x 10000", patches, "GB", "Choose a smaller shorter side"):
        assert words in str(caught.value)
    tiles = Tiles(64, scale=100)
    with pytest.raises(InvalidInputError, match="A tile of 64 x 64"):
        Segmenter(SegmentationConfig(model="demo", device="cpu", tiles=tiles)).embed(strip)


def test_budget_follows_the_memory(config, monkeypatch):
    class Memory:
        available = 10_000_000

    monkeypatch.setattr(psutil, "virtual_memory", Memory)
    Segmenter(config()).check(IMAGE)
    with pytest.raises(InvalidInputError, match=r"cpu has 0\.0 GB free"):
        Segmenter(config(shorter_side=512)).check(IMAGE)
    small_windows = config(method="clip", window=64, stride=64, shorter_side=512)
    Segmenter(small_windows).check(IMAGE)
    rows, columns = IMAGE.shape[:2]
    for name, patch in {"dino-vits8": 8, "dino-vits16": 16, "dinov2-vits14": 14}.items():
        with pytest.raises(InvalidInputError, match="the foundation model") as caught:
            Segmenter(
                replace(
                    small_windows,
                    refiner="foundation",
                    foundation_model=name,
                    shorter_side=patch * 64,
                )
            ).check(IMAGE)
        patches = 64 * round(64 * columns / rows)  # the shorter side is 64 patches
        assert f"has {patches:,} patches for the foundation model" in str(caught.value)


@pytest.mark.parametrize("layer", [-4, 3])
def test_layer_that_the_model_does_not_have(config, layer):
    with pytest.raises(InvalidInputError, match=rf"select_layer is {layer}.*Choose -3 to 2"):
        Segmenter(config(select_layer=layer)).embed(IMAGE)
    Segmenter(config(select_layer=layer, method="clip")).check(IMAGE)  # nobody asks for it there


def test_clip_that_cannot_work_is_refused_by_its_configuration(tiny_clip, tmp_path):
    checkpoint = tmp_path / "resnet.safetensors"
    checkpoint.write_bytes(tiny_clip.read_bytes())
    described = json.loads(tiny_clip.with_suffix(".json").read_text())
    described["vision_cfg"] |= {"layers": [3, 4, 6, 3], "patch_size": None}
    checkpoint.with_suffix(".json").write_text(json.dumps(described))
    with pytest.raises(InvalidInputError, match="its image tower is a ResNet") as caught:
        Segmenter(SegmentationConfig(model=str(checkpoint), refiner="none")).check(IMAGE)
    assert str(checkpoint.with_suffix("")) in str(caught.value)


def test_given_arrays_are_not_changed(segmenter):
    image = IMAGE / np.float32(255)
    image.flags.writeable = False
    classes = list(CLASSES)
    scores = segmenter.score(segmenter.embed(image), classes, background=["sky"])
    assert classes == list(CLASSES)
    scores.to_labels()[:] = 7
    assert scores.to_labels().max() <= 2


# ---------------------------------------------------------------------- windows


@pytest.mark.parametrize(("window", "at_once"), [(96, 1), (64, 6), (32, 8)])
def test_windows_go_in_batches_no_larger_than_the_image(config, monkeypatch, window, at_once):
    """As many in a pass as have no more pairs of patches than the whole image."""
    segmenter = Segmenter(config(shorter_side=96, window=window, stride=16))
    segmenter.load()
    conv = segmenter.networks.loaded["clip"].network.image.visual.conv1
    batches = []
    handle = conv.register_forward_hook(lambda _m, args, _o: batches.append(len(args[0])))
    found = segmenter.embed(IMAGE)
    handle.remove()
    assert batches[0] == 1  # the whole image
    assert sum(batches[1:]) == len(found.windows)
    assert set(batches[1:-1]) <= {at_once}
    assert batches[-1] <= at_once
    monkeypatch.setattr(reading, "WINDOWS_AT_ONCE", 1)
    alone = segmenter.embed(IMAGE)
    for part, expected in zip(found.windows, alone.windows, strict=True):
        assert part.window == expected.window
        # A batch adds in another order: some units in the last place of the largest value.
        largest = float(expected.features.abs().max())
        torch.testing.assert_close(part.features, expected.features, rtol=0, atol=1e-5 * largest)
    torch.testing.assert_close(
        found.window_attention, alone.window_attention, rtol=0, atol=2e-5, equal_nan=True
    )
