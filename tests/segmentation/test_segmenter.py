"""From an image and words to labels, through networks of random weights."""

from __future__ import annotations

import json
import threading
import time
from collections import Counter
from dataclasses import replace
from hashlib import sha256
from importlib.metadata import version
from weakref import WeakValueDictionary

import numpy as np
import psutil
import pytest
import timm
import torch
from diffusers import AutoencoderKL, PNDMScheduler, UNet2DConditionModel
from PIL import Image
from torch.nn.modules.module import (
    register_module_forward_hook,
    register_module_forward_pre_hook,
)

from napari_cliper.segmentation import (
    ClassPrompt,
    InvalidInputError,
    OutOfMemoryError,
    SegmentationConfig,
    Segmenter,
    Stopped,
)
from napari_cliper.segmentation.methods import cliper as reading
from napari_cliper.segmentation.models import dino as proxy
from napari_cliper.segmentation.models import loading
from napari_cliper.segmentation.models.stable_diffusion import Diffusion
from napari_cliper.segmentation.words import prompt_templates, word_queries

METHODS = ("cliper", "sclip", "clearclip", "maskclip", "clip")  # that need no other network
CLASSES = (ClassPrompt("nucleus", ("cell nucleus",)), ClassPrompt("bacteria"))
IMAGE = np.random.default_rng(0).integers(0, 256, (90, 110, 3), dtype=np.uint8)
IMAGE[20:60, 30:70] //= 4
IMAGE.flags.writeable = False  # no test changes it, nor may the engine


@pytest.fixture(scope="module")
def config(tiny_clip):
    quick = {
        "model": str(tiny_clip), "device": "cpu", "offline": True, "shorter_side": 64,
        "refiner": "none", "templates": "word", "background": ("sky", "sea"),
    }  # fmt: skip

    def make(**options):
        return SegmentationConfig(**quick | options)

    return make


@pytest.fixture(scope="module")
def segmenter(config):
    return Segmenter(config())


@pytest.fixture(scope="module")
def embedding(segmenter):
    return segmenter.embed(IMAGE)


def maps_of(segmenter, words, background=("sky", "sea"), image=None):
    embedding = segmenter.embed(IMAGE if image is None else image)
    classes = [ClassPrompt(w) if isinstance(w, str) else w for w in words]
    return segmenter.score(embedding, classes, background=background).coarse.maps


class Passes:
    """Counts the forward passes of some networks' modules."""

    def __init__(self, *networks):
        self.names = {id(m): name for net in networks for name, m in net.named_modules()}
        self.counted = Counter()

    def __enter__(self):
        def count(module, _inputs, _output):
            if id(module) in self.names:
                self.counted[self.names[id(module)]] += 1

        self.handle = register_module_forward_hook(count)
        return self.counted

    def __exit__(self, *_):
        self.handle.remove()


# ---------------------------------------------------------------------- end to end


@pytest.mark.parametrize(("window", "refiner"), [(0, "none"), (48, "pamr")])
@pytest.mark.parametrize("method", METHODS)
def test_an_image_and_words_become_labels(config, method, window, refiner):
    segmenter = Segmenter(config(method=method, window=window, stride=32, refiner=refiner))
    embedding = segmenter.embed(IMAGE)
    scores = segmenter.score(embedding, CLASSES)

    maps = scores.coarse.maps
    assert maps.shape == ((2, 4, 5) if method == "cliper" else (2, 64, 78))
    assert np.isfinite(maps).all()
    np.testing.assert_allclose(scores.coarse.class_scores, maps.max(axis=(1, 2)))
    if method != "cliper":
        assert maps.sum(axis=0).max() <= 1 + 1e-5
        assert (scores.coarse.background + maps.max(axis=0)).max() <= 1 + 1e-5
    assert (scores.refined is not None) is (refiner == "pamr")
    if scores.refined:
        assert scores.refined.maps.shape[1:] == embedding.resized.shape[:2]
        assert (scores.refined.maps.max(axis=(1, 2)) <= maps.max(axis=(1, 2)) + 1e-6).all()

    labels = scores.to_labels(
        scores.settings.thresholds.with_values(class_threshold=0, background_threshold=0.01)
    )
    assert labels.shape == IMAGE.shape[:2]
    assert labels.dtype == np.uint8
    assert 0 < labels.max() <= 2
    assert len(embedding.windows) == (4 if window else method != "cliper")
    assert embedding.nbytes > IMAGE.nbytes

    again = segmenter.score(segmenter.embed(IMAGE), CLASSES)
    np.testing.assert_array_equal(again.stage().maps, scores.stage().maps)


