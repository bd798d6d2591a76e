"""The configuration: checked, and completed with published settings."""

from __future__ import annotations

import json
import re
from dataclasses import asdict, fields
from pathlib import Path

import numpy as np
import pytest

from napari_cliper.segmentation import (
    METHODS,
    ClassPrompt,
    InvalidInputError,
    SegmentationConfig,
    Segmenter,
    Thresholds,
    Tiles,
    published_settings,
)


@pytest.mark.parametrize(
    ("setting", "nearest"),
    [
        ({"method": "clipper"}, "cliper"),
        ({"method": "SCLIP"}, "sclip"),
        ({"model": "ViT-B16"}, "ViT-B/16"),
        ({"model": "vit-l/14"}, "ViT-L/14"),
        ({"refiner": "stable-difusion"}, "stable-diffusion"),
        ({"diffusion_model": "stable-diffusion-2.2"}, "stable-diffusion-2.1"),
        ({"foundation_model": "dino_vitb8"}, "dino-vitb8"),
        ({"preset": "voc12"}, "voc21"),
        ({"templates": "openai80"}, "openai-80"),
        ({"precision": "float-16"}, "float16"),
        ({"device": "cudaa"}, "cuda"),
    ],
    ids=str,
)
def test_unknown_name_is_refused_with_the_nearest(setting, nearest):
    (value,) = setting.values()
    with pytest.raises(InvalidInputError) as caught:
        Segmenter(SegmentationConfig(**setting))
    assert repr(value) in str(caught.value)
    assert f"Did you mean {nearest!r}?" in str(caught.value)


def test_name_like_nothing_gets_the_list_and_no_guess():
    with pytest.raises(InvalidInputError) as caught:
        SegmentationConfig(method="qqqqq")
    assert "Did you mean" not in str(caught.value)
    assert all(method in str(caught.value) for method in METHODS)


@pytest.mark.parametrize("device", ["cuda:99", "cuda:x", "cpu:3", "tpu"])
def test_device_that_is_not_there(device):
    with pytest.raises(InvalidInputError, match="cpu") as caught:
        Segmenter(SegmentationConfig(device=device))
    assert repr(device) in str(caught.value)


def test_float16_on_a_cpu_names_what_works():
    with pytest.raises(InvalidInputError, match="Choose float32"):
        Segmenter(SegmentationConfig(device="cpu", precision="float16"))


@pytest.mark.parametrize(
    ("setting", "advice"),
    [
        ({"shorter_side": 0}, "at least 32"),
        ({"shorter_side": -336}, "at least 32"),
        ({"window": -1}, "at least 0"),
        ({"stride": 0}, "at least 1"),
        ({"logit_scale": 0.0}, "at least 0.001"),
        ({"logit_scale": float("nan")}, "at least 0.001"),
        ({"logit_scale": float("inf")}, "smaller than"),
        ({"attention_threshold": -0.1}, "at least 0"),
        ({"seed": -1}, "at least 0"),
        ({"seed": 2**70}, "smaller than"),
    ],
    ids=str,
)
def test_number_out_of_range_is_named(setting, advice):
    ((name, value),) = setting.items()
    with pytest.raises(InvalidInputError, match=re.escape(advice)) as caught:
        SegmentationConfig(**setting)
    assert f"{name} is {value}" in str(caught.value)


@pytest.mark.parametrize("method", METHODS)
def test_windows_with_gaps_are_refused(method):
    with pytest.raises(InvalidInputError, match=r"gaps.*at most 48"):
        SegmentationConfig(method=method, window=48, stride=49)
    SegmentationConfig(method=method, window=48, stride=48)


def test_one_string_is_no_list_of_background_words():
    with pytest.raises(InvalidInputError, match=re.escape("Write ('sky',)")):
        SegmentationConfig(background="sky")


@pytest.mark.parametrize("model", ["open_clip:", "open_clip:ViT-B-16", "open_clip:/openai"])
def test_open_clip_name_without_a_part(model):
    with pytest.raises(InvalidInputError, match="open_clip:NAME/TAG") as caught:
        SegmentationConfig(model=model)
    assert repr(model) in str(caught.value)


