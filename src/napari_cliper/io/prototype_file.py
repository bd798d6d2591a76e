"""Read and write files of visual prototypes.

A file is in safetensors format, so that nothing in it can run. For M prototypes of D features it
has the tensors ``vectors`` (M, D) float32, ``patches`` (M,) int64 and ``thumbnails``
(M, 48, 48, 3) uint8. From format 2 on, it also has the pixels that the prototypes keep, those of
one prototype after those of the other: ``sample_counts`` (M,) int64, ``sample_features`` float16,
``sample_vectors`` int8, ``sample_shares`` float32 and ``sample_origins`` int32, see
`PixelSamples`. Its metadata, as text, are ``format`` (a number, `FORMAT`), ``napari-cliper``
(the version that wrote it), ``model`` and ``identity`` of the CLIP model, ``names`` and
``sources`` (JSON lists of length M), and ``pixel_sizes`` (a JSON object: micrometres by image).
Files of older versions have no ``pixel_sizes``. Prototypes without pixels are written in format 1.
"""

from __future__ import annotations

import hashlib
import json
from base64 import b64decode, b64encode
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, TypeVar

import numpy as np
from numpy.typing import NDArray
from pydantic import Field
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save

from .. import __version__
from ..segmentation import InvalidInputError
from .files import FileError, Replace, cannot, whole_files
from .record_checks import checked, shown

if TYPE_CHECKING:
    from ..segmentation import PixelSamples, Prototype, Prototypes

T = TypeVar("T")

SUFFIX = ".prototypes.safetensors"

FORMAT = 2
"""Version of the format; increased when older versions of napari-cliper could misread a file."""

MAX_BYTES = 2**28
"""Largest file in bytes; a thousand prototypes take less."""

THUMBNAIL = (48, 48, 3)

_TENSORS = {"vectors": ("F32", 2), "patches": ("I64", 1), "thumbnails": ("U8", 4)}
_SAMPLE_TENSORS = {
    "sample_counts": ("I64", 1),
    "sample_features": ("F16", 2),
    "sample_vectors": ("I8", 2),
    "sample_shares": ("F32", 1),
    "sample_origins": ("I32", 1),
}
_KINDS = {"features": "<f2", "vectors": "i1", "shares": "<f4", "origins": "<i4"}
"""The arrays of `PixelSamples` and how they are written."""
_TEXTS = ("format", "napari-cliper", "model", "identity", "names", "sources")
_AGAIN = "Learn the prototypes again, or use an undamaged copy of the file."


class _WrongError(Exception):
    """A file is invalid; the message says what is wrong and what to do."""

    def __init__(self, why: str, remedy: str = _AGAIN) -> None:
        super().__init__(f"{why}. {remedy}")


def beside(classes: Path) -> Path:
    """Path of the prototypes of a class list, such as ``classes.prototypes.safetensors``.

    Parameters
    ----------
    classes : Path
        File of the class list, such as ``classes.yaml``.
    """
    return classes.with_name(classes.stem + SUFFIX)


def write_prototypes(
    path: str | Path,
    prototypes: Prototypes,
    *,
    replace: Replace = "own",
    inputs: Iterable[Path] = (),
) -> None:
    """Write prototypes to a file, completely or not at all.

    Parameters
    ----------
    path : path-like
        Must end in ``.safetensors``, preferably in `SUFFIX`.
    prototypes : Prototypes
    replace, inputs
        As in `files.whole_files`.

    Raises
    ------
    FileError
        For another suffix, too many prototypes, and write errors such as a full disk.
    """
    path = Path(path)
    check_suffix(path)
    items = prototypes.items
    metadata = {
        "format": str(FORMAT if any(one.samples is not None for one in items) else 1),
        "napari-cliper": __version__,
        "model": _sound(prototypes.model),
        "identity": _sound(prototypes.identity),
        "names": json.dumps([one.name for one in items]),
        "sources": json.dumps([one.sources for one in items]),
        "pixel_sizes": json.dumps(dict(prototypes.pixel_sizes)),
    }
    content = save(_arrays(prototypes), metadata)
    if len(content) > MAX_BYTES:
        raise FileError(
            f"Cannot write {path}: {len(items)} prototypes take {len(content) >> 20} MB, and "
            f"the limit is {MAX_BYTES >> 20} MB. Remove some, or learn fewer classes per file."
        )
    with whole_files(path.parent, replace=replace, inputs=inputs) as staging:
        (staging / path.name).write_bytes(content)


