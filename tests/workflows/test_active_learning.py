"""Images by uncertainty: what counts of each, and where those go that cannot be looked at."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import tifffile

from napari_cliper.annotation.edit_mask import ACCEPTED, AnnotationState
from napari_cliper.annotation.project.prediction_store import PredictionKey, StoredPrediction
from napari_cliper.annotation.project.project import Project
from napari_cliper.labels.label_class import ClassRow
from napari_cliper.segmentation import InvalidInputError, Monitor, OutOfMemoryError, Stopped
from napari_cliper.workflows.active_learning import mean_of_open, uncertain_first
from napari_cliper.workflows.predict_images import confirmed_in, middle_plane, one_by_one

SHAPE = (10, 12)


@pytest.fixture
def project(tmp_path):
    """Images whose pixels say how uncertain they are, of 255."""
    paths = []
    for name, value in {"a": 50, "b": 200, "c": 100, "d": 100}.items():
        paths.append(tmp_path / f"{name}.tif")
        tifffile.imwrite(paths[-1], np.full(SHAPE, value, np.uint8))
    return Project.create(tmp_path / "project", paths)


def ask(plane, _report):
    uncertainty = plane.pixels.astype(np.float32) / 255
    return StoredPrediction(np.ones(uncertainty.shape, np.uint8), uncertainty, "refined", (0.5,))


def decided(project, name, edit_mask, status="started"):
    labels = np.ones(edit_mask.shape, np.uint16)
    project.save(name, AnnotationState(labels, edit_mask, {1: ClassRow("x")}), status)


def test_the_mean_is_of_pixels_that_nobody_decided_on(project):
    confirmed = np.zeros(SHAPE, bool)
    confirmed[:3] = True
    uncertainty = np.where(confirmed, 1, 0.25).astype(np.float32)
    assert mean_of_open(uncertainty, confirmed) == 0.25
    assert mean_of_open(uncertainty, ~confirmed) == 1
    assert mean_of_open(uncertainty, np.ones(SHAPE, bool)) == 0
    decided(project, "b", np.full(SHAPE, ACCEPTED, np.uint8))
    ranking = uncertain_first(project, PredictionKey("key"), one_by_one(ask))
    assert ranking.order == ("c", "d", "a", "b")  # equal ones keep their order
    assert ranking.values == pytest.approx({"a": 50 / 255, "b": 0, "c": 100 / 255, "d": 100 / 255})


def test_done_ones_are_not_looked_at_and_come_last(project):
    for name in ("b", "a"):
        project.set_status(name, "done")
    seen = []

    def count(plane, report):
        seen.append(plane)
        return ask(plane, report)

    ranking = uncertain_first(project, PredictionKey("key"), one_by_one(count))
    assert ranking.order == ("c", "d", "a", "b")
    assert len(seen) == 2
    assert (
        uncertain_first(project, PredictionKey("key"), one_by_one(count)).values == ranking.values
    )
    assert len(seen) == 2  # the predictions were kept
    assert uncertain_first(project, PredictionKey("other words"), one_by_one(count)) == ranking
    assert len(seen) == 4
    project.reorder(ranking.order)
    assert [image.name for image in Project.open(project.folder).images] == list(ranking.order)


@pytest.mark.parametrize("error", [InvalidInputError, OutOfMemoryError])
def test_images_that_cannot_be_read_are_reported_and_come_last(project, tmp_path, error):
    (tmp_path / "b.tif").write_bytes(b"no image")

    def picky(plane, report):
        if plane.pixels[0, 0] == 50:
            raise error("too dark")
        return ask(plane, report)

    ranking = uncertain_first(project, PredictionKey("key"), one_by_one(picky))
    assert ranking.order == ("c", "d", "a", "b")
    assert ranking.problems["a"] == "too dark"
    assert "b.tif" in ranking.problems["b"]
    assert set(ranking.values) == {"c", "d"}


def test_where_none_can_be_looked_at_the_reason_is_raised(project):
    def never(_plane, _report):
        raise InvalidInputError("there is no word")

    with pytest.raises(InvalidInputError, match=r"None of the images.*there is no word"):
        uncertain_first(project, PredictionKey("key"), one_by_one(never))


def test_a_stop_ends_it_between_two_images(project):
    told = []
    monitor = Monitor(told.append, lambda: len(told) == 2)
    with pytest.raises(Stopped):
        uncertain_first(project, PredictionKey("key"), one_by_one(ask), monitor)
    assert [(one.done, one.total) for one in told] == [(0, 4), (1, 4)]


@pytest.mark.parametrize("colours", [False, True])
def test_of_a_stack_the_middle_plane_counts(tmp_path, colours):
    stack = np.arange(5, dtype=np.uint8)[:, None, None].repeat(10, 1).repeat(12, 2)
    if colours:
        stack = stack[..., None].repeat(3, -1)
    tifffile.imwrite(tmp_path / "z.tif", stack, photometric="rgb" if colours else "minisblack")
    project = Project.create(tmp_path / "p", [tmp_path / "z.tif"])
    edit_mask = np.zeros((5, *SHAPE), np.uint8)
    edit_mask[2, 0] = ACCEPTED
    decided(project, "z", edit_mask)
    pixels, plane = middle_plane(project.read_image("z"))
    assert (pixels == 2).all()
    assert pixels.shape == (*SHAPE, 3) if colours else SHAPE
    assert plane == (2,)
    labels = np.ones(SHAPE, np.uint8)
    prediction = StoredPrediction(labels, labels.astype(np.float32), "refined", (0.5,), plane)
    found = confirmed_in(project, "z", prediction)
    np.testing.assert_array_equal(found, edit_mask[2] == ACCEPTED)
    for other in (replace(prediction, plane=()), replace(prediction, plane=(9,))):
        assert not confirmed_in(project, "z", other).any()
