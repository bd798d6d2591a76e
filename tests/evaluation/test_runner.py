"""Evaluation runs as a user sees them: metrics, stopping and resuming, and errors."""

from __future__ import annotations

import errno
import json
import shutil
import signal
import time
from dataclasses import replace

import forked
import numpy as np
import pytest
from PIL import Image
from sklearn import metrics as sk
from typer.testing import CliRunner

from napari_cliper.cli.commands import app
from napari_cliper.evaluation.dataset import from_files
from napari_cliper.evaluation.entry import NAME
from napari_cliper.evaluation.report import REPORT, write_report
from napari_cliper.evaluation.runner import evaluate
from napari_cliper.io.class_list import read_classes
from napari_cliper.io.files import FileError
from napari_cliper.segmentation import (
    InvalidInputError,
    SegmentationConfig,
    Segmenter,
    Stopped,
    Thresholds,
)


@pytest.fixture(scope="module")
def whole(segmenter, dataset, tmp_path_factory):
    """A run in one go, with its report."""
    folder = tmp_path_factory.mktemp("whole")
    result = evaluate(segmenter, dataset, folder)
    write_report(folder, result)
    return folder, result


def contents(folder):
    return {name: (folder / name).read_bytes() for name in REPORT}


class StopAfter:
    """Ask to stop once so many images are done."""

    def __init__(self, images):
        self.images, self.stop = images, False

    def report(self, progress):
        if progress.stage == "Measuring the images" and progress.done >= self.images:
            self.stop = True

    def should_stop(self):
        return self.stop


def test_figures_are_those_of_the_labels_that_were_kept(whole, scenes):
    folder, result = whole
    truth = np.stack([np.array(Image.open(p)) for p in sorted(scenes[1].glob("[!.]*"))])
    given = np.stack([np.array(Image.open(p)) for p in sorted((folder / "labels").glob("[!.]*"))])
    kept = truth != 255
    flat = truth[kept], given[kept]
    there = np.unique(flat[0])
    assert len(there) == 10
    assert result.scores.mean_iou == pytest.approx(
        sk.jaccard_score(*flat, labels=there, average="macro")
    )
    assert result.scores.pixel_accuracy == pytest.approx(sk.accuracy_score(*flat))
    assert result.scores.mean_iou > 0.8  # the demo model does know its scenes


def test_labels_are_those_of_the_engine(whole, segmenter, dataset):
    _, result = whole
    pair = dataset.pairs[4]
    scores = segmenter.score(segmenter.embed(dataset.image(pair)), dataset.classes)
    np.testing.assert_array_equal(result.labels(result.entries[4]), scores.to_labels())


def test_stopped_after_three_and_run_again_gives_the_same_files(
    whole, segmenter, dataset, tmp_path
):
    stop = StopAfter(3)
    with pytest.raises(Stopped):
        evaluate(segmenter, dataset, tmp_path, report=stop.report, should_stop=stop.should_stop)
    assert len((tmp_path / NAME).read_text().splitlines()) == 2 + 3
    kept = (tmp_path / NAME).read_bytes()
    write_report(tmp_path, evaluate(segmenter, dataset, tmp_path))
    assert (tmp_path / NAME).read_bytes().startswith(kept)  # the three were not done again
    assert contents(tmp_path) == contents(whole[0])


def test_all_done_needs_no_network(whole, dataset, tmp_path, monkeypatch):
    folder = tmp_path / "copy"
    shutil.copytree(whole[0], folder)

    def refuse(*_args, **_kwargs):
        raise AssertionError("a network was asked for")

    fresh = Segmenter(SegmentationConfig(model="demo"))
    monkeypatch.setattr(fresh, "load", refuse)
    monkeypatch.setattr(fresh, "embed", refuse)
    write_report(folder, evaluate(fresh, dataset, folder))
    assert contents(folder) == contents(whole[0])


@pytest.mark.parametrize("cut", [1, 40])
def test_a_line_that_a_crash_cut_short_is_done_again(whole, segmenter, dataset, tmp_path, cut):
    folder = tmp_path / "copy"
    shutil.copytree(whole[0], folder)
    path = folder / NAME
    path.write_bytes(path.read_bytes()[:-cut])
    write_report(folder, evaluate(segmenter, dataset, folder))
    assert contents(folder) == contents(whole[0])
    assert all(json.loads(line) for line in path.read_text("utf-8").splitlines())


def test_a_limit_is_a_beginning(whole, segmenter, dataset, tmp_path):
    first = evaluate(segmenter, dataset.first(2), tmp_path)
    assert len(first.entries) == 2
    write_report(tmp_path, evaluate(segmenter, dataset, tmp_path))
    assert contents(tmp_path) == contents(whole[0])


