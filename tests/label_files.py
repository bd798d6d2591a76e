"""Label files of every format that is written here."""

from __future__ import annotations

from napari_cliper.io.readers.label_files import read_labels
from napari_cliper.io.writers.png import write_indexed_png, write_plain_png
from napari_cliper.io.writers.tiff import write_label_tiff, write_ome_tiff
from napari_cliper.labels.label_class import ClassRow

ROWS = {
    1: ClassRow('cell / "nucleus" = <b>', ("Zellkern",), colour=(10, 20, 30)),
    2: ClassRow("細胞 é 🧫"),
    3: ClassRow("12", colour=(255, 255, 255)),
    200: ClassRow("1 = 2", visible=False, prompt="a {}"),
}
TIFFS = {"a.tif": write_label_tiff, "a.ome.tif": write_ome_tiff}
PNGS = {"indexed.png": write_indexed_png, "plain.png": write_plain_png}
WRITERS = {**TIFFS, **PNGS}


def written(tmp_path, name, image):
    WRITERS[name](tmp_path / name, image)
    return read_labels(tmp_path / name)
