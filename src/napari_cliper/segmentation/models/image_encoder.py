"""The interface of image encoders: networks that return features of an image's patches.

ProxyCLIP and the refiner ``"foundation"`` use them in addition to CLIP's own encoder,
`clip_image_encoder.ClipImageEncoder`, which methods read block by block. To add one, write a file
with a class and a function like `dino.build`, and add a row of the kind ``"foundation"`` to
``registry.py``.
"""

from __future__ import annotations

from typing import Protocol

from torch import Tensor, nn

from ..progress import Monitor


class ImageEncoder(Protocol):
    """A network that returns features of an image's patches."""

    patch: int
    """Side of a patch, in pixels."""

    mean: tuple[float, float, float]
    std: tuple[float, float, float]
    """Normalisation of the pixels: RGB in [0, 1] minus `mean`, divided by `std`."""

    @property
    def networks(self) -> tuple[nn.Module, ...]:
        """All modules with weights; they are moved to the device together."""
        ...

    def features(self, pixels: Tensor, monitor: Monitor | None = None) -> Tensor:
        """Return the patch features of a batch of images.

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

    def query_key_sums(self, pixels: Tensor, monitor: Monitor | None = None) -> Tensor:
        """Return the sum of query and key of each patch in the last block, for CorrCLIP.

        An encoder without attention returns its features.

        Parameters
        ----------
        pixels : (B, 3, H, W) float tensor
            As for `features`.

        Returns
        -------
        (B, C, H / patch, W / patch) float32 tensor
            The heads side by side; class and register tokens are dropped.
        """
        ...
