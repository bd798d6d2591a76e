"""What the engine costs against the published way, both measured in one run.

    python benchmarks/speed.py [--quick] [--device cpu|cuda] [--output DIR]

Writes a table, the numbers and a plot (for which matplotlib is needed) under the name of the chip.
Each part runs in a process of its own, so that none finds what another left in memory. `--quick`
takes small networks: it shows that the script works, and nothing of the speed.
"""

from __future__ import annotations

import argparse
import json
import re
import tempfile
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from datetime import date
from pathlib import Path
from typing import Any

import processes
import psutil
from reports import chip, file_name, number, table

HERE = Path(__file__).parent
RUNS_OF_IMPORT = 7
MEMORY = ("weights", "before", "highest", "over", "scoring", "maps")


@dataclass(frozen=True)
class Row:
    """One line of the table.

    Parameters
    ----------
    what : str
    published : float or None
        What it is compared with; None where the limit is a number of its own.
    ours : float
    reach : float
        The largest ratio, or without `published` the largest value.
    unit : str
    """

    what: str
    published: float | None
    ours: float
    reach: float
    unit: str = "s"

    @property
    def value(self) -> float:
        """What is held against `reach`."""
        return self.ours if self.published is None else self.ours / self.published

    @property
    def reached(self) -> bool:
        """Whether it is within."""
        return self.value <= self.reach


# ---------------------------------------------------------------------- measuring


def bfloat16_flags() -> list[str]:
    """What the CPU reports of bfloat16 arithmetic."""
    if not Path("/proc/cpuinfo").exists():
        return []
    flags = re.search(r"flags\s*: (.+)", Path("/proc/cpuinfo").read_text())
    named = set(flags[1].split()) if flags else set()
    return sorted(named & {"avx512_bf16", "amx_bf16", "avx_ne_convert"})


def part(name: str, folder: Path, request: argparse.Namespace) -> Any:
    """One part of `parts.py`."""
    print(f"measuring: {name}", flush=True)
    options = ["--folder", folder, "--device", request.device, *["--quick"] * request.quick]
    return processes.numbers(HERE / "parts.py", name, *options)


def on_display(script: str, folder: Path) -> Any:
    """Run a script that needs a display; None where there is none."""
    print(f"measuring: {script}", flush=True)
    before, home = processes.display(), folder / "display"
    if before is None:
        return None
    processes.numbers(HERE / script, before=before, home=home)  # fills napari's own caches
    return processes.numbers(HERE / script, before=before, home=home)


def import_seconds() -> float:
    """The fastest of some fresh imports of the package."""
    code = (
        "import time; t = time.perf_counter(); import napari_cliper; print(time.perf_counter() - t)"
    )
    return min(float(processes.numbers("-c", code)) for _ in range(RUNS_OF_IMPORT))


def measure(folder: Path, request: argparse.Namespace) -> dict[str, Any]:
    """Every part; what cannot be measured here is None."""
    half = request.device.startswith("cuda") or bool(bfloat16_flags())
    names = [
        "refinement", "thresholds", "curves", "memory published", "memory sparse",
        "memory dense", "memory dense, 16 classes", "memory dense, 166 classes",
        *["memory bfloat16"] * half,
    ]  # fmt: skip
    found = {"first": part("first, also in bfloat16" if half else "first", folder, request)}
    found |= {name: part(name, folder, request) for name in names}
    print("measuring: imports", flush=True)
    return found | {
        "import": import_seconds(),
        "dock": on_display("dock.py", folder),
        "worker": processes.numbers(HERE / "worker.py"),
    }


# ---------------------------------------------------------------------- the report


def rows(found: dict[str, Any]) -> Iterator[Row]:
    """The table, with the limits that were set."""
    first, refinement = found["first"], found["refinement"]
    whole = first["seconds"]["published"]["all"]
    yield Row("first result, float32", whole, first["seconds"]["float32"]["all"], 0.7)
    if "bfloat16" in first["seconds"]:
        half = first["seconds"]["bfloat16"]["all"]
        yield Row("first result, bfloat16 (published: float32)", whole, half, 0.35)
    yield Row("one new word on a known image", whole, first["new word"], 1 / 30)
    for name, seconds in first["known words"].items():
        yield Row(f"eight words seen before, attention filled: {name}", whole, seconds, 1 / 200)
    for name, ours in refinement["ours"].items():
        yield Row(
            f"eight classes through ten maps, filled: {name}",
            refinement["published"],
            ours["seconds"],
            1 / 50,
        )
    agreement = first["agreement"]
    yield Row("refined maps against the published ones: mean", None, agreement["mean"], 1e-5, "")
    yield Row("the same: share off by over 1e-4", None, agreement["over"], 0.005, "")
    yield Row("the same: largest", None, agreement["max"], 5e-3, "")
    theirs = found["memory published"]
    for name in ("sparse", "dense", "bfloat16"):
        ours = found.get(f"memory {name}")
        if ours:
            yield Row(
                f"peak memory over the weights, {name}", theirs["over"], ours["over"], 0.5, "MB"
            )
    few, many = found["memory dense, 16 classes"], found["memory dense, 166 classes"]
    yield Row(
        "memory that 150 more classes take, over that of their maps",
        many["maps"] - few["maps"],
        many["scoring"] - few["scoring"],
        1,
        "MB",
    )
    for what, share in (first["changed"] or {}).items():
        yield Row(f"labels changed by {what}", None, share, 0.005, "")
    yield Row("thresholds moved, 2048 x 2048, 8 classes", None, found["thresholds"]["slowest"], 0.1)
    yield Row("import napari_cliper", None, found["import"], 0.1)
    if found["dock"]:
        yield Row("dock open after napari", None, found["dock"], 1)
    worker = found["worker"]
    yield Row("worker thread over the plain call", worker["plain call"], worker["worker"], 1.1)


