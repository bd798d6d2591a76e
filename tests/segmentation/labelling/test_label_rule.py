"""Both labelling rules against plain numpy, and what the values between the steps promise."""

from __future__ import annotations

from dataclasses import replace
from itertools import product

import numpy as np
import pytest

from napari_cliper.segmentation import (
    ClassPrompt,
    InvalidInputError,
    LiveLabels,
    SegmentationConfig,
    Thresholds,
)
from napari_cliper.segmentation.features import pixel_planes
from napari_cliper.segmentation.results import ScoreMaps, StageMaps

GRID, SHAPE = (5, 7), (23, 31)


def bilinear(planes, shape):
    """(T, h, w) to (T, Y, X), pixel centres on pixel centres, borders repeated."""
    for axis, length in zip((1, 2), shape, strict=True):
        old = planes.shape[axis]
        at = np.clip((np.arange(length) + 0.5) * old / length - 0.5, 0, old - 1)
        low = np.minimum(at.astype(int), old - 2)
        share = (at - low).reshape((-1, 1) if axis == 1 else (-1,))
        planes = planes.take(low, axis) * (1 - share) + planes.take(low + 1, axis) * share
    return planes


def scores_of(maps, class_scores=None, *, method="cliper", classes=None, **fields):
    """Score maps as a segmenter would make them."""
    maps = np.asarray(maps, np.float32)
    config = SegmentationConfig(method=method)
    if class_scores is None:
        class_scores = maps.max(axis=(1, 2))
    stage = {name: fields.pop(name, None) for name in ("background", "logits")}
    settings = replace(config.settings(), **fields.pop("settings", {}))
    return ScoreMaps(
        coarse=StageMaps(maps, np.asarray(class_scores, np.float32), **stage),
        refined=None,
        classes=tuple(ClassPrompt(f"class {i}") for i in range(classes or len(maps))),
        background=(),
        shape=fields.pop("shape", SHAPE),
        settings=settings,
        config=config,
        **{"owner": tuple(range(len(maps))), **fields},
    )


@pytest.fixture
def rng():
    return np.random.default_rng(11)


# ---------------------------------------------------------------------- CLIPer's rule


def cliper_labels(maps, class_scores, *, class_threshold, background_threshold, min_max):
    """algorithms.md, section 5."""
    full = bilinear(maps.astype(float), SHAPE)
    p = np.zeros_like(full)
    for i, plane in enumerate(full):
        if class_scores[i] <= class_threshold:
            continue
        p[i] = plane / (plane.max() + 1e-5) * class_scores[i]
        if min_max:
            p[i] = (p[i] - p[i].min()) / (p[i].max() - p[i].min() + 1e-6)
    if background_threshold <= 0:
        return np.concatenate([[(1 - p.max(axis=0)) ** 2], p]).argmax(axis=0)
    p[p < background_threshold] = 0
    return np.where(p.max(axis=0) > 0, 1 + p.argmax(axis=0), 0)


def test_cliper_rule(rng, subtests):
    for class_threshold in [0, 0.5, 0.7, 9]:
        for background_threshold in [-1, 0, 0.25, 0.5, 0.9, 1.4]:
            for min_max in [False, True]:
                with subtests.test(
                    class_threshold=class_threshold,
                    background_threshold=background_threshold,
                    min_max=min_max,
                ):
                    maps = rng.random((4, *GRID), np.float32) * np.float32(
                        [[[2]], [[0.6]], [[1]], [[0.4]]]
                    )
                    class_scores = np.float32(
                        [1.5, 0.5, 0.8, 0.3]
                    )  # one of them exactly on a threshold
                    settings = {
                        "class_threshold": class_threshold,
                        "background_threshold": background_threshold,
                        "min_max": min_max,
                    }
                    found = scores_of(maps, class_scores).to_labels(Thresholds(**settings))
                    expected = cliper_labels(maps, class_scores, **settings)
                    assert found.dtype == np.uint8
                    assert (found != expected).mean() < 0.002  # a pixel may sit on a threshold
                    assert set(np.unique(found)) <= {
                        0,
                        *(1 + np.flatnonzero(class_scores > class_threshold)),
                    }


def test_background_plane_wins_where_no_class_is_sure():
    maps = np.linspace(0, 1, 7, dtype=np.float32).reshape(1, 1, 7).repeat(5, axis=1)
    found = scores_of(maps, [1.0]).to_labels(Thresholds(0, 0))
    full = bilinear(maps, SHAPE)[0]
    # (1 - p)^2 > p below p = 0.382
    np.testing.assert_array_equal(found == 1, full / (full.max() + 1e-5) > (3 - 5**0.5) / 2)


