"""Models that outline one object: compared with the processors and models of transformers."""

from __future__ import annotations

import numpy as np
import onnx
import onnx.helper
import pytest
import torch
from numpy.testing import assert_allclose, assert_array_equal
from safetensors.torch import load_file, save_file
from small_sams import KINDS, SIDE, save_onnx, save_random_sam
from transformers import (
    Sam2ImageProcessor,
    Sam2Processor,
    SamConfig,
    SamImageProcessor,
    SamModel,
    SamProcessor,
)

from napari_cliper.segmentation import (
    REGISTRY,
    DamagedWeightsError,
    InvalidInputError,
    ObjectPrompt,
    ObjectSegmenter,
    WeightsUnavailableError,
    best_fitting,
    tile_around,
)
from napari_cliper.segmentation.models import sam
from napari_cliper.segmentation.models.promptable import (
    Frame,
    InputLayout,
    ObjectMasks,
)
from napari_cliper.segmentation.models.transformers_networks import SamDecoder, sam_decoder

SHAPES = [(37, 90), (90, 37), (64, 64), (150, 70), (9, 200)]
PROMPTS = {
    "a click": ObjectPrompt(((7.0, 20.0),)),
    "clicks in and out": ObjectPrompt(((7.0, 20.0), (3.0, 4.0)), ((2.0, 30.0),)),
    "a box": ObjectPrompt(box=(1.0, 2.0, 8.0, 30.0)),
    "a box and a click": ObjectPrompt(((4.0, 20.0),), ((8.0, 1.0),), (1.0, 2.0, 8.0, 30.0)),
}


def image(shape, seed=0):
    noise = np.random.default_rng(seed).random((*shape, 3))
    ramp = np.add.outer(np.arange(shape[0]), np.arange(shape[1]))[..., None] / sum(shape)
    return (255 * (0.3 * noise + 0.7 * ramp)).astype(np.uint8)


def processor_of(kind):
    if kind == "sam":
        square = {"height": SIDE, "width": SIDE}
        return SamProcessor(SamImageProcessor(size={"longest_edge": SIDE}, pad_size=square))
    square = {"height": SIDE, "width": SIDE}
    return Sam2Processor(Sam2ImageProcessor(size=square), target_size=SIDE)


def as_processors_say(kind, network, picture, prompt, previous=None):
    """Masks and scores by transformers alone, best score first."""
    processor = processor_of(kind)
    points = [[c, r] for r, c in (*prompt.inside, *prompt.outside)]
    labels = [1] * len(prompt.inside) + [0] * len(prompt.outside)
    given = {}
    if points:
        nested = ([points], [labels]) if kind == "sam" else ([[points]], [[labels]])
        given |= {"input_points": nested[0], "input_labels": nested[1]}
    if prompt.box is not None:
        top, left, bottom, right = prompt.box
        given["input_boxes"] = [[[left, top, right, bottom]]]
    inputs = processor(images=picture, return_tensors="pt", **given)
    sizes = inputs.pop("original_sizes")
    reshaped = inputs.pop("reshaped_input_sizes", None)
    inputs = {name: one.float() if one.is_floating_point() else one for name, one in inputs.items()}
    if previous is not None:
        inputs["input_masks"] = torch.from_numpy(previous)[None, None]
    several = len(points) + 2 * (prompt.box is not None) > 1
    with torch.inference_mode():
        found = network(**inputs)
        single = network(**inputs, multimask_output=False)
    more = {} if reshaped is None else {"reshaped_input_sizes": reshaped}
    post = processor.image_processor.post_process_masks
    (masks,) = post([found.pred_masks[0]], sizes, **more, binarize=False)
    order = found.iou_scores[0, 0].argsort(descending=True)
    masks, scores = masks[0][order], found.iou_scores[0, 0][order]
    if several:  # as SAM's own predictor is used
        (one,) = post([single.pred_masks[0]], sizes, **more, binarize=False)
        masks = torch.cat([one[0], masks[:2]])
        scores = torch.cat([single.iou_scores[0, 0], scores[:2]])
    return inputs["pixel_values"], masks.numpy(), scores.numpy()


