"""Images in tiles: the mosaic is what one image would be, and what is done is not done again."""

from __future__ import annotations

import zipfile

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from lazy_pixels import Lazy
from scipy import ndimage

from napari_cliper.demo.run import all_classes
from napari_cliper.demo.scenes import KINDS, make_scene
from napari_cliper.evaluation.metrics import confusion_matrix, mean_iou
from napari_cliper.segmentation import (
    OPEN,
    ChunkedLabels,
    InvalidInputError,
    Known,
    LiveLabels,
    Monitor,
    Pyramid,
    SegmentationConfig,
    Segmenter,
    Stopped,
    TileCache,
    TileMemory,
    Tiles,
    UserHints,
    image_affinity,
    visible_labels,
)
from napari_cliper.segmentation.features.mosaic import Mosaic, presence
from napari_cliper.segmentation.features.patch_features import patch_features
from napari_cliper.segmentation.refiners import refined_planes
from napari_cliper.segmentation.refiners.attention_maps import (
    SelfAttention,
    compress,
    refine_with_attention,
)
from napari_cliper.segmentation.tile_arrays import packed_attention, unpacked_attention
from napari_cliper.segmentation.tiles import TileLayout, Window, tile_layout

SEED = 1_000_003
CLASSES = all_classes()


@pytest.fixture(scope="module")
def scene():
    return make_scene((512, 512), SEED, unit=256)


def segmenter_of(tiles=None, store=None, **options):
    options = {"model": "demo", "refiner": "none", "device": "cpu"} | options
    return Segmenter(SegmentationConfig(tiles=tiles, **options), tile_store=store or TileMemory())


@pytest.fixture(scope="module")
def segmenter():
    return segmenter_of(Tiles(256, 64))


@pytest.fixture(scope="module")
def embedding(segmenter, scene):
    return segmenter.embed(scene.image)


@pytest.fixture(scope="module")
def scores(segmenter, embedding):
    return segmenter.score(embedding, CLASSES)


class Passes:
    """Counts how many tiles the image network encodes."""

    def __init__(self, segmenter, stop_after=None):
        self.count, self.stop_after = 0, stop_after
        method = segmenter.reader.method
        read_each = method.read_each

        def counting(networks, images, *arguments):
            self.count += len(images)
            return read_each(networks, images, *arguments)

        method.read_each = counting

    def should_stop(self):
        return self.stop_after is not None and self.count >= self.stop_after


# ---------------------------------------------------------------------- layout and blending


def test_tiles_cover_every_patch_and_weights_are_never_0():
    for shape, tiles in (
        ((512, 512), Tiles(256, 64)),
        ((1000, 300), Tiles(256, 128)),
        ((77, 2000), Tiles(100, 0)),
        ((50, 60), Tiles(256)),
        ((700, 900), Tiles(200, 50, scale=2)),
    ):
        layout = tile_layout(shape, tiles, overlap=64, shorter_side=224, patch=8)
        seen = np.zeros(layout.grid, int)
        mosaic = Mosaic(layout)
        for cells in layout.cells:
            assert cells.shape == layout.tile
            seen[cells.slices] += 1
            mosaic.add(torch.full((2, *layout.tile), 0.25), cells)
        assert seen.all()
        assert len(layout.cells) == len(layout)
        np.testing.assert_allclose(mosaic.result(2), 0.25, rtol=1e-5)
        ratio = layout.scaled[0] / shape[0]
        assert ratio == pytest.approx(tiles.scale or 224 / tiles.side, rel=0.1)


