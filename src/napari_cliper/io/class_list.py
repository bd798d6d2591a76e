"""Read and write lists of classes: YAML, JSON, and text with one class per line.

YAML and JSON keep everything. A text list holds names and synonyms only. Colours and visibility are
left out of it; a list with background classes or custom prompts is refused, because without
them a run would give other results.
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
"""Largest class list in bytes; a list of 65534 classes takes less."""

_COLOUR = re.compile(r"#[0-9a-fA-F]{6}")
_INDEX = re.compile(r"(\d{1,9})(?::(?:\s+|$)|\t\s*)")
_NO_CLASS = frozenset(("background", "ignore", "unlabeled", "unlabelled", "void"))
_BASE: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)  # in C it takes a tenth of the time


class _Loader(_BASE):  # type: ignore[misc] # one of two classes
    """PyYAML's safe loader that reads only short decimal numbers as numbers.

    YAML 1.1 reads ``1:1:1`` in base 60, which takes minutes for a long one.
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

# PyYAML's own errors, and those it does not catch for malformed scalars and deep nesting.
_YAML_ERRORS = (
    yaml.YAMLError, ValueError, LookupError, AttributeError, TypeError, RecursionError,
)  # fmt: skip


# ---------------------------------------------------------------------- records


def to_record(row: ClassRow) -> dict[str, Any]:
    """A row as a JSON-safe mapping without fields that have their default value."""
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
        For an unknown key and a value of the wrong type.
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
    """Rows from the content of a YAML or JSON file: a list, or a mapping with ``classes``."""
    entries = data.get("classes") if isinstance(data, dict) else data
    if not isinstance(entries, list):
        raise InvalidInputError("there is no list of classes. Write 'classes:' and a list.")
    rows: list[ClassRow] = []
    for number, entry in enumerate(entries, 1):
        if not rows and _is_no_class(entry):  # a bare name: label 0 of a published list
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
        raise InvalidInputError(f"it is not YAML: {_problem_of(error)}") from error
    return _from_data(data)


def _problem_of(error: Exception) -> str:
    """Why a text is not YAML, with the line if that is known."""
    if not isinstance(error, yaml.MarkedYAMLError) or error.problem_mark is None:
        return " ".join(str(error).split())
    mark = error.problem_mark
    return f"line {mark.line + 1}, column {mark.column + 1}: {error.problem}"


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
                    f"line {number}: {name.strip()!r} has the number 0, which is always the "
                    "background. Number the classes from 1."
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
                f"line {number}: {row.name!r} has the number {label}, but would become label "
                f"{place}. Number the classes 1, 2, 3, ... without gaps, or remove the numbers."
            )
    return tuple(row for _, _, row in lines)


def _is_no_class(name: Any) -> bool:
    """Whether a name at the start of a list means the background or ignored pixels."""
    return isinstance(name, str) and name.strip().strip("_").casefold() in _NO_CLASS


def _same_as_line(row: ClassRow) -> bool:
    """Whether a row is the same after it is written to a line and read again."""
    try:
        # After another class, so that "background" is read as a class.
        found = _from_lines("\n".join(("another", ", ".join((row.name, *row.synonyms)))))
    except InvalidInputError:
        return False
    return found[1:] == (ClassRow(row.name, row.synonyms),)


def _to_lines(rows: Sequence[ClassRow]) -> str:
    if rows and _is_no_class(rows[0].name):
        raise InvalidInputError(
            f"{rows[0].name!r} at the start of a text list is not read as a class. Save as .yaml "
            "or .json."
        )
    for row in rows:
        if row.background or row.prompt is not None:
            what = "is background" if row.background else "has a custom prompt"
            raise InvalidInputError(
                f"{row.name!r} {what}, which a text list cannot store. Save as .yaml or .json."
            )
        if not _same_as_line(row):
            raise InvalidInputError(
                f"{row.name!r} would change in a text list, because it has a comma or starts with "
                "'#' or a number. Save as .yaml or .json."
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
            f"Cannot {doing} {path}: class lists are {', '.join(SUFFIXES)} files. Change the "
            "ending."
        ) from None


def read_classes(path: str | Path) -> tuple[ClassRow, ...]:
    """Read classes from a file; its suffix gives the format.

    Parameters
    ----------
    path : path-like
        UTF-8. ``.yaml``, ``.yml`` or ``.json``: a list of names or of mappings, or a mapping with
        such a list under ``classes``. The mappings have the fields of `ClassRow`, with the colour
        as ``"#rrggbb"``. ``.txt``: one class per line, ``name, synonym, synonym``; lines that
        start with ``#`` are ignored. A leading number such as ``12:`` or ``12<TAB>`` is the label
        of the class. "background", "unlabeled" and similar names at the start of a list or with
        the number 0 are label 0, not a class.

    Raises
    ------
    FileError
        For a file that cannot be read or is not valid; the message names the entry.
    """
    path = Path(path)
    read, _ = _format("read", path)
    try:
        if path.stat().st_size > MAX_BYTES:
            raise FileError(
                f"Cannot read {path}: it is too large for a class list. Give a smaller file."
            )
        return tuple(read(path.read_bytes().decode("utf-8-sig")))
    except OSError as error:
        raise cannot("read", path, error) from error
    except UnicodeDecodeError as error:
        raise FileError(
            f"Cannot read {path}: it is not UTF-8 text. Save it in that encoding."
        ) from error
    except InvalidInputError as error:
        raise FileError(f"Cannot read {path}: {error}") from error


def write_classes(path: str | Path, rows: Iterable[ClassRow]) -> None:
    """Write classes to a file, completely or not at all. An existing file is replaced.

    Parameters
    ----------
    path : path-like
        As in `read_classes`, which reads the same rows again, except colours and visibility from
        a text list.
    rows : iterable of ClassRow

    Raises
    ------
    FileError
        For a write error such as a full disk, and for rows that a text list cannot hold.
    """
    path = Path(path)
    _, write = _format("write", path)
    try:
        content = write(tuple(rows)).encode("utf-8")
    except InvalidInputError as error:
        raise FileError(f"Cannot write {path}: {error}") from error
    except UnicodeEncodeError as error:
        raise FileError(
            f"Cannot write {path}: a word has an invalid character. Type the word again."
        ) from error
    with whole_files(path.parent, replace="any") as staging:
        (staging / path.name).write_bytes(content)