@pytest.mark.parametrize("kind", KINDS)
def test_the_same_masks_as_by_the_processors_of_transformers(kind, tmp_path):
    network = save_random_sam(kind, tmp_path)
    segmenter = ObjectSegmenter(str(tmp_path), device="cpu")
    for shape in SHAPES:
        picture = image(shape)
        embedding = segmenter.embed(picture)
        assert embedding.frame.shape == shape
        for name, prompt in PROMPTS.items():
            pixels, logits, scores = as_processors_say(kind, network, picture, prompt)
            layout = InputLayout(SIDE, padded=kind == "sam")
            assert_allclose(layout.pixels(picture, layout.frame(shape)), pixels, atol=0.02)
            found = segmenter.masks(embedding, prompt)
            assert found.masks.shape == (3, *shape)
            assert_allclose(found.scores, scores, atol=1e-3, err_msg=name)
            unsure = np.abs(logits) < 1e-2 * np.abs(logits).max()
            wrong = (found.masks != (logits > 0)) & ~unsure
            assert wrong.mean() < 0.002, (kind, shape, name)
            previous = 20 * found.logits[1]
            _, logits, scores = as_processors_say(kind, network, picture, prompt, previous)
            corrected = segmenter.masks(embedding, prompt, previous)
            assert_allclose(corrected.scores, scores, atol=1e-3, err_msg=name)
            assert np.abs(corrected.logits - found.logits).max() > 1e-3


def test_points_go_where_they_belong_in_the_square():
    for shape in SHAPES:
        frame = InputLayout(SIDE).frame(shape)
        scale = SIDE / max(shape)
        assert_allclose(frame.resized, np.multiply(shape, scale), atol=0.5)
        corner = (shape[0] * 0.5, shape[1] * 0.25)
        ((x, y),) = frame.to_square((corner,))
        assert_allclose((y, x), np.multiply(corner, scale), atol=0.5)
        stretched = InputLayout(SIDE, padded=False).frame(shape)
        assert_allclose(stretched.to_square((corner,)), [[SIDE / 4, SIDE / 2]])
        # A mask of the upper half of the image, drawn in the square, comes back as that half.
        square = torch.full((1, SIDE, SIDE), -1.0)
        square[:, : round(frame.resized[0] / 2)] = 1
        back = frame.to_image(square)[0] > 0
        assert abs(int(back[:, 0].sum()) - shape[0] / 2) <= max(1, 1 / scale)
        assert (back == back[:, :1]).all()
    fixed = InputLayout(1024, limits=(684, 1024), normalises=True)
    tall = fixed.frame((1000, 500))
    assert tall.resized == (684, 342)
    assert fixed.pixels(image((1000, 500)), tall).shape == (684, 1024, 3)


def test_features_cover_exactly_the_image(tmp_path):
    """A grid of the square, with the position of each cell as its value."""
    rows, columns = torch.meshgrid(*[torch.arange(16.0) + 0.5] * 2, indexing="ij")
    for shape in SHAPES:
        frame = InputLayout(SIDE).frame(shape)
        cells = frame.without_padding(torch.stack([rows, columns]))
        _, height, width = cells.shape
        for axis, n in enumerate((height, width)):
            across = cells[axis].mean(1 - axis)
            wanted = (np.arange(n) + 0.5) / n * frame.resized[axis] / SIDE * 16
            wanted = wanted.clip(0.5, 15.5)  # the outermost cells are repeated
            assert_allclose(across, wanted, atol=0.51 if n == 1 else 1e-3)
    whole = Frame((30, 90), (SIDE, SIDE), SIDE, padded=False)
    grid = torch.rand(4, 16, 16)
    assert whole.without_padding(grid) is grid
    sides = {"sam": [4, 4, 4, 4], "sam2": [16, 8, 4, 4], "edgetam": [16, 8, 4, 4]}
    for kind, wanted in sides.items():
        save_random_sam(kind, tmp_path / kind)
        found = ObjectSegmenter(str(tmp_path / kind), device="cpu").embed(image((64, 64)))
        assert [one.shape[1:] for one in found.features] == [(n, n) for n in wanted]
        assert all(one.dtype == torch.float32 and one.std() > 0 for one in found.features)
        assert found.nbytes > sum(one.nbytes for one in found.features)


