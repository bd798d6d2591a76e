"""CLIPtrase against the arrays of the published program."""

from __future__ import annotations

import csv
from dataclasses import replace

import numpy as np
from parity_pipeline import embedded

from napari_cliper.segmentation import ClassPrompt, SegmentationConfig
from napari_cliper.segmentation.methods.cliptrase import (
    PUBLISHED,
    ClipTrase,
    density_clusters,
    self_correlation,
)
from napari_cliper.segmentation.methods.protocol import ImageInput, ImageNetworks
from napari_cliper.segmentation.progress import Monitor
from napari_cliper.segmentation.results import ScoreMaps
from napari_cliper.segmentation.scoring.similarity import Queries


def test_constants_are_the_published_ones(reference):
    text = (reference / "later" / "protocols_extra.csv").read_text()
    published = {
        (int(row["protocol"].removeprefix("side ")) // 16) ** 2: tuple(
            map(float, row["value"].split())
        )
        for row in csv.DictReader(text.splitlines())
        if row["method"] == "cliptrase"
    }
    assert published == PUBLISHED


def test_every_case(cliptrase_case, later_encoder):
    config, image = cliptrase_case.config, cliptrase_case["image"]
    radius, neighbours = config["eps"], config["min_samples"]
    method = type("Clusters", (ClipTrase,), {"clustering": lambda self, n: (radius, neighbours)})()
    settings = replace(
        SegmentationConfig(method="cliptrase").settings(),
        logit_scale=config["logit_scale"],
        numbers=(("class_token", float(config["class_token_logits"])),),
    )
    networks = ImageNetworks(later_encoder)
    found = method.read(networks, ImageInput(image, image), settings, Monitor())
    (part,) = found.windows
    tokens = np.concatenate([part.extra["class_token"][None], part.features[0]])
    np.testing.assert_allclose(tokens, cliptrase_case["cliptrase"][0], rtol=0, atol=1e-4)

    inputs = list(later_encoder.inputs_of_blocks(cliptrase_case.tensor("pixel_values")))
    block = later_encoder.blocks[-2]
    correlation = self_correlation(*later_encoder.project(block, block.ln_1(inputs[-2])))
    expected = cliptrase_case["self_correlation"]
    np.testing.assert_allclose(correlation, expected, rtol=0, atol=1e-5)
    clusters = density_clusters(part.extra["affinity"], radius, neighbours)
    np.testing.assert_array_equal(clusters, cliptrase_case["clusters"])

    classes = config["classes"]
    owner = (*range(classes), *(-1,) * config["background_words"])
    embedding = embedded(found.windows, "cliptrase", image.shape[:2], image)
    queries = Queries(cliptrase_case.tensor("text"), owner)
    scores = ScoreMaps(
        method.score(embedding, queries, settings, later_encoder.patch),
        None,
        tuple(ClassPrompt(f"class {index}") for index in range(classes)),
        (),
        image.shape[:2],
        settings,
        embedding.config,
        owner,
    )
    expected = (cliptrase_case["label_map"].astype(int) + 1) % (classes + 1)  # background is last
    assert (scores.to_labels() == expected).mean() >= 0.995
