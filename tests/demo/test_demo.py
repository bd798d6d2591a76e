"""The demo: the real engine with the model that comes along, and how it is measured."""

from __future__ import annotations

from typer.testing import CliRunner

from napari_cliper.cli.commands import app
from napari_cliper.demo.run import all_classes, compare_methods, segment_scene
from napari_cliper.demo.scenes import KINDS, make_scene
from napari_cliper.segmentation import METHODS, ClassPrompt, SegmentationConfig, Segmenter


def test_demo_finds_the_objects_of_a_held_out_scene():
    stages = []
    result = segment_scene(lambda progress: stages.append(progress.stage))
    assert result.mean_iou > 0.8
    assert "Encoding the image" in stages
    assert result.labels.shape == result.scene.labels.shape
    assert {one.name for one in all_classes()} == {kind.name for kind in KINDS}


def test_demo_command_shows_table_measure_and_image(tmp_path):
    image_file = tmp_path / "demo.png"
    result = CliRunner().invoke(app, ["demo", "--headless", "--output", str(image_file)])
    assert result.exit_code == 0, result.output
    assert image_file.stat().st_size > 10_000
    assert "mIoU" in result.stdout
    assert "says nothing about accuracy on real images" in " ".join(result.stdout.split())


def test_methods_keep_the_order_that_was_measured():
    rows = compare_methods(10, lambda _progress: None, ("cliper", "maskclip", "clip"))
    measured = {method: (coarse, pamr) for method, coarse, pamr in rows}
    assert measured["cliper"][0] >= 0.80
    assert measured["cliper"][1] >= 0.90
    assert measured["cliper"][0] > measured["maskclip"][0] > measured["clip"][0]


def test_every_method_without_another_network_is_compared():
    measured = [method for method, *_ in compare_methods(1, lambda _progress: None)]
    assert measured == [name for name, row in METHODS.items() if not row.needs]
    assert {"cliper", "scclip", "naclip", "resclip", "cliptrase"} <= set(measured)


def test_demo_model_warns_of_words_it_does_not_know():
    segmenter = Segmenter(SegmentationConfig(model="demo"))
    embedding = segmenter.embed(make_scene((96, 96), 3).image)
    scores = segmenter.score(embedding, [ClassPrompt("nuclei"), ClassPrompt("giraffe")])
    (note,) = [note for note in scores.notes if "giraffe" in note]
    assert "nucleus" in note  # what it does know
    assert "'nuclei'" not in note
