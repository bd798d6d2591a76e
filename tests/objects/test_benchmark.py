"""The benchmark of splitting, as it is run on the command line."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
from PIL import Image
from shapes import ball

SCRIPT = Path(__file__).parents[2] / "benchmarks" / "objects.py"


def test_rows_of_the_benchmark(tmp_path):
    true = np.zeros((90, 120), np.uint16)
    true[ball(true.shape, (45, 40), 20)] = 3
    true[ball(true.shape, (45, 74), 20) & (true == 0)] = 700
    labels = (true > 0).astype(np.uint8)
    labels[:10] = 255
    for folder, pixels in (("labels", labels), ("instances", true)):
        (tmp_path / "cells" / folder).mkdir(parents=True)
        for name in ("a.png", "b.png"):
            Image.fromarray(pixels).save(tmp_path / "cells" / folder / name)
    command = [sys.executable, str(SCRIPT), "--images", str(tmp_path), "--limit", "1"]
    command += ["--output", str(tmp_path / "out")]
    done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=300)
    assert "held back" in done.stdout
    rows = json.loads((tmp_path / "out" / "objects.json").read_text())
    methods = ["ours", "connected regions", "watershed"]
    assert [row["method"] for row in rows] == methods
    for row in rows:
        assert (row["kind"], row["image"]) == ("cells", "a.png")
        if row["method"] == "connected regions":  # one region: IoU 0.5 with neither disc, or one
            assert row["ap50"] in (0.0, 0.5)
            assert row["count_error"] == 0.5
        else:
            assert (row["ap50"], row["count_error"]) == (1.0, 0.0)
