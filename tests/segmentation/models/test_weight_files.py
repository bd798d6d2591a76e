"""Weight files of every format are read without running code; damaged ones are named."""

import pickle
import warnings
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from napari_cliper.segmentation.errors import (
    DamagedWeightsError,
    WeightsUnavailableError,
)
from napari_cliper.segmentation.models import weights


def test_tensors_of_every_plain_format(tmp_path):
    tensors = {"a": torch.arange(6.0).reshape(2, 3), "b": torch.ones(2, dtype=torch.float16)}
    save_file(tensors, tmp_path / "a.safetensors")
    torch.save(tensors, tmp_path / "b.bin")
    torch.save({"state_dict": tensors, "epoch": 3}, tmp_path / "c.pt")
    torch.save(tensors, tmp_path / "d.pt", _use_new_zipfile_serialization=False)
    for path in tmp_path.iterdir():
        read = weights.read_tensors(path)
        assert list(read) == ["a", "b"]
        assert all(torch.equal(read[name], tensors[name]) for name in tensors)


class Malicious:
    def __init__(self, target):
        self.target = target

    def __reduce__(self):
        return (Path.touch, (self.target,))


@pytest.mark.parametrize(
    "writer", [torch.save, lambda x, p: p.write_bytes(pickle.dumps(x, protocol=2))]
)
def test_a_pickle_that_runs_code_does_not_run_it(tmp_path, writer):
    target, path = tmp_path / "it_ran", tmp_path / "model.pt"
    writer({"a": Malicious(target)}, path)
    with pytest.raises(DamagedWeightsError, match="none of its code was run") as error:
        weights.read_tensors(path)
    assert str(path) in str(error.value)
    assert not target.exists()


def test_torchscript_is_refused_with_the_reason(tmp_path):
    class Double(torch.nn.Module):
        def forward(self, x):
            return 2 * x

    path = tmp_path / "model.pt"
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", r"`torch\.jit", FutureWarning)
        warnings.filterwarnings("ignore", r"`torch\.jit", DeprecationWarning)
        torch.jit.save(torch.jit.trace(Double(), torch.ones(1)), path)
    with pytest.raises(DamagedWeightsError, match="TorchScript archive, which contains code"):
        weights.read_tensors(path)


@pytest.mark.parametrize("suffix", [".safetensors", ".pt", ".bin"])
@pytest.mark.parametrize(
    ("content", "found"),
    [
        (b"", "unknown data"),
        (b"\xff" * 1000, "unknown data"),
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:12", "git-lfs pointer"),
        (b"<!DOCTYPE html><html>404</html>", "web page"),
        (b"PK\x03\x04" + b"\0" * 100, "zip archive"),
        (b"\x80\x02}q\x00(X\x01", "pickle"),
    ],
)
def test_garbage_is_named_as_such(tmp_path, suffix, content, found):
    path = tmp_path / f"model{suffix}"
    path.write_bytes(content)
    with pytest.raises(DamagedWeightsError, match=r"Delete it and download it again") as error:
        weights.read_tensors(path)
    assert str(path) in str(error.value)
    assert found in str(error.value)
    assert "weights_only" not in str(error.value)  # torch advises to run the code


@pytest.mark.parametrize("share", [0.02, 0.3, 0.6, 0.98])
def test_a_file_that_is_cut_off_is_named(tmp_path, share):
    tensors = {"a": torch.rand(50, 50)}
    save_file(tensors, tmp_path / "a.safetensors")
    torch.save(tensors, tmp_path / "b.pt")
    torch.save(tensors, tmp_path / "c.pt", _use_new_zipfile_serialization=False)
    for path in sorted(tmp_path.iterdir()):
        path.write_bytes(path.read_bytes()[: int(share * path.stat().st_size)])
        with pytest.raises(DamagedWeightsError, match=path.name):
            weights.read_tensors(path)


@pytest.mark.parametrize("content", [[torch.ones(1)], {"a": 3}, {1: torch.ones(1)}, torch.ones(1)])
def test_a_file_without_named_tensors(tmp_path, content):
    torch.save(content, tmp_path / "model.pt")
    with pytest.raises(DamagedWeightsError, match="tensor"):
        weights.read_tensors(tmp_path / "model.pt")


def test_a_file_that_cannot_be_opened(tmp_path):
    with pytest.raises(WeightsUnavailableError, match="No such file"):
        weights.read_tensors(tmp_path / "none.safetensors")
    with pytest.raises(WeightsUnavailableError, match=r"cannot be read"):
        weights.read_tensors(tmp_path)
