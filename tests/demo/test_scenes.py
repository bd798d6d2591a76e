"""The scenes are reproducible, their label maps true, and they look taken, not drawn."""

from __future__ import annotations

import subprocess
import sys
from typing import TYPE_CHECKING

import numpy as np
import pytest
from scipy import ndimage

from napari_cliper.demo.scenes import GROUNDS, KINDS, make_scene, make_stack

if TYPE_CHECKING:
    from numpy.typing import NDArray

KIND_NAMES = [kind.name for kind in KINDS]
GROUND_NAMES = [ground.name for ground in GROUNDS]


def _grain(image: NDArray[np.uint8]) -> float:
    """Spread of the difference between diagonal neighbours: noise, not structure."""
    grey = image.astype(float).mean(axis=-1)
    return float(np.std(grey[1:, 1:] - grey[:-1, :-1]))


def test_the_words_are_many_and_none_stands_for_two_things() -> None:
    words = [word for entry in (*KINDS, *GROUNDS) for word in (entry.name, *entry.synonyms)]
    assert len(KINDS) >= 9
    assert len(GROUNDS) >= 4
    assert len(set(words)) == len(words)


def test_a_seed_is_one_scene() -> None:
    first, again, other = (make_scene((96, 80), seed) for seed in (5, 5, 6))
    np.testing.assert_array_equal(first.image, again.image)
    np.testing.assert_array_equal(first.labels, again.labels)
    assert (first.kinds, first.ground, first.seed) == (again.kinds, again.ground, 5)
    assert np.any(first.labels != other.labels)


@pytest.mark.parametrize("shape", [(16, 16), (64, 64), (48, 200), (131, 77)])
def test_labels_and_kinds_say_the_same(shape: tuple[int, int]) -> None:
    for seed in range(10):
        scene = make_scene(shape, seed)
        assert scene.image.shape == (*shape, 3)
        assert scene.labels.shape == shape
        assert scene.image.dtype == scene.labels.dtype == np.uint8
        seen = [KIND_NAMES[value - 1] for value in np.unique(scene.labels) if value > 0]
        assert scene.kinds == tuple(seen)
        assert 1 <= len(seen) <= 4
        assert scene.ground in GROUND_NAMES


def test_one_seed_is_one_scene_at_every_resolution() -> None:
    for seed in range(12):
        small, large = make_scene((64, 64), seed), make_scene((128, 128), seed)
        assert small.ground == large.ground
        assert np.mean(small.labels == large.labels[::2, ::2]) > 0.95
        binned = large.image.reshape(64, 2, 64, 2, 3).mean(axis=(1, 3))
        assert np.mean(np.abs(binned - small.image)) < 8.0


def test_a_longer_side_shows_more_not_larger_objects() -> None:
    def objects(shape: tuple[int, int]) -> list[int]:
        """Pixels of every connected piece of nucleus over some seeds."""
        sizes: list[int] = []
        for seed in range(10):
            pieces, _ = ndimage.label(make_scene(shape, seed, kinds=["nucleus"]).labels)
            sizes += np.bincount(pieces.ravel())[1:].tolist()
        return sizes

    square, strip = objects((64, 64)), objects((64, 256))
    assert len(strip) > 2.5 * len(square)
    assert 0.6 < np.median(strip) / np.median(square) < 1.6


def test_a_unit_sets_the_size_of_objects_in_a_large_scene() -> None:
    def medians(shape: tuple[int, int], seeds: range) -> float:
        sizes: list[int] = []
        for seed in seeds:
            pieces, _ = ndimage.label(make_scene(shape, seed, kinds=["nucleus"], unit=64).labels)
            sizes += np.bincount(pieces.ravel())[1:].tolist()
        return float(np.median(sizes))

    assert 0.7 < medians((512, 512), range(1)) / medians((64, 64), range(20)) < 1.4
    with pytest.raises(ValueError, match="unit of 8 is too small"):
        make_scene((64, 64), unit=8)


def test_every_kind_and_ground_is_met() -> None:
    scenes = [make_scene((32, 32), seed) for seed in range(80)]
    assert {name for scene in scenes for name in scene.kinds} == set(KIND_NAMES)
    assert {scene.ground for scene in scenes} == set(GROUND_NAMES)


@pytest.mark.parametrize("names", [KIND_NAMES, KIND_NAMES[::-4], ["yeast"], ["diatom", "diatom"]])
def test_all_the_kinds_asked_for_are_seen_and_no_other(names: list[str]) -> None:
    for seed in range(25):
        assert set(make_scene((64, 64), seed, kinds=names).kinds) == set(names)


def test_no_kinds_at_all_is_bare_ground() -> None:
    scene = make_scene((32, 32), 0, kinds=[], ground="agar")
    assert scene.kinds == ()
    assert scene.ground == "agar"
    assert not scene.labels.any()


def test_labels_lie_where_the_object_is_seen() -> None:
    """Nuclei on a bright field can be found by a threshold: it must find the same pixels."""
    for seed in range(6):
        scene = make_scene((256, 256), seed, kinds=["nucleus"], ground="bright field")
        green = ndimage.gaussian_filter(scene.image[..., 1].astype(float), 1.0)
        inside = scene.labels == 1
        found = green < (green[inside].mean() + green[~inside].mean()) / 2
        assert np.sum(found & inside) / np.sum(found | inside) > 0.9


