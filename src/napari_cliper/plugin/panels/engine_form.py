"""The form of the engine settings: one row for each field of `SegmentationConfig`, in folds."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any, NamedTuple

from qtpy.QtCore import Qt, Signal
from qtpy.QtWidgets import (
    QCheckBox,
    QFileDialog,
    QFormLayout,
    QHBoxLayout,
    QLabel,
    QPushButton,
    QSizePolicy,
    QVBoxLayout,
    QWidget,
)
from superqt.utils import signals_blocked

from ...segmentation import (
    METHODS,
    PRECISIONS,
    REFINERS,
    REGISTRY,
    TEMPLATE_SETS,
    InvalidInputError,
    MaskSource,
    SegmentationConfig,
    published_settings,
    with_tiles_of,
)
from .. import ui_text
from ..qt.accordion import Accordion
from ..ui_text import (
    DEVICES,
    FURTHER_NAMES,
    MASK_NAMES,
    PRECISION_NAMES,
    PRESET_NAMES,
    TEMPLATE_NAMES,
    weights_text,
)
from .engine_fields import PUBLISHED, Choice, DeviceBox, NumberEdit, Own, OwnChoice
from .engine_lists import BackgroundField, WindowsField

_DEFAULT = SegmentationConfig()


def _ask_checkpoint(parent: QWidget) -> str:
    patterns = ui_text.CHECKPOINT_FILES
    path, _ = QFileDialog.getOpenFileName(parent, ui_text.CHECKPOINT_TITLE, "", patterns)
    return str(path)


def _ask_folder(parent: QWidget) -> str:
    return str(QFileDialog.getExistingDirectory(parent, ui_text.DIFFUSERS_TITLE))


def _ask_sam_folder(parent: QWidget) -> str:
    return str(QFileDialog.getExistingDirectory(parent, ui_text.SAM_FOLDER_TITLE))


def _registered(kind: str) -> list[tuple[str, str, str]]:
    """Value, text and tooltip of the registered weights of a kind."""
    return [
        (row.name, weights_text(row, on_disk=None), row.purpose)
        for row in REGISTRY.values()
        if row.kind == kind
    ]


class MaskLayer(NamedTuple):
    """A layer whose numbers are the masks."""

    name: str


class EngineForm(QWidget):
    """The engine settings as a form; `changed` is emitted when any of them changes."""

    changed = Signal()

    def __init__(self) -> None:
        super().__init__()
        self._on_disk: dict[str, bool] = {}
        self._further: dict[str, Any] = {}
        self._config: SegmentationConfig | None = None  # what the fields say, once it was read
        self._with_tiles = _DEFAULT  # has the tiles, and what they were made for
        self._labels: dict[QWidget, tuple[QLabel, str]] = {}
        self._make_networks()
        self._make_words_and_sizes()
        self.device = DeviceBox(
            ui_text.DEVICE_TIP, [(name, name, tip) for name, tip in DEVICES.items()]
        )
        self.offline = QCheckBox(ui_text.OFFLINE)
        self.offline.setToolTip(ui_text.OFFLINE_TIP)
        self.further = QPushButton()
        self.folds = Accordion()
        self._lay_out()
        self._connect()
        self.set_config(_DEFAULT)

    # ------------------------------------------------------------------ layout

    def _make_networks(self) -> None:
        """The fields of the method, its networks and the refiner."""
        self.method = Choice(
            ui_text.METHOD_TIP,
            [(one.name, one.title, one.description) for one in METHODS.values()],
        )
        self.model = OwnChoice(
            ui_text.MODEL_TIP,
            _registered("clip"),
            Own(ui_text.OTHER_MODEL, ui_text.OTHER_MODEL_PLACEHOLDER, browse=_ask_checkpoint),
        )
        self.refiner = Choice(
            ui_text.REFINER_TIP,
            [(PUBLISHED, ui_text.AS_PUBLISHED, ui_text.REFINER_PUBLISHED_TIP)]
            + [(one.name, one.title, one.description) for one in REFINERS.values()],
        )
        self.diffusion = OwnChoice(
            ui_text.DIFFUSION_TIP,
            _registered("diffusion"),
            Own(ui_text.OTHER_FOLDER, ui_text.OTHER_FOLDER_PLACEHOLDER, browse=_ask_folder),
        )
        self.foundation = Choice(
            ui_text.DINO_TIP,
            (
                (PUBLISHED, ui_text.AS_PUBLISHED, ui_text.DINO_PUBLISHED_TIP),
                *_registered("foundation"),
            ),
        )
        self.sam = OwnChoice(
            ui_text.SAM_TIP,
            _registered("sam"),
            Own(ui_text.OTHER_FOLDER, ui_text.OTHER_SAM_PLACEHOLDER, browse=_ask_sam_folder),
        )
        self.masks = Choice(ui_text.MASKS_TIP, [(one, *MASK_NAMES[one]) for one in MASK_NAMES])
        self.preset = Choice(
            ui_text.PRESET_TIP, [(name, *PRESET_NAMES[name]) for name in PRESET_NAMES]
        )
        self.seed = NumberEdit(ui_text.SEED_TIP, zero=0)
        self.seed.setPlaceholderText(ui_text.SEED_PLACEHOLDER)

    def _make_words_and_sizes(self) -> None:
        """The fields of background words, prompts, sizes and precision."""
        self.background = BackgroundField(ui_text.BACKGROUND_TIP)
        self.templates = OwnChoice(
            ui_text.TEMPLATES_TIP,
            [(PUBLISHED, ui_text.AS_PUBLISHED, ui_text.TEMPLATES_PUBLISHED_TIP)]
            + [(name, *TEMPLATE_NAMES[name]) for name in TEMPLATE_SETS],
            Own(
                ui_text.OWN_TEMPLATES,
                ui_text.OWN_TEMPLATES_PLACEHOLDER,
                parse=lambda text: tuple(part.strip() for part in text.split("|")),
                show=" | ".join,
            ),
        )
        self.shorter_side = NumberEdit(ui_text.SHORTER_SIDE_TIP)
        self.windows = WindowsField(ui_text.WINDOWS_TIP)
        self.stride = NumberEdit(ui_text.STRIDE_TIP)
        self.precision = Choice(
            ui_text.PRECISION_TIP, [(one, one, PRECISION_NAMES[one]) for one in PRECISIONS]
        )

    def _lay_out(self) -> None:
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        column.setSpacing(2)
        first = QHBoxLayout()
        first.setSpacing(4)
        first.addWidget(self._label(ui_text.DEVICE_LABEL, self.device))
        first.addWidget(self.device, 1)
        first.addWidget(self.offline)
        column.addLayout(first)
        self.further.setToolTip(ui_text.FURTHER_TIP)
        self.further.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Fixed)
        column.addWidget(self.further)
        rows: Mapping[str, tuple[tuple[str, Any], ...]] = {
            ui_text.MODEL_FOLD: (
                (ui_text.METHOD_LABEL, self.method),
                (ui_text.MODEL_LABEL, self.model),
                (ui_text.MASKS_LABEL, self.masks),
                (ui_text.PRESET_LABEL, self.preset),
            ),
            ui_text.REFINER_FOLD: (
                (ui_text.REFINER_LABEL, self.refiner),
                (ui_text.DIFFUSION_LABEL, self.diffusion),
                (ui_text.SEED_LABEL, self.seed),
                (ui_text.DINO_LABEL, self.foundation),
                (ui_text.SAM_LABEL, self.sam),
            ),
            ui_text.PROMPTS_FOLD: (
                (ui_text.BACKGROUND_LABEL, self.background),
                (ui_text.TEMPLATES_LABEL, self.templates),
            ),
            ui_text.RESOLUTION_FOLD: (
                (ui_text.SHORTER_SIDE_LABEL, self.shorter_side),
                (ui_text.WINDOWS_LABEL, self.windows),
                (ui_text.STRIDE_LABEL, self.stride),
                (ui_text.PRECISION_LABEL, self.precision),
            ),
        }
        for title, fields in rows.items():
            self.folds.add(title, self._section(fields))
        column.addWidget(self.folds)

    def _section(self, rows: Iterable[tuple[str, Any]]) -> QWidget:
        """A form of labels and fields."""
        section = QWidget()
        form = QFormLayout(section)
        form.setContentsMargins(8, 0, 0, 2)
        form.setVerticalSpacing(2)
        form.setHorizontalSpacing(4)
        form.setFieldGrowthPolicy(QFormLayout.FieldGrowthPolicy.AllNonFixedFieldsGrow)
        form.setLabelAlignment(Qt.AlignmentFlag.AlignLeft | Qt.AlignmentFlag.AlignTop)
        for text, field in rows:
            form.addRow(self._label(text, field), field)
        return section

    def _label(self, text: str, field: Any) -> QLabel:
        label = QLabel(text)
        label.setBuddy(field)
        tip = getattr(field, "box", field).toolTip()
        label.setToolTip(tip)
        field.setAccessibleName(text.replace("&", ""))
        self._labels[field] = label, tip
        return label

    def _connect(self) -> None:
        boxes = (self.method, self.refiner, self.foundation, self.masks, self.preset)
        for box in (*boxes, self.precision):
            box.currentIndexChanged.connect(self._on_changed)
        lists = (self.background, self.templates, self.windows)
        for field in (self.model, self.diffusion, self.sam, *lists):
            field.changed.connect(self._on_changed)
        for line in (self.shorter_side, self.stride, self.seed):
            line.textChanged.connect(self._on_changed)
        self.device.currentTextChanged.connect(self._on_changed)
        self.offline.toggled.connect(self._on_changed)
        self.further.clicked.connect(self._on_further)

    def _on_changed(self) -> None:
        self._refresh()
        self.changed.emit()

    def _on_further(self) -> None:
        self._further, self._with_tiles = {}, _DEFAULT
        self._on_changed()

    def set_tiles(self, config: SegmentationConfig) -> None:
        """Show the tiles of a configuration without a signal; the other fields stay."""
        self._with_tiles = config
        self._refresh()

    # ------------------------------------------------------------------ values

    def config(self) -> SegmentationConfig:
        """The configuration in the form.

        Raises
        ------
        InvalidInputError
            For an invalid configuration.
        """
        if self._config is None:
            self._config = self._read()
        return self._config

    def _read(self) -> SegmentationConfig:
        if not self.model.value():
            raise InvalidInputError(ui_text.NO_MODEL_NAMED)
        outline = self.outline()
        config = SegmentationConfig(
            method=self.method.value(),
            model=self.model.value(),
            refiner=self.refiner.value(),
            diffusion_model=self._diffusion(needed=outline.needs_diffusion),
            foundation_model=self.foundation.value(),
            sam_model=self._sam(needed=outline.needs_sam),
            masks=self._mask_source(),
            background=self.background.value(),
            templates=self.templates.value(),
            preset=self.preset.value(),
            shorter_side=self.shorter_side.value(),
            window=self.windows.value(),
            stride=self.stride.value(),
            device=self.device.value(),
            precision=self.precision.value(),
            seed=self.seed.value(),
            offline=self.offline.isChecked(),
            **self._further,
        )
        return with_tiles_of(config, self._with_tiles)

    def _diffusion(self, *, needed: bool) -> str:
        """The diffusion model; an invalid name is ignored if no diffusion model is used."""
        name: str = self.diffusion.value()
        if not name and needed:
            raise InvalidInputError(ui_text.NO_DIFFUSION_NAMED)
        if not needed:
            try:
                return replace(_DEFAULT, diffusion_model=name or "?").diffusion_model
            except InvalidInputError:
                return _DEFAULT.diffusion_model
        return name

    def _sam(self, *, needed: bool) -> str:
        """SAM; an invalid name is ignored if no SAM is used."""
        name: str = self.sam.value()
        if not name and needed:
            raise InvalidInputError(ui_text.NO_SAM_NAMED)
        if not needed:
            try:
                return replace(_DEFAULT, sam_model=name or "?").sam_model
            except InvalidInputError:
                return _DEFAULT.sam_model
        return name

    def mask_layer(self) -> str:
        """The name of the layer that is chosen as masks; empty for none."""
        value = self.masks.value()
        return value.name if isinstance(value, MaskLayer) else ""

    def offer_mask_layers(self, names: Sequence[str]) -> None:
        """Offer layers as masks, after the other sources."""
        entries = [(MaskLayer(name), name, ui_text.mask_layer_tip(name)) for name in names]
        self.masks.offer_after(len(MASK_NAMES), entries)
        self._config = None

    def _mask_source(self) -> MaskSource:
        """The source of masks; that of images without the chosen layer is the default."""
        value = self.masks.value()
        source: MaskSource = _DEFAULT.masks if isinstance(value, MaskLayer) else value
        return source

    def _shown_masks(self, config: SegmentationConfig) -> MaskLayer | MaskSource:
        """The entry for a configuration: a chosen layer stays, as no configuration names it."""
        value: MaskLayer | MaskSource = self.masks.value()
        kept = isinstance(value, MaskLayer) and config.masks == _DEFAULT.masks
        return value if kept else config.masks

    def outline(self) -> SegmentationConfig:
        """Method, model, refiner and preset; the default model while a name is being typed."""
        outline = SegmentationConfig(
            method=self.method.value(),
            refiner=self.refiner.value(),
            masks=self._mask_source(),
            preset=self.preset.value(),
        )
        try:
            return replace(outline, model=self.model.value())
        except InvalidInputError:
            return outline

    def set_config(self, config: SegmentationConfig) -> None:
        """Show a configuration without a signal."""
        with signals_blocked(self):
            for box, value in (
                (self.method, config.method),
                (self.refiner, config.refiner),
                (self.foundation, config.foundation_model),
                (self.masks, self._shown_masks(config)),
                (self.preset, config.preset),
                (self.device, config.device),
                (self.precision, config.precision),
            ):
                box.choose(value)
            fields: tuple[tuple[Any, Any], ...] = (
                (self.model, config.model),
                (self.diffusion, config.diffusion_model),
                (self.sam, config.sam_model),
                (self.background, config.background),
                (self.templates, config.templates),
                (self.windows, config.window),
                (self.shorter_side, config.shorter_side),
                (self.stride, config.stride),
                (self.seed, config.seed),
            )
            for field, value in fields:
                field.set_value(value)
            self.offline.setChecked(config.offline)
            self._further = {
                name: getattr(config, name)
                for name in FURTHER_NAMES
                if getattr(config, name) is not None
            }
            self._with_tiles = config
            self._refresh()

    def set_cached(self, on_disk: Mapping[str, bool]) -> None:
        """Show in the boxes which weights are on disk."""
        self._on_disk.update(on_disk)
        boxes = {
            "clip": self.model.box,
            "diffusion": self.diffusion.box,
            "foundation": self.foundation,
            "sam": self.sam.box,
        }
        with signals_blocked(self):
            for row in REGISTRY.values():
                box = boxes.get(row.kind)
                if box is not None:
                    box.relabel(row.name, weights_text(row, self._on_disk.get(row.name)))
            self._refresh()

    def on_disk(self, name: str) -> bool | None:
        """Whether weights are on disk; None if that is unknown."""
        return self._on_disk.get(name)

    # ------------------------------------------------------------------ dependent texts

    def _refresh(self) -> None:
        """Show what "as published" means now, and disable the fields that do not apply."""
        self._config = None
        outline = self.outline()
        settings = outline.settings()
        published = replace(outline, refiner=None).chosen_refiner
        self.refiner.relabel(PUBLISHED, ui_text.as_published(REFINERS[published].title))
        self.templates.box.relabel(
            PUBLISHED, ui_text.as_published(TEMPLATE_NAMES[settings.templates][0])
        )
        self.background.show_published(outline.chosen_background, demo=outline.model == "demo")
        self.shorter_side.setPlaceholderText(
            ui_text.as_published(ui_text.pixels(settings.shorter_side))
        )
        self.windows.show_published(settings.window, settings.shorter_side)
        self.stride.setPlaceholderText(ui_text.as_published(ui_text.pixels(settings.stride)))

        name = REFINERS[outline.chosen_refiner].title
        with_diffusion = ui_text.needs_diffusion(refiner=name)
        with_dino = ui_text.needs_dino(refiner=name)
        self._allow(self.diffusion, "" if outline.needs_diffusion else with_diffusion)
        self._allow(self.seed, "" if outline.needs_diffusion else with_diffusion)
        self._allow(self.foundation, "" if outline.needs_foundation else with_dino)
        with_sam = ui_text.needs_sam(refiner=name)
        self._allow(self.sam, "" if outline.needs_sam else with_sam)
        self._allow(self.masks, "" if outline.uses_masks else ui_text.MASKS_WHY_NOT)
        self._show_row(self.sam, shown=outline.needs_sam)
        self._show_row(self.masks, shown=outline.uses_masks)
        dino = replace(outline, foundation_model=None).chosen_foundation
        self.foundation.relabel(PUBLISHED, ui_text.as_published(dino))
        window = self.windows.shown(settings.window)
        self._allow(self.stride, "" if window else ui_text.WINDOWS_ARE_OFF)
        self._allow(self.preset, self._why_no_benchmark(outline))
        for field in (self.method, self.refiner, self.precision, self.device):
            field.explain("")
        for composite in (self.model, self.background, self.templates):
            composite.explain("")
        self.windows.box.explain("")
        tiles = self._with_tiles.tiles
        side = None if tiles is None else tiles.side
        self.further.setText(ui_text.further_settings(self._further, side))
        self.further.setVisible(bool(self._further) or tiles is not None)

    def _why_no_benchmark(self, outline: SegmentationConfig) -> str:
        """Why the preset makes no difference; empty if it does."""
        rows = {published_settings(outline.method, outline.model, name) for name in PRESET_NAMES}
        return "" if len(rows) > 1 else ui_text.one_preset(model=outline.model)

    def _show_row(self, field: QWidget, *, shown: bool) -> None:
        """Show or hide a row that few methods need; the page must fit a laptop."""
        field.setVisible(shown)
        self._labels[field][0].setVisible(shown)

    def _allow(self, field: Any, why_grey: str) -> None:
        label, tip = self._labels[field]
        label.setEnabled(not why_grey)
        label.setToolTip(why_grey or tip)
        field.explain(why_grey)
