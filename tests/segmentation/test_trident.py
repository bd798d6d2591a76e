"""Trident where its published program fails: windows, values and masks that are not ordinary."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import torch

from napari_cliper.segmentation import Monitor, SegmentationConfig
from napari_cliper.segmentation.features.tiling import sliding_windows
from napari_cliper.segmentation.methods.trident import aligned_shape, correlation, splice
from napari_cliper.segmentation.models.promptable import InputLayout, ObjectEmbedding
from napari_cliper.segmentation.refiners import sam


def test_sides_are_whole_patches_and_no_shorter_than_a_window():
    for patch, window in ((16, 336), (14, 336), (16, 0), (16, 300)):
        for shape in ((448, 597), (336, 336), (320, 480), (100, 2000), (448, 448), (33, 20)):
            found = aligned_shape(shape, patch, window)
            assert all(side % patch == 0 for side in found)
            assert min(found) >= window
            assert aligned_shape(found, patch, window) == found  # then nothing is resized
    assert aligned_shape((448, 597), 16, 336) == (464, 608)  # 597 to 608, 448 * 608 / 597 = 456.25


def test_splice_is_the_mean_and_keeps_a_map_that_windows_are_cut_from():
    torch.manual_seed(0)
    for grid, finer in (((9, 7), 1), ((5, 6), 2)):
        whole = torch.randn(3, grid[0] * finer, grid[1] * finer)
        places = sliding_windows(grid, 4, 3)
        parts = [whole[:, *place.in_pixels(finer).slices] for place in places]
        torch.testing.assert_close(splice(parts, places), whole)
    one, other = torch.zeros(1, 4, 4), torch.ones(1, 4, 4)
    assert splice([one, other], sliding_windows((4, 6), 4, 2))[0, 0].tolist() == [
        0, 0, 0.5, 0.5, 1, 1,
    ]  # fmt: skip


def test_correlation_has_no_empty_row():
    attention = torch.full((2, 6, 6), 1 / 6)
    for values in (torch.zeros(2, 6, 4), torch.ones(2, 6, 4), torch.eye(6).expand(2, -1, -1)):
        for factor, keep in ((1.2, True), (0.0, True), (3.0, False)):
            found = correlation(attention, values, cos_factor=factor, keep_negative=keep)
            torch.testing.assert_close(found.sum(dim=1), torch.ones(6))
    # No value is more similar than 0.9, so that each patch is alone.
    alone = correlation(attention, torch.eye(6).expand(2, -1, -1), cos_factor=9, keep_negative=True)
    torch.testing.assert_close(alone, torch.eye(6))


def test_without_a_region_or_a_mask_the_scores_stay():
    planes = torch.rand(2, 20, 30) * 0.1
    labels = planes.argmax(dim=0).numpy()
    assert sam.find_regions(planes, labels, least=0.2, least_area=1) == []
    refined, decided = sam.refine_by_masks(planes, [], [])
    assert not refined.any()
    assert (decided == -1).all()
    planes[0, 4:12, 6:20] = 0.9
    (region,) = sam.find_regions(planes, planes.argmax(dim=0).numpy(), least=0.2, least_area=1)
    assert (region.plane, region.box) == (0, (2, 3, 5, 9))
    rejected, decided = sam.refine_by_masks(planes, [region], [(torch.ones(20, 30), 0.5)])
    assert (decided == -1).all()
    torch.testing.assert_close(rejected[:, 4:12, 6:20], planes[:, 4:12, 6:20])
    assert not rejected[:, :4].any()
    accepted, decided = sam.refine_by_masks(planes, [region], [(torch.full((20, 30), 9.0), 0.9)])
    np.testing.assert_array_equal(decided, 0)
    torch.testing.assert_close(accepted[0], planes[0] * torch.tensor(9.0).sigmoid())


class Everything:
    """A SAM whose masks cover the image."""

    encoder = SimpleNamespace(layout=InputLayout(64))

    def mask_in_box(self, _embedding, _places, _prompt):
        return torch.full((16, 16), 9.0), 0.95


def test_classes_that_are_absent_win_nothing_after_min_max():
    noise = torch.rand(40, 60) * 0.02
    maps = torch.stack([noise, torch.full((40, 60), 0.3)])
    maps[1, 5:30, 10:50] = 1.0
    config = SegmentationConfig()
    assert config.settings().min_max
    frame = InputLayout(64).frame((40, 60))
    embedding = SimpleNamespace(
        config=config, image=SimpleNamespace(shape=(40, 60)),
        self_attention=ObjectEmbedding(frame, (), ()),
    )  # fmt: skip
    refined = sam.Sam().refine_with(Everything(), maps, embedding, Monitor())
    assert refined[0].max() < 0.03  # in the range that its class score belongs to
    assert refined[1].amin() > refined[0].amax()
    torch.testing.assert_close(refined[1, 10, 20], torch.tensor(1.0), rtol=0, atol=1e-2)


def test_mask_prompts_lie_where_the_image_lies_in_the_square():
    plane = torch.full((30, 60), 0.8)
    for layout, rows in ((InputLayout(64), 8), (InputLayout(64, padded=False), 16)):
        prompt = sam.mask_prompt(plane, layout, least=0.2)
        assert prompt.shape == (16, 16)
        torch.testing.assert_close(prompt[:rows], torch.full((rows, 16), 0.8 * sam.PROMPT_WEIGHT))
        assert not prompt[rows:].any()


def test_planes_of_large_images_are_bounded():
    assert sam.working_shape((400, 600), 20) == (400, 600)
    for shape, planes in (((4000, 6000), 20), ((50_000, 60_000), 150)):
        height, width = sam.working_shape(shape, planes)
        assert height * width * planes <= 1.1 * sam.MOST_VALUES
        assert min(height, width) >= 1