@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
@pytest.mark.parametrize("method", ["cliper", "sclip"])
def test_precisions_agree(config, method, precision):
    exact = maps_of(Segmenter(config(method=method, logit_scale=1.0)), ["dog", "cat"])
    other = Segmenter(config(method=method, logit_scale=1.0, precision=precision))
    found = maps_of(other, ["dog", "cat"])
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, exact, atol=1e-6 if precision == "float32" else 0.05)


class _Networks:
    """Small networks in the place of those that are downloaded."""

    def __init__(self):
        torch.manual_seed(0)
        self.foundation = proxy.FoundationModel(
            timm.models.VisionTransformer(
                img_size=32, patch_size=8, embed_dim=32, depth=2, num_heads=2, num_classes=0,
                dynamic_img_size=True,
            )
        )  # fmt: skip
        small = {"block_out_channels": (8, 8, 8, 8), "norm_num_groups": 4}
        unet = UNet2DConditionModel(
            sample_size=8, cross_attention_dim=16, attention_head_dim=2, **small
        )
        vae = AutoencoderKL(
            down_block_types=("DownEncoderBlock2D",) * 4, up_block_types=("UpDecoderBlock2D",) * 4,
            **small,
        )  # fmt: skip
        scheduler = PNDMScheduler(skip_prk_steps=True, steps_offset=1)
        self.diffusion = Diffusion(unet, vae, scheduler, torch.randn(1, 77, 16))


@pytest.fixture(scope="module")
def networks():
    return _Networks()


@pytest.fixture
def others(networks, monkeypatch):
    foundation = loading.Loaded(networks.foundation, ())
    diffusion = loading.Loaded(networks.diffusion, ())
    monkeypatch.setattr(loading, "load_foundation", lambda *_, monitor: foundation)
    monkeypatch.setattr(loading, "load_diffusion", lambda *_, monitor: diffusion)
    return networks


@pytest.mark.parametrize(
    ("method", "refiner"),
    [
        ("proxyclip", "none"), ("proxyclip", "foundation"), ("cliper", "foundation"),
        ("cliper", "stable-diffusion"), ("maskclip", "stable-diffusion-mean"),
    ],
)  # fmt: skip
@pytest.mark.usefixtures("others")
def test_methods_and_refiners_with_a_second_network(config, method, refiner):
    segmenter = Segmenter(config(method=method, refiner=refiner))
    embedding = segmenter.embed(IMAGE)
    scores = segmenter.score(embedding, CLASSES)
    assert np.isfinite(scores.stage().maps).all()
    if refiner != "none":
        grid = (8, 10) if refiner == "foundation" else (8, 8)  # 64 x 80 in patches of 8; latents
        assert scores.refined.maps.shape == (2, *grid)
        assert embedding.self_attention.grid == grid
        assert (np.ptp(scores.refined.maps, axis=(1, 2)) > 0).all()
    if method == "cliper":  # half of what each stage says
        maxima = scores.refined.maps.max(axis=(1, 2)) + scores.coarse.maps.max(axis=(1, 2))
        np.testing.assert_allclose(scores.refined.class_scores, maxima / 2, rtol=1e-6)


@pytest.mark.usefixtures("others")
def test_seed_decides_the_noise(config):
    def refined(seed):
        segmenter = Segmenter(config(refiner="stable-diffusion", seed=seed))
        scores = segmenter.score(segmenter.embed(IMAGE), CLASSES)
        assert scores.record["seed"] == seed
        return scores.refined.maps

    once = refined(7)
    np.testing.assert_array_equal(refined(7), once)
    assert np.abs(refined(8) - once).max() > 1e-6


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


# ---------------------------------------------------------------------- words


def test_changing_the_words_runs_no_image_network(config):
    segmenter = Segmenter(config(refiner="pamr"))
    embedding = segmenter.embed(IMAGE)
    network = segmenter.networks.loaded["clip"].network
    with Passes(network.image.visual) as image_passes:
        first = segmenter.score(embedding, CLASSES)
        second = segmenter.score(embedding, [ClassPrompt("dog"), ClassPrompt("cat")])
        assert not image_passes
        segmenter.embed(IMAGE)
        assert image_passes["conv1"] == 1
    assert np.abs(first.coarse.maps - second.coarse.maps).max() > 1e-3
    with Passes(network.text.model) as text_passes:
        segmenter.score(embedding, CLASSES[::-1])
        assert not text_passes  # words once asked are remembered


