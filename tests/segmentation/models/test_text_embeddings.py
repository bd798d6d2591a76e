"""Word vectors in memory and on disk: the same whether encoded or remembered, and bounded."""

from __future__ import annotations

import json
import os

import forked
import numpy as np
import pytest
import torch
import torch.nn.functional as F
from safetensors.torch import load_file, save_file

from napari_cliper.segmentation import Monitor, SegmentationConfig, Segmenter
from napari_cliper.segmentation.errors import Stopped
from napari_cliper.segmentation.models import tensor_cache as kept
from napari_cliper.segmentation.models import text_embeddings as words
from napari_cliper.segmentation.models.tensor_cache import TensorCache

pytestmark = pytest.mark.usefixtures("user_cache")

DOG, CAT = ("a dog.", "one dog"), ("a cat.", "one cat")


@pytest.fixture
def segmenter(tiny_clip):
    return fresh(tiny_clip)


@pytest.fixture
def folder(user_cache):
    return user_cache / "words"


@pytest.fixture
def passes(monkeypatch):
    """The prompts that went through a text tower."""
    seen = []
    real = words.TextEncoder.encode

    def counted(self, prompts, monitor=None):
        seen.append(tuple(prompts))
        return real(self, prompts, monitor)

    monkeypatch.setattr(words.TextEncoder, "encode", counted)
    return seen


def fresh(model, **settings):
    """As a program that has just been started."""
    values = {
        "model": str(model),
        "refiner": "none",
        "device": "cpu",
        "shorter_side": 64,
    } | settings
    segmenter = Segmenter(SegmentationConfig(**values))
    segmenter.load()
    return segmenter


def vectors(segmenter, *requested, monitor=None):
    loaded = segmenter.networks.loaded["clip"]
    return segmenter.networks.text_embeddings.of(
        requested, loaded, loaded.network.text, monitor or Monitor()
    )


def test_vectors_from_disk_are_those_that_were_encoded(tiny_clip, segmenter, passes, folder):
    first = vectors(segmenter, DOG, CAT, DOG)
    assert passes == [DOG, CAT]
    again = vectors(fresh(tiny_clip), CAT, DOG)
    assert passes == [DOG, CAT]
    assert torch.equal(again[0].vector, first[1].vector)
    assert torch.equal(again[1].vector, first[0].vector)
    with torch.no_grad():
        text = segmenter.networks.loaded["clip"].network.text
        tokens = text.tokenizer(list(DOG))
        expected = F.normalize(text.model.encode_text(tokens, normalize=True).mean(dim=0), dim=0)
    torch.testing.assert_close(first[0].vector, expected, rtol=0, atol=1e-6)
    assert len(list(folder.iterdir())) == 2


def test_scores_are_the_same_with_words_from_disk(tiny_clip, passes):
    image = np.random.default_rng(0).integers(0, 256, (70, 90, 3), np.uint8)

    def scored():
        segmenter = fresh(tiny_clip)
        return segmenter.score(segmenter.embed(image), ["dog", "cat"], background=["sky"])

    first = scored()
    encoded = len(passes)
    np.testing.assert_array_equal(scored().coarse.maps, first.coarse.maps)
    assert len(passes) == encoded == 3


@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
def test_words_are_exact_whatever_the_image_networks_compute_in(
    tiny_clip, segmenter, passes, precision
):
    (exact,) = vectors(segmenter, DOG)
    other = fresh(tiny_clip, precision=precision)
    image_tower = other.networks.loaded["clip"].network.image
    assert str(image_tower.dtype) == f"torch.{precision}"
    (kept_one,) = vectors(other, DOG)
    other.networks.text_embeddings.clear()
    for file in words.WORD_VECTORS.folder.iterdir():
        file.unlink()
    (encoded,) = vectors(other, DOG)
    assert torch.equal(kept_one.vector, exact.vector)
    assert torch.equal(encoded.vector, exact.vector)
    assert passes == [DOG, DOG]


def test_other_weights_and_another_activation_have_other_vectors(
    tiny_clip, tmp_path, segmenter, passes
):
    (first,) = vectors(segmenter, DOG)
    config = json.loads(tiny_clip.with_suffix(".json").read_text())
    changed = tmp_path / "changed.safetensors"
    tensors = load_file(tiny_clip)
    save_file(tensors | {"token_embedding.weight": tensors["token_embedding.weight"] * 2}, changed)
    changed.with_suffix(".json").write_text(json.dumps(config))
    plain = tmp_path / "plain.safetensors"
    plain.write_bytes(tiny_clip.read_bytes())
    plain.with_suffix(".json").write_text(json.dumps(config | {"quick_gelu": False}))
    for model in (changed, plain):
        (other,) = vectors(fresh(model), DOG)
        assert not torch.allclose(other.vector, first.vector, atol=1e-4)
    same = tmp_path / "another name.safetensors"
    same.write_bytes(tiny_clip.read_bytes())
    same.with_suffix(".json").write_text(json.dumps(config))
    assert torch.equal(vectors(fresh(same), DOG)[0].vector, first.vector)
    assert passes == [DOG] * 3


def test_a_prompt_that_was_cut_is_still_known_to_be(tiny_clip, segmenter):
    long = ("very " * 40 + "long Ångström",)
    assert vectors(segmenter, long)[0].cut == long[0]
    assert vectors(fresh(tiny_clip), long)[0].cut == long[0]
    assert vectors(fresh(tiny_clip), DOG)[0].cut is None


def flipped(content):
    """Another number in the place of one, as a bad disk may give: still a safetensors file."""
    return content[:-4] + bytes([content[-4] ^ 1]) + content[-3:]