def test_published_names_of_a_decoder_are_understood(tmp_path):
    """A decoder saved with the names of SAM's repository gives what transformers' gives."""
    torch.manual_seed(0)
    few = {"num_hidden_layers": 1, "hidden_size": 16, "num_attention_heads": 2}
    network = SamModel(SamConfig(vision_config=few)).eval()
    back = [
        ("iou_prediction_head.proj_in", "iou_prediction_head.layers.0"),
        ("iou_prediction_head.layers.0", "iou_prediction_head.layers.1"),
        ("iou_prediction_head.proj_out", "iou_prediction_head.layers.2"),
        ("upscale_conv1", "output_upscaling.0"),
        ("upscale_layer_norm", "output_upscaling.1"),
        ("upscale_conv2", "output_upscaling.3"),
        ("mask_embed.conv1", "mask_downscaling.0"),
        ("mask_embed.layer_norm1", "mask_downscaling.1"),
        ("mask_embed.conv2", "mask_downscaling.3"),
        ("mask_embed.layer_norm2", "mask_downscaling.4"),
        ("mask_embed.conv3", "mask_downscaling.6"),
        ("point_embed.", "point_embeddings."),
        ("layer_norm", "norm"),
        ("shared_embedding.positional_embedding", "pe_layer.positional_encoding_gaussian_matrix"),
    ]
    official = {}
    for full_name, tensor in network.state_dict().items():
        if not full_name.startswith(("prompt_encoder.", "mask_decoder.")):
            continue
        name = full_name
        if "hypernetworks" in name:
            name = name.replace("layers.0", "layers.1").replace("proj_in", "layers.0")
            name = name.replace("proj_out", "layers.2")
        else:
            for new, old in back:
                if new in name:
                    name = name.replace(new, old)
                    break
        official[name] = tensor.clone()
    save_file(official, tmp_path / "decoder.safetensors")
    decoder = sam_decoder(load_file(tmp_path / "decoder.safetensors"), "decoder.safetensors")
    embedding = (torch.randn(1, 256, 64, 64),)
    given = (torch.tensor([[[300.0, 200.0], [40.0, 50.0]]]), torch.tensor([[1, 0]]))
    with torch.inference_mode():
        for ours, theirs in zip(
            decoder.decode(embedding, *given),
            SamDecoder(network).decode(embedding, *given),
            strict=True,
        ):
            assert_allclose(ours, theirs, atol=1e-5)
    del official["mask_decoder.iou_token.weight"]
    with pytest.raises(InvalidInputError, match=r"1 tensors are missing.*iou_token"):
        sam_decoder(official, "decoder.safetensors")


def scene():
    """A red rectangle and a green one on black."""
    picture = np.zeros((40, 90, 3), np.uint8)
    picture[10:30, 50:80] = (200, 30, 30)
    picture[5:15, 5:20] = (30, 200, 30)
    return picture


@pytest.mark.parametrize("plain", [False, True], ids=["normalised", "(Y, X, 3)"])
def test_onnx_files_of_both_layouts_outline_what_is_clicked(plain, tmp_path):
    save_onnx(tmp_path, side=1024 if plain else 64, plain=plain)
    segmenter = ObjectSegmenter(str(tmp_path), device="cpu")
    picture = scene()
    embedding = segmenter.embed(picture)
    assert [grid.shape for grid in embedding.features] == [(3, 14, 32)]
    red, green = (np.zeros((40, 90), bool) for _ in range(2))
    red[10:30, 50:80], green[5:15, 5:20] = True, True
    for prompt, truth in (
        (ObjectPrompt(((20, 60),)), red),
        (ObjectPrompt(((10, 10),), ((20, 60),)), green),
        (ObjectPrompt(box=(5, 5, 15, 20)), green),
    ):
        found = segmenter.masks(embedding, prompt)
        assert_allclose(found.scores, [0.9, 0.8, 0.7], rtol=1e-5)
        mask = found.masks[0]
        assert (mask & truth).sum() / (mask | truth).sum() > 0.65  # cells are 3 pixels wide
        areas = found.masks.sum((1, 2))
        assert areas[2] < areas[0] < areas[1]