def test_thresholds_have_no_upper_bound_of_one(rng):
    scores = scores_of(rng.random((2, *GRID)) + 0.1, [5.2, 1.2])
    found = scores.to_labels(Thresholds(2, 3))
    assert set(np.unique(found)) == {0, 1}
    assert not scores.to_labels(scores.settings.thresholds.with_values(class_threshold=5.3)).any()


# ---------------------------------------------------------------------- the other methods' rule


def probability_labels(logits, owner, *, threshold, class_threshold, area_threshold):
    """algorithms.md, section 6."""
    full = bilinear(logits.astype(float), SHAPE)
    p = np.exp(full - full.max(axis=0))
    p /= p.sum(axis=0)
    owner = np.array(owner)
    background = p[owner < 0].max(axis=0) if (owner < 0).any() else np.zeros(SHAPE)
    p = np.stack([background, *(p[owner == i].max(axis=0) for i in range(owner.max() + 1))])
    absent = 1 + np.flatnonzero(np.array(class_threshold) >= CLASS_SCORES)
    p[absent] = 0
    if area_threshold:
        areas = np.bincount(p.argmax(axis=0).flat, minlength=len(p))[1:]
        p[1 + np.flatnonzero(areas <= area_threshold * areas.sum())] = 0
    return np.where(p.max(axis=0) < threshold, 0, p.argmax(axis=0))


CLASS_SCORES = np.float32([0.9, 0.8, 0.4])


def test_probability_rule(rng, subtests):
    for owner in [(0, 0, 1, 2, -1, -1), (0, 1, 2, 2, 1, 0)]:
        for area_threshold in [0, 0.3]:
            for class_threshold in [0, 0.5]:
                for threshold in [0, 0.3, 0.6]:
                    with subtests.test(
                        owner=owner,
                        area_threshold=area_threshold,
                        class_threshold=class_threshold,
                        threshold=threshold,
                    ):
                        logits = rng.normal(size=(len(owner), *GRID)).astype(np.float32) * 3
                        logits[0] += 1
                        scores = scores_of(
                            np.zeros((3, *GRID)),
                            CLASS_SCORES,
                            method="sclip",
                            logits=logits,
                            owner=owner,
                            settings={"area_threshold": area_threshold},
                        )
                        found = scores.to_labels(Thresholds(class_threshold, threshold))
                        expected = probability_labels(
                            logits,
                            owner,
                            threshold=threshold,
                            class_threshold=class_threshold,
                            area_threshold=area_threshold,
                        )
                        assert (found != expected).mean() < 0.002


@pytest.mark.parametrize("rows", [1, 5, 22])
@pytest.mark.parametrize("area_threshold", [0, 0.3])
def test_labels_made_a_few_rows_at_a_time_are_the_same(rng, monkeypatch, rows, area_threshold):
    logits = rng.normal(size=(4, *GRID)).astype(np.float32) * 3
    scores = scores_of(
        np.zeros((3, *GRID)),
        CLASS_SCORES,
        method="sclip",
        logits=logits,
        owner=(0, 1, 2, -1),
        settings={"area_threshold": area_threshold},
    )
    whole = scores.best()
    monkeypatch.setattr(pixel_planes, "BLOCK_BYTES", rows * 4 * len(logits) * SHAPE[1])
    found = scores.best()
    np.testing.assert_allclose(found.value, whole.value, atol=1e-6)
    np.testing.assert_array_equal(found.label, whole.label)


def test_area_threshold_gives_a_small_class_to_the_next_best():
    logits = np.zeros((3, 20, 20), np.float32)
    logits[0, :, 10:] = logits[1, :, :10] = 9
    logits[1, :, 10:] = 5
    logits[2, :2, :2] = 20  # 4 of 400 pixels, in the half of class 1
    settings = {"method": "sclip", "logits": logits, "owner": (0, 1, 2), "shape": (20, 20)}
    maps = np.zeros((3, 20, 20))
    kept = scores_of(maps, [1, 1, 1], settings={"area_threshold": 0.0}, **settings)
    gone = scores_of(maps, [1, 1, 1], settings={"area_threshold": 0.1}, **settings)
    kept, gone = (scores.to_labels(Thresholds(0, 0)) for scores in (kept, gone))
    assert (kept == 3).sum() == 4
    np.testing.assert_array_equal(gone[:, :10], 2)
    np.testing.assert_array_equal(gone[:, 10:], 1)


