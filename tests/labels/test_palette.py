"""The colours of classes."""

from __future__ import annotations

import numpy as np
from skimage.color import deltaE_ciede2000, rgb2lab

from napari_cliper.labels.palette import class_colours

# Severity 1.0 in: Machado, Oliveira, Fernandes. A Physiologically-based Model for Simulation of
# Color Vision Deficiency. IEEE Transactions on Visualization and Computer Graphics 15 (2009).
SIMULATED = {
    "full vision": [[1, 0, 0], [0, 1, 0], [0, 0, 1]],
    "protanopia": [
        [0.152286, 1.052583, -0.204868],
        [0.114503, 0.786281, 0.099216],
        [-0.003882, -0.048116, 1.051998],
    ],
    "deuteranopia": [
        [0.367322, 0.860646, -0.227968],
        [0.280085, 0.672501, 0.047413],
        [-0.011820, 0.042940, 0.968881],
    ],
    "tritanopia": [
        [1.255528, -0.076749, -0.178779],
        [-0.078411, 0.930809, 0.147602],
        [0.004733, 0.691367, 0.303900],
    ],
}
FAR_APART = 10  # CIEDE2000; 1 is just visible side by side


def linear(colours):
    return np.where(colours <= 0.04045, colours / 12.92, ((colours + 0.055) / 1.055) ** 2.4)


def encoded(colours):
    colours = np.clip(colours, 0, 1)
    return np.where(colours <= 0.0031308, colours * 12.92, 1.055 * colours ** (1 / 2.4) - 0.055)


def test_colour_blind_people_can_tell_the_first_eight_classes_apart():
    colours = linear(class_colours(8) / 255)
    for name, matrix in SIMULATED.items():
        seen = rgb2lab(encoded(colours @ np.array(matrix).T))
        distances = deltaE_ciede2000(seen[:, None], seen[None])
        assert distances[np.triu_indices(8, 1)].min() > FAR_APART, name


def test_more_classes_keep_the_colours_of_fewer_and_none_repeats():
    colours = class_colours(200)
    assert len(np.unique(colours, axis=0)) == 200
    for count in (0, 1, 8, 9, 50):
        np.testing.assert_array_equal(class_colours(count), colours[:count])
