"""How evidence moves scores, against the same said in loops, and by what must hold."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from napari_cliper.segmentation.spreading import (
    BELIEF,
    BEYOND,
    FAINT,
    LEAST,
    OPEN,
    ImageAffinity,
    shift_by,
)

REGIONS = np.repeat(np.arange(4, dtype=np.int32), 3)[None].repeat(2, axis=0)  # (2, 12)


@pytest.fixture
def affinity():
    generator = torch.Generator().manual_seed(1)
    reach = torch.rand(4, 4, generator=generator) + 3 * torch.eye(4)
    return ImageAffinity(REGIONS, 4 * reach / reach.sum(dim=1, keepdim=True))


def nothing() -> np.ndarray:
    return np.full(REGIONS.shape, OPEN, np.int32)


def in_loops(affinity, said, wrong, classes) -> np.ndarray:
    """The same, one superpixel after the other."""
    count = len(affinity.reach)
    wrongs = np.zeros(said.shape)
    wrongs[said != OPEN] = wrong
    votes, error = np.zeros((count, classes + 1)), np.zeros(count)
    contradicts, agrees = np.zeros(count), np.zeros(count)
    for node in range(count):
        here = (affinity.regions == node) & (said != OPEN)
        if here.any():
            votes[node] = [(said[here] == c).mean() for c in range(classes + 1)]
            error[node] = wrongs[here].mean()
            contradicts[node] = (wrongs[here] > 0).mean()
            agrees[node] = (wrongs[here] == 0).mean()
    reach = affinity.reach.numpy()
    moved = np.zeros((classes, count))
    for node in range(count):
        density = reach[node] @ votes / np.maximum(votes.sum(axis=0), 1)
        share = density**2 / ((density**2).sum() + FAINT**2)
        against, for_ = reach[node] @ contradicts, reach[node] @ agrees
        amount = BEYOND * (reach[node] @ error / max(against, 1e-9) + LEAST)
        amount *= against / (against + for_ + BELIEF)
        moved[:, node] = amount * (share[1:] - share[0])
    return moved


def test_as_in_loops(affinity):
    said = nothing()
    said[0, :2], said[1, 4], said[0, 7:9], said[1, 8] = 1, 2, 0, 2
    wrong = torch.tensor([0.3, 0.1, 0.0, 0.5, 0.8, 0.0])
    found = shift_by(affinity, said, wrong, 3)
    np.testing.assert_allclose(
        found.by_region, in_loops(affinity, said, wrong.numpy(), 3), atol=1e-5
    )
    assert found.of(1).shape == REGIONS.shape
    assert found.of(1)[0, 3:6].tolist() == [float(found.by_region[1, 1])] * 3


def test_words_that_are_right_stay(affinity):
    said = nothing()
    said[0] = np.repeat([1, 2, 0, 1], 3)
    found = shift_by(affinity, said, torch.zeros(12), 2)
    assert not found.by_region.any()


def test_what_was_named_gains_and_the_rest_does_not(affinity):
    said = nothing()
    said[0, 0] = 2
    found = shift_by(affinity, said, torch.tensor([0.4]), 3)
    assert (found.by_region[1] > 0).all()
    assert not found.by_region[[0, 2]].any()
    assert found.by_region[1].argmax() == affinity.reach[:, 0].argmax()


def test_background_takes_from_every_class(affinity):
    said = nothing()
    said[0, 0] = 0
    assert (shift_by(affinity, said, torch.tensor([0.4]), 3).by_region < 0).all()


def test_sure_mistakes_move_more_than_doubtful_ones(affinity):
    said = nothing()
    said[0, 0] = 1
    doubtful, sure = (
        shift_by(affinity, said, torch.tensor([by]), 1).by_region for by in (0.05, 0.9)
    )
    assert (sure > 3 * doubtful).all()


def test_where_words_were_right_nearby_they_are_believed_more(affinity):
    said = nothing()
    said[0, 0] = 1
    alone = shift_by(affinity, said, torch.tensor([0.5]), 2).by_region[0]
    said[0, 11] = 2
    beside = shift_by(affinity, said, torch.tensor([0.5, 0.0]), 2).by_region[0]
    assert (beside[3] < alone[3]).all()


def test_contradicting_evidence_is_shared(affinity):
    said = nothing()
    said[0, 0], said[0, 1] = 1, 2
    found = shift_by(affinity, said, torch.tensor([0.5, 0.5]), 2).by_region
    torch.testing.assert_close(found[0], found[1])


def test_a_whole_image_painted(affinity):
    said = np.repeat([1, 2, 0, 1], 3)[None].repeat(2, axis=0).astype(np.int32)
    found = shift_by(affinity, said, torch.full((24,), 0.5), 2).by_region
    assert torch.isfinite(found).all()
    assert found[0, 0] > found[1, 0]
    assert found[1, 1] > found[0, 1]