@pytest.mark.parametrize(
    ("templates", "advice"), [((), "'{}' alone"), (("a photo.",), "Put {} there")]
)
def test_template_without_a_place_for_the_word(templates, advice):
    with pytest.raises(InvalidInputError, match=re.escape(advice)):
        SegmentationConfig(templates=templates)


def test_values_of_the_wrong_type_are_refused_with_their_field():
    """In every field: none ends in a traceback deep inside, or is taken for what it is not."""
    wrong = (b"x", {"a": []}, float("nan"), object(), {1}, [1], (1, "a"), 1 + 2j)
    given = {
        SegmentationConfig: {"model": "demo"},
        Tiles: {"side": 64},
        Thresholds: {"class_threshold": 0.5, "background_threshold": 0.5},
        ClassPrompt: {"name": "nucleus"},
    }
    for kind, values in given.items():
        for field in fields(kind):
            for value in wrong:
                with pytest.raises(InvalidInputError):
                    kind(**{**values, field.name: value})
    for setting, message in {
        ("seed", "1"): "seed is '1'. Give a whole number.",
        ("window", 2.5): "window is 2.5. Give a whole number.",
        ("shorter_side", True): "shorter_side is True. Give a whole number.",
        ("offline", "no"): "offline is 'no'. Give true or false.",
        ("method", 3): "method is 3. Give a text in quotes.",
        ("tiles", 256): "tiles is 256. Give an object of the class Tiles.",
        ("background", ("sky", 1)): "entry 2 of background is 1. Give a text in quotes.",
        ("templates", 3): "templates is 3. Give a text in quotes or a list.",
    }.items():
        with pytest.raises(InvalidInputError, match=f"^{re.escape(message)}$"):
            SegmentationConfig(model="demo", **dict([setting]))


def test_numbers_of_numpy_and_paths_are_as_good_as_those_of_python():
    config = SegmentationConfig(
        model=Path("clip.pt"), refiner="none", seed=np.int64(3), logit_scale=np.float32(0.5),
        offline=np.True_, tiles=Tiles(np.int16(64), scale=np.float64(2)),
        background=np.array(["sky", "sea"]),
    )  # fmt: skip
    assert config == SegmentationConfig(
        model="clip.pt", refiner="none", seed=3, logit_scale=0.5, offline=True,
        tiles=Tiles(64, scale=2.0), background=("sky", "sea"),
    )  # fmt: skip
    assert json.loads(json.dumps(asdict(config)))["background"] == ["sky", "sea"]
    thresholds = Thresholds(np.float32(0.5), 1, per_class={"nucleus": np.float32(0.25)})
    assert json.loads(json.dumps(thresholds.as_dict))["per_class"] == {"nucleus": 0.25}


def test_lists_are_as_good_as_tuples():
    listed = SegmentationConfig(templates=["a {}"], background=["sky", "sea"])
    assert listed == SegmentationConfig(templates=("a {}",), background=("sky", "sea"))
    assert hash(listed)


def test_fields_override_the_published_settings():
    published = SegmentationConfig().settings()
    config = SegmentationConfig(
        shorter_side=128, window=64, stride=32, select_layer=-2, logit_scale=50.0,
        attention_threshold=0.0, templates=("{} here",),
    ).settings()  # fmt: skip
    assert (config.shorter_side, config.window, config.stride) == (128, 64, 32)
    assert (config.select_layer, config.logit_scale) == (-2, 50)
    assert config.attention_threshold == 0 != published.attention_threshold
    assert config.templates == "own"
    assert config.class_threshold == published.class_threshold
    assert SegmentationConfig(templates="openai-7").settings().templates == "openai-7"


# (method, model, preset): shorter side, window, logit scale, thresholds, as the papers have them
PUBLISHED = {
    ("cliper", "ViT-B/16", "voc21"): (336, 0, 100, 0.7, 0.6, True),
    ("cliper", "ViT-B/16", "context60"): (336, 0, 100, 0.45, 0.45, False),
    ("sclip", "ViT-B/16", "voc21"): (336, 224, 65, 0, 0.1, False),
    ("clearclip", "ViT-B/16", "voc20"): (448, 448, 50, 0, 0, False),
}


