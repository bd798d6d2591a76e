"""What a person does with the annotation of a dock."""

from __future__ import annotations

from dataclasses import replace


def annotation(dock):
    return dock.annotation_controller.of(dock.viewer.layers["scene"])


def scope(dock, name):
    panel = dock.annotation_panel
    panel.setValue(replace(panel.value(), scope=name))


def accept(dock):
    dock.annotation_panel.accept_button.click()
    return annotation(dock)
