"""The figures against scikit-learn's, against numbers by hand, and against plain geometry."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import ndimage
from skimage.draw import disk
from sklearn import metrics as sk

from napari_cliper.evaluation.metrics import (
    IGNORED,
    Scores,
    boundary_f1,
    class_accuracy,
    class_iou,
    confusion_matrix,
    image_scores,
    mean_iou,
    together,
)
from napari_cliper.segmentation import InvalidInputError


def random_pair(seed, count, ignored=0.0, shape=(23, 31), dtype=np.uint8):
    random = np.random.default_rng(seed)
    truth = random.integers(0, count, shape).astype(np.uint16)
    predicted = np.where(random.random(shape) < 0.6, truth, random.integers(0, count, shape))
    truth[random.random(shape) < ignored] = IGNORED
    return truth, predicted.astype(dtype)


def test_mean_iou_by_hand():
    truth = np.array([[0, 0, 1, 1], [2, 2, 2, 2]])
    labels = np.array([[0, 1, 1, 1], [2, 2, 0, 3]])
    confusion = confusion_matrix(truth, labels, 5)
    assert confusion[0, 1] == 1
    # 3 is given by mistake, 4 is nowhere
    np.testing.assert_allclose(class_iou(confusion), [1 / 3, 2 / 3, 2 / 4, 0, np.nan])
    assert mean_iou(confusion) == pytest.approx((1 / 3 + 2 / 3 + 1 / 2) / 3)
    scores = Scores(confusion, np.full(5, np.nan), np.nan)
    assert scores.mean_iou_found == pytest.approx((1 / 3 + 2 / 3 + 1 / 2) / 4)


@pytest.mark.filterwarnings("ignore:A single label was found:UserWarning:sklearn")
@pytest.mark.parametrize("ignored", [0.0, 0.3])
@pytest.mark.parametrize(("count", "dtype"), [(1, np.uint8), (4, np.uint8), (300, np.uint16)])
@pytest.mark.parametrize("seed", range(4))
def test_figures_are_those_of_scikit_learn(seed, count, dtype, ignored):
    truth, predicted = random_pair(seed, count, ignored, dtype=dtype)
    kept = truth != IGNORED
    flat, given = truth[kept].astype(int), predicted[kept].astype(int)
    confusion = confusion_matrix(truth, predicted, count)
    np.testing.assert_array_equal(
        confusion, sk.confusion_matrix(flat, given, labels=np.arange(count))
    )
    found = np.union1d(flat, given)  # what scikit-learn calls undefined is NaN here
    iou = sk.jaccard_score(flat, given, labels=found, average=None)
    np.testing.assert_allclose(class_iou(confusion)[found], iou)
    assert np.isnan(np.delete(class_iou(confusion), found)).all()
    there = np.unique(flat)
    scores = Scores(confusion, np.full(count, np.nan), np.nan)
    recall = sk.recall_score(flat, given, labels=there, average=None)
    np.testing.assert_allclose(class_accuracy(confusion)[there], recall)
    assert scores.mean_accuracy == pytest.approx(recall.mean())
    assert scores.pixel_accuracy == pytest.approx(sk.accuracy_score(flat, given))
    macro = sk.jaccard_score(flat, given, labels=there, average="macro")
    assert scores.mean_iou == pytest.approx(macro)
    assert scores.mean_iou_found == pytest.approx(iou.mean())


@pytest.mark.parametrize("ignore", [(7,), (0, 7), (7, 9)])
def test_any_label_can_be_ignored(ignore):
    truth, predicted = random_pair(3, 5)
    marked = truth.copy()
    marked[:4] = 7
    confusion = confusion_matrix(marked, predicted, 5, ignore)
    kept = ~np.isin(marked, ignore)
    expected = sk.confusion_matrix(marked[kept], predicted[kept], labels=np.arange(5))
    np.testing.assert_array_equal(confusion, expected)


def test_nothing_to_measure_is_no_number():
    truth = np.full((4, 5), IGNORED, dtype=np.uint16)
    scores = image_scores(truth, np.zeros((4, 5), dtype=np.uint8), 3)
    assert scores.confusion.sum() == 0
    figures = (scores.mean_iou, scores.mean_iou_found, scores.pixel_accuracy, scores.mean_accuracy)
    assert np.isnan((*figures, scores.mean_boundary_f1, *scores.iou, *scores.boundary)).all()


@pytest.mark.parametrize(
    ("truth", "predicted", "words"),
    [
        (np.zeros((2, 3), int), np.zeros((3, 2), int), "differ in size"),
        (np.full((2, 3), 4), np.zeros((2, 3), int), "ground truth contain the value 4"),
        (np.zeros((2, 3), int), np.full((2, 3), 3), "labels contain the value 3"),
        (np.full((2, 3), -1), np.zeros((2, 3), int), "the value -1"),
    ],
)
def test_labels_without_a_class_are_refused(truth, predicted, words):
    with pytest.raises(InvalidInputError, match=words):
        confusion_matrix(truth, predicted, 3)


# ---------------------------------------------------------------------- outlines


def square(shift=0, shape=(400, 300), value=1):
    labels = np.zeros(shape, dtype=np.uint16)
    labels[100 + shift : 250 + shift, 60:200] = value
    return labels


REACH = 0.0075 * 500  # the diagonal of 400 x 300 is 500: 3.75 pixels


def test_the_same_outline_is_perfect_and_a_far_one_worthless():
    np.testing.assert_allclose(boundary_f1(square(), square(), 3), [1, 1, np.nan])
    far = np.zeros((400, 300), dtype=np.uint8)
    far[350:360, 280:290] = 1
    np.testing.assert_allclose(boundary_f1(square(), far, 2), [0, 0])


@pytest.mark.parametrize(("shift", "perfect"), [(1, True), (3, True), (4, False), (8, False)])
def test_the_tolerance_is_three_quarters_of_a_per_cent_of_the_diagonal(shift, perfect):
    scores = boundary_f1(square(), square(shift), 2)
    if perfect:
        np.testing.assert_allclose(scores, 1)
    else:
        assert (scores < 0.75).all()  # the sides agree, the ends do not
        assert (scores > 0.4).all()


@pytest.mark.parametrize("seed", range(5))
def test_as_by_distance_maps_of_random_blobs(seed):
    """The same figure by dilating one outline with a disk, as the paper describes it."""
    random = np.random.default_rng(seed)
    shape = (160, 200)
    truth, predicted = (
        np.digitize(ndimage.gaussian_filter(random.normal(size=shape), 9), [-0.02, 0.02])
        for _ in range(2)
    )
    reach = 0.0075 * np.hypot(*shape)
    offsets = np.mgrid[-3:4, -3:4]
    ball = np.hypot(*offsets) <= reach
    cross = ndimage.generate_binary_structure(2, 1)
    expected = []
    for label in range(3):
        # what erosion takes away, but for the image's border, which counts as inside
        true, given = (
            mask & ~ndimage.binary_erosion(mask, cross, border_value=1)
            for mask in (truth == label, predicted == label)
        )
        precision = ndimage.binary_dilation(true, ball)[given].mean()
        recall = ndimage.binary_dilation(given, ball)[true].mean()
        expected.append(2 * precision * recall / (precision + recall))
    np.testing.assert_allclose(boundary_f1(truth, predicted, 3), expected, atol=1e-9)


def test_an_ignored_band_instead_of_an_outline_costs_nothing():
    truth = square()
    inner = ndimage.binary_erosion(truth == 1, iterations=2)
    outer = ndimage.binary_dilation(truth == 1, iterations=2)
    truth[outer & ~inner] = IGNORED
    np.testing.assert_allclose(boundary_f1(truth, square(), 2), 1)
    assert (boundary_f1(truth, square(12), 2) < 0.8).all()


def test_deeply_ignored_pixels_count_nowhere():
    truth, predicted = square(), square()
    hole = np.zeros(truth.shape, dtype=bool)
    hole[disk((320, 150), 40, shape=truth.shape)] = True
    predicted[disk((320, 150), 20, shape=truth.shape)] = 2
    assert boundary_f1(truth, predicted, 3)[0] < 0.95
    truth[hole] = IGNORED
    np.testing.assert_allclose(boundary_f1(truth, predicted, 3)[:2], 1)


@pytest.mark.parametrize("shape", [(1, 1), (1, 7), (2, 2)])
def test_tiny_images_and_a_label_that_fills_all(shape):
    full = np.ones(shape, dtype=np.uint16)
    assert np.isnan(boundary_f1(full, full, 2)).all()  # no outline anywhere
    if full.size > 1:
        other = full.copy()
        other[0, 0] = 0
        assert boundary_f1(full, other, 2)[1] == 0  # an outline where there is none


# ---------------------------------------------------------------------- many images


def test_together_counts_pixels_together_and_means_outlines_by_image():
    pairs = [random_pair(seed, 4, 0.1) for seed in range(3)]
    images = [image_scores(*pair, 4) for pair in pairs]
    scores = together(images, 4)
    truth, predicted = (np.concatenate([pair[i] for pair in pairs]) for i in range(2))
    np.testing.assert_array_equal(scores.confusion, confusion_matrix(truth, predicted, 4))
    boundary = np.array([boundary_f1(*pair, 4) for pair in pairs])
    np.testing.assert_allclose(scores.boundary, boundary.mean(axis=0))
    assert scores.mean_boundary_f1 == pytest.approx(boundary.mean(axis=1).mean())


def test_together_leaves_out_images_without_the_class():
    with_one, without = square(), np.zeros((400, 300), dtype=np.uint16)
    images = [image_scores(with_one, square(8), 2), image_scores(without, without, 2)]
    scores = together(images, 2)
    assert scores.boundary[1] == images[0].boundary[1]
    assert scores.mean_boundary_f1 == pytest.approx(images[0].mean_boundary_f1)
