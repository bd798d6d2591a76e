"""A method, a refiner and an image encoder are each added by one class and one row of one table."""

from __future__ import annotations

import os
import subprocess
import sys

import numpy as np
import pytest
import torch
from torch import nn

from napari_cliper.demo.scenes import make_scene
from napari_cliper.segmentation import (
    METHODS,
    REFINERS,
    REGISTRY,
    InvalidInputError,
    MethodRow,
    RefinerRow,
    SegmentationConfig,
    Segmenter,
    TileMemory,
    Tiles,
    WeightsEntry,
)
from napari_cliper.segmentation.methods.last_block import LastBlockMethod
from napari_cliper.segmentation.methods.template import Template as MethodTemplate
from napari_cliper.segmentation.models.registry import ROWS
from napari_cliper.segmentation.refiners.protocol import Refiner
from napari_cliper.segmentation.refiners.template import Template as RefinerTemplate

WORDS = ("nucleus", "crystal")
IMAGE = make_scene((64, 80), 5).image


class KeysAlike(LastBlockMethod):
    attention = "k-k"
    residual = False


class Mirror(Refiner):
    def refine(self, maps, embedding, monitor):
        return maps.flip(-1)


class Brightness:
    """An image encoder whose only features of a patch are its mean colour, against the image's."""

    patch, mean, std = 8, (0.0, 0.0, 0.0), (1.0, 1.0, 1.0)
    networks = (nn.Identity(),)

    def features(self, pixels, monitor=None):
        means = nn.functional.avg_pool2d(pixels, self.patch).float()
        return means - means.mean(dim=(2, 3), keepdim=True)

    query_key_sums = features


METHOD = MethodRow("keys-alike", "Keys alike", "A toy.", KeysAlike, published_with="clearclip")
REFINER = RefinerRow("mirror", "Mirror", "A toy.", Mirror)
ENCODER = WeightsEntry(
    "brightness", "foundation", "", (), (), 0, "BSD-3-Clause", "A toy.", patch=8,
    make=lambda architecture, tensors, source: Brightness(),
)  # fmt: skip


@pytest.fixture
def added(monkeypatch):
    """The toys, in their tables."""
    for table, row in ((METHODS, METHOD), (REFINERS, REFINER), (ROWS, ENCODER)):
        monkeypatch.setitem(table, row.name, row)


def scored(**options):
    segmenter = Segmenter(SegmentationConfig(model="demo", **options))
    return segmenter.score(segmenter.embed(IMAGE), WORDS)


@pytest.mark.usefixtures("added")
def test_additions_take_part():
    scores = scored(refiner="mirror")
    np.testing.assert_array_equal(scores.refined.maps, scores.coarse.maps[..., ::-1])
    assert scores.record["config"]["refiner"] == "mirror"

    scores = scored(method="keys-alike", refiner="none")
    assert scores.stages == ("coarse",)
    published = scored(method="clearclip", refiner="none")
    assert np.abs(scores.coarse.maps - published.coarse.maps).max() > 1e-4
    assert scores.settings == published.settings

    refined = scored(refiner="foundation", foundation_model="brightness").refined
    assert refined.maps.shape[1] == scores.settings.shorter_side // 8
    assert np.ptp(refined.maps) > 0
    for method in ("proxyclip", "corrclip"):
        proxied = scored(method=method, refiner="none", foundation_model="brightness")
        assert proxied.to_labels().shape == IMAGE.shape[:2]


@pytest.mark.usefixtures("added")
def test_additions_take_part_in_tiles():
    tiles = Tiles(IMAGE.shape[0] * 2 // 3, scale=0.875)
    for options in (
        {"refiner": "mirror"},
        {"refiner": "foundation", "foundation_model": "brightness"},
        {"method": "keys-alike", "refiner": "none"},
        {"method": "proxyclip", "refiner": "none", "foundation_model": "brightness"},
    ):
        segmenter = Segmenter(
            SegmentationConfig(model="demo", tiles=tiles, **options), tile_store=TileMemory()
        )
        embedding = segmenter.embed(IMAGE)
        assert len(embedding.tiles.layout) > 1
        scores = segmenter.score(embedding, WORDS)
        assert scores.to_labels().shape == IMAGE.shape[:2]
        assert np.ptp(scores.stage().maps) > 0
        again = segmenter.score(segmenter.embed(IMAGE), WORDS)  # attention comes from the store
        np.testing.assert_array_equal(again.stage().maps, scores.stage().maps)
        segmenter.tile_store.entries.clear()  # everything is computed again
        np.testing.assert_array_equal(
            segmenter.score(embedding, WORDS).stage().maps, scores.stage().maps
        )


def test_templates_work(monkeypatch):
    method = MethodRow("copy", "Copy", "", MethodTemplate, published_with="sclip")
    refiner = RefinerRow("copy", "Copy", "", RefinerTemplate)
    monkeypatch.setitem(METHODS, "copy", method)
    monkeypatch.setitem(REFINERS, "copy", refiner)
    scores = scored(method="copy", refiner="copy")
    assert scores.refined.maps.shape[1:] == scores.coarse.maps.shape[1:]
    assert 0 < np.abs(scores.refined.maps - scores.coarse.maps).max() < 1
    assert torch.from_numpy(scores.refined.maps).isfinite().all()


HELP = """
from dataclasses import replace
from napari_cliper.segmentation import METHODS, REFINERS
METHODS["keys-alike"] = replace(METHODS["clip"], name="keys-alike")
REFINERS["mirror"] = replace(REFINERS["pamr"], name="mirror")
from napari_cliper.cli.commands import app
app(["segment", "--help"])
"""


def test_the_command_line_offers_them():
    done = subprocess.run(
        [sys.executable, "-c", HELP], capture_output=True, text=True, check=True, timeout=120,
        env={**os.environ, "COLUMNS": "400", "PYTHONIOENCODING": "utf-8"}, encoding="utf-8",
    )  # fmt: skip
    assert ", clip, keys-alike" in done.stdout
    assert ", none, mirror" in done.stdout


def test_names_in_no_table_are_refused():
    for field, known in (
        ("method", METHODS), ("refiner", REFINERS),
        ("foundation_model", [row.name for row in REGISTRY.values() if row.kind == "foundation"]),
    ):  # fmt: skip
        with pytest.raises(InvalidInputError, match=r"Unknown .* 'no such thing'") as caught:
            SegmentationConfig(**{field: "no such thing"})
        assert all(name in str(caught.value) for name in known)


def test_tables_load_no_network():
    code = (
        "import sys; from napari_cliper.segmentation import METHODS, REFINERS, REGISTRY; "
        "sys.exit('torch' in sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)
