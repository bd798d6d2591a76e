"""From a configuration to networks: devices, files, and networks that several jobs share."""

from __future__ import annotations

import gc
import json
import pickle
import threading
import time
import weakref
from pathlib import Path

import numpy as np
import open_clip
import pytest
import torch
from huggingface_hub import constants
from loopback_hub import COMMIT
from safetensors.torch import load_file, save_file

from napari_cliper.demo.run import all_classes
from napari_cliper.demo.scenes import make_scene
from napari_cliper.segmentation import ClassPrompt, Monitor, SegmentationConfig, Segmenter
from napari_cliper.segmentation.errors import (
    DamagedWeightsError,
    InvalidInputError,
    Stopped,
    WeightsUnavailableError,
)
from napari_cliper.segmentation.models import loading, weights
from napari_cliper.segmentation.models.clip_image_encoder import MEAN, STD

CPU = torch.device("cpu")
WORDS = [ClassPrompt("dog"), ClassPrompt("cat")]


@pytest.fixture
def image():
    rng = np.random.default_rng(0)
    picture = rng.integers(0, 90, (60, 90, 3), np.uint8)
    picture[20:45, 20:70] += 120
    return picture


@pytest.fixture
def nothing_is_held():
    """An error of another test holds what its frames hold, until Python has looked for cycles."""
    gc.collect()


def config(model, **options):
    return SegmentationConfig(
        **{
            "model": str(model),
            "refiner": "none",
            "shorter_side": 64,
            "device": "cpu",
            "templates": "word",
            "offline": True,
        }
        | options
    )


# --- devices and precision


@pytest.mark.parametrize(
    ("name", "nearest"),
    [("CUDA", "cuda"), ("cuda0", "cuda:0"), ("cuda:", "cuda:0"), ("cuda:²", "cuda"), ("cup", "")],
)
def test_an_unknown_device_names_the_nearest(name, nearest):
    with pytest.raises(InvalidInputError, match=f"Unknown device {name!r}") as error:
        loading.choose_device(name)
    assert f"Did you mean '{nearest}" in str(error.value) or not nearest
    assert "Known: auto, cpu, cuda" in str(error.value)


@pytest.mark.parametrize(
    ("name", "cuda", "found"),
    [
        ("cuda", 0, "torch finds none"),
        ("cuda:0", 0, "torch finds none"),
        ("cuda:1", 1, "1 device of that kind"),
        ("cuda:3", 2, "2 devices of that kind"),
        ("mps", 1, "torch finds none"),
        ("cpu:1", 0, "1 device of that kind"),
    ],
)
def test_a_device_that_is_not_there(monkeypatch, name, cuda, found):
    monkeypatch.setattr(torch.cuda, "device_count", lambda: cuda)
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: False)
    with pytest.raises(InvalidInputError, match=f"{found}.*Choose 'cpu' or 'auto'"):
        loading.choose_device(name)
    with pytest.raises(InvalidInputError, match=f"{name!r} is not available"):
        Segmenter(SegmentationConfig(device=name))  # before anything is loaded


@pytest.mark.parametrize(
    ("cuda", "mps", "expected"),
    [(True, True, "cuda:0"), (False, True, "mps"), (False, False, "cpu")],
)
def test_the_best_device_there_is(monkeypatch, cuda, mps, expected):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: cuda)
    monkeypatch.setattr(torch.cuda, "current_device", lambda: 0)
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: mps)
    assert str(loading.choose_device("auto")) == expected
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    assert str(loading.choose_device("cuda:1")) == "cuda:1"


def test_precision_of_each_device(monkeypatch):
    cuda, mps = torch.device("cuda", 0), torch.device("mps")
    monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda: False)
    assert loading.choose_dtype("auto", cuda) == torch.float16
    assert loading.choose_dtype("auto", CPU) == torch.float32
    assert loading.choose_dtype("auto", mps) == torch.float32
    assert loading.choose_dtype("bfloat16", CPU) == torch.bfloat16
    assert loading.choose_dtype("float16", mps) == torch.float16
    with pytest.raises(InvalidInputError, match="float16 does not work on a CPU"):
        loading.choose_dtype("float16", CPU)
    with pytest.raises(InvalidInputError, match=r"does not support bfloat16\. Choose float16"):
        loading.choose_dtype("bfloat16", cuda)


