"""Values of files that people edit: what fits is taken unchanged, the rest named with a remedy."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

import pytest

from napari_cliper.io.record_checks import Sides, checked, from_record
from napari_cliper.segmentation import InvalidInputError, SegmentationConfig, Thresholds


@dataclass(frozen=True)
class Thing:
    name: str
    count: int = 0
    weight: float | None = None
    good: bool = False
    words: str | tuple[str, ...] | None = None
    shape: Sides = ()
    kind: Literal["a", "b"] = "a"
    shares: Mapping[str, float] | None = None


def thing(**changes: Any) -> Thing:
    """As a file has it: through JSON, which knows no tuples."""
    return from_record(Thing, json.loads(json.dumps({"name": "x", **changes})), "the thing")


def test_what_fits_is_taken_unchanged():
    assert thing() == Thing("x")
    full = {"count": -(10**400), "weight": 2, "good": True, "words": ["a", "b\udc80"],
            "shape": [1, 2, 3], "kind": "b", "shares": {"a\udc80": 0.5, "b": 1}}  # fmt: skip
    assert thing(**full) == Thing(
        "x", -(10**400), 2.0, True, ("a", "b\udc80"), (1, 2, 3), "b", {"a\udc80": 0.5, "b": 1.0}
    )
    assert thing(words="a", weight=None, shares=None) == Thing("x", words="a")


def test_what_does_not_fit_is_named_with_a_remedy(subtests):
    deep: Any = "x"
    for _ in range(200):
        deep = [deep, {"y": deep}] if len(str(deep)) < 10_000 else [deep]
    for changes, message in (
        ({"name": 5}, "name is 5. Give a text in quotes."),
        ({"name": None}, "name is None. Give a text in quotes."),
        ({"count": "5"}, "count is '5'. Give a whole number."),
        ({"count": 5.0}, "count is 5.0. Give a whole number."),
        ({"count": True}, "count is True. Give a whole number."),
        ({"weight": True}, "weight is True. Give a number."),
        ({"weight": math.nan}, "weight is nan. Give a finite number."),
        ({"weight": -math.inf}, "weight is -inf. Give a finite number."),
        ({"weight": 10**400}, "Give a number."),
        ({"good": 1}, "good is 1. Give true or false."),
        ({"words": 5}, "words is 5. Give a text in quotes or a list."),
        ({"words": ["a", 5]}, "entry 2 of words is 5. Give a text in quotes."),
        ({"words": {"str": 1}}, "words is {'str': 1}. Give a text in quotes or a list."),
        ({"shape": [3]}, "shape is [3]. Give 2 entries or more."),
        ({"shape": [3, 0]}, "entry 2 of shape is 0. Give 1 or more."),
        ({"kind": "c"}, "kind is 'c'. Give 'a' or 'b'."),
        ({"shares": [1]}, "shares is [1]. Give a mapping of keys to values."),
        ({"shares": {"a": 1, "b": "x"}}, "'b' of shares is 'x'. Give a number."),
        ({"nmae": 1}, "the thing has unknown keys: 'nmae'. Did you mean 'name'? Known: name, "),
        ({"colours": 1}, "If a newer napari-cliper wrote the file, update this one."),
        ({"name": deep}, "Give a text in quotes."),
    ):
        with subtests.test(message=message):
            with pytest.raises(InvalidInputError) as caught:
                thing(**changes)
            assert message in str(caught.value)
            assert len(str(caught.value)) < 400
    for wrong in (None, 3, [], "x"):
        with pytest.raises(InvalidInputError, match=r"the thing is .* Give a mapping"):
            from_record(Thing, wrong, "the thing")
    with pytest.raises(InvalidInputError, match="the thing has no 'name'"):
        from_record(Thing, {}, "the thing")


def test_a_value_that_repeats_itself_without_end_is_named_at_once():
    """As the anchors of YAML can build it: 2 ** 60 entries, and a list that holds itself."""
    many: Any = ["x"]
    for _ in range(60):
        many = [many, many]
    endless: list[Any] = []
    endless.append(endless)
    for value in (many, endless):
        for kind in (str, tuple[str, ...], dict[str, Any]):
            with pytest.raises(InvalidInputError) as caught:
                checked(kind, value, "it")
            assert len(str(caught.value)) < 400


def test_what_a_dataclass_of_the_engine_refuses_passes_through():
    with pytest.raises(InvalidInputError, match=r"ViT-B/16"):
        from_record(SegmentationConfig, {"model": "ViT-B/17"}, "it")
    found = from_record(
        Thresholds, {"class_threshold": 1, "background_threshold": 0.5}, "thresholds"
    )
    assert found == Thresholds(1.0, 0.5)
