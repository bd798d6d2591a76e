"""Small tensors that are kept on disk between runs, each under a hash of all it was made of.

They lie in the user's cache folder, one safetensors file each, and can be lost at any time: a file
that is missing, damaged or not to be written costs the time of making its tensor again. Files
appear whole or not at all, so that several processes may use the folder.
"""

from __future__ import annotations

import hashlib
import json
import os
import threading
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import platformdirs
import torch
from safetensors import SafetensorError
from safetensors.torch import load, save_file
from torch import Tensor


@dataclass(frozen=True)
class TensorCache:
    """One folder of kept tensors.

    Parameters
    ----------
    name : str
        Of the folder.
    tensor : str
        Of the tensor in each file.
    most : int
        How many may lie there; see `trim`.
    """

    name: str
    tensor: str
    most: int

    @property
    def folder(self) -> Path:
        """Where they are."""
        return platformdirs.user_cache_path("napari-cliper") / self.name

    def path(self, made_of: str) -> Path:
        """Where the tensor made of this is, or would be."""
        return self.folder / f"{hashlib.sha256(made_of.encode()).hexdigest()[:32]}.safetensors"

    def get(self, made_of: str) -> tuple[Tensor, dict[str, str]] | None:
        """The tensor made of this and its notes; None where it is not there or damaged."""
        path = self.path(made_of)
        # Read at once: another process may replace or delete the file meanwhile.
        with suppress(OSError, SafetensorError, AttributeError, LookupError, TypeError, ValueError):
            tensors = load(path.read_bytes())
            found, text = tensors[self.tensor], tensors["notes"].numpy().tobytes()
            notes: dict[str, str] = json.loads(text)
            if notes.pop("sha256", "") != _checksum(found, notes):
                return None  # the format has no check of its own: bad bytes would be bad numbers
            with suppress(OSError):  # a folder that is only read
                os.utime(path)  # `trim` spares what was used last
            return found, notes
        return None

    def put(self, made_of: str, tensor: Tensor, notes: dict[str, str] | None = None) -> None:
        """Keep a tensor, in the place of one of the same name; or not, on a full disk."""
        tensor, notes = tensor.contiguous(), notes or {}
        text = json.dumps({**notes, "sha256": _checksum(tensor, notes)}).encode()
        tensors = {self.tensor: tensor, "notes": torch.tensor(list(text), dtype=torch.uint8)}
        path = self.path(made_of)
        part = path.with_suffix(f".{os.getpid()}-{threading.get_ident()}.part")
        with suppress(OSError, SafetensorError):
            path.parent.mkdir(parents=True, exist_ok=True)
            try:
                save_file(tensors, part)
                part.replace(path)
            finally:
                part.unlink(missing_ok=True)

    def trim(self) -> None:
        """Where there are too many files, delete those not used for longest, and a tenth more."""
        with suppress(OSError):
            with os.scandir(self.folder) as found:
                files = list(found)
            if len(files) > self.most:
                files.sort(key=_last_used)
                for file in files[: len(files) - self.most * 9 // 10]:
                    Path(file.path).unlink(missing_ok=True)


def _checksum(tensor: Tensor, notes: dict[str, str]) -> str:
    digest = hashlib.sha256(tensor.view(torch.uint8).numpy().tobytes())
    digest.update(json.dumps(notes, sort_keys=True).encode())
    return digest.hexdigest()


def _last_used(file: os.DirEntry[str]) -> float:
    try:
        return file.stat().st_mtime
    except OSError:  # another process has just deleted it
        return 0
