"""What the tests share: options, and small networks under the names of the real ones."""

from __future__ import annotations

import gc
import json
import os
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import platformdirs
import pytest
from threadpoolctl import threadpool_limits
from typer.main import get_command

HERE = Path(__file__).parent

pytest_plugins = ["loopback_hub"]

os.environ["CUDA_VISIBLE_DEVICES"] = ""  # numbers are a CPU's; on a GPU networks take float16
os.environ["OMP_NUM_THREADS"] = "1"  # of libraries loaded later and of child processes
os.environ.setdefault("LP_NUM_THREADS", "1")  # of software rendering, beside other tests

TINY_CLIP = {
    "embed_dim": 32,
    "quick_gelu": True,
    "vision_cfg": {
        "image_size": 64,
        "layers": 3,
        "width": 64,
        "patch_size": 16,
        "head_width": 32,
    },
    "text_cfg": {"context_length": 24, "width": 64, "heads": 2, "layers": 2},
}


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--reference",
        type=Path,
        default=HERE / "parity" / "reference",
        help="folder of reference arrays (see its README.md)",
    )
    parser.addoption(
        "--mutations", type=int, default=2000, help="damaged files that every run of readers gets"
    )
    parser.addoption("--mutation-seed", type=int, default=0, help="which damage is done")


@pytest.fixture(scope="session", autouse=True)
def _one_thread() -> None:
    """Arrays and networks are tiny, and as many tests as cores run beside each other.

    Threads of one operation would only wait for each other, with the cores busy.
    """
    import torch  # noqa: PLC0415 - the process that hands out the tests does without

    torch.set_num_threads(1)
    threadpool_limits(1)


@pytest.fixture(scope="session", autouse=True)
def _imports_set_aside(_one_thread: None) -> None:
    """What was imported stays to the end: collecting garbage need not look through it each time."""
    gc.collect()
    gc.freeze()


@pytest.fixture(scope="session", autouse=True)
def _one_command() -> Iterator[None]:
    """Typer builds all commands again for each call of one: half the time of a small one."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("typer.testing._get_command", cache(get_command), raising=False)
        yield


@pytest.fixture(scope="session", autouse=True)
def _cache_of_this_session(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Nothing goes to the cache of whoever runs the tests, from child processes neither."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_CACHE_HOME", str(tmp_path_factory.mktemp("cache")))
        yield


@pytest.fixture(autouse=True)
def _empty_cache() -> Iterator[None]:
    """No word is known from another test: the cache lies where nothing can be written."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(platformdirs, "user_cache_path", lambda name: Path(__file__) / name)
        yield


@pytest.fixture
def user_cache(_empty_cache: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A cache of the test's own, empty, in the place of none."""
    folder = tmp_path / "cache"
    monkeypatch.setattr(platformdirs, "user_cache_path", lambda name: folder / name)
    return folder / "napari-cliper"


@pytest.fixture(scope="session")
def tiny_clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A CLIP with random weights, its configuration beside it."""
    import open_clip  # noqa: PLC0415 - the process that hands out the tests does without
    import torch  # noqa: PLC0415
    from safetensors.torch import save_file  # noqa: PLC0415

    folder = tmp_path_factory.mktemp("tiny-clip")
    torch.manual_seed(0)
    model = open_clip.CLIP(**TINY_CLIP)
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if "attn" in name or "mlp" in name:
                parameter.mul_(3)  # attention far from uniform
    path = folder / "tiny.safetensors"
    save_file({name: tensor.contiguous() for name, tensor in model.state_dict().items()}, path)
    path.with_suffix(".json").write_text(json.dumps(TINY_CLIP))
    return path
