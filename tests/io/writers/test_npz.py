"""NumPy files, read without unpickling anything."""

from __future__ import annotations

import numpy as np

from napari_cliper.io.writers.npz import write_npz
from napari_cliper.labels.label_class import ClassRow
from napari_cliper.labels.labelled_image import LabelledImage


def test_npz_says_what_the_labels_mean(tmp_path):
    labels = np.random.default_rng(0).integers(0, 5, (2, 3, 4), np.uint8)
    image = LabelledImage(
        "a",
        labels,
        {300: ClassRow("核 / a", colour=(1, 2, 3)), 2: ClassRow("b")},
        pixel_size=(2.0, 0.5, 0.25),
        units=("micrometer", "micrometer", "pixel"),
        axes="TYX",
        ignored=labels == 3,
    )
    write_npz(tmp_path / "a.npz", image)
    with np.load(tmp_path / "a.npz", allow_pickle=False) as file:
        read = dict(file)
    np.testing.assert_array_equal(read["labels"], labels)
    np.testing.assert_array_equal(read["ignored"], labels == 3)
    assert read["class_labels"].tolist() == [2, 300]
    assert read["class_names"].tolist() == ["b", "核 / a"]
    assert read["class_colours"].tolist() == [list(image.colours[2]), [1, 2, 3]]
    assert read["pixel_size"].tolist() == [2.0, 0.5, 0.25]
    assert read["units"].tolist() == ["micrometer", "micrometer", "pixel"]
    assert "".join(read["axes"]) == "TYX"


def test_npz_without_a_class(tmp_path):
    write_npz(tmp_path / "a.npz", LabelledImage("a", np.zeros((2, 2), np.uint8), {}))
    with np.load(tmp_path / "a.npz", allow_pickle=False) as file:
        assert file["class_names"].shape == (0,)
        assert file["class_colours"].shape == (0, 3)
        assert "ignored" not in file
