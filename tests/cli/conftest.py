"""The commands as a person types them."""

from __future__ import annotations

import pytest
from typer.testing import CliRunner

from napari_cliper.cli.commands import app
from napari_cliper.io.writers import ome_zarr
from napari_cliper.workflows import segment_large


@pytest.fixture
def export(tmp_path):
    """Run the command; the results go into out."""

    def run(*arguments):
        given = [str(argument) for argument in arguments]
        output = [] if "--output" in given else ["--output", str(tmp_path / "out")]
        return CliRunner().invoke(app, ["export", *given, *output])

    return run


@pytest.fixture(scope="module")
def small_limits():
    """Images of 8 tiles are large; their labels are OME-Zarr of several chunks and levels."""
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(segment_large, "TILES_APART", 8)
        patched.setattr(segment_large, "ZARR_PIXELS", 30_000)
        patched.setattr(ome_zarr, "CHUNK", 64)
        patched.setattr(ome_zarr, "SMALLEST_LEVEL", 64)
        yield
