"""`segment` over folders, lists and shards: what it finds, and how it goes on after a stop."""

from __future__ import annotations

import errno
import gc
import json
import os
import shutil
import threading
from concurrent.futures import Future, wait
from pathlib import Path

import forked
import numpy as np
import psutil
import pytest
import tifffile
from PIL import Image
from safetensors.numpy import load_file, save_file
from typer.testing import CliRunner

from napari_cliper.cli.commands import app
from napari_cliper.demo.scenes import make_scene
from napari_cliper.io.journal import Journal
from napari_cliper.io.writers import ome_zarr
from napari_cliper.segmentation import ClassPrompt, Monitor, SegmentationConfig, Segmenter
from napari_cliper.segmentation.methods.cliper import Cliper
from napari_cliper.workflows import segment_large, segment_pipeline
from napari_cliper.workflows.segment_run import JOURNAL

NAMES = ("2.png", "10.png", "plate/a.png", "plate/deep/a.png")
ENDINGS = ("_coarse.tif", "_refined.tif", ".json")


@pytest.fixture
def folder(tmp_path):
    """Four images of two sizes in subfolders."""
    for number, name in enumerate(NAMES):
        path = tmp_path / "in" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(make_scene((64, 80 + 8 * (number % 2)), number).image).save(path)
    return tmp_path / "in"


@pytest.fixture
def segment(tiny_clip: Path, tmp_path: Path):
    quick = ["--labels", "nucleus, crystal", "--model", str(tiny_clip), "--refiner", "pamr"]
    quick += ["--shorter-side", "64", "--templates", "word"]

    def run(*arguments, out="out"):
        given = ["segment", *map(str, arguments), *quick, "--output", str(tmp_path / out)]
        return CliRunner().invoke(app, given)

    return run


def words(result):
    return " ".join((result.stdout + result.stderr).split())


def content(folder):
    """All files that are not hidden, with their bytes."""
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in folder.rglob("[!.]*")
        if path.is_file()
    }


def test_results_lie_as_their_images_and_the_same_command_goes_on(
    segment, folder, tmp_path, monkeypatch
):
    assert segment(folder, "--no-overlay").exit_code == 0
    whole = content(tmp_path / "out")
    stems = [name.removesuffix(".png") for name in NAMES]
    expected = {stem + ending for stem in stems for ending in ENDINGS}
    assert whole.keys() == expected | {JOURNAL, "uncertainty.csv"}
    lines = [json.loads(line) for line in whole[JOURNAL].splitlines()]
    assert [line.get("name") for line in lines] == [None, None, *NAMES]

    # a list, patterns, and shards that are merged: byte for byte the same
    wanted = "\n".join([*NAMES[:2], str(folder / NAMES[2]), "", NAMES[3]])
    (folder / "list.txt").write_text(wanted)
    assert segment(folder / "list.txt", "--no-overlay", out="list").exit_code == 0
    assert content(tmp_path / "list") == whole
    assert segment(folder / "**" / "*.png", "--no-overlay", out="pattern").exit_code == 0
    assert content(tmp_path / "pattern") == whole
    for shard in ("2/3", "1/3"):
        assert segment(folder, "--no-overlay", "--shard", shard, out="shards").exit_code == 0
    merging = ["merge", str(tmp_path / "shards")]
    assert "not been run: 3/3" in words(CliRunner().invoke(app, merging))
    assert segment(folder, "--no-overlay", "--shard", "3/3", out="shards").exit_code == 0
    assert "Images: 4. Failed: 0" in words(CliRunner().invoke(app, merging))
    assert content(tmp_path / "shards") == whole
    for number in range(1, 6):  # one of five has no image, and is merged like the others
        shard = segment(folder, "--no-overlay", "--shard", f"{number}/5", out="fifths")
        assert shard.exit_code == 0
        empty = "Nothing to do: shard 5/5 has none of the 4 images."
        assert (words(shard) == empty) == (number == 5)
    assert CliRunner().invoke(app, ["merge", str(tmp_path / "fifths")]).exit_code == 0
    assert content(tmp_path / "fifths") == whole
    assert "Give its number and their count" in words(segment(folder, "--shard", "5/3"))

    # what is done is not done again, also by a shard after the merge; the rest is
    encoded = []
    each = Segmenter.embed_each

    def counted(self, images, monitor, **options):
        encoded.extend(images)
        return each(self, images, monitor, **options)

    monkeypatch.setattr(Segmenter, "embed_each", counted)
    before = {path: path.stat().st_mtime_ns for path in (tmp_path / "out").rglob("*.*")}
    assert "the same settings: 4" in words(segment(folder, "--no-overlay"))
    after = {path: path.stat().st_mtime_ns for path in (tmp_path / "out").rglob("*.*")}
    assert after == before
    assert segment(folder, "--no-overlay", "--shard", "1/2", out="shards").exit_code == 0
    assert encoded == []
    (tmp_path / "out" / "2_refined.tif").unlink()
    Image.fromarray(make_scene((64, 80), 9).image).save(folder / "10.png")
    assert segment(folder, "--no-overlay").exit_code == 0
    assert len(encoded) == 2
    again = content(tmp_path / "out")
    changed = {name for name in whole if again[name] != whole[name]}
    assert changed == {f"10{ending}" for ending in ENDINGS} | {JOURNAL, "uncertainty.csv"}

    # other settings are refused for these images, not for others
    refused = segment(folder, "--no-overlay", "--class-threshold", "0.2")
    assert refused.exit_code == 2
    assert "other settings: thresholds (2.png)" in words(refused)
    Image.fromarray(make_scene((64, 80), 3).image).save(tmp_path / "new.png")
    assert segment(tmp_path / "new.png", "--class-threshold", "0.2").exit_code == 0
    assert segment(folder, "--class-threshold", "0.2", "--overwrite").exit_code == 0
    runs = Journal(tmp_path / "out" / JOURNAL, "segment", {}).runs
    assert [sorted(run.entries) for run in runs if run.entries] == [sorted([*NAMES, "new.png"])]


