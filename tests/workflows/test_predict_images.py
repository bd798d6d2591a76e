"""Predictions of a project: kept as long as they are up to date, and bad images left out."""

from __future__ import annotations

import os
import socket
from dataclasses import replace

import numpy as np
import pytest
import tifffile
import torch
from distributed import LocalCluster

from napari_cliper.annotation.project.prediction_store import (
    PREDICTIONS,
    PredictionKey,
    StoredPrediction,
)
from napari_cliper.annotation.project.project import Project
from napari_cliper.demo.scenes import make_scene
from napari_cliper.io.files import FileError
from napari_cliper.segmentation import (
    ClassPrompt,
    InvalidInputError,
    Monitor,
    OutOfMemoryError,
    Prototype,
    Prototypes,
    SegmentationConfig,
    Segmenter,
    Stopped,
    Thresholds,
    WorkerLostError,
)
from napari_cliper.workflows import cluster as clusters
from napari_cliper.workflows.cluster import Cluster
from napari_cliper.workflows.predict_images import (
    Plane,
    one_by_one,
    predict_images,
    prediction_key,
    stored_prediction,
)
from napari_cliper.workflows.predict_on_cluster import PredictionJob, on_cluster

SHAPE = (40, 50)
RNG = np.random.default_rng(5)


@pytest.fixture
def project(tmp_path):
    paths = []
    for index, name in enumerate("abcd"):
        paths.append(tmp_path / f"{name}.tif")
        tifffile.imwrite(paths[-1], np.full(SHAPE, index, np.uint8))
    return Project.create(tmp_path / "project", paths)


class Predictor:
    """Counts its calls; refuses the images whose pixels have these values."""

    def __init__(self, bad=()):
        self.seen, self.bad = [], bad

    def __call__(self, plane, _report):
        value = int(plane.pixels[0, 0])
        self.seen.append(value)
        if value in self.bad:
            raise (InvalidInputError if value % 2 else OutOfMemoryError)("too bad")
        labels = RNG.integers(0, 300 if value == 0 else 4, SHAPE).astype(
            np.uint16 if value == 0 else np.uint8
        )
        uncertainty = RNG.random(SHAPE, np.float32)
        record = {"value": value, "words": ["核"]}
        self.last = StoredPrediction(labels, uncertainty, "refined", (0.25, 0.5), record=record)
        return self.last


def test_what_is_up_to_date_is_not_run_again(project, tmp_path):
    predict = Predictor()
    made = predict_images(project, PredictionKey("key"), one_by_one(predict))
    assert (made.run, made.kept, made.problems) == (("a", "b", "c", "d"), (), {})
    last = predict.last
    for one in (project, Project.open(project.folder)):
        found = one.prediction("d", PredictionKey("key"))
        np.testing.assert_array_equal(found.labels, last.labels)
        assert found.labels.dtype == last.labels.dtype
        np.testing.assert_allclose(found.uncertainty, last.uncertainty, atol=1 / 500)
        assert (found.stage, found.scores, found.plane) == ("refined", (0.25, 0.5), ())
        assert found.record == last.record
    assert project.prediction("a", PredictionKey("key")).labels.max() > 255
    assert project.prediction("a", PredictionKey("other")) is None
    learned = PredictionKey("key", "learned")
    assert project.prediction("a", learned) is None
    assert project.prediction("a", learned, any_prototypes=True) is not None
    assert project.prediction("a", PredictionKey("other"), any_prototypes=True) is None

    again = Predictor()
    tifffile.imwrite(tmp_path / "b.tif", np.full(SHAPE, 9, np.uint8))
    os.utime(tmp_path / "b.tif", ns=(1, 1))
    (project.folder / PREDICTIONS / "c.npz").write_bytes(b"PK damaged")
    project.set_status("d", "done")
    made = predict_images(project, PredictionKey("key"), one_by_one(again))
    assert (made.run, made.kept) == (("b", "c"), ("a",))
    assert again.seen == [9, 2]
    files = sorted(path.name for path in (project.folder / PREDICTIONS).iterdir())
    assert files == ["a.npz", "b.npz", "c.npz", "d.npz"]
    project.remove_image("a")
    assert not (project.folder / PREDICTIONS / "a.npz").exists()


def test_a_bad_image_does_not_stop_the_others(project, tmp_path):
    (tmp_path / "a.tif").write_bytes(b"no image")
    made = predict_images(project, PredictionKey("key"), one_by_one(Predictor(bad=(1, 2))))
    assert made.run == ("d",)
    assert list(made.problems) == ["a", "b", "c"]
    assert "a.tif" in made.problems["a"]
    with pytest.raises(InvalidInputError, match="None of the images"):
        predict_images(project, PredictionKey("other"), one_by_one(Predictor(bad=range(9))))
    blocked = project.folder / PREDICTIONS / "d.npz"
    blocked.unlink()
    blocked.mkdir()
    assert (
        "d.npz"
        in predict_images(project, PredictionKey("new"), one_by_one(Predictor())).problems["d"]
    )


def test_what_was_run_before_a_stop_is_kept(project):
    told, key = [], PredictionKey("key")
    monitor = Monitor(told.append, lambda: len(told) == 2)
    with pytest.raises(Stopped):
        predict_images(project, key, one_by_one(Predictor()), monitor)
    assert [(one.done, one.total) for one in told] == [(0, 4), (1, 4)]
    assert predict_images(project, key, one_by_one(Predictor())).kept == ("a", "b")


