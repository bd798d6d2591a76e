"""Existing objects get classes from the scores of a run."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from skimage import measure

from napari_cliper.demo.run import HELD_OUT_SEED, all_classes
from napari_cliper.demo.scenes import KINDS, make_scene
from napari_cliper.objects.classifying import classify, reclassify
from napari_cliper.objects.named_examples import probabilities
from napari_cliper.objects.object_features import object_features, object_properties
from napari_cliper.objects.object_set import objects_of
from napari_cliper.segmentation import InvalidInputError, SegmentationConfig, Segmenter

SEED = HELD_OUT_SEED + 23


@pytest.fixture(scope="module")
def scene():
    return make_scene((256, 320), SEED)


@pytest.fixture(scope="module")
def objects(scene):
    """The objects of the scene, with large and sparse numbers."""
    numbers = scene.instances.astype(np.uint32) * 70_000
    return objects_of(numbers, scene.labels)


def run(scene, **settings):
    segmenter = Segmenter(SegmentationConfig(model="demo", device="cpu", **settings))
    embedding = segmenter.embed(scene.image)
    return segmenter, embedding, segmenter.score(embedding, all_classes())


def test_every_method_names_the_objects_of_a_scene(scene, objects):
    for settings in (
        {"method": "cliper", "refiner": "pamr"},
        {"method": "maskclip", "refiner": "none"},
        {"method": "sclip", "refiner": "none"},
    ):
        _, _, scores = run(scene, **settings)
        found = classify(scores, objects)
        assert (found.objects.labels == objects.labels).mean() > 0.8, settings
        assert np.array_equal(found.objects.numbers, objects.numbers)
        assert np.array_equal(found.objects.ids, objects.ids)
        assert found.means.shape == (len(objects.ids), len(KINDS))
        # The means are those of the score planes, and the class is the one with the highest.
        index = 2
        own = objects.numbers == objects.ids[index]
        planes = scores.planes(range(len(KINDS))).classes
        means = [plane[own].mean() for plane in planes]
        label = int(found.objects.labels[index])
        assert found.scores[index] == pytest.approx(means[label - 1], rel=1e-4)
        others = np.delete(found.means[index], label - 1)
        assert found.margins[index] == pytest.approx(found.scores[index] - others.max())
        order = found.unsure_first()
        margin = dict(zip(objects.ids.tolist(), found.margins.tolist(), strict=True))
        assert [margin[number] for number in order] == sorted(margin.values())
        table = found.table()
        assert table["class"][index] == KINDS[label - 1].name
        assert table["area [pixel]"] == objects.areas.tolist()


def named_of(objects, truth, count):
    """The first objects of each class, and which objects are not among them."""
    named = {
        int(number): int(label)
        for label in np.unique(truth)
        for number in objects.ids[truth == label][:count]
    }
    return named, ~np.isin(objects.ids, list(named))


def test_named_objects_keep_their_class_and_name_the_others(scene, objects):
    """The words mean nothing to the model; two named objects of each class are enough."""
    segmenter, embedding, right_scores = run(scene, method="cliper", refiner="none")
    kinds = np.unique(objects.labels)
    words = [f"zorfel{index}" for index in range(len(kinds))]
    truth = np.searchsorted(kinds, objects.labels) + 1
    named, rest = named_of(objects, truth, 2)
    scores = segmenter.score(embedding, words)
    before = classify(scores, objects, named=named)
    after = reclassify(scores, embedding, objects, named)
    for found in (before, after):
        assert all(found.objects.class_of(number) == label for number, label in named.items())
    right = [(one.objects.labels == truth)[rest].mean() for one in (before, after)]
    assert right[1] > 0.7
    assert right[1] > right[0]
    assert after.means.sum(axis=1) == pytest.approx(np.ones(len(truth)))
    winners = after.means[np.arange(len(truth)), after.objects.labels - 1]
    assert after.scores == pytest.approx(winners)
    assert (after.margins[rest] >= 0).all()
    # Of one class nothing is learned, and words that are right stay right.
    one = dict.fromkeys([next(iter(named))], 1)
    alone = reclassify(scores, embedding, objects, one)
    assert np.array_equal(alone.means, before.means)
    by_words = classify(right_scores, objects).objects.labels
    correct = by_words == objects.labels
    for count in (1, 2):
        named, _ = named_of(objects, np.where(correct, objects.labels, 0), count)
        named = {number: label for number, label in named.items() if label}
        found = reclassify(right_scores, embedding, objects, named)
        assert np.array_equal(found.objects.labels[correct], objects.labels[correct]), count


def test_the_source_that_agrees_with_the_named_objects_decides():
    """Noise in the words, the network or the properties does not hide what the others tell."""
    rng = np.random.default_rng(0)
    truth = rng.integers(0, 3, 300)
    named = np.full(300, -1)
    for label in range(3):
        named[np.flatnonzero(truth == label)[:8]] = label
    rest = named < 0
    noise = rng.normal(size=(300, 12))
    sizes = noise.copy()
    sizes[:, 0] = truth + rng.normal(0, 0.1, 300)
    alike = np.eye(3)[truth] + rng.normal(0, 0.1, (300, 3))
    guesses = rng.integers(0, 3, 300)
    for winners, properties, features in (
        (truth, noise, noise),
        (guesses, sizes, noise),
        (guesses, noise, alike),
    ):
        found = probabilities(winners, properties, features, named, 3)
        assert (found.argmax(axis=1) == truth)[rest].mean() > 0.9
    # One example of each class: no other object of its class can be compared.
    named[np.flatnonzero(named >= 0)] = np.where(
        np.isin(np.flatnonzero(named >= 0), np.unique(truth, return_index=True)[1]),
        named[named >= 0], -1,
    )  # fmt: skip
    found = probabilities(truth, noise, noise, named, 3)
    assert (found.argmax(axis=1) == truth).all()


def test_corrections_of_wrong_words_leave_right_ones_alone():
    """A person who corrects what is wrong names no object that the words got right."""
    rng = np.random.default_rng(0)
    truth = rng.integers(0, 5, 400)
    properties = rng.normal(size=(400, 12))
    features = np.eye(5)[truth] + rng.normal(0, 0.2, (400, 5))
    winners = np.where(rng.random(400) < 0.1, (truth + 1) % 5, truth)
    wrong = np.flatnonzero(winners != truth)
    for count in (2, 4, 8, len(wrong)):
        named = np.full(400, -1)
        named[wrong[:count]] = truth[wrong[:count]]
        assert len(np.unique(truth[wrong[:count]])) > 1
        found = probabilities(winners, properties, features, named, 5)
        by_words, taught = ((one == truth)[named < 0] for one in (winners, found.argmax(axis=1)))
        assert taught.mean() >= by_words.mean() - 0.01, count


def test_properties_are_those_of_scikit_image(scene, objects):
    index = np.searchsorted(objects.ids, objects.numbers[objects.numbers > 0])
    image = scene.image if scene.image.ndim == 3 else np.dstack([scene.image] * 3)
    found = object_properties(objects.numbers, index, len(objects.ids), image)
    expected = measure.regionprops_table(
        objects.numbers,
        image,
        ("area", "axis_major_length", "axis_minor_length", "extent", "intensity_mean",
         "intensity_std"),
    )  # fmt: skip
    assert np.expm1(found[:, 0]) == pytest.approx(expected["area"])
    # scikit-image takes pixels for points; a square of side 1 has a second moment of 1 / 12.
    major, minor = (
        np.sqrt(expected[f"axis_{one}_length"] ** 2 + 16 / 12) for one in ("major", "minor")
    )
    assert np.expm1(found[:, 2:4]) == pytest.approx(np.stack([major, minor], axis=1))
    assert found[:, 4] == pytest.approx(np.sqrt(1 - (minor / major) ** 2))
    assert found[:, 5] == pytest.approx(expected["extent"])
    for channel in range(3):
        assert found[:, 6 + 2 * channel] == pytest.approx(expected[f"intensity_mean-{channel}"])
        assert found[:, 7 + 2 * channel] == pytest.approx(expected[f"intensity_std-{channel}"])
    # What was measured is used again for objects with the same pixels, and gives the same.
    _, embedding, _ = run(scene, method="maskclip", refiner="none")
    whole = object_features(embedding, objects)
    assert whole.properties == pytest.approx(found)
    assert object_features(embedding, replace(objects, labels=objects.labels), whole) is whole
    numbers = objects.numbers.copy()
    numbers[numbers == objects.ids[1]] = 0
    numbers[: numbers.shape[0] // 2][numbers[: numbers.shape[0] // 2] == objects.ids[3]] = 0
    numbers[:5, :7] = 5
    changed = objects_of(numbers)
    again, fresh = object_features(embedding, changed, whole), object_features(embedding, changed)
    assert np.array_equal(again.ids, changed.ids)
    for one in ("properties", "patches"):
        assert getattr(again, one) == pytest.approx(getattr(fresh, one)), one
    square = np.zeros((9, 9), np.int32)
    square[2:6, 2:6] = 1
    one = object_properties(square, np.zeros(16, int), 1, np.zeros((9, 9, 3), np.uint8))
    assert np.expm1(one[0, 1]) == pytest.approx(16)


def test_what_does_not_fit_is_refused(scene, objects):
    _, _, scores = run(scene, method="maskclip", refiner="none")
    small = objects_of(objects.numbers[:100])
    with pytest.raises(InvalidInputError, match="100 x 320 pixels, the image is 256 x 320"):
        classify(scores, small)
    with pytest.raises(InvalidInputError, match="label from 1 to 9"):
        classify(scores, objects, named={70_000: 10})
    with pytest.raises(InvalidInputError, match="no object 3"):
        classify(scores, objects, named={3: 1})
    nothing = classify(scores, objects_of(np.zeros(scores.shape, np.uint8)))
    assert nothing.table()["object"] == []
