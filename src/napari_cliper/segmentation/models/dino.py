"""Patch features of a vision foundation model: DINO or DINOv2.

The only module that imports timm. Sources: DINO (arXiv 2104.14294), DINOv2 (2304.07193);
ProxyCLIP (2408.04883) uses their features as attention.
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
    """A timm vision transformer that returns the patch features of its last layer.

    Parameters
    ----------
    network : timm VisionTransformer
        Created with ``dynamic_img_size=True``.
    """

    def __init__(self, network: nn.Module) -> None:
        self.network = cast("Any", network.eval().requires_grad_(False))
        self.patch = int(self.network.patch_embed.patch_size[0])
        self.mean: tuple[float, float, float] = MEAN
        self.std: tuple[float, float, float] = STD

    @property
    def networks(self) -> tuple[nn.Module, ...]:
        """All torch modules with weights."""
        return (self.network,)

    def features(self, pixels: Tensor, monitor: Monitor | None = None) -> Tensor:
        """Return the patch features of a batch of images.

        Parameters
        ----------
        pixels : (B, 3, H, W) float tensor
            Normalised with `mean` and `std`; H and W are multiples of the patch size.

        Returns
        -------
        (B, C, H / patch, W / patch) float32 tensor
            After the last layer norm; class and register tokens are dropped.
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

    def query_key_sums(self, pixels: Tensor, monitor: Monitor | None = None) -> Tensor:
        """Return the sum of query and key of each patch in the last block; see `ImageEncoder`."""
        read: list[Tensor] = []
        attention = self.network.blocks[-1].attn
        handle = attention.qkv.register_forward_hook(lambda _module, _given, out: read.append(out))
        try:
            grid = self.features(pixels, monitor).shape[2:]
        finally:
            handle.remove()
        queries, keys, _ = read[0][:, -grid[0] * grid[1] :].float().chunk(3, dim=-1)  # (B, n, C)
        return cast("Tensor", (queries + keys).mT.unflatten(-1, tuple(grid)))


def build(architecture: str, tensors: dict[str, Tensor], source: str) -> FoundationModel:
    """Build a timm vision transformer and load its weights, in float32 on the CPU.

    Parameters
    ----------
    architecture : str
        Name in timm, such as ``"vit_base_patch8_224.dino"``.
    tensors : dict of str to Tensor
        State dict with timm's parameter names.
    source : str
        Where the weights come from, for error messages.
    """
    network = timm.create_model(
        architecture, pretrained=False, num_classes=0, dynamic_img_size=True
    )
    try:
        missing, _ = network.load_state_dict(tensors, strict=False)
    except RuntimeError as error:
        raise DamagedWeightsError(
            f"{source} does not fit {architecture}: {error} Delete the file and download it again."
        ) from error
    if missing:
        raise DamagedWeightsError(
            f"{source} lacks {len(missing)} tensors of {architecture}, {missing[0]!r} first. "
            "Delete the file and download it again."
        )
    return FoundationModel(network)
