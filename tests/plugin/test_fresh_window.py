"""What a user does first, in a process that has not loaded PyTorch before OpenGL."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from napari_cliper.plugin.ui_text import LOADING_PYTORCH
from napari_cliper.segmentation import REGISTRY

pytestmark = pytest.mark.one_binding

DINO = REGISTRY["dino-vits8"]


def seen_in(what, **environment):
    """What the user sees in a fresh process; it must end by itself, and without a crash."""
    script = Path(__file__).with_name("fresh_window.py")
    result = subprocess.run(
        [sys.executable, "-X", "faulthandler", str(script), what],
        env=os.environ | environment,
        capture_output=True,
        text=True,
        timeout=180,
    )
    assert result.returncode == 0, result.stderr
    return json.loads(result.stdout.splitlines()[-1])


def test_download_is_the_first_button_that_is_pressed_without_a_network_and_again(hub, tmp_path):
    hub.files[DINO.repositories[0], DINO.files[0][0]] = os.urandom(400_000)
    found = seen_in("download", HUB=hub.url, HF_HUB_CACHE=str(tmp_path / "fresh"))
    (refused, missing), (loaded, left) = found["tries"]
    assert DINO.name in refused
    assert "no connection" in refused
    assert "Traceback" not in refused
    assert missing == 1
    assert "has been downloaded" in loaded
    assert left == 0
    assert any("MB" in stage for stage in found["stages"])


def test_cancel_while_pytorch_is_loaded_and_run_again():
    found = seen_in("cancel")
    assert found["waiting"] == "PASSIVE"  # PyTorch's threads do not spin beside the window
    assert not found["imported"]  # it was cancelled in the middle of the import
    assert "Cancelled" in found["cancelled"]
    assert LOADING_PYTORCH in found["stages"]
    assert "4 of 4 classes" in found["message"]
    assert found["layers"] == ["scene", "scene prediction"]
    assert max(found["examined"]) < 0.5  # of the objects, by garbage collections
    assert found["freed"]  # a layer that was there before PyTorch
    assert 0 < found["block"] < found["importing"] / 2  # the window did not wait for the import
