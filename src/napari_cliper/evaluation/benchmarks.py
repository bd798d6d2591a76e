"""Published benchmarks: their classes, each method's words for them, and the dataset layouts.

Each benchmark is one YAML file in ``benchmarks/``, named as in `SegmentationConfig.preset`.
Class names and their order are those of the datasets. The words that a method uses for a class,
and its background words, come from the class lists published with the methods' code; the comment
at the top of each file says where no list was available and what is used instead. `clip` and
`maskclip` use the words of `sclip` and `clearclip`, whose settings they also share. Other methods
name theirs in `MethodRow.words_of`.

Keys of a file:

- ``title``
- ``image_count``: number of images in the full split
- ``background``: whether label 0 is scored or ignored
- ``classes``
- ``layouts``: tried in this order
- ``families``: by method, the ``background`` words, the ``words`` for a class (a word, then its
  synonyms; default: its name), and the number of ``strips`` an image is cut into
- ``base``: another file, which supplies the keys that are missing here
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
    """A folder layout of a dataset on disk.

    Parameters
    ----------
    roots : tuple of str
        Folders in which the layout may start, relative to the folder that the user gives.
    images, truth : str
        Glob patterns of the image and ground truth files. Each ``*`` of `truth` is replaced by
        the text that the same ``*`` matched in `images`. A `truth` without ``*`` is a COCO JSON.
    numbers : str or tuple of int
        Meaning of the ground truth's pixel values. ``"index"``: 0 is background, 255 is ignored,
        other values are the class number. ``"train"``: the same, but classes start at 0 and there
        is no background. ``"coco"``: categories, matched by name. A tuple: the pixel value of
        each class; all other values are ignored.
    names : str, optional
        A text file whose first word in each line replaces the ``*``.
    """

    roots: tuple[str, ...]
    images: str
    truth: str
    numbers: str | tuple[int, ...]
    names: str | None = None


@dataclass(frozen=True)
class Wording:
    """The words that a method uses for the classes of a benchmark.

    Parameters
    ----------
    background : tuple of str
        Background words.
    words : mapping of str to tuple of str
        By class name, the word used instead and its synonyms. Classes that are missing are
        prompted by their name.
    strips : int
        Number of side-by-side strips that each image is cut into.
    """

    background: tuple[str, ...]
    words: Mapping[str, tuple[str, ...]]
    strips: int = 1


@dataclass(frozen=True)
class Benchmark:
    """A published benchmark, so that results are comparable with published ones.

    Parameters
    ----------
    name, title : str
    classes : tuple of str
        Label i + 1 is ``classes[i]``.
    background : bool
        Whether label 0 is scored; otherwise its pixels are ignored.
    layouts : tuple of Layout
        Tried in this order.
    wordings : mapping of str to Wording
        By method family.
    image_count : int
        Number of images in the full split; 0 if published counts differ.
    """

    name: str
    title: str
    classes: tuple[str, ...]
    background: bool
    layouts: tuple[Layout, ...]
    wordings: Mapping[str, Wording]
    image_count: int = 0

    def wording(self, method: str) -> Wording:
        """Return the words that a method uses."""
        row = METHODS[method]
        return self.wordings[row.words_of or row.published_with]

    def prompts(self, method: str) -> tuple[ClassPrompt, ...]:
        """Return a method's prompts for the classes, in the order of the labels."""
        words_of = self.wording(method).words
        words = (words_of.get(name, (name,)) for name in self.classes)
        return tuple(ClassPrompt(first, tuple(synonyms)) for first, *synonyms in words)


@cache
def read_benchmark(name: str) -> Benchmark:
    """Read a benchmark by its name.

    Raises
    ------
    InvalidInputError
        For a name that is not in `BENCHMARKS`.
    """
    if name not in BENCHMARKS:
        raise InvalidInputError(f"Unknown benchmark {name!r}. Known: {', '.join(BENCHMARKS)}.")
    data = _data(name)
    wordings = {
        family: Wording(
            background=tuple(entry["background"]),
            words=MappingProxyType({k: tuple(v) for k, v in (entry.get("words") or {}).items()}),
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
        image_count=data.get("image_count", 0),
    )


def _data(name: str) -> dict[str, Any]:
    """Read a file's keys; keys and families that it lacks come from its base."""
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
