"""Existing objects get classes from the scores of a run."""

from __future__ import annotations

import numpy as np
import pytest

from napari_cliper.demo.run import HELD_OUT_SEED, all_classes
from napari_cliper.demo.scenes import KINDS, make_scene
from napari_cliper.objects.classifying import classify, confirmed_labels, reclassify
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


def test_named_objects_keep_their_class_and_name_the_others(scene, objects):
    """The words mean nothing to the model; two named objects of each class are enough."""
    segmenter, embedding, _ = run(scene, method="cliper", refiner="none")
    kinds = np.unique(objects.labels)
    words = [f"zorfel{index}" for index in range(len(kinds))]
    truth = np.searchsorted(kinds, objects.labels) + 1
    named = {}
    for label in range(1, len(kinds) + 1):
        for index in np.flatnonzero(truth == label)[:2].tolist():
            named[int(objects.ids[index])] = label
    rest = ~np.isin(objects.ids, list(named))
    before = classify(segmenter.score(embedding, words), objects, named=named)
    after, prototypes = reclassify(segmenter, embedding, objects, words, named, "scene")
    for found in (before, after):
        assert all(found.objects.class_of(number) == label for number, label in named.items())
    assert len(prototypes) >= len(kinds)
    right = [(one.objects.labels == truth)[rest].mean() for one in (before, after)]
    assert right[1] > 0.7
    assert right[1] > right[0]
    labels, confirmed = confirmed_labels(objects, named)
    assert set(np.unique(objects.numbers[confirmed])) == set(named)
    assert (labels[~confirmed] == 0).all()


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
