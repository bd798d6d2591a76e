"""Every panel with something to set has a value, which is set and told in the same way."""

from __future__ import annotations

import pytest

from napari_cliper.labels.label_class import ClassRow, with_colours
from napari_cliper.plugin.export_choice import ExportChoice
from napari_cliper.plugin.panels.annotation_panel import AnnotationChoice, AnnotationPanel
from napari_cliper.plugin.panels.classes_panel import ClassesPanel
from napari_cliper.plugin.panels.corrections_panel import CorrectionsChoice, CorrectionsPanel
from napari_cliper.plugin.panels.engine_panel import EnginePanel
from napari_cliper.plugin.panels.export_panel import ExportPanel
from napari_cliper.plugin.panels.memory_panel import MemoryPanel
from napari_cliper.plugin.panels.prototypes_panel import PrototypesChoice, PrototypesPanel
from napari_cliper.plugin.panels.threshold_panel import ThresholdPanel
from napari_cliper.plugin.panels.tiles_panel import TilesPanel
from napari_cliper.segmentation import SegmentationConfig, Thresholds

VALUES = {
    AnnotationPanel: AnnotationChoice("chosen", "all", False, "remove specks", 7),
    ClassesPanel: with_colours((ClassRow("cell"), ClassRow("sky", background=True))),
    CorrectionsPanel: CorrectionsChoice("cell", spread=False, uncertainty=True),
    EnginePanel: SegmentationConfig(model="demo", refiner="none", device="cpu"),
    ExportPanel: ExportChoice(("fiji",), (), "/somewhere", overwrite=True, validation=20),
    MemoryPanel: 4.5,
    PrototypesPanel: PrototypesChoice(0.25, by_itself=False),
    ThresholdPanel: Thresholds(0.25, 0.5, min_max=True, per_class={"cell": 0.75}),
    TilesPanel: 42.5,
}


@pytest.mark.parametrize("kind", VALUES, ids=lambda kind: kind.__name__)
def test_a_value_is_shown_and_told_once(kind, qtbot):
    panel = kind()
    qtbot.addWidget(panel)
    told = []
    panel.valueChanged.connect(told.append)
    before, wanted = panel.value(), VALUES[kind]
    for value in (wanted, wanted, before, before):
        panel.setValue(value)
        assert panel.value() == value
    assert told == [wanted, before]
