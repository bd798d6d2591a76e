"""Segmenters share networks and stop only themselves."""

from __future__ import annotations

import gc
import threading
import time
import weakref

import numpy as np
import pytest
import torch
from loading_configs import WORDS, config

from napari_cliper.segmentation import Monitor, Segmenter
from napari_cliper.segmentation.errors import DamagedWeightsError, InvalidInputError, Stopped
from napari_cliper.segmentation.models import weights


@pytest.fixture
def nothing_is_held():
    """An error of another test holds what its frames hold, until Python has looked for cycles.

    Tests of the window leave what was there before them out of that search: it is taken in again.
    """
    gc.unfreeze()
    gc.collect()
    gc.freeze()


@pytest.mark.usefixtures("nothing_is_held")
def test_two_segmenters_share_networks_that_are_freed_with_them(tiny_clip, image):
    first, second = Segmenter(config(tiny_clip)), Segmenter(config(tiny_clip, method="maskclip"))
    embedding = first.embed(image)
    second.load()
    assert first.networks.loaded["clip"] is second.networks.loaded["clip"]
    assert embedding.record["weights"] == second.embed(image).record["weights"]
    half = Segmenter(config(tiny_clip, precision="bfloat16"))
    half.load()
    assert half.networks.loaded["clip"] is not first.networks.loaded["clip"]
    network = weakref.ref(first.networks.loaded["clip"].network.image.visual)
    first.unload()
    gc.collect()
    assert network() is not None  # the second still has it
    del second
    gc.collect()
    assert network() is None
    assert first.embed(image).nbytes == embedding.nbytes  # and it can be loaded again


@pytest.mark.usefixtures("nothing_is_held")
def test_networks_are_freed_after_a_stop_and_an_error(tiny_clip, image):
    segmenter = Segmenter(config(tiny_clip))
    segmenter.load()
    network = weakref.ref(segmenter.networks.loaded["clip"].network.image.visual)
    with pytest.raises(Stopped):
        segmenter.embed(image, should_stop=lambda: True)
    with pytest.raises(InvalidInputError):
        segmenter.score(segmenter.embed(image), [])
    del segmenter
    gc.collect()
    assert network() is None


def in_thread(job):
    """Run a job in a thread; its error is the result."""
    outcome = []

    def run():
        try:
            outcome.append(job())
        except Exception as error:  # noqa: BLE001 - handed over to the test
            outcome.append(error)

    thread = threading.Thread(target=run)
    thread.start()
    return thread, outcome


def test_each_job_stops_only_itself(tiny_clip, image):
    """Two threads with one network: one is stopped while it waits for the other."""
    first, second = Segmenter(config(tiny_clip)), Segmenter(config(tiny_clip))
    expected = first.embed(image).whole.features
    second.load()
    inside, go_on, stop_second = (threading.Event() for _ in range(3))

    def slow(_progress):
        inside.set()
        assert go_on.wait(20)

    one, of_one = in_thread(lambda: first.embed(image, report=slow))
    assert inside.wait(20)
    two, of_two = in_thread(lambda: second.embed(image, should_stop=stop_second.is_set))
    two.join(0.3)
    assert two.is_alive()  # one job at a time has the network
    stop_second.set()
    two.join(15)
    assert isinstance(of_two[0], Stopped)
    assert one.is_alive()  # it did not wait for the other job
    go_on.set()
    one.join(20)
    assert torch.equal(of_one[0].whole.features, expected)
    assert torch.equal(second.embed(image).whole.features, expected)