def test_images_that_fail_are_listed_again_until_they_change_or_retry(segment, folder, tmp_path):
    bad = folder / "plate" / "bad.png"
    bad.write_text("no image")
    first = segment(folder)
    assert first.exit_code == 1
    record = Journal(tmp_path / "out" / JOURNAL, "segment", {}).runs[0].entries["plate/bad.png"]
    assert "is not an image" in record["error"]
    again = segment(folder)
    assert again.exit_code == 1
    assert record["error"] in words(again)
    assert "not tried again: 1. To try them again, add --retry" in words(again)
    bad.with_name("gone.png").symlink_to(folder / "gone.png")
    for images in (folder, folder / "**" / "*.png"):
        text = words(segment(images, "--retry"))
        assert "not tried again" not in text
        assert "gone.png: it is a link to a file that does not exist" in text
    bad.with_name("gone.png").unlink()
    Image.fromarray(make_scene((64, 80), 7).image).save(bad)
    assert segment(folder).exit_code == 0
    assert (tmp_path / "out" / "plate" / "bad_refined.tif").exists()

    journal = tmp_path / "out" / JOURNAL
    journal.write_bytes(journal.read_bytes() + b"nonsense\n")
    damaged = segment(folder)
    assert damaged.exit_code == 2
    assert "is damaged" in words(damaged)
    assert segment(folder, "--overwrite").exit_code == 0
    assert len(Journal(journal, "segment", {}).runs[0].entries) == 5
    journal.write_text("mine")
    assert "is not a journal" in words(segment(folder, "--overwrite"))
    assert journal.read_text() == "mine"


def test_a_subfolder_without_permission_is_listed_and_the_rest_segmented(
    segment, folder, tmp_path, monkeypatch
):
    closed, read = folder / "plate" / "deep", Path.iterdir
    Image.fromarray(make_scene((64, 80), 5).image).save(closed.with_suffix(".png"))

    def without_permission(path):
        if path == closed:
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(path))
        return read(path)

    with monkeypatch.context() as patched:
        patched.setattr(Path, "iterdir", without_permission)
        for _ in range(2):
            found = segment(folder)
            assert found.exit_code == 1
            assert f"Cannot read {closed}: " in words(found)
            assert "no permission" in words(found)
            assert "1 of 5 images could not be segmented" in words(found)
        assert (tmp_path / "out" / "plate" / "deep_refined.tif").exists()
        shard = segment(folder, "--shard", "1/2", out="shards")
        assert (shard.exit_code, (tmp_path / "shards").exists()) == (1, False)
        assert "give a pattern or a list" in words(shard)
        alone = segment(closed)
        assert (alone.exit_code, "no permission" in words(alone)) == (1, True)
    assert segment(folder).exit_code == 0
    entries = Journal(tmp_path / "out" / JOURNAL, "segment", {}).runs[0].entries
    assert {*entries} == {*NAMES, "plate/deep.png"}