def check_suffix(path: Path) -> None:
    """Refuse a file name for prototypes that does not end in ``.safetensors``.

    Raises
    ------
    FileError
    """
    if path.suffix.lower() != ".safetensors":
        raise FileError(
            f"Cannot write {path}: prototype files end in .safetensors. Call it "
            f"{beside(path).name}."
        )


def read_prototypes(path: str | Path) -> Prototypes:
    """Read prototypes from a file and check all its values.

    Parameters
    ----------
    path : path-like

    Raises
    ------
    FileError
        For a file that is missing, too large, truncated, damaged, written by a newer version, or
        not a prototype file. The message says which, and what to do.
    """
    path = Path(path)
    try:
        _check_file(path)
        with safe_open(path, framework="numpy") as file:
            texts = _checked_texts(file.metadata() or {})
            arrays = _checked_arrays(file, int(texts["format"]))
        return _made(texts, arrays)
    except FileNotFoundError as error:
        raise FileError(
            f"Cannot read {path}: the file does not exist. Create it with `napari-cliper learn`."
        ) from error
    except OSError as error:
        raise cannot("read", path, error) from error
    except SafetensorError as error:
        why = f"it is cut off, or not a safetensors file ({error})"
        raise FileError(f"Cannot read {path}: {why}. {_AGAIN}") from error
    except _WrongError as error:
        raise FileError(f"Cannot read {path}: {error}") from error


def prototypes_record(prototypes: Prototypes) -> dict[str, Any]:
    """Provenance of prototypes for the records of results; JSON-safe.

    Returns
    -------
    dict
        ``model``, ``sha256`` of everything that scores depend on, ``prototypes``, their number,
        and, if known, ``pixel_sizes`` of the images they were learned from, in micrometres.
    """
    digest = hashlib.sha256(prototypes.identity.encode(errors="replace"))
    digest.update(json.dumps([[one.name, one.sources] for one in prototypes.items]).encode())
    arrays = _arrays(prototypes)
    for name, array in arrays.items():
        if name != "thumbnails":
            digest.update(array.tobytes())
    sizes = sorted(set(prototypes.pixel_sizes.values()))
    return {
        "model": prototypes.model,
        "sha256": digest.hexdigest(),
        "prototypes": len(prototypes),
        **({"pixel_sizes": sizes} if sizes else {}),
    }


def to_record(one: Prototype) -> dict[str, Any]:
    """Return a prototype as JSON values, exactly; see `from_record`."""
    return {
        "class": one.name,
        "vector": _text(np.asarray(one.vector.numpy(), "<f4")),
        "patches": one.patches,
        "sources": list(one.sources),
        "thumbnail": _text(one.thumbnail),
        "samples": None if one.samples is None else _samples_to_record(one.samples),
    }


def from_record(record: Mapping[str, Any]) -> Prototype:
    """Restore a prototype from `to_record`."""
    import torch  # noqa: PLC0415 - importing this module must not load torch

    from ..segmentation import Prototype  # noqa: PLC0415 - as above

    samples = record["samples"]
    vector = np.frombuffer(b64decode(record["vector"]), "<f4").astype(np.float32)
    thumbnail = np.frombuffer(b64decode(record["thumbnail"]), np.uint8).reshape(THUMBNAIL)
    return Prototype(
        name=record["class"],
        vector=torch.from_numpy(vector),
        patches=int(record["patches"]),
        sources=tuple(record["sources"]),
        thumbnail=thumbnail.copy(),
        samples=None if samples is None else _samples_from_record(samples),
    )


def _samples_to_record(samples: PixelSamples) -> dict[str, str]:
    return {name: _text(np.asarray(getattr(samples, name), kind)) for name, kind in _KINDS.items()}


def _samples_from_record(record: Mapping[str, str]) -> PixelSamples:
    from ..segmentation import PixelSamples  # noqa: PLC0415 - importing this must not load torch

    flat = {name: np.frombuffer(b64decode(record[name]), kind) for name, kind in _KINDS.items()}
    count = len(flat["shares"])
    return PixelSamples(
        flat["features"].reshape(count, -1).astype(np.float16),
        flat["vectors"].reshape(count, -1).astype(np.int8),
        flat["shares"].astype(np.float32),
        flat["origins"].astype(np.int32),
    )


