"""Patch features of a vision foundation model: DINO and DINOv2.

The only file that imports timm. Sources: DINO (arXiv 2104.14294), DINOv2
(2304.07193), and ProxyCLIP (2408.04883) for what they are used for.
"""

from __future__ import annotations

from typing import Any, cast

import timm
from torch import Tensor, nn

from ..errors import DamagedWeightsError
from ..progress import Monitor

MEAN = (0.485, 0.456, 0.406)
STD = (0.229, 0.224, 0.225)


class FoundationModel:
    """A vision transformer of timm, read at its last layer.

    Parameters
    ----------
    network : timm VisionTransformer
        Made with ``dynamic_img_size=True``.
    """

    def __init__(self, network: nn.Module) -> None:
        self.network = cast("Any", network.eval().requires_grad_(False))
        self.patch = int(self.network.patch_embed.patch_size[0])
        self.mean, self.std = MEAN, STD

    @property
    def networks(self) -> tuple[nn.Module, ...]:
        """The modules whose weights take memory."""
        return (self.network,)

    def features(self, pixels: Tensor, monitor: Monitor | None = None) -> Tensor:
        """Patch features of images.

        Parameters
        ----------
        pixels : (B, 3, H, W) float tensor
            Normalised by `mean` and `std`; H and W are multiples of the patch.

        Returns
        -------
        (B, C, H / patch, W / patch) float32 tensor
            Behind the last norm; class and register tokens dropped.
        """
        weight = next(self.network.parameters())
        with (monitor or Monitor()).watching(self.network):
            (features,) = self.network.forward_intermediates(
                pixels.to(weight.device, weight.dtype),
                indices=1,
                norm=True,
                intermediates_only=True,
            )
        return cast("Tensor", features.float())


def build(architecture: str, tensors: dict[str, Tensor], source: str) -> FoundationModel:
    """A foundation model of a timm name with these weights, in float32 on the CPU.

    Parameters
    ----------
    architecture : str
        ``"vit_base_patch8_224.dino"``, ...
    tensors : dict of str to Tensor
        A checkpoint under timm's names.
    source : str
        Where the weights are from, for messages.
    """
    network = timm.create_model(
        architecture, pretrained=False, num_classes=0, dynamic_img_size=True
    )
    try:
        missing, _ = network.load_state_dict(tensors, strict=False)
    except RuntimeError as error:
        raise DamagedWeightsError(
            f"{source} does not fit {architecture}: {error} Delete the file and fetch it again."
        ) from error
    if missing:
        raise DamagedWeightsError(
            f"{source} lacks {len(missing)} tensors of {architecture}, {missing[0]!r} first. "
            "Delete the file and fetch it again."
        )
    return FoundationModel(network)
