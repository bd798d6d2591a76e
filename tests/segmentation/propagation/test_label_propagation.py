"""How hints change scores, compared with loops, and by properties that must hold."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from napari_cliper.segmentation.propagation.label_propagation import (
    BELIEF,
    BEYOND,
    FAINT,
    LEAST,
    MOST,
    OPEN,
    ImageAffinity,
    shift_by,
)

REGIONS = np.repeat(np.arange(4, dtype=np.int32), 3)[None].repeat(2, axis=0)  # (2, 12)


@pytest.fixture
def affinity():
    generator = torch.Generator().manual_seed(1)
    reach = torch.rand(4, 4, generator=generator) + 3 * torch.eye(4)
    nearby = torch.eye(4) + torch.diag(torch.ones(3), 1) + torch.diag(torch.ones(3), -1) > 0
    return ImageAffinity(REGIONS, 4 * reach / reach.sum(dim=1, keepdim=True), nearby)


def nothing() -> np.ndarray:
    return np.full(REGIONS.shape, OPEN, np.int32)


EMPTY = np.zeros(REGIONS.shape, int)
"""Words that find nothing."""
WORDS = np.repeat([0, 0, 2, 3], 3)[None].repeat(2, axis=0)
"""What the words see: background, background, class 1 and class 2."""


def in_loops(affinity, hint_labels, wrong, words, classes) -> np.ndarray:
    """The same, one superpixel after the other."""
    count, reach = len(affinity.reach), affinity.reach.numpy()
    wrongs = np.zeros(hint_labels.shape)
    wrongs[hint_labels != OPEN] = wrong
    spreads, stays = np.zeros((2, count, classes + 1))
    seen = np.zeros((count, classes + 1))
    far_error, far, agrees, edge_error, edges = np.zeros((5, count))
    for node in range(count):
        here = affinity.regions == node
        seen[node] = [(words[here] == label).mean() for label in range(classes + 1)]
    for node in range(count):
        here = (affinity.regions == node) & (hint_labels != OPEN)
        for pixel in zip(*np.nonzero(here), strict=True):
            part, label = 1 / here.sum(), hint_labels[pixel]
            near = any(
                seen[other, label] >= MOST and affinity.nearby[node, other]
                for other in range(count)
            )
            if wrongs[pixel] > 0 and near:
                stays[node, label] += part
                edge_error[node] += part * wrongs[pixel]
                edges[node] += part
            else:
                spreads[node, label] += part
                far_error[node] += part * wrongs[pixel]
                far[node] += part * (wrongs[pixel] > 0)
                agrees[node] += part * (wrongs[pixel] == 0)
    often = np.maximum((spreads + stays).sum(axis=0), 1)
    moved = np.zeros((classes, count))
    for node in range(count):
        density = reach[node] @ spreads / often
        rival = (reach[node] @ (seen / np.maximum(seen.sum(axis=0), 1)) * seen[node]).sum()
        share = density**2 / ((density**2).sum() + rival**2 + FAINT**2)
        against, for_ = reach[node] @ far, reach[node] @ agrees
        amount = BEYOND * (reach[node] @ far_error / max(against, 1e-9) + LEAST)
        amount *= against / (against + for_ + BELIEF)
        moved[:, node] = amount * (share[1:] - share[0])
        if edges[node]:
            local = BEYOND * (edge_error[node] / edges[node] + LEAST)
            moved[:, node] += local * (stays[node, 1:] - stays[node, 0])
    return moved


def test_as_in_loops(affinity):
    hint_labels = nothing()
    (
        hint_labels[0, :2],
        hint_labels[1, 4],
        hint_labels[0, 7:9],
        hint_labels[1, 8],
        hint_labels[1, 9],
    ) = 1, 2, 0, 2, 1
    wrong = torch.tensor([0.3, 0.1, 0.0, 0.5, 0.8, 0.0, 0.7])
    found = shift_by(affinity, hint_labels, wrong, WORDS, 3)
    expected = in_loops(affinity, hint_labels, wrong.numpy(), WORDS, 3)
    np.testing.assert_allclose(found.by_region, expected, atol=1e-5)
    assert found.of(1).shape == REGIONS.shape
    assert found.of(1)[0, 3:6].tolist() == [float(found.by_region[1, 1])] * 3


def test_words_that_are_right_stay(affinity):
    hint_labels = nothing()
    hint_labels[0] = np.repeat([1, 2, 0, 1], 3)
    found = shift_by(affinity, hint_labels, torch.zeros(12), hint_labels.clip(0), 2)
    assert not found.by_region.any()


def test_what_was_named_gains_and_the_rest_does_not(affinity):
    hint_labels = nothing()
    hint_labels[0, 0] = 2
    found = shift_by(affinity, hint_labels, torch.tensor([0.4]), EMPTY, 3)
    assert (found.by_region[1] > 0).all()
    assert not found.by_region[[0, 2]].any()
    assert found.by_region[1].argmax() == affinity.reach[:, 0].argmax()


def test_background_takes_from_every_class(affinity):
    hint_labels = nothing()
    hint_labels[0, 0] = 0
    assert (shift_by(affinity, hint_labels, torch.tensor([0.4]), EMPTY + 2, 3).by_region < 0).all()


def test_an_edge_put_right_moves_its_own_superpixel_alone(affinity):
    """The words see the class next to it."""
    hint_labels = nothing()
    hint_labels[0, 3] = 1
    beside = np.repeat([1, 0, 0, 0], 3)[None].repeat(2, axis=0)
    found = shift_by(affinity, hint_labels, torch.tensor([0.4]), beside, 1).by_region[0]
    assert found[1] > 0.4
    assert not found[[0, 2, 3]].any()


def test_what_the_words_see_everywhere_stands_against_one_click(affinity):
    """A click on a common appearance changes scores less than one on a rare appearance."""
    alike = ImageAffinity(REGIONS, torch.ones(4, 4) + 8 * torch.eye(4), affinity.nearby)
    apart = ImageAffinity(REGIONS, 12 * torch.eye(4), affinity.nearby)
    hint_labels = nothing()
    hint_labels[0, 0] = 1
    rest, own = (
        shift_by(one, hint_labels, torch.tensor([0.4]), EMPTY, 1).by_region[0]
        for one in (alike, apart)
    )
    assert own[0] > 0.4
    assert (rest[1:] < 0.4).all()


def test_certain_mistakes_move_more_than_uncertain_ones(affinity):
    hint_labels = nothing()
    hint_labels[0, 0] = 1
    uncertain, sure = (
        shift_by(affinity, hint_labels, torch.tensor([by]), EMPTY, 1).by_region
        for by in (0.05, 0.9)
    )
    assert (sure > 3 * uncertain).all()


def test_where_words_were_right_nearby_they_are_believed_more(affinity):
    hint_labels = nothing()
    hint_labels[0, 0] = 1
    alone = shift_by(affinity, hint_labels, torch.tensor([0.5]), EMPTY, 2).by_region[0]
    hint_labels[0, 11] = 2
    beside = shift_by(affinity, hint_labels, torch.tensor([0.5, 0.0]), EMPTY, 2).by_region[0]
    assert (beside[3] < alone[3]).all()


def test_contradicting_hints_is_shared(affinity):
    hint_labels = nothing()
    hint_labels[0, 0], hint_labels[0, 1] = 1, 2
    found = shift_by(affinity, hint_labels, torch.tensor([0.5, 0.5]), EMPTY, 2).by_region
    torch.testing.assert_close(found[0], found[1])


def test_a_whole_image_painted(affinity):
    hint_labels = np.repeat([1, 2, 0, 1], 3)[None].repeat(2, axis=0).astype(np.int32)
    found = shift_by(affinity, hint_labels, torch.full((24,), 0.5), EMPTY, 2).by_region
    assert torch.isfinite(found).all()
    assert found[0, 0] > found[1, 0]
    assert found[1, 1] > found[0, 1]
