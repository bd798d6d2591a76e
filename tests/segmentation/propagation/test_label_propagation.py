"""How hints propagate: the three estimates against other programs, and what must hold."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from scipy import sparse
from sklearn.linear_model import LogisticRegression

from napari_cliper.segmentation import OPEN, ImageAffinity
from napari_cliper.segmentation.features.pixel_features import PixelFeatures
from napari_cliper.segmentation.propagation.classifier import STRENGTH, fit_classifier
from napari_cliper.segmentation.propagation.cross_validation import (
    separate_hints,
    walk_reliability,
)
from napari_cliper.segmentation.propagation.label_propagation import PRIOR, _harmonic, propagate

SIDE, CELL = 48, 4
CELLS = SIDE // CELL


def affinity_of(image: np.ndarray, reach: np.ndarray | None = None) -> ImageAffinity:
    """Square superpixels; joined to neighbours by their values; the walk joins equal values."""
    rows, columns = np.indices((SIDE, SIDE)) // CELL
    regions = (rows * CELLS + columns).astype(np.int32)
    planes = torch.from_numpy(np.stack([image, image**2]).astype(np.float32))
    means = np.stack([plane.reshape(CELLS, CELL, CELLS, CELL).mean((1, 3)).ravel()
                      for plane in planes.numpy()], axis=1)  # fmt: skip
    count = len(means)
    at = np.stack(np.divmod(np.arange(count), CELLS), axis=1)
    touch = np.abs(at[:, None] - at[None]).sum(axis=2) == 1
    apart = np.abs(means[:, None, 0] - means[None, :, 0])
    if reach is None:
        steps = np.exp(-((2 * apart) ** 2))
        steps /= steps.sum(axis=1, keepdims=True)
        reach = 0.1 * count * np.linalg.inv(np.eye(count) - 0.9 * steps)
    return ImageAffinity(
        regions,
        PixelFeatures((planes,), (SIDE, SIDE)),
        means.astype(np.float32),
        sparse.csr_array(touch),
        sparse.csr_array((touch * np.exp(-((3 * apart) ** 2))).astype(np.float32)),
        np.arange(count, dtype=np.int32),
        torch.from_numpy(reach.astype(np.float32)),
    )


@pytest.fixture(scope="module")
def truth() -> np.ndarray:
    """Four stripes: 0, 1, 2 and 1 again."""
    return np.repeat([0, 1, 2, 1], SIDE // 4)[None].repeat(SIDE, axis=0)


@pytest.fixture(scope="module")
def affinity(truth) -> ImageAffinity:
    noise = np.random.default_rng(0).normal(0, 0.1, truth.shape)
    return affinity_of(np.array([-1.0, 0.0, 1.0])[truth] + noise)


def hints_at(**places: tuple[int, int]) -> np.ndarray:
    hint_labels = np.full((SIDE, SIDE), OPEN, np.int32)
    for name, (row, column) in places.items():
        hint_labels[row - 1 : row + 2, column - 1 : column + 2] = int(name[1:])
    return hint_labels


def best(found) -> np.ndarray:
    return found.labels[found.by_region.argmax(axis=0)][found.affinity.regions]


def test_the_classifier_is_that_of_scikit_learn():
    random = np.random.default_rng(3)
    named = np.repeat([0, 1, 2], (30, 50, 20))
    points = random.normal(0, 1, (100, 5)) + random.normal(0, 1, (3, 5))[named]
    weights = np.array([2.0, 0.5, 1.0])[named]
    found = fit_classifier(points.astype(np.float32), named, weights)
    model = LogisticRegression(C=STRENGTH, tol=1e-8, max_iter=1000)
    expected = model.fit(points, named, sample_weight=weights)
    logits = found.logits(points.astype(np.float32))
    probable = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    np.testing.assert_allclose(probable, expected.predict_proba(points), atol=0.02)


def test_the_graph_solves_its_linear_system(affinity):
    """The value of a free superpixel: the mean of the others, and a little of the prior."""
    random = np.random.default_rng(1)
    seeds = np.zeros((len(affinity.means), 2), np.float32)
    seeds[5, 0] = seeds[100, 1] = seeds[30, 1] = 1
    prior = random.dirichlet((1, 1), len(affinity.means)).astype(np.float32)
    found = _harmonic(affinity, seeds, prior)
    alike = affinity.alike.toarray()
    degree = alike.sum(axis=1, keepdims=True)
    expected = (alike @ found / degree + PRIOR * prior) / (1 + PRIOR)
    free = ~seeds.any(axis=1)
    np.testing.assert_allclose(found[free], expected[free], atol=2e-3)
    np.testing.assert_allclose(found[~free], seeds[~free], atol=1e-4)


def test_one_hint_for_each_label_finds_all_of_it(affinity, truth):
    found = propagate(
        affinity, hints_at(_0=(20, 5), _1=(20, 17), _2=(20, 30)), 0 * truth, classes=2
    )
    assert found.labels.tolist() == [0, 1, 2]
    assert (best(found) == truth).mean() > 0.99  # the second stripe of label 1 has no hint


def test_text_stays_where_nobody_gave_a_hint(affinity, truth):
    """Text scores that are right, and one hint that confirms them: nothing contradicts them."""
    found = propagate(affinity, hints_at(_1=(20, 17)), truth, classes=2)
    assert found.labels.tolist() == [0, 1, 2]
    assert found.hinted.tolist() == [False, True, False]
    assert not found.contradicted.any()
    assert (best(found) == truth).mean() > 0.99


def test_a_hint_contradicts_text_where_things_are_like_it(affinity, truth):
    wrong = np.where(truth == 1, 0, truth)  # text does not see label 1
    found = propagate(affinity, hints_at(_1=(20, 17)), wrong, classes=2)
    contradicted = found.contradicted[affinity.regions]
    assert contradicted[truth == 1].mean() > 2 * contradicted[truth == 2].mean()
    shown = best(found)
    assert (shown[truth == 1] == 1).mean() > 0.95
    assert (shown[truth != 1] == 1).mean() < 0.05


def test_a_hint_beside_its_class_by_text_corrects_an_edge_only(affinity, truth):
    beside = truth.copy()
    beside[:, 12:16] = 0  # the text's edge is one superpixel too far to the right
    found = propagate(affinity, hints_at(_1=(21, 14)), beside, classes=2)
    changed = np.flatnonzero(found.contradicted)
    assert changed.tolist() == [affinity.regions[21, 14]]


def test_without_text_the_hinted_labels_share_the_image_once_every_class_has_hints(affinity, truth):
    nothing, hint_labels = 0 * truth, hints_at(_1=(20, 5), _2=(20, 30))
    assert propagate(affinity, hint_labels, nothing, classes=2).labels.tolist() == [1, 2]
    assert propagate(affinity, hint_labels, nothing, classes=3).labels.tolist() == [0, 1, 2]


def test_contradicting_hints_are_shared(affinity, truth):
    hint_labels = hints_at(_1=(21, 5), _0=(21, 30))
    row, column = np.argwhere(hint_labels == 1)[0]
    hint_labels[row, column : column + 3], hint_labels[row + 1, column : column + 3] = 1, 2
    hint_labels[row + 2] = np.where(hint_labels[row + 2] == 1, OPEN, hint_labels[row + 2])
    found = propagate(affinity, hint_labels, 0 * truth, classes=2)
    node = affinity.regions[row, column]
    assert found.by_region[1, node] == pytest.approx(found.by_region[2, node], abs=0.1)
    assert np.isfinite(found.by_region).all()


def test_more_hints_do_not_mean_a_larger_object(affinity, truth):
    few, many = hints_at(_0=(20, 5), _1=(20, 17)), hints_at(_0=(20, 5), _1=(20, 17))
    many[2:46, 13:23] = 1
    one, other = (propagate(affinity, each, 0 * truth, classes=1) for each in (few, many))
    assert abs((best(one) == 1).mean() - (best(other) == 1).mean()) < 0.05


def test_one_hint_more_changes_little_far_from_it(truth):
    """Where nothing tells labels apart, they share the image, however often one is hinted at."""
    plain = affinity_of(np.random.default_rng(0).normal(0, 0.1, truth.shape))
    hint_labels = hints_at(_1=(24, 8), _2=(24, 40))
    before = (best(propagate(plain, hint_labels, 0 * truth, classes=2)) == 1).mean()
    for row in (6, 29, 41):
        hint_labels[row - 1 : row + 2, 39:42] = 2
        after = (best(propagate(plain, hint_labels, 0 * truth, classes=2)) == 1).mean()
        assert before - after < 0.08


def test_a_hint_that_is_well_connected_takes_little_more_far_from_it(truth):
    """In a plain image, it does not matter how alike the superpixels of a hint are."""
    plain = affinity_of(np.random.default_rng(0).normal(0, 0.1, truth.shape))
    hint_labels = hints_at(_1=(24, 8), _2=(24, 40))
    strong = plain.alike.toarray()
    near = np.unique(plain.regions[hint_labels == 2])
    strong[near] *= 8
    strong[:, near] *= 8
    joined = replace(plain, alike=sparse.csr_array(strong))
    shares = [
        (best(propagate(each, hint_labels, 0 * truth, classes=2)) == 2).mean()
        for each in (plain, joined)
    ]
    assert abs(shares[1] - shares[0]) < 0.03


def test_the_walk_counts_less_when_there_are_many_hints(affinity, truth):
    """A walk that sees something else is overruled by the graph."""
    wrong = np.roll(np.arange(len(affinity.means)).reshape(CELLS, CELLS), 3, axis=1).ravel()
    strange = replace(affinity, reach=affinity.reach[:, wrong].contiguous())
    leads = []
    for rows in ((24,), (6, 18, 30, 42)):
        hint_labels = np.full(truth.shape, OPEN, np.int32)
        for row in rows:
            hint_labels[row : row + 2, [5, 17, 30]] = 0, 1, 2
        found = [
            propagate(each, hint_labels, 0 * truth, classes=2).by_region
            for each in (affinity, strange)
        ]
        leads.append(np.abs(found[0] - found[1]).mean())
    assert leads[1] < 0.6 * leads[0]


def test_a_walk_over_features_that_do_not_fit_counts_less(affinity, truth):
    """Every second superpixel reaches the wrong stripe: a network that sees something else."""
    hint_labels = np.full(truth.shape, OPEN, np.int32)
    for row in (6, 18, 30, 42):
        hint_labels[row : row + 2, [5, 17, 30]] = 0, 1, 2
    assert walk_reliability(affinity, *separate_hints(affinity, hint_labels)) == 1
    other = np.random.default_rng(2).permutation(len(affinity.means))
    strange = replace(affinity, reach=affinity.reach[other][:, other].contiguous())
    assert walk_reliability(strange, *separate_hints(strange, hint_labels)) < 0.5
    assert (best(propagate(strange, hint_labels, 0 * truth, classes=2)) == truth).mean() > 0.9


def test_hints_as_large_as_an_object(affinity, truth):
    """A rectangle counts like a click, and the rim of a kept outline is no wrong hint."""
    others = hints_at(_0=(20, 5), _2=(20, 30))
    rectangle, outline = others.copy(), others.copy()
    rectangle[8:40, 13:23] = outline[:, 11:25] = 1  # the object is 12 to 23
    for hint_labels in (rectangle, outline):
        found = propagate(affinity, hint_labels, 0 * truth, classes=2)
        open_ = hint_labels == OPEN
        assert (best(found) == truth)[open_].mean() > 0.99


def test_the_background_is_likelier_while_few_hints_show_it(affinity, truth):
    """The same hints: on the background and a class, and on two classes."""
    leads = []
    for rows in ((20,), (8, 20, 32, 44)):
        margins = []
        for first in (0, 1):
            hint_labels = hints_at(**{f"_{first + 1}": (20, 30)})
            for row in rows:
                hint_labels[row - 1 : row + 2, 4:7] = first
            found = propagate(affinity, hint_labels, 0 * truth, classes=first + 1)
            margins.append(found.by_region[0] - found.by_region[1])
        leads.append(margins[0] - margins[1])
    assert (leads[0] > leads[1]).all()
    assert (leads[1] > 0).all()
