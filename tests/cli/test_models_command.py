"""`napari-cliper models`, and help: what needs no network."""

from __future__ import annotations

import subprocess
import sys

import pytest
from typer.testing import CliRunner

from napari_cliper.cli.commands import app


def test_models_lists_sizes_and_licences(monkeypatch, tmp_path):
    monkeypatch.setenv("COLUMNS", "160")
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path))
    result = CliRunner().invoke(app, ["models"])
    assert result.exit_code == 0
    rows = {line.split("│")[1].strip(): line for line in result.stdout.splitlines() if "│" in line}
    assert "599 MB" in rows["ViT-B/16"]
    assert "MIT" in rows["ViT-B/16"]
    assert "no" in rows["ViT-B/16"]
    assert "in the package" in rows["demo"]


@pytest.mark.parametrize("name", ["ViT-B16", "open_clip:ViT-B-16/openay", "open_clip:RN50/openai"])
def test_download_of_a_wrong_name(name):
    result = CliRunner().invoke(app, ["models", "download", name])
    assert result.exit_code == 2
    assert "Error" in result.stderr


def test_download_puts_the_files_into_the_cache(monkeypatch, tmp_path):
    def fetch(row, *, monitor):
        monitor.tell(f"Downloading {row.name}", 5, 10, "byte")
        return {"open_clip_model.safetensors": tmp_path / "blob"}

    monkeypatch.setattr("napari_cliper.segmentation.fetch", fetch)
    result = CliRunner().invoke(app, ["models", "download", "ViT-L/14"])
    assert result.exit_code == 0
    assert str(tmp_path / "blob") in "".join(result.stdout.split())
    assert result.stdout.startswith("ViT-L/14: licence MIT")


def test_help_and_version_load_no_torch():
    code = (
        "import sys\n"
        "from typer.testing import CliRunner\n"
        "from napari_cliper.cli import app\n"
        "for command in ('segment', 'learn', 'evaluate'):\n"
        "    assert CliRunner().invoke(app, [command, '--help']).exit_code == 0\n"
        "assert 'napari-cliper' in CliRunner().invoke(app, ['--version']).output\n"
        "assert 'torch' not in sys.modules\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
