"""The commands as a person types them."""

from __future__ import annotations

import pytest
from typer.testing import CliRunner

from napari_cliper.cli.commands import app


@pytest.fixture
def export(tmp_path):
    """Run the command; the results go into out."""

    def run(*arguments):
        given = [str(argument) for argument in arguments]
        output = [] if "--output" in given else ["--output", str(tmp_path / "out")]
        return CliRunner().invoke(app, ["export", *given, *output])

    return run
