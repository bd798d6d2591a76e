"""Which patches attend to each other by masks, where the published program fails or has a rule."""

from __future__ import annotations

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from napari_cliper.segmentation.features.interpolation import nearest
from napari_cliper.segmentation.features.mask_scope import merged_masks, scoped_attention
from napari_cliper.segmentation.methods.corrclip import spatial_blocks


def test_patches_attend_inside_of_their_mask():
    torch.manual_seed(0)
    unit = F.normalize(torch.randn(24, 8), dim=-1)
    ids = torch.arange(24) % 4
    attention = scoped_attention(ids, unit)
    torch.testing.assert_close(attention.sum(dim=1), torch.ones(24))
    similarity = unit @ unit.T
    same = (ids[:, None] == ids) & (ids > 0)
    outside = (ids[:, None] == 0) | (ids == 0)
    alike = (similarity > similarity.mean()).fill_diagonal_(True)
    assert ((attention > 0) == (same | (outside & alike))).all()


@pytest.mark.parametrize("ids", [torch.zeros(6), torch.arange(6), torch.ones(6)])
def test_equal_patches_attend_at_least_to_themselves(ids):
    attention = scoped_attention(ids.long(), torch.eye(4)[:1].expand(6, 4))
    assert attention.isfinite().all()
    assert (attention.diagonal() > 0).all()
    torch.testing.assert_close(attention.sum(dim=1), torch.ones(6))
    single = scoped_attention(ids.long()[:1], torch.eye(4)[:1])  # an image of one patch
    assert single.tolist() == [[1.0]]


def test_a_chain_of_similar_masks_is_merged():
    angle = torch.tensor([0.0, 0.0, 0.55, 1.1, 2.5])  # neighbours at 0.15, ends at 0.55
    unit = torch.stack([angle.cos(), angle.sin()], dim=1)
    ids = torch.tensor([0, 7, 9, 8, 20])
    merged = merged_masks(ids, unit).tolist()
    assert merged[0] == 0 < min(merged[1:])
    assert merged[1] == merged[2] == merged[3] != merged[4]
    two = torch.tensor([0, 7, 7, 0, 7])
    assert merged_masks(two, unit) is two  # nothing to merge


def test_nearest_takes_the_pixels_that_torch_takes():
    ids = np.arange(35, dtype=np.int32).reshape(5, 7)
    for shape in ((5, 7), (3, 4), (11, 16), (1, 1)):
        expected = F.interpolate(torch.from_numpy(ids)[None, None].float(), shape)[0, 0]
        np.testing.assert_array_equal(nearest(ids, shape), expected)


def test_spatial_blocks_of_any_clip():
    assert [spatial_blocks(blocks) for blocks in (12, 24, 32)] == [(6, 11), (11, 23), (3, 31)]
    for blocks in range(1, 40):
        first, end = spatial_blocks(blocks)
        assert 0 <= first < end <= blocks
