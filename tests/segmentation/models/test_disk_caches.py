"""What is on disk is counted, and only what is ours is deleted."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest
import torch
from huggingface_hub import constants

from napari_cliper.segmentation.models import weights
from napari_cliper.segmentation.models.disk_caches import embeddings_cache, weights_cache
from napari_cliper.segmentation.models.registry import REGISTRY, WeightsEntry
from napari_cliper.segmentation.models.text_embeddings import WORD_VECTORS
from napari_cliper.segmentation.models.tile_cache import TileCache

DINO = REGISTRY["dino-vits8"]
FOREIGN = WeightsEntry("x", "clip", "", ("someone/else",), (("a.safetensors",),), 0, "MIT", "")


def files_in(folder):
    return {path for path in Path(folder).rglob("*") if path.is_file() and not path.is_symlink()}


def test_weights_are_counted_and_deleted_and_those_of_others_stay(hub):
    cache = Path(constants.HF_HUB_CACHE)
    assert weights_cache().contents == {}
    hub.files[DINO.repositories[0], "model.safetensors"] = os.urandom(70_000)
    hub.files["someone/else", "a.safetensors"] = os.urandom(30_000)
    weights.fetch(DINO)
    weights.fetch(FOREIGN)  # of the same revision as the first: the hub here has one
    clip = REGISTRY["ViT-B/16"].repositories[0]
    part = cache / f"models--{clip.replace('/', '--')}" / "blobs" / f"{'a' * 64}.incomplete"
    part.parent.mkdir(parents=True)
    part.write_bytes(b"x" * 500)
    found = weights_cache()
    assert found.folder == cache
    assert found.contents == {DINO.repositories[0]: 70_000, clip: 500}
    assert found.nbytes == 70_500

    found.clear()
    assert weights_cache().contents == {}
    assert weights.cached(DINO) is None
    assert weights.cached(FOREIGN) is not None
    sizes = {path.stat().st_size for path in files_in(cache / "models--someone--else")}
    assert 30_000 in sizes
    found.clear()  # nothing is left, and that is no error


def test_embeddings_are_counted_and_deleted_and_other_files_stay(user_cache):
    assert embeddings_cache().contents == {}
    for word in ("cell", "fibre"):
        WORD_VECTORS.put(word, torch.zeros(512))
    TileCache().put("key", {"features": np.zeros((2, 3), np.float16)})
    mine = user_cache / "words" / "notes.txt"
    mine.write_text("of a person")
    found = embeddings_cache()
    assert found.folder == user_cache
    assert found.nbytes == sum(path.stat().st_size for path in files_in(user_cache) - {mine})
    found.clear()
    assert files_in(user_cache) == {mine}
    assert WORD_VECTORS.get("cell") is None


def test_what_cannot_be_deleted_is_named(hub, monkeypatch):
    hub.files[DINO.repositories[0], "model.safetensors"] = os.urandom(20_000)
    weights.fetch(DINO)

    def refuse(path, *_args, **_keywords):
        raise PermissionError(13, "in use", str(path))

    monkeypatch.setattr("shutil.rmtree", refuse)
    with pytest.raises(OSError, match=r"Could not be deleted.*dino"):
        weights_cache().clear()