@pytest.mark.parametrize("row", PUBLISHED, ids="-".join)
def test_published_rows(row):
    found = published_settings(*row)
    assert found.validated
    expected = PUBLISHED[row]
    assert expected == (
        found.shorter_side, found.window, found.logit_scale, found.class_threshold,
        found.background_threshold, found.min_max,
    )  # fmt: skip


@pytest.mark.parametrize(
    ("method", "model", "validated", "same_as"),
    [
        ("maskclip", "ViT-B/16", False, ("clearclip", "ViT-B/16")),
        ("clip", "ViT-B/16", False, ("sclip", "ViT-B/16")),
        ("cliper", "open_clip:ViT-L-14/laion2b_s32b_b82k", False, ("cliper", "ViT-L/14")),
        ("cliper", "mine.safetensors", False, ("cliper", "ViT-B/16")),
    ],
)
def test_models_and_methods_without_a_row_take_the_nearest_and_say_so(
    method, model, validated, same_as
):
    found, near = published_settings(method, model), published_settings(*same_as)
    assert found.validated is validated
    assert near.validated
    assert {**found.as_dict, "validated": True} == near.as_dict


def test_vit_h_and_the_demo_are_marked_as_not_validated():
    assert not published_settings("cliper", "ViT-H/14").validated
    assert not published_settings("cliper", "demo").validated
    others = published_settings("maskclip", "demo")
    assert others.class_threshold == others.background_threshold == 0


@pytest.mark.parametrize(
    ("setting", "refiner", "diffusion", "foundation"),
    [
        ({}, "stable-diffusion", True, False),
        ({"model": "demo"}, "pamr", False, False),
        ({"method": "sclip"}, "none", False, False),
        ({"method": "proxyclip"}, "none", False, True),
        ({"refiner": "foundation"}, "foundation", False, True),
        ({"refiner": "stable-diffusion-mean"}, "stable-diffusion-mean", True, False),
    ],
    ids=str,
)  # fmt: skip
def test_which_networks_are_used(setting, refiner, diffusion, foundation):
    config = SegmentationConfig(**setting)
    assert config.chosen_refiner == refiner
    assert config.needs_diffusion is diffusion
    assert config.needs_foundation is foundation


def test_background_words_suit_the_model():
    assert "sky" in SegmentationConfig().chosen_background
    assert "agar" in SegmentationConfig(model="demo").chosen_background
    assert SegmentationConfig(background=()).chosen_background == ()


@pytest.mark.parametrize(
    ("base", "setting", "shared"),
    [
        ({}, {"background": ("sky",), "templates": "word", "logit_scale": 9.0}, True),
        ({}, {"select_layer": -2, "foundation_model": "dino-vits8"}, True),
        ({}, {"refiner": "stable-diffusion-mean"}, True),
        ({}, {"refiner": "pamr"}, False),
        ({}, {"seed": 1}, False),
        ({}, {"attention_threshold": 0.3}, False),
        ({}, {"diffusion_model": "stable-diffusion-1.5"}, False),
        ({"refiner": "none"}, {"refiner": "pamr"}, True),
        ({"refiner": "none"}, {"seed": 1, "attention_threshold": 0.3}, True),
        ({"refiner": "none"}, {"method": "sclip"}, False),
        ({"refiner": "none"}, {"window": 112}, False),
        ({"refiner": "none"}, {"shorter_side": 336}, True),  # as published
        ({"refiner": "foundation"}, {"foundation_model": "dino-vits8"}, False),
        ({"method": "proxyclip"}, {"refiner": "foundation"}, False),
        (
            {"method": "proxyclip", "refiner": "stable-diffusion"},
            {"foundation_model": "dinov2-vitb14"},
            False,
        ),
    ],
    ids=str,
)
def test_which_settings_share_an_embedding(base, setting, shared):
    one, other = SegmentationConfig(**base), SegmentationConfig(**base | setting)
    assert (one.embedding_key == other.embedding_key) is shared


def test_an_empty_diffusion_model_is_no_folder():
    with pytest.raises(InvalidInputError, match="diffusion model ''"):
        SegmentationConfig(diffusion_model="")
