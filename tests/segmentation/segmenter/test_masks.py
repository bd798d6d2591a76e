"""CorrCLIP and Trident from an image to labels: masks, SAM as a network, and what is refused."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from segmenter_inputs import CLASSES, IMAGE
from small_sams import save_onnx, save_random_sam

from napari_cliper.segmentation import (
    InvalidInputError,
    LiveLabels,
    Monitor,
    SegmentationConfig,
    Segmenter,
    TileMemory,
    Tiles,
)
from napari_cliper.segmentation.models import loading
from napari_cliper.segmentation.models.sam import load_sam
from napari_cliper.segmentation.refiners import sam
from napari_cliper.segmentation.region_masks import sam_masks, superpixels

SHAPE = IMAGE.shape[:2]


@pytest.fixture(autouse=True)
def foundation(networks, monkeypatch):
    loaded = loading.Loaded(networks.foundation, ())
    monkeypatch.setattr(loading, "load_foundation", lambda *_, monitor: loaded)


@pytest.fixture(scope="module")
def sam_folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("sam")
    save_random_sam("sam", folder)
    return str(folder)


def halves():
    """Two masks with large numbers, and pixels in none."""
    masks = np.zeros(SHAPE, np.uint32)
    masks[:, : SHAPE[1] // 2] = 3_000_000_000
    masks[4:, SHAPE[1] // 2 :] = 7
    return masks


def test_each_mask_gets_one_label_whatever_the_thresholds(config):
    segmenter = Segmenter(config(method="corrclip"))
    embedding = segmenter.embed(IMAGE, masks=halves())
    assert embedding.record["masks"] == {"source": "given", "count": 2}
    scores = segmenter.score(embedding, CLASSES)
    assert any("CorrCLIP was published for CLIP with 12 or 24 or 32" in one for one in scores.notes)
    for threshold in (0.0, 0.4, 0.9):
        thresholds = scores.settings.thresholds.with_values(background_threshold=threshold)
        labels = scores.to_labels(thresholds)
        uncorrected = replace(scores, masks=None).to_labels(thresholds)
        for number in (3_000_000_000, 7):
            inside = halves() == number
            assert set(labels[inside]) == {np.bincount(uncorrected[inside]).argmax()}
        outside = halves() == 0
        np.testing.assert_array_equal(labels[outside], uncorrected[outside])
        np.testing.assert_array_equal(LiveLabels(scores, "coarse").labels(thresholds), labels)
        for part in scores.parts():
            np.testing.assert_array_equal(
                scores.to_labels(thresholds, window=part), labels[part.slices]
            )
    assert scores.on_grid().masks.shape == scores.coarse.logits.shape[1:]


def test_masks_decide_which_patches_attend(config):
    features = {}
    for source in ("superpixels", "none"):
        segmenter = Segmenter(config(method="corrclip", masks=source))
        embedding = segmenter.embed(IMAGE)
        features[source] = embedding.windows[0].features
        assert embedding.record["masks"]["source"] == source
    given = segmenter.embed(IMAGE, masks=halves()).windows[0].features
    assert (features["superpixels"] - features["none"]).abs().max() > 1e-3
    assert (given - features["none"]).abs().max() > 1e-3


def test_masks_in_tiles_are_those_of_the_image(config):
    tiles = Tiles(IMAGE.shape[0] * 2 // 3)
    store = TileMemory()
    segmenter = Segmenter(config(method="corrclip", tiles=tiles), tile_store=store)
    found = {}
    for name, masks in (("own", None), ("given", halves()), ("other", halves() == 7)):
        embedding = segmenter.embed(IMAGE, masks=masks)
        scores = segmenter.score(embedding, CLASSES)
        found[name] = scores
        store.entries.clear()  # everything is computed again
        again = segmenter.score(embedding, CLASSES)
        np.testing.assert_array_equal(again.coarse.maps, scores.coarse.maps)
        assert (scores.masks is None) == (masks is None)
    assert np.abs(found["own"].coarse.maps - found["given"].coarse.maps).max() > 1e-5
    assert np.abs(found["other"].coarse.maps - found["given"].coarse.maps).max() > 1e-5
    assert len(set(found["given"].to_labels()[halves() == 7])) == 1


def test_masks_that_do_not_fit_are_refused_before_anything_is_loaded(config, monkeypatch):
    segmenter = Segmenter(config(method="corrclip"))
    monkeypatch.setattr(segmenter.networks, "load", lambda *_, **__: pytest.fail("loaded"))
    for masks, words in (
        (halves()[1:], "not resized"),
        (halves().astype(float), "array of integers"),
        (-halves().astype(int), "numbers above 0"),
    ):
        with pytest.raises(InvalidInputError, match=words):
            segmenter.embed(IMAGE, masks=masks)
    with pytest.raises(InvalidInputError, match=r"uses no masks.*corrclip"):
        Segmenter(config(method="sclip")).embed(IMAGE, masks=halves())


def test_superpixels_cover_the_image_and_follow_its_edges():
    pixels = np.zeros((90, 700, 3), np.uint8)
    pixels[:, 350:] = 200
    masks = superpixels(pixels)
    assert masks.shape == (90, 700)
    assert masks.min() > 0
    assert not set(masks[:, :345].ravel()) & set(masks[:, 355:].ravel())


def test_masks_of_sam_lie_on_the_objects(tmp_path):
    folder = save_onnx(tmp_path / "colours", limits="0.9, 0.95, 0.99")
    model = load_sam(str(folder), torch.device("cpu"), offline=True, monitor=Monitor()).network
    pixels = np.full((64, 48, 3), 40, np.uint8)
    pixels[8:30, 6:20], pixels[36:60, 20:44] = (250, 0, 0), (0, 0, 250)
    masks = sam_masks(model, pixels, Monitor())
    assert masks.max() == 3
    for part in (masks[12:26, 10:16], masks[40:56, 24:40], masks[:4, 24:44]):
        assert len(set(part.ravel())) == 1
        assert part.flat[0] > 0
    assert len({masks[15, 12], masks[50, 30], masks[2, 40]}) == 3


@pytest.mark.parametrize("options", [{}, {"window": 32, "stride": 16}, {"window": 0}])
def test_trident_from_an_image_to_labels(config, sam_folder, options):
    segmenter = Segmenter(
        config(method="trident", sam_model=sam_folder, refiner=None, window=48, stride=32)
        if not options
        else config(method="trident", sam_model=sam_folder, refiner="none", **options)
    )
    for image in (IMAGE, IMAGE[:40], IMAGE[:, :30]):  # the second goes through SAM in halves
        scores = segmenter.score(segmenter.embed(image), CLASSES)
        assert np.isfinite(scores.coarse.maps).all()
        assert scores.to_labels().shape == image.shape[:2]
        if not options:
            assert scores.refined.maps.shape[1:] == image.shape[:2]
            assert np.isfinite(scores.refined.maps).all()


def test_trident_in_tiles(config, sam_folder):
    tiles = Tiles(IMAGE.shape[0] * 2 // 3)
    chosen = config(method="trident", sam_model=sam_folder, tiles=tiles)
    segmenter = Segmenter(chosen, tile_store=TileMemory())
    scores = segmenter.score(segmenter.embed(IMAGE), CLASSES)
    assert np.isfinite(scores.coarse.maps).all()
    assert scores.to_labels().shape == SHAPE
    with pytest.raises(InvalidInputError, match="cannot be used with tiles"):
        config(method="trident", sam_model=sam_folder, refiner="sam", tiles=tiles)


@pytest.mark.parametrize("method", ["cliper", "sclip", "corrclip"])
def test_sam_refines_any_method(config, sam_folder, method, monkeypatch):
    monkeypatch.setattr(sam, "LEAST_AREA", 20)
    monkeypatch.setattr(sam, "LEAST_SCORE", -np.inf)  # a random network has low scores
    segmenter = Segmenter(config(method=method, refiner="sam", sam_model=sam_folder))
    embedding = segmenter.embed(IMAGE)
    scores = segmenter.score(embedding, CLASSES)
    assert scores.refined.maps.shape[1:] == SHAPE
    assert np.isfinite(scores.refined.maps).all()
    assert np.abs(scores.refined.maps - scores.coarse.maps.mean()).max() > 1e-3
    segmenter.unload()  # the networks are loaded again when the words change
    other = segmenter.score(embedding, CLASSES[:1], background=["sea"])  # asks SAM again
    assert other.refined.maps.shape[0] == 1


def test_settings_of_sam(sam_folder):
    assert SegmentationConfig(method="trident").networks == ("foundation", "sam")
    assert SegmentationConfig(method="trident").chosen_foundation == "dino-vitb16"
    assert SegmentationConfig(method="corrclip").networks == ("foundation",)
    assert SegmentationConfig(method="corrclip", masks="sam").needs_sam
    assert not SegmentationConfig(masks="sam").needs_sam
    keys = {
        SegmentationConfig(method="corrclip", masks=one).embedding_key
        for one in ("superpixels", "none", "sam")
    }
    assert len(keys) == 3
    with pytest.raises(InvalidInputError, match=r"Trident needs attention.*sam-vit-base"):
        SegmentationConfig(method="trident", sam_model="edgetam")
    assert SegmentationConfig(method="trident", sam_model=sam_folder).needs_sam
    with pytest.raises(InvalidInputError, match="superpixels"):
        SegmentationConfig(masks="watershed")
