"""Labels that are propagated from a corrected plane to the next planes of a stack."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from scipy import ndimage

from napari_cliper.demo.scenes import KINDS, make_stack
from napari_cliper.evaluation.metrics import confusion_matrix, mean_iou
from napari_cliper.segmentation import (
    OPEN,
    ClassPrompt,
    InvalidInputError,
    LiveLabels,
    SegmentationConfig,
    Segmenter,
    UserHints,
    image_affinity,
    plane_agreement,
    propagate_planes,
    scored_planes,
    with_user_hints,
)
from napari_cliper.segmentation.plane_propagation import plane_seeds
from napari_cliper.segmentation.propagation.appearance import learn_appearance

SEEDS, PLANES, SIDE = (1_000_000, 1_000_002), 11, 96
KIND_NAMES = ("nucleus", "diatom", "bubble")
INVENTED = [ClassPrompt(name) for name in ("zorfel", "quibbix", "mandrone")]


def clicked(truth):
    """One click on each class and the background, where it is deepest."""
    hints = np.full(truth.shape, OPEN, np.int32)
    for label in np.unique(truth):
        depth = ndimage.distance_transform_edt(np.pad(truth == label, 1))[1:-1, 1:-1]
        hints[np.unravel_index(depth.argmax(), depth.shape)] = label
    return hints


class Stack:
    """A stack whose planes were embedded, and corrected one by one."""

    def __init__(self, seed, segmenter):
        stack = make_stack(PLANES, (SIDE, SIDE), seed, kinds=KIND_NAMES, ground="bright field")
        table = np.zeros(len(KINDS) + 1, np.uint8)
        for number, name in enumerate(KIND_NAMES, 1):
            table[[kind.name for kind in KINDS].index(name) + 1] = number
        self.images, self.truth = stack.images, table[stack.labels]
        self.segmenter = segmenter
        self.embeddings = [self.segmenter.embed(image) for image in stack.images]
        self.hints, self.each, self.words = [], [], []
        for embedding, truth in zip(self.embeddings, self.truth, strict=True):
            hints = UserHints(image_affinity(embedding), clicked(truth))
            scores = self.segmenter.score(embedding, INVENTED)
            live = LiveLabels(scores, "refined")
            self.hints.append(hints)
            self.words.append(scores.to_labels())
            self.each.append(live.labels(scores.settings.thresholds, hints))

    def score(self, plane, labels):
        """The mIoU of some labels on a plane."""
        return mean_iou(confusion_matrix(self.truth[plane], labels, len(KIND_NAMES) + 1))

    def scored(self, start, planes):
        """Planes scored with the prototypes of a corrected plane, each when it is asked for."""
        return scored_planes(
            self.segmenter,
            self.embeddings[start],
            self.each[start],
            self.hints[start],
            (self.embeddings[z] for z in planes),
            INVENTED,
        )

    def propagated(self, start, planes, limit=0.0):
        """The same planes with the labels of the corrected plane."""
        affinity = self.hints[start].affinity
        return propagate_planes(self.each[start], affinity, self.scored(start, planes), limit)


@pytest.fixture(scope="module")
def stacks():
    segmenter = Segmenter(SegmentationConfig(model="demo"))
    return [Stack(seed, segmenter) for seed in SEEDS]


@pytest.fixture
def stack(stacks):
    return stacks[0]


def test_correcting_every_tenth_plane_is_nearly_as_good_as_correcting_each(stacks):
    ways = {"propagated": [], "each": [], "words": []}
    for stack in stacks:
        assert stack.score(10, stack.truth[0]) < 0.4
        for start, planes in ((0, range(1, 6)), (10, range(9, 5, -1))):
            found = stack.propagated(start, planes)
            for z, plane in zip(planes, found, strict=True):
                assert 0.5 < plane.agreement <= 1
                ways["propagated"].append(stack.score(z, plane.labels["refined"]))
                ways["each"].append(stack.score(z, stack.each[z]))
                ways["words"].append(stack.score(z, stack.words[z]))
    mean = {way: np.mean(found) for way, found in ways.items()}
    assert mean["propagated"] > mean["each"] - 0.03
    assert mean["propagated"] > mean["words"] + 0.3


def test_it_stops_below_the_limit_and_hints_of_the_user_stay(stack):
    asked = []

    def planes(*indices):
        for z, plane in zip(indices, stack.scored(0, indices), strict=True):
            asked.append(z)
            yield plane

    affinity = stack.hints[0].affinity
    (next_plane,) = propagate_planes(stack.each[0], affinity, planes(1))
    limit = next_plane.agreement - 1e-6
    asked.clear()
    found = list(propagate_planes(stack.each[0], affinity, planes(1, 8, 9), limit))
    assert asked == [1, 8]  # seven planes on, everything has moved: plane 9 is not asked for
    assert [one.agreement >= limit for one in found] == [True, False]
    one, other = found[0].labels["refined"], found[1].labels["refined"]
    assert found[1].agreement == pytest.approx(plane_agreement(one, other))

    # The user's own hints win, and contradicted seeds go
    (plane,) = stack.scored(0, [1])
    seeds = next_plane.seeds
    label = int(seeds.max())
    spot = tuple(np.argwhere(seeds == label)[0])
    mine = np.full(seeds.shape, OPEN, np.int32)
    mine[spot] = 0
    (after,) = propagate_planes(stack.each[0], affinity, [replace(plane, hints=mine)])
    assert after.labels["refined"][spot] == 0
    together = with_user_hints(seeds, mine, plane.affinity)
    regions, _ = ndimage.label(seeds == label)
    same = regions == regions[spot]
    assert set(together[same].tolist()) == {OPEN, 0}
    np.testing.assert_array_equal(together[~same], seeds[~same])


def test_hints_of_the_user_on_a_plane_never_change(stack):
    for seed, plane in enumerate(stack.scored(0, [1, 4, 8])):
        random = np.random.default_rng(seed)
        mine = random.integers(0, len(INVENTED) + 1, (SIDE, SIDE)).astype(np.int32)
        mine[random.random((SIDE, SIDE)) > 0.02 * (1 + 20 * seed)] = OPEN
        before = mine.copy()
        affinity = stack.hints[0].affinity
        (found,) = propagate_planes(stack.each[0], affinity, [replace(plane, hints=mine)], 0.0)
        np.testing.assert_array_equal(mine, before)
        for labels in found.labels.values():
            np.testing.assert_array_equal(labels[mine != OPEN], mine[mine != OPEN])


def test_seeds_go_where_an_object_has_vanished_and_stay_when_the_light_changes(stack):
    labels, affinity = stack.truth[0], stack.hints[0].affinity
    appearance = learn_appearance(labels, affinity)
    regions, count = ndimage.label(labels)
    gone = regions == 1 + np.bincount(regions.ravel())[1:].argmax()
    assert count > 1
    ground = np.median(stack.images[0][labels == 0], axis=0)
    image = stack.images[0].copy()
    image[ndimage.binary_dilation(gone, iterations=3)] = ground
    darker = (0.8 * image.astype(float) + 10).astype(np.uint8)
    embedding = stack.segmenter.embed(darker)
    seeds = plane_seeds(labels, appearance.predicted(image_affinity(embedding)))
    inner = plane_seeds(labels, labels)
    assert np.mean(seeds[gone & (inner != OPEN)] != OPEN) < 0.1
    assert np.mean((seeds == inner)[~gone & (inner != OPEN)]) > 0.8

    # Features of other encoders differ between planes, and do not count; nor can grey be compared
    more = affinity.features.with_level(torch.randn(3, 8, 8, generator=torch.manual_seed(0)))
    means = np.concatenate([affinity.means, np.ones((len(affinity.means), 3), np.float32)], axis=1)
    other = replace(affinity, features=more, means=means)
    np.testing.assert_array_equal(appearance.predicted(other), appearance.predicted(affinity))
    grey = stack.segmenter.embed(image[..., 0])
    assert appearance.predicted(image_affinity(grey)) is None
    planes = scored_planes(
        stack.segmenter, stack.embeddings[0], labels, stack.hints[0], [grey], INVENTED
    )
    (plane,) = propagate_planes(labels, affinity, planes)
    assert plane.labels["refined"].shape == labels.shape


def test_planes_of_another_size_and_impossible_limits_are_refused(stack):
    with pytest.raises(InvalidInputError, match="one size"):
        next(propagate_planes(np.zeros((8, 8), int), stack.hints[0].affinity, []))
    with pytest.raises(InvalidInputError, match="0 to 1"):
        next(stack.propagated(0, [], 1.5))
    empty = np.zeros((4, 4), int)
    assert plane_agreement(empty, empty) == 1
    assert plane_agreement(empty, empty + 1) == 0
