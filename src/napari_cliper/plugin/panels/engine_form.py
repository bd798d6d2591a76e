"""The engine's form: one row for each wish of a `SegmentationConfig`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from qtpy.QtCore import Qt, Signal
from qtpy.QtWidgets import (
    QCheckBox,
    QFileDialog,
    QFormLayout,
    QLabel,
    QPushButton,
    QSizePolicy,
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
    SegmentationConfig,
    published_settings,
)
from .engine_fields import PUBLISHED, Choice, DeviceBox, NumberEdit, Own, OwnChoice
from .engine_lists import BackgroundField, WindowsField
from .engine_text import (
    DEVICES,
    FURTHER_NAMES,
    PRECISION_NAMES,
    PRESET_NAMES,
    TEMPLATE_NAMES,
    weights_text,
)

_DEFAULT = SegmentationConfig()


def _ask_checkpoint(parent: QWidget) -> str:
    patterns = "Checkpoints (*.safetensors *.bin *.pt *.pth)"
    path, _ = QFileDialog.getOpenFileName(parent, "A checkpoint of CLIP", "", patterns)
    return str(path)


def _ask_folder(parent: QWidget) -> str:
    return str(QFileDialog.getExistingDirectory(parent, "A diffusers folder"))


def _registered(kind: str) -> list[tuple[str, str, str]]:
    """Entries of a box for the weights of a kind."""
    return [
        (row.name, weights_text(row, on_disk=None), row.purpose)
        for row in REGISTRY.values()
        if row.kind == kind
    ]


class EngineForm(QWidget):
    """Rows for what a run does; `changed` tells of any of them."""

    changed = Signal()

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._on_disk: dict[str, bool] = {}
        self._further: dict[str, Any] = {}
        self._labels: dict[QWidget, tuple[QLabel, str]] = {}

        self.method = Choice("How CLIP's patches are read.")
        for method in METHODS.values():
            self.method.add(method.name, method.title, method.description)
        self.model = OwnChoice(
            "The CLIP that knows the words.",
            _registered("clip"),
            Own("another", "open_clip:NAME/TAG, or a file", browse=_ask_checkpoint),
        )
        self.refiner = Choice("What sharpens the borders of the coarse map.")
        self.refiner.add(
            PUBLISHED,
            "as published",
            "Stable Diffusion for CLIPer, none for the other methods, PAMR for the demo model.",
        )
        for refiner in REFINERS.values():
            self.refiner.add(refiner.name, refiner.title, refiner.description)
        self.diffusion = OwnChoice(
            "Which Stable Diffusion refines.",
            _registered("diffusion"),
            Own("a folder\N{HORIZONTAL ELLIPSIS}", "a diffusers folder", browse=_ask_folder),
        )
        self.foundation = Choice("Which DINO the method or the refiner looks through.")
        for entry in _registered("foundation"):
            self.foundation.add(*entry)
        self.background = BackgroundField(
            "Words for what is in the image but is no class. They compete with the classes."
        )
        self.templates = OwnChoice(
            "The sentences that a word is put into before CLIP reads it.",
            [(PUBLISHED, "as published", "What the published settings say.")]
            + [(name, *TEMPLATE_NAMES[name]) for name in TEMPLATE_SETS],
            Own(
                "own sentences",
                "a {} in a microscope | a stained {}",
                parse=lambda text: tuple(part.strip() for part in text.split("|")),
                show=" | ".join,
            ),
        )
        self.protocol = Choice("Whose published numbers fill what is left as published.")
        for name, words in PRESET_NAMES.items():
            self.protocol.add(name, *words)
        self.shorter_side = NumberEdit(
            "What the image's shorter side is resized to, in pixels. Empty or 0: as published."
        )
        self.windows = WindowsField("Whether CLIP sees the image whole or window by window.")
        self.stride = NumberEdit(
            "The distance of the windows, in pixels. Empty or 0: as published."
        )
        self.device = DeviceBox("What computes. Another one can be typed, such as cuda:1.")
        for name, tip in DEVICES.items():
            self.device.add(name, name, tip)
        self.precision = Choice("What the networks compute in.")
        for precision in PRECISIONS:
            self.precision.add(precision, precision, PRECISION_NAMES[precision])
        self.seed = NumberEdit("Of the noise that Stable Diffusion starts from.", zero=0)
        self.seed.setPlaceholderText("0")
        self.offline = QCheckBox("Offline")
        self.offline.setToolTip("Never ask the network; use what is on disk.")
        self.further = QPushButton()
        self._lay_out()
        self._connect()
        self.set_config(_DEFAULT)

    # ------------------------------------------------------------------ layout

    def _lay_out(self) -> None:
        form = QFormLayout(self)
        form.setContentsMargins(0, 0, 0, 0)
        form.setVerticalSpacing(4)
        form.setHorizontalSpacing(4)
        form.setFieldGrowthPolicy(QFormLayout.FieldGrowthPolicy.AllNonFixedFieldsGrow)
        form.setLabelAlignment(Qt.AlignmentFlag.AlignLeft | Qt.AlignmentFlag.AlignTop)
        for text, field in (
            ("&Method", self.method),
            ("Mo&del", self.model),
            ("Refiner", self.refiner),
            ("Diffusion", self.diffusion),
            ("DINO", self.foundation),
            ("Bac&kground", self.background),
            ("Prompts", self.templates),
            ("Tuned for", self.protocol),
            ("Shorter side", self.shorter_side),
            ("Windows", self.windows),
            ("Stride", self.stride),
            ("Device", self.device),
            ("Precision", self.precision),
            ("Seed", self.seed),
        ):
            label = QLabel(text)
            label.setBuddy(field)
            shown: Any = getattr(field, "box", field)
            tip = shown.toolTip()
            label.setToolTip(tip)
            field.setAccessibleName(text.replace("&", ""))
            form.addRow(label, field)
            self._labels[field] = label, tip
        form.addRow(self.offline)
        self.further.setToolTip(
            "These came with the configuration. Press to leave them as published."
        )
        self.further.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Fixed)
        form.addRow(self.further)

    def _connect(self) -> None:
        for box in (self.method, self.refiner, self.foundation, self.protocol, self.precision):
            box.currentIndexChanged.connect(self._on_changed)
        for field in (self.model, self.diffusion, self.background, self.templates, self.windows):
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
        self._further = {}
        self._on_changed()

    # ------------------------------------------------------------------ values

    def config(self) -> SegmentationConfig:
        """The wishes.

        Raises
        ------
        InvalidInputError
            For wishes that cannot work.
        """
        if not self.model.value():
            raise InvalidInputError(
                "No model is named. Type open_clip:NAME/TAG, or choose a checkpoint file."
            )
        return SegmentationConfig(
            method=self.method.value(),
            model=self.model.value(),
            refiner=self.refiner.value(),
            diffusion_model=self._diffusion(),
            foundation_model=self.foundation.value(),
            background=self.background.value(),
            templates=self.templates.value(),
            protocol=self.protocol.value(),
            shorter_side=self.shorter_side.value(),
            window=self.windows.value(),
            stride=self.stride.value(),
            device=self.device.value(),
            precision=self.precision.value(),
            seed=self.seed.value(),
            offline=self.offline.isChecked(),
            **self._further,
        )

    def _diffusion(self) -> str:
        """The diffusion model; a name that cannot work is passed over where none is used."""
        name: str = self.diffusion.value()
        needed = self.outline().needs_diffusion
        if not name and needed:
            raise InvalidInputError(
                "No folder is named for the diffusion model. Type one, or choose another model."
            )
        if not needed:
            try:
                return replace(_DEFAULT, diffusion_model=name or "?").diffusion_model
            except InvalidInputError:
                return _DEFAULT.diffusion_model
        return name

    def outline(self) -> SegmentationConfig:
        """Method, model, refiner and protocol; while a model is being typed, as for the default."""
        wishes = SegmentationConfig(
            method=self.method.value(),
            refiner=self.refiner.value(),
            protocol=self.protocol.value(),
        )
        try:
            return replace(wishes, model=self.model.value())
        except InvalidInputError:
            return wishes

    def set_config(self, config: SegmentationConfig) -> None:
        """Show a configuration; tells nobody."""
        with signals_blocked(self):
            for box, value in (
                (self.method, config.method),
                (self.refiner, config.refiner),
                (self.foundation, config.foundation_model),
                (self.protocol, config.protocol),
                (self.device, config.device),
                (self.precision, config.precision),
            ):
                box.choose(value)
            fields: tuple[tuple[Any, Any], ...] = (
                (self.model, config.model),
                (self.diffusion, config.diffusion_model),
                (self.background, config.background),
                (self.templates, config.templates),
                (self.windows, config.window),
                (self.shorter_side, config.shorter_side),
                (self.stride, config.stride),
                (self.seed, config.seed),
            )
            for field, request in fields:
                field.set_value(request)
            self.offline.setChecked(config.offline)
            self._further = {
                name: getattr(config, name)
                for name in FURTHER_NAMES
                if getattr(config, name) is not None
            }
            self._refresh()

    def set_cached(self, on_disk: Mapping[str, bool]) -> None:
        """Say in the boxes what is on disk."""
        self._on_disk.update(on_disk)
        boxes = {"clip": self.model.box, "diffusion": self.diffusion.box}
        with signals_blocked(self):
            for row in REGISTRY.values():
                box = boxes.get(row.kind, self.foundation)
                box.relabel(row.name, weights_text(row, self._on_disk.get(row.name)))
            self._refresh()

    def on_disk(self, name: str) -> bool | None:
        """Whether weights are on disk; None where it is not known."""
        return self._on_disk.get(name)

    # ------------------------------------------------------------------ what follows from them

    def _refresh(self) -> None:
        """Say what "as published" means now, and make grey what does not apply."""
        outline = self.outline()
        settings = outline.settings()
        published = replace(outline, refiner=None).chosen_refiner
        self.refiner.relabel(PUBLISHED, f"as published ({REFINERS[published].title})")
        self.templates.box.relabel(
            PUBLISHED, f"as published ({TEMPLATE_NAMES[settings.templates][0]})"
        )
        self.background.show_published(outline.chosen_background, demo=outline.model == "demo")
        self.shorter_side.setPlaceholderText(f"as published ({settings.shorter_side} px)")
        self.windows.show_published(settings.window, settings.shorter_side)
        self.stride.setPlaceholderText(f"as published ({settings.stride} px)")

        name = REFINERS[outline.chosen_refiner].title
        with_diffusion = f"Only Stable Diffusion as the refiner uses it; now there is {name}."
        with_dino = f"Only ProxyCLIP and the refiner DINO use it; now there is {name}."
        self._allow(self.diffusion, "" if outline.needs_diffusion else with_diffusion)
        self._allow(self.seed, "" if outline.needs_diffusion else with_diffusion)
        self._allow(self.foundation, "" if outline.needs_foundation else with_dino)
        window = self.windows.shown(settings.window)
        self._allow(self.stride, "" if window else "There are no windows.")
        self._allow(self.protocol, self._why_no_benchmark(outline))
        for field in (self.method, self.refiner, self.precision, self.device):
            field.explain("")
        for composite in (self.model, self.background, self.templates):
            composite.explain("")
        self.windows.box.explain("")
        further = ", ".join(f"{FURTHER_NAMES[k]} {v:g}" for k, v in self._further.items())
        self.further.setText(f"Also: {further} \N{MULTIPLICATION SIGN}")
        self.further.setVisible(bool(further))

    def _why_no_benchmark(self, outline: SegmentationConfig) -> str:
        """Why the data set of the published numbers makes no difference, if so."""
        rows = {published_settings(outline.method, outline.model, name) for name in PRESET_NAMES}
        return "" if len(rows) > 1 else f"{outline.model} has one set of numbers for all images."

    def _allow(self, field: Any, why_grey: str) -> None:
        label, tip = self._labels[field]
        label.setEnabled(not why_grey)
        label.setToolTip(why_grey or tip)
        field.explain(why_grey)