def test_the_key_is_that_of_all_that_matters():
    classes, background = (ClassPrompt("cell", ("blob",)), ClassPrompt("fibre")), ("glass",)
    config, thresholds = SegmentationConfig(model="demo"), Thresholds(0.3, 0.4)
    vector = torch.nn.functional.normalize(torch.ones(4), dim=0)
    one = Prototype("cell", vector, 2, ("a",), np.zeros((48, 48, 3), np.uint8))
    found = Prototypes("demo", "identity", (one,))
    same = prediction_key(classes, background, config, thresholds, found, 0.5)
    assert same == prediction_key(
        list(classes), list(background), replace(config, device="cpu", offline=True),
        Thresholds(0.3, 0.4), replace(found), 0.5,
    )  # fmt: skip
    keys = {
        same,
        prediction_key(classes[::-1], background, config, thresholds, found, 0.5),
        prediction_key(classes, (), config, thresholds, found, 0.5),
        prediction_key(classes, background, replace(config, seed=1), thresholds, found, 0.5),
        prediction_key(classes, background, config, replace(thresholds, min_max=True), found, 0.5),
        prediction_key(classes, background, config, thresholds, None, 0.5),
        prediction_key(classes, background, config, thresholds, found, None),
        prediction_key(classes, background, config, thresholds, found.renamed("cell", "cyst"), 0.5),
    }
    assert len(keys) == 8
    assert len({key.settings for key in keys}) == 5  # those without words or settings changed


def test_the_image_of_a_prediction_may_be_missing(project, tmp_path):
    predict_images(project, PredictionKey("key"), one_by_one(Predictor()))
    (tmp_path / "a.tif").unlink()
    assert project.prediction("a", PredictionKey("key")) is None
    with pytest.raises(FileError):
        project.save_prediction(
            "a", PredictionKey("key"), Predictor()(Plane("a", np.zeros(SHAPE, np.uint8)), None)
        )


def test_a_cluster_predicts_the_same_and_names_what_it_cannot(tmp_path, monkeypatch):
    monkeypatch.setattr(clusters, "SECONDS_TO_CONNECT", 1)
    paths = [tmp_path / f"{name}.tif" for name in "abc"]
    scenes = [make_scene((64, 80), seed) for seed in range(3)]
    for scene, path in zip(scenes, paths, strict=True):
        size = {"resolution": (1 / 0.5, 1 / 0.5), "metadata": {"unit": "um"}}
        tifffile.imwrite(path, scene.image, imagej=True, **size)
    tifffile.imwrite(paths[1], np.full((64, 80, 3), 127, np.uint8))
    classes = (ClassPrompt("nucleus"), ClassPrompt("crystal"))
    config = SegmentationConfig(model="demo", refiner="none", device="cpu", shorter_side=64)
    thresholds = config.settings().thresholds
    segmenter = Segmenter(config)
    first, *_ = scenes
    names = dict.fromkeys(np.unique(first.labels)[1:].tolist(), "nucleus")
    prototypes = segmenter.learn(
        segmenter.embed(first.image), first.labels, first.labels >= 0, names, "a", pixel_size=0.2
    )
    job = PredictionJob(config, classes, ("glass",), thresholds, prototypes)

    def alone(plane, _report):
        embedding = segmenter.embed(plane.pixels)
        scores = segmenter.score(
            embedding,
            classes,
            background=("glass",),
            prototypes=prototypes,
            pixel_size=plane.pixel_size,
        )
        return stored_prediction(scores, thresholds)

    key, found = PredictionKey("key"), []
    with LocalCluster(  # a thread in the place of another computer
        n_workers=1, threads_per_worker=1, processes=False, protocol="tcp", host="127.0.0.1",
        dashboard_address="127.0.0.1:0", memory_limit=0,
    ) as cluster:  # fmt: skip
        there = on_cluster(Cluster(scheduler=cluster.scheduler_address), job)
        for name, way in (("here", one_by_one(alone)), ("there", there)):
            project = Project.create(tmp_path / name, paths)
            made = predict_images(project, key, way)
            assert (made.run, list(made.problems)) == (("a", "c"), ["b"])
            assert "nothing to segment" in made.problems["b"]
            found.append([project.prediction(one, key) for one in made.run])
    for here, cluster_made in zip(*found, strict=True):
        np.testing.assert_array_equal(here.labels, cluster_made.labels)
        np.testing.assert_array_equal(here.uncertainty, cluster_made.uncertainty)
        assert here.scores == cluster_made.scores
        assert here.record["notes"] == cluster_made.record["notes"]
        assert any("pixel size of this image is 0.5 µm" in one for one in here.record["notes"])
    with pytest.raises(WorkerLostError, match="No scheduler answers"):
        predict_images(project, PredictionKey("new"), there)
    monkeypatch.setattr(clusters, "SECONDS_TO_CONNECT", 20)
    with socket.create_server(("127.0.0.1", 0)) as silent:  # Cancel needs no answer
        address = f"tcp://127.0.0.1:{silent.getsockname()[1]}"
        asked = iter([False] * 3)
        waiting = Monitor(should_stop=lambda: next(asked, True))
        with pytest.raises(Stopped):
            predict_images(
                project, PredictionKey("new"), on_cluster(Cluster(scheduler=address), job), waiting
            )
