"""NACLIP and ResCLIP against the arrays of the published program."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from parity_pipeline import check_pipeline, embedded

from napari_cliper.segmentation import SegmentationConfig
from napari_cliper.segmentation.methods.naclip import NaClip
from napari_cliper.segmentation.methods.resclip import ResClip, patch_labels, region_attention
from napari_cliper.segmentation.progress import Monitor
from napari_cliper.segmentation.results import PatchFeatures
from napari_cliper.segmentation.scoring.similarity import Queries
from napari_cliper.segmentation.tiles import Window


class SclipResClip(ResClip):
    pairs, near, residual = ("q-q", "k-k"), False, True


class ClearClipResClip(ResClip):
    pairs, near = ("q-q",), False


class PlainResClip(ResClip):
    pairs, near, residual = ("q-k",), False, True


PASSES = {
    "resclip": ResClip, "sclip_resclip": SclipResClip, "clearclip_resclip": ClearClipResClip,
    "clip_resclip": PlainResClip, "resclip_float16": ResClip,
}  # fmt: skip

TOLERANCE = {"resclip_float16": 1e-3}  # ours is float32


def test_every_case(resclip_case, later_encoder):
    config = resclip_case.config
    names = ["temp_thr", "rcs_tau", "rcs_lambda", "sfr_tau", "sfr_lambda"]
    numbers = tuple(zip(names, (config["temp_thr"], *config["rcs"], *config["sfr"]), strict=True))
    if "logits" in resclip_case.arrays:
        found = check_pipeline(resclip_case, later_encoder, ResClip(), "resclip", numbers)
        windows, queries, settings = found
        for part, expected in zip(windows, resclip_case["patch_labels"], strict=True):
            labels = patch_labels(part, queries, settings, later_encoder.patch, Monitor())
            np.testing.assert_array_equal(labels, expected)
        return
    settings = replace(
        SegmentationConfig(method="resclip").settings(),
        numbers=numbers,
        logit_scale=config["logit_scale"],
    )
    pixels = resclip_case.tensor("pixel_values")
    shape = (pixels.shape[2], pixels.shape[3])
    queries = Queries(resclip_case.tensor("text"), tuple(range(len(resclip_case["text"]))))

    def compare(found, key, atol=1e-4):
        np.testing.assert_allclose(found, resclip_case[key], rtol=0, atol=atol, err_msg=key)

    def encoded(method):
        return method.encode(later_encoder, None, (), pixels, settings, Monitor())

    compare(encoded(NaClip()).features, "naclip")
    for key, kind in PASSES.items():
        if key not in resclip_case.arrays:
            continue
        first = encoded(kind())
        window = Window(0, 0, *shape)
        part = PatchFeatures(first.features, first.grid, None, window, window, shape, *first.extra)
        labels = patch_labels(part, queries, settings, later_encoder.patch, Monitor())
        if key == "resclip":
            compare(first.features, "rcs")
            np.testing.assert_array_equal(labels, resclip_case["patch_labels"])
            expected = resclip_case["sfr_attention"]  # before the division by the maximum
            found = region_attention(labels).numpy() * expected.max()
            compare(found, "sfr_attention", 1e-5 * expected.max())
        image = embedded((part,), "resclip", shape)
        second = kind().with_words(later_encoder, image, queries, settings, Monitor())
        compare(second.windows[0].features, key, TOLERANCE.get(key, 1e-4))