def test_free_memory(monkeypatch):
    assert 2**20 < loading.free_memory(CPU) < 2**50
    monkeypatch.setattr(torch.cuda, "mem_get_info", lambda _device: (5, 10))
    assert loading.free_memory(torch.device("cuda", 0)) == 5


@pytest.mark.parametrize("method", ["cliper", "sclip"])
def test_bfloat16_on_a_cpu_gives_nearly_the_same_labels(tiny_clip, image, method):
    def labels(precision):
        chosen_config = config(tiny_clip, precision=precision, method=method, window=0)
        segmenter = Segmenter(chosen_config)
        embedding = segmenter.embed(image)
        assert embedding.record["precision"] == precision
        scores = segmenter.score(embedding, WORDS, background=["grass"])
        return scores.to_labels(
            scores.settings.thresholds.with_values(class_threshold=0, background_threshold=0)
        )

    exact, half = labels("float32"), labels("bfloat16")
    assert len(np.unique(exact)) > 1
    assert (exact != half).mean() < 0.05


@pytest.mark.parametrize("stage", ["coarse", "refined"])
@pytest.mark.parametrize("seed", [1, 7])
def test_bfloat16_keeps_the_labels_of_a_trained_model(seed, stage):
    """The demo model's CLIP, refined by colour; Stable Diffusion takes no part in this."""
    image = make_scene((224, 300), seed=seed).image

    def labels(precision):
        segmenter = Segmenter(SegmentationConfig(model="demo", device="cpu", precision=precision))
        return segmenter.score(segmenter.embed(image), all_classes()).to_labels(stage=stage)

    exact = labels("float32")
    assert len(np.unique(exact)) >= 3
    assert (exact != labels("bfloat16")).mean() <= 0.005


# --- where a model is


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
    with pytest.raises(WeightsUnavailableError, match=r"no checkpoint file at .*none\.pt"):
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


# --- what cannot be had


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


# --- sharing


@pytest.mark.usefixtures("nothing_is_held")
def test_two_segmenters_share_networks_that_are_freed_with_them(tiny_clip, image):
    first, second = Segmenter(config(tiny_clip)), Segmenter(config(tiny_clip, method="maskclip"))
    embedding = first.embed(image)
    second.load()
    assert first.networks.loaded["clip"] is second.networks.loaded["clip"]
    assert embedding.record["weights"] == second.embed(image).record["weights"]
    half = Segmenter(config(tiny_clip, precision="bfloat16"))
    half.load()
    assert half.networks.loaded["clip"] is not first.networks.loaded["clip"]
    network = weakref.ref(first.networks.loaded["clip"].network.image.visual)
    first.unload()
    gc.collect()
    assert network() is not None  # the second still has it
    del second
    gc.collect()
    assert network() is None
    assert first.embed(image).nbytes == embedding.nbytes  # and it can be loaded again


@pytest.mark.usefixtures("nothing_is_held")
def test_networks_are_freed_after_a_stop_and_an_error(tiny_clip, image):
    segmenter = Segmenter(config(tiny_clip))
    segmenter.load()
    network = weakref.ref(segmenter.networks.loaded["clip"].network.image.visual)
    with pytest.raises(Stopped):
        segmenter.embed(image, should_stop=lambda: True)
    with pytest.raises(InvalidInputError):
        segmenter.score(segmenter.embed(image), [])
    del segmenter
    gc.collect()
    assert network() is None


def in_thread(job):
    """Run a job in a thread; its error is the result."""
    outcome = []

    def run():
        try:
            outcome.append(job())
        except Exception as error:  # noqa: BLE001 - handed over to the test
            outcome.append(error)

    thread = threading.Thread(target=run)
    thread.start()
    return thread, outcome


def test_each_job_stops_only_itself(tiny_clip, image):
    """Two threads with one network: one is stopped while it waits for the other."""
    first, second = Segmenter(config(tiny_clip)), Segmenter(config(tiny_clip))
    expected = first.embed(image).whole.features
    second.load()
    inside, go_on, stop_second = (threading.Event() for _ in range(3))

    def slow(_progress):
        inside.set()
        assert go_on.wait(20)

    one, of_one = in_thread(lambda: first.embed(image, report=slow))
    assert inside.wait(20)
    two, of_two = in_thread(lambda: second.embed(image, should_stop=stop_second.is_set))
    two.join(0.3)
    assert two.is_alive()  # one job at a time has the network
    begun = time.monotonic()
    stop_second.set()
    two.join(20)
    assert time.monotonic() - begun < 1
    assert isinstance(of_two[0], Stopped)
    assert one.is_alive()
    go_on.set()
    one.join(20)
    assert torch.equal(of_one[0].whole.features, expected)
    assert torch.equal(second.embed(image).whole.features, expected)