def test_an_image_that_has_changed_is_done_again(segmenter, scenes, tmp_path):
    images, labels = tmp_path / "images", tmp_path / "labels"
    shutil.copytree(scenes[0], images)
    shutil.copytree(scenes[1], labels)
    dataset = from_files(images, labels, scenes[2]).first(2)
    before = evaluate(segmenter, dataset, tmp_path / "out")
    truth = labels / "scene 1.png"
    Image.fromarray(np.zeros_like(np.array(Image.open(truth)))).save(truth)
    after = evaluate(segmenter, dataset, tmp_path / "out")
    assert before.entries[0].digest == after.entries[0].digest
    assert after.entries[1].scores.confusion[1:].sum() == 0
    assert before.entries[1].scores.confusion[1:].sum() > 0


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"config": {"method": "sclip"}}, "config.method"),
        ({"config": {"shorter_side": 128}}, "shorter_side"),
        ({"thresholds": Thresholds(0.7, 0.4, min_max=True)}, "thresholds"),
        ({"stage": "coarse"}, "stage"),
        ({"ignore": (0, 255)}, "ground truth"),
    ],
    ids=lambda value: str(value),
)
def test_another_runs_results_are_refused_until_overwrite(
    whole, scenes, segmenter, tmp_path, change, words
):
    folder = tmp_path / "copy"
    shutil.copytree(whole[0], folder)
    other = segmenter.with_config(replace(segmenter.config, **change.get("config", {})))
    data = from_files(*scenes, ignore=change.get("ignore")).first(1)
    options = {"stage": change.get("stage"), "thresholds": change.get("thresholds")}
    with pytest.raises(InvalidInputError, match=words):
        evaluate(other, data, folder, **options)
    assert len(evaluate(other, data, folder, overwrite=True, **options).entries) == 1


def test_other_weights_are_refused(whole, segmenter, dataset, tmp_path, monkeypatch):
    folder = tmp_path / "copy"
    shutil.copytree(whole[0], folder)
    path = folder / NAME
    lines = path.read_text("utf-8").splitlines(keepends=True)[:-1]
    engine = json.loads(lines[1])
    engine["engine"]["weights"][0]["sha256"] = "0" * 64
    path.write_text("".join([lines[0], json.dumps(engine) + "\n", *lines[2:]]), "utf-8")
    monkeypatch.setattr(segmenter, "embed", None)  # before an image is segmented
    with pytest.raises(InvalidInputError, match="weights have changed"):
        evaluate(segmenter, dataset, folder)


@pytest.mark.parametrize(
    "text",
    ["nonsense\n", "[]\n", '{"version": 2}\n', "\xff\n"],
    ids=["text", "list", "part", "bytes"],
)
def test_a_file_that_is_no_journal_is_named(segmenter, dataset, tmp_path, text):
    (tmp_path / NAME).write_bytes(text.encode("latin-1"))
    with pytest.raises(FileError, match=NAME):
        evaluate(segmenter, dataset, tmp_path)


def test_a_full_disk_keeps_what_is_done(segmenter, dataset, tmp_path, monkeypatch):
    evaluate(segmenter, dataset.first(1), tmp_path)
    before = (tmp_path / NAME).read_bytes()

    def full(*_args):
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr("napari_cliper.io.journal.os.fsync", full)
        with pytest.raises(FileError, match="disk is full"):
            evaluate(segmenter, dataset.first(2), tmp_path)
    assert (tmp_path / NAME).read_bytes().startswith(before)
    assert len(evaluate(segmenter, dataset.first(2), tmp_path).entries) == 2


def test_coarse_of_a_run_without_a_refiner_is_no_refined_one(dataset, tmp_path):
    plain = Segmenter(SegmentationConfig(model="demo", refiner="none"))
    with pytest.raises(InvalidInputError, match="refiner is 'none'"):
        evaluate(plain, dataset, tmp_path, stage="refined")
    with pytest.raises(InvalidInputError, match="Unknown stage 'fine'"):
        evaluate(plain, dataset, tmp_path, stage="fine")
    assert list(tmp_path.glob("[!.]*")) == []


def test_a_image_that_will_not_do_is_named_before_any_work(segmenter, scenes, tmp_path):
    images, labels = tmp_path / "images", tmp_path / "labels"
    shutil.copytree(scenes[0], images)
    shutil.copytree(scenes[1], labels)
    Image.new("RGB", (112, 96), "grey").save(images / "scene 7.png")
    with pytest.raises(InvalidInputError, match=r"scene 7\.png: .* nothing to segment"):
        evaluate(segmenter, from_files(images, labels, scenes[2]), tmp_path / "out")
    assert not (tmp_path / "out").exists()


# ---------------------------------------------------------------------- the command


