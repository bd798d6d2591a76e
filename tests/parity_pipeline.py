"""A method from the resized image to labels, as a case of a pipeline describes it."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import torch
import torch.nn.functional as F

from napari_cliper.segmentation import ClassPrompt, RGBImage, SegmentationConfig
from napari_cliper.segmentation.methods.protocol import ImageInput, ImageNetworks
from napari_cliper.segmentation.progress import Monitor
from napari_cliper.segmentation.results import ImageEmbedding, ScoreMaps
from napari_cliper.segmentation.scoring.similarity import Queries


def check_pipeline(case, encoder, method, name: str, numbers=()) -> None:
    """Compare cosines at the original size and labels with those of the case."""
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
    pixels = case["pixel_values"][0].transpose(1, 2, 0)
    pixels = np.round((pixels * encoder.std + np.array(encoder.mean)) * 255).astype(np.uint8)
    owner = tuple(index - 1 for index in config["owner"])
    queries = Queries(case.tensor("text"), owner)
    networks = ImageNetworks(encoder)
    embedding = ImageEmbedding(
        image=RGBImage(np.zeros((*shape, 3), np.uint8)),
        resized=pixels,
        **method.read(networks, ImageInput(pixels, pixels), settings, Monitor())._asdict(),
        self_attention=None,
        config=SegmentationConfig(method=name),
        record={},
    )
    maps = method.score(embedding, queries, settings, encoder.patch)
    logits = F.interpolate(torch.from_numpy(maps.logits)[None], shape, mode="bilinear")[0]
    np.testing.assert_allclose(
        logits / settings.logit_scale, case["logits"], rtol=0, atol=1e-5, err_msg=case.path.stem
    )
    classes = tuple(ClassPrompt(f"class {index}") for index in range(queries.class_count))
    scores = ScoreMaps(
        maps, None, classes, (), shape, settings, SegmentationConfig(method=name), owner
    )
    assert (scores.to_labels() == case["label_map"]).mean() >= 0.995
