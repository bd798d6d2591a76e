"""Predictions of a project: kept as long as they are up to date, and bad images left out."""

from __future__ import annotations

import os
import shutil
import socket
from dataclasses import replace

import numpy as np
import pytest
import tifffile
import torch
from distributed import LocalCluster

from napari_cliper.annotation.edit_mask import ACCEPTED
from napari_cliper.annotation.label_store import LabelStore
from napari_cliper.annotation.project.prediction_store import (
    PREDICTIONS,
    PredictionKey,
    StoredPrediction,
)
from napari_cliper.annotation.project.project import Project
from napari_cliper.annotation.stored_state import StoredState
from napari_cliper.demo.run import all_classes
from napari_cliper.demo.scenes import make_scene
from napari_cliper.io import images
from napari_cliper.io.files import FileError
from napari_cliper.labels.label_class import ClassRow
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
    StoredLabels,
    Thresholds,
    TileMemory,
    Tiles,
    Window,
    WorkerLostError,
)
from napari_cliper.segmentation.labelling import labels_by_chunk
from napari_cliper.workflows import cluster as clusters
from napari_cliper.workflows import predict_images as predicting
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


def predicted(folder, paths, key, way):
    """A new project of images, and what predicting them gave."""
    project = Project.create(folder, paths)
    return project, predict_images(project, key, way)


@pytest.fixture
def project(tmp_path):
    paths = []
    for index, name in enumerate("abcd"):
        paths.append(tmp_path / f"{name}.tif")
        tifffile.imwrite(paths[-1], np.full(SHAPE, index, np.uint8))
    return Project.create(tmp_path / "project", paths)


def another_computer():
    """A dask cluster with a thread in the place of another computer."""
    return LocalCluster(
        n_workers=1, threads_per_worker=1, processes=False, protocol="tcp", host="127.0.0.1",
        dashboard_address="127.0.0.1:0", memory_limit=0,
    )  # fmt: skip


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
    with another_computer() as cluster:
        there = on_cluster(Cluster(scheduler=cluster.scheduler_address), job)
        for name, way in (("here", one_by_one(alone)), ("there", there)):
            project, made = predicted(tmp_path / name, paths, key, way)
            assert (made.run, list(made.problems)) == (("a", "c"), ["b"])
            assert "nothing to segment" in made.problems["b"]
            found.append([project.prediction(one, key) for one in made.run])
        large = Plane("large", np.zeros((2048, 2048, 3), np.uint8))  # dask warns above 10 MB
        ((_, refused),) = there(iter([large]), Monitor())
        assert "nothing to segment" in str(refused)
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


