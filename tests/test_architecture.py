"""Who may import whom, what an import loads, and that nothing is unpickled."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterable, Iterator
from functools import cache
from graphlib import TopologicalSorter
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


@cache
def nodes(path: Path) -> tuple[ast.AST, ...]:
    """The syntax of a file."""
    return tuple(ast.walk(ast.parse(path.read_text(encoding="utf-8"))))


@cache
def imports(path: Path) -> tuple[str, ...]:
    """Full names of all that a file imports, wherever in it."""
    here = name_of(path).split(".")
    package = here if path.stem == "__init__" else here[:-1]
    found: list[str] = []
    for node in nodes(path):
        if isinstance(node, ast.Import):
            found += [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            base = [node.module] if node.module else []
            if node.level:
                base = [*package[: len(package) - node.level + 1], *base]
            found += [".".join([*base, alias.name]) for alias in node.names]
    return tuple(found)


def of(name: str, *packages: str) -> bool:
    return any(name == package or name.startswith(f"{package}.") for package in packages)


# ---------------------------------------------------------------------- what is loaded

STEPS = """
import sys
from pathlib import Path
def loaded(step):
    names = {name.partition(".")[0] for name in sys.modules}
    Path(sys.argv[1], step).write_text("\\n".join(names))

import napari_cliper
loaded("package")
from napari_cliper.segmentation import SegmentationConfig, ClassPrompt, REGISTRY
SegmentationConfig(), ClassPrompt("nucleus"), REGISTRY["demo"]
loaded("settings")
import open_clip
loaded("open_clip")
from napari_cliper.cli import app
app(sys.argv[2:], standalone_mode=False)
loaded("segment")
"""


def test_an_import_loads_no_more_than_is_used(tmp_path):
    """One process, which loads more and more."""
    image = tmp_path / "scene.png"
    Image.fromarray(make_scene((64, 64), seed=3).image).save(image)
    arguments = ["segment", str(image), "--labels", "nucleus, crystal", "--model", "demo"]
    arguments += ["--refiner", "pamr", "--device", "cpu", "--output", str(tmp_path / "out")]
    steps = tmp_path / "loaded"
    steps.mkdir()
    headless = [name_of(path) for path in HEADLESS if path.stem != "__main__"]
    assert "napari_cliper.segmentation.segmenter" in headless
    assert "napari_cliper.demo.scenes" in headless
    script = STEPS + "".join(f"import {name}\n" for name in headless) + 'loaded("headless")'
    done = subprocess.run(
        [sys.executable, "-c", script, str(steps), *arguments],
        capture_output=True, text=True, check=False, timeout=300,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    loaded = {path.name: set(path.read_text().split()) for path in steps.iterdir()}
    optional = {"diffusers", "timm", "transformers"}
    heavy = QT | optional | {"torch", "open_clip", "huggingface_hub"}
    assert not heavy & loaded["package"]
    assert not heavy & loaded["settings"]
    assert (tmp_path / "out" / "scene_refined.tif").exists()
    assert not optional & (loaded["segment"] - loaded["open_clip"])  # which imports some by itself
    assert {"torch", "open_clip"} <= loaded["headless"]  # they really were imported
    assert not QT & loaded["headless"]


# ---------------------------------------------------------------------- who imports whom

LAYOUT = {
    "segmentation": (
        "models", "features", "scoring", "refiners", "methods", "propagation", "labelling"
    ),
    "labels": (),
    "objects": (),
    "io": ("writers", "readers"),
    "annotation": ("project",),
    "evaluation": (),
    "demo": ("scenes",),
    "workflows": (),
    "plugin": ("ui_text", "qt", "layers", "panels", "controllers", "contributions"),
    "cli": (),
}  # fmt: skip
"""The folders from the bottom up, and the folders in each. A file imports from its own folder and
from those named before it; the files beside a folder's sub-folders may be used by all of them."""

ROOMS = tuple(LAYOUT)


def place(name: str) -> tuple[str, str]:
    """The folder and the sub-folder of a module; empty for the files beside them."""
    _, room, part, *_ = (*name.split("."), "", "")
    return room, part if part in LAYOUT.get(room, ()) else ""


def modules() -> dict[str, set[str]]:
    """By module of the package, the modules of the package that it imports."""
    known = {name_of(path): path for path in MODULES}
    found = {}
    for name, path in known.items():
        named = {one for one in imports(path) if of(one, PACKAGE.name)}
        found[name] = {
            one if one in known else one.rpartition(".")[0] for one in named
        } - {name, PACKAGE.name}  # fmt: skip
    return found


def points_up(user: str, used: str) -> bool:
    """Whether a module may not import another one because of where they are."""
    (room, part), (other, other_part) = place(user), place(used)
    if room not in LAYOUT or other not in LAYOUT:
        return other in LAYOUT and room != ""  # the package's own files know no room
    if room != other:
        return ROOMS.index(other) > ROOMS.index(room)
    order = LAYOUT[room]
    return bool(part and other_part) and order.index(other_part) > order.index(part)


def test_every_folder_has_its_place():
    rooms = {path.parent.name for path in PACKAGE.glob("*/__init__.py")}
    assert rooms == set(ROOMS)
    for room, order in LAYOUT.items():
        assert {path.parent.name for path in (PACKAGE / room).glob("*/__init__.py")} <= set(order)
    beside = {path.stem for path in PACKAGE.glob("*.py")}
    assert beside == {"__init__", "__main__"}


def test_imports_point_down():
    found = [
        f"{user} imports {used}"
        for user, all_used in modules().items()
        for used in sorted(all_used)
        if user != f"{PACKAGE.name}.__main__" and points_up(user, used)
    ]
    assert found == []