def _text(array: NDArray[Any]) -> str:
    return b64encode(np.ascontiguousarray(array).tobytes()).decode()


def _arrays(prototypes: Prototypes) -> dict[str, NDArray[Any]]:
    """The tensors of a file, by name."""
    items = prototypes.items
    vectors = [np.asarray(one.vector.numpy(), np.float32) for one in items]
    kept = [one.samples for one in items if one.samples is not None]
    samples: dict[str, NDArray[Any]] = {}
    if kept:
        counts = [0 if one.samples is None else len(one.samples) for one in items]
        samples["sample_counts"] = np.array(counts, np.int64)
        for name, kind in _KINDS.items():
            parts = [np.asarray(getattr(one, name)) for one in kept]
            samples[f"sample_{name}"] = np.concatenate(parts).astype(kind)
    return {
        **samples,
        "vectors": np.stack(vectors) if items else np.zeros((0, 0), np.float32),
        "patches": np.array([one.patches for one in items], np.int64),
        "thumbnails": np.array([one.thumbnail for one in items], np.uint8).reshape(-1, *THUMBNAIL),
    }


def _sound(text: str) -> str:
    """Text that can be encoded as UTF-8; lone surrogates become question marks."""
    return text.encode("utf-8", errors="replace").decode()


# ---------------------------------------------------------------------- checks


def _check_file(path: Path) -> None:
    """Check a path and the size of its file, before the file is opened."""
    remedy = "Give the file that `napari-cliper learn` wrote."
    if path.exists() and not path.is_file():
        raise _WrongError("it is not a file", remedy)
    size = path.stat().st_size
    if size > MAX_BYTES:
        raise _WrongError(f"its {size >> 20} MB are too many for prototypes", remedy)


def _checked_texts(texts: Mapping[str, str]) -> dict[str, Any]:
    """The metadata, checked, with the lists parsed."""
    if "format" not in texts or "identity" not in texts:
        raise _WrongError(
            "it is a safetensors file, but not one of prototypes",
            "Give the file that `napari-cliper learn` wrote.",
        )
    number = texts["format"]
    if not number.isascii() or not number.isdecimal() or not 0 < len(number) < 10:
        raise _WrongError(f"its format is {number!r:.40}, which is not a number")
    if int(number) > FORMAT:
        raise _WrongError(
            f"it has format {int(number)} and was written by napari-cliper "
            f"{texts.get('napari-cliper', 'of a later version')}, but this version "
            f"({__version__}) reads formats up to {FORMAT}",
            "Update napari-cliper.",
        )
    if int(number) < 1:
        raise _WrongError("its format is 0, but formats start at 1")
    missing = [name for name in _TEXTS if not texts.get(name)]
    if missing:
        raise _WrongError(f"its metadata have no {', '.join(missing)}")
    texts = {"pixel_sizes": "{}", **texts}
    return {
        **texts,
        "names": _parsed(tuple[str, ...], texts, "names", "a list of texts"),
        "sources": _parsed(_Sources, texts, "sources", "a list of lists of images"),
        "pixel_sizes": _parsed(_Sizes, texts, "pixel_sizes", "an object of lengths above 0"),
    }


_Sources = tuple[Annotated[list[str], Field(min_length=1)], ...]

_Sizes = dict[str, Annotated[float, Field(gt=0, allow_inf_nan=False)]]


def _parsed(kind: type[T], texts: Mapping[str, str], name: str, what: str) -> T:
    try:
        found = json.loads(texts[name])
    except (ValueError, RecursionError) as error:
        raise _WrongError(f"its {name} are not JSON ({error})") from error
    try:
        return checked(kind, found, name)
    except InvalidInputError:
        raise _WrongError(f"its {name} are {shown(found)}, not {what}") from None


