"""Small promptable models: random ones of transformers, and ONNX files that follow colours."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import onnx
import onnx.parser
import torch
from transformers import (
    EdgeTamConfig,
    EdgeTamModel,
    Sam2Config,
    Sam2Model,
    SamConfig,
    SamModel,
    TimmWrapperConfig,
)

SIDE = 64

_DECODER = {"hidden_size": 32, "mlp_dim": 32, "num_attention_heads": 2, "iou_head_hidden_dim": 32}
_PROMPTS = {"hidden_size": 32, "image_size": SIDE}
_GRIDS = {"backbone_feature_sizes": [[16, 16], [8, 8], [4, 4]], "fpn_hidden_size": 32}


def _sam() -> SamModel:
    vision = {
        "hidden_size": 16,
        "output_channels": 32,
        "num_hidden_layers": 4,
        "num_attention_heads": 2,
        "image_size": SIDE,
        "window_size": 2,
        "global_attn_indexes": [1, 3],
        "mlp_dim": 16,
        "num_pos_feats": 16,
        "initializer_range": 0.1,
    }
    return SamModel(
        SamConfig(
            vision_config=vision, prompt_encoder_config=_PROMPTS, mask_decoder_config=_DECODER
        )
    )


def _sam2() -> Sam2Model:
    backbone = {
        "model_type": "sam2_hiera_det_model",
        "hidden_size": 8,
        "image_size": [SIDE, SIDE],
        "embed_dim_per_stage": [8, 16, 32, 64],
        "blocks_per_stage": [1, 1, 2, 1],
        "num_attention_heads_per_stage": [1, 1, 2, 2],
        "window_size_per_stage": [4, 4, 4, 2],
        "global_attention_blocks": [3],
        "window_positional_embedding_background_size": [4, 4],
    }
    vision = {
        **_GRIDS,
        "backbone_config": backbone,
        "backbone_channel_list": [64, 32, 16, 8],
    }
    return Sam2Model(
        Sam2Config(
            vision_config=vision, prompt_encoder_config=_PROMPTS, mask_decoder_config=_DECODER
        )
    )


def _edgetam() -> EdgeTamModel:
    backbone = TimmWrapperConfig(
        architecture="repvit_m1",
        model_args={"in_chans": 3, "features_only": True, "out_indices": [0, 1, 2, 3]},
    )
    vision = {**_GRIDS, "backbone_config": backbone}
    return EdgeTamModel(
        EdgeTamConfig(
            vision_config=vision, prompt_encoder_config=_PROMPTS, mask_decoder_config=_DECODER
        )
    )


KINDS = {"sam": _sam, "sam2": _sam2, "edgetam": _edgetam}


def save_random_sam(kind: str, folder: Path) -> Any:
    """Write a small random model in the format of transformers, and return it."""
    torch.manual_seed(0)
    network = KINDS[kind]().eval()
    with torch.no_grad():
        for parameter in network.parameters():
            if not parameter.any():  # what starts at zero would hide mistakes
                parameter.normal_(std=0.1)
    network.save_pretrained(folder)
    if kind == "edgetam":  # as in files that leave the backbone to the default
        path = folder / "config.json"
        described = json.loads(path.read_text())
        del described["vision_config"]["backbone_config"]
        path.write_text(json.dumps(described))
    return network


# ---------------------------------------------------------------------- ONNX

_ENCODER = """<ir_version: 8, opset_import: ["" : 17]>
encoder (float[batch, 3, {side}, {side}] image) => (float[1, 3, {cells}, {cells}] output)
{{
    output = AveragePool<kernel_shape = [{cell}, {cell}], strides = [{cell}, {cell}]>(image)
}}
"""

_PLAIN_ENCODER = """<ir_version: 8, opset_import: ["" : 17]>
encoder (float[image_height, image_width, 3] input_image)
    => (float[1, 3, {cells}, {cells}] image_embeddings)
