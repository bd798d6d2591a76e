"""Colormaps of labels: the colours are napari's, and found for all labels at once."""

import numpy as np
import pytest
from napari.utils.colormaps import DirectLabelColormap

from napari_cliper.plugin.layers.label_colours import ClassColormap

COLOURS = {0: "transparent", None: "white", 1: "red", 7: (0, 0, 1, 0.0), 300: "#00ff7f"}


@pytest.mark.parametrize("selected", [False, True])
@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_colours_are_those_of_napari(dtype: type, selected: bool) -> None:
    labels = np.array([[0, 1, 2], [7, 44, 255]], dtype)
    given = {"color_dict": COLOURS, "use_selection": selected, "selection": 7}
    ours, theirs = ClassColormap(**given), DirectLabelColormap(**given)
    np.testing.assert_array_equal(ours.map(labels), theirs.map(labels))


def test_labels_are_not_mapped_one_by_one(monkeypatch: pytest.MonkeyPatch) -> None:
    def one_by_one(*_shape: object) -> None:
        raise AssertionError("napari maps 65536 labels in the window's thread")

    monkeypatch.setattr(np, "ndindex", one_by_one)
    labels = np.array([[0, 1], [300, 9]], np.uint16)
    mapped = ClassColormap(color_dict=COLOURS).map(labels)
    np.testing.assert_allclose(mapped[1, 0], [0, 1, 127 / 255, 1], atol=1e-6)
