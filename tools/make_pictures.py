"""Make the pictures of the README and the documentation anew, when they have become untrue."""

from __future__ import annotations

from pathlib import Path

from PIL import Image

from napari_cliper.demo.run import segment_scene
from napari_cliper.export.overlay import overlay

FOLDER = Path(__file__).resolve().parents[1] / "docs" / "images"


def demo_picture() -> None:
    """The demo's scene beside its labels and their legend."""
    result = segment_scene(report=lambda _progress: None)
    names = [one.name for one in result.scores.classes]
    labelled = overlay(result.scene.image, result.labels, names)
    height, width = result.labels.shape
    both = Image.new("RGB", (width + labelled.width, max(height, labelled.height)), "white")
    both.paste(Image.fromarray(result.scene.image), (0, 0))
    both.paste(labelled, (width, 0))
    both.save(FOLDER / "demo.png", optimize=True)


def main() -> None:
    """Make every picture."""
    FOLDER.mkdir(parents=True, exist_ok=True)
    demo_picture()


if __name__ == "__main__":
    main()
