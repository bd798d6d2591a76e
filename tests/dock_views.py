"""What a person finds in a dock, and chooses there."""

from __future__ import annotations

from napari.layers import Labels


def labels_of(dock, stage="refined"):
    return dock.shown.predictions[stage].layer


def outputs(viewer):
    return [layer for layer in viewer.layers if isinstance(layer, Labels)]


def choose(dock, layer):
    dock.image_panel.images.setCurrentText(layer.name)
    assert dock.image_panel.value().layer is layer


def message(dock):
    return dock.status_panel.message.text()