def test_a_stopped_job_lets_the_one_that_waits_go_on(tiny_clip, image):
    first, second = Segmenter(config(tiny_clip)), Segmenter(config(tiny_clip))
    expected = first.embed(image).whole.features
    second.load()
    inside, stop_first = threading.Event(), threading.Event()

    def slow(_progress):
        inside.set()
        time.sleep(0.05)

    def stop():
        return inside.is_set() and stop_first.wait(20)

    one, of_one = in_thread(lambda: first.embed(image, report=slow, should_stop=stop))
    assert inside.wait(20)
    two, of_two = in_thread(lambda: second.embed(image))
    two.join(0.3)
    assert two.is_alive()
    stop_first.set()
    one.join(20)
    two.join(20)
    assert isinstance(of_one[0], Stopped)
    assert torch.equal(of_two[0].whole.features, expected)


def test_jobs_side_by_side_give_what_they_give_alone(tiny_clip, image):
    segmenters = [Segmenter(config(tiny_clip)) for _ in range(4)]
    pictures = [np.roll(image, 7 * i, axis=1) for i in range(4)]

    def answer(segmenter, picture):
        scores = segmenter.score(segmenter.embed(picture), WORDS, background=["grass"])
        return scores.coarse.maps

    alone = [answer(segmenters[0], picture) for picture in pictures]
    jobs = [
        in_thread(lambda s=s, p=p: answer(s, p)) for s, p in zip(segmenters, pictures, strict=True)
    ]
    for (thread, outcome), expected in zip(jobs, alone, strict=True):
        thread.join(30)
        np.testing.assert_array_equal(outcome[0], expected)


@pytest.mark.usefixtures("nothing_is_held")
def test_who_waits_for_the_loading_of_another_can_be_stopped(tiny_clip, image, monkeypatch):
    loads, inside, go_on, stop = [], *(threading.Event() for _ in range(3))
    real = weights.read_tensors

    def slow(path):
        loads.append(path)
        inside.set()
        assert go_on.wait(20)
        return real(path)

    monkeypatch.setattr(weights, "read_tensors", slow)
    segmenters = [Segmenter(config(tiny_clip)) for _ in range(3)]
    one, of_one = in_thread(lambda: segmenters[0].embed(image))
    assert inside.wait(20)
    two, of_two = in_thread(lambda: segmenters[1].embed(image, should_stop=stop.is_set))
    three, of_three = in_thread(lambda: segmenters[2].embed(image))
    begun = time.monotonic()
    stop.set()
    two.join(20)
    assert time.monotonic() - begun < 1
    assert isinstance(of_two[0], Stopped)
    go_on.set()
    one.join(20)
    three.join(20)
    assert torch.equal(of_one[0].whole.features, of_three[0].whole.features)
    assert len(loads) == 1  # the third took what the first had loaded


@pytest.mark.usefixtures("nothing_is_held")
def test_a_load_that_failed_is_tried_again(tiny_clip, monkeypatch):
    real, failures = weights.read_tensors, [DamagedWeightsError("not yet whole")]

    def fails_once(path):
        if failures:
            raise failures.pop()
        return real(path)

    monkeypatch.setattr(weights, "read_tensors", fails_once)
    segmenter = Segmenter(config(tiny_clip))
    with pytest.raises(DamagedWeightsError, match="not yet whole"):
        segmenter.load()
    segmenter.load()
    assert segmenter.networks.loaded["clip"].weights[0]["file"] == tiny_clip.name


def test_a_stop_while_hashing(tiny_clip, monkeypatch):
    stages = []

    def should_stop():
        return bool(stages) and stages[-1].startswith("Checking")

    monitor = Monitor(lambda progress: stages.append(progress.stage), should_stop)
    path = tiny_clip.with_name("fresh.safetensors")
    path.write_bytes(tiny_clip.read_bytes())
    path.with_suffix(".json").write_text(tiny_clip.with_suffix(".json").read_text())
    segmenter = Segmenter(config(path))
    monkeypatch.setattr("napari_cliper.segmentation.models.checkpoints._BLOCK", 1000)
    with pytest.raises(Stopped):
        segmenter.load(report=monitor.report, should_stop=monitor.should_stop)
    assert stages[-1] == "Checking fresh.safetensors"
