"""Who may import whom, what an import loads, and that nothing is unpickled."""

from __future__ import annotations

import ast
import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from PIL import Image

import napari_cliper
from napari_cliper import segmentation
from napari_cliper.demo.scenes import make_scene

PACKAGE = Path(napari_cliper.__file__).parent
SEGMENTATION = PACKAGE / "segmentation"
MODULES = sorted(PACKAGE.rglob("*.py"))
HEADLESS = [path for path in MODULES if path.relative_to(PACKAGE).parts[0] != "plugin"]

QT = {"qtpy", "PyQt5", "PyQt6", "PySide2", "PySide6", "superqt", "magicgui", "napari", "vispy"}


def name_of(path: Path) -> str:
    parts = path.relative_to(PACKAGE.parent).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def imports(path: Path) -> Iterator[str]:
    """Full names of all that a file imports, wherever in it."""
    here = name_of(path).split(".")
    package = here if path.stem == "__init__" else here[:-1]
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = [node.module] if node.module else []
            if node.level:
                base = [*package[: len(package) - node.level + 1], *base]
            yield from (".".join([*base, alias.name]) for alias in node.names)


def of(name: str, *packages: str) -> bool:
    return any(name == package or name.startswith(f"{package}.") for package in packages)


def loaded_after(code: str) -> set[str]:
    """Top-level names of the modules that a fresh Python has loaded after some code."""
    script = f"{code}\nimport json, sys\nprint(json.dumps(sorted(sys.modules)))"
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True, timeout=300
    )
    return {name.partition(".")[0] for name in json.loads(done.stdout.splitlines()[-1])}


# ---------------------------------------------------------------------- what is loaded


@pytest.mark.parametrize(
    "code",
    [
        "import napari_cliper",
        """from napari_cliper.segmentation import SegmentationConfig, ClassPrompt, REGISTRY
SegmentationConfig(), ClassPrompt('nucleus'), REGISTRY['demo']""",
    ],
    ids=["package", "wishes"],
)
def test_light_imports_stay_light(code):
    heavy = QT | {"torch", "open_clip", "timm", "diffusers", "transformers", "huggingface_hub"}
    assert not heavy & loaded_after(code)


def test_a_network_that_is_not_used_loads_no_library(tmp_path):
    """What `open_clip` imports by itself, timm and transformers among it, is all there may be."""
    picture = tmp_path / "scene.png"
    Image.fromarray(make_scene((64, 64), seed=3).image).save(picture)
    arguments = ["segment", str(picture), "--labels", "nucleus, crystal", "--model", "demo"]
    arguments += ["--refiner", "pamr", "--device", "cpu", "--output", str(tmp_path / "out")]
    run = f"from napari_cliper.cli import app\napp({arguments!r}, standalone_mode=False)"
    found = loaded_after(run)
    assert (tmp_path / "out" / "scene_refined.tif").exists()
    assert "open_clip" in found
    optional = {"diffusers", "timm", "transformers"}
    assert found & optional <= loaded_after("import open_clip") & optional
    assert "diffusers" not in found


def test_headless_modules_load_no_qt():
    names = [name_of(path) for path in HEADLESS if path.stem != "__main__"]
    assert "napari_cliper.segmentation.segmenter" in names
    assert "napari_cliper.demo.scenes" in names
    loaded = loaded_after("".join(f"import {name}\n" for name in names))
    assert {"torch", "open_clip"} <= loaded  # they really were imported
    assert not QT & loaded


# ---------------------------------------------------------------------- who imports whom


@pytest.mark.parametrize("path", sorted(SEGMENTATION.glob("*.py")), ids=lambda path: path.stem)
def test_segmentation_imports_nothing_above_it(path):
    ours = [name for name in imports(path) if of(name, "napari_cliper")]
    assert [name for name in ours if not of(name, "napari_cliper.segmentation")] == []


NETWORKS = {"encoder": set(), "clip": {"encoder"}, "proxy": set(), "diffusion": set()}