def report(found: dict[str, Any], request: argparse.Namespace) -> str:
    """The table as Markdown."""
    flags = ", ".join(bfloat16_flags()) or "none reported"
    first = found["first"]
    fills = [100 * fill for fill in first["fill here"]]
    sizes = "Random weights of the real sizes."
    if request.quick:
        sizes = "Random weights of small networks: NO MEASURE OF SPEED."
    lines = [
        f"# {chip(request.device)}",
        "",
        f"{date.today().isoformat()}, device {request.device}, bfloat16: {flags}. {sizes}",
        "" if request.device.startswith("cuda") else "A GPU: not run.",
        f"Load of the machine when this began: {number(found['load'])}.",
        "",
        table(
            ("what", "published", "here", "ratio", "at most", "reached"),
            [
                (
                    row.what,
                    "" if row.published is None else f"{number(row.published)} {row.unit}",
                    f"{number(row.ours)} {row.unit}",
                    "" if row.published is None else number(row.value),
                    number(row.reach),
                    "yes" if row.reached else "**no**",
                )
                for row in rows(found)
            ],
        ),
        "",
        "Seconds of a first result by stage (the published VAE and UNet with their",
        "sharpening in *products*):",
        "",
        table(
            ("stage", *first["seconds"]),
            [
                (
                    stage,
                    *(
                        number(one[stage]) if stage in one else ""
                        for one in first["seconds"].values()
                    ),
                )
                for stage in first["seconds"]["published"]
            ],
        ),
        "",
        "All rounds of it, in turns, in seconds:",
        "",
    ]
    lines += [
        f"- {name}: {', '.join(number(one) for one in seconds)}"
        for name, seconds in first["rounds"].items()
    ]
    lines += [
        "",
        f"Filled share of these random weights' attention: {min(fills):.3g} to {max(fills):.3g} %.",
        "",
        table(
            ("memory, MB", "weights", "before", "highest", "over", "scoring alone", "its maps"),
            [
                (
                    name.removeprefix("memory "),
                    *(number(sizes[key]) if key in sizes else "" for key in MEMORY),
                )
                for name, sizes in found.items()
                if name.startswith("memory ") and sizes
            ],
        ),
    ]
    return "\n".join(lines) + "\n"


def plot(found: dict[str, Any], path: Path) -> None:
    """Cost against the image's side, and against the number of words."""
    import matplotlib as mpl  # noqa: PLC0415 - the numbers come without it

    mpl.use("Agg")
    from matplotlib import pyplot as plt  # noqa: PLC0415

    figure, (left, right) = plt.subplots(1, 2, figsize=(10, 4), layout="constrained")
    curves, first = found["curves"], found["first"]
    sides = [one["side"] for one in curves["sides"]]
    for name, key, way in (("published", "published", "published"), ("here", "ours", "float32")):
        stages = first["seconds"][way]
        rest = stages["all"] - stages["CLIP"] - stages["words"]
        seconds = [one[key] for one in curves["sides"]]
        (line,) = left.plot(sides, seconds, "o-", label=f"CLIP, {name}")
        left.plot(
            sides,
            [one + rest for one in seconds],
            "s--",
            color=line.get_color(),
            label=f"with the refinement, {name}",
        )
    left.set(
        xlabel="shorter side of the image (pixels)",
        ylabel="seconds",
        yscale="log",
        title="an image, words known",
    )
    counts = [one["words"] for one in curves["words"]]
    for key, label in (
        ("published", "published, text alone"),
        ("new", "here, new"),
        ("known", "here, seen before"),
    ):
        right.plot(counts, [one[key] for one in curves["words"]], "o-", label=label)
    right.set(
        xlabel="number of words",
        ylabel="seconds",
        xscale="log",
        yscale="log",
        title="words, image known",
    )
    for axes in (left, right):
        axes.grid(visible=True, which="both", alpha=0.3)
        axes.legend(fontsize=8)
    figure.savefig(path, dpi=110)


def main() -> None:
    """Build the networks, measure, write."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="small networks")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--output", type=Path, default=HERE / "results")
    request = parser.parse_args()
    from networks import build  # noqa: PLC0415 - it loads torch; --help need not

    slug = file_name(chip(request.device), quick=request.quick)
    load = psutil.getloadavg()[0]  # what others do: at over a tenth or two, measure again
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        build(folder, quick=request.quick)
        found = measure(folder, request) | {"load": load}
    request.output.mkdir(parents=True, exist_ok=True)
    text = report(found, request)
    (request.output / f"{slug}.md").write_text(text)
    numbers = {"chip": chip(request.device), "rows": [asdict(row) for row in rows(found)], **found}
    (request.output / f"{slug}.json").write_text(json.dumps(numbers, indent=1) + "\n")
    try:
        plot(found, request.output / f"{slug}.png")
    except ModuleNotFoundError:
        print("No plot: it needs matplotlib.")
    print(text)


if __name__ == "__main__":
    main()
