"""A new export format is one file in `io.writers` and one row of `FORMATS`."""

from __future__ import annotations

import numpy as np
from PIL import Image
from typer.testing import CliRunner

from napari_cliper.cli.commands import app
from napari_cliper.io import writers
from napari_cliper.io.formats import FORMATS, Format
from napari_cliper.plugin.panels.export_panel import ExportPanel

AREAS = '''
"""The area of each label as text."""
import numpy as np


def write_areas(path, image):
    numbers, areas = np.unique(image.labels, return_counts=True)
    lines = [f"{image.classes[n].name} {a}" for n, a in zip(numbers, areas) if n]
    path.write_text("\\n".join(lines), encoding="utf-8")
'''


def test_a_new_format_is_in_the_command_and_the_window(qtbot, tmp_path, monkeypatch):
    (tmp_path / "areas.py").write_text(AREAS, encoding="utf-8")
    monkeypatch.setattr(writers, "__path__", [*writers.__path__, str(tmp_path)])
    row = Format(
        title="Areas",
        help="Any editor.",
        purpose="tables",
        write_file="areas:write_areas",
        suffix=".txt",
    )
    monkeypatch.setitem(FORMATS, "areas", row)

    panel = ExportPanel()
    qtbot.addWidget(panel)
    tables = panel.purposes["tables"]
    assert [action.text() for action in tables.menu.actions()] == ["Measurements (CSV)", "Areas"]
    assert "Areas: Any editor." in tables.box.toolTip()
    tables.box.click()
    assert panel.request().formats == ("csv", "areas")

    text = CliRunner().invoke(app, ["export", "--help"], env={"COLUMNS": "300"}).output
    assert ", ".join(FORMATS) in text
    wrong = ["export", "none.png", "--format", "none", "--output", str(tmp_path)]
    assert ", ".join(FORMATS) in " ".join(CliRunner().invoke(app, wrong).stderr.split())

    Image.fromarray(np.array([[0, 1, 2], [2, 2, 1]], np.uint8)).save(tmp_path / "field.png")
    (tmp_path / "classes.txt").write_text("nucleus\nfibre\n", encoding="utf-8")
    given = [str(tmp_path / "field.png"), "--classes", str(tmp_path / "classes.txt")]
    chosen = ["--format", "areas", "--output", str(tmp_path / "out")]
    result = CliRunner().invoke(app, ["export", *given, *chosen])
    assert result.exit_code == 0, result.output
    assert (tmp_path / "out" / "field.txt").read_text(encoding="utf-8") == "nucleus 2\nfibre 3"