def test_an_overlap_of_half_a_tile_takes_no_more_tiles_than_that():
    """A tile has 21 patches here, of which no half is whole."""
    for side in (512, 600):
        for count in (2, 3, 9):
            shape = (side, (count + 1) * side // 2)
            layout = tile_layout(shape, Tiles(side), overlap=side // 2, shorter_side=336, patch=16)
            assert len(layout) == count


def test_tiles_out_of_range_are_refused():
    for values, words in (
        ((16,), "too small"),
        ((256, 256), "cannot overlap by 256"),
        ((256, -1), "cannot overlap"),
        ((256, 64, 0), "must be above 0"),
    ):
        with pytest.raises(InvalidInputError, match=words):
            Tiles(*values)
    with pytest.raises(InvalidInputError, match="at least 512 px"):
        SegmentationConfig(tiles=Tiles(256))  # Stable Diffusion
    assert SegmentationConfig(tiles=Tiles(512)).tile_overlap == 256
    assert SegmentationConfig(model="demo", tiles=Tiles(512)).tile_overlap == 128


# ---------------------------------------------------------------------- one tile is one image


@pytest.mark.parametrize("refiner", ["pamr", "none"])
def test_an_image_of_one_tile_is_as_without_tiles(refiner):
    image = make_scene((256, 256), SEED).image
    plain = segmenter_of(refiner=refiner)
    expected = plain.score(plain.embed(image), CLASSES[:6])
    tiled = segmenter_of(Tiles(256, scale=0.875), refiner=refiner)
    embedding = tiled.embed(image)
    assert len(embedding.tiles.layout) == 1
    found = tiled.score(embedding, CLASSES[:6])
    for stage in found.stages:
        given, wanted = found.stage(stage).class_scores, expected.stage(stage).class_scores
        np.testing.assert_allclose(given, wanted, atol=0.01)
        assert np.mean(found.to_labels(stage=stage) == expected.to_labels(stage=stage)) > 0.99
    assert segmenter_of(Tiles(256)).embed(image).tiles is None  # nothing to cut


# ---------------------------------------------------------------------- the mosaic


def test_objects_in_a_large_image_are_found():
    scene = make_scene((1024, 1024), SEED, unit=256)

    def accuracy(tiles):
        one = segmenter_of(tiles)
        labels = one.score(one.embed(scene.image), CLASSES).to_labels()
        return mean_iou(confusion_matrix(scene.labels, labels, len(KINDS) + 1))

    assert accuracy(Tiles(256, 64)) > 0.85
    assert accuracy(None) < 0.7


def test_moving_the_grid_by_half_a_stride_changes_few_pixels(scene, segmenter, scores):
    moved = np.pad(scene.image, ((96, 0), (96, 0), (0, 0)), mode="reflect")
    again = segmenter.score(segmenter.embed(moved), CLASSES)
    changed = again.to_labels()[96:, 96:] != scores.to_labels()
    assert changed.mean() <= 0.02


def test_bare_background_and_a_tile_without_contrast_get_no_label(scene, segmenter):
    bare = make_scene((320, 320), SEED, kinds=[], ground=scene.ground, unit=256).image
    right = np.concatenate([bare[:192], bare * 0 + 90])
    image = np.concatenate([scene.image[:, :192], right], axis=1)
    embedding = segmenter.embed(image)
    assert embedding.record["tiles"] == {"count": 9, "without contrast": 1}
    labels = segmenter.score(embedding, CLASSES).to_labels()
    assert labels[:, :192].any()
    assert not labels[:, 240:].any()  # the nearest object ends at column 192
    with pytest.raises(InvalidInputError, match="are equal: there is nothing to segment"):
        segmenter.embed(np.full((600, 600, 3), 7, np.uint8))


def test_the_score_of_an_absent_class_does_not_grow_with_the_number_of_tiles():
    """Values of an absent class are noise; those of a present class have objects."""
    rng = np.random.default_rng(0)
    found, highest = {}, {}
    for count in (1, 4, 49, 441, 1936):
        side = 28 * int(count**0.5)
        layout = TileLayout((side, side), (side, side), (28, 28), (28, 28), patch=1)
        maps = torch.from_numpy(rng.exponential(0.05, (2, side, side)).astype(np.float32))
        maps[1, 3:9, 3:9] = 2  # one object in the whole image
        found[count] = presence(maps, layout)
        highest[count] = maps[0].max()
        assert found[count][1] == 2
    assert found[1][0] == highest[1]
    assert highest[441] - highest[1] > 2 * abs(found[441][0] - found[1][0])


def test_refining_by_chunks_is_refining_the_whole(monkeypatch, scene):
    one = segmenter_of(Tiles(200, 56), refiner="pamr")
    embedding = one.embed(scene.image[:256, :256])
    whole = one.score(embedding, CLASSES[:5])
    monkeypatch.setattr(refined_planes, "CHUNK", 128)
    monkeypatch.setattr(refined_planes, "CACHE_BYTES", 0)
    scores = one.score(embedding, CLASSES[:5])
    assert (len(whole.parts()), len(scores.parts())) == (1, 9)
    # PIL rounds a region and the whole to different grey levels, by 1 at most.
    np.testing.assert_allclose(scores.refined.maps, whole.refined.maps, atol=5e-3)
    np.testing.assert_allclose(scores.refined.class_scores, whole.refined.class_scores, atol=5e-3)
    labels = scores.to_labels()
    assert labels.any()
    assert np.mean(labels == whole.to_labels()) > 0.999
    for window in scores.parts()[3:6]:
        np.testing.assert_array_equal(scores.to_labels(window=window), labels[window.slices])
    live = LiveLabels(scores, "refined").labels(scores.settings.thresholds)
    np.testing.assert_array_equal(live, labels)


def test_hints_and_uncertainty_work_on_a_mosaic(scene, embedding, scores):
    assert patch_features(embedding).shape[1:] == (56, 56)
    hints = np.full(scores.shape, OPEN)
    place = np.argwhere(scene.labels > 0)[500]
    hints[tuple(place)] = 2
    live = LiveLabels(scores, "coarse")
    corrected = live.labels(scores.settings.thresholds, UserHints(image_affinity(embedding), hints))
    assert corrected[tuple(place)] == 2
    uncertainty = live.uncertainty(scores.settings.thresholds)
    assert uncertainty.shape == scores.shape
    assert 0 <= uncertainty.min() < uncertainty.max() <= 1


def test_every_method_and_refiner_takes_tiles(scene):
    image = scene.image[:300, :300]
    for options in ({"method": "clearclip"}, {"method": "sclip", "refiner": "pamr"}):
        one = segmenter_of(Tiles(128, 32, scale=0.875), **options)
        scores = one.score(one.embed(image), CLASSES)
        assert scores.to_labels().shape == (300, 300)
        assert scores.to_labels().any()


# ---------------------------------------------------------------------- lazy, stopped, next day


def test_a_lazy_image_is_read_tile_by_tile(scene):
    lazy = Lazy(scene.image)
    one = segmenter_of(Tiles(128, 32))
    scores = one.score(one.embed(lazy), CLASSES)
    lazy.read[0] = 0  # the sample for the contrast, which is all of a small image
    assert max(lazy.read) < 400 * 400
    assert scores.to_labels().any()


def test_a_stopped_run_goes_on_and_new_words_need_no_network(tmp_path, scene):
    folder = tmp_path / "tiles"
    first = segmenter_of(Tiles(256, 64), TileCache(folder))
    passes = Passes(first, stop_after=4)
    with pytest.raises(Stopped):
        first.embed(scene.image, should_stop=passes.should_stop)
    assert passes.count == 4
    second = segmenter_of(Tiles(256, 64), TileCache(folder))
    passes = Passes(second)
    embedding = second.embed(scene.image)
    assert passes.count == 9 - 3  # the fourth was not finished
    expected = second.score(embedding, CLASSES).to_labels()
    third = segmenter_of(Tiles(256, 64), TileCache(folder))
    passes = Passes(third)
    again = third.score(third.embed(scene.image), CLASSES)
    third.score(third.embed(scene.image), ["nucleus", "crystal"])
    assert passes.count == 0
    np.testing.assert_array_equal(again.to_labels(), expected)

    cut, empty, changed, without, *_ = folder.iterdir()  # damage costs time, not results
    cut.write_bytes(cut.read_bytes()[:2000])
    empty.write_bytes(b"")
    data = changed.read_bytes()
    changed.write_bytes(data[:5000] + bytes(1000) + data[6000:])
    with zipfile.ZipFile(without) as whole:
        left = {name: whole.read(name) for name in whole.namelist() if "numbers" not in name}
    with zipfile.ZipFile(without, "w") as part:
        for name, data in left.items():
            part.writestr(name, data)
    np.testing.assert_array_equal(third.score(embedding, CLASSES).to_labels(), expected)
    assert passes.count == 4


def test_attention_maps_come_back_from_the_store(tmp_path):
    rng = np.random.default_rng(0)
    dense = torch.from_numpy(rng.random((12, 12), np.float32))
    maps = (dense, compress(dense), compress(torch.eye(12)))
    store = TileCache(tmp_path)
    store.put("key", packed_attention(SelfAttention(maps, (3, 4))))
    found = unpacked_attention(store.get("key"))
    assert found.grid == (3, 4)
    columns = torch.from_numpy(rng.random((2, 3, 4), np.float32))
    for one, other in zip(maps, found.maps, strict=True):
        expected = refine_with_attention(columns, SelfAttention((one,), (3, 4)))
        result = refine_with_attention(columns, SelfAttention((other,), (3, 4)))
        np.testing.assert_array_equal(result, expected)


def test_an_estimate_is_of_all_tiles(scene):
    one = segmenter_of(Tiles(256, 64))
    estimate = one.estimate(scene.image)
    one.embed(scene.image)
    stored = sum(a.nbytes for entry in one.tile_store.entries.values() for a in entry.values())
    assert estimate.tiles == len(one.tile_store.entries) == 9
    assert estimate.disk == stored
    assert estimate.seconds > 0
    assert estimate.read_again == 0
    assert one.estimate(scene.image[:200, :200]) is None
    lazy = one.estimate(Lazy(scene.image), each=estimate.each)
    assert estimate.chunk_memory - lazy.chunk_memory == scene.image.nbytes
    assert (estimate.new_tiles, estimate.new_disk) == (9, stored)
    for key in list(one.tile_store.entries)[:4]:
        del one.tile_store.entries[key]
    passes = Passes(one)
    left = one.estimate(scene.image, each=estimate.each)
    assert passes.count == 0
    assert (left.tiles, left.disk, left.new_tiles) == (9, stored, 4)
    assert left.new_disk == pytest.approx(stored * 4 / 9)
    assert left.new_seconds == pytest.approx(left.seconds * 4 / 9)
    planes = left.times(3)
    assert (planes.tiles, planes.new_tiles) == (27, 22)


def test_what_is_visible_is_labelled_with_the_maxima_of_all_tiles_so_far(scene):
    left = scene.image[:384, :384]
    image = np.concatenate([left, left[:, ::-1]], axis=1)
    image[:160, :200] = make_scene((160, 200), SEED, kinds=[], ground=scene.ground, unit=256).image
    row, column = np.argwhere(ndimage.binary_erosion(scene.labels[:320, :320], iterations=12))[-1]
    bare = Window(0, 0, 60, 60)
    objects = Window(row - 30, 737 - column, row + 30, 797 - column)
    store = TileMemory()
    for refiner in ("none", "pamr"):
        one = segmenter_of(Tiles(128, 32), store, refiner=refiner)
        found = one.check(image)
        count = len(one.layout(found.shape))
        passes = Passes(one)
        visible_labels(one, found, bare, CLASSES)
        assert passes.count == (1 if refiner == "none" else 0)  # the tile that the view touches
        whole = one.score(one.embed(image), CLASSES).to_labels()
        for view in (bare, objects):
            first = visible_labels(one, found, view, CLASSES)
            assert first.window == view
            agrees = (first.labels == whole[view.slices]).mean()
            assert agrees > 0.97, (refiner, view, agrees)
        assert whole[objects.slices].any()
        assert not whole[bare.slices].any()
        assert passes.count == (count if refiner == "none" else 0)  # no tile is encoded twice
    reduced = visible_labels(one, found, Window(0, 0, *found.shape), CLASSES)
    assert reduced.labels.shape == found.shape
    assert reduced.labels.any()
    part = np.s_[184:384, :200]
    names = dict(enumerate(map(str, CLASSES), 1))
    learned = one.learn(one.embed(image[part]), whole[part], whole[part] >= 0, names, "part")
    first = visible_labels(one, found, objects, CLASSES, prototypes=learned)
    alone = one.score(one.embed(image[objects.slices]), CLASSES, prototypes=learned)
    np.testing.assert_array_equal(first.labels, alone.to_labels())
    small = one.check(image[:200, :200])
    assert visible_labels(one, small, Window(0, 0, 200, 200), CLASSES) is None


def test_the_cache_is_bounded_and_memory_writes_nothing(tmp_path, scene):
    store = TileCache(tmp_path / "tiles", limit=3_500_000)
    one = segmenter_of(Tiles(256, 64), store)
    one.embed(scene.image)
    sizes = [size for _, _, size in store.files()]
    assert len(sizes) == 2
    assert sum(sizes) <= store.limit
    memory = segmenter_of(Tiles(256, 64), TileMemory(limit=3_500_000))
    embedding = memory.embed(scene.image)
    assert len(memory.tile_store.entries) == 2
    assert memory.score(embedding, CLASSES).to_labels().any()  # the others are computed again
    full = TileCache(tmp_path / "full", unwritten=TileMemory(limit=3_500_000))
    full.folder.touch()  # as no folder, it takes no files
    assert segmenter_of(Tiles(256, 64), full).embed(scene.image).tiles is not None
    assert len(full.unwritten.entries) == 2


def test_of_a_pyramid_the_level_that_fits_the_scale_is_read(scene):
    """Full resolution is not read at half the scale, and the labels are nearly the same."""
    fine = np.kron(scene.image, np.ones((2, 2, 1), np.uint8))
    levels = [Lazy(fine), Lazy(scene.image), Lazy(scene.image[::2, ::2])]
    segmenter = segmenter_of(Tiles(512, 128, scale=0.4375))
    labels = {}
    for name, image in (("pyramid", Pyramid(levels)), ("full", fine)):
        labels[name] = segmenter.score(segmenter.embed(image), CLASSES).to_labels()
        assert labels[name].shape == fine.shape[:2]
    assert levels[0].read == [fine.shape[0] * fine.shape[1]]  # the sample for the contrast
    assert levels[1].read
    assert not levels[2].read
    assert (labels["pyramid"] == labels["full"]).mean() > 0.98


# ---------------------------------------------------------------------- chunk by chunk


class Doubling:
    """A refiner that works tile by tile and returns finer maps."""

    def refine(self, maps, embedding, _monitor):
        finer = F.interpolate(maps[None], scale_factor=2, mode="bilinear")[0]
        return finer * (1 + embedding.resized.mean() / 255)


def test_labels_chunk_by_chunk_are_those_of_the_whole_image(tmp_path):
    scene = make_scene((240, 300), SEED, unit=128)
    image = scene.image
    image[:100, :100] = 120  # a tile without contrast
    classes = CLASSES[:5]
    names, sure = {label: one.name for label, one in enumerate(classes, 1)}, scene.labels < 6
    for method, refiner, learns in (
        ("cliper", "pamr", False),
        ("cliper", "pamr", True),
        ("cliper", "by tile", True),
        ("sclip", "none", False),
        ("sclip", "none", True),
    ):
        by_tile = refiner == "by tile"
        options = {"method": method, "refiner": "none" if by_tile else refiner}
        segmenter = segmenter_of(Tiles(96, 32, scale=1), **options)
        if by_tile:
            segmenter.reader.refiner = Doubling()
        embedding, asked = segmenter.embed(image), {}
        if learns:
            learned = segmenter.learn(embedding, scene.labels, sure, names, "a", pixel_size=1.0)
            asked = {"prototypes": learned, "prototype_weight": 0.6, "pixel_size": 2.0}
        scores = segmenter.score(embedding, classes, **asked)
        thresholds = segmenter.settings.thresholds
        folder = tmp_path / f"{method} {refiner} {learns}"
        folder.mkdir()
        two = [
            ChunkedLabels(segmenter, segmenter.check(image), classes, thresholds, folder, **asked)
            for _ in range(2)
        ]
        found = {stage: np.full(image.shape[:2], 99, np.uint8) for stage in scores.stages}

        def write(stage, window, labels, found=found):
            assert (found[stage][window.slices] == 99).all()
            found[stage][window.slices] = labels

        known, rank = Known(), two[0].rank
        for _, count, parts in two[0].passes(chunk=128):
            after, given = known, list(enumerate(parts))
            assert len(given) == count
            for index, part in reversed(given):  # each does every second part
                after = after.merged(two[index % 2].run(part, known, write, Monitor()), rank)
            known = after
        assert known.finer == (2 if by_tile else 1)
        for stage, labels in found.items():
            whole = scores.to_labels(thresholds, stage=stage)
            assert np.mean(labels != whole) < 1e-3  # rounding
            assert len(np.unique(labels)) > 1
        assert known.counts.tolist() == np.bincount(labels.ravel(), minlength=6).tolist()
        mean = LiveLabels(scores.on_grid(), "coarse").uncertainty(thresholds).mean(dtype="float64")
        assert known.mean_uncertainty == pytest.approx(mean, abs=1e-6)
        result = two[1].result(known, two[0].described(Monitor()))
        assert result.stages == scores.stages
        assert {**result.record, "seconds": 0} == {**scores.record, "seconds": 0}
        assert result.record["tiles"]["without contrast"] == 1
        assert len(result.record.get("prototypes", ())) == (3 if learns else 0)
