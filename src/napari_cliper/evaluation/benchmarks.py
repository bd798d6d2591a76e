"""Published evaluation protocols: classes, how each method says them, where datasets keep what.

One YAML file for each in ``protocols/``, under the name that the engine's settings have for it
(`SegmentationConfig.protocol`). Class names and their order are the datasets' own. What a method
says for a class instead of its name, and its background words, are taken from the class lists
that were published with the methods' programs; the first lines of each file say where a list was
not at hand and what stands for it. `clip` and `maskclip` speak as `sclip` and `clearclip`, as
their settings do.

Keys of a file: ``title``; ``pictures``, how many the whole split has; ``background``, whether
label 0 is scored or ignored; ``classes``; ``layouts``, tried in order; ``families``, by method,
with ``background`` words, what to ``say`` for a class (a word, then its synonyms) and into how
many ``strips`` an image is cut; ``base``, a file whose keys count where this one has none.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from types import MappingProxyType
from typing import Any

import yaml

from ..segmentation import METHODS, ClassPrompt, InvalidInputError

BENCHMARKS = (
    "voc21", "voc20", "context60", "context59", "coco-object", "coco-stuff", "ade20k", "cityscapes",
)  # fmt: skip


@dataclass(frozen=True)
class Layout:
    """One way in which a dataset lies on disk.

    Parameters
    ----------
    roots : tuple of str
        Where it may begin, from the folder that is given.
    images, truth : str
        Patterns; each ``*`` of `truth` stands for what it was in `images`. `truth` without one
        is a COCO JSON.
    numbers : str or tuple of int
        What the numbers in the ground truth mean. ``"index"``: 0 is the rest, 255 ignored,
        others the class; ``"train"``: the same, but classes from 0 on and no rest; ``"coco"``:
        categories by name. A tuple: the number of each class; all others are ignored.
    names : str, optional
        A text file with what stands for the ``*``, a line each.
    """

    roots: tuple[str, ...]
    images: str
    truth: str
    numbers: str | tuple[int, ...]
    names: str | None = None


@dataclass(frozen=True)
class Wording:
    """How a method puts a protocol's classes to the text encoder.

    Parameters
    ----------
    background : tuple of str
    say : mapping
        What stands for a class's name: a word, then its synonyms.
    strips : int
        Into how many strips, side by side, each image is cut.
    """

    background: tuple[str, ...]
    say: Mapping[str, tuple[str, ...]]
    strips: int = 1


@dataclass(frozen=True)
class Benchmark:
    """What makes figures comparable with published ones.

    Parameters
    ----------
    name, title : str
    classes : tuple of str
        Label i + 1 is ``classes[i]``.
    background : bool
        Whether label 0 is scored; else its pixels are ignored.
    layouts : tuple of Layout
    wordings : mapping
        By family.
    images : int
        How many the whole split has; 0 where published counts differ.
    """

    name: str
    title: str
    classes: tuple[str, ...]
    background: bool
    layouts: tuple[Layout, ...]
    wordings: Mapping[str, Wording]
    pictures: int = 0

    def wording(self, method: str) -> Wording:
        """How a method says the classes."""
        return self.wordings[METHODS[method].published_with]

    def prompts(self, method: str) -> tuple[ClassPrompt, ...]:
        """The classes as a method asks for them, in the order of the labels."""
        say = self.wording(method).say
        words = (say.get(name, (name,)) for name in self.classes)
        return tuple(ClassPrompt(first, tuple(synonyms)) for first, *synonyms in words)


@cache
def read_benchmark(name: str) -> Benchmark:
    """A protocol by its name.

    Raises
    ------
    InvalidInputError
        For a name that is none of `BENCHMARKS`.
    """
    if name not in BENCHMARKS:
        raise InvalidInputError(f"Unknown protocol {name!r}. Known: {', '.join(BENCHMARKS)}.")
    data = _data(name)
    wordings = {
        family: Wording(
            background=tuple(entry["background"]),
            say=MappingProxyType({k: tuple(v) for k, v in (entry.get("say") or {}).items()}),
            strips=entry.get("strips", 1),
        )
        for family, entry in data["families"].items()
    }
    return Benchmark(
        name=name,
        title=data["title"],
        classes=tuple(data["classes"]),
        background=data["background"],
        layouts=tuple(_layout(entry) for entry in data["layouts"]),
        wordings=MappingProxyType(wordings),
        pictures=data.get("pictures", 0),
    )


def _data(name: str) -> dict[str, Any]:
    """A file's keys over those of its base; families one by one."""
    path = files(__package__) / "benchmarks" / f"{name}.yaml"
    data: dict[str, Any] = yaml.safe_load(path.read_text(encoding="utf-8"))
    if "base" not in data:
        return data
    base = _data(data["base"])
    return {**base, **data, "families": {**base["families"], **data["families"]}}


def _layout(entry: Mapping[str, Any]) -> Layout:
    numbers = entry["numbers"]
    return Layout(
        roots=tuple(entry["roots"]),
        images=entry["images"],
        truth=entry["truth"],
        numbers=numbers if isinstance(numbers, str) else tuple(numbers),
        names=entry.get("list"),
    )
