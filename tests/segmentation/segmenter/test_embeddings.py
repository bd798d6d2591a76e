"""Kept embeddings: what they serve, what they refuse, what their record tells."""

from __future__ import annotations

import json
from dataclasses import replace
from hashlib import sha256
from importlib.metadata import version

import numpy as np
import pytest
from segmenter_inputs import CLASSES, IMAGE

from napari_cliper.segmentation import ClassPrompt, InvalidInputError, SegmentationConfig, Segmenter


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
    named = replace(segmenter.config, foundation_model="dino-vitb8")  # the default of the method
    assert SegmentationConfig(**rebuilt) == named


def test_image_tower_alone_encodes_images_but_no_words(config, embedding, monkeypatch):
    bare = Segmenter(config())
    bare.load()
    loaded = bare.networks.loaded["clip"]
    monkeypatch.setattr(loaded, "network", replace(loaded.network, text=None))
    with pytest.raises(InvalidInputError, match=r"no text tower.*Choose a whole CLIP"):
        bare.score(embedding, [ClassPrompt("never asked"), ClassPrompt("before")])
