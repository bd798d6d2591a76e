"""Progress of a segmenter, and stopping it anywhere."""

from __future__ import annotations

import threading
import time
from weakref import WeakValueDictionary

import numpy as np
import pytest
from segmenter_inputs import CLASSES, IMAGE, maps_of

from napari_cliper.segmentation import Segmenter, Stopped
from napari_cliper.segmentation.models import loading

JOBS = {
    "cliper": {"window": 48, "stride": 32, "refiner": "pamr"},
    "sclip": {"window": 48, "stride": 32, "refiner": "pamr"},
}


def job(segmenter, **callbacks):
    return segmenter.score(segmenter.embed(IMAGE, **callbacks), CLASSES, **callbacks)


@pytest.fixture
def nothing_loaded(monkeypatch):
    monkeypatch.setattr(loading, "_store", WeakValueDictionary())


STAGES = {
    "cliper": [
        "Loading", "Checking", "Encoding the image", "Fusing early layers", "Encoding the windows",
        "Encoding the words", "Refining", "Refining by colour",
    ],
    "sclip": [
        "Loading", "Checking", "Encoding the windows", "Encoding the image",
        "Encoding the words", "Refining", "Refining by colour",
    ],
}  # fmt: skip


@pytest.mark.parametrize("method", JOBS)
@pytest.mark.usefixtures("nothing_loaded")
def test_progress_is_reported_in_order_and_ends(config, method):
    seen = []
    job(Segmenter(config(method=method, **JOBS[method])), report=seen.append)
    told = len(seen)
    stages = list(dict.fromkeys(one.stage for one in seen))
    assert len(stages) == len(STAGES[method])
    assert all(told.startswith(name) for told, name in zip(stages, STAGES[method], strict=True))
    for one in seen:
        assert 0 <= one.done <= one.total
        assert one.unit == ("byte" if one.stage.startswith("Checking") else "step")
    windows = [one.done for one in seen if one.stage == "Encoding the windows"]
    assert windows == sorted(windows)
    time.sleep(0.05)
    assert len(seen) == told


class Patience:
    """Says no so many times, then yes."""

    def __init__(self, times):
        self.left = times

    def __call__(self):
        self.left -= 1
        return self.left < 0


@pytest.mark.parametrize("method", JOBS)
def test_stopping_anywhere_leaves_a_segmenter_that_works(config, method):
    segmenter = Segmenter(config(method=method, **JOBS[method]))
    segmenter.load()
    endless = Patience(10**9)
    expected = job(segmenter, should_stop=endless).refined.maps
    requested = 10**9 - endless.left
    for times in sorted({0, 1, requested - 1, *range(2, requested, requested // 8)}):
        segmenter.networks.text_embeddings.clear()
        stop = Patience(times)
        with pytest.raises(Stopped, match="Stopped on request"):
            job(segmenter, should_stop=stop)
        assert stop.left == -1  # the first yes ends it
    np.testing.assert_array_equal(job(segmenter).refined.maps, expected)
    network = segmenter.networks.loaded["clip"].network
    for tower in (network.image.visual, network.text.model):
        assert not any(module._forward_pre_hooks for module in tower.modules())


@pytest.mark.usefixtures("nothing_loaded")
def test_stopping_while_loading(config):
    segmenter = Segmenter(config())
    with pytest.raises(Stopped):
        segmenter.load(should_stop=lambda: True)
    with pytest.raises(Stopped):
        segmenter.embed(IMAGE, should_stop=lambda: True)
    segmenter.load()
    assert maps_of(segmenter, ["dog"]).shape == (1, 4, 5)


def test_two_jobs_share_one_network_and_a_waiting_one_can_be_stopped(config):
    one, two = Segmenter(config()), Segmenter(config(logit_scale=50.0))
    one.load()
    two.load()
    assert one.networks.loaded["clip"] is two.networks.loaded["clip"]
    inside, go_on, results = threading.Event(), threading.Event(), []

    def wait(_progress):
        inside.set()
        go_on.wait(10)

    thread = threading.Thread(target=lambda: results.append(one.embed(IMAGE, report=wait)))
    thread.start()
    try:
        assert inside.wait(10)
        with pytest.raises(Stopped):
            two.embed(IMAGE, should_stop=Patience(3))
        assert results == []  # it did not wait for the other job
    finally:
        go_on.set()
        thread.join(30)
    assert len(results) == 1