@pytest.mark.parametrize("network", NETWORKS)
def test_networks_do_not_know_each_other(network):
    found = {
        other
        for name in imports(SEGMENTATION / f"{network}.py")
        for other in NETWORKS
        if of(name, f"napari_cliper.segmentation.{other}")
    }
    assert found == NETWORKS[network]


@pytest.mark.parametrize(
    "pure",
    [
        "prompts",
        "contrast",
        "images",
        "attention",
        "tiling",
        "scoring",
        "refinement",
        "labels",
        "patches",
        "affinity",
        "spreading",
        "corrections",
        "prototypes",
        "looks",
    ],
)
def test_pure_files_know_no_network_and_no_disk(pure):
    door = ("clip", "encoder", "proxy", "diffusion", "loading", "weights", "segmenter", "reading")
    forbidden = ("pathlib", "os", "io", *(f"napari_cliper.segmentation.{name}" for name in door))
    assert [name for name in imports(SEGMENTATION / f"{pure}.py") if of(name, *forbidden)] == []


DOORS = {
    "open_clip": "segmentation/clip.py",
    "diffusers": "segmentation/diffusion.py",
    "transformers": "segmentation/diffusion.py",
    "timm": "segmentation/proxy.py",
    "huggingface_hub": "segmentation/weights.py",
}


@pytest.mark.parametrize("library", DOORS)
def test_one_door_for_each_big_library(library):
    users = [
        path.relative_to(PACKAGE).as_posix()
        for path in MODULES
        if any(of(name, library) for name in imports(path))
    ]
    assert users == [DOORS[library]]


OUTSIDE = [path for path in MODULES if SEGMENTATION not in path.parents]


@pytest.mark.parametrize("path", OUTSIDE, ids=name_of)
def test_the_rest_uses_only_public_names_of_the_engine(path):
    public = {f"napari_cliper.segmentation.{name}" for name in segmentation.__all__}
    used = {name for name in imports(path) if of(name, "napari_cliper.segmentation")}
    assert used - {"napari_cliper.segmentation"} <= public


COMMANDS = {
    "cli", "cli_evaluate", "cli_export", "cli_learn", "console", "engine_options",
    "prototype_options", "batch", "export_sources", "learn_files",
}  # fmt: skip
LOWER = {
    "export": {*COMMANDS, "plugin", "demo", "evaluation", "annotation"},
    "annotation": {*COMMANDS, "plugin", "demo", "evaluation"},
    "evaluation": {*COMMANDS, "plugin", "demo"},
    "demo": {*COMMANDS, "plugin"},
}


@pytest.mark.parametrize("part", LOWER)
def test_export_evaluation_and_demo_do_not_look_up(part):
    up = [f"napari_cliper.{name}" for name in LOWER[part]]
    found = [
        f"{path.name}: {name}"
        for path in (PACKAGE / part).rglob("*.py")
        for name in imports(path)
        if of(name, *up)
    ]
    assert found == []


def test_every_public_name_is_there():
    assert all(hasattr(segmentation, name) for name in segmentation.__all__)
    with pytest.raises(AttributeError, match="no attribute 'Segmentor'"):
        _ = segmentation.Segmentor


# ---------------------------------------------------------------------- no program in a file is run


def calls(path: Path) -> Iterator[tuple[str, ast.Call]]:
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Call):
            yield ast.unparse(node.func), node


def test_torch_loads_weights_only():
    loads = [node for path in MODULES for name, node in calls(path) if name == "torch.load"]
    assert loads
    for node in loads:
        (only,) = (word.value for word in node.keywords if word.arg == "weights_only")
        assert isinstance(only, ast.Constant)
        assert only.value is True


def test_nothing_else_unpickles_or_evaluates():
    forbidden = {
        "eval", "exec", "compile", "pickle.load", "pickle.loads", "pickle.Unpickler",
        "torch.jit.load", "torch.hub.load", "joblib.load", "os.system",
    }  # fmt: skip
    found = {name for path in MODULES for name, _ in calls(path)}
    assert not found & forbidden
