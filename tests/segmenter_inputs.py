"""An image and classes for a segmenter, and the score maps of words."""

from __future__ import annotations

import numpy as np

from napari_cliper.segmentation import ClassPrompt

METHODS = ("cliper", "sclip", "clearclip", "maskclip", "clip")  # that need no other network
CLASSES = (ClassPrompt("nucleus", ("cell nucleus",)), ClassPrompt("bacteria"))
IMAGE = np.random.default_rng(0).integers(0, 256, (90, 110, 3), dtype=np.uint8)
IMAGE[20:60, 30:70] //= 4
IMAGE.flags.writeable = False  # no test changes it, nor may the engine


def maps_of(segmenter, words, background=("sky", "sea"), image=None):
    embedding = segmenter.embed(IMAGE if image is None else image)
    classes = [ClassPrompt(w) if isinstance(w, str) else w for w in words]
    return segmenter.score(embedding, classes, background=background).coarse.maps
