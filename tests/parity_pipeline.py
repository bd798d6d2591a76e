"""A method from the resized image to labels, as a case of a pipeline describes it."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import torch
import torch.nn.functional as F

from napari_cliper.segmentation import ClassPrompt, RGBImage, SegmentationConfig
from napari_cliper.segmentation.methods.protocol import ImageInput, ImageNetworks
from napari_cliper.segmentation.models.clip_image_encoder import ClipImageEncoder
from napari_cliper.segmentation.progress import Monitor
from napari_cliper.segmentation.results import ImageEmbedding, ScoreMaps
from napari_cliper.segmentation.scoring.similarity import Queries

MEAN, STD = (122.771, 116.746, 104.094), (68.501, 66.632, 70.323)
"""CLIP's, in 8 bits and rounded as in the published programs."""


def embedded(windows, name: str, shape, resized=None) -> ImageEmbedding:
    """The embedding of an image of a size, from its windows."""
    image = np.zeros((*shape, 3), np.uint8)
    return ImageEmbedding(
        image=RGBImage(image),
        resized=image if resized is None else resized,
        whole=None,
        windows=tuple(windows),
        window_attention=None,
        self_attention=None,
        config=SegmentationConfig(method=name),
        record={},
    )


def check_pipeline(case, encoder, method, name: str, numbers=()):
    """Compare cosines at the original size, and labels, with those of the case.

    Returns the windows before they met the words, the queries and the settings.
    """
    config = case.config
    settings = replace(
        SegmentationConfig(method=name).settings(),
        window=config["window"],
        stride=config["stride"],
        logit_scale=config["logit_scale"],
        background_threshold=config["prob_thr"],
        area_threshold=config.get("area_thr", 0),
        numbers=numbers,
    )
    shape = tuple(config["original_shape"])
    encoder = ClipImageEncoder(
        encoder.visual, *(tuple(one / 255 for one in values) for values in (MEAN, STD))
    )
    planes = case["pixel_values"][0].transpose(1, 2, 0)
    pixels = np.round(planes * STD + np.array(MEAN)).astype(np.uint8)
    queries = Queries(case.tensor("text"), tuple(index - 1 for index in config["owner"]))
    found = method.read(ImageNetworks(encoder), ImageInput(pixels, pixels), settings, Monitor())
    embedding = embedded(found.windows, name, shape, pixels)
    embedding = method.with_words(encoder, embedding, queries, settings, Monitor())
    maps = method.score(embedding, queries, settings, encoder.patch)
    logits = F.interpolate(torch.from_numpy(maps.logits)[None], shape, mode="bilinear")[0]
    np.testing.assert_allclose(
        logits / settings.logit_scale, case["logits"], rtol=0, atol=1e-5, err_msg=case.path.stem
    )
    classes = tuple(ClassPrompt(f"class {index}") for index in range(queries.class_count))
    scores = ScoreMaps(
        maps, None, classes, (), shape, settings, SegmentationConfig(method=name), queries.owner
    )
    assert (scores.to_labels() == case["label_map"]).mean() >= 0.995
    return found.windows, queries, settings