@pytest.mark.parametrize("method", METHODS)
def test_repeated_synonym_changes_nothing(config, method):
    segmenter = Segmenter(config(method=method))
    once = maps_of(segmenter, [ClassPrompt("nucleus", ("cell",)), "crystal"])
    again = ClassPrompt("nucleus", ("cell", "Nucleus", " cell ", "nucleus"))
    np.testing.assert_array_equal(maps_of(segmenter, [again, "crystal"]), once)


def test_order_of_classes_and_synonyms_means_nothing(segmenter):
    a, b = ClassPrompt("nucleus", ("cell",)), ClassPrompt("crystal")
    found = maps_of(segmenter, [a, b])
    np.testing.assert_allclose(maps_of(segmenter, [b, a])[::-1], found, atol=1e-5)
    swapped = ClassPrompt("cell", ("nucleus",))
    np.testing.assert_allclose(maps_of(segmenter, [swapped, b]), found, atol=1e-5)


def test_one_class_needs_a_background(segmenter, embedding):
    dog = [ClassPrompt("dog")]
    with pytest.raises(InvalidInputError, match="a single word would cover everything"):
        segmenter.score(embedding, dog, background=())
    different = np.abs(maps_of(segmenter, ["dog"]) - maps_of(segmenter, ["zzz"]))
    assert different.max() > 0.05


def test_words_are_checked_before_anything_is_loaded(config):
    segmenter = Segmenter(config(background=()))
    segmenter.check_words(CLASSES)
    with pytest.raises(InvalidInputError, match="no background word"):
        segmenter.check_words(CLASSES[:1])
    with pytest.raises(InvalidInputError, match="no word to look for"):
        segmenter.check_words([])
    assert not segmenter.networks.loaded


@pytest.mark.parametrize("method", ["cliper", "maskclip"])
def test_words_in_any_script_are_words_of_their_own(config, method):
    segmenter = Segmenter(config(method=method))
    words = ["核", "ядро", "خلية", "नाभिक", "🦠"]
    maps = maps_of(segmenter, words)
    for i, one in enumerate(maps):
        assert np.isfinite(one).all()
        assert all(np.abs(one - other).max() > 1e-4 for other in maps[:i])
    alone = maps_of(segmenter, words[:2])
    assert np.abs(alone[0] - alone[1]).max() > 1e-4


def test_background_word_that_is_a_class_is_dropped_with_a_note(segmenter, embedding):
    scores = segmenter.score(
        embedding, [ClassPrompt("Tree"), ClassPrompt("dog")], background=("sky", "tree")
    )
    assert scores.background == ("sky",)
    assert scores.owner == (0, 1, -1)
    without = segmenter.score(
        embedding, [ClassPrompt("Tree"), ClassPrompt("dog")], background=("sky",)
    )
    np.testing.assert_array_equal(scores.coarse.maps, without.coarse.maps)
    (note,) = set(scores.notes) - set(without.notes)
    assert "background" in note
    assert "tree" in note


def test_words_that_the_model_does_not_know_are_named(config, embedding):
    segmenter = Segmenter(config())
    segmenter.networks._source = replace(segmenter.source, words=("Nucleus", "bacteria"))
    notes = segmenter.score(embedding, CLASSES).notes
    assert any("does not know: cell nucleus. It knows only: Nucleus, bac" in one for one in notes)
    known = segmenter.score(embedding, [ClassPrompt("nucleus"), ClassPrompt("Bacteria")]).notes
    assert not any("does not know" in one for one in known)


def test_prompt_beyond_the_context_is_reported(segmenter, embedding):
    long = " ".join(["very"] * 30) + " long worm"  # the context is 24 tokens
    scores = segmenter.score(embedding, [ClassPrompt(long), ClassPrompt("dog")])
    fits = segmenter.score(embedding, [ClassPrompt(" ".join(["very"] * 22)), ClassPrompt("dog")])
    (note,) = set(scores.notes) - set(fits.notes)
    assert repr(long) in note
    assert "24 tokens" in note
    assert note in scores.record["notes"]
    assert not any("longer" in note for note in fits.notes)


