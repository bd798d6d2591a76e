"""The package's published settings are those of the reference folder."""

from __future__ import annotations

import csv
from importlib.resources import files

from napari_cliper.evaluation.benchmarks import BENCHMARKS
from napari_cliper.segmentation import METHODS, published_settings


def rows(text: str, methods=METHODS) -> list[dict[str, str]]:
    return [row for row in csv.DictReader(text.splitlines()) if row["method"] in methods]


def test_tables_are_the_reference(reference):
    """Rows of methods that are not built in are left out."""
    for ours, theirs in (
        ("presets.csv", ("protocols.csv", "later/protocols.csv")),
        ("presets_extra.csv", ("later/protocols_extra.csv",)),
    ):
        found = rows((files("napari_cliper.segmentation") / ours).read_text())
        expected = [row for name in theirs for row in rows((reference / name).read_text())]
        if ours == "presets_extra.csv":  # the others are in the files of the methods
            expected = [row for row in expected if row["protocol"] in BENCHMARKS]
            found = [row for row in found if row["key"] != "class_token"]  # a rule of CLIPtrase
        assert found == expected


def test_every_row_gives_its_settings():
    text = (files("napari_cliper.segmentation") / "presets.csv").read_text()
    assert len(rows(text)) == len(text.splitlines()) - 1  # each is a method
    for row in rows(text):
        settings = published_settings(
            row["method"], row["model"].replace(" ", "-"), row["protocol"]
        )
        assert settings.validated
        assert settings.shorter_side == int(row["shorter_side"])
        assert settings.logit_scale == float(row["logit_scale"])
        assert settings.background_threshold == float(row["background_thr"] or row["prob_thr"])
