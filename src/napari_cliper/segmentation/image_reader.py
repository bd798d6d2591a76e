"""The image networks of one configuration, run on an image or on a tile of it."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from .config import Settings
from .features.preprocessing import RGBPixels
from .methods.protocol import ClipFeatures, ImageInput, ImageNetworks, Method
from .methods.table import METHODS
from .models import devices
from .models.memory import attention_bytes, check_budget, check_sam_memory
from .models.promptable import ObjectEmbedding
from .models.registry import entry
from .networks import Networks
from .progress import Monitor
from .refiners.attention_maps import SelfAttention
from .refiners.protocol import NetworkRefiner, Refiner
from .refiners.table import REFINERS
from .region_masks import region_masks
from .results import ImageEmbedding
from .scoring.similarity import Queries
from .tiles import TileLayout

IMAGES_AT_ONCE = 16
"""Most images that CLIP encodes in one pass."""

SHARE_OF_MEMORY = 0.25
"""Share of the free memory that the images encoded at the same time may take."""


class ImageReader:
    """Computes what the method and the refiner of a configuration need of an image.

    Parameters
    ----------
    networks : Networks
        They must be loaded before `features` and `attention` are called.
    """

    def __init__(self, networks: Networks) -> None:
        self.networks = networks
        self.config = networks.config
        self.settings = networks.settings
        self.method: Method = METHODS[self.config.method].make()
        make_refiner = REFINERS[self.config.chosen_refiner].make
        self.refiner: Refiner | None = None if make_refiner is None else make_refiner()

    @property
    def patch(self) -> int:
        """Side of a patch of CLIP, in pixels; known without loading it."""
        return self.networks.source.patch

    def resized_shape(self, shape: tuple[int, int]) -> tuple[int, int]:
        """(height, width) that an image of (Y, X) pixels is resized to for CLIP, without tiles."""
        return self.method.resized_shape(shape, self.settings, self.patch)

    def notes(self, shape: tuple[int, int], layout: TileLayout | None) -> tuple[str, ...]:
        """The method's remarks on an image of (Y, X) pixels, or on its tiles."""
        settings = self.settings
        if layout is not None:
            shape = layout.tile[0] * layout.patch, layout.tile[1] * layout.patch
            settings = replace(settings, window=0)
        return self.method.notes(settings, self.networks.source.layers, self.patch, shape)

    def check_memory(self, shape: tuple[int, int], layout: TileLayout | None) -> None:
        """Check that the networks can read an image, or its tiles, in the free memory.

        Parameters
        ----------
        shape : (int, int)
            (Y, X) of the image.
        layout : TileLayout or None
            None for an image that is read as a whole.

        Raises
        ------
        InvalidInputError
            If there are too many patches.
        """
        tiles, seen = self.config.tiles, shape
        if layout is None or tiles is None:
            input_shape = self.method.network_shape(self.resized_shape(shape), self.settings)
        else:
            input_shape = layout.tile[0] * layout.patch, layout.tile[1] * layout.patch
            seen = tiles.side, tiles.side
        inputs = {"CLIP": (input_shape, self.patch, self.networks.source.heads)}
        if self.config.needs_foundation:
            patch = entry(self.config.chosen_foundation, "foundation").patch
            whole = None
            if self.refiner is not None:
                whole = self.refiner.network_shape(seen, self.settings.shorter_side, patch)
            inputs["the foundation model"] = (whole or input_shape, patch, 1)
        device = self.networks.device
        free = devices.free_memory(device)
        for name, ((height, width), patch, heads) in inputs.items():
            patches = height // patch * (width // patch)
            check_budget(name, seen, patches, heads, device, free, tile=layout is not None)
        if self.config.needs_sam:
            check_sam_memory(self.config.sam_model, device, free)

    def features(self, image: ImageInput, settings: Settings, monitor: Monitor) -> ClipFeatures:
        """Return CLIP's features of an image or tile; see `features_of_each`."""
        (found,) = self.features_of_each([image], settings, monitor)
        return found

    def features_of_each(
        self,
        images: Sequence[ImageInput],
        settings: Settings,
        monitor: Monitor,
        *,
        together: bool = False,
    ) -> list[ClipFeatures]:
        """CLIP's features of images or tiles of one size.

        Parameters
        ----------
        images : sequence of ImageInput
        settings : Settings
            Those of the configuration; without sliding windows for a tile.
        monitor : Monitor
        together : bool
            See `Segmenter.embed_each`.
        """
        with ExitStack() as stack:

            def network(name: str) -> Any:
                job = self.networks.for_one_job(name, monitor, together=together)
                return stack.enter_context(job)

            beside = {name: network(name) for name in METHODS[self.config.method].needs}
            networks = ImageNetworks(network("clip").image, **beside)
            return self.method.read_each(networks, images, settings, monitor)

    def at_once(self, shape: tuple[int, int]) -> int:
        """Return how many images of (Y, X) pixels CLIP encodes in one pass.

        One on a CPU, where more take no less time.
        """
        if self.networks.device.type == "cpu":
            return 1
        return min(self._room(shape), IMAGES_AT_ONCE)

    def beside(self, shape: tuple[int, int]) -> int:
        """Return how many images of (Y, X) pixels threads may encode at the same time.

        0 on a GPU, and with a network beside CLIP: one thread uses it at a time.
        """
        if self.networks.device.type != "cpu" or self.config.networks:
            return 0
        return self._room(shape)

    def _room(self, shape: tuple[int, int]) -> int:
        """How many images of (Y, X) pixels CLIP can encode in a share of the free memory."""
        height, width = self.method.network_shape(self.resized_shape(shape), self.settings)
        patches = height // self.patch * (width // self.patch)
        needed = attention_bytes(patches, self.networks.source.heads)
        free = devices.free_memory(self.networks.device)
        return max(int(free * SHARE_OF_MEMORY) // needed, 1)

    def masks(
        self, pixels: RGBPixels, given: NDArray[np.int32] | None, monitor: Monitor
    ) -> NDArray[np.int32] | None:
        """The masks of an image or tile; None for methods without masks.

        Parameters
        ----------
        pixels : (Y, X, 3) uint8 array
            Not resized.
        given : (Y, X) int32 array or None
            The masks, if there are any; None to compute them as the configuration says.
        monitor : Monitor
        """
        if given is not None or not METHODS[self.config.method].uses_masks:
            return given
        source = self.config.masks
        if source != "sam":
            return region_masks(source, pixels, None, monitor)
        with self.networks.for_one_job("sam", monitor) as network:
            return region_masks(source, pixels, network, monitor)

    def with_words(
        self, embedding: ImageEmbedding, queries: Queries, monitor: Monitor
    ) -> ImageEmbedding:
        """The embedding of an image or tile, after what the method computes from words with CLIP.

        Unchanged for most methods; loads CLIP where it is not loaded.
        """
        if not METHODS[self.config.method].words_change_features:
            return embedding
        self.networks.load(monitor, only=["clip"])
        with self.networks.for_one_job("clip", monitor) as network:
            return self.method.with_words(network.image, embedding, queries, self.settings, monitor)

    def refined(self, maps: Tensor, embedding: ImageEmbedding, monitor: Monitor) -> Tensor:
        """The maps after the refiner; see `Refiner.refine`."""
        assert self.refiner is not None  # noqa: S101 - called only with one
        if not isinstance(self.refiner, NetworkRefiner):
            return self.refiner.refine(maps, embedding, monitor)
        name = REFINERS[self.config.chosen_refiner].needs
        assert name is not None  # noqa: S101 - it has a network
        self.networks.load(monitor, only=[name])  # it may have been freed since the image was read
        with self.networks.for_one_job(name, monitor) as network:
            return self.refiner.refine_with(network, maps, embedding, monitor)

    def attention(
        self, pixels: RGBPixels, monitor: Monitor
    ) -> SelfAttention | ObjectEmbedding | None:
        """What the refiner computes from an image or tile; None if it needs nothing.

        Parameters
        ----------
        pixels : (Y, X, 3) uint8 array
            Not resized.
        monitor : Monitor
        """
        name = REFINERS[self.config.chosen_refiner].needs
        if self.refiner is None:
            return None
        if name is None:
            return self.refiner.read(None, pixels, self.config, monitor)
        with self.networks.for_one_job(name, monitor) as network:
            return self.refiner.read(network, pixels, self.config, monitor)