def test_own_prompt_takes_the_place_of_the_templates(config):
    plain = Segmenter(config())
    framed = Segmenter(config(templates=("a photo of a {}, seen from above.",)))
    own = ClassPrompt("dog", prompt="a photo of a {}, seen from above.")
    words = ClassPrompt("dog", prompt="a photo of a dog, seen from above.")
    other = ClassPrompt("cat", prompt="cat")
    found = maps_of(plain, [own, other], background=())
    np.testing.assert_array_equal(maps_of(plain, [words, other], background=()), found)
    np.testing.assert_array_equal(maps_of(framed, ["dog", other], background=()), found)
    assert np.abs(maps_of(plain, ["dog", other], background=()) - found).max() > 1e-3


def test_templates_are_averaged_as_unit_words(config):
    templates = ("a {}.", "one small {} here")
    segmenter = Segmenter(config(templates=templates, background=()))
    embedding = segmenter.embed(IMAGE)
    network = segmenter.networks.loaded["clip"].network.text
    found = word_queries(segmenter.networks, [ClassPrompt("dog")], ["sky"], loading.Monitor())[
        0
    ].vectors
    for word, vector in zip(("dog", "sky"), found, strict=True):
        tokens = network.tokenizer([t.format(word) for t in templates])
        with torch.no_grad():
            encoded = network.model.encode_text(tokens).numpy()
        encoded /= np.linalg.norm(encoded, axis=1, keepdims=True)
        mean = encoded.mean(axis=0)
        np.testing.assert_allclose(vector, mean / np.linalg.norm(mean), atol=1e-5)
    assert embedding.config.templates == templates


@pytest.mark.parametrize(("name", "count"), [("openai-80", 80), ("openai-7", 7), ("cliper-15", 15)])
def test_template_sets(config, name, count):
    templates = prompt_templates(Segmenter(config(templates=name)).networks)
    assert len(set(templates)) == len(templates) == count
    assert all(template.count("{}") == 1 for template in templates)
    if name.startswith("openai"):
        assert "a photo of the large {}." in templates


# ---------------------------------------------------------------------- progress and stopping


JOBS = {
    "cliper": {"window": 48, "stride": 32, "refiner": "pamr"},
    "sclip": {"window": 48, "stride": 32, "refiner": "pamr"},
}


def job(segmenter, **callbacks):
    return segmenter.score(segmenter.embed(IMAGE, **callbacks), CLASSES, **callbacks)


@pytest.fixture
def nothing_loaded(monkeypatch):
    monkeypatch.setattr(loading, "_store", WeakValueDictionary())


STAGES = {
    "cliper": [
        "Loading", "Checking", "Encoding the image", "Fusing early layers", "Encoding the windows",
        "Encoding the words", "Refining", "Refining by colour",
    ],
    "sclip": [
        "Loading", "Checking", "Encoding the windows", "Encoding the image",
        "Encoding the words", "Refining", "Refining by colour",
    ],
}  # fmt: skip


@pytest.mark.parametrize("method", JOBS)
@pytest.mark.usefixtures("nothing_loaded")
def test_progress_is_reported_in_order_and_ends(config, method):
    seen = []
    job(Segmenter(config(method=method, **JOBS[method])), report=seen.append)
    told = len(seen)
    stages = list(dict.fromkeys(one.stage for one in seen))
    assert len(stages) == len(STAGES[method])
    assert all(told.startswith(name) for told, name in zip(stages, STAGES[method], strict=True))
    for one in seen:
        assert 0 <= one.done <= one.total
        assert one.unit == ("byte" if one.stage.startswith("Checking") else "step")
    windows = [one.done for one in seen if one.stage == "Encoding the windows"]
    assert windows == sorted(windows)
    time.sleep(0.05)
    assert len(seen) == told


class Patience:
    """Says no so many times, then yes, and remembers when."""

    def __init__(self, times):
        self.left = times
        self.ended = None

    def __call__(self):
        self.left -= 1
        if self.left < 0 and self.ended is None:
            self.ended = time.perf_counter()
        return self.left < 0


