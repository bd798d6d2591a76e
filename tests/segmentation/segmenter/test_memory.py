"""A segmenter without enough memory, and what it frees."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from segmenter_inputs import CLASSES, IMAGE, maps_of

from napari_cliper.segmentation import ClassPrompt, OutOfMemoryError, Segmenter
from napari_cliper.segmentation.models import loading


@pytest.mark.parametrize(
    "error",
    [
        torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 93 GiB"),
        RuntimeError("[enforce fail] DefaultCPUAllocator: can't allocate memory"),
        RuntimeError("MPS backend out of memory"),
        MemoryError(),
    ],
    ids=["cuda", "cpu", "mps", "python"],
)
@pytest.mark.parametrize("tower", ["image", "text"])
def test_no_memory_left_names_the_ways_out(config, tower, error):
    segmenter = Segmenter(config(method="maskclip"))
    embedding = segmenter.embed(IMAGE)
    network = segmenter.networks.loaded["clip"].network
    module = network.image.visual.conv1 if tower == "image" else network.text.model.ln_final

    def fail(_module, _inputs):
        raise error

    handle = module.register_forward_pre_hook(fail)
    try:
        with pytest.raises(OutOfMemoryError) as caught:
            if tower == "image":
                segmenter.embed(IMAGE)
            else:
                segmenter.score(embedding, CLASSES)
    finally:
        handle.remove()
    assert not isinstance(caught.value, RuntimeError)
    assert caught.value.__cause__ is error
    ways_out = ("smaller shorter side (now 64)", "another refiner (now none", "device 'cpu'")
    for words in ("cpu has not enough memory", *ways_out):
        assert words in str(caught.value)
    assert segmenter.score(embedding, CLASSES).coarse.maps.shape == (2, 64, 78)


def test_other_errors_of_torch_are_not_called_memory(config):
    segmenter = Segmenter(config())
    segmenter.load()

    def fail(_module, _inputs):
        raise RuntimeError("mat1 and mat2 shapes cannot be multiplied")

    handle = segmenter.networks.loaded["clip"].network.image.visual.conv1.register_forward_pre_hook(
        fail
    )
    try:
        with pytest.raises(RuntimeError, match="mat1"):
            segmenter.embed(IMAGE)
    finally:
        handle.remove()


def test_unloaded_networks_are_freed_and_come_back(config):
    segmenter = Segmenter(config(logit_scale=30.0, precision="bfloat16"))
    expected = maps_of(segmenter, ["dog"])
    embedding = segmenter.embed(IMAGE)
    key = next(key for key in loading._store if "torch.bfloat16" in key)
    segmenter.unload()
    assert key not in loading._store
    found = segmenter.score(embedding, [ClassPrompt("dog")], background=("sky", "sea"))
    np.testing.assert_array_equal(found.coarse.maps, expected)
