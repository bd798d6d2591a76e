"""The files of a report, read back by other readers."""

from __future__ import annotations

import csv
import errno
import json

import numpy as np
import pytest
from PIL import Image

from napari_cliper.evaluation.dataset import Dataset, Pair
from napari_cliper.evaluation.entry import Entry
from napari_cliper.evaluation.figures import ContactRow, confusion_figure, contact_sheet
from napari_cliper.evaluation.metrics import IGNORED, image_scores, together
from napari_cliper.evaluation.report import REPORT, worst_entries, write_report
from napari_cliper.evaluation.runner import Evaluation
from napari_cliper.io.files import FileError
from napari_cliper.labels.palette import class_colours

NAMES = ("cell, round", '"quoted"', "=1+1", "細胞 / nucleus", "never seen")


def made(tmp_path, count=13, shape=(40, 50)):
    """A run that never ran: image i has i rows wrong."""
    images, entries, truths = [], [], {}
    (tmp_path / "labels").mkdir()
    for index in range(count):
        truth = np.ones(shape, dtype=np.uint16)
        truth[20:] = 2
        truth[:, :5] = IGNORED
        labels = np.where(truth == IGNORED, 0, truth).astype(np.uint8)
        labels[:index] = 3
        path = tmp_path / f"{index}.png"
        Image.fromarray(np.full((*shape, 3), 10 * index, np.uint8)).save(path)
        name = f"folder/image {index}"
        images.append(Pair(name, path, path))
        truths[name] = truth
        Image.fromarray(labels).save(tmp_path / f"labels/{index}.png")
        entries.append(Entry(name, "", image_scores(truth, labels, 6), f"labels/{index}.png", 1.0))
    dataset = Dataset(
        title="made up",
        names=NAMES,
        classes=(),
        pairs=tuple(images),
        read_truth=lambda pair: truths[pair.name],
    )
    scores = together((one.scores for one in entries), 6)
    return Evaluation(dataset, tuple(entries), scores, {"config": 1}, tmp_path, ("a note",))


def rows(path):
    with path.open(encoding="utf-8-sig", newline="") as file:
        return list(csv.reader(file))


def test_tables_hold_the_figures(tmp_path):
    result = made(tmp_path)
    out = tmp_path / "out"
    write_report(out, result)
    assert sorted(path.name for path in out.glob("[!.]*")) == sorted(REPORT)

    header, *classes = rows(out / "classes.csv")
    assert [row[1] for row in classes] == ["background", *NAMES[:2], "'=1+1", *NAMES[3:]]
    column = header.index("IoU")
    for row, value in zip(classes, result.scores.iou, strict=True):
        assert float(row[column] or "nan") == pytest.approx(value, abs=1e-6, nan_ok=True)

    table = rows(out / "confusion.csv")
    found = np.array([row[1:] for row in table[1:]], dtype=int)
    np.testing.assert_array_equal(found, result.scores.confusion)

    images = rows(out / "images.csv")[1:]
    assert [row[0] for row in images] == [one.name for one in result.entries]
    assert float(images[0][1]) == 1

    summary = json.loads((out / "summary.json").read_text("utf-8"))
    assert summary["figures"]["mIoU"] == result.scores.mean_iou
    assert summary["classes"][5]["IoU"] is None
    assert summary["measured with"] == {"config": 1}
    assert summary["images"] == 13


def test_the_worst_ten_are_the_worst_in_order(tmp_path):
    worst = worst_entries(made(tmp_path))
    assert [one.name for one in worst] == [f"folder/image {index}" for index in range(12, 2, -1)]


def test_the_same_run_writes_the_same_bytes(tmp_path):
    result = made(tmp_path)
    for name in ("a", "b"):
        write_report(tmp_path / name, result)
    for name in REPORT:
        assert (tmp_path / "a" / name).read_bytes() == (tmp_path / "b" / name).read_bytes()