def test_an_error_of_the_run_ends_it_and_is_kept_for_no_image(
    folder, tiny_clip, tmp_path, monkeypatch
):
    model = tmp_path / "clip.safetensors"
    shutil.copy(tiny_clip, model)
    shutil.copy(tiny_clip.with_suffix(".json"), model.with_suffix(".json"))
    options = ["--labels", "nucleus", "--model", str(model), "--refiner", "none"]
    options += ["--shorter-side", "64", "--templates", "word", "--no-overlay"]

    def run(*images):
        given = ["segment", *map(str, images), *options, "--output", str(tmp_path / "out")]
        result = CliRunner().invoke(app, given)
        code, text = result.exit_code, words(result)
        del result  # its traceback holds the networks, which are shared within a process
        gc.collect()
        return code, text

    # an image that ends while the run stops waiting for it is no error
    plain = Future.result

    def ends_late(future, timeout=None):
        if timeout is not None:
            wait([future])
            raise TimeoutError
        return plain(future)

    with monkeypatch.context() as patched:
        patched.setattr(Future, "result", ends_late)
        assert run(folder / "2.png")[0] == 0

    journal = (tmp_path / "out" / JOURNAL).read_bytes()
    right = model.read_bytes()
    tensors = load_file(model)
    tensors["visual.proj"] = tensors["visual.proj"] * 2
    save_file(tensors, model)
    code, text = run(folder)
    assert code == 2, text
    assert text.count("weights have changed") == 1
    assert (tmp_path / "out" / JOURNAL).read_bytes() == journal

    model.write_bytes(right)
    code, text = run(folder)
    assert code == 0, text


def test_shards_that_are_done_again_can_be_merged(segment, folder, tmp_path):
    merging = ["merge", str(tmp_path / "out")]
    images = [folder / NAMES[0], folder / NAMES[1]]

    def run(*arguments):
        for shard in ("1/2", "2/2"):
            done = segment(*images, "--no-overlay", "--shard", shard, *arguments)
            assert done.exit_code == 0, done.output

    run()
    assert CliRunner().invoke(app, merging).exit_code == 0
    run("--class-threshold", "0.2", "--overwrite")
    again = CliRunner().invoke(app, merging)
    assert "Images: 2. Failed: 0" in words(again)
    (only,) = Journal(tmp_path / "out" / JOURNAL, "segment", {}).runs[:-1]
    assert sorted(only.entries) == sorted(NAMES[:2])
    assert content(tmp_path / "out").keys() >= {JOURNAL, "uncertainty.csv"}

    # of an image that no shard has done again, the settings are still the earlier ones
    images.pop()
    run("--class-threshold", "0.3", "--overwrite")
    refused = CliRunner().invoke(app, merging)
    assert refused.exit_code == 2
    assert "other settings than 10.png: thresholds. Run every shard again" in words(refused)
    assert len(Journal(tmp_path / "out" / JOURNAL, "segment", {}).runs[0].entries) == 2


def test_images_encoded_beside_each_other_give_the_same(segment, folder, tmp_path, monkeypatch):
    assert segment(folder).exit_code == 0  # four images are too few for this many workers
    monkeypatch.setattr(segment_pipeline, "available_cores", lambda: 1)
    monkeypatch.setattr(segment_pipeline, "WORKERS", 2)
    both, each = threading.Barrier(2), Cliper.read_each

    def together(self, *arguments):
        both.wait(timeout=60)  # two images are in CLIP
        return each(self, *arguments)

    monkeypatch.setattr(Cliper, "read_each", together)
    assert segment(folder, out="beside").exit_code == 0
    assert content(tmp_path / "beside") == content(tmp_path / "out")


def test_one_pass_for_images_of_one_size_gives_the_same(tiny_clip):
    segmenter = Segmenter(SegmentationConfig(model=str(tiny_clip), refiner="none", shorter_side=64))
    images = [make_scene((64, 80), seed).image for seed in range(3)]
    one_by_one = [segmenter.score(segmenter.embed(one), [ClassPrompt("nucleus")]) for one in images]
    checked = [segmenter.check(one) for one in images]
    together = segmenter.embed_each(checked, Monitor())
    for alone, embedding in zip(one_by_one, together, strict=True):
        maps = segmenter.score(embedding, [ClassPrompt("nucleus")])
        np.testing.assert_allclose(maps.coarse.maps, alone.coarse.maps, rtol=1e-5, atol=1e-6)


KILLED_AT_RANDOM = """
import os, random, signal, sys, time
from pathlib import Path
import torch
from napari_cliper.cli.commands import app
from napari_cliper.io.writers import ome_zarr
from napari_cliper.segmentation.methods.cliper import Cliper
from napari_cliper.workflows import segment_large, segment_pipeline

segment_large.TILES_APART, segment_large.ZARR_PIXELS = 8, 30_000
ome_zarr.CHUNK, ome_zarr.SMALLEST_LEVEL = 64, 64
segment_pipeline.available_cores = lambda: 1  # four images beside each other, by one thread each
arguments, journal = sys.argv[2:], Path(sys.argv[1])
torch.set_num_threads(1)
lines = lambda: journal.read_bytes().count(b"\\n") if journal.exists() else 0

def run():
    child = os.fork()
    if not child:
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
        app(arguments, standalone_mode=False)
        os._exit(0)
    return child

done = {}
for kill in range(5):
    child, before = run(), lines()
    while lines() < before + 1 + 2 * (before == 0):
        time.sleep(0.001)
        assert os.waitpid(child, os.WNOHANG) == (0, 0), "ended too early"
    time.sleep(random.Random(kill).uniform(0, 0.02))
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
    for path, time_written in done.items():
        assert path.stat().st_mtime_ns == time_written, f"{path} was done twice"
    for line in journal.read_text().splitlines()[2:]:
        name = line.partition('"name": "')[2].partition('.png"')[0]
        if name and line.endswith("}"):
            labels = ".ome.zarr" if name == "3" else ".tif"
            for ending in ("_coarse" + labels, "_refined" + labels, "_overlay.png", ".json"):
                path = journal.with_name(name + ending)
                done[path] = path.stat().st_mtime_ns
assert len(done) >= 5 * 4, done  # an image for each kill
assert os.waitpid(run(), 0)[1] == 0
for path, time_written in done.items():
    assert path.stat().st_mtime_ns == time_written, f"{path} was done twice"
"""