def test_a_stopped_job_lets_the_one_that_waits_go_on(tiny_clip, image):
    first, second = Segmenter(config(tiny_clip)), Segmenter(config(tiny_clip))
    expected = first.embed(image).whole.features
    second.load()
    inside, stop_first = threading.Event(), threading.Event()

    def slow(_progress):
        inside.set()
        time.sleep(0.05)

    def stop():
        return inside.is_set() and stop_first.wait(20)

    one, of_one = in_thread(lambda: first.embed(image, report=slow, should_stop=stop))
    assert inside.wait(20)
    two, of_two = in_thread(lambda: second.embed(image))
    two.join(0.3)
    assert two.is_alive()
    stop_first.set()
    one.join(20)
    two.join(20)
    assert isinstance(of_one[0], Stopped)
    assert torch.equal(of_two[0].whole.features, expected)


def test_jobs_side_by_side_give_what_they_give_alone(tiny_clip, image):
    segmenters = [Segmenter(config(tiny_clip)) for _ in range(4)]
    pictures = [np.roll(image, 7 * i, axis=1) for i in range(4)]

    def answer(segmenter, picture):
        scores = segmenter.score(segmenter.embed(picture), WORDS, background=["grass"])
        return scores.coarse.maps

    alone = [answer(segmenters[0], picture) for picture in pictures]
    jobs = [
        in_thread(lambda s=s, p=p: answer(s, p)) for s, p in zip(segmenters, pictures, strict=True)
    ]
    for (thread, outcome), expected in zip(jobs, alone, strict=True):
        thread.join(30)
        np.testing.assert_array_equal(outcome[0], expected)


@pytest.mark.usefixtures("nothing_is_held")
def test_who_waits_for_the_loading_of_another_can_be_stopped(tiny_clip, image, monkeypatch):
    loads, inside, go_on, stop = [], *(threading.Event() for _ in range(3))
    real = weights.read_tensors

    def slow(path):
        loads.append(path)
        inside.set()
        assert go_on.wait(20)
        return real(path)

    monkeypatch.setattr(weights, "read_tensors", slow)
    segmenters = [Segmenter(config(tiny_clip)) for _ in range(3)]
    one, of_one = in_thread(lambda: segmenters[0].embed(image))
    assert inside.wait(20)
    two, of_two = in_thread(lambda: segmenters[1].embed(image, should_stop=stop.is_set))
    three, of_three = in_thread(lambda: segmenters[2].embed(image))
    stop.set()
    two.join(15)
    assert isinstance(of_two[0], Stopped)
    assert one.is_alive()  # it did not wait for the loading
    go_on.set()
    one.join(20)
    three.join(20)
    assert torch.equal(of_one[0].whole.features, of_three[0].whole.features)
    assert len(loads) == 1  # the third took what the first had loaded


@pytest.mark.usefixtures("nothing_is_held")
def test_a_load_that_failed_is_tried_again(tiny_clip, monkeypatch):
    real, failures = weights.read_tensors, [DamagedWeightsError("not yet whole")]

    def fails_once(path):
        if failures:
            raise failures.pop()
        return real(path)

    monkeypatch.setattr(weights, "read_tensors", fails_once)
    segmenter = Segmenter(config(tiny_clip))
    with pytest.raises(DamagedWeightsError, match="not yet whole"):
        segmenter.load()
    segmenter.load()
    assert segmenter.networks.loaded["clip"].weights[0]["file"] == tiny_clip.name


def test_a_stop_while_hashing(tiny_clip, monkeypatch):
    stages = []

    def should_stop():
        return bool(stages) and stages[-1].startswith("Checking")

    monitor = Monitor(lambda progress: stages.append(progress.stage), should_stop)
    path = tiny_clip.with_name("fresh.safetensors")
    path.write_bytes(tiny_clip.read_bytes())
    path.with_suffix(".json").write_text(tiny_clip.with_suffix(".json").read_text())
    segmenter = Segmenter(config(path))
    monkeypatch.setattr("napari_cliper.segmentation.models.checkpoints._BLOCK", 1000)
    with pytest.raises(Stopped):
        segmenter.load(report=monitor.report, should_stop=monitor.should_stop)
    assert stages[-1] == "Checking fresh.safetensors"
