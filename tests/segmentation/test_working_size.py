"""How much an image is reduced before CLIP sees it."""

from __future__ import annotations

import pytest

from napari_cliper.segmentation import (
    METHODS,
    InvalidInputError,
    SegmentationConfig,
    Segmenter,
    Tiles,
    reduction,
    tiles_for_objects,
)


@pytest.mark.parametrize("method", METHODS)
def test_it_is_what_the_method_really_does(method):
    for model, patch in (("demo", 16), ("ViT-B/16", 16), ("ViT-L/14", 14)):
        config = SegmentationConfig(method=method, model=model)
        for shape in ((336, 336), (8000, 8000), (1024, 1536), (300, 9000)):
            reader = METHODS[method].make()
            height, width = reader.resized_shape(shape, config.settings(), patch)
            found = reduction(shape, config)
            least = max(height, width) - patch, min(height, width) - patch
            assert max(shape) / (max(height, width) + patch) <= found.factor
            assert found.factor <= max(shape) / max(least[0], 1)
            assert found.smallest == pytest.approx(8 * found.factor)


def test_large_images_lose_small_objects():
    config = SegmentationConfig()
    large = reduction((8000, 8000), config)
    assert large.notable
    assert large.factor == pytest.approx(8000 / 336)
    assert large.smallest == pytest.approx(190, abs=1)
    assert not reduction((512, 640), config).notable
    assert not reduction((512, 640), SegmentationConfig(model="demo")).notable
    assert reduction((2048, 2048), config).notable
    less = SegmentationConfig(method="maskclip", shorter_side=1792, window=224)
    assert not reduction((2048, 2048), less).notable


def test_tiles_lose_only_what_a_tile_loses():
    shape = (8000, 8000)
    assert reduction(shape, SegmentationConfig(model="demo", tiles=Tiles(256))).smallest < 10
    scaled = SegmentationConfig(model="demo", tiles=Tiles(256, scale=0.25))
    assert reduction(shape, scaled).smallest == pytest.approx(32)
    whole = SegmentationConfig(model="demo")
    small = SegmentationConfig(model="demo", tiles=Tiles(2000))  # larger than the image
    assert reduction((1000, 1000), small) == reduction((1000, 1000), whole)


def test_tiles_fit_the_objects():
    """Objects are seen as large as in the images that the demo model was tuned on."""
    for size in (12, 60, 400):
        for refiner in ("pamr", "stable-diffusion"):
            config = SegmentationConfig(model="demo", refiner=refiner)
            config = SegmentationConfig(
                model="demo", refiner=refiner, tiles=tiles_for_objects(size, config)
            )
            layout = Segmenter(config).layout((20_000, 20_000))
            assert size * layout.scaled[0] / 20_000 == pytest.approx(51, rel=0.05)
    for refiner, least in (("pamr", Tiles(32)), ("stable-diffusion", Tiles(512, scale=7))):
        config = SegmentationConfig(model="demo", refiner=refiner)
        assert tiles_for_objects(0.5, config) == least  # more pixels would show no more
    for size in (0, -3, float("nan"), float("inf")):
        with pytest.raises(InvalidInputError, match="must be above 0"):
            tiles_for_objects(size, config)
