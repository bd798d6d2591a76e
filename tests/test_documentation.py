"""The examples in README, documentation and docstrings run; tables name all that there is."""

from __future__ import annotations

import doctest
import importlib
import re
import shlex
from pathlib import Path

import numpy as np
import pytest
import typer

import napari_cliper
from napari_cliper.cli import app
from napari_cliper.segmentation import METHODS, REFINERS

ROOT = Path(__file__).resolve().parents[1]
PACKAGE = Path(napari_cliper.__file__).parent
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").rglob("*.md"))]

COMMANDS = typer.main.get_command(app)
OTHER_OPTIONS = {
    "CONTRIBUTING.md": {"--strict"},  # mkdocs
    "docs/how-to/many-images.md": {"--nthreads"},  # dask
}


def codes_of(page: Path) -> list[str]:
    """What a page shows as code: blocks by indentation, line by line, and words in the text."""
    text = page.read_text(encoding="utf-8")
    text = re.sub(r"^```.*?^```", "", text, flags=re.DOTALL | re.MULTILINE).replace("\\\n", " ")
    return [*re.findall(r"^    (\S.*)", text, re.MULTILINE), *re.findall(r"`([^`\n]+)`", text)]


def parse(code: str) -> None:
    """Parse a command line with the options of its command; their values are not converted."""
    command, arguments = COMMANDS, shlex.split(code, comments=True)[1:]
    context = typer.Context(command, info_name="napari-cliper")
    while arguments and arguments[0] in getattr(command, "commands", {}):
        command = command.commands[arguments.pop(0)]
        context = typer.Context(command, parent=context, info_name=command.name)
    _, unnamed, _ = command.make_parser(context).parse_args(arguments)
    assert not unnamed, f"not understood: {unnamed}"


def test_commands_have_the_options_that_the_pages_give_them(subtests):
    parsed = 0
    for page in PAGES:
        for code in codes_of(page):
            found = re.search(r"(?:^| |/)(napari-cliper [^#].*)", code)
            if found and not code.startswith(("import ", "napari-cliper-")):
                parsed += 1
                with subtests.test(page=page.name, code=code):
                    parse(found[1])
    assert parsed > 50
    with pytest.raises(Exception, match="No such option: --shrad"):
        parse("napari-cliper segment a.tif --shrad 1/2")


def test_every_option_in_the_text_exists():
    def options(command):
        own = {option for one in command.params for option in (*one.opts, *one.secondary_opts)}
        return own.union(*map(options, getattr(command, "commands", {}).values()))

    known = options(COMMANDS) | {"--help"}
    for page in PAGES:
        name = page.relative_to(ROOT).as_posix()
        scripts = set(re.findall(r"(?:benchmarks|tools)/\w+\.py", page.read_text("utf-8")))
        of_scripts = "".join((ROOT / script).read_text("utf-8") for script in scripts)
        unknown = {
            option
            for code in codes_of(page)
            if not code.startswith("#SBATCH")
            for option in re.findall(r"(?<!\S)--[a-z][\w-]*(?!\S)", code)
            if option not in known and f'"{option}"' not in of_scripts
        }
        assert unknown <= OTHER_OPTIONS.get(name, set()), name


def test_names_of_the_reference_can_be_imported():
    text = (ROOT / "docs" / "reference.md").read_text(encoding="utf-8")
    names = re.findall(r"^::: (\S+)\.(\w+)$", text, re.MULTILINE)
    names += [
        (module, name)
        for module, shown in re.findall(r"^    from (\S+) import (.+)", text, re.MULTILINE)
        for name in shown.split(", ")
    ]
    assert len(names) > 50
    assert [name for name in names if not hasattr(importlib.import_module(name[0]), name[1])] == []


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
        if page.name == "README.md":
            assert np.unique(names["labels"]).tolist() == [0, 1, 2]  # it finds what it names


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
