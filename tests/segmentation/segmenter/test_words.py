"""What a segmenter makes of words, and which it refuses."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace

import numpy as np
import pytest
import torch
from segmenter_inputs import CLASSES, IMAGE, METHODS, maps_of
from torch.nn.modules.module import register_module_forward_hook

from napari_cliper.segmentation import ClassPrompt, InvalidInputError, Segmenter, Tiles, Window
from napari_cliper.segmentation.models import loading
from napari_cliper.segmentation.words import prompt_templates, word_queries


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


def test_what_is_nearly_right_is_not_taken_for_something_else(config):
    """A string for a list would be its letters; a window beyond the image, made-up pixels."""
    segmenter = Segmenter(config())
    embedding = segmenter.embed(IMAGE)
    with pytest.raises(InvalidInputError, match=r"classes is the single string 'cat'"):
        segmenter.score(embedding, "cat")
    with pytest.raises(InvalidInputError, match=r"synonyms is 'ab'\. Give a list"):
        ClassPrompt("a", synonyms="ab")
    for size in (-1.0, 0.0, float("nan")):
        with pytest.raises(InvalidInputError, match="it must be above 0"):
            segmenter.score(embedding, CLASSES, pixel_size=size)
    scores = segmenter.score(embedding, CLASSES)
    whole, (height, width) = scores.to_labels(), IMAGE.shape[:2]
    part = Window(1, 2, height, width)
    np.testing.assert_array_equal(scores.to_labels(window=part), whole[1:, 2:])
    for wrong in ((0, 0, height + 1, width), (-1, 0, 9, 9), (0, 0, 9, width + 1), (9, 0, 8, 9)):
        with pytest.raises(InvalidInputError, match=f"the image is {height} x {width}"):
            scores.to_labels(window=Window(*wrong))
    with pytest.raises(InvalidInputError, match="side is nan"):
        Tiles(float("nan"))
