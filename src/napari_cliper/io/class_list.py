"""Lists of classes as files: YAML, JSON, and one class per line as published datasets have them.

YAML and JSON keep everything. A text list keeps words only: it refuses to be written where it
would change what a run finds (background classes, prompts of their own), and leaves out what
only concerns the look (colours, visibility).
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import Any

import yaml

from napari_cliper.segmentation import InvalidInputError

from ..labels.label_class import ClassRow, Colour
from .files import FileError, cannot, whole_files
from .record_checks import from_record, shown

MAX_BYTES = 8 * 2**20
"""A list of 65534 classes takes less; a larger file is something else."""

_COLOUR = re.compile(r"#[0-9a-fA-F]{6}")
_INDEX = re.compile(r"(\d{1,9})(?::(?:\s+|$)|\t\s*)")
_NO_CLASS = frozenset(("background", "ignore", "unlabeled", "unlabelled", "void"))
_BASE: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)  # in C it takes a tenth of the time


class _Loader(_BASE):  # type: ignore[misc] # one of two classes
    """PyYAML's safe loader with short decimal numbers alone.

    YAML 1.1 reads ``1:1:1`` to the base 60, which takes minutes for a long one.
    """

    yaml_implicit_resolvers: dict[Any, Any] = {}  # noqa: RUF012 - as PyYAML declares it


for _tag, _pattern, _first in (
    ("bool", "yes|Yes|YES|no|No|NO|true|True|TRUE|false|False|FALSE|on|On|ON|off|Off|OFF",
     "yYnNtTfFoO"),
    ("null", "~|null|Null|NULL|", "~nN\0"),
    ("int", r"[-+]?(?:0|[1-9]\d{0,17})", "-+0123456789"),
    ("float", r"[-+]?\d{1,18}\.\d{0,18}(?:[eE][-+]?\d{1,3})?", "-+0123456789"),
    ("merge", "<<", "<"),
):  # fmt: skip
    _Loader.add_implicit_resolver(
        f"tag:yaml.org,2002:{_tag}",
        re.compile(rf"(?:{_pattern})\Z"),
        [*_first, *[""] * (_tag == "null")],
    )

# What PyYAML lets through, beside its own errors, for malformed scalars and deep nesting.
_YAML_ERRORS = (
    yaml.YAMLError, ValueError, LookupError, AttributeError, TypeError, RecursionError,
)  # fmt: skip


# ---------------------------------------------------------------------- records


def to_record(row: ClassRow) -> dict[str, Any]:
    """A row as a JSON-safe mapping; what is as by default is left out."""
    record: dict[str, Any] = {"name": row.name}
    if row.synonyms:
        record["synonyms"] = list(row.synonyms)
    if row.background:
        record["background"] = True
    if row.colour is not None:
        record["colour"] = "#{:02x}{:02x}{:02x}".format(*row.colour)
    if not row.visible:
        record["visible"] = False
    if row.prompt is not None:
        record["prompt"] = row.prompt
    return record


def _colour(value: Any) -> Colour:
    if not isinstance(value, str) or not _COLOUR.fullmatch(value):
        raise InvalidInputError(f"colour is {shown(value)}. Write it in quotes, such as '#e69f00'.")
    red, green, blue = bytes.fromhex(value[1:])
    return red, green, blue


def row_from_record(record: Any) -> ClassRow:
    """A row from a mapping, or from a string that is the name.

    Raises
    ------
    InvalidInputError
        For a key that is not known and a value of another type.
    """
    if isinstance(record, str):
        return ClassRow(record)
    if not isinstance(record, dict):
        raise InvalidInputError(
            f"it is read as {shown(record)}. Write its name (in quotes where it is a number or "
            "'yes' or 'no'), or a mapping with 'name'."
        )
    return from_record(ClassRow, record, "it", {"colour": _colour})


def _from_data(data: Any) -> tuple[ClassRow, ...]:
    """Rows from what a YAML or JSON file holds: a list, or a mapping with a list of classes."""
    entries = data.get("classes") if isinstance(data, dict) else data
    if not isinstance(entries, list):
        raise InvalidInputError("there is no list of classes. Write 'classes:' and a list.")
    rows: list[ClassRow] = []
    for number, entry in enumerate(entries, 1):
        if not rows and _is_no_class(entry):  # a name alone: label 0 of a published list
            continue
        try:
            rows.append(row_from_record(entry))
        except InvalidInputError as error:
            raise InvalidInputError(f"class {number}: {error}") from error
    return tuple(rows)


# ---------------------------------------------------------------------- formats


def _from_yaml(text: str) -> tuple[ClassRow, ...]:
    try:
        data = yaml.load(text, _Loader)  # noqa: S506 - a safe loader
    except _YAML_ERRORS as error:
        raise InvalidInputError(f"it is not YAML: {' '.join(str(error).split())}") from error
    return _from_data(data)


def _to_yaml(rows: Sequence[ClassRow]) -> str:
    record = {"classes": [to_record(row) for row in rows]}
    return str(yaml.safe_dump(record, sort_keys=False, allow_unicode=True))


def _from_json(text: str) -> tuple[ClassRow, ...]:
    try:
        data = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise InvalidInputError(f"it is not JSON: {error}") from error
    return _from_data(data)


def _to_json(rows: Sequence[ClassRow]) -> str:
    record = {"classes": [to_record(row) for row in rows]}
    return json.dumps(record, indent=2, ensure_ascii=False) + "\n"


def _from_lines(text: str) -> tuple[ClassRow, ...]:
    lines: list[tuple[int, int | None, ClassRow]] = []
    for number, line in enumerate(text.splitlines(), 1):
        words = line.strip()
        if not words or words.startswith("#"):
            continue
        index = _INDEX.match(words)
        name, *synonyms = words[index.end() if index else 0 :].split(",")
        label = int(index[1]) if index else None
        if label == 0 or (label is None and not lines):
            if _is_no_class(name):
                continue
            if label == 0:
                raise InvalidInputError(
                    f"line {number}: {name.strip()!r} has the number 0, which is the background "
                    "here. Number the classes from 1."
                )
        try:
            lines.append((number, label, ClassRow(name, tuple(synonyms))))
        except InvalidInputError as error:
            raise InvalidInputError(f"line {number}: {error}") from error
    if all(label is not None for _, label, _ in lines):
        lines.sort(key=lambda one: one[1] or 0)
    for place, (number, label, row) in enumerate(lines, 1):
        if label not in (None, place):
            raise InvalidInputError(
                f"line {number}: {row.name!r} has the number {label}, and it would be label "
                f"{place}. Number the classes 1, 2, 3 and so on, without gaps, or not at all."
            )
    return tuple(row for _, _, row in lines)


def _is_no_class(name: Any) -> bool:
    """Whether a name at the head of a list stands for the background or for ignored pixels."""
    return isinstance(name, str) and name.strip().strip("_").casefold() in _NO_CLASS


def _same_as_line(row: ClassRow) -> bool:
    """Whether a line of text with a row's words is read as the row."""
    try:
        # Behind another class, so that "background" is a class like any other.
        found = _from_lines("\n".join(("another", ", ".join((row.name, *row.synonyms)))))
    except InvalidInputError:
        return False
    return found[1:] == (ClassRow(row.name, row.synonyms),)


