"""Benchmark datasets on disk: find the layout of a folder, and its images with ground truth."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ..io.files import FileError, cannot
from ..io.readers.coco import open_coco
from .benchmarks import Benchmark, Layout, read_benchmark
from .dataset import Dataset, Pair, coco_indices, coco_reader, raise_problems
from .ground_truth import apply_table, label_table, listed_table, read_numbers
from .metrics import IGNORED


def from_benchmark(name: str, root: Path, method: str) -> Dataset:
    """Open a benchmark dataset with its published classes, words and rules.

    Parameters
    ----------
    name : str
        One of `BENCHMARKS`.
    root : Path
        The dataset's folder, or one above it; see the layouts in ``benchmarks/``.
    method : str
        Method whose published words are used.

    Raises
    ------
    FileError
        If the dataset is not there; the message lists the paths that were tried.
    InvalidInputError
        For an unknown benchmark.
    """
    benchmark = read_benchmark(name)
    if not root.is_dir():
        raise FileError(f"There is no folder {root}. Give the folder of {benchmark.title}.")
    layout, base = _find_layout(benchmark, root)
    wording = benchmark.wording(method)
    whole, read = _benchmark_pairs(benchmark, layout, base, method)
    strips = wording.strips
    pairs = whole if strips == 1 else tuple(
        replace(pair, name=f"{pair.name}#{index}", strip=(index, strips))
        for pair in whole for index in range(strips)
    )  # fmt: skip
    notes = []
    if benchmark.image_count and len(whole) != benchmark.image_count:
        notes.append(
            f"{len(whole)} images were found, but the split has {benchmark.image_count}: the "
            "results are not comparable with published ones."
        )
    numbers = layout.numbers
    return Dataset(
        title=f"{benchmark.title} ({name})",
        names=benchmark.classes,
        classes=benchmark.prompts(method),
        pairs=pairs,
        read_truth=read,
        background=wording.background,
        record={
            "benchmark": name,
            "ignored": [255] if benchmark.background else [0, 255],
            "numbers": numbers if isinstance(numbers, str) else list(numbers),
            "strips": strips,
        },
        notes=tuple(notes),
    )


def _find_layout(benchmark: Benchmark, root: Path) -> tuple[Layout, Path]:
    """Find the first layout with an image that has ground truth; also return its folder."""
    tried = []
    for layout in benchmark.layouts:
        for start in layout.roots:
            base = root / start
            tried.append(f"{base / layout.images} with {base / layout.truth}")
            if layout.names is not None and not (base / layout.names).is_file():
                continue
            first = next(_wildcards(layout, base), None)
            if first is not None and (base / _filled(layout.truth, first)).is_file():
                return layout, base
    raise FileError(
        f"{benchmark.title} was not found in {root}. Looked for: {'; '.join(tried)}. Give the "
        "folder that contains one of these."
    )


def _wildcards(layout: Layout, base: Path) -> Iterator[tuple[str, ...]]:
    """Yield, for each image in order, the texts that the ``*`` of `layout.images` match."""
    if layout.names is not None:
        path = base / layout.names
        try:
            lines = path.read_text(encoding="utf-8").splitlines()
        except OSError as error:
            raise cannot("read", path, error) from error
        yield from ((line.split()[0],) for line in lines if line.strip())
        return
    pattern = re.compile("([^/]*)".join(map(re.escape, layout.images.split("*"))))
    for path in sorted(base.glob(layout.images)):
        found = pattern.fullmatch(path.relative_to(base).as_posix())
        if found:
            yield found.groups()


def _filled(pattern: str, texts: Sequence[str]) -> str:
    """Replace each ``*`` of a pattern, in order."""
    parts = pattern.split("*")
    return parts[0] + "".join(
        text + part for text, part in zip(texts, parts[1:], strict=len(parts) > 1)
    )


def _benchmark_pairs(
    benchmark: Benchmark, layout: Layout, base: Path, method: str
) -> tuple[tuple[Pair, ...], Callable[[Pair], NDArray[np.uint16]]]:
    pairs = tuple(
        Pair("/".join(dict.fromkeys(texts)), base / _filled(layout.images, texts),
             base / _filled(layout.truth, texts))
        for texts in _wildcards(layout, base)
    )  # fmt: skip
    count = len(benchmark.classes)
    rest = 0 if benchmark.background else IGNORED
    if isinstance(layout.numbers, tuple):
        table = listed_table(layout.numbers)
    else:
        table = label_table(count, rest=rest, first=0 if layout.numbers == "train" else 1)
    if layout.numbers != "coco":
        return pairs, lambda pair: apply_table(read_numbers(pair.truth), table, pair.truth)
    coco = open_coco(base / layout.truth)
    keys = coco_indices(coco, base, {pair.image.name for pair in pairs})
    raise_problems([f"{pair.image} is not among the images of {coco.path}. Remove it."
                    for pair in pairs if pair.image.name not in keys])  # fmt: skip
    named = tuple(replace(pair, key=keys[pair.image.name]) for pair in pairs)
    return named, coco_reader(coco, benchmark.prompts(method), benchmark.classes, table)
