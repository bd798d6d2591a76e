"""Shared by the reports: the name of the machine, numbers, and Markdown tables."""

from __future__ import annotations

import os
import platform
import re
import subprocess
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path


def processor() -> str:
    """The CPU's own name, and how many cores of it there are."""
    name = platform.processor() or platform.machine()
    if Path("/proc/cpuinfo").exists():
        found = re.search(r"model name\s*: (.+)", Path("/proc/cpuinfo").read_text())
        name = found[1] if found else name
    elif sys.platform == "darwin":
        command = ["sysctl", "-n", "machdep.cpu.brand_string"]
        name = subprocess.check_output(command, text=True).strip()
    return f"{name}, {os.cpu_count()} cores"


def chip(device: str) -> str:
    """Which chip did the work."""
    if not device.startswith("cuda"):
        return processor()
    code = f"import torch; print(torch.cuda.get_device_name({device!r}))"
    return subprocess.check_output([sys.executable, "-c", code], text=True).strip()


def file_name(chip_name: str, *, quick: bool) -> str:
    """The name of the files about a chip, without ending."""
    return re.sub(r"[^a-z0-9]+", "-", chip_name.lower()).strip("-") + "-quick" * quick


def number(value: float) -> str:
    """Three figures that count."""
    return f"{value:.3g}" if value < 1000 else f"{value:.0f}"


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A Markdown table, numbers to the right."""
    first, *rest = (f"| {' | '.join(cells)} |" for cells in (head, *rows))
    return "\n".join([first, "|---|" + "---:|" * (len(head) - 1), *rest])
