"""What the thread computes for a snapshot, without a window."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest

from napari_cliper.demo.run import HELD_OUT_SEED, all_classes
from napari_cliper.demo.scenes import make_scene
from napari_cliper.labels.label_class import ClassRow
from napari_cliper.plugin.controllers.kept_results import Kept
from napari_cliper.plugin.controllers.label_update import (
    Drawn,
    read_hints,
    uncertain_places,
    update_labels,
)
from napari_cliper.segmentation import (
    LiveLabels,
    SegmentationConfig,
    Segmenter,
    corrected,
    image_affinity,
)

pytestmark = pytest.mark.one_binding

SHAPE = (96, 128)
NAMES = [one.name for one in all_classes()]


def report(_progress):
    pass


def never():
    return False


@pytest.fixture(scope="module")
def engine():
    segmenter = Segmenter(SegmentationConfig(model="demo"))
    embedding = segmenter.embed(make_scene(SHAPE, HELD_OUT_SEED + 2).image)
    return segmenter.score(embedding, all_classes()), image_affinity(embedding)


@pytest.fixture
def kept(engine):
    scores, _ = engine
    live = {stage: LiveLabels(scores, stage) for stage in scores.stages}
    outcome = SimpleNamespace(
        live=live,
        scores=scores,
        labels_for=lambda values, hints, _before: corrected(live, hints, values),
    )
    shown = SimpleNamespace(outcome=outcome)
    thresholds = scores.settings.thresholds
    return Kept(shown, thresholds, followed=(thresholds, None), labels={}, outlines={})


def drawn(*strokes, clicks=()):
    """Strokes of (label, row, column), 5 x 5 pixels each, on an annotation of two classes."""
    labels, edit_mask = np.zeros(SHAPE, np.uint16), np.zeros(SHAPE, np.uint8)
    for label, row, column in strokes:
        labels[row : row + 5, column : column + 5] = label
        edit_mask[row : row + 5, column : column + 5] = 2
    classes = {1: ClassRow(NAMES[3]), 2: ClassRow(NAMES[0])}
    return Drawn(labels, edit_mask, classes, list(clicks))


def reader(engine, what):
    def affinity(_report, _should_stop):
        return engine[1]

    return lambda *job: read_hints(lambda: what, NAMES, affinity, *job)


def follow(kept, read, thresholds=None):
    """An update, taken over as the window does."""
    update = update_labels(kept, thresholds or kept.thresholds, read, report, never)
    kept.followed = update.thresholds, update.user_hints
    return update


def test_hints_change_all_stages_and_their_removal_restores_them(engine, kept):
    scores, _ = engine
    update = follow(kept, reader(engine, drawn((1, 20, 30), clicks=[("background", 70, 90)])))
    assert (update.hints.painted, update.hints.clicked) == (25, 1)
    assert tuple(update.labels) == scores.stages
    for stage, labels in update.labels.items():
        assert (labels[20:25, 30:35] == 4).all()  # by its name: the fourth class of the result
        assert labels[70, 90] == 0
        assert (labels != scores.to_labels(stage=stage)).any()
    for read in (reader(engine, drawn()), None):
        follow(kept, reader(engine, drawn((2, 20, 30))))
        update = follow(kept, read)
        assert update.user_hints is None
        for stage, labels in update.labels.items():
            np.testing.assert_array_equal(labels, scores.to_labels(stage=stage))


def test_only_changes_of_hints_or_thresholds_make_labels(engine, kept):
    stroke = reader(engine, drawn((1, 20, 30)))
    assert not follow(kept, reader(engine, drawn())).labels
    assert follow(kept, stroke).labels
    assert not follow(kept, stroke).labels
    higher = kept.thresholds.with_values(background_threshold=0.7)
    assert follow(kept, stroke, higher).labels
    assert not follow(kept, stroke, higher).labels


def test_without_a_hint_no_affinity_is_computed():
    def fail(_report, _should_stop):
        raise AssertionError

    hints, user_hints = read_hints(drawn, NAMES, fail, report, never)
    assert user_hints is None
    assert not hints.painted
    left_out = drawn(clicks=[("dragon", 3, 3)])
    assert read_hints(lambda: left_out, NAMES, fail, report, never)[0].left_out == ("dragon",)


def test_uncertain_places_are_not_those_that_the_user_decided(engine, kept):
    scores, _ = engine
    live = kept.shown.outcome.live[scores.stages[-1]]
    before = uncertain_places(live, kept.thresholds, None, drawn, report, never)
    assert before.map.shape == SHAPE
    row, column = before.places[0]
    what = drawn((1, max(row - 2, 0), max(column - 2, 0)))
    hints = reader(engine, what)(report, never)[1]
    after = uncertain_places(live, kept.thresholds, hints, lambda: what, report, never)
    assert before.places[0] not in after.places
    assert not after.map[what.edit_mask > 0].any()
