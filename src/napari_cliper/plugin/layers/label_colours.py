"""Colormaps of labels in the colours of their classes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from napari.utils.colormaps import DirectLabelColormap
from numpy.typing import NDArray

from ...labels.label_class import ClassRow, colours_of

BEYOND = (1.0, 1.0, 1.0, 1.0)
"""The colour of labels that belong to no class."""


class ClassColormap(DirectLabelColormap):
    """A colormap that maps all 65536 labels of uint16 at once.

    napari maps them one by one, for each new colormap, in the window's thread.
    """

    def _map_precast(
        self, values: NDArray[np.integer], apply_selection: bool
    ) -> NDArray[np.float32]:
        _, colours = self._values_mapping_to_minimum_values_set(apply_selection)
        table = np.zeros((max(colours) + 1, 4), np.float32)
        for value, colour in colours.items():
            table[value] = colour
        return table[values]


def label_colours(rows: Sequence[ClassRow]) -> ClassColormap:
    """Return the colormap of classes with the labels 1, 2, ...; see `colours_of_labels`."""
    return colours_of_labels(dict(enumerate(rows, 1)))


def colours_of_labels(classes: Mapping[int, ClassRow]) -> ClassColormap:
    """Return the colormap of classes by label; hidden classes are transparent, others white."""
    colours: dict[int | None, Any] = {0: "transparent", None: BEYOND}
    for label, rgb in colours_of(classes).items():
        colours[label] = (*(part / 255 for part in rgb), float(classes[label].visible))
    return ClassColormap(color_dict=colours)
