"""What a person does in the engine panel, and what it is given."""

from __future__ import annotations

from qtpy.QtCore import Qt

from napari_cliper.plugin.qt.accordion import Fold
from napari_cliper.plugin.ui_text import PRESET_NAMES
from napari_cliper.segmentation import (
    BACKGROUND_WORDS,
    METHODS,
    PRECISIONS,
    REFINERS,
    REGISTRY,
    TEMPLATE_SETS,
    SegmentationConfig,
)


def on_disk(*names):
    return {name: name in names or name == "demo" for name in REGISTRY}


def reveal(widget):
    """Open the fold that a field is in, as a person does before using it."""
    parent = widget.parentWidget()
    while parent is not None and not isinstance(parent, Fold):
        parent = parent.parentWidget()
    if parent is not None:
        parent.set_open(is_open=True)


def choose(qtbot, box, start):
    """Choose an entry as a person does: with the keyboard."""
    reveal(box)
    texts = [box.itemText(index) for index in range(box.count())]
    (row,) = [index for index, text in enumerate(texts) if text.startswith(start)]
    box.setFocus()
    qtbot.keyClick(box, Qt.Key.Key_Home)
    for _ in range(box.count()):
        if box.currentIndex() == row:
            return
        qtbot.keyClick(box, Qt.Key.Key_Down)
    raise AssertionError(f"{start} cannot be reached in {texts}")


def type_into(qtbot, edit, text):
    reveal(edit)
    edit.setFocus()
    edit.selectAll()
    qtbot.keyClick(edit, Qt.Key.Key_Delete)
    qtbot.keyClicks(edit, text)


CONFIGS = (
    *(SegmentationConfig(method=method) for method in METHODS),
    *(SegmentationConfig(refiner=refiner) for refiner in REFINERS),
    *(SegmentationConfig(precision=precision) for precision in PRECISIONS),
    *(SegmentationConfig(templates=name) for name in TEMPLATE_SETS),
    *(SegmentationConfig(preset=name) for name in PRESET_NAMES),
    *(SegmentationConfig(background=words) for words in BACKGROUND_WORDS.values()),
    *(SegmentationConfig(model="demo", background=words) for words in BACKGROUND_WORDS.values()),
    *(
        SegmentationConfig(**{{"clip": "model"}.get(row.kind, f"{row.kind}_model"): row.name})
        for row in REGISTRY.values()
        if row.kind not in ("sam", "autoencoder")
    ),
    SegmentationConfig(model="open_clip:ViT-B-16/laion2b_s34b_b88k"),
    SegmentationConfig(model=" /a folder/with & signs .pt"),
    SegmentationConfig(diffusion_model="/models/sd"),
    SegmentationConfig(diffusion_model="relative/sd ", refiner="none"),
    SegmentationConfig(background=("a, b", "", " c ")),
    SegmentationConfig(background=("photo",)),
    SegmentationConfig(background=("",)),
    SegmentationConfig(templates=("a | b {}", "{} ")),
    SegmentationConfig(templates=("line\n{}",)),
    SegmentationConfig(window=0, stride=5),
    SegmentationConfig(window=2**40, stride=2**33, shorter_side=2**62, seed=2**63 - 1),
    SegmentationConfig(select_layer=-3, logit_scale=12.5, attention_threshold=0.0),
    SegmentationConfig(device="cuda:1", offline=True, shorter_side=32),
    SegmentationConfig(device="  nonsense"),
)
