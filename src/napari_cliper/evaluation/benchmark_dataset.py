"""Known datasets on disk: which layout a folder has, and its images with their ground truth."""

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
from .dataset import Dataset, Pair, coco_reader, places_of, refuse
from .ground_truth import apply_table, label_table, listed_table, read_numbers
from .metrics import IGNORED


def from_benchmark(name: str, root: Path, method: str) -> Dataset:
    """A known dataset, with classes, words and rules as published.

    Parameters
    ----------
    name : str
        One of `BENCHMARKS`.
    root : Path
        The dataset's folder, or one above it; see the layouts in ``protocols/``.
    method : str
        Whose words are used.

    Raises
    ------
    FileError
        Saying what was looked for, where the dataset is not there.
    InvalidInputError
        For an unknown protocol.
    """
    protocol = read_benchmark(name)
    if not root.is_dir():
        raise FileError(f"There is no folder {root}. Give the folder of {protocol.title}.")
    layout, base = _find_layout(protocol, root)
    wording = protocol.wording(method)
    whole, read = _benchmark_pairs(protocol, layout, base, method)
    strips = wording.strips
    pairs = whole if strips == 1 else tuple(
        replace(pair, name=f"{pair.name}#{index}", strip=(index, strips))
        for pair in whole for index in range(strips)
    )  # fmt: skip
    notes = []
    if protocol.pictures and len(whole) != protocol.pictures:
        notes.append(
            f"{len(whole)} images were found, but the split has {protocol.pictures}: the "
            "figures are not comparable with published ones."
        )
    numbers = layout.numbers
    return Dataset(
        title=f"{protocol.title} ({name})",
        names=protocol.classes,
        classes=protocol.prompts(method),
        pairs=pairs,
        read_truth=read,
        background=wording.background,
        record={
            "protocol": name,
            "ignored": [255] if protocol.background else [0, 255],
            "numbers": numbers if isinstance(numbers, str) else list(numbers),
            "strips": strips,
        },
        notes=tuple(notes),
    )


def _find_layout(protocol: Benchmark, root: Path) -> tuple[Layout, Path]:
    """The first layout of which there is an image with its ground truth, and where it begins."""
    tried = []
    for layout in protocol.layouts:
        for start in layout.roots:
            base = root / start
            tried.append(f"{base / layout.images} with {base / layout.truth}")
            if layout.names is not None and not (base / layout.names).is_file():
                continue
            first = next(_stars(layout, base), None)
            if first is not None and (base / _filled(layout.truth, first)).is_file():
                return layout, base
    raise FileError(
        f"{protocol.title} is not in {root}. Looked for: {'; '.join(tried)}. Give the folder that "
        "holds one of these."
    )


def _stars(layout: Layout, base: Path) -> Iterator[tuple[str, ...]]:
    """What stands for the stars of `images` in each image: tuples, in order."""
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


def _filled(pattern: str, stars: Sequence[str]) -> str:
    """A pattern with its stars replaced, one after the other."""
    parts = pattern.split("*")
    return parts[0] + "".join(
        star + part for star, part in zip(stars, parts[1:], strict=len(parts) > 1)
    )


def _benchmark_pairs(
    protocol: Benchmark, layout: Layout, base: Path, method: str
) -> tuple[tuple[Pair, ...], Callable[[Pair], NDArray[np.uint16]]]:
    pairs = tuple(
        Pair("/".join(dict.fromkeys(stars)), base / _filled(layout.images, stars),
             base / _filled(layout.truth, stars))
        for stars in _stars(layout, base)
    )  # fmt: skip
    count = len(protocol.classes)
    rest = 0 if protocol.background else IGNORED
    if isinstance(layout.numbers, tuple):
        table = listed_table(layout.numbers)
    else:
        table = label_table(count, rest=rest, first=0 if layout.numbers == "train" else 1)
    if layout.numbers != "coco":
        return pairs, lambda pair: apply_table(read_numbers(pair.truth), table, pair.truth)
    coco = open_coco(base / layout.truth)
    keys = places_of(coco, base, {pair.image.name for pair in pairs})
    refuse([f"{pair.image} is not among the images of {coco.path}. Take it out."
            for pair in pairs if pair.image.name not in keys])  # fmt: skip
    named = tuple(replace(pair, key=keys[pair.image.name]) for pair in pairs)
    return named, coco_reader(coco, protocol.prompts(method), protocol.classes, table)