def test_imports_run_in_no_circle():
    graph = modules()
    for room in ROOMS:  # the doors of folders only pass names on
        graph[f"{PACKAGE.name}.{room}"] = set()
    TopologicalSorter(graph).prepare()


def test_the_order_of_folders_is_watched():
    package = PACKAGE.name
    assert points_up(f"{package}.io.formats", f"{package}.annotation.merge")
    assert points_up(f"{package}.segmentation.models.clip", f"{package}.segmentation.scoring.x")
    assert points_up(f"{package}.plugin.qt.timers", f"{package}.plugin.panels.run_panel")
    assert points_up(f"{package}.plugin.dock", f"{package}.cli.commands")
    assert not points_up(f"{package}.workflows.x", f"{package}.segmentation.scoring.x")
    assert not points_up(f"{package}.plugin.panels.run_panel", f"{package}.plugin.worker")


PURE_FOLDERS = ("features", "scoring", "refiners", "methods", "propagation", "labelling")
RUNS_NETWORKS = {"refiners/stable_diffusion.py"}
PURE_MODELS = (
    "last_block_attention",
    "registry",
    "image_encoder",
    "clip_image_encoder",
    "promptable",
)


def test_pure_files_know_no_network_and_no_disk():
    models = f"{PACKAGE.name}.segmentation.models"
    paths = [path for folder in PURE_FOLDERS for path in (SEGMENTATION / folder).glob("*.py")]
    paths.append(SEGMENTATION / "prompts.py")
    assert len(paths) > 10
    found = []
    for path in paths:
        if path.relative_to(SEGMENTATION).as_posix() in RUNS_NETWORKS:
            continue
        for name in imports(path):
            network = of(name, models) and not of(name, *(f"{models}.{x}" for x in PURE_MODELS))
            if network or of(name, "pathlib", "os", "io", f"{PACKAGE.name}.segmentation.segmenter"):
                found.append(f"{path.name}: {name}")
    assert found == []


DOORS = {
    "open_clip": "segmentation/models/clip.py",
    "diffusers": "segmentation/models/stable_diffusion.py",
    "transformers": "segmentation/models/transformers_networks.py",
    "onnxruntime": "segmentation/models/sam_onnx.py",
    "timm": "segmentation/models/dino.py",
    "huggingface_hub": "segmentation/models/weights.py",
    "distributed": "workflows/cluster.py",
}


def test_one_door_for_each_big_library():
    for library, door in DOORS.items():
        users = [
            path.relative_to(PACKAGE).as_posix()
            for path in MODULES
            if any(of(name, library) for name in imports(path))
        ]
        assert users == [door], library


def test_networks_do_not_know_each_other():
    doors = {
        f"{PACKAGE.name}." + door.removesuffix(".py").replace("/", ".") for door in DOORS.values()
    }
    graph = modules()
    assert {door: graph[door] & doors for door in doors} == {door: set() for door in doors}


OUTSIDE = [path for path in MODULES if SEGMENTATION not in path.parents]


def test_the_rest_uses_only_public_names_of_the_engine():
    engine = "napari_cliper.segmentation"
    public = {engine, *(f"{engine}.{name}" for name in segmentation.__all__)}
    private = [
        f"{name_of(path)} imports {name}"
        for path in OUTSIDE
        for name in imports(path)
        if of(name, engine) and name not in public
    ]
    assert private == []


def test_every_public_name_is_there():
    assert all(hasattr(segmentation, name) for name in segmentation.__all__)
    with pytest.raises(AttributeError, match="attribute Segmentor"):
        _ = segmentation.Segmentor


# ---------------------------------------------------------------------- the plugin computes nothing

PLUGIN = [path for path in MODULES if path.relative_to(PACKAGE).parts[0] == "plugin"]
NUMERICS = ("torch", "scipy", "skimage", "sklearn")
SAMPLE_IMAGES = {"plugin/contributions/sample_data.py: skimage.data"}

ARRAYS = {
    "nan", "ndarray", "dtype", "iinfo", "bool_", "number", "integer", "uint8", "uint16", "int32",
    "intp", "float32", "float64",
    "array", "asarray", "ascontiguousarray", "arange", "broadcast_to", "eye", "full", "ones",
    "zeros", "zeros_like",
    "array_equal", "isfinite", "nonzero", "where", "argsort", "unique", "count_nonzero", "bincount",
    "ceil", "divide", "floor", "round",
}  # fmt: skip
"""What the plugin takes from NumPy: types, new arrays, comparing, choosing, sorting and counting,
and what turns coordinates into indices. All other computing belongs to a folder below."""


def numpy_names(tree: Iterable[ast.AST]) -> set[str]:
    return {
        node.attr
        for node in tree
        if isinstance(node, ast.Attribute) and ast.unparse(node.value) in {"np", "numpy"}
    }


def test_the_plugin_does_no_numerics():
    found = {
        f"{path.relative_to(PACKAGE).as_posix()}: {name}"
        for path in PLUGIN
        for name in imports(path)
        if of(name, *NUMERICS)
        or (of(name, "numpy") and name not in {"numpy", "numpy.typing.NDArray"})
    }
    assert found == SAMPLE_IMAGES
    names = {
        f"{path.relative_to(PACKAGE).as_posix()}: np.{name}"
        for path in PLUGIN
        for name in numpy_names(nodes(path)) - ARRAYS
    }
    assert names == set()
    assert numpy_names(ast.walk(ast.parse("np.linalg.norm(np.asarray(x))"))) - ARRAYS == {"linalg"}


# ---------------------------------------------------------------------- no program in a file is run


def calls(path: Path) -> Iterator[tuple[str, ast.Call]]:
    for node in nodes(path):
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