@pytest.mark.parametrize(
    "damage",
    [
        lambda content: b"",
        lambda content: b"\xff" * 300,
        lambda content: content[:-7],
        flipped,
    ],
    ids=["empty", "noise", "cut off", "a bit"],
)
def test_a_damaged_file_is_ignored_and_written_anew(tiny_clip, segmenter, folder, passes, damage):
    (first,) = vectors(segmenter, DOG)
    (file,) = folder.iterdir()
    whole = file.read_bytes()
    file.write_bytes(damage(whole))
    (again,) = vectors(fresh(tiny_clip), DOG)
    assert torch.equal(again.vector, first.vector)
    assert passes == [DOG, DOG]
    assert file.read_bytes() == whole


@pytest.mark.parametrize("tensor", [torch.ones(2, 2) / 2, torch.zeros(32)], ids=["shape", "zero"])
def test_a_file_of_another_kind_is_written_anew(tiny_clip, segmenter, folder, passes, tensor):
    (first,) = vectors(segmenter, DOG)
    (file,) = folder.iterdir()
    for name in ("vector", "something else"):
        save_file({name: tensor}, file)
        assert torch.equal(vectors(fresh(tiny_clip), DOG)[0].vector, first.vector)
    assert len(passes) == 3


def test_the_folder_is_bounded_and_the_words_last_used_stay(folder):
    cached_words = TensorCache("words", "vector", most=20)
    for number in range(20):
        cached_words.put(str(number), torch.full((3,), float(number)))
        os.utime(cached_words.path(str(number)), (number, number))
    assert cached_words.get("0") is not None  # used again: now the last one
    cached_words.trim()
    assert len(list(folder.iterdir())) == 20
    cached_words.put("new", torch.ones(3))
    cached_words.trim()
    assert len(list(folder.iterdir())) == 18
    gone = {number for number in range(20) if cached_words.get(str(number)) is None}
    assert gone == {1, 2, 3}
    assert cached_words.get("new") is not None


def test_every_new_word_checks_the_bound(segmenter, folder, monkeypatch):
    monkeypatch.setattr(words, "WORD_VECTORS", TensorCache("words", "vector", most=10))
    for number in range(30):
        vectors(segmenter, (f"word {number}",))
        assert len(list(folder.iterdir())) <= 10
    assert len(segmenter.networks.text_embeddings) == 30  # in memory, where they take 2 KB each


@pytest.mark.parametrize("what", ["no folder", "read-only", "full disk"])
def test_a_cache_that_cannot_be_written_is_no_failure(
    segmenter, folder, user_cache, monkeypatch, what
):
    if what == "no folder":
        user_cache.mkdir(parents=True)
        folder.write_text("a file in the way")
    else:

        def fail(*_args, **_kwargs):
            raise PermissionError(13, "x") if what == "read-only" else OSError(28, "no space")

        monkeypatch.setattr(kept, "save_file", fail)
    (found,) = vectors(segmenter, DOG)
    assert found.vector.norm() == pytest.approx(1)
    if folder.is_dir():
        assert list(folder.iterdir()) == []


def test_what_was_encoded_before_a_stop_is_kept(tiny_clip, segmenter, passes):
    def should_stop():
        return len(passes) > 1

    with pytest.raises(Stopped):
        vectors(segmenter, DOG, CAT, monitor=Monitor(should_stop=should_stop))
    passes.clear()
    vectors(fresh(tiny_clip), DOG, CAT)
    assert passes == [CAT]


WRITER = """
import sys, torch
from pathlib import Path
import platformdirs
platformdirs.user_cache_path = lambda name: Path(sys.argv[1])
from napari_cliper.segmentation.models.tensor_cache import TensorCache
own = TensorCache("words", "vector", most=15)
for turn in range(8):
    for word in range(20):
        own.put(str(word), torch.full((512,), float(word)))
        found = own.get(str((word * 7) % 20))
        assert found is None or torch.equal(found[0], torch.full((512,), (word * 7.0) % 20)), found
    own.trim()
print("done")
"""


def test_two_processes_write_and_trim_one_folder(tmp_path):
    """Each sees a vector whole or not at all, however the other writes and deletes it."""
    printed = [tmp_path / "first", tmp_path / "second"]
    for job in [forked.start(WRITER, tmp_path / "kept", output=output) for output in printed]:
        job.join(120)
    assert [(output / "stdout").read_text() for output in printed] == ["done\n"] * 2
    left = list((tmp_path / "kept" / "words").iterdir())
    assert 0 < len(left) <= 35
    assert {file.suffix for file in left} == {".safetensors"}


def test_an_embedding_in_work_does_not_hold_up_words_that_are_known(segmenter):
    vectors(segmenter, DOG)
    with segmenter.networks.loaded["clip"].for_one_job(Monitor()):
        assert len(vectors(segmenter, DOG)) == 1


def test_images_share_a_clip_that_words_have_alone(segmenter):
    vectors(segmenter, DOG)
    clip = segmenter.networks.loaded["clip"]
    waited = []

    def give_up():
        waited.append(True)
        return len(waited) > 1

    with (
        clip.for_one_job(Monitor(), together=True),
        clip.for_one_job(Monitor(should_stop=give_up), together=True),
    ):
        assert not waited
        with pytest.raises(Stopped), clip.for_one_job(Monitor(should_stop=give_up)):
            pass
    stopping = Monitor(should_stop=lambda: True)
    with (
        clip.for_one_job(Monitor()),
        pytest.raises(Stopped),
        clip.for_one_job(stopping, together=True),
    ):
        pass
    assert len(vectors(segmenter, DOG)) == 1