def command(scenes, output, *more):
    images, labels, classes = scenes
    given = [str(images), str(labels), "--classes", str(classes), "--output", str(output)]
    return ["evaluate", *given, "--model", "demo", *map(str, more)]


def test_command_end_to_end(whole, scenes, tmp_path):
    result = CliRunner().invoke(app, command(scenes, tmp_path / "out"))
    assert result.exit_code == 0, result.output
    for word in ("mIoU", "boundary F1", "pollen grain", f"{whole[1].scores.mean_iou:.4f}"):
        assert word in result.stdout
    ours = contents(tmp_path / "out")
    assert ours == contents(whole[0])  # from the command as from Python


@pytest.mark.parametrize("way", ["ignored", "absent"])
def test_a_class_left_out_of_the_metrics_is_named(scenes, tmp_path, way):
    images, labels, _ = scenes
    more = []
    classes = tmp_path / "classes.txt"
    names = [line.name for line in read_classes(scenes[2])]
    if way == "ignored":
        more = ["--ignore", "1", "--ignore", "255"]
    else:
        names.append("unicorn")
    classes.write_text("\n".join(names))
    arguments = command((images, labels, classes), tmp_path / "out", "--limit", 2, *more)
    result = CliRunner().invoke(app, arguments)
    assert result.exit_code == 0, result.output
    name = names[0] if way == "ignored" else "unicorn"
    why = {
        "ignored": "because their labels are ignored",
        "absent": "because they do not occur in the ground truth",
    }[way]
    summary = json.loads((tmp_path / "out" / "summary.json").read_text("utf-8"))
    for output in (result.stdout, result.stderr, " ".join(summary["notes"])):
        sentence = next(one for one in " ".join(output.split()).split("classes are") if why in one)
        assert name in sentence


def test_killed_command_goes_on(whole, scenes, tmp_path):
    out = tmp_path / "out"
    process = forked.start(forked.COMMAND, *command(scenes, out), output=tmp_path / "printed")
    checkpoint = out / NAME
    end = time.monotonic() + 120
    while process.is_alive() and time.monotonic() < end:
        if checkpoint.exists() and checkpoint.read_bytes().count(b"\n") >= 3:
            process.kill()
            break
        time.sleep(0.005)
    process.join(120)
    assert process.exitcode == -signal.SIGKILL
    assert not (out / "summary.json").exists()
    result = CliRunner().invoke(app, command(scenes, out))
    assert result.exit_code == 0, result.output
    assert contents(out) == contents(whole[0])


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["evaluate"], "ground truth is missing"),
        (["evaluate", "--root", "x", "--classes", "y.txt"], "Leave out"),
        (["evaluate", "--root", ".", "--preset", "voc"], "'voc21'"),
        (["evaluate", "--root", "nowhere"], "no folder nowhere"),
        (["evaluate", "a", "b", "--classes", "no.txt"], "no.txt"),
    ],
    ids=str,
)
def test_wrong_input_is_named(tmp_path, monkeypatch, arguments, words):
    monkeypatch.chdir(tmp_path)
    result = CliRunner().invoke(app, arguments)
    assert result.exit_code in (1, 2)
    assert words in " ".join(result.stderr.split())
    assert list(tmp_path.glob("[!.]*")) == []


def test_a_benchmark_from_the_command_line(tmp_path):
    root = tmp_path / "VOCdevkit" / "VOC2012"
    for part in ("JPEGImages", "SegmentationClass", "ImageSets/Segmentation"):
        (root / part).mkdir(parents=True)
    pixels = np.random.default_rng(0).integers(0, 255, (64, 80, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(root / "JPEGImages/a_1.jpg")
    truth = np.zeros((64, 80), dtype=np.uint8)
    truth[20:50, 10:60] = 15
    truth = Image.fromarray(truth)
    truth.putpalette([7] * 768)
    truth.save(root / "SegmentationClass/a_1.png")
    (root / "ImageSets/Segmentation/val.txt").write_text("a_1\n")
    out = tmp_path / "out"
    options = ["--preset", "voc21", "--root", str(tmp_path), "--output", str(out)]
    result = CliRunner().invoke(app, ["evaluate", *options, "--model", "demo"])
    assert result.exit_code == 0, result.output
    assert "not comparable" in " ".join(result.stderr.split())
    summary = json.loads((out / "summary.json").read_text("utf-8"))
    assert summary["measured with"]["ground truth"]["benchmark"] == "voc21"
    assert summary["measured with"]["config.background"][:2] == ["ground", "land"]
    assert ["bird avian", None] in summary["measured with"]["classes"]
    assert [row["name"] for row in summary["classes"]][:3] == ["background", "aeroplane", "bicycle"]
    assert summary["mIoU is over"] == ["background", "person"]
