"""Buttons for the presets Demo, Fast and Best."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from types import MappingProxyType

from qtpy.QtCore import Signal
from qtpy.QtWidgets import QHBoxLayout, QPushButton, QWidget

from ...segmentation import REGISTRY, SegmentationConfig, WeightsEntry, with_tiles_of
from .. import ui_text

_DEFAULT = SegmentationConfig()


@dataclass(frozen=True)
class EnginePreset:
    """Method, models and refiner that are chosen together.

    Parameters
    ----------
    name : str
        A key of `ui_text.ENGINE_PRESETS`.
    model, refiner : str
        As in `SegmentationConfig`.
    """

    name: str
    model: str
    refiner: str

    def applied_to(self, config: SegmentationConfig) -> SegmentationConfig:
        """Return the configuration of this preset.

        Device, precision, seed, words and the objects that tiles are made for are kept.
        """
        chosen = SegmentationConfig(
            model=self.model,
            refiner=self.refiner,
            background=config.background,
            templates=config.templates,
            device=config.device,
            precision=config.precision,
            seed=config.seed,
            offline=config.offline,
        )
        return with_tiles_of(chosen, config)

    def is_in(self, config: SegmentationConfig) -> bool:
        """Whether a configuration computes what this preset does."""
        same = replace(
            config,
            refiner=config.chosen_refiner,
            diffusion_model=(
                config.diffusion_model if config.needs_diffusion else _DEFAULT.diffusion_model
            ),
            foundation_model=(
                config.foundation_model if config.needs_foundation else _DEFAULT.foundation_model
            ),
            sam_model=config.sam_model if config.needs_sam else _DEFAULT.sam_model,
            masks=config.masks if config.uses_masks else _DEFAULT.masks,
        )
        return same == self.applied_to(config)

    @property
    def weights(self) -> tuple[WeightsEntry, ...]:
        """The weights that it needs and that are not part of this package."""
        config = self.applied_to(_DEFAULT)
        names = [config.model, *([config.diffusion_model] if config.needs_diffusion else [])]
        return tuple(REGISTRY[name] for name in names if REGISTRY[name].repositories)


ENGINE_PRESETS: Mapping[str, EnginePreset] = MappingProxyType(
    {
        preset.name: preset
        for preset in (
            EnginePreset("demo", "demo", "pamr"),
            EnginePreset("fast", "ViT-B/16", "pamr"),
            EnginePreset("best", "ViT-B/16", "stable-diffusion"),
        )
    }
)


class PresetButtons(QWidget):
    """One button for each preset; that of the current settings is pressed.

    `chosen` carries the name of a preset.
    """

    chosen = Signal(str)

    def __init__(self) -> None:
        super().__init__()
        self.buttons: dict[str, QPushButton] = {}
        row = QHBoxLayout(self)
        row.setContentsMargins(0, 0, 0, 0)
        row.setSpacing(4)
        for name, preset in ENGINE_PRESETS.items():
            button = QPushButton(ui_text.preset_button(name, preset.weights))
            button.setCheckable(True)
            button.setAutoDefault(False)
            button.setToolTip(ui_text.preset_tip(name, preset.weights))
            button.clicked.connect(lambda _checked, name=name: self._on_clicked(name))
            self.buttons[name] = button
            row.addWidget(button, 1)

    def show_config(self, config: SegmentationConfig | None) -> None:
        """Press the button of the preset that is in use."""
        for name, button in self.buttons.items():
            button.setChecked(config is not None and ENGINE_PRESETS[name].is_in(config))

    def _on_clicked(self, name: str) -> None:
        for other, button in self.buttons.items():
            button.setChecked(other == name)
        self.chosen.emit(name)