@pytest.mark.parametrize("method", JOBS)
def test_stopping_anywhere_leaves_a_segmenter_that_works(config, method):
    segmenter = Segmenter(config(method=method, **JOBS[method]))
    segmenter.load()
    endless = Patience(10**9)
    expected = job(segmenter, should_stop=endless).refined.maps
    requested = 10**9 - endless.left
    for times in sorted({0, 1, requested - 1, *range(2, requested, requested // 8)}):
        segmenter.networks.text_embeddings.clear()
        stop = Patience(times)
        with pytest.raises(Stopped, match="Stopped on request"):
            job(segmenter, should_stop=stop)
        assert time.perf_counter() - stop.ended < 1
    np.testing.assert_array_equal(job(segmenter).refined.maps, expected)
    network = segmenter.networks.loaded["clip"].network
    for tower in (network.image.visual, network.text.model):
        assert not any(module._forward_pre_hooks for module in tower.modules())


@pytest.mark.usefixtures("nothing_loaded")
def test_stopping_while_loading(config):
    segmenter = Segmenter(config())
    with pytest.raises(Stopped):
        segmenter.load(should_stop=lambda: True)
    with pytest.raises(Stopped):
        segmenter.embed(IMAGE, should_stop=lambda: True)
    segmenter.load()
    assert maps_of(segmenter, ["dog"]).shape == (1, 4, 5)


def test_two_jobs_share_one_network_and_a_waiting_one_can_be_stopped(config):
    one, two = Segmenter(config()), Segmenter(config(logit_scale=50.0))
    one.load()
    two.load()
    assert one.networks.loaded["clip"] is two.networks.loaded["clip"]
    inside, go_on, results = threading.Event(), threading.Event(), []

    def wait(_progress):
        inside.set()
        go_on.wait(10)

    thread = threading.Thread(target=lambda: results.append(one.embed(IMAGE, report=wait)))
    thread.start()
    try:
        assert inside.wait(10)
        start = time.perf_counter()
        with pytest.raises(Stopped):
            two.embed(IMAGE, should_stop=lambda: time.perf_counter() - start > 0.2)
        assert time.perf_counter() - start < 1.2
    finally:
        go_on.set()
        thread.join(30)
    assert len(results) == 1


# ---------------------------------------------------------------------- what is kept, and errors


@pytest.mark.parametrize(
    "other", [{"method": "maskclip"}, {"shorter_side": 80}, {"window": 48, "stride": 9}]
)
def test_embedding_of_another_configuration_is_refused(config, embedding, other):
    with pytest.raises(InvalidInputError, match=r"another configuration\. Embed the image again"):
        Segmenter(config(**other)).score(embedding, CLASSES)


@pytest.mark.parametrize(
    "other",
    [{"refiner": "pamr"}, {"logit_scale": 5.0}, {"select_layer": 0}, {"templates": ("a {}",)}],
    ids=str,
)
def test_embedding_serves_every_setting_it_does_not_depend_on(config, segmenter, embedding, other):
    own = Segmenter(config(**other))
    expected = own.score(own.embed(IMAGE), CLASSES).stage().maps
    lent = segmenter.with_config(config(**other))
    assert lent.networks.loaded["clip"] is segmenter.networks.loaded["clip"]
    found = lent.score(embedding, CLASSES).stage().maps
    np.testing.assert_allclose(found, expected, atol=1e-4)


def test_another_model_brings_its_own_network(config, segmenter, embedding):
    segmenter.score(embedding, CLASSES)
    other = segmenter.with_config(config(precision="bfloat16"))
    assert not other.networks.loaded
    assert not other.networks.text_embeddings
    assert segmenter.nbytes > other.nbytes == 0


def test_embedding_that_says_it_is_clipers_but_is_not(config, segmenter):
    theirs = Segmenter(config(method="maskclip")).embed(IMAGE)
    with pytest.raises(InvalidInputError, match="not made by CLIPer"):
        segmenter.score(replace(theirs, config=segmenter.config), CLASSES)


def test_other_background_words_need_no_new_embedding(config, segmenter, embedding):
    words = ("grass", "tree")
    found = Segmenter(config(background=words)).score(embedding, CLASSES)
    assert found.background == words
    expected = segmenter.score(embedding, CLASSES, background=words)
    np.testing.assert_allclose(found.coarse.maps, expected.coarse.maps, atol=1e-4)


def test_record_tells_how_it_was_made(config, tiny_clip):
    segmenter = Segmenter(config(refiner="pamr", seed=5, background=("sky",)))
    scores = segmenter.score(segmenter.embed(IMAGE), CLASSES)
    record = json.loads(json.dumps(dict(scores.record), allow_nan=False))
    assert record["seed"] == record["config"]["seed"] == 5
    assert record["config"]["method"] == "cliper"
    assert record["config"]["refiner"] == "pamr"
    assert record["settings"] == segmenter.settings.as_dict
    assert record["weights"] == [
        {"file": tiny_clip.name, "sha256": sha256(tiny_clip.read_bytes()).hexdigest()}
    ]
    assert record["versions"]["torch"] == version("torch")
    assert {"python", "napari-cliper", "open_clip_torch"} <= set(record["versions"])
    assert set(record["seconds"]) == {"load", "clip", "refiner", "words", "score"}
    assert all(value >= 0 for value in record["seconds"].values())
    assert record["image"] == {"shape": [90, 110], "resized": [64, 80], "contrast": None}
    assert (record["device"], record["precision"]) == ("cpu", "float32")
    assert record["background"] == ["sky"]
    for i, row in enumerate(record["classes"]):
        assert (row["label"], row["name"]) == (i + 1, CLASSES[i].name)
        assert row["score_coarse"] == pytest.approx(scores.coarse.class_scores[i])
        assert row["score_refined"] == pytest.approx(scores.refined.class_scores[i])
    rebuilt = record["config"] | {"background": tuple(record["config"]["background"])}
    assert SegmentationConfig(**rebuilt) == segmenter.config


@pytest.mark.parametrize(
    "error",
    [
        torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 93 GiB"),
        RuntimeError("[enforce fail] DefaultCPUAllocator: can't allocate memory"),
        RuntimeError("MPS backend out of memory"),
        MemoryError(),
    ],
    ids=["cuda", "cpu", "mps", "python"],
)
@pytest.mark.parametrize("tower", ["image", "text"])
def test_no_memory_left_names_the_ways_out(config, tower, error):
    segmenter = Segmenter(config(method="maskclip"))
    embedding = segmenter.embed(IMAGE)
    network = segmenter.networks.loaded["clip"].network
    module = network.image.visual.conv1 if tower == "image" else network.text.model.ln_final

    def fail(_module, _inputs):
        raise error

    handle = module.register_forward_pre_hook(fail)
    try:
        with pytest.raises(OutOfMemoryError) as caught:
            if tower == "image":
                segmenter.embed(IMAGE)
            else:
                segmenter.score(embedding, CLASSES)
    finally:
        handle.remove()
    assert not isinstance(caught.value, RuntimeError)
    assert caught.value.__cause__ is error
    ways_out = ("smaller shorter side (now 64)", "another refiner (now none", "device 'cpu'")
    for words in ("cpu has not enough memory", *ways_out):
        assert words in str(caught.value)
    assert segmenter.score(embedding, CLASSES).coarse.maps.shape == (2, 64, 78)


def test_other_errors_of_torch_are_not_called_memory(config):
    segmenter = Segmenter(config())
    segmenter.load()

    def fail(_module, _inputs):
        raise RuntimeError("mat1 and mat2 shapes cannot be multiplied")

    handle = segmenter.networks.loaded["clip"].network.image.visual.conv1.register_forward_pre_hook(
        fail
    )
    try:
        with pytest.raises(RuntimeError, match="mat1"):
            segmenter.embed(IMAGE)
    finally:
        handle.remove()


def test_unloaded_networks_are_freed_and_come_back(config):
    segmenter = Segmenter(config(logit_scale=30.0, precision="bfloat16"))
    expected = maps_of(segmenter, ["dog"])
    embedding = segmenter.embed(IMAGE)
    key = next(key for key in loading._store if "torch.bfloat16" in key)
    segmenter.unload()
    assert key not in loading._store
    found = segmenter.score(embedding, [ClassPrompt("dog")], background=("sky", "sea"))
    np.testing.assert_array_equal(found.coarse.maps, expected)


def test_image_tower_alone_encodes_images_but_no_words(config, embedding, monkeypatch):
    bare = Segmenter(config())
    bare.load()
    loaded = bare.networks.loaded["clip"]
    monkeypatch.setattr(loaded, "network", replace(loaded.network, text=None))
    with pytest.raises(InvalidInputError, match=r"no text tower.*Choose a whole CLIP"):
        bare.score(embedding, [ClassPrompt("never asked"), ClassPrompt("before")])