def test_a_folder_without_a_model_of_a_known_kind_says_what_was_found(tmp_path, monkeypatch):
    def refused(folder, message, error=InvalidInputError):
        with pytest.raises(error, match=message):
            ObjectSegmenter(str(folder), device="cpu").load()

    (tmp_path / "empty").mkdir()
    refused(tmp_path / "empty", r"holds no SAM.*config\.json.*Found: nothing")
    other = tmp_path / "other"
    other.mkdir()
    ports = [
        onnx.helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, [1, 7])
        for name in ("tokens", "answer")
    ]
    node = onnx.helper.make_node("Identity", ["tokens"], ["answer"])
    graph = onnx.helper.make_graph([node], "other", ports[:1], ports[1:])
    model = onnx.helper.make_model(
        graph, ir_version=8, opset_imports=[onnx.helper.make_opsetid("", 17)]
    )
    onnx.save(model, other / "a.onnx")
    onnx.save(model, other / "b.onnx")
    refused(other, r"no image encoder of a known kind.*\(1, 3, 1024, 1024\).*tokens \[1, 7\]")
    save_onnx(other)
    refused(other, "Found 1 encoders among: a.onnx, b.onnx, decoder.onnx, encoder.onnx")
    for name in ("decoder", "b"):
        (other / f"{name}.onnx").unlink()
    refused(other, r"no mask decoder of a known kind.*image_embeddings.*answer \[1, 7\]")
    (other / "a.onnx").write_bytes(b"<html>")
    refused(other, r"a\.onnx cannot be read as an ONNX model", DamagedWeightsError)
    save_random_sam("sam", tmp_path / "sam")
    (tmp_path / "sam" / "model.safetensors").write_bytes(b"<html>")
    refused(tmp_path / "sam", "cannot be read", DamagedWeightsError)
    (tmp_path / "sam" / "config.json").write_text('{"model_type": "bert"}')
    refused(tmp_path / "sam", r"'bert'.*'sam', 'sam2', 'edgetam'")
    monkeypatch.setattr(sam, "find_spec", lambda name: None)
    refused(other, r"napari-cliper\[onnx\]", WeightsUnavailableError)
    with pytest.raises(InvalidInputError, match=r"Did you mean 'edgetam'\?"):
        ObjectSegmenter("edgetan")
    with pytest.raises(InvalidInputError, match="a point inside the object, or a box"):
        ObjectPrompt(outside=((1, 1),))


def test_registered_weights_are_safetensors_of_the_types_that_can_be_loaded():
    rows = [row for row in REGISTRY.values() if row.kind == "sam"]
    assert len(rows) == 3
    for row in rows:
        assert row.licence == "Apache-2.0"
        assert {end for names in row.files for end in names} == {"model.safetensors", "config.json"}
    (base,) = (row for row in rows if row.name == "sam-vit-base")
    with torch.device("meta"):
        network = SamModel(SamConfig())
    assert base.size == pytest.approx(4 * sum(p.numel() for p in network.parameters()), rel=1e-2)


def test_tiles_hold_all_clicks_and_are_shared_by_near_ones():
    assert tile_around((700, 1000), [(5, 5)]) == (slice(0, 700), slice(0, 1000))
    shape = (5000, 3000)
    rng = np.random.default_rng(0)
    for _ in range(300):
        places = rng.random((rng.integers(1, 4), 2)) * np.subtract(shape, 1)
        tile = tile_around(shape, places.tolist())
        sides = [part.stop - part.start for part in tile]
        for place in places:
            assert all(part.start <= at + 0.5 for part, at in zip(tile, place, strict=True))
            assert all(at < part.stop for part, at in zip(tile, place, strict=True))
        assert all(part.start >= 0 and part.stop <= n for part, n in zip(tile, shape, strict=True))
        assert sides[0] >= 1024
    one = tile_around(shape, [(2000, 1500)])
    assert [part.stop - part.start for part in one] == [1024, 1024]
    assert min(2000 - one[0].start, one[0].stop - 2000, 1500 - one[1].start) >= 256
    assert tile_around(shape, [(2010, 1490)]) == one
    assert tile_around(shape, [(2000, 1500)], view=4000) == (slice(0, 4096), slice(0, 3000))
    with pytest.raises(InvalidInputError, match=r"outside of the image.*5000 x 3000"):
        tile_around(shape, [(5001, 3)])


def test_the_mask_that_fits_the_class_comes_first():
    """A part, one whole object, and a cluster of two, of a class that a classifier has found."""
    likely = np.zeros((60, 90), bool)
    likely[20:40, 10:30] = True
    likely[20:40, 40:60] = True
    part, whole, cluster = np.zeros((3, 60, 90), bool)
    part[20:30, 10:30] = True
    whole[20:40, 10:30] = True
    cluster[18:42, 8:62] = True
    scores, logits = np.array([0.9, 0.8, 0.7], np.float32), np.zeros((3, 4, 4), np.float32)
    found = ObjectMasks(np.stack([cluster, part, whole]), scores, logits)
    assert best_fitting(found, likely)[0] == 2
    assert best_fitting(found, 0.2 + 0.6 * likely)[0] == 2
    assert best_fitting(found) == (0, 1, 2)
    assert best_fitting(found, np.zeros((60, 90), bool)) == (0, 1, 2)
    empty = ObjectMasks(np.stack([np.zeros_like(part), whole]), scores[[0, 0]], logits[:2])
    assert_array_equal(best_fitting(empty, likely), (1, 0))
