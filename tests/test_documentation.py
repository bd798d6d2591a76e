"""The examples in README, documentation and docstrings run; tables name all that there is."""

from __future__ import annotations

import doctest
import importlib
import re
from pathlib import Path

import napari_cliper
from napari_cliper.segmentation import METHODS, REFINERS

ROOT = Path(__file__).resolve().parents[1]
PACKAGE = Path(napari_cliper.__file__).parent
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").rglob("*.md"))]


def test_python_examples_run(subtests):
    """Blocks of one page share their names, as a reader would type them one after the other."""
    blocks = {
        page: re.findall(
            r"^```python\n(.*?)^```", page.read_text(encoding="utf-8"), re.DOTALL | re.MULTILINE
        )
        for page in PAGES
    }
    assert blocks[ROOT / "README.md"]
    for page, sources in blocks.items():
        names: dict[str, object] = {}
        for number, source in enumerate(sources, 1):
            with subtests.test(page=page.relative_to(ROOT).as_posix(), block=number):
                exec(compile(source, f"{page.name}, block {number}", "exec"), names)


def test_every_method_and_refiner_is_in_the_reference():
    text = (ROOT / "docs" / "reference.md").read_text(encoding="utf-8")
    assert [name for name in (*METHODS, *REFINERS) if f"`{name}`" not in text] == []


def test_every_benchmark_is_described():
    text = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
    scripts = [path.name for path in sorted((ROOT / "benchmarks").glob("*.py"))]
    assert scripts
    assert [name for name in scripts if f"`{name}`" not in text] == []


def test_docstring_examples_run(subtests):
    files = [path for path in sorted(PACKAGE.rglob("*.py")) if ">>> " in path.read_text("utf-8")]
    assert files
    for path in files:
        name = ".".join(("napari_cliper", *path.relative_to(PACKAGE).with_suffix("").parts))
        with subtests.test(module=name):
            failed, tried = doctest.testmod(importlib.import_module(name))
            assert tried
            assert not failed