MANY = 40


@pytest.fixture(scope="module")
def many(small_limits, tiny_clip, tmp_path_factory):  # noqa: ARG001 - it is in force
    """Images, one of them large, the options of a run, and its results without interruption."""
    root = tmp_path_factory.mktemp("many")
    (root / "in").mkdir()
    for number in range(MANY):
        shape = (200, 260) if number == 3 else (56, 64)
        Image.fromarray(make_scene(shape, number).image).save(root / "in" / f"{number}.png")
    options = ["--labels", "nucleus, crystal", "--model", str(tiny_clip), "--refiner", "pamr"]
    options += ["--templates", "word", "--shorter-side", "64", "--tile", "64"]
    options += ["--class-threshold", "0", "--background-threshold", "0.3"]
    command = ["segment", str(root / "in"), *options]
    whole = [*command, "--no-tile-cache", "--output", str(root / "whole")]
    assert CliRunner().invoke(app, whole).exit_code == 0
    return command, content(root / "whole")


def test_killed_five_times_nothing_is_lost_half_written_or_done_twice(many, tmp_path):
    command, whole = many
    out = tmp_path / "out"
    arguments = [out / JOURNAL, *command, "--no-tile-cache", "--output", out]
    job = forked.start(KILLED_AT_RANDOM, *arguments, output=tmp_path / "printed")
    job.join(300)
    assert job.exitcode == 0, (tmp_path / "printed" / "stderr").read_text()
    assert content(out) == whole
    assert [path.name for path in out.iterdir() if path.name.startswith(".napari-cliper-")] == []


def test_two_workers_one_of_which_is_killed_give_the_same(many, tmp_path):
    command, whole = many
    out, tiles = tmp_path / "out", tmp_path / "tiles"
    killed, reachable, ended = [], set(), threading.Event()

    def kill_one():
        journal = out / JOURNAL
        while not (journal.exists() and journal.read_bytes().count(b"\n") >= 2 + 2):
            if ended.wait(0.005):
                return
        workers = psutil.Process().children(recursive=True)
        for process in (psutil.Process(), *workers):
            for one in process.net_connections():
                reachable.update([one.laddr.ip] if one.status == psutil.CONN_LISTEN else [])
        for child in workers:
            if "spawn_main" in " ".join(child.cmdline()):
                child.kill()
                killed.append(journal.read_bytes().count(b"\n"))
                return

    killer = threading.Thread(target=kill_one)
    killer.start()
    given = [*command, "--workers", "2", "--tile-cache", str(tiles), "--output", str(out)]
    result = CliRunner().invoke(app, given)
    ended.set()
    killer.join()
    assert result.exit_code == 0, result.output
    assert reachable == {"127.0.0.1"}
    assert killed
    assert killed[0] < 2 + MANY
    assert content(out) == whole
    assert len(list(tiles.glob("*.zip"))) == json.loads(whole["3.json"])["tiles"]["count"] > 16
    one = [*command[:1], str(Path(command[1]) / "3.png"), *command[2:], "--no-tile-cache"]
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(segment_large, "ZARR_PIXELS", 10**6)
        assert CliRunner().invoke(app, [*one, "--output", str(tmp_path / "tiff")]).exit_code == 0
    for stage in ("coarse", "refined"):
        full, half, *_ = ome_zarr.open_levels(out / f"3_{stage}.ome.zarr")
        labels = tifffile.imread(tmp_path / "tiff" / f"3_{stage}.tif")
        assert {*np.unique(labels)} == {0, 1, 2}
        np.testing.assert_array_equal(full[...], labels)
        np.testing.assert_array_equal(half[...], labels[::2, ::2])
    missing = CliRunner().invoke(
        app, [*command, "--workers", "2", "--scheduler", "x", "--output", str(out)]
    )
    assert "Give a number of workers" in words(missing)
