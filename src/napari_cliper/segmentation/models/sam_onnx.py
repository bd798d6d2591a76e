"""SAM's encoder and decoder as ONNX files, which hold a graph of operations and no code.

The only module that imports onnxruntime, which the extra ``onnx`` installs. Two kinds of encoders
are told apart by the shape of their only input: (1, 3, S, S), which takes a normalised and padded
square, and (Y, X, 3), which normalises and pads by itself (as exported for X-AnyLabeling). A
decoder has the inputs of the export in SAM's repository.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, cast

import numpy as np
import onnxruntime
import torch
from torch import Tensor, nn

from ..errors import DamagedWeightsError, InvalidInputError
from ..progress import Monitor
from .promptable import (
    MASKS,
    InputLayout,
    in_order,
    split_box,
)

SIDE = 1024
"""Side of the square that a (Y, X, 3) encoder sees."""

_DECODER_INPUTS = frozenset(
    {
        "image_embeddings",
        "point_coords",
        "point_labels",
        "mask_input",
        "has_mask_input",
        "orig_im_size",
    }
)
_SINGLE_AND_OTHERS = slice(0, 1), slice(1, None)
"""Of four masks, the first is the one for several points."""

_MASKS, _SCORES = "low_res_masks", "iou_predictions"


class OnnxEncoder:
    """An image encoder in ONNX.

    Parameters
    ----------
    path : Path

    Raises
    ------
    DamagedWeightsError
        If the file is not an ONNX model.
    InvalidInputError
        If its input is none of those above.
    """

    networks: tuple[nn.Module, ...] = ()

    def __init__(self, path: Path) -> None:
        self._session = _session(path)
        inputs = self._session.get_inputs()
        layout = _layout(inputs[0].shape) if len(inputs) == 1 else None
        if layout is None:
            raise InvalidInputError(
                f"{path} is no image encoder of a known kind. It needs one input of shape "
                f"(1, 3, {SIDE}, {SIDE}) or (height, width, 3). {_contents(self._session)}"
            )
        self.layout = layout
        self._input = str(inputs[0].name)

    def encode(self, pixels: Tensor, monitor: Monitor) -> tuple[tuple[Tensor, ...], list[Tensor]]:
        """See `promptable.ImageEmbedder`; the features are all outputs that are grids."""
        monitor.check()
        found = self._session.run(None, {self._input: pixels.numpy()})
        outputs = [torch.from_numpy(array) for array in found]
        return (outputs[0],), [one[0] for one in outputs[1:] + outputs[:1] if one.ndim == 4]


def _layout(shape: list[Any]) -> InputLayout | None:
    """Return the layout of an encoder's input; None for an unknown one.

    Sides that are not fixed are strings or None.
    """
    if len(shape) == 4 and shape[1] == 3 and shape[2] == shape[3] and isinstance(shape[2], int):
        return InputLayout(shape[2])
    if len(shape) == 3 and shape[2] == 3:
        height, width = (side if isinstance(side, int) else None for side in shape[:2])
        return InputLayout(SIDE, limits=(height, width), normalises=True)
    return None


class OnnxDecoder:
    """SAM's prompt encoder and mask decoder in ONNX.

    Parameters
    ----------
    path : Path

    Raises
    ------
    DamagedWeightsError
        If the file is not an ONNX model.
    InvalidInputError
        If it lacks an input or output of SAM's decoder.
    """

    networks: tuple[nn.Module, ...] = ()

    def __init__(self, path: Path) -> None:
        self._session = _session(path)
        inputs = {one.name: one.shape for one in self._session.get_inputs()}
        outputs = {one.name for one in self._session.get_outputs()}
        if set(inputs) != _DECODER_INPUTS or not {_MASKS, _SCORES} <= outputs:
            raise InvalidInputError(
                f"{path} is no mask decoder of a known kind. It needs the inputs "
                f"{', '.join(sorted(_DECODER_INPUTS))} and the outputs {_MASKS} and {_SCORES}. "
                f"{_contents(self._session)}"
            )
        sides = inputs["mask_input"][-2:]
        known = (side if isinstance(side, int) else SIDE // 4 for side in sides)
        self._no_mask = np.zeros((1, 1, *known), np.float32)

    def decode(
        self,
        embedding: tuple[Tensor, ...],
        points: Tensor,
        labels: Tensor,
        previous: Tensor | None = None,
        *,
        single: bool = False,  # noqa: ARG002 - all masks come together
    ) -> tuple[Tensor, Tensor]:
        """See `promptable.MaskDecoder`; returns one mask or three."""
        several = labels.numel() > 1
        _, _, box = split_box(points, labels)
        if box is None:  # as SAM's own predictor does
            points = torch.cat([points, torch.zeros(1, 1, 2)], dim=1)
            labels = torch.cat([labels, torch.full((1, 1), -1)], dim=1)
        masks, scores = self._session.run(
            [_MASKS, _SCORES],
            {
                "image_embeddings": embedding[0].numpy(),
                "point_coords": points.numpy().astype(np.float32),
                "point_labels": labels.numpy().astype(np.float32),
                "mask_input": self._no_mask if previous is None else previous[None, None].numpy(),
                "has_mask_input": np.full(1, previous is not None, np.float32),
                "orig_im_size": np.full(2, SIDE, np.float32),
            },
        )
        found = torch.from_numpy(masks[0]), torch.from_numpy(scores[0])
        if len(found[1]) <= MASKS:
            return in_order(found, None)
        first, others = ((found[0][part], found[1][part]) for part in _SINGLE_AND_OTHERS)
        return in_order(others, first if several else None)


def is_encoder(path: Path) -> bool:
    """Return whether an ONNX file takes an image."""
    inputs = _session(path).get_inputs()
    return len(inputs) == 1 and _layout(inputs[0].shape) is not None


def _session(path: Path) -> Any:
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3  # errors only
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    try:
        return onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    except MemoryError:  # a problem of this computer, not of the file
        raise
    except Exception as error:  # its exceptions share no base class
        raise DamagedWeightsError(
            f"{path} cannot be read as an ONNX model: {error} Download it again."
        ) from error


def _contents(session: Any) -> str:
    """Return the names and shapes of inputs and outputs, for error messages."""
    inputs, outputs = (
        ", ".join(f"{one.name} {cast('list[Any]', one.shape)}" for one in ports)
        for ports in (session.get_inputs(), session.get_outputs())
    )
    return f"Found the inputs {inputs} and the outputs {outputs}."
