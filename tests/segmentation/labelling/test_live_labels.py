"""Labels that corrections move: the real engine, the demo model, synthetic scenes."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from scipy.ndimage import distance_transform_edt, label

from napari_cliper.demo.run import HELD_OUT_SEED, all_classes
from napari_cliper.demo.scenes import KINDS, make_scene
from napari_cliper.evaluation.metrics import confusion_matrix, mean_iou
from napari_cliper.segmentation import (
    OPEN,
    ClassPrompt,
    InvalidInputError,
    LiveLabels,
    SegmentationConfig,
    Segmenter,
    Thresholds,
    UserHints,
    corrected,
    image_affinity,
)
from napari_cliper.segmentation.labelling.label_rule import COMPETING_BACKGROUND

MEANINGLESS = tuple(
    ClassPrompt(word)
    for word in ("zorfel", "quibbix", "mandrone", "plivet", "trasko", "wemblin", "yuxor",
                 "grentle", "fopsic")
)  # fmt: skip
NUCLEI = Path(__file__).parents[2] / "data" / "fluo"
PUBLISHED = Thresholds(0.9, 0.4, min_max=True)


def one_click_each(labels: np.ndarray) -> np.ndarray:
    """The middle of the largest object of each class, and of the background."""
    hint_labels = np.full(labels.shape, OPEN, np.int32)
    for kind in np.unique(labels):
        depth = distance_transform_edt(np.pad(labels == kind, 1))[1:-1, 1:-1]
        row, column = np.unravel_index(depth.argmax(), depth.shape)
        hint_labels[row - 1 : row + 2, column - 1 : column + 2] = kind
    return hint_labels


@pytest.fixture(scope="module")
def segmenter():
    return Segmenter(SegmentationConfig(model="demo"))


@pytest.fixture(scope="module")
def scene():
    return make_scene((160, 200), HELD_OUT_SEED + 2)


@pytest.fixture(scope="module")
def embedding(segmenter, scene):
    return segmenter.embed(scene.image)


@pytest.fixture(scope="module")
def affinity(embedding):
    return image_affinity(embedding)


@pytest.fixture
def live(segmenter, embedding):
    return LiveLabels(segmenter.score(embedding, all_classes()), "refined")


@pytest.fixture
def lost(segmenter, embedding):
    """Words that mean nothing."""
    return LiveLabels(segmenter.score(embedding, MEANINGLESS), "refined")


def test_without_hints_nothing_changes(live, affinity, scene):
    before = live.labels(PUBLISHED)
    hints = UserHints(affinity, np.full(scene.labels.shape, OPEN))
    assert live.ready(PUBLISHED, hints)
    np.testing.assert_array_equal(live.labels(PUBLISHED, hints), before)


def test_hints_is_taken_back_to_the_pixel(live, affinity, scene):
    before = live.labels(PUBLISHED)
    hints = UserHints(
        affinity, np.where(scene.labels == 0, OPEN, scene.labels.astype(int) % len(KINDS) + 1)
    )
    assert not live.ready(PUBLISHED, hints)
    live.labels(PUBLISHED, hints)
    assert live.ready(PUBLISHED, hints)
    assert (live.labels(PUBLISHED, hints) != before).any()
    np.testing.assert_array_equal(live.labels(PUBLISHED), before)


@pytest.mark.parametrize("known", ["live", "lost"])
def test_hinted_pixels_keep_their_class(known, affinity, scene, request):
    live = request.getfixturevalue(known)
    hint_labels = one_click_each((scene.labels + 3) % 10)
    hints = UserHints(affinity, hint_labels)
    found = live.labels(PUBLISHED, hints)
    np.testing.assert_array_equal(found[hint_labels != OPEN], hint_labels[hint_labels != OPEN])


def test_with_words_that_mean_nothing_the_hints_decide(segmenter):
    """One click a class: from next to nothing to most of the scene, on scenes never seen."""
    before, after = (np.zeros((10, 10), np.int64) for _ in range(2))
    for seed in range(8):
        scene = make_scene((192, 192), HELD_OUT_SEED + 50 + seed)
        embedding = segmenter.embed(scene.image)
        live = LiveLabels(segmenter.score(embedding, MEANINGLESS), "refined")
        before += confusion_matrix(scene.labels, live.labels(PUBLISHED), 10)
        hints = UserHints(image_affinity(embedding), one_click_each(scene.labels))
        after += confusion_matrix(scene.labels, live.labels(PUBLISHED, hints), 10)
    assert mean_iou(before) < 0.25
    assert mean_iou(after) > 0.65


def test_clicks_on_mistakes_mend_more_than_they_break(segmenter):
    """What a person does: a click amid each of the largest mistakes of real words."""
    before, after = 0, {1: 0, 3: 0}  # clicks: wrong pixels
    for seed in range(12):
        scene = make_scene((192, 192), HELD_OUT_SEED + 600 + seed)
        embedding = segmenter.embed(scene.image)
        affinity = image_affinity(embedding)
        live = LiveLabels(segmenter.score(embedding, all_classes()), "refined")
        found = live.labels(PUBLISHED)
        before += np.count_nonzero(found != scene.labels)
        mistakes, _ = label(found != scene.labels)
        largest = 1 + np.argsort(-np.bincount(mistakes.ravel())[1:])
        for clicks in after:
            hint_labels = np.full(scene.labels.shape, OPEN, np.int32)
            for mistake in largest[:clicks]:
                depth = distance_transform_edt(np.pad(mistakes == mistake, 1))[1:-1, 1:-1]
                place = np.unravel_index(depth.argmax(), depth.shape)
                hint_labels[place] = scene.labels[place]
            labels = live.labels(PUBLISHED, UserHints(affinity, hint_labels))
            after[clicks] += np.count_nonzero(labels != scene.labels)
    assert after[3] < before
    assert after[1] < before


def test_a_click_moves_what_is_like_it_and_not_the_rest(lost, affinity, scene):
    kind = int(np.bincount(scene.labels[scene.labels > 0]).argmax())
    hint_labels = np.where(one_click_each(scene.labels) == kind, kind, OPEN)
    hints = UserHints(affinity, hint_labels)
    found = lost.labels(PUBLISHED, hints) == kind
    assert found[scene.labels == kind].mean() > 0.7
    assert found[scene.labels == 0].mean() < 0.3


def test_one_pixel(live, affinity):
    hint_labels = np.full(live.scores.shape, OPEN)
    hint_labels[0, 0] = 3
    hints = UserHints(affinity, hint_labels)
    assert live.labels(PUBLISHED, hints)[0, 0] == 3


def test_a_whole_image_painted_is_the_painting(live, affinity, scene):
    hints = UserHints(affinity, scene.labels)
    np.testing.assert_array_equal(live.labels(PUBLISHED, hints), scene.labels)
    assert not live.uncertainty(PUBLISHED, hints).any()


def test_hints_that_contradicts_itself(live, affinity):
    hint_labels = np.full(live.scores.shape, OPEN)
    hint_labels[40:60:2, 40:60], hint_labels[41:60:2, 40:60] = 1, 2
    hints = UserHints(affinity, hint_labels)
    found = live.labels(PUBLISHED, hints)
    np.testing.assert_array_equal(found[hint_labels != OPEN], hint_labels[hint_labels != OPEN])


def test_a_class_with_no_hints_keeps_its_words(live, affinity, scene):
    """Background is confirmed where the words see it too: no class moves."""
    before = live.labels(PUBLISHED)
    hint_labels = np.where((before == 0) & (scene.labels == 0), 0, OPEN)
    hints = UserHints(affinity, hint_labels)
    np.testing.assert_array_equal(live.labels(PUBLISHED, hints), before)


def test_hints_find_a_class_that_the_words_do_not(segmenter, embedding, affinity, scene):
    """Its score is below the threshold, so by the words it is absent."""
    live = LiveLabels(segmenter.score(embedding, all_classes()), "refined")
    high = Thresholds(9.0, 0.4, min_max=True)
    assert not live.labels(high).any()
    hints = UserHints(affinity, one_click_each(scene.labels))
    found = live.labels(high, hints)
    assert mean_iou(confusion_matrix(scene.labels, found, 10)) > 0.5


def test_thresholds_do_not_apply_to_labels_with_hints(segmenter, embedding, affinity, scene):
    """Every class and the background has hints: the thresholds change nothing."""
    kinds = np.unique(scene.labels)
    names = [all_classes()[kind - 1] for kind in kinds[1:]]
    live = LiveLabels(segmenter.score(embedding, names), "refined")
    clicks = one_click_each(scene.labels)
    hints = UserHints(affinity, np.where(clicks < 0, OPEN, np.searchsorted(kinds, clicks)))
    expected = live.labels(PUBLISHED, hints)
    for thresholds in (
        Thresholds(0.1, 0.9, min_max=True), Thresholds(9.0, 0.0, min_max=True),
        replace(PUBLISHED, per_class={names[0].name: 5.0}),
    ):  # fmt: skip
        np.testing.assert_array_equal(live.labels(thresholds, hints), expected)


def test_thresholds_stay_live_for_labels_without_hints(live, affinity):
    """A click on one class; another one goes and comes with its threshold."""
    plain = live.labels(PUBLISHED)
    clicked, other = (1 + np.argsort(-np.bincount(plain[plain > 0])[1:])[:2]).tolist()
    hint_labels = np.where(one_click_each(plain) == clicked, clicked, OPEN)
    hints = UserHints(affinity, hint_labels)
    name = live.scores.classes[other - 1].name
    low, high = (replace(PUBLISHED, per_class={name: at}) for at in (0.4, 9.0))
    assert (live.labels(low, hints) == other).sum() > 100
    assert not (live.labels(high, hints) == other).any()
    own = replace(PUBLISHED, per_class={live.scores.classes[clicked - 1].name: 9.0})
    assert (live.labels(own, hints) == clicked).sum() > 100


def test_one_click_leaves_what_is_unlike_it(live, affinity, scene):
    """The words are right, and the click says something else: only its like may change."""
    plain = live.labels(PUBLISHED)
    kind = int(np.bincount(scene.labels[scene.labels > 0]).argmax())
    depth = distance_transform_edt(np.pad(scene.labels == kind, 1))[1:-1, 1:-1]
    place = np.unravel_index(depth.argmax(), depth.shape)
    other = kind % len(KINDS) + 1
    hint_labels = np.full(plain.shape, OPEN)
    hint_labels[place] = other
    found = live.labels(PUBLISHED, UserHints(affinity, hint_labels))
    assert (found == other).sum() > 100
    unlike = scene.labels != kind
    assert (found != plain)[unlike].mean() < 0.01


def test_one_wrong_click_costs_little_beside_right_ones(lost, affinity, scene):
    right = np.full(scene.labels.shape, OPEN)
    for kind in np.unique(scene.labels):
        inside = distance_transform_edt(np.pad(scene.labels == kind, 1))[1:-1, 1:-1] > 4
        for place in np.random.default_rng(0).permutation(np.argwhere(inside))[:5]:
            right[tuple(place)] = kind
    wrong = right.copy()
    row, column = np.argwhere((scene.labels == 0) & (right == OPEN))[2000]
    wrong[row, column] = scene.labels.max()
    good, less = (
        mean_iou(
            confusion_matrix(scene.labels, lost.labels(PUBLISHED, UserHints(affinity, one)), 10)
        )
        for one in (right, wrong)
    )
    assert less > good - 0.1


def test_many_strokes_of_many_classes(lost, affinity, scene):
    """Five hundred strokes of ten labels: what they say is kept, and helps."""
    random = np.random.default_rng(1)
    hint_labels = np.full(scene.labels.shape, OPEN)
    for row, column in zip(random.integers(0, 158, 500), random.integers(0, 190, 500), strict=True):
        hint_labels[row, column : column + 6] = scene.labels[row, column : column + 6]
    found = lost.labels(PUBLISHED, UserHints(affinity, hint_labels))
    np.testing.assert_array_equal(found[hint_labels != OPEN], hint_labels[hint_labels != OPEN])
    assert (found == scene.labels).mean() > 0.95


def test_one_click_each_finds_the_nuclei_of_a_real_image(segmenter):
    """A dim fluorescence image, and a word that means nothing to the model."""
    image, truth = (
        np.asarray(Image.open(NUCLEI / name)) for name in ("nuclei.png", "nuclei_labels.png")
    )
    embedding = segmenter.embed(image)
    live = LiveLabels(segmenter.score(embedding, ["zorfel"]), "refined")
    hints = UserHints(image_affinity(embedding), one_click_each(truth))
    found = live.labels(live.scores.settings.thresholds, hints)
    assert mean_iou(confusion_matrix(truth, found, 2)) > 0.8


def test_16_bit_and_dim_grey_images_are_corrected_as_they_are_shown(segmenter, scene):
    """A dim image with the contrast of few grey levels; the same hints give the same labels."""
    grey = scene.image.mean(axis=2)
    hint_labels = one_click_each(scene.labels)
    found = []
    for image in (grey.round().astype(np.uint8), (grey * 40 + 1000).round().astype(np.uint16)):
        embedding = segmenter.embed(image)
        live = LiveLabels(segmenter.score(embedding, MEANINGLESS), "refined")
        hints = UserHints(image_affinity(embedding), hint_labels)
        found.append(live.labels(PUBLISHED, hints))
    assert (found[0] == found[1]).mean() > 0.97


def test_a_click_works_against_a_per_class_threshold(live, affinity):
    """What a class has to reach counts where the words are asked whether they are right."""
    plain = live.labels(PUBLISHED)
    label = int(np.bincount(plain[plain > 0]).argmax())
    name = live.scores.classes[label - 1].name
    high = replace(PUBLISHED, per_class={name: 1.2})
    assert not (live.labels(high) == label).any()
    depth = distance_transform_edt(np.pad(plain == label, 1))[1:-1, 1:-1]
    hint_labels = np.full(plain.shape, OPEN)
    hint_labels[np.unravel_index(depth.argmax(), depth.shape)] = label
    hints = UserHints(affinity, hint_labels)
    assert not live.ready(high, hints)
    found = live.labels(high, hints) == label
    assert found[plain == label].mean() > 0.9
    assert live.ready(high, hints)
    assert not live.ready(PUBLISHED, hints)


@pytest.mark.parametrize("min_max", [True, False])
def test_strong_hints_does_not_turn_into_background(lost, affinity, scene, min_max):
    """At a threshold of 0 the background is (1 - score)^2, which grows again beyond 1."""
    competing = Thresholds(0.9, 0.0, min_max=min_max)
    hint_labels = np.where(one_click_each(scene.labels) > 0, one_click_each(scene.labels), OPEN)
    hints = UserHints(affinity, hint_labels)
    low = lost.labels(replace(competing, background_threshold=COMPETING_BACKGROUND), hints)
    np.testing.assert_array_equal(lost.labels(competing, hints), low)


@pytest.mark.parametrize("method", ["sclip", "maskclip"])
def test_methods_that_label_by_probability(method, scene):
    segmenter = Segmenter(SegmentationConfig(model="demo", method=method))
    embedding = segmenter.embed(scene.image)
    scores = segmenter.score(embedding, MEANINGLESS)
    live = LiveLabels(scores, scores.stages[-1])
    thresholds = Thresholds(0.0, 0.0)
    before = mean_iou(confusion_matrix(scene.labels, live.labels(thresholds), 10))
    hints = UserHints(image_affinity(embedding), one_click_each(scene.labels))
    after = mean_iou(confusion_matrix(scene.labels, live.labels(thresholds, hints), 10))
    assert after > before + 0.2
    np.testing.assert_array_equal(live.labels(thresholds), scores.to_labels())


def test_uncertainty_is_high_between_classes(live):
    uncertainty = live.uncertainty(PUBLISHED)
    labels = live.labels(PUBLISHED)
    assert (uncertainty.min() >= 0, uncertainty.max() <= 1) == (True, True)
    edge = np.zeros(labels.shape, bool)
    edge[1:], edge[:, 1:] = (
        labels[1:] != labels[:-1],
        edge[:, 1:] | (labels[:, 1:] != labels[:, :-1]),
    )
    assert uncertainty[edge].mean() > 1.5 * uncertainty[~edge].mean()


def test_uncertainty_is_the_same_with_little_memory(live, monkeypatch):
    expected = live.uncertainty(PUBLISHED)
    monkeypatch.setattr("napari_cliper.segmentation.labelling.live_labels.PART_BYTES", 1)
    np.testing.assert_array_equal(live.uncertainty(PUBLISHED), expected)


def test_where_the_words_find_nothing_it_is_not_sure_that_nothing_is_there(live):
    near, far = (Thresholds(at, 0.4, min_max=True) for at in (3.0, 300.0))
    assert not live.labels(near).any()
    uncertain_places = [float(live.uncertainty(at).mean()) for at in (PUBLISHED, near, far)]
    assert uncertain_places[1] > 0.1 > uncertain_places[2]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda hint_labels: hint_labels[:-1], "must be of one size"),
        (lambda hint_labels: np.full_like(hint_labels, 10), "A hint is class 10; the result has 9"),
        (lambda hint_labels: np.where(hint_labels == OPEN, -2, hint_labels), "A hint is -2"),
    ],
)
def test_what_cannot_be_meant_is_refused(live, affinity, scene, change, message):
    with pytest.raises(InvalidInputError, match=message):
        live.labels(PUBLISHED, UserHints(affinity, change(one_click_each(scene.labels))))


def test_another_images_affinity_is_refused(affinity, scene):
    other = replace(affinity, regions=affinity.regions[:, :-1])
    with pytest.raises(InvalidInputError, match="must be of one size"):
        UserHints(other, one_click_each(scene.labels))


def test_what_stays_below_which_threshold_is_there_once_that_is_lowered(live):
    """Of each class that is missing: just below the value it is found, at the value it is not."""
    scores = live.scores.stage(live.stage).class_scores
    top = float(scores.max())
    high = Thresholds(top, 0.4)
    short = live.shortfalls(high)
    assert [one.value for one in short] == sorted(scores.tolist(), reverse=True)
    assert {one.kind for one in short} == {"class"}
    assert not live.labels(high).any()
    assert live.labels(Thresholds(float(np.nextafter(np.float32(top), 0)), 0.4)).any()
    strict = Thresholds(0.0, 2.0, per_class={short[0].name: 3.0})
    below = live.shortfalls(strict)
    assert below
    assert {one.kind for one in below} <= {"class", "pixel"}
    for one in (one for one in below if one.kind == "pixel"):
        assert one.threshold == (3.0 if one.name == short[0].name else 2.0)
        label = [row.name for row in live.scores.classes].index(one.name) + 1
        reached = Thresholds(0.0, 2.0, per_class={one.name: one.value})
        assert (live.labels(reached) == label).any()
        missed = Thresholds(0.0, 2.0, per_class={one.name: one.value + 1e-4})
        assert not (live.labels(missed) == label).any()


def test_corrected_gives_every_stage_and_depends_on_its_arguments_alone(
    segmenter, embedding, affinity, scene
):
    """Whatever was asked before, in whatever order: the labels of a fresh snapshot."""
    scores = segmenter.score(embedding, all_classes())

    def snapshot():
        return {stage: LiveLabels(scores, stage) for stage in scores.stages}

    wrong = UserHints(affinity, one_click_each((scene.labels + 3) % 10))
    right = UserHints(affinity, one_click_each(scene.labels))
    none = UserHints(affinity, np.full(scene.labels.shape, OPEN))
    strict = replace(PUBLISHED, background_threshold=0.7, per_class={"no class": 0.1})
    kept = snapshot()
    for hints, thresholds in (
        (None, PUBLISHED), (wrong, PUBLISHED), (right, strict), (None, strict), (wrong, strict),
        (right, PUBLISHED), (right, PUBLISHED), (none, PUBLISHED),
    ):  # fmt: skip
        found = corrected(kept, hints, thresholds)
        expected = corrected(snapshot(), hints, thresholds)
        assert tuple(found) == scores.stages
        for stage in scores.stages:
            np.testing.assert_array_equal(found[stage], expected[stage])
            found[stage][:] = 7  # what is given away is nobody's memory
    for stage, labels in corrected(kept, None, PUBLISHED).items():
        np.testing.assert_array_equal(labels, scores.to_labels(PUBLISHED, stage=stage))


def test_what_was_prepared_can_be_released(live):
    thresholds = Thresholds(0.3, 0.4)
    before = live.labels(thresholds)
    assert live.nbytes >= before.nbytes
    live.release()
    assert live.nbytes == 0
    assert not live.ready(thresholds)
    np.testing.assert_array_equal(live.labels(thresholds), before)
