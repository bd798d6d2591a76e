"""Trident and its refinement with SAM against the arrays of the published program."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import torch
import torch.nn.functional as F

from napari_cliper.segmentation import SegmentationConfig, published_settings
from napari_cliper.segmentation.features.preprocessing import RGBImage
from napari_cliper.segmentation.features.tiling import sliding_windows
from napari_cliper.segmentation.methods.protocol import ImageInput, ImageNetworks
from napari_cliper.segmentation.methods.trident import Trident, aligned_shape, correlation
from napari_cliper.segmentation.models.last_block_attention import mean_similarity
from napari_cliper.segmentation.models.promptable import BlockAttention, InputLayout
from napari_cliper.segmentation.progress import Monitor
from napari_cliper.segmentation.refiners import sam
from napari_cliper.segmentation.results import ImageEmbedding
from napari_cliper.segmentation.scoring.similarity import Queries
from napari_cliper.segmentation.tiles import Window

SIDE = 1024


class Recorded:
    """A foundation model and a SAM that return what is in a case."""

    mean, std = (0.0, 0.0, 0.0), (1.0, 1.0, 1.0)

    def __init__(self, case, patch: int) -> None:
        self.patch = patch
        self.windows = case.tensor("features")
        self.parts = iter(zip(case.tensor("sam_attention"), case.tensor("sam_values"), strict=True))

    def features(self, pixels, _monitor):
        found, self.windows = self.windows.split([len(pixels), len(self.windows) - len(pixels)])
        return found

    def last_attention(self, _image, _monitor):
        attention, values = next(self.parts)
        return BlockAttention(values.shape[1:3], values.flatten(1, 2), attention.__getitem__)


def test_trident(trident_case, later_encoder):
    if "pixel_values" in trident_case.arrays:
        check_windows(trident_case, later_encoder)
        check_correlation(trident_case)
        check_image(trident_case, later_encoder)
    else:
        check_prompts(trident_case)
        check_refined(trident_case)


def check_windows(case, clip):
    config, planes, features = case.config, case.tensor("pixel_values"), case.tensor("features")
    shape = aligned_shape(planes.shape[2:], clip.patch, config["window"])
    planes = F.interpolate(planes, shape, mode="bilinear")
    places = sliding_windows(shape, config["window"], config["stride"])
    crops = torch.cat([planes[..., *place.slices] for place in places])
    if case["window_pixel_values"].size:
        np.testing.assert_allclose(crops, case["window_pixel_values"], rtol=0, atol=1e-5)
    mean = mean_similarity(features)
    found = clip.proxied_tokens(crops, features, beta=1.2, gamma=3.0, mean=mean)
    np.testing.assert_allclose(found, case["proxied"], rtol=0, atol=1e-4)


def check_correlation(case):
    parts = zip(case.tensor("sam_attention"), case.tensor("sam_values"), strict=True)
    for (attention, values), expected in zip(parts, case["correlation"], strict=True):
        found = correlation(
            attention,
            values.flatten(1, 2),
            cos_factor=case.config["cos_factor"],
            keep_negative=case.config["refine_negative"],
        )
        np.testing.assert_allclose(found, expected, rtol=0, atol=1e-5)


def check_image(case, clip):
    config, pixels = case.config, case.pixels()
    shape = tuple(config["original_shape"])
    numbers = (("cos_fac", config["cos_factor"]), ("refine_neg_cos", config["refine_negative"]))
    settings = replace(
        published_settings("proxyclip", "ViT-B/16"),
        window=config["window"], stride=config["stride"], logit_scale=1.0, numbers=numbers,
    )  # fmt: skip
    recorded = Recorded(case, round(config["window"] / case["features"].shape[2]))
    original = np.zeros((*shape, 3), np.uint8)
    method = Trident()
    features = method.read(
        ImageNetworks(clip, recorded, recorded), ImageInput(pixels, original), settings, Monitor()
    )
    np.testing.assert_allclose(features.windows[0].features, case["trident"], rtol=0, atol=1e-4)
    configuration = SegmentationConfig(method="proxyclip")
    embedding = ImageEmbedding(RGBImage(original), pixels, *features, None, configuration, {})
    queries = Queries(case.tensor("text"), tuple(range(len(case["text"]))))
    coarse = method.score(embedding, queries, settings, clip.patch)
    cosines = coarse.pixel_planes(shape).at(Window(0, 0, *shape))
    np.testing.assert_allclose(cosines, case["logits"], rtol=0, atol=1e-5)


def regions_of(case):
    return sam.find_regions(
        case.tensor("probabilities"),
        case["label_map_before"],
        least=case.config["coarse_thr"],
        least_area=case.config["minimal_area"],
    )


def check_prompts(case):
    config, planes, layout = case.config, case.tensor("probabilities"), InputLayout(SIDE)
    assert config["sam_iou_thr"] == sam.LEAST_SCORE
    assert config["sam_mask_coef"] == sam.PROMPT_WEIGHT
    regions = regions_of(case)
    shape = sam.half_shape(planes.shape[1:])
    frame = layout.frame(shape)
    corners = [frame.to_square((one.box[:2], one.box[2:])) for one in regions]
    np.testing.assert_allclose(np.reshape(corners, (-1, 4)), case["boxes"], rtol=0, atol=1e-3)
    peaks = [frame.to_square((one.peak,))[0] for one in regions]
    np.testing.assert_allclose(peaks, case["points"], rtol=0, atol=1e-3)
    used = sorted({one.plane for one in regions})
    assert [sum(one.plane == index for one in regions) for index in used] == config[
        "regions_per_call"
    ]
    half = F.interpolate(planes[None], shape, mode="bilinear")[0]
    prompts = [sam.mask_prompt(half[one], layout, least=config["coarse_thr"]) for one in used]
    np.testing.assert_allclose(torch.stack(prompts), case["mask_prompts"], rtol=0, atol=1e-5)


def check_refined(case):
    planes = case.tensor("probabilities")
    frame = InputLayout(SIDE).frame(tuple(planes.shape[1:]))
    masks = frame.to_image(case.tensor("sam_logits"))
    answers = zip(masks, case["sam_scores"].tolist(), strict=True)
    refined, decided = sam.refine_by_masks(planes, regions_of(case), answers)
    np.testing.assert_allclose(refined, case["refined"], rtol=0, atol=1e-5)
    labels = np.where(decided >= 0, decided, case["label_map_before"])
    assert (labels == case["label_map"]).mean() >= 0.995
