"""Configurations and thresholds through JSON, and what a person may have written there."""

from __future__ import annotations

import json
from dataclasses import fields

import pytest

from napari_cliper.annotation.project.settings import (
    config_from_record,
    config_to_record,
    thresholds_from_record,
)
from napari_cliper.segmentation import InvalidInputError, SegmentationConfig, Thresholds, Tiles


@pytest.mark.parametrize(
    "config",
    [
        SegmentationConfig(),
        SegmentationConfig(
            method="proxyclip", model="open_clip:ViT-B-16/laion2b", refiner="pamr",
            foundation_model="dino-vitb8", background=("sky", "核"), templates=("a {}", "{}"),
            shorter_side=448, window=224, stride=112, select_layer=-2, logit_scale=40.0,
            attention_threshold=0.25, device="cuda:1", precision="bfloat16", seed=2**40,
            offline=True,
        ),
        SegmentationConfig(background=(), templates="openai-80", preset="voc20"),
        SegmentationConfig(model="demo", tiles=Tiles(256, 64, 0.875)),
    ],
)  # fmt: skip
def test_a_configuration_comes_back(config):
    record = json.loads(json.dumps(config_to_record(config)))
    assert config_from_record(record) == config
    assert hash(config_from_record(record)) == hash(config)  # lists have become tuples


def test_what_is_left_out_is_as_by_default():
    assert config_from_record({}) == SegmentationConfig()
    assert config_from_record({"seed": 3}) == SegmentationConfig(seed=3)


ANYTHING = (None, True, 3.5, "x", [], {}, ["x"], [3], float("nan"), 10**400)
TAKEN = {
    "refiner": [None],
    "foundation_model": [None],
    "background": [None, [], ["x"]],
    "templates": [None],
    "shorter_side": [None],
    "window": [None],
    "stride": [None],
    "select_layer": [None, 10**400],
    "logit_scale": [None, 3.5],
    "attention_threshold": [None, 3.5],
    "tiles": [None],
    "device": ["x"],
    "offline": [True],
}
"""What each field takes of these values; a field that is not named takes none of them."""


def test_a_field_takes_its_own_kind_of_value_unchanged_and_refuses_any_other(subtests):
    for field in [one.name for one in fields(SegmentationConfig)]:
        with subtests.test(field=field):
            taken = []
            for value in ANYTHING:
                try:
                    found = config_to_record(config_from_record({field: value}))[field]
                except InvalidInputError:
                    continue
                assert (found, type(found)) == (value, type(value))
                taken.append(value)
            assert taken == TAKEN.get(field, [])


def test_unknown_keys_are_all_named():
    with pytest.raises(InvalidInputError, match=r"'methode', 'speed'.*Did you mean 'method'"):
        config_from_record({"methode": "cliper", "seed": 1, "speed": 2})


@pytest.mark.parametrize(
    "thresholds",
    [Thresholds(0.5, 0.25), Thresholds(-1, 2, min_max=True, per_class={"a / b": 0.125, "核": 1})],
)
def test_thresholds_come_back(thresholds):
    assert thresholds_from_record(json.loads(json.dumps(thresholds.as_dict))) == thresholds


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"per_class": {"x": "1"}}, "'x' of per_class is '1'"),
        ({"per_class": [1]}, "per_class is"),
        ({"min_max": 1}, "min_max is 1"),
        ({"class_threshold": None}, "class_threshold is None"),
        ({"background_threshold": float("inf")}, "is inf"),
        ({"backgroud_threshold": 1}, "Did you mean 'background_threshold'"),
    ],
)
def test_thresholds_that_are_none_are_named(change, message):
    with pytest.raises(InvalidInputError, match=message):
        thresholds_from_record(Thresholds(0.5, 0.5).as_dict | change)
