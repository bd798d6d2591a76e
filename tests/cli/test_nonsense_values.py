"""Option values that mean nothing: refused with what to give, before an image is read."""

from __future__ import annotations

import os
import struct
import subprocess
import sys
import zlib
from pathlib import Path

import distributed
import numpy as np
import pytest
import tifffile
from PIL import Image
from typer.testing import CliRunner

from napari_cliper.cli.commands import app
from napari_cliper.io.files import FileError
from napari_cliper.io.image_decoding import decode_image
from napari_cliper.segmentation import InvalidInputError, Thresholds, TileCache


@pytest.fixture
def segment(tmp_path: Path):
    def run(image: Path, *options: str) -> str:
        given = ["segment", str(image), "--labels", "nucleus, crystal", "--model", "demo"]
        result = CliRunner().invoke(app, [*given, "--output", str(tmp_path / "out"), *options])
        assert result.exit_code == 2, result.output
        return " ".join((result.stdout + result.stderr).split())

    return run


def test_numbers_that_mean_nothing(segment, tmp_path):
    missing = tmp_path / "missing.png"  # that it is missing would be the next error
    for option in ("class-threshold", "background-threshold"):
        for value in ("nan", "inf", "-inf", "1e999"):
            words = f"The {option.replace('-', ' ')} is {float(value)}. Give a finite number"
            assert words in segment(missing, f"--{option}", value)
    with pytest.raises(InvalidInputError, match=r"threshold of 'nucleus' is nan"):
        Thresholds(0.5, 0.5, per_class={"nucleus": float("nan")})
    assert f"at most {4 * (os.cpu_count() or 1)}" in segment(missing, "--workers", "100000")
    assert not (tmp_path / "out").exists()


def test_a_wrong_model_is_said_once(segment, tmp_path):
    for number in range(3):
        Image.fromarray(np.eye(16, dtype=np.uint8)).save(tmp_path / f"{number}.png")
    for model, words in {
        "open_clip:ViT-B-16/opnai": "Unknown weights of ViT-B-16 'opnai'. Did you mean 'openai'?",
        "open_clip:RN50/openai": "RN50 cannot be used",
    }.items():
        said = segment(tmp_path, "--model", model, "--refiner", "none")
        assert said.startswith(f"Error: {words}")
        assert said.count("Error") == 1
        (tmp_path / "classes.txt").write_text("nucleus\n")
        for command in ("evaluate", "learn"):
            given = [command, tmp_path, tmp_path, "--classes", tmp_path / "classes.txt"]
            given += ["--model", model, "--output", tmp_path / "out.safetensors"]
            result = CliRunner().invoke(app, [*map(str, given), "--refiner", "none"])
            assert result.exit_code == 2
            assert " ".join(result.stderr.split()).startswith(f"Error: {words}")
    assert not (tmp_path / "out").exists()


def test_what_the_demo_cannot_write_or_measure(tmp_path):
    (tmp_path / "folder.png").mkdir()
    for option in (["--headless", "--output"], ["--screenshot"]):
        for name in ("demo.xyz", "demo", "folder.png", "."):
            result = CliRunner().invoke(app, ["demo", *option, str(tmp_path / name)])
            assert result.exit_code == 2, result.output
            said = " ".join((result.stdout + result.stderr).split())
            assert "is no name for a PNG file. Give one that ends in .png" in said
    for option in (["--compare", "-3"], ["--headless", "--seed", "-1"]):
        assert CliRunner().invoke(app, ["demo", *option]).exit_code == 2
    assert [path.name for path in tmp_path.iterdir()] == ["folder.png"]


def test_a_tile_cache_that_would_keep_nothing(segment, tmp_path, monkeypatch):
    image, file = tmp_path / "image.png", tmp_path / "file"
    Image.fromarray(np.random.default_rng(0).integers(0, 255, (80, 80), np.uint8)).save(image)
    file.write_bytes(b"mine")
    for folder in (file, file / "below"):
        said = segment(image, "--tile", "64", "--tile-cache", str(folder))
        assert f"Tiles cannot be kept in {folder}: {file} is a file. Give a folder" in said
        with pytest.raises(InvalidInputError, match="is a file"):
            TileCache(folder)
    assert file.read_bytes() == b"mine"
    monkeypatch.setattr(os, "access", lambda place, mode: place != tmp_path)
    given = ["segment", str(image), "--labels", "nucleus", "--output", str(tmp_path / "out")]
    given += ["--model", "demo", "--tile", "64", "--tile-cache", str(tmp_path / "new")]
    result = CliRunner().invoke(app, given)
    assert result.exit_code == 1
    assert "new: there is no permission. Choose a folder" in " ".join(result.stderr.split())


def test_workers_that_do_not_start_in_time(tmp_path, monkeypatch):
    image = tmp_path / "image.png"
    Image.fromarray(np.random.default_rng(0).integers(0, 255, (80, 80), np.uint8)).save(image)

    def busy(**_: object) -> None:
        raise OSError("Timed out trying to connect")

    monkeypatch.setattr(distributed, "LocalCluster", busy)
    given = ["segment", str(image), "--labels", "nucleus", "--output", str(tmp_path / "out")]
    result = CliRunner().invoke(app, [*given, "--model", "demo", "--workers", "2"])
    assert result.exit_code == 1
    said = " ".join(result.stderr.split())
    assert "The 2 workers do not start (Timed out trying to connect). Wait until" in said


def test_contrast_that_would_change_nothing(segment, tmp_path):
    image = tmp_path / "colours.png"
    Image.fromarray(np.random.default_rng(0).integers(0, 255, (16, 16, 3), np.uint8)).save(image)
    for value in ("1-99", "0:10-20"):
        assert "this is a colour image. Leave out --contrast" in segment(image, "--contrast", value)
    assert "has values of channel 7, which is not shown. A grey image is channel 0" in segment(
        image, "--contrast", "0:1-2, 7:0-5"
    )
    assert "has values of channel 1, which is not shown. Add it to --channels" in segment(
        image, "--channels", "0:red", "--contrast", "1:0-5"
    )


def test_an_image_too_large_for_its_format_is_named_with_the_limit(tmp_path):
    def chunk(kind: bytes, data: bytes) -> bytes:
        return (
            struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
        )

    header = struct.pack(">IIBBBBB", 60000, 60000, 8, 2, 0, 0, 0)
    path = tmp_path / "huge.png"
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", b""))
    words = r"it has 3,600,000,000 pixels\. Files other than TIFF and OME-Zarr may have up to "
    with pytest.raises(FileError, match=words + r"178,956,970\. Save it as TIFF\.$"):
        decode_image(path)


def test_damage_is_said_once_and_in_our_words(tmp_path):
    """tifffile logs what it finds; nothing of that is printed beside the error."""
    path = tmp_path / "damaged.tif"
    tifffile.imwrite(path, np.zeros((64, 64), np.uint8))
    content = bytearray(path.read_bytes())
    entry = content.find(struct.pack("<HH", 278, 4))  # RowsPerStrip, with an unknown data type
    entry = entry if entry >= 0 else content.find(struct.pack("<HH", 278, 3))
    content[entry + 2 : entry + 4] = b"\x08\xe8"
    path.write_bytes(content)
    program = "import sys; from napari_cliper.io.images import read_image_file as read\n"
    program += "from pathlib import Path; print(read(Path(sys.argv[1])).shape)"
    done = subprocess.run(
        [sys.executable, "-c", program, str(path)], capture_output=True, text=True, check=True
    )
    assert (done.stdout, done.stderr) == ("(64, 64)\n", "")