<int64[1] first = {{0}}, int64[4] zeros = {{0, 0, 0, 0}}, int64[2] lead = {{0, 0}},
 int64[2] sides = {{{side}, {side}}}, int64[1] one = {{1}}, int64[1] two = {{2}},
 float[1] scale = {{0.015625}}>
{{
    shape = Shape(input_image)
    seen = Slice(shape, first, two, first, one)
    missing = Sub(sides, seen)
    pads = Concat<axis = 0>(zeros, lead, missing)
    planes = Transpose<perm = [2, 0, 1]>(input_image)
    batch = Unsqueeze(planes, first)
    scaled = Mul(batch, scale)
    padded = Pad(scaled, pads)
    image_embeddings = AveragePool<kernel_shape = [{cell}, {cell}], strides = [{cell}, {cell}]>
        (padded)
}}
"""

_DECODER_GRAPH = """<ir_version: 8, opset_import: ["" : 17]>
decoder (
    float[1, 3, {cells}, {cells}] image_embeddings, float[1, n, 2] point_coords,
    float[1, n] point_labels, float[1, 1, {cells}, {cells}] mask_input, float[1] has_mask_input,
    float[2] orig_im_size
) => (float[1, masks, h, w] low_res_masks, float[1, m] iou_predictions)
<float cell = {{{cell}}}, float last = {{{cells}.0}}, float one = {{1}}, float zero = {{0}},
 float two = {{2}}, float three = {{3}}, float half = {{0.5}}, float minus = {{-1}},
 int64[1] axis0 = {{0}}, int64[1] axis1 = {{1}},
 int64[4] apart = {{-1, 3, 1, 1}}, int64[4] signs = {{1, -1, 1, 1}},
 int64[3] down = {{1, -1, 1}}, int64[3] across = {{1, 1, -1}}, int64[2] xy = {{-1, 2}},
 float[1, 3, 1, 1] limits = {{{limits}}}, float[1, 3] scores = {{0.9, 0.8, 0.7}},
 float begin = {{0}}>
{{
    points = Reshape(point_coords, xy)
    cells = Div(points, cell)
    low = Floor(cells)
    swapped = Cast<to = 7>(low)
    x = Gather<axis = 1>(swapped, axis0)
    y = Gather<axis = 1>(swapped, axis1)
    at = Concat<axis = 1>(y, x)
    square = Squeeze(image_embeddings, axis0)
    channels_last = Transpose<perm = [1, 2, 0]>(square)
    colours = GatherND(channels_last, at)
    apart_colours = Reshape(colours, apart)
    difference = Sub(image_embeddings, apart_colours)
    squared = Mul(difference, difference)
    distance = ReduceSum(squared, axis1)
    opposite = Mul(distance, minus)
    alike = Exp(opposite)
    positive = Equal(point_labels, one)
    negative = Equal(point_labels, zero)
    up = Cast<to = 1>(positive)
    away = Cast<to = 1>(negative)
    sign = Sub(up, away)
    signed = Reshape(sign, signs)
    flat = Transpose<perm = [1, 0, 2, 3]>(alike)
    weighted = Mul(flat, signed)
    sum = ReduceSum(weighted, axis1)
    is_first = Equal(point_labels, two)
    is_last = Equal(point_labels, three)
    first = Cast<to = 1>(is_first)
    final = Cast<to = 1>(is_last)
    corners = Squeeze(point_coords, axis0)
    from_corner = MatMul(first, corners)
    to_corner = MatMul(final, corners)
    numbers = Range(begin, last, one)
    centres = Add(numbers, half)
    positions = Mul(centres, cell)
    columns = Reshape(positions, across)
    rows = Reshape(positions, down)
    x1 = Gather<axis = 1>(from_corner, axis0)
    y1 = Gather<axis = 1>(from_corner, axis1)
    x2 = Gather<axis = 1>(to_corner, axis0)
    y2 = Gather<axis = 1>(to_corner, axis1)
    right_of = Greater(columns, x1)
    left_of = Less(columns, x2)
    below = Greater(rows, y1)
    above = Less(rows, y2)
    wide = And(right_of, left_of)
    high = And(below, above)
    both = And(wide, high)
    boxed = Cast<to = 1>(both)
    inside = Unsqueeze(boxed, axis0)
    total = Add(sum, inside)
    low_res_masks = Sub(total, limits)
    iou_predictions = Identity(scores)
}}
"""


def save_onnx(
    folder: Path,
    *,
    side: int = SIDE,
    cells: int = 32,
    plain: bool = False,
    limits: str = "0.5, 0.1, 0.9",
) -> Path:
    """Write an ONNX encoder and decoder that outline what has the colour of a click.

    The masks differ in how alike a colour must be; a box is a mask of its own.

    Parameters
    ----------
    folder : Path
    side : int
        Side of the square that the encoder sees.
    cells : int
        Rows and columns of the masks; divides the side.
    plain : bool
        An encoder that takes (Y, X, 3) and pads by itself.
    limits : str
        How alike the colours of each mask are, 0 to 1.
    """
    folder.mkdir(parents=True, exist_ok=True)
    numbers = {"side": side, "cell": side // cells, "cells": cells}
    encoder = (_PLAIN_ENCODER if plain else _ENCODER).format(**numbers)
    decoder = _DECODER_GRAPH.format(**numbers, limits=limits)
    for name, text in (("encoder", encoder), ("decoder", decoder)):
        model = onnx.parser.parse_model(text)
        onnx.checker.check_model(model)
        onnx.save(model, folder / f"{name}.onnx")
    return folder
