"""One numbering for the classes of many images."""

from __future__ import annotations

from dataclasses import replace
from functools import partial

import numpy as np

from napari_cliper.io.lazy_images import summary_of
from napari_cliper.labels.label_class import ClassRow
from napari_cliper.labels.labelled_image import LabelledImage
from napari_cliper.workflows.export_datasets import one_numbering


def test_the_numbers_of_tomorrow_are_those_of_today():
    """More images behind do not change the numbers of those before; nor does the array change."""
    rng = np.random.default_rng(0)
    names = [f"class {index}" for index in range(12)]
    images = []
    for index in range(8):
        chosen = rng.choice(names, 4, replace=False)
        numbers = rng.choice(np.arange(1, 9), 4, replace=False)
        classes = {int(n): ClassRow(str(name)) for n, name in zip(numbers, chosen, strict=True)}
        labels = rng.choice([0, *numbers], (6, 7)).astype(np.uint8)
        labels.setflags(write=False)
        images.append(LabelledImage(str(index), labels, classes))
    summaries = list(map(summary_of, images))
    for count in range(1, 9):
        some, _ = one_numbering(images[:count], summaries[:count], {})
        every = tuple(one_numbering(images, summaries, {})[0])
        for image, other, before in zip(some, every[:count], images[:count], strict=True):
            np.testing.assert_array_equal(image.labels, other.labels)
            for label, row in before.classes.items():
                (number,) = (n for n, one in image.classes.items() if one.name == row.name)
                np.testing.assert_array_equal(image.labels == number, before.labels == label)
                assert image.colours[number] == before.colours[label]


def test_objects_have_the_numbers_of_their_classes_too():
    labels = np.array([[1, 2, 0]], np.uint8)
    names = (("nucleus", "fibre"), ("fibre", "crystal"))

    def with_objects(image):  # the third object has a class that no label has
        classes = {**image.classes, 3: ClassRow("bubble")}
        found = np.array([[1, 2, 3]], np.uint8)
        return replace(image, labels=found, classes=classes, instances=np.array([[4, 5, 6]], "i4"))

    images = []
    for index, (first, second) in enumerate(names):
        image = LabelledImage(str(index), labels, {1: ClassRow(first), 2: ClassRow(second)})
        images.append(replace(image, separate=partial(with_objects, image)))
    found, _ = one_numbering(images, list(map(summary_of, images)), {})
    seen = []
    for _ in range(2):  # the writers iterate more than once
        for image, own in zip(found, names, strict=True):
            objects = image.with_separate()
            named = [objects.classes[label].name for label in objects.labels[0]]
            assert named == [*own, "bubble"]
            seen += zip(named, objects.labels[0].tolist(), strict=True)
    assert len(set(seen)) == len({label for _, label in seen}) == 4
