"""Embed images that are not cut into tiles, several of one size at once."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import torch

from .features.preprocessing import RGBImage, resized
from .image_reader import ImageReader
from .methods.protocol import ImageInput
from .progress import Monitor
from .provenance import embedding_record
from .region_masks import mask_record
from .results import ImageEmbedding


def embed_whole(
    reader: ImageReader, images: Sequence[RGBImage], monitor: Monitor, *, together: bool
) -> list[ImageEmbedding]:
    """Run the networks on images of one size; they do not influence each other.

    Parameters
    ----------
    reader : ImageReader
    images : sequence of RGBImage
    monitor : Monitor
    together : bool
        See `Segmenter.embed_each`.
    """
    networks, seconds = reader.networks, dict[str, float]()
    with networks.guard("encoding the image"), torch.inference_mode():
        with timed(seconds, "load"):
            networks.load(monitor)
        shape = reader.resized_shape(images[0].shape)
        with timed(seconds, "clip"):
            masks = [reader.masks(one.pixels, one.masks, monitor) for one in images]
            inputs = [
                ImageInput(resized(one.pixels, shape, reader.method.resampling), one.pixels, own)
                for one, own in zip(images, masks, strict=True)
            ]
            features = reader.features_of_each(inputs, reader.settings, monitor, together=together)
        with timed(seconds, "refiner"):
            attention = [reader.attention(one.pixels, monitor) for one in images]
    each = {name: value / len(images) for name, value in seconds.items()}
    return [
        ImageEmbedding(
            image=image,
            resized=given.pixels,
            **found._asdict(),
            self_attention=attended,
            config=reader.config,
            record={
                **embedding_record(networks, image, shape, dict(each)),
                **mask_record(given.masks, reader.config.masks if image.masks is None else "given"),
            },
            masks=given.masks,
        )
        for image, given, found, attended in zip(images, inputs, features, attention, strict=True)
    ]


@contextmanager
def timed(seconds: dict[str, float], name: str) -> Iterator[None]:
    """Context manager: store the duration of a block under a name."""
    start = time.perf_counter()
    yield
    seconds[name] = time.perf_counter() - start
