"""A disk cache of small tensors, keyed by a hash of everything they were computed from.

Each tensor is a safetensors file in the user's cache folder. Files may be deleted at any time: a
missing, damaged or unwritable file only costs the time to compute the tensor again. Writes are
atomic, so that several processes can share the folder.
"""

from __future__ import annotations

import hashlib
import json
import os
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import platformdirs
import torch
from safetensors import SafetensorError
from safetensors.torch import load, save_file
from torch import Tensor

from .. import atomic


@dataclass(frozen=True)
class TensorCache:
    """One folder of cached tensors.

    Parameters
    ----------
    name : str
        Name of the folder.
    tensor : str
        Name of the tensor in each file.
    most : int
        Maximum number of files; see `trim`.
    """

    name: str
    tensor: str
    most: int

    @property
    def folder(self) -> Path:
        """Path of the folder."""
        return platformdirs.user_cache_path("napari-cliper") / self.name

    def path(self, made_of: str) -> Path:
        """Return the path of the file for a key, whether it exists or not."""
        return self.folder / f"{hashlib.sha256(made_of.encode()).hexdigest()[:32]}.safetensors"

    def get(self, made_of: str) -> tuple[Tensor, dict[str, str]] | None:
        """Return the cached tensor and its metadata; None if it is missing or damaged."""
        path = self.path(made_of)
        # Read the whole file in one call: another process may replace or delete it.
        with suppress(OSError, SafetensorError, AttributeError, LookupError, TypeError, ValueError):
            tensors = load(path.read_bytes())
            found, text = tensors[self.tensor], tensors["notes"].numpy().tobytes()
            notes: dict[str, str] = json.loads(text)
            if notes.pop("sha256", "") != _checksum(found, notes):
                return None  # safetensors has no checksum: damage would change values
            with suppress(OSError):  # the folder may be read-only
                os.utime(path)  # `trim` deletes the least recently used files
            return found, notes
        return None

    def put(self, made_of: str, tensor: Tensor, notes: dict[str, str] | None = None) -> None:
        """Store or replace a tensor; does nothing if the file cannot be written."""
        tensor, notes = tensor.contiguous(), notes or {}
        text = json.dumps({**notes, "sha256": _checksum(tensor, notes)}).encode()
        tensors = {self.tensor: tensor, "notes": torch.tensor(list(text), dtype=torch.uint8)}
        path = self.path(made_of)
        with suppress(OSError, SafetensorError):
            path.parent.mkdir(parents=True, exist_ok=True)
            with atomic.replacing(path) as part:
                save_file(tensors, part)

    def trim(self) -> None:
        """Delete the least recently used files beyond `most`, down to 90 % of it."""
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
