"""Default colours of classes, the same in every image and layer."""

from __future__ import annotations

import colorsys

import numpy as np
from numpy.typing import NDArray

# The colour-blind safe palette of Okabe and Ito, without black, brighter colours first; then a mint
# that is as far from each of them as they are from each other, with any colour vision.
_FIRST = (
    (230, 159, 0), (86, 180, 233), (0, 158, 115), (240, 228, 66), (213, 94, 0), (204, 121, 167),
    (0, 114, 178), (105, 255, 195),
)  # fmt: skip
_GOLDEN = 0.61803398875


def class_colours(count: int) -> NDArray[np.uint8]:
    """Return the default RGB colours of the labels 1 to `count`.

    Parameters
    ----------
    count : int

    Returns
    -------
    (count, 3) uint8 array
        Row i is the colour of label i + 1; it does not depend on `count`.
    """
    colours = list(_FIRST[:count])
    for index in range(len(colours), count):
        # Steps by the golden ratio never repeat a hue; three values separate similar hues.
        hue, value = index * _GOLDEN % 1, (1.0, 0.75, 0.9)[index % 3]
        red, green, blue = colorsys.hsv_to_rgb(hue, 0.65 + 0.3 * (index % 2), value)
        colours.append((round(red * 255), round(green * 255), round(blue * 255)))
    return np.array(colours, dtype=np.uint8).reshape(-1, 3)
