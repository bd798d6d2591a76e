"""The benchmarks: class counts, and lists and numbers checked against other libraries."""

from __future__ import annotations

import csv
from importlib.resources import files

import pytest
import yaml
from torchvision.datasets import Cityscapes
from torchvision.models._meta import _COCO_CATEGORIES, _VOC_CATEGORIES

from napari_cliper.evaluation.benchmarks import BENCHMARKS, read_benchmark
from napari_cliper.segmentation import BACKGROUND_WORDS, METHODS, InvalidInputError
from napari_cliper.segmentation.prompts import usable_background

COUNTS = {
    "voc21": 20, "voc20": 20, "context60": 59, "context59": 59, "coco-object": 80,
    "coco-stuff": 171, "ade20k": 150, "cityscapes": 19,
}  # fmt: skip

PUBLISHED = list(
    csv.DictReader(
        (files("napari_cliper.segmentation") / "presets.csv").read_text("utf-8").splitlines()
    )
)


def test_every_published_benchmark_is_there():
    assert set(BENCHMARKS) == {row["protocol"] for row in PUBLISHED} == set(COUNTS)


@pytest.mark.parametrize("name", BENCHMARKS)
def test_counts_and_uniqueness(name):
    benchmark = read_benchmark(name)
    assert len(benchmark.classes) == len(set(benchmark.classes)) == COUNTS[name]
    assert all(isinstance(one, str) and one == one.strip() for one in benchmark.classes)
    for wording in benchmark.wordings.values():
        assert set(wording.words) <= set(benchmark.classes)
        assert all(words for words in wording.words.values())


def test_ignored_labels_are_the_published_ones(subtests):
    for row in PUBLISHED:
        with subtests.test(row=row):
            assert read_benchmark(row["protocol"]).background == (row["ignore_index"] == "255")


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("name", BENCHMARKS)
def test_the_engine_takes_the_words_of_every_method(name, method):
    benchmark = read_benchmark(name)
    prompts = benchmark.prompts(method)
    assert len(prompts) == len(benchmark.classes)
    _, dropped = usable_background(prompts, benchmark.wording(method).background)
    # SCLIP and ProxyCLIP have a bed among the background, which COCO has among the classes.
    beds = [benchmark.wordings[one] for one in ("sclip", "proxyclip")]
    assert dropped == (
        ("bed",) if name == "coco-object" and benchmark.wording(method) in beds else ()
    )


def test_a_method_without_background_has_no_background_words():
    for name in ("voc20", "context59", "coco-stuff", "ade20k", "cityscapes"):
        for method in ("sclip", "clearclip", "proxyclip"):
            assert read_benchmark(name).wording(method).background == ()


def test_words_of_cliper_are_the_reference_ones():
    assert read_benchmark("voc21").wording("cliper").background == BACKGROUND_WORDS["photo"]
    assert set(BACKGROUND_WORDS["photo"]) - set(
        read_benchmark("coco-object").wording("cliper").background
    ) == {"keyboard", "sign"}
    for name in ("context60", "context59", "coco-stuff", "ade20k", "cityscapes"):
        assert read_benchmark(name).wording("cliper").background == ("background",)
    words = {one.name for one in read_benchmark("voc21").prompts("cliper")}
    assert {
        "bird avian", "chair seat", "person with clothes, people, human", "tvmonitor screen",
    } <= words  # fmt: skip
    assert "person with cloth people human" in {
        one.name for one in read_benchmark("context60").prompts("cliper")
    }


# ---------------------------------------------------------------------- known elsewhere


def plain(word: str) -> str:
    return word.replace(" ", "").replace("_", "").casefold()


def test_voc_classes_are_those_that_torchvision_knows():
    names = [plain(one) for one in _VOC_CATEGORIES[1:]]
    assert [plain(one) for one in read_benchmark("voc21").classes] == names


@pytest.fixture(scope="module")
def coco():
    """COCO's category numbers and names."""
    return {i: n for i, n in enumerate(_COCO_CATEGORIES) if n not in ("N/A", "__background__")}


def test_coco_classes_are_those_that_torchvision_knows(coco):
    assert len(coco) == 80
    assert read_benchmark("coco-object").classes == tuple(coco.values())
    assert read_benchmark("coco-stuff").classes[:80] == tuple(coco.values())


def test_raw_numbers_of_coco_stuff_are_categories_less_one(coco):
    layouts = read_benchmark("coco-stuff").layouts
    for numbers in (layout.numbers for layout in layouts if not isinstance(layout.numbers, str)):
        assert len(numbers) == 171
        assert [number + 1 for number in numbers[:80]] == list(coco)
        assert list(numbers[80:]) == list(range(91, 182))
    stuff = read_benchmark("coco-stuff").classes[80:]
    assert list(stuff) == sorted(stuff)  # COCO numbers its stuff in the order of the alphabet
    assert (stuff[0], stuff[-1]) == ("banner", "wood")


def test_cityscapes_numbers_are_those_that_torchvision_knows():
    benchmark = read_benchmark("cityscapes")
    scored = sorted(
        (one for one in Cityscapes.classes if not one.ignore_in_eval), key=lambda c: c.train_id
    )
    assert list(benchmark.classes) == [one.name for one in scored]
    assert [one.train_id for one in scored] == list(range(19))
    (numbers,) = (one.numbers for one in benchmark.layouts if not isinstance(one.numbers, str))
    assert list(numbers) == [one.id for one in scored]


@pytest.mark.parametrize(
    ("number", "name"),
    [
        (1, "wall"),
        (13, "person"),
        (21, "car"),
        (83, "light"),
        (137, "traffic light"),
        (150, "flag"),
    ],
)
def test_places_in_the_list_of_ade20k(number, name):
    assert read_benchmark("ade20k").classes[number - 1] == name


def test_context_is_in_the_order_of_the_alphabet():
    classes = read_benchmark("context60").classes
    assert list(classes) == sorted(classes)


def test_a_wrong_name_is_refused_with_the_right_ones():
    with pytest.raises(InvalidInputError, match=r"'voc'.*voc21"):
        read_benchmark("voc")


@pytest.mark.parametrize("name", BENCHMARKS)
def test_no_word_of_a_file_is_read_as_something_else(name):
    """YAML reads a bare no, on or 12 as no word."""
    text = (files("napari_cliper.evaluation") / "benchmarks" / f"{name}.yaml").read_text("utf-8")
    data = yaml.safe_load(text)
    words = [*data.get("classes", [])]
    for family in data["families"].values():
        words += family["background"]
        words += [word for several in (family.get("words") or {}).values() for word in several]
    assert all(isinstance(word, str) and "  " not in word for word in words)