def _to_lines(rows: Sequence[ClassRow]) -> str:
    if rows and _is_no_class(rows[0].name):
        raise InvalidInputError(
            f"A text list that begins with {rows[0].name!r} leaves it out. Save as .yaml or .json."
        )
    for row in rows:
        if row.background or row.prompt is not None:
            what = "is background" if row.background else "has a prompt of its own"
            raise InvalidInputError(
                f"{row.name!r} {what}, which a text list cannot say. Save as .yaml or .json."
            )
        if not _same_as_line(row):
            raise InvalidInputError(
                f"A text list would read {row.name!r} otherwise (a comma, '#', or a number in "
                "front). Save as .yaml or .json."
            )
    return "".join(", ".join((row.name, *row.synonyms)) + "\n" for row in rows)


_FORMATS: Mapping[
    str, tuple[Callable[[str], tuple[ClassRow, ...]], Callable[[Sequence[ClassRow]], str]]
] = MappingProxyType(
    {
        ".yaml": (_from_yaml, _to_yaml),
        ".yml": (_from_yaml, _to_yaml),
        ".json": (_from_json, _to_json),
        ".txt": (_from_lines, _to_lines),
    }
)

SUFFIXES = tuple(_FORMATS)


def _format(doing: str, path: Path) -> tuple[Any, Any]:
    try:
        return _FORMATS[path.suffix.lower()]
    except KeyError:
        raise FileError(
            f"Cannot {doing} {path}: lists of classes are {', '.join(SUFFIXES)} files."
        ) from None


def read_classes(path: str | Path) -> tuple[ClassRow, ...]:
    """Classes from a file, its format told by its suffix.

    Parameters
    ----------
    path : path-like
        ``.yaml``, ``.yml`` or ``.json``: a list of names or of mappings, or a mapping with
        such a list under ``classes``; the mappings have the fields of `ClassRow`, the colour
        as ``"#rrggbb"``. ``.txt``: a class per line, ``name, synonym, synonym``; lines starting
        with ``#`` are passed over. A number in front such as ``12:`` or ``12<TAB>`` is the
        class's label. "background", "unlabeled" and the like at the head of a list, or with the
        number 0, are label 0 and no class. UTF-8.

    Raises
    ------
    FileError
        For a file that cannot be read or understood, with the place in it.
    """
    path = Path(path)
    read, _ = _format("read", path)
    try:
        if path.stat().st_size > MAX_BYTES:
            raise FileError(f"Cannot read {path}: it is too large for a list of classes.")
        return tuple(read(path.read_bytes().decode("utf-8-sig")))
    except OSError as error:
        if isinstance(error, FileNotFoundError):
            raise FileError(f"Cannot read {path}: there is no such file.") from error
        raise cannot("read", path, error) from error
    except UnicodeDecodeError as error:
        raise FileError(f"Cannot read {path}: it is not text in UTF-8.") from error
    except InvalidInputError as error:
        raise FileError(f"Cannot read {path}: {error}") from error


def write_classes(path: str | Path, rows: Iterable[ClassRow]) -> None:
    """Write classes to a file that appears whole or not at all.

    Parameters
    ----------
    path : path-like
        As in `read_classes`, which reads the same rows again. A text list holds no colours
        and no visibility. A file of this name is replaced: it is the list that a person has
        opened, or a name that they have just confirmed.
    rows : iterable of ClassRow

    Raises
    ------
    FileError
        For a full disk and the like, and for rows that a text list cannot hold.
    """
    path = Path(path)
    _, write = _format("write", path)
    try:
        content = write(tuple(rows)).encode("utf-8")
    except InvalidInputError as error:
        raise FileError(f"Cannot write {path}: {error}") from error
    except UnicodeEncodeError as error:
        raise FileError(f"Cannot write {path}: a word has a broken character.") from error
    with whole_files(path.parent, replace="any") as staging:
        (staging / path.name).write_bytes(content)
