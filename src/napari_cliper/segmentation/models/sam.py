"""Load a promptable model by name or from a folder."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path

import torch

from ..errors import InvalidInputError, WeightsUnavailableError
from ..progress import Monitor
from . import weights
from .loading import Loaded, hashed, shared
from .promptable import MaskDecoder, PromptableModel
from .registry import REGISTRY, entry

ONNX_EXTRA = "pip install 'napari-cliper[onnx]'"

_FOLDER_HELP = (
    "A folder for SAM holds config.json and model.safetensors in the format of transformers, or an "
    "encoder and a decoder as .onnx files. The decoder may also be a .safetensors file with the "
    "names of the published SAM checkpoints (prompt_encoder.*, mask_decoder.*)."
)


def check_sam(name: str) -> None:
    """Check the name of a promptable model; nothing is loaded.

    Raises
    ------
    InvalidInputError
        If it is neither in the registry nor a folder; the message suggests the nearest name.
    """
    if name not in REGISTRY and Path(name).is_dir():
        return
    entry(name, "sam")


def load_sam(
    name: str, device: torch.device, *, offline: bool, monitor: Monitor
) -> Loaded[PromptableModel]:
    """Load a promptable model onto the device; download it if necessary.

    Parameters
    ----------
    name : str
        A row of the registry of the kind ``"sam"``, or a folder.
    device : torch.device
        For models of transformers. ONNX files run on the CPU.
    offline : bool
    monitor : Monitor

    Raises
    ------
    InvalidInputError
        For an unknown name, and a folder without a model of a known kind.
    WeightsUnavailableError, DamagedWeightsError, Stopped
    """
    check_sam(name)

    def load() -> Loaded[PromptableModel]:
        if name in REGISTRY:
            files = weights.fetch(entry(name, "sam"), offline=offline, monitor=monitor)
            folder = files["config.json"].parent
        else:
            folder = Path(name)
        monitor.tell(f"Loading {name}", 0, 1)
        model, paths = _from_folder(folder)
        for network in model.networks:
            network.to(device)
        return Loaded(model, hashed(paths, monitor))

    return shared(("sam", name, str(device)), load, monitor)


def _from_folder(folder: Path) -> tuple[PromptableModel, list[Path]]:
    """Return the model in a folder, and its weight files."""
    described = folder / "config.json"
    tensors, graphs = (sorted(folder.glob(f"*{end}")) for end in (".safetensors", ".onnx"))
    if described.is_file() and tensors:
        from . import transformers_networks  # noqa: PLC0415 - imports transformers

        return PromptableModel(*transformers_networks.load_sam(folder)), tensors
    if not graphs:
        found = ", ".join(sorted(path.name for path in folder.iterdir())[:10]) or "nothing"
        raise InvalidInputError(f"{folder} holds no SAM. {_FOLDER_HELP} Found: {found}.")
    return _from_onnx(folder, graphs, tensors)


def _from_onnx(
    folder: Path, graphs: list[Path], tensors: list[Path]
) -> tuple[PromptableModel, list[Path]]:
    if find_spec("onnxruntime") is None:
        raise WeightsUnavailableError(
            f"{folder} holds ONNX files, which need onnxruntime. Install it with: {ONNX_EXTRA}"
        )
    from . import sam_onnx  # noqa: PLC0415 - imports onnxruntime

    encoders = [path for path in graphs if sam_onnx.is_encoder(path)]
    others = [path for path in graphs if path not in encoders]
    if len(encoders) != 1 or len(tensors) > 1 or (not tensors and len(others) != 1):
        if not encoders and len(graphs) == 1 + (not tensors):
            for path in graphs:
                sam_onnx.OnnxEncoder(path)  # says what it found instead
        files = [path.name for path in (*graphs, *tensors)]
        raise InvalidInputError(
            f"{folder} must hold one encoder and one decoder. {_FOLDER_HELP} "
            f"Found {len(encoders)} encoders among: {', '.join(files)}."
        )
    decoder: MaskDecoder
    if tensors:  # gives three masks
        from . import transformers_networks  # noqa: PLC0415 - imports transformers

        (path,) = tensors
        decoder = transformers_networks.sam_decoder(weights.read_tensors(path), str(path))
    else:
        (path,) = others
        decoder = sam_onnx.OnnxDecoder(path)
    return PromptableModel(sam_onnx.OnnxEncoder(encoders[0]), decoder), [encoders[0], path]
