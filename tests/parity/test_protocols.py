"""The package's published settings are those of the reference folder."""

from __future__ import annotations

import csv
from importlib.resources import files

from napari_cliper.segmentation import METHODS, published_settings


def test_table_is_the_reference(reference):
    ours = (files("napari_cliper.segmentation") / "presets.csv").read_text()
    theirs = reference / "protocols.csv"
    assert not theirs.exists() or ours.split() == theirs.read_text().split()


def test_every_row_gives_its_settings():
    text = (files("napari_cliper.segmentation") / "presets.csv").read_text()
    rows = list(csv.DictReader(text.splitlines()))
    assert {row["method"] for row in rows} <= set(METHODS)
    for row in rows:
        settings = published_settings(row["method"], row["model"], row["protocol"])
        assert settings.validated
        assert settings.shorter_side == int(row["shorter_side"])
        assert settings.logit_scale == float(row["logit_scale"])
        assert settings.background_threshold == float(row["background_thr"] or row["prob_thr"])