def test_a_large_image_is_read_by_tile_labelled_by_chunk_and_kept_in_a_folder(
    tmp_path, monkeypatch
):
    monkeypatch.setattr(predicting, "LARGE_PIXELS", 200 * 200)
    monkeypatch.setattr(images, "LAZY_PIXELS", 200 * 200)
    monkeypatch.setattr(labels_by_chunk, "CHUNK", 96)
    monkeypatch.setattr(labels_by_chunk, "REDUCED_PIXELS", 80 * 80)
    scene = make_scene((256, 320), 1_000_003, unit=256)
    tifffile.imwrite(tmp_path / "big.tif", scene.image, tile=(64, 64), photometric="rgb")
    project = Project.create(tmp_path / "project", [tmp_path / "big.tif"])
    config = SegmentationConfig(model="demo", device="cpu", tiles=Tiles(128, 32), refiner="none")
    segmenter = Segmenter(config, tile_store=TileMemory())
    classes, told = all_classes(), []

    def predict(plane, _report):
        assert not isinstance(plane.pixels, np.ndarray)
        scores = segmenter.score(segmenter.embed(plane.pixels), classes)
        thresholds = scores.settings.thresholds
        predict.expected = scores.to_labels(thresholds)
        found = stored_prediction(scores, thresholds, Monitor(told.append))
        assert found.labels.complete
        return found

    keys = PredictionKey("one"), PredictionKey("two")
    for key in keys:  # the second replaces the first
        assert predict_images(project, key, one_by_one(predict)).run == ("big",)
    found = Project.open(project.folder).prediction("big", keys[1])
    assert isinstance(found.labels, StoredLabels)
    np.testing.assert_array_equal(found.labels[:, :], predict.expected)
    np.testing.assert_array_equal(found.labels[90:100, 7], predict.expected[90:100, 7])
    part = Window(10, 20, 200, 300)
    np.testing.assert_array_equal(found.labels.seen(part), predict.expected[part.slices])
    np.testing.assert_array_equal(found.labels.seen(part, 2), predict.expected[10:200:2, 20:300:2])
    assert found.labels.seen(part, 4).shape == (48, 70)
    assert found.labels.found == set(np.unique(predict.expected).tolist()) - {0}
    assert found.labels.complete
    assert found.uncertainty.shape == found.labels.reduced.shape
    folders = [one for one in (project.folder / PREDICTIONS).iterdir() if one.is_dir()]
    assert len(folders) == 1
    assert ("Labelling", 11, 12) in [(one.stage, one.done, one.total) for one in told]

    store = LabelStore((256, 320))
    store.write((slice(0, 128), slice(0, 320)), np.uint16(1), np.uint8(ACCEPTED))
    project.save("big", StoredState(store, {1: ClassRow("a")}))
    confirmed = predicting.confirmed_in(project, "big", found)
    rows = len(confirmed)
    assert confirmed[: rows // 2].all()
    assert not confirmed[rows // 2 + 1 :].any()

    shutil.rmtree(folders[0])
    assert project.prediction("big", keys[1]) is None
    assert predict_images(project, keys[1], one_by_one(predict)).run == ("big",)
    project.remove_image("big")
    assert not list((project.folder / PREDICTIONS).iterdir())


def test_a_cluster_labels_a_large_image_by_chunk_and_writes_no_features(
    tmp_path, monkeypatch, user_cache
):
    monkeypatch.setattr(predicting, "LARGE_PIXELS", 100 * 100)
    monkeypatch.setattr(images, "LAZY_PIXELS", 100 * 100)
    monkeypatch.setattr(labels_by_chunk, "CHUNK", 96)
    monkeypatch.setattr(labels_by_chunk, "REDUCED_PIXELS", 80 * 80)
    scene = make_scene((192, 256), 1_000_003, unit=256)
    paths = [tmp_path / "big.tif", tmp_path / "damaged.tif"]
    for path in paths:
        tifffile.imwrite(path, scene.image, tile=(64, 64), photometric="rgb", compression="zlib")
    data = bytearray(paths[1].read_bytes())
    data[-4000:] = b"\x7f" * 4000  # pixels of the last tile
    paths[1].write_bytes(data)
    config = SegmentationConfig(model="demo", device="cpu", tiles=Tiles(128, 32), refiner="none")
    classes = all_classes()
    thresholds = config.settings().thresholds
    segmenter = Segmenter(config, tile_store=TileMemory())

    def alone(plane, _report):
        embedding = segmenter.embed(plane.pixels)
        return stored_prediction(segmenter.score(embedding, classes, background=()), thresholds)

    job = PredictionJob(config, classes, (), thresholds, tiles_on_disk=False)
    key, found = PredictionKey("key"), []
    with another_computer() as cluster:
        there = on_cluster(Cluster(scheduler=cluster.scheduler_address), job)
        for name, way in (("here", one_by_one(alone)), ("there", there)):
            project, made = predicted(tmp_path / name, paths, key, way)
            assert (made.run, list(made.problems)) == (("big",), ["damaged"])
            assert "is damaged" in made.problems["damaged"]
            found.append(project.prediction("big", key))
    here, cluster_made = found
    assert isinstance(cluster_made.labels, StoredLabels)
    np.testing.assert_array_equal(here.labels[:, :], cluster_made.labels[:, :])
    np.testing.assert_array_equal(here.labels.counts, cluster_made.labels.counts)
    np.testing.assert_array_equal(here.uncertainty, cluster_made.uncertainty)
    assert len(here.labels.found) > 0
    assert not list(user_cache.rglob("*.zarr.zip"))
