"""Runs on a cluster whose workers are functions of this process: what the journal keeps."""

from __future__ import annotations

from contextlib import contextmanager

import pytest
from PIL import Image

from napari_cliper.demo.scenes import make_scene
from napari_cliper.segmentation import (
    ClassPrompt,
    Monitor,
    SegmentationConfig,
    Segmenter,
    TileMemory,
    Tiles,
    WorkerLostError,
)
from napari_cliper.workflows import segment_large, segment_run
from napari_cliper.workflows.image_sources import find_images
from napari_cliper.workflows.segment_cluster import on_cluster
from napari_cliper.workflows.segment_files import SegmentJob
from napari_cliper.workflows.segment_run import SegmentRun


class Workers:
    """A cluster with one worker, which dies at some images."""

    def __init__(self, deadly):
        self.deadly = deadly
        self.tasks = []

    @contextmanager
    def workplace(self, setup, _monitor):
        self.own = setup()
        yield self

    def call(self, work, _monitor):
        return work(self.own)

    def each(self, work, items, _monitor):
        for item in items:
            name = work.keywords["here"].source.name if "here" in work.keywords else item[0].name
            self.tasks.append(name)
            if name in self.deadly and (name != "large.png" or "here" in work.keywords):
                yield item, WorkerLostError("4 workers died.")
            else:
                yield item, work(self.own, item)


@pytest.fixture
def outcomes(tiny_clip, tmp_path, monkeypatch):
    """Run the images on workers; return the outcome of each by name."""
    monkeypatch.setattr(segment_large, "TILES_APART", 8)
    (tmp_path / "in").mkdir()
    for name, shape in {"a": (56, 64), "b": (56, 64), "large": (200, 260)}.items():
        Image.fromarray(make_scene(shape, 1).image).save(tmp_path / "in" / f"{name}.png")
    config = SegmentationConfig(
        model=str(tiny_clip), refiner="none", shorter_side=64, templates="word", tiles=Tiles(64)
    )
    segmenter = Segmenter(config)
    job = SegmentJob(
        config,
        [ClassPrompt("nucleus")],
        tmp_path / "out",
        segmenter.settings.thresholds,
        TileMemory(),
    )

    def run(deadly=(), **options):
        workers = Workers(deadly)
        one = SegmentRun(segmenter, job, find_images([tmp_path / "in"]), **options)
        made = one.outcomes(on_cluster(workers), Monitor(), lambda note: None)
        return {outcome.source.name: outcome for outcome in made}, workers

    return run


def test_an_image_that_kills_its_workers_is_listed_until_retry(outcomes, monkeypatch):
    hashed, digest = [], segment_run.image_digest

    def counted(job, source):
        hashed.append(source.name)
        return digest(job, source)

    monkeypatch.setattr(segment_run, "image_digest", counted)
    first, _ = outcomes(deadly=("b.png", "large.png"))
    assert sorted(hashed) == ["a.png", "large.png"]  # each once; b.png died before
    for name in ("b.png", "large.png"):
        assert name in first[name].error
        assert "4 workers died" in first[name].error
        assert len(first[name].record["digest"]) == 64
        assert not first[name].unfit
    again, workers = outcomes()
    assert workers.tasks == ["a.png", "b.png", "large.png"]  # looked at, and not segmented
    assert {name for name, one in again.items() if one.earlier} == {"a.png", "b.png", "large.png"}
    assert again["large.png"].error == first["large.png"].error
    last, _ = outcomes(retry=True)
    assert not any(one.error for one in last.values())
    assert last["large.png"].segmented is not None
