"""What Trident takes of SAM, against transformers' own attention and masks."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from small_sams import SIDE, save_random_sam
from transformers import SamModel

from napari_cliper.segmentation import InvalidInputError
from napari_cliper.segmentation.models.promptable import PromptableModel
from napari_cliper.segmentation.models.transformers_networks import load_sam
from napari_cliper.segmentation.progress import Monitor


def test_attention_and_masks_are_those_of_transformers(tmp_path):
    save_random_sam("sam", tmp_path)
    model = PromptableModel(*load_sam(tmp_path))
    eager = SamModel.from_pretrained(tmp_path, attn_implementation="eager").eval()
    rng = np.random.default_rng(0)
    for shape in ((48, 64), (64, 23), (100, 100)):
        image = rng.integers(0, 256, (*shape, 3), dtype=np.uint8)
        found = model.last_attention(image, Monitor())
        layout = model.encoder.layout
        frame = layout.frame(shape)
        pixels = layout.pixels(image, frame)
        with torch.inference_mode():
            read = eager.vision_encoder(pixels, output_attentions=True)
        cells = SIDE // 16
        rows, columns = (side // 16 for side in frame.resized)
        assert found.grid == (rows, columns)
        kept = torch.arange(cells * cells).reshape(cells, cells)[:rows, :columns].flatten()
        expected = read.attentions[-1].reshape(2, cells**2, cells**2)[:, kept][:, :, kept]
        assert expected.std() > 0.01  # relative positions included, far from uniform
        heads = torch.stack([found.of_head(head) for head in range(len(found.values))])
        torch.testing.assert_close(heads, expected, rtol=0, atol=1e-6)
        assert found.values.shape == (2, rows * columns, 8)

        places = [[20.0, 9.0], [4.0, 5.0], [33.0, 21.0]]
        prompt = torch.randn(16, 16)
        logits, score = model.mask_in_box(model.embed(image), places, prompt)
        with torch.inference_mode():
            theirs = eager(
                pixel_values=pixels,
                input_points=torch.tensor([[places[:1]]]),
                input_boxes=torch.tensor([[[*places[1], *places[2]]]]),
                input_masks=prompt[None, None],
                multimask_output=False,
            )
        torch.testing.assert_close(logits, theirs.pred_masks[0, 0, 0], rtol=0, atol=1e-5)
        assert score == pytest.approx(float(theirs.iou_scores[0, 0, 0]), abs=1e-5)


def test_other_models_say_that_they_have_no_such_attention(tmp_path):
    save_random_sam("sam2", tmp_path)
    model = PromptableModel(*load_sam(tmp_path))
    with pytest.raises(InvalidInputError, match="Choose sam-vit-base"):
        model.last_attention(np.zeros((48, 64, 3), np.uint8), Monitor())
