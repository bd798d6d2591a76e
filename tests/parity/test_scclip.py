"""SC-CLIP against the arrays of the published program."""

from __future__ import annotations

import csv

import numpy as np
from parity_pipeline import check_pipeline

from napari_cliper.segmentation import SegmentationConfig
from napari_cliper.segmentation.methods.scclip import (
    CONTAMINATION,
    NEIGHBOURS,
    PUBLISHED,
    Constants,
    ScClip,
    anomalies,
    anomaly_scores,
    repaired,
    similarity,
)
from napari_cliper.segmentation.progress import Monitor


def with_constants(config) -> ScClip:
    constants = Constants(
        similarity=config["pre_adjust_idx"] + 1,
        smoothing=config["post_adjust_idx"] + 1,
        first=config["multi_start_idx"] + 1,
        last=config["multi_end_idx"],
        class_token=config["res_cls"],
        threshold=config["beta"],
    )
    return type("WithConstants", (ScClip,), {"constants": lambda self, layers: constants})()


def test_constants_are_the_published_ones(reference):
    text = (reference / "later" / "protocols_extra.csv").read_text()
    for row in csv.DictReader(text.splitlines()):
        if row["method"] == "scclip":
            names = [f"{key}_idx" if "_" in key else key for key in row["key"].split()]
            config = dict(zip(names, map(float, row["value"].split()), strict=True))
            config["res_cls"] = config.pop("res_cls_idx")
            blocks = 24 if "ViT-L" in row["protocol"] else 12
            assert with_constants(config).constants(blocks) == PUBLISHED[blocks]
            assert (config["neighbours"], config["contamination"]) == (NEIGHBOURS, CONTAMINATION)


def test_every_case(scclip_case, later_encoder):
    method = with_constants(scclip_case.config)
    if "logits" in scclip_case.arrays:
        check_pipeline(scclip_case, later_encoder, method, "scclip")
        return
    pixels = scclip_case.tensor("pixel_values")
    settings = SegmentationConfig(method="scclip").settings()
    features, grid, _ = method.encode(later_encoder, None, (), pixels, settings, Monitor())
    np.testing.assert_allclose(features, scclip_case["scclip"], rtol=0, atol=1e-4)

    outputs = list(later_encoder.inputs_of_blocks(pixels))
    scores = anomaly_scores(outputs[-1][0, 1:])
    np.testing.assert_allclose(scores, scclip_case["anomaly_scores"], rtol=0, atol=1e-5)
    anomalous = anomalies(scores)
    np.testing.assert_array_equal(anomalous.nonzero()[:, 0], np.sort(scclip_case["anomalies"]))
    block = outputs[method.constants(12).similarity][0, 1:]
    cosines = similarity(repaired(block, grid, anomalous))
    np.testing.assert_allclose(cosines, scclip_case["similarity"], rtol=0, atol=1e-5)