@pytest.mark.parametrize("with_background", [True, False])
def test_refined_probabilities_are_labelled_as_they_are(rng, with_background):
    maps = rng.random((2, *SHAPE), np.float32)
    background = rng.random(SHAPE, np.float32) if with_background else None
    found = scores_of(maps, method="clip", background=background).to_labels(Thresholds(0, 0.6))
    planes = np.stack([np.zeros(SHAPE) if background is None else background, *maps])
    expected = np.where(planes.max(axis=0) < 0.6, 0, planes.argmax(axis=0))
    np.testing.assert_array_equal(found, expected)


# ---------------------------------------------------------------------- both


@pytest.mark.parametrize("method", ["cliper", "maskclip"])
@pytest.mark.parametrize(
    ("classes", "dtype"), [(1, np.uint8), (255, np.uint8), (256, np.uint16), (300, np.uint16)]
)
def test_label_type_holds_every_class(method, classes, dtype):
    maps = np.full((classes, 4, 4), 0.01, np.float32)
    maps[classes - 1] = 0.9
    scores = scores_of(maps, method=method, shape=(9, 9), settings={"min_max": False})
    found = scores.to_labels(Thresholds(0, 0.001))
    assert found.dtype == dtype
    assert (found == classes).all()


@pytest.mark.parametrize("method", ["cliper", "sclip"])
@pytest.mark.parametrize("threshold", [1e-3, 0.2, 0.5, 2.0])
def test_best_above_a_threshold_is_what_to_labels_gives(rng, method, threshold):
    scores = scores_of(rng.random((3, *GRID)), method=method)
    thresholds = scores.settings.thresholds.with_values(
        class_threshold=0.1, background_threshold=threshold
    )
    best = scores.best(replace(thresholds, background_threshold=7))
    found = scores.to_labels(thresholds)
    np.testing.assert_array_equal(scores.rule(thresholds).labels(best), found)
    np.testing.assert_array_equal(scores.to_labels(thresholds), found)
    assert best.label.dtype == found.dtype


METHODS_AND_MIN_MAX = [
    ("cliper", True), ("cliper", False), ("sclip", False), ("maskclip", False), ("proxyclip", False)
]  # fmt: skip
MOVED_SCORES = np.float32([0.6, 1.5, 0.3, 0.6])  # 0.6 as float32 is above 0.6 as float64
NO_AREAS = {"area_threshold": 0.0}
MOVES = list(product((-1, 0, 0.3, 0.5, 0.6, 0.61, 1.5, 2), (-1, 0, 0.2, 0.3, 0.7)))


@pytest.mark.parametrize(("method", "min_max"), METHODS_AND_MIN_MAX)
@pytest.mark.parametrize("with_background", [False, True])
def test_ranked_answers_every_threshold_as_best_does(
    rng, monkeypatch, method, min_max, with_background
):
    monkeypatch.setattr(pixel_planes, "BLOCK_BYTES", 4 * 5 * SHAPE[1] * 3)  # some rows at a time
    background = rng.random(GRID, np.float32) if with_background and method != "cliper" else None
    scores = scores_of(
        rng.random((4, *GRID)).round(1),  # some pixels have two best classes
        MOVED_SCORES,
        method=method,
        background=background,
        settings=NO_AREAS,
    )
    ranked = scores.ranked(Thresholds(0, 0, min_max))
    for class_threshold, background_threshold in MOVES:
        thresholds = Thresholds(class_threshold, background_threshold, min_max)
        np.testing.assert_array_equal(
            scores.rule(thresholds).labels(ranked.at(class_threshold)), scores.to_labels(thresholds)
        )


@pytest.mark.parametrize("method", ["cliper", "sclip"])
def test_ranked_stays_within_a_limit(rng, method):
    scores = scores_of(rng.random((4, *GRID)), method=method, settings=NO_AREAS)
    needed = 5 * 5 * SHAPE[0] * SHAPE[1]
    assert scores.ranked(limit=needed) is not None
    assert scores.ranked(limit=needed - 1) is None


def test_where_areas_decide_nothing_is_ranked(rng):
    scores = scores_of(rng.random((4, *GRID)), method="sclip", settings={"area_threshold": 0.1})
    assert scores.ranked() is None