def _checked_arrays(file: Any, version: int) -> dict[str, NDArray[Any]]:
    """The tensors of an open safetensors file, with dtypes and dimensions checked."""
    names = set(file.keys())
    expected = _TENSORS if version == 1 else {**_TENSORS, **_SAMPLE_TENSORS}
    if names != set(expected):
        raise _WrongError(
            f"it has the tensors {', '.join(sorted(names)) or 'none'}, not {', '.join(expected)}"
        )
    arrays: dict[str, NDArray[Any]] = {}
    for name, (dtype, dimensions) in expected.items():
        tensor = file.get_slice(name)
        if tensor.get_dtype() != dtype or len(tensor.get_shape()) != dimensions:
            shape = " x ".join(map(str, tensor.get_shape()))
            raise _WrongError(f"its {name} are {tensor.get_dtype()} of shape {shape}")
        arrays[name] = file.get_tensor(name)
    return arrays


def _made(texts: Mapping[str, Any], arrays: Mapping[str, NDArray[Any]]) -> Prototypes:
    """The prototypes, after a check of lengths and values."""
    vectors, patches, thumbnails = (arrays[name] for name in _TENSORS)
    names, sources = texts["names"], texts["sources"]
    lengths = {name: len(arrays[name]) for name in _TENSORS}
    lengths |= {"names": len(names), "sources": len(sources)}
    if len(set(lengths.values())) > 1:
        counts = ", ".join(f"{count} {name}" for name, count in lengths.items())
        raise _WrongError(f"it does not have the same number of each item: {counts}")
    if thumbnails.shape[1:] != THUMBNAIL:
        raise _WrongError(f"its thumbnails have shape {' x '.join(map(str, thumbnails.shape[1:]))}")
    if not np.isfinite(vectors).all():
        raise _WrongError("one of its vectors has values that are not finite")
    wrong = np.abs(np.linalg.norm(vectors.astype(np.float64), axis=1) - 1) > 1e-3
    if wrong.any():
        raise _WrongError(f"the vectors of {int(wrong.sum())} prototypes are not of length 1")
    if (patches < 1).any():
        raise _WrongError(f"one of its prototypes is the mean of {int(patches.min())} patches")

    import torch  # noqa: PLC0415 - importing this module must not load torch

    from ..segmentation import Prototype, Prototypes  # noqa: PLC0415 - as above

    items = (
        Prototype(name, torch.from_numpy(vector), int(count), tuple(images), thumbnail, samples)
        for name, vector, count, images, thumbnail, samples in zip(
            names, vectors.copy(), patches, sources, thumbnails,
            _samples_of(arrays, sources), strict=True,
        )
    )  # fmt: skip
    return Prototypes(texts["model"], texts["identity"], tuple(items), texts["pixel_sizes"])


def _samples_of(
    arrays: Mapping[str, NDArray[Any]], sources: Sequence[Sequence[str]]
) -> list[PixelSamples | None]:
    """The pixels of each prototype, after a check of lengths and values."""
    if "sample_counts" not in arrays:
        return [None] * len(sources)

    from ..segmentation import PixelSamples  # noqa: PLC0415 - importing this must not load torch

    counts = arrays["sample_counts"]
    parts = {name: arrays[f"sample_{name}"] for name in _KINDS}
    if len(counts) != len(sources) or not ((counts >= 0) & (counts <= len(parts["shares"]))).all():
        raise _WrongError("its sample_counts do not fit its prototypes")
    total, width = int(counts.sum()), arrays["vectors"].shape[1]
    if {len(part) for part in parts.values()} != {total}:
        raise _WrongError(f"its samples are not the {total} that its sample_counts say")
    shapes = parts["features"].shape[1], parts["vectors"].shape[1]
    if shapes != (PixelSamples.width, width):
        raise _WrongError(
            f"its samples have {shapes[0]} and {shapes[1]} features, not {PixelSamples.width} and "
            f"{width}"
        )
    if not all(np.isfinite(part).all() for part in parts.values()):
        raise _WrongError("one of its samples has values that are not finite")
    if (parts["shares"] <= 0).any():
        raise _WrongError("one of its samples has a share that is not above 0")
    found: list[PixelSamples | None] = []
    for stop, count, images in zip(counts.cumsum().tolist(), counts.tolist(), sources, strict=True):
        some = slice(stop - count, stop)
        origins = parts["origins"][some]
        if count and not (origins.min() >= 0 and origins.max() < len(images)):
            raise _WrongError("one of its samples is of an image that its prototype lacks")
        one = PixelSamples(**{name: part[some].copy() for name, part in parts.items()})
        found.append(one if count else None)
    return found