@pytest.mark.parametrize("ground", GROUND_NAMES)
@pytest.mark.parametrize("kind", KIND_NAMES)
def test_every_kind_stands_out_from_every_ground(kind: str, ground: str) -> None:
    ratios = []
    for seed in range(4):
        scene = make_scene((64, 64), seed, kinds=[kind], ground=ground)
        inside = scene.labels > 0
        pixels = scene.image.astype(float)
        apart = np.linalg.norm(pixels - pixels[~inside].mean(axis=0), axis=-1)
        ratios.append(apart[inside].mean() / apart[~inside].mean())
    assert np.mean(ratios) > 1.8


def test_the_colour_of_a_kind_varies_from_scene_to_scene() -> None:
    for kind in KIND_NAMES:
        colours = []
        for seed in range(12):
            scene = make_scene((48, 48), seed, kinds=[kind], ground="bright field")
            colours.append(scene.image[scene.labels > 0].mean(axis=0))
        assert np.std(colours, axis=0).max() > 5.0, kind


def test_some_objects_of_different_kinds_touch() -> None:
    touching = 0
    for seed in range(20):
        labels = make_scene((64, 64), seed).labels
        left, right = labels[:, :-1], labels[:, 1:]
        touching += bool(np.any((left > 0) & (right > 0) & (left != right)))
    assert touching >= 5


@pytest.mark.parametrize("ground", GROUND_NAMES)
def test_bare_ground_is_neither_flat_nor_clean(ground: str) -> None:
    for seed in range(5):
        image = make_scene((128, 128), seed, kinds=[], ground=ground).image
        assert _grain(image) > 1.0
        light = ndimage.gaussian_filter(image.astype(float).mean(axis=-1), 12.0)
        assert np.ptp(light) / light.mean() > 0.06  # uneven light


def test_more_light_has_more_shot_noise() -> None:
    for seed in range(5):
        dark, bright = (
            _grain(make_scene((64, 64), seed, kinds=[], ground=ground).image)
            for ground in ("dark fluorescence field", "bright field")
        )
        assert bright > 1.3 * dark


def test_an_unknown_word_is_refused_with_those_that_are_known() -> None:
    with pytest.raises(ValueError, match=r"unknown kind 'zebra'.*nucleus.*yeast"):
        make_scene((64, 64), kinds=["nucleus", "zebra"])
    with pytest.raises(ValueError, match=r"unknown ground 'moon'.*agar"):
        make_scene((64, 64), ground="moon")


@pytest.mark.parametrize("shape", [(15, 64), (64, 1), (0, 0)])
def test_a_side_below_16_is_refused(shape: tuple[int, int]) -> None:
    with pytest.raises(ValueError, match="16 or more"):
        make_scene(shape)


def test_scenes_need_neither_torch_nor_napari_nor_qt() -> None:
    code = (
        "import sys, napari_cliper.demo.scenes\n"
        "heavy = {'torch', 'napari', 'qtpy', 'PyQt6', 'PyQt5', 'PySide6'} & set(sys.modules)\n"
        "sys.exit(f'loaded {sorted(heavy)}' if heavy else 0)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_objects_of_a_stack_move_grow_appear_and_vanish() -> None:
    stack, again = (
        make_stack(21, (96, 80), 4, kinds=["nucleus", "diatom"], ground="agar") for _ in range(2)
    )
    np.testing.assert_array_equal(stack.images, again.images)
    assert stack.images.shape == (21, 96, 80, 3)
    assert stack.labels.shape == stack.instances.shape == (21, 96, 80)
    wanted = {0, *(KIND_NAMES.index(name) + 1 for name in ("nucleus", "diatom"))}
    assert all(set(np.unique(plane)) == wanted for plane in stack.labels)
    numbers = [set(np.unique(plane)) - {0} for plane in stack.instances]
    assert numbers[-1] - numbers[0]  # appeared
    assert numbers[0] - numbers[-1]  # vanished
    moved, sizes = [], []
    for number in numbers[0] & numbers[5]:
        masks = stack.instances[[0, 5]] == number
        moved.append(np.hypot(*np.subtract(*(np.argwhere(mask).mean(axis=0) for mask in masks))))
        sizes.append(masks[1].sum() / masks[0].sum())
        kinds = {*stack.labels[0][masks[0]], *stack.labels[5][masks[1]]}
        assert len(kinds) == 1
    assert min(moved) > 1
    assert max(sizes) > 1.2
    change = np.abs(np.diff(stack.images.astype(float), axis=0)).mean(axis=(1, 2, 3))
    assert change.max() < 30  # ground and light stay, noise does not
    assert change.min() > 0.5
    with pytest.raises(ValueError, match="unknown kind"):
        make_stack(2, (64, 64), kinds=["yeti"], ground="agar")
    with pytest.raises(ValueError, match="at least one plane"):
        make_stack(0, (64, 64), kinds=["yeast"], ground="agar")
