"""From clicks on one object to its outline, with SAM or a similar model."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from .features.contrast import Limits
from .features.preprocessing import to_rgb
from .models import devices, loading
from .models.promptable import ObjectEmbedding, ObjectMasks, PromptableModel
from .models.sam import check_sam, load_sam
from .object_prompt import ObjectPrompt
from .progress import Monitor, Report, ShouldStop

RING = 5
"""Width in pixels of the surroundings that `best_fitting` compares a mask with."""


class ObjectSegmenter:
    """Outlines single objects: embed an image once, then ask for one object after another.

    Parameters
    ----------
    sam : str
        ``"sam2.1-hiera-tiny"``, ``"edgetam"``, ``"sam-vit-base"``, or a folder with
        ``config.json`` and ``model.safetensors`` in the format of transformers, or with an encoder
        and a decoder as ONNX files.
    device : str
        ``"auto"``, ``"cpu"``, ``"cuda"``, ``"cuda:1"``, ``"mps"``. ONNX files run on the CPU.
    offline : bool
        Whether to use only weights that are on disk, and never download.

    Raises
    ------
    InvalidInputError
        For an unknown name, and a device that this computer lacks.
    """

    def __init__(
        self, sam: str = "sam2.1-hiera-tiny", *, device: str = "auto", offline: bool = False
    ) -> None:
        check_sam(sam)
        self.sam = sam
        self.device = devices.choose_device(device)
        self.offline = offline
        self._loaded: loading.Loaded[PromptableModel] | None = None

    def load(self, report: Report | None = None, should_stop: ShouldStop | None = None) -> None:
        """Load the model now; `embed` loads it if necessary.

        Raises
        ------
        WeightsUnavailableError, DamagedWeightsError, InvalidInputError, Stopped
        """
        self._load(Monitor.of(report, should_stop))

    def _load(self, monitor: Monitor) -> loading.Loaded[PromptableModel]:
        if self._loaded is None:
            self._loaded = load_sam(self.sam, self.device, offline=self.offline, monitor=monitor)
        return self._loaded

    def unload(self) -> None:
        """Release the model; memory is freed once nobody else uses it."""
        self._loaded = None

    @property
    def nbytes(self) -> int:
        """Bytes of memory of the loaded model; 0 for ONNX, whose memory is not known."""
        return 0 if self._loaded is None else self._loaded.nbytes

    def embed(
        self,
        image: NDArray[Any],
        *,
        contrast: Limits | None = None,
        gamma: float = 1.0,
        report: Report | None = None,
        should_stop: ShouldStop | None = None,
    ) -> ObjectEmbedding:
        """Encode an image, or a tile of one; takes seconds.

        Parameters
        ----------
        image : (Y, X) or (Y, X, C) array
            Grey, RGB or RGBA, any real dtype.
        contrast : (float, float), optional
            The values of a grey image that become black and white. Default: its 0.1 and 99.9
            percentiles.
        gamma : float
            As for `Segmenter.embed`.

        Returns
        -------
        ObjectEmbedding
            Its `features` are grids from fine to coarse, (C, h, w) float32, each over the whole
            image: at 1/4, 1/8 and 1/16 and of the neck for SAM 2 and EdgeTAM, of three blocks and
            the neck for SAM, and all outputs that are grids for ONNX.

        Raises
        ------
        InvalidInputError
            As for `Segmenter.embed`.
        WeightsUnavailableError, DamagedWeightsError, Stopped
        """
        monitor = Monitor.of(report, should_stop)
        rgb = to_rgb(image, contrast, gamma)
        loaded = self._load(monitor)
        monitor.tell("Encoding the image", 0, 1)
        with loaded.for_one_job(monitor) as model:
            return model.embed(rgb.pixels, monitor)

    def masks(
        self,
        embedding: ObjectEmbedding,
        prompt: ObjectPrompt,
        previous: NDArray[np.float32] | None = None,
    ) -> ObjectMasks:
        """Outline the object of a prompt; takes a fraction of a second.

        Parameters
        ----------
        embedding : ObjectEmbedding
            Made with the same model.
        prompt : ObjectPrompt
            Points and a box in pixels of the embedded image: all of this object.
        previous : (h, w) float32 array, optional
            The mask that the newest click corrects: one of `ObjectMasks.logits` of the call before.

        Returns
        -------
        ObjectMasks
            Up to three masks of the size of the image, the model's own choice first.
        """
        monitor = Monitor()
        with self._load(monitor).for_one_job(monitor) as model:
            return model.masks(embedding, prompt, previous)


def best_fitting(
    found: ObjectMasks, likely: NDArray[np.bool_] | NDArray[np.floating] | None = None
) -> tuple[int, ...]:
    """Return the order in which to offer masks of an object.

    A mask fits a classifier if the class is likely inside and unlikely around it: a part of an
    object has more of the class around it, a cluster has other things inside. This counts as much
    as the score of the model. Use it for a single click: with several, the order of the model is
    better.

    Parameters
    ----------
    found : ObjectMasks
    likely : (Y, X) array, optional
        Where the class is: a mask, or probabilities. Default, and if it is the same everywhere:
        the order of the model.

    Returns
    -------
    tuple of int
        Indices into ``found.masks``, the best first.
    """
    order = range(len(found.masks))
    if likely is None or likely.min() == likely.max():
        return tuple(order)
    fits = [
        float(score) + _fit(mask, likely)
        for mask, score in zip(found.masks, found.scores, strict=True)
    ]
    return tuple(sorted(order, key=lambda index: fits[index], reverse=True))


def _fit(mask: NDArray[np.bool_], likely: NDArray[Any]) -> float:
    """Mean of a class inside a mask minus its mean in a ring around it; -1 for an empty mask."""
    if not mask.any():
        return -1.0
    rows, columns = (
        slice(max(int(found.min()) - RING, 0), int(found.max()) + RING + 1)
        for found in np.nonzero(mask)
    )
    inside, values = mask[rows, columns], likely[rows, columns].astype(float)
    ring = ndimage.binary_dilation(inside, iterations=RING) & ~inside
    around = values[ring].mean() if ring.any() else 0.0
    return float(values[inside].mean() - around)