@pytest.mark.parametrize("limit", [0, 1 << 20])
@pytest.mark.parametrize(("method", "min_max"), METHODS_AND_MIN_MAX)
def test_live_labels_are_those_of_the_thresholds(rng, method, min_max, limit):
    scores = scores_of(rng.random((4, *GRID)), MOVED_SCORES, method=method, settings=NO_AREAS)
    live = LiveLabels(scores, "coarse", limit=limit)
    for class_threshold, background_threshold in MOVES:
        thresholds = Thresholds(class_threshold, background_threshold, min_max)
        expected = scores.to_labels(thresholds)
        live.labels(thresholds)
        assert live.ready(thresholds)
        assert live.ready(replace(thresholds, background_threshold=0.123))
        assert live.ready(replace(thresholds, class_threshold=0.4)) == (limit > 0)
        np.testing.assert_array_equal(live.labels(thresholds), expected)
    np.testing.assert_array_equal(LiveLabels(scores, "coarse").labels(thresholds), expected)


@pytest.mark.parametrize("method", ["cliper", "sclip"])
def test_a_class_with_a_threshold_of_its_own(rng, method):
    scores = scores_of(rng.random((3, *GRID)), method=method)
    everywhere = scores.to_labels(Thresholds(0, 1e-6))
    value = scores.best(Thresholds(0, 0)).value.numpy()
    for own in (-1.0, 0.3, 0.6, 9.0):
        found = scores.to_labels(Thresholds(0, 0.4, per_class={"class 1": own}))
        usual = scores.to_labels(Thresholds(0, 0.4))
        only = scores.to_labels(Thresholds(0, own))
        np.testing.assert_array_equal(found, np.where(everywhere == 2, only, usual))
        if own > 0:
            np.testing.assert_array_equal(found == 2, (everywhere == 2) & (value >= own))


def test_a_threshold_of_a_class_that_is_not_there(rng):
    scores = scores_of(rng.random((3, *GRID)))
    with pytest.raises(InvalidInputError, match="'dragon'"):
        scores.to_labels(Thresholds(0, 0.4, per_class={"dragon": 0.5}))
    live = LiveLabels(scores, "coarse")  # a class may go while its threshold stays
    thresholds = Thresholds(0, 0.4, per_class={"dragon": 0.5})
    np.testing.assert_array_equal(
        live.labels(thresholds), live.labels(replace(thresholds, per_class={}))
    )


@pytest.mark.parametrize("method", ["cliper", "sclip"])
def test_labels_change_neither_maps_nor_what_was_kept(rng, method):
    scores = scores_of(rng.random((3, *GRID)), method=method)
    maps, class_scores = scores.coarse.maps.copy(), scores.coarse.class_scores.copy()
    best = scores.best()
    label = best.label.copy()
    scores.rule().labels(best)[:] = 9
    scores.to_labels()[:] = 9
    np.testing.assert_array_equal(best.label, label)
    np.testing.assert_array_equal(scores.coarse.maps, maps)
    np.testing.assert_array_equal(scores.coarse.class_scores, class_scores)


def test_defaults_are_the_published_thresholds(rng):
    scores = scores_of(rng.random((3, *GRID)), [0.9, 0.71, 0.69])
    found = scores.to_labels()
    expected = scores.to_labels(Thresholds(0.7, 0.6, min_max=True))
    np.testing.assert_array_equal(found, expected)
    assert set(np.unique(found)) == {0, 1, 2}


def test_stages(rng):
    scores = scores_of(rng.random((2, *GRID)))
    refined = StageMaps(scores.coarse.maps[:, ::-1].copy(), scores.coarse.class_scores)
    both = replace(scores, refined=refined)
    np.testing.assert_array_equal(both.to_labels(), both.to_labels(stage="refined"))
    np.testing.assert_array_equal(both.to_labels(stage="coarse"), scores.to_labels())
    assert (both.to_labels() != scores.to_labels()).any()


@pytest.mark.parametrize(
    ("settings", "advice"),
    [
        ({"stage": "refined"}, "Use stage=.coarse."),
        ({"stage": "corse"}, "Did you mean 'coarse'"),
        ({"thresholds": Thresholds(0, 0, min_max=True)}, "sclip labels by probability"),
    ],
    ids=str,
)
def test_labels_that_cannot_be_made(rng, settings, advice):
    with pytest.raises(InvalidInputError, match=advice):
        scores_of(rng.random((2, *GRID)), method="sclip").to_labels(**settings)
