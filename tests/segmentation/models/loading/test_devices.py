"""Devices, their precision and their free memory."""

from __future__ import annotations

import json

import numpy as np
import pytest
import torch
from loading_configs import WORDS, config

from napari_cliper.demo.run import all_classes
from napari_cliper.demo.scenes import make_scene
from napari_cliper.segmentation import SegmentationConfig, Segmenter
from napari_cliper.segmentation.errors import InvalidInputError
from napari_cliper.segmentation.models import devices
from napari_cliper.segmentation.models.memory import check_sam_memory

CPU = torch.device("cpu")


@pytest.mark.parametrize(
    ("name", "nearest"),
    [("CUDA", "cuda"), ("cuda0", "cuda:0"), ("cuda:", "cuda:0"), ("cuda:²", "cuda"), ("cup", "")],
)
def test_an_unknown_device_names_the_nearest(name, nearest):
    with pytest.raises(InvalidInputError, match=f"Unknown device {name!r}") as error:
        devices.choose_device(name)
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
        devices.choose_device(name)
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
    assert str(devices.choose_device("auto")) == expected
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    assert str(devices.choose_device("cuda:1")) == "cuda:1"


def test_precision_of_each_device(monkeypatch):
    cuda, mps = torch.device("cuda", 0), torch.device("mps")
    monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda: False)
    assert devices.choose_dtype("auto", cuda) == torch.float16
    assert devices.choose_dtype("auto", CPU) == torch.float32
    assert devices.choose_dtype("auto", mps) == torch.float32
    assert devices.choose_dtype("bfloat16", CPU) == torch.bfloat16
    assert devices.choose_dtype("float16", mps) == torch.float16
    with pytest.raises(InvalidInputError, match="float16 does not work on a CPU"):
        devices.choose_dtype("float16", CPU)
    with pytest.raises(InvalidInputError, match=r"does not support bfloat16\. Choose float16"):
        devices.choose_dtype("bfloat16", cuda)


def test_free_memory(monkeypatch):
    assert 2**20 < devices.free_memory(CPU) < 2**50
    monkeypatch.setattr(torch.cuda, "mem_get_info", lambda _device: (5, 10))
    assert devices.free_memory(torch.device("cuda", 0)) == 5


def test_a_sam_in_a_folder_must_fit_into_the_memory_like_those_of_the_registry(tmp_path):
    def check(name, **vision):
        described = {"model_type": "sam", "vision_config": vision}
        (tmp_path / "config.json").write_text(json.dumps(described))
        check_sam_memory(str(name), CPU, 1_700_000_000)

    for name, vision, needed in (
        ("sam-vit-base", {}, "1.8 GB"),
        (tmp_path, {}, "1.8 GB"),
        (tmp_path, {"num_attention_heads": 16}, "2.4 GB"),  # ViT-L and ViT-H
        (tmp_path, {"image_size": 2048, "patch_size": 16}, "28.8 GB"),
    ):
        with pytest.raises(InvalidInputError, match=f"SAM needs {needed}, and cpu has 1.7 GB"):
            check(name, **vision)
    for name, vision in ((tmp_path, {"image_size": 512}), ("sam2.1-hiera-tiny", {})):
        check(name, **vision)
    (tmp_path / "config.json").write_text("[]")  # loading says what is wrong
    check_sam_memory(str(tmp_path), CPU, 1)


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
