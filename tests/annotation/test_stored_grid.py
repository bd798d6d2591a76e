"""What is annotated on a large image, as cells of a coarser grid."""

from __future__ import annotations

import numpy as np

from napari_cliper.annotation import chunks
from napari_cliper.annotation.edit_mask import ACCEPTED, OPEN, PAINTED
from napari_cliper.annotation.label_store import LabelStore
from napari_cliper.annotation.stored_grid import on_grid


def test_each_cell_has_what_is_painted_in_it_or_else_what_one_of_its_pixels_has(monkeypatch):
    monkeypatch.setattr(chunks, "CHUNK", 16)
    random = np.random.default_rng(0)
    labels = random.integers(1, 5, (50, 70)).astype(np.uint16)
    edit_mask = np.full((50, 70), ACCEPTED, np.uint8)
    edit_mask[:20], labels[:20] = OPEN, 0
    painted = random.random((50, 70)) < 0.01
    edit_mask[painted], labels[painted] = PAINTED, 9
    store = LabelStore((50, 70))
    store.write((slice(0, 50), slice(0, 70)), labels, edit_mask)
    region = slice(5, 50), slice(3, 66)
    found, mask, _ = on_grid(store, region, (10, 21))
    assert painted[region].sum() > 20
    for row in range(10):
        for column in range(21):
            # pixel p lies in cell p * cells // pixels
            rows = [p for p in range(45) if p * 10 // 45 == row]
            columns = [p for p in range(63) if p * 21 // 63 == column]
            cell = np.ix_([5 + p for p in rows], [3 + p for p in columns])
            if painted[cell].any():
                assert (found[row, column], mask[row, column]) == (9, PAINTED)
            else:
                assert found[row, column] in labels[cell]
                assert mask[row, column] in edit_mask[cell]
    empty = on_grid(LabelStore((50, 70)), region, (10, 21))
    assert not empty[0].any()
    assert not empty[1].any()
