"""What an image encoder is: a network that gives features of an image's patches.

CLIP's own is `clip_image_encoder.ClipImageEncoder`, which methods read block by block. Those here
stand beside it: ProxyCLIP and the refiner ``"foundation"`` look through them. To add one, write a
file with a function like `dino.build` and add a row of the kind ``"foundation"`` to
``registry.py``.
"""

from __future__ import annotations

from typing import Protocol

from torch import Tensor, nn

from ..progress import Monitor


class ImageEncoder(Protocol):
    """A network that gives features of an image's patches."""

    patch: int
    """Side of a patch, in pixels."""

    mean: tuple[float, float, float]
    std: tuple[float, float, float]
    """What its pixels are normalised by: RGB in [0, 1] minus `mean`, divided by `std`."""

    @property
    def networks(self) -> tuple[nn.Module, ...]:
        """The modules whose weights take memory; they are moved to the device together."""
        ...

    def features(self, pixels: Tensor, monitor: Monitor | None = None) -> Tensor:
        """Features of the patches.

        Parameters
        ----------
        pixels : (B, 3, H, W) float tensor
            Normalised; H and W are multiples of the patch.

        Returns
        -------
        (B, C, H / patch, W / patch) float32 tensor
            Any C, any scale.
        """
        ...
