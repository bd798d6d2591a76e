"""Visual prototypes: what is learned, what is kept, and how they are asked."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from napari_cliper.demo.run import HELD_OUT_SEED
from napari_cliper.demo.scenes import make_scene
from napari_cliper.evaluation.metrics import confusion_matrix, mean_iou
from napari_cliper.segmentation import (
    ClassPrompt,
    InvalidInputError,
    Prototypes,
    RGBImage,
    SegmentationConfig,
    Segmenter,
    Window,
)
from napari_cliper.segmentation.features.comparable_features import ComparableFeatures
from napari_cliper.segmentation.prototype_classifier import fit_prototypes
from napari_cliper.segmentation.prototype_fusion import prototype_fusion
from napari_cliper.segmentation.scoring.pixel_samples import SAMPLES
from napari_cliper.segmentation.scoring.prototypes import (
    BACKGROUND,
    PER_CLASS,
    PER_IMAGE,
    THUMBNAIL,
    Prototype,
    learn_prototypes,
)
from napari_cliper.segmentation.scoring.similarity import Queries

GRID = (4, 6)
WORDS = tuple(
    ClassPrompt(word)
    for word in ("zorfel", "quibbix", "mandrone", "plivet", "trasko", "wemblin", "yuxor",
                 "grentle", "fopsic")
)  # fmt: skip
NAMES = {index + 1: one.name for index, one in enumerate(WORDS)}


def direction(*values: float) -> torch.Tensor:
    return F.normalize(torch.tensor(values, dtype=torch.float32), dim=0)


def prototype(name: str, *values: float, source: str = "a", patches: int = 1) -> Prototype:
    picture = np.zeros((THUMBNAIL, THUMBNAIL, 3), np.uint8)
    return Prototype(name, direction(*values), patches, (source,), picture)


def some(*items: Prototype) -> Prototypes:
    return Prototypes("demo", "x", items)


# ---------------------------------------------------------------------- learning


@pytest.fixture
def picture():
    """Patches of 10 pixels: the two halves have different features."""
    image = np.zeros((40, 60, 3), np.uint8)
    image[:, 30:] = 200
    features = torch.zeros(*GRID, 3)
    features[:, :3], features[:, 3:] = torch.tensor([3.0, 0, 0]), torch.tensor([0, 0.5, 0])
    return RGBImage(image), features.permute(2, 0, 1)


def test_the_mean_of_what_was_confirmed(picture):
    image, features = picture
    labels = np.zeros((40, 60), int)
    labels[:, 30:] = 4
    confirmed = np.zeros((40, 60), bool)
    confirmed[12:18, 10:50] = True
    found = {
        one.name: one
        for one in learn_prototypes(features, image, labels, confirmed, {4: "it"}, "s")
    }
    assert set(found) == {BACKGROUND, "it"}
    torch.testing.assert_close(found["it"].vector, direction(0, 1, 0))
    torch.testing.assert_close(found[BACKGROUND].vector, direction(1, 0, 0))
    assert found["it"].patches == 2
    assert found["it"].sources == ("s",)
    assert found["it"].thumbnail.shape == (48, 48, 3)
    assert found["it"].thumbnail.mean() > 100 > found[BACKGROUND].thumbnail.mean()


def test_nothing_confirmed_gives_no_prototypes(picture):
    image, features = picture
    labels = np.ones((40, 60), int)
    assert not list(learn_prototypes(features, image, labels, labels < 1, {1: "it"}, "s"))


def test_labels_without_a_name_are_passed_over(picture):
    image, features = picture
    labels = np.full((40, 60), 2)
    assert not list(learn_prototypes(features, image, labels, labels > 0, {1: "it"}, "s"))


def test_one_pixel_gives_a_prototype(picture):
    image, features = picture
    labels = np.ones((40, 60), int)
    confirmed = np.zeros((40, 60), bool)
    confirmed[39, 59] = True
    (found,) = learn_prototypes(features, image, labels, confirmed, {1: "it"}, "s")
    torch.testing.assert_close(found.vector, direction(0, 1, 0))


def test_a_class_of_varied_appearance_has_several_prototypes(picture):
    image, features = picture
    labels = np.ones((40, 60), int)
    found = list(learn_prototypes(features, image, labels, labels > 0, {1: "it"}, "s"))
    assert 2 <= len(found) <= PER_IMAGE
    for look in (direction(1, 0, 0), direction(0, 1, 0)):
        assert max(float(one.vector @ look) for one in found) > 0.99
    assert sum(one.patches for one in found) == 24


# ---------------------------------------------------------------------- keeping


def test_learning_ends_where_patches_are_nearly_the_same(picture):
    """k-means on float32 vectors this near to each other goes on for ever."""
    image, _ = picture
    labels = np.ones(image.shape[:2], int)
    for seed in range(6):
        noise = torch.from_numpy(np.random.default_rng(seed).normal(size=(12, 64))).float()
        features = 0.125 + 1e-4 * noise
        planes = features.T.reshape(64, 3, 4)
        found = learn_prototypes(planes, image, labels, labels > 0, {1: "it"}, "s")
        assert sum(one.patches for one in found) == 12


def test_learning_an_image_again_replaces_its_prototypes():
    before = some(prototype("it", 1, 0), prototype("it", 0, 1, source="b"))
    found = before.union(some(prototype("it", 1, 1)))
    assert sorted(one.sources for one in found.items) == [("a",), ("b",)]
    assert found.images_of("IT") == 2


def test_an_image_without_confirmed_pixels_loses_its_prototypes(segmenter, learned):
    scene = make_scene((96, 96), seed=1)
    nothing = np.zeros(scene.labels.shape, bool)
    source = learned.items[0].sources[0]
    assert any(one.sources == (source,) for one in learned.items)
    embedding = segmenter.embed(scene.image)
    found = segmenter.learn(embedding, scene.labels, nothing, NAMES, source, learned)
    assert not any(one.sources == (source,) for one in found.items)
    assert len(found)


def test_classes_go_by_name_whatever_the_case():
    many = some(*(prototype("it", 1, n / 10, source=str(n)) for n in range(PER_CLASS)))
    found = many.union(some(prototype("IT", 0, 1, source="new")))
    assert len(found.of("it")) == PER_CLASS


def test_no_more_than_a_handful_and_the_nearest_become_one():
    many = some(*(prototype("it", 1, n / 10, source=str(n)) for n in range(PER_CLASS + 3)))
    found = some(prototype("other", 0, 1)).union(many)
    assert len(found.of("it")) == PER_CLASS
    assert found.images_of("it") == PER_CLASS + 3
    assert sum(one.patches for one in found.of("it")) == PER_CLASS + 3
    assert len(found.of("other")) == 1
    for one in found.items:
        assert float(one.vector.norm()) == pytest.approx(1)


def test_single_ones_are_removable():
    items = prototype("it", 1, 0), prototype("it", 0, 1)
    assert some(*items).without(items[0]).items == (items[1],)


def test_prototypes_of_another_model_are_refused():
    other = Prototypes("ViT-B/16", "y", (prototype("it", 1, 0),))
    with pytest.raises(InvalidInputError, match="with ViT-B/16, but the engine runs demo"):
        some().union(other)


# ---------------------------------------------------------------------- asking


def requested(*vectors: torch.Tensor, owner: tuple[int, ...]) -> Queries:
    return Queries(torch.stack(vectors), owner)


CLASSES = (ClassPrompt("one"), ClassPrompt("two"))
KNOWING = requested(direction(1, 0, 0), direction(0, 1, 0), direction(0, 0, 1), owner=(0, 1, -1))
"""Words that match the features below."""
LOST = requested(direction(1, 1, 1), direction(1, 1, 1), direction(1, 1, 1), owner=(0, 1, -1))
PAIR = some(prototype("one", 1, 0, 0), prototype("TWO", 0, 1, 0))


def share(words: Queries, prototypes: Prototypes, weight: float | None = None) -> list[float]:
    found = prototype_fusion(prototypes, CLASSES, words, weight, 50)
    assert found is not None
    return found.weight.tolist()


def test_words_that_separate_the_class_keep_their_weight():
    assert max(share(KNOWING, PAIR)) < 0.01


def test_words_that_know_nothing_give_it_up_and_others_the_more_the_more_was_seen():
    assert share(LOST, PAIR) == pytest.approx([1, 1, 0])
    unsure = requested(
        direction(1, 0.97, 0), direction(0.97, 1, 0), direction(0, 0, 1), owner=(0, 1, -1)
    )
    shares = []
    for count in (1, 2, 5):
        items = [
            prototype(name, *values, source=str(n))
            for n in range(count)
            for name, values in (("one", (1, 0, 0)), ("two", (0, 1, 0)))
        ]
        shares.append(share(unsure, some(*items))[0])
    assert 0.1 < shares[0] < shares[1] < shares[2] < 1


def test_a_given_weight_overrides_the_automatic_one():
    assert share(KNOWING, PAIR, 0.7) == pytest.approx([0.7, 0.7, 0])


@pytest.mark.parametrize(
    "prototypes", [some(), some(prototype("one", 1, 0, 0)), some(prototype("three", 1, 0, 0))]
)
def test_nothing_to_tell_apart(prototypes):
    assert prototype_fusion(prototypes, CLASSES, KNOWING, None, 50) is None


# ---------------------------------------------------------------------- pixels


def halves(seed: int, *, alike: bool = False) -> tuple[RGBImage, np.ndarray, torch.Tensor]:
    """An image, its labels and informative patch features; the halves differ in brightness."""
    random = np.random.default_rng(seed)
    labels = np.zeros((64, 64), int)
    labels[:, 20 + 4 * seed :] = 1
    values = 90 + (0 if alike else 60) * labels[..., None] + random.normal(0, 8, (64, 64, 3))
    patches = torch.from_numpy(labels[4::8, 4::8]).float()
    return RGBImage(values.astype(np.uint8)), labels, torch.stack([patches, 1 - patches])


def found_by(images, planes_of, test) -> float:
    """Accuracy in an image by prototypes of others."""
    learned = some()
    for number, (image, labels, planes) in enumerate(images):
        every = np.ones(labels.shape, bool)
        items = learn_prototypes(planes_of(planes), image, labels, every, {1: "it"}, str(number))
        learned = learned.union(some(*items))
    classifier = fit_prototypes([learned.of(BACKGROUND), learned.of("it")], 50)
    image, labels, planes = test
    features = ComparableFeatures(image)
    logits = classifier.pixel_logits(features, Window(0, 0, 64, 64))
    patches = classifier.share * classifier.patch_logits(planes_of(planes))
    found = logits + patches.repeat_interleave(8, dim=1).repeat_interleave(8, dim=2)
    return float((found.argmax(dim=0).numpy() == labels).mean())


@pytest.mark.parametrize("count", [1, 3])
def test_features_of_noise_do_not_hurt(count):
    random = torch.Generator().manual_seed(0)

    def noise(_planes: torch.Tensor) -> torch.Tensor:
        return torch.randn(16, 8, 8, generator=random)

    different = [halves(seed) for seed in range(count)]
    assert found_by(different, noise, halves(5)) > 0.95
    alike = [halves(seed, alike=True) for seed in range(count)]
    assert found_by(alike, lambda planes: planes, halves(5, alike=True)) > 0.9


def test_pixels_are_kept_per_class_and_image_and_go_with_their_prototypes():
    learned = some()
    for seed in range(4):
        image, labels, planes = halves(seed)
        every = np.ones(labels.shape, bool)
        items = list(learn_prototypes(planes, image, labels, every, {1: "it"}, str(seed)))
        assert sum(len(one.samples or ()) for one in items if one.name == "it") == SAMPLES
        shares = [one.samples.shares.sum() for one in items if one.samples]
        assert sum(shares) == pytest.approx(1, abs=1e-4)
        learned = learned.union(some(*items))
    for _ in range(4):
        learned = learned.union(some(prototype("it", 0.1, 1, source="x")))  # merges some
    for one in learned.items:
        if one.samples:
            assert len(one.samples) <= SAMPLES
            assert one.samples.origins.max() < len(one.sources)


def test_features_of_a_part_are_those_of_the_whole():
    scene = make_scene((150, 133), seed=2)
    features = ComparableFeatures(RGBImage(scene.image))
    count = len(features.mean)
    weights = torch.stack([torch.eye(count), torch.zeros(count, count)])
    anything = torch.tensor([-1e3, 1e3])[:, None].repeat(1, count)
    whole = features.weighted(weights, anything, Window(0, 0, 150, 133))
    positive = features.weighted(weights.flip(0), anything.clamp(min=0), Window(0, 0, 150, 133))
    torch.testing.assert_close(positive[0], whole[0].clamp(min=0), atol=1e-3, rtol=1e-4)
    for window in (Window(70, 50, 99, 91), Window(0, 60, 13, 133), Window(101, 0, 150, 7)):
        part = features.weighted(weights, anything, window)
        torch.testing.assert_close(part, whole[:, *window.slices], atol=2e-3, rtol=1e-4)
    rows, columns = np.array([3, 149]), np.array([132, 20])
    torch.testing.assert_close(
        torch.from_numpy(features.at(rows, columns)[:, count:]),
        whole[:, rows, columns].T, atol=2e-3, rtol=1e-4,
    )  # fmt: skip
    standardised = features.at(*(at.ravel() for at in np.indices((150, 133))))[:, :count]
    assert np.abs(standardised.mean(axis=0)).max() < 1e-3
    assert standardised.std(axis=0) == pytest.approx(np.ones(count), abs=1e-3)


# ---------------------------------------------------------------------- pixel sizes


def sized(**sizes: float) -> Prototypes:
    """Prototypes of class a from image a, and so on, with the pixel sizes of the images."""
    items = (prototype(name, 1, 0, source=name) for name in ("a", "b", "c"))
    return Prototypes("demo", "x", tuple(items), sizes)


def test_prototypes_warn_of_images_of_another_pixel_size():
    found = sized(a=0.5, b=0.002)
    cases = {
        0.5: ("b",), 0.34: ("b",), 0.74: ("b",), 0.3: ("a", "b"), 0.76: ("a", "b"),
        0.002: ("a",), None: (),
    }  # fmt: skip
    for size, off in cases.items():
        note = found.size_note(("A", "b", "c", "d"), size)
        listed = note.partition("(")[2].partition(")")[0]
        assert tuple(filter(None, listed.casefold().split(", "))) == off, size
    note = found.size_note("ab", 2000.0)
    assert note.startswith(
        "The pixel size of this image is 2 mm, but prototypes were learned at 2 nm to 0.5 µm (a, b)"
    )
    assert found.size_note("b", 0.002) == found.size_note("c", 0.5) == ""
    for wrong in (0.0, -1.0, float("nan")):
        with pytest.raises(InvalidInputError, match="must be above 0"):
            found.size_note("a", wrong)
        with pytest.raises(InvalidInputError, match="must be above 0"):
            sized(a=wrong)


def test_learning_at_several_pixel_sizes_says_so():
    assert sized().mixed_sizes_note() == sized(a=1.0).mixed_sizes_note() == ""
    assert sized(a=1.0, b=1.5).mixed_sizes_note() == ""
    assert "different pixel sizes, 1 µm to 1.6 µm" in sized(a=1.6, c=1.0).mixed_sizes_note()


def test_pixel_sizes_are_those_of_the_images_learned_from():
    found = sized(a=1.0, b=2.0)
    assert found.without(*found.of("a")).pixel_sizes == {"b": 2.0}
    assert found.without_source("b").pixel_sizes == {"a": 1.0}
    assert found.renamed("a", "b").sizes_of("b") == (1.0, 2.0)
    again = Prototypes("demo", "x", (prototype("a", 0, 1, source="a"),))
    assert found.union(again).pixel_sizes == {"b": 2.0}  # the image has no known size any more
    other = Prototypes("demo", "x", (prototype("d", 0, 1, source="d"),), {"d": 3.0})
    assert found.union(other).pixel_sizes == {"a": 1.0, "b": 2.0, "d": 3.0}


# ---------------------------------------------------------------------- the real engine


@pytest.fixture(scope="module")
def segmenter():
    return Segmenter(SegmentationConfig(model="demo"))


@pytest.fixture(scope="module")
def learned(segmenter):
    found = None
    for seed in range(8):
        scene = make_scene((160, 160), HELD_OUT_SEED + 300 + seed)
        confirmed = np.zeros(scene.labels.shape, bool)
        confirmed[::3] = True
        embedding = segmenter.embed(scene.image)
        found = segmenter.learn(embedding, scene.labels, confirmed, NAMES, f"scene {seed}", found)
    return found


@pytest.mark.parametrize("method", ["cliper", "maskclip"])
def test_prototypes_do_what_words_cannot(method):
    """Classes of invented names, learned from other scenes, against the words alone."""
    segmenter = Segmenter(SegmentationConfig(model="demo", method=method))
    found = None
    for seed in range(8):
        scene = make_scene((160, 160), HELD_OUT_SEED + 300 + seed)
        every = np.ones(scene.labels.shape, bool)
        embedding = segmenter.embed(scene.image)
        found = segmenter.learn(embedding, scene.labels, every, NAMES, f"scene {seed}", found)
    alone, helped = (np.zeros((10, 10), np.int64) for _ in range(2))
    for seed in range(6):
        scene = make_scene((160, 160), HELD_OUT_SEED + 400 + seed)
        embedding = segmenter.embed(scene.image)
        for confusion, prototypes in ((alone, None), (helped, found)):
            scores = segmenter.score(embedding, WORDS, prototypes=prototypes)
            confusion += confusion_matrix(scene.labels, scores.to_labels(), 10)
    assert mean_iou(helped) > mean_iou(alone) + 0.3


def test_a_class_is_found_beside_words_that_find_nothing(segmenter, learned):
    """Classes with prototypes compete with each other, whatever made-up words score."""
    scene = make_scene((160, 160), HELD_OUT_SEED + 402)
    embedding = segmenter.embed(scene.image)
    alone = segmenter.score(embedding, WORDS, prototypes=learned).to_labels()
    more = (*WORDS, ClassPrompt("flurble"), ClassPrompt("snorgit"))
    beside = segmenter.score(embedding, more, prototypes=learned).to_labels()
    present = [label for label in np.unique(scene.labels) if (scene.labels == label).sum() > 400]
    for label in present:
        rightly, without = (
            ((one == label) & (scene.labels == label)).sum() for one in (beside, alone)
        )
        assert rightly > max(0.95 * without, 100), label
    assert (beside != alone).mean() < 0.02


def test_the_record_says_which_and_how_much(segmenter, learned):
    embedding = segmenter.embed(make_scene((96, 96), seed=1).image)
    record = segmenter.score(embedding, WORDS, prototypes=learned, prototype_weight=0.5).record
    rows = {row["class"]: row for row in record["prototypes"]}
    assert rows["background"]["images"] == 8
    assert {row["weight"] for row in rows.values()} == {0.5}
    assert "prototypes" not in segmenter.score(embedding, WORDS).record


def test_a_result_warns_of_another_pixel_size_and_of_old_prototypes(segmenter):
    scene = make_scene((96, 96), seed=1)
    embedding, every = segmenter.embed(scene.image), np.ones(scene.labels.shape, bool)
    found = segmenter.learn(embedding, scene.labels, every, NAMES, "scene", pixel_size=0.5)
    assert found.pixel_sizes == {"scene": 0.5}
    for size, warns in ((None, False), (0.4, False), (1.0, True)):
        scores = segmenter.score(embedding, WORDS, prototypes=found, pixel_size=size)
        assert any("this image is 1 µm" in note for note in scores.notes) == warns, size
        assert all(row["pixel_sizes"] == [0.5] for row in scores.record["prototypes"])
    assert not any("pixel size" in note for note in segmenter.score(embedding, WORDS).notes)
    assert not any("older version" in note for note in scores.notes)
    old = replace(found, items=tuple(replace(one, samples=None) for one in found.items))
    scores = segmenter.score(embedding, WORDS, prototypes=old)
    assert any("Learn from their images again" in note for note in scores.notes)


def test_a_share_of_nothing_is_the_words_alone(segmenter, learned):
    embedding = segmenter.embed(make_scene((96, 96), seed=1).image)
    words = segmenter.score(embedding, WORDS).stage().maps
    found = segmenter.score(embedding, WORDS, prototypes=learned, prototype_weight=0).stage().maps
    np.testing.assert_allclose(found, words, atol=1e-6)


def test_no_share_of_a_background_that_no_word_stands_for():
    """Looks of the background do not come in at full strength where they are to count nothing."""
    segmenter = Segmenter(SegmentationConfig(model="demo", method="maskclip", background=()))
    scene = make_scene((96, 96), seed=1)
    embedding = segmenter.embed(scene.image)
    every = np.ones(scene.labels.shape, bool)
    learned = segmenter.learn(embedding, scene.labels, every, NAMES, "it")
    assert learned.of(BACKGROUND)
    words = segmenter.score(embedding, WORDS).to_labels()
    found = segmenter.score(embedding, WORDS, prototypes=learned, prototype_weight=0).to_labels()
    assert (found != words).mean() < 0.02


def test_too_few_prototypes_are_not_used_and_a_note_says_so(segmenter, learned):
    embedding = segmenter.embed(make_scene((96, 96), seed=1).image)
    few = learned.without(*learned.items[1:])
    scores = segmenter.score(embedding, WORDS, prototypes=few)
    assert any("prototypes were not used" in note for note in scores.notes)


@pytest.mark.parametrize("prototype_weight", [-0.1, 1.5, float("nan")])
def test_a_weight_outside_0_to_1_is_refused(segmenter, learned, prototype_weight):
    embedding = segmenter.embed(make_scene((96, 96), seed=1).image)
    with pytest.raises(InvalidInputError, match="must be 0 to 1"):
        segmenter.score(embedding, WORDS, prototypes=learned, prototype_weight=prototype_weight)


def test_another_method_is_another_model(learned):
    other = Segmenter(SegmentationConfig(model="demo", method="maskclip"))
    embedding = other.embed(make_scene((96, 96), seed=1).image)
    with pytest.raises(InvalidInputError, match="other weights or another method"):
        other.score(embedding, WORDS, prototypes=learned)


def test_labels_of_another_size_are_refused(segmenter):
    embedding = segmenter.embed(make_scene((96, 96), seed=1).image)
    labels = np.zeros((96, 95), int)
    with pytest.raises(InvalidInputError, match="must be equal"):
        segmenter.learn(embedding, labels, labels > 0, NAMES, "it")
