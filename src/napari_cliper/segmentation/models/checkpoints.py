"""Read weight files safely and compute their SHA-256.

Loading a pickle can execute arbitrary code. This module reads files only with safetensors and with
``torch.load(weights_only=True)``, which execute none.
"""

from __future__ import annotations

import hashlib
import pickle
import re
import struct
import zipfile
from typing import TYPE_CHECKING, Any, NoReturn

from safetensors import SafetensorError, safe_open

from ..errors import DamagedWeightsError, WeightsUnavailableError
from ..progress import Monitor

if TYPE_CHECKING:
    from pathlib import Path

    from torch import Tensor

SHA256 = re.compile(r"[0-9a-f]{64}")

_BLOCK = 1 << 24  # bytes read at a time when hashing
_UNWATCHED = Monitor()

# Exceptions that torch's two readers raise, depending on where the file is damaged.
_UNREADABLE = (
    ArithmeticError,
    AssertionError,
    AttributeError,
    EOFError,
    ImportError,
    LookupError,
    OSError,
    RuntimeError,
    TypeError,
    ValueError,
    pickle.UnpicklingError,
    struct.error,
    zipfile.BadZipFile,
)
_STARTS = (
    (b"version https://git-lfs", "a git-lfs pointer, not the file it points to"),
    (b"<", "a web page"),
    (b"PK\x03\x04", "a zip archive, as torch.save writes"),
    (b"\x80", "a pickle"),
)


def read_tensors(path: Path) -> dict[str, Tensor]:
    """Return the tensors of a weight file, on the CPU, without executing code from the file.

    Parameters
    ----------
    path : Path
        A ``.safetensors`` file, or a file written by ``torch.save`` (a state dict, or a checkpoint
        that holds one under ``"state_dict"``).

    Returns
    -------
    dict of str to Tensor

    Raises
    ------
    WeightsUnavailableError
        If the file does not exist or cannot be opened.
    DamagedWeightsError
        If the file is truncated, has another format or holds anything but tensors; also for
        TorchScript archives, because they contain code.
    """
    import torch  # noqa: PLC0415 - listing cached weights must not import torch
    from safetensors.torch import load_file  # noqa: PLC0415

    try:
        with path.open("rb") as file:
            start = file.read(64)
    except OSError as error:
        raise WeightsUnavailableError(
            f"The weight file {path} cannot be read: {error.strerror}."
        ) from error
    kind = next((what for magic, what in _STARTS if start.startswith(magic)), "unknown data")
    try:
        if path.suffix == ".safetensors":
            return load_file(path)
        if zipfile.is_zipfile(path):
            with zipfile.ZipFile(path) as archive:
                names = archive.namelist()
            if any(name.endswith("/constants.pkl") for name in names):
                _refuse(
                    path,
                    "it is a TorchScript archive, which contains code. Save its state dict "
                    "with torch.save, or use a .safetensors file of the same weights",
                )
        content: Any = torch.load(path, map_location="cpu", weights_only=True)
    except SafetensorError as error:
        _refuse(path, f"it is truncated or not a safetensors file: {error}; it starts like {kind}")
    except pickle.UnpicklingError as error:
        named = re.search(r"Unsupported global: GLOBAL (\S+)", str(error))  # torch says much more
        what = f"it names {named[1]}" if named else f"it starts like {kind}"
        _refuse(path, f"it is not a pickle of plain tensors ({what}); none of its code was run")
    except _UNREADABLE as error:
        _refuse(path, f"it starts like {kind} and cannot be read: {error}")
    if isinstance(content, dict) and isinstance(content.get("state_dict"), dict):
        content = content["state_dict"]
    if not isinstance(content, dict):
        _refuse(path, f"it holds a {type(content).__name__} instead of named tensors")
    for name, value in content.items():
        if not (isinstance(name, str) and isinstance(value, torch.Tensor)):
            _refuse(path, f"its entry {name!r} is a {type(value).__name__}, not a tensor")
    return dict(content)


def sha256(path: Path, monitor: Monitor = _UNWATCHED) -> str:
    """Return the SHA-256 of a file; files in the hub cache are not read if their name is the hash.

    Parameters
    ----------
    path : Path
        A file. A symbolic link to ``blobs/<64 hex digits>`` is not read, because the hub cache
        names large files by their hash.
    monitor : Monitor
        Reports ``"Checking NAME"`` with progress in bytes while the file is read.

    Returns
    -------
    str
        64 hexadecimal digits.
    """
    blob = path.resolve()
    if path.is_symlink() and blob.parent.name == "blobs" and SHA256.fullmatch(blob.name):
        return blob.name
    size = blob.stat().st_size
    digest = hashlib.sha256()
    with blob.open("rb") as file:
        while block := file.read(_BLOCK):
            digest.update(block)
            monitor.tell(f"Checking {path.name}", file.tell(), size, "byte")
    return digest.hexdigest()


def safetensors_notes(path: Path) -> dict[str, str]:
    """Return the metadata of a safetensors file; empty for other formats."""
    if path.suffix != ".safetensors":
        return {}
    try:
        with safe_open(path, framework="np") as file:
            return dict(file.metadata() or {})
    except SafetensorError:  # `read_tensors` will report the damage
        return {}


def _refuse(path: Path, why: str) -> NoReturn:
    raise DamagedWeightsError(
        f"The weight file {path} cannot be used: {why}. Delete it and download it again "
        "('napari-cliper models' lists the available weights)."
    )