def test_a_full_disk_leaves_the_report_before(tmp_path, monkeypatch):
    result = made(tmp_path, 2)
    out = tmp_path / "out"
    out.mkdir()
    (out / "summary.json").write_text("before")

    def full(*_args, **_kwargs):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(Image.Image, "save", full)
    with pytest.raises(FileError, match="disk is full"):
        write_report(out, result)
    assert [path.name for path in out.glob("[!.]*")] == ["summary.json"]
    assert (out / "summary.json").read_text() == "before"


def test_a_file_where_the_folder_should_be_is_named(tmp_path):
    result = made(tmp_path, 1)
    (tmp_path / "out").write_text("")
    with pytest.raises(FileError, match="out"):
        write_report(tmp_path / "out", result)


@pytest.mark.parametrize("count", [1, 2, 12, 172])
def test_darkness_in_the_matrix_is_the_share(count):
    confusion = np.eye(count, dtype=np.int64) * 900
    names = [f"name {index}" for index in range(count)]
    if count > 1:
        confusion[0, 1] = 100
    drawn = np.array(confusion_figure(confusion, names)).astype(int)
    assert max(drawn.shape) < 4000
    cell = 44 if count < 30 else 16
    start = drawn.shape[0] - 12 - cell * count if count > 1 else None
    if start is not None:
        corner = [
            drawn[start + row * cell + 2, start + column * cell + 2]
            for row, column in ((0, 0), (0, 1), (1, 0), (1, 1))
        ]
        assert corner[3].tolist() == [8, 48, 107]  # all of them right
        assert corner[2].tolist() == [255, 255, 255]  # none
        darkness = [255 - int(values[0]) for values in corner[:2]]
        assert darkness[0] == pytest.approx(0.9 * 247, abs=1)
        assert darkness[1] == pytest.approx(0.1 * 247, abs=1)


def test_the_matrix_leaves_out_labels_that_never_occur():
    confusion = np.zeros((50, 50), dtype=np.int64)
    confusion[3, 3] = confusion[3, 7] = 5
    small = confusion_figure(confusion, [str(index) for index in range(50)])
    same = confusion_figure(confusion[np.ix_([3, 7], [3, 7])], ["3", "7"])
    assert np.array_equal(np.array(small), np.array(same))
    confusion_figure(np.zeros((3, 3), dtype=np.int64), ["a", "b", "c"])  # nothing at all


def test_the_overview_shows_image_truth_and_labels_side_by_side():
    image = np.full((60, 80, 3), 200, dtype=np.uint8)
    truth = np.full((60, 80), 2, dtype=np.uint16)
    truth[:, :40] = IGNORED
    labels = np.zeros((60, 80), dtype=np.uint8)
    labels[:30] = 1
    sheet = np.array(
        contact_sheet([ContactRow("one", image, truth, (labels,))], ["a", "b"])
    ).astype(int)
    colours = class_colours(2).astype(float)
    left, top = [12 + index * 92 for index in range(3)], 12 + 22
    assert sheet[top + 20, left[0] + 60].tolist() == [200] * 3
    assert sheet[top + 20, left[1] + 20].tolist() == [224, 224, 192]
    mixed = 0.6 * 200 + 0.4 * colours
    np.testing.assert_allclose(sheet[top + 20, left[1] + 60], mixed[1], atol=1)
    np.testing.assert_allclose(sheet[top + 15, left[2] + 60], mixed[0], atol=1)
    assert sheet[top + 45, left[2] + 60].tolist() == [200] * 3


@pytest.mark.parametrize(
    "image",
    [np.zeros((30, 900), np.uint16), np.ones((900, 30, 4), np.uint8), np.zeros((1, 1), np.float32)],
    ids=lambda array: f"{array.shape}-{array.dtype}",
)
def test_the_overview_takes_any_image(image):
    shape = image.shape[:2]
    row = ContactRow("細胞 " * 40, image, np.zeros(shape, np.uint16), (np.zeros(shape, np.uint16),))
    sheet = contact_sheet([row, row], ["a"])
    assert sheet.width >= 240
    assert sheet.height > 2 * 22
