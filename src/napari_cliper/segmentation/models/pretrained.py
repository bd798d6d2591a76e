"""Load parts of models in the formats of diffusers and transformers, which share one interface.

Imports neither: callers pass the classes. Nothing is downloaded, and nothing is unpickled.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from ..errors import DamagedWeightsError


def load_part(path: Path, kind: Any, **options: Any) -> Any:
    """Load a component from a folder, without network access.

    Raises
    ------
    DamagedWeightsError
        If a file is missing or cannot be read.
    """
    try:
        return kind.from_pretrained(path, local_files_only=True, **options)
    except (MemoryError, RuntimeError):  # a problem of this computer, not of the files
        raise
    except Exception as error:  # tokenizers raises plain Exception
        raise DamagedWeightsError(
            f"The model in {path} cannot be read: {error}. Delete that folder and download it "
            "again."
        ) from error


def load_network(path: Path, kind: Any, file: str, **options: Any) -> Any:
    """Load a network from safetensors in a folder; the float16 file is preferred.

    Parameters
    ----------
    path : Path
    kind : type
        A model class of diffusers or transformers.
    file : str
        Name of its weights without the ending.

    Raises
    ------
    DamagedWeightsError
        If a file cannot be read, and for missing tensors or tensors of another shape.
    """
    half = (path / f"{file}.fp16.safetensors").exists()
    network, found = load_part(
        path,
        kind,
        variant="fp16" if half else None,
        use_safetensors=True,
        output_loading_info=True,
        ignore_mismatched_sizes=True,
        **options,
    )
    # The libraries would fill missing tensors with random numbers.
    wrong = sorted({*found["missing_keys"], *(name for name, *_ in found["mismatched_keys"])})
    if wrong:
        raise DamagedWeightsError(
            f"The weights in {path} lack {len(wrong)} tensors or have them in another shape, "
            f"{wrong[0]!r} first. Delete that folder and download it again."
        )
    return network
