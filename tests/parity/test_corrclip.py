"""CorrCLIP against the arrays of its published program."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import torch
import torch.nn.functional as F

from napari_cliper.segmentation import ClassPrompt, SegmentationConfig, published_settings
from napari_cliper.segmentation.features.interpolation import nearest
from napari_cliper.segmentation.features.mask_scope import mask_clusters
from napari_cliper.segmentation.features.preprocessing import RGBImage
from napari_cliper.segmentation.methods.corrclip import CorrClip, correlated
from napari_cliper.segmentation.methods.protocol import ImageInput, ImageNetworks
from napari_cliper.segmentation.progress import Monitor
from napari_cliper.segmentation.results import ImageEmbedding, ScoreMaps
from napari_cliper.segmentation.scoring.similarity import Queries
from napari_cliper.segmentation.tiles import Window


class Recorded:
    """A foundation model that returns the features of a case, window by window."""

    patch, mean, std = 8, (0.0, 0.0, 0.0), (1.0, 1.0, 1.0)

    def __init__(self, features: torch.Tensor) -> None:
        self.windows = iter(features.split(1))

    def query_key_sums(self, pixels, _monitor=None):
        features = next(self.windows)
        assert features.shape[2:] == tuple(side // self.patch for side in pixels.shape[2:])
        return features


def test_corrclip(corrclip_case, later_encoder):
    if "text" in corrclip_case.arrays:
        check_image(corrclip_case, later_encoder)
    else:
        check_window(corrclip_case, later_encoder)


def check_window(case, clip):
    external, ids = case.tensor("features"), case.tensor("masks").long()
    unit = F.normalize(external[0].flatten(1).T, dim=-1)
    clusters = mask_clusters(nearest(ids, external.shape[2:]).flatten(), unit)
    np.testing.assert_array_equal(clusters, case["mask_clusters"])
    found = correlated(clip, case.tensor("pixel_values"), external, ids)
    np.testing.assert_allclose(found, case["corrclip"], rtol=0, atol=1e-4)


def check_image(case, clip):
    config, masks, shape = case.config, case["masks"], tuple(case.config["original_shape"])
    settings = replace(
        published_settings("proxyclip", "ViT-B/16"),
        window=config["window"],
        stride=config["stride"],
        logit_scale=config["logit_scale"],
        background_threshold=config["prob_thr"],
    )
    pixels = case.pixels()
    method = CorrClip()
    features = method.read(
        ImageNetworks(clip, Recorded(case.tensor("features"))),
        ImageInput(pixels, pixels, masks),
        settings,
        Monitor(),
    )
    configuration = SegmentationConfig(method="proxyclip")
    embedding = ImageEmbedding(
        RGBImage(np.zeros((*shape, 3), np.uint8)), pixels, *features, None, configuration, {}
    )
    queries = Queries(case.tensor("text"), tuple(owner - 1 for owner in config["owner"]))
    coarse = method.score(embedding, queries, settings, clip.patch)
    cosines = coarse.pixel_planes(shape).at(Window(0, 0, *shape)) / settings.logit_scale
    np.testing.assert_allclose(cosines, case["logits"], rtol=0, atol=1e-5)
    names = tuple(ClassPrompt(str(index)) for index in range(queries.class_count))
    scores = ScoreMaps(
        coarse, None, names, (), shape, settings, configuration, queries.owner, masks=masks
    )
    labels = scores.to_labels()
    assert (labels == case["label_map"]).mean() >= 0.995
    assert (replace(scores, masks=None).to_labels() != labels).any()  # the vote did something
