"""User configuration and published settings of the engine, as frozen dataclasses.

`SegmentationConfig` is the user's configuration; None stands for the published value. `Settings`
holds every number that a method needs. `presets.csv` has the published settings for each
benchmark dataset; the defaults are those of ``voc21`` for the method and model.
"""

from __future__ import annotations

import csv
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, fields, replace
from functools import cache, lru_cache
from importlib.resources import files
from pathlib import Path
from types import MappingProxyType
from typing import Any, Literal, get_args

from .errors import InvalidInputError, unknown_choice
from .labelling.thresholds import Thresholds
from .methods.table import METHODS
from .models import registry
from .models.registry import Network
from .prompts import BACKGROUND_WORDS, TEMPLATE_SETS, check_templates, several
from .refiners.table import REFINERS
from .tables import Rule, choose
from .tiles import DIFFUSION_SIDE, Tiles

Precision = Literal["auto", "float32", "float16", "bfloat16"]

PRECISIONS: tuple[Precision, ...] = get_args(Precision)

MaskSource = Literal["superpixels", "sam", "none"]

MASK_SOURCES: tuple[MaskSource, ...] = get_args(MaskSource)
"""Where masks come from that are not given: superpixels of similar colour, masks of SAM, none."""

DEFAULT_PRESET = "voc21"

DEFAULT_STRIDE = 112
"""Of methods that were published without sliding windows, if they are turned on."""

_TOO_LARGE = 2**63  # what torch's seeds and sizes cannot hold


@dataclass(frozen=True)
class Settings:
    """Every number a method needs.

    Parameters
    ----------
    shorter_side : int
        Length in pixels to which the image's shorter side is resized.
    window, stride : int
        Side and stride of the sliding windows, in pixels; a window of 0 turns them off.
    select_layer : int
        Index of the layer whose map is combined with the attention (CLIPer).
    logit_scale : float
        Factor of the cosine similarities before the softmax.
    attention_threshold : float
        Fraction of the maximum below which values are set to 0, in the coarse map and in the
        diffusion model's attention (CLIPer).
    class_threshold : float
        A class is present only if its score is above this.
    background_threshold : float
        A pixel whose best score is below this is background.
    min_max : bool
        Whether each class is min-max normalised over the image first (CLIPer).
    area_threshold : float
        A class that covers no more than this share of the labelled pixels is absent
        (SCLIP).
    templates : str
        Name of the prompt template set.
    validated : bool
        Whether these settings were published for this method and model.
    numbers : tuple of (str, float)
        Further numbers of the method that differ between benchmarks, by their names in its program.
    """

    shorter_side: int
    window: int
    stride: int
    select_layer: int
    logit_scale: float
    attention_threshold: float
    class_threshold: float
    background_threshold: float
    min_max: bool
    area_threshold: float
    templates: str
    validated: bool = True
    numbers: tuple[tuple[str, float], ...] = ()

    def number(self, name: str) -> float:
        """Return one of `numbers`, 0 if it is not set."""
        return dict(self.numbers).get(name, 0.0)

    @property
    def thresholds(self) -> Thresholds:
        """The default thresholds of the method and model."""
        return Thresholds(self.class_threshold, self.background_threshold, self.min_max)

    @property
    def as_dict(self) -> dict[str, Any]:
        """The settings as plain values; without `numbers` if the method has none."""
        values = asdict(self)
        numbers = values.pop("numbers")
        return values | ({"numbers": dict(numbers)} if numbers else {})


def _number(text: str) -> float:
    return float(text) if text else 0.0


def _extra_number(text: str) -> float:
    return {"yes": 1.0, "no": 0.0}[text] if text in ("yes", "no") else float(text)


def _rows(name: str) -> Iterator[dict[str, str]]:
    text = (files(__package__) / name).read_text(encoding="utf-8")
    yield from csv.DictReader(text.splitlines())


@cache
def presets() -> Mapping[tuple[str, str, str], Settings]:
    """The published settings by method, model and dataset."""
    numbers = {}
    for row in _rows("presets_extra.csv"):
        values = map(_extra_number, row["value"].split())
        pairs = zip(row["key"].split(), values, strict=True)
        numbers[row["method"], row["protocol"]] = tuple(pairs)
    table = {}
    for row in _rows("presets.csv"):
        model = row["model"].replace(" ", "-")  # MetaCLIP ViT-B/16, as the registry names it
        table[row["method"], model, row["protocol"]] = Settings(
            shorter_side=int(row["shorter_side"]),
            # "0 or 336": without windows, or with windows of this side
            window=int(row["window"].split()[0]),
            stride=int(row["stride"] or DEFAULT_STRIDE),
            select_layer=int(row["select_layer"] or -1),
            logit_scale=float(row["logit_scale"]),
            attention_threshold=_number(row["attention_thr"]),
            class_threshold=_number(row["class_thr"]),
            background_threshold=_number(row["background_thr"] or row["prob_thr"]),
            min_max=row["min_max"] == "yes",
            area_threshold=_number(row["area_thr"]),
            templates=row["templates"],
            numbers=numbers.get((row["method"], row["protocol"]), ()),
        )
    return MappingProxyType(table)


_DEMO = Settings(
    shorter_side=224, window=0, stride=112, select_layer=-1, logit_scale=50,
    attention_threshold=0.3, class_threshold=0.9, background_threshold=0.4, min_max=True,
    area_threshold=0, templates="cliper-15", validated=False,
)  # fmt: skip
"""For the demo model; chosen on scenes that are in neither its training nor its test set."""

_VIT_H = Settings(
    shorter_side=336, window=0, stride=112, select_layer=-2, logit_scale=100,
    attention_threshold=0.1, class_threshold=0.7, background_threshold=0.6, min_max=True,
    area_threshold=0, templates="cliper-15", validated=False,
)  # fmt: skip
"""For ViT-H/14. CLIPer's authors give one row for it, without results of its own."""

_NOT_VALIDATED: Mapping[tuple[str, str], Settings] = MappingProxyType(
    {("cliper", "ViT-H/14"): _VIT_H}
)
"""Settings without published figures, by method and model; the same for every dataset."""


@lru_cache(maxsize=256)  # asked for each configuration
def published_settings(method: str, model: str, preset: str = DEFAULT_PRESET) -> Settings:
    """The published settings of a method and model, or those of the most similar model.

    Parameters
    ----------
    method : str
        A name in `METHODS`.
    model : str
        Any model that `SegmentationConfig` accepts. A model without published settings gets those
        of ViT-L/14 if its name contains "ViT-L", otherwise those of ViT-B/16, with `validated`
        False.
    preset : str
        A dataset of ``presets.csv``. One that was not published for the method gets the settings of
        the default preset, with `validated` False.
    """
    rows = presets()
    known = sorted({name for _, _, name in rows})
    if preset not in known:
        raise unknown_choice("preset", preset, known)
    row = choose("method", method, METHODS)
    source = row.published_with
    like = (source, _most_similar(source, model), preset)
    if like not in rows:
        like = (*like[:2], DEFAULT_PRESET)
    if model == "demo":
        by_probability = replace(
            _DEMO, class_threshold=0.0, background_threshold=0.0, min_max=False
        )
        demo = _DEMO if row.rule == "cliper" else by_probability
        return replace(demo, numbers=rows[like].numbers)
    if (source, model) in _NOT_VALIDATED:
        return _NOT_VALIDATED[source, model]
    return replace(rows[like], validated=like == (method, model, preset))


def _most_similar(method: str, model: str) -> str:
    """The model whose published settings of a method apply to `model`."""
    known = list(dict.fromkeys(name for of, name, _ in presets() if of == method))
    size = "ViT-L/14" if "vit-l" in model.lower() else "ViT-B/16"
    names = (model, size, *(name for name in known if name.endswith(size)), *known)
    return next(name for name in names if name in known)


@dataclass(frozen=True)
class SegmentationConfig:
    """Configuration of the engine. Every field has a working default.

    Parameters
    ----------
    method : str
        Segmentation method, a name in `METHODS`: ``"cliper"``, ``"scclip"``, ``"proxyclip"``, ...
    model : str
        CLIP model: ``"ViT-B/16"``, ``"ViT-L/14"``, ``"ViT-H/14"``, ``"demo"``,
        ``"open_clip:NAME/TAG"``, ``"open_clip:NAME/FILE"`` or a checkpoint file.
    refiner : str, optional
        Refiner of the coarse maps: ``"stable-diffusion"``, ``"stable-diffusion-mean"``,
        ``"stable-diffusion-tiny"``, ``"foundation"``, ``"sam"``, ``"pamr"`` or ``"none"``, the
        names in `REFINERS`. Default: that of the method (Stable Diffusion for CLIPer, SAM for
        Trident, none for the others), and PAMR for the demo model.
    diffusion_model : str
        ``"stable-diffusion-2.1"``, ``"stable-diffusion-1.5"`` or a folder in diffusers format.
    foundation_model : str, optional
        Vision model of ProxyCLIP, CorrCLIP and Trident, and of the refiner ``"foundation"``:
        ``"dino-vitb8"``, ... Default: that of the method.
    sam_model : str
        SAM of Trident, of the refiner ``"sam"`` and of the masks ``"sam"``: ``"sam-vit-base"``,
        another name of the registry, or a folder. Trident needs ``"sam-vit-base"``.
    masks : {'superpixels', 'sam', 'none'}
        Where CorrCLIP takes the masks of an image from that is given without masks.
    background : tuple of str, optional
        Words for what is in the image besides the classes. Default: the list ``"photo"`` of
        `BACKGROUND_WORDS`, or ``"demo"`` for the demo model.
    templates : str or tuple of str, optional
        ``"cliper-15"``, ``"openai-80"``, ``"openai-7"``, ``"word"``, or templates with ``{}``.
    preset : str
        Benchmark whose published settings replace the fields that are None.
    shorter_side, window, stride, select_layer, logit_scale, attention_threshold : optional
        See `Settings`.
    tiles : Tiles, optional
        Encode the image in tiles instead of as a whole, so that small objects in a large image are
        found. Sliding windows are not used then.
    device : str
        ``"auto"``, ``"cpu"``, ``"cuda"``, ``"cuda:1"``, ``"mps"``.
    precision : {'auto', 'float32', 'float16', 'bfloat16'}
        Data type that the networks compute in. ``"auto"``: float16 on CUDA, float32 elsewhere.
    seed : int
        Seed of the diffusion model's noise.
    offline : bool
        Whether to use only weights that are on disk, and never download.

    Raises
    ------
    InvalidInputError
        For a value of the wrong type, an unknown name, a number out of range, and a stride larger
        than the window.
    """

    method: str = "cliper"
    model: str = "ViT-B/16"
    refiner: str | None = None
    diffusion_model: str = "stable-diffusion-2.1"
    foundation_model: str | None = None
    sam_model: str = "sam-vit-base"
    masks: MaskSource = "superpixels"
    background: tuple[str, ...] | None = None
    templates: str | tuple[str, ...] | None = None
    preset: str = DEFAULT_PRESET
    shorter_side: int | None = None
    window: int | None = None
    stride: int | None = None
    select_layer: int | None = None
    logit_scale: float | None = None
    attention_threshold: float | None = None
    tiles: Tiles | None = None
    device: str = "auto"
    precision: Precision = "auto"
    seed: int = 0
    offline: bool = False

    def __post_init__(self) -> None:
        """Check all fields."""
        from .type_checks import check_fields  # noqa: PLC0415 - pydantic, not for --help

        check_fields(self)
        choose("method", self.method, METHODS)
        if self.refiner is not None:
            choose("refiner", self.refiner, REFINERS)
        _check_choice("precision", self.precision, PRECISIONS)
        _check_model(self.model)
        _check_diffusion(self.diffusion_model)
        if self.foundation_model is not None:
            registry.entry(self.foundation_model, "foundation")
        _check_sam(self.sam_model, attention="sam" in METHODS[self.method].needs)
        _check_choice("source of masks", self.masks, MASK_SOURCES)
        if isinstance(self.templates, str):
            _check_choice("template set", self.templates, TEMPLATE_SETS)
        elif self.templates is not None:
            object.__setattr__(self, "templates", tuple(self.templates))
            check_templates(self.templates)
        if self.background is not None:
            object.__setattr__(self, "background", several("background", self.background))
        for name, least in (
            ("shorter_side", 32), ("window", 0), ("stride", 1), ("logit_scale", 1e-3), ("seed", 0),
            ("attention_threshold", 0),
        ):  # fmt: skip
            value = getattr(self, name)
            if value is not None and not least <= value < _TOO_LARGE:
                limit = f"at least {least}" if not value >= least else "smaller than 2**63"
                raise InvalidInputError(f"{name} is {value}; it must be {limit}.")
        settings = self.settings()
        if 0 < settings.window < settings.stride:
            raise InvalidInputError(
                f"Windows of {settings.window} pixels at a stride of {settings.stride} would leave "
                f"gaps between them. Choose a stride of at most {settings.window}."
            )
        if self.tiles is not None and self.needs_diffusion and self.tiles.side < DIFFUSION_SIDE:
            raise InvalidInputError(
                f"Stable Diffusion needs tiles of at least {DIFFUSION_SIDE} px, not "
                f"{self.tiles.side}. Choose larger tiles or another refiner, such as 'pamr'."
            )

        if self.tiles is not None and not REFINERS[self.chosen_refiner].tiles:
            raise InvalidInputError(
                f"The refiner {self.chosen_refiner!r} sees the whole image and cannot be used with "
                "tiles. Choose another refiner, such as 'pamr', or no tiles."
            )

    def settings(self) -> Settings:
        """Return the published settings, overridden by the fields that are not None."""
        base = published_settings(self.method, self.model, self.preset)
        overrides = {
            field.name: getattr(self, field.name)
            for field in fields(Settings)
            if field.name != "templates" and getattr(self, field.name, None) is not None
        }
        if isinstance(self.templates, str):
            overrides["templates"] = self.templates
        elif self.templates is not None:
            overrides["templates"] = "own"
        return replace(base, **overrides)

    @property
    def rule(self) -> Rule:
        """Which labelling rule the method uses."""
        return METHODS[self.method].rule

    @property
    def chosen_refiner(self) -> str:
        """The refiner, or the default of the method and model."""
        if self.refiner is not None:
            return self.refiner
        return "pamr" if self.model == "demo" else METHODS[self.method].refiner

    @property
    def chosen_foundation(self) -> str:
        """The foundation model, or that of the method."""
        return self.foundation_model or METHODS[self.method].foundation

    @property
    def refines(self) -> bool:
        """Whether refined maps are computed in addition to the coarse ones."""
        return REFINERS[self.chosen_refiner].make is not None

    @property
    def chosen_background(self) -> tuple[str, ...]:
        """The background words, or the default list."""
        if self.background is not None:
            return self.background
        return BACKGROUND_WORDS["demo" if self.model == "demo" else "photo"]

    @property
    def embedding_key(self) -> tuple[object, ...]:
        """The fields that an embedding depends on; configurations with equal keys can share one."""
        settings = self.settings()
        made_with: Mapping[Network, tuple[object, ...]] = {
            "diffusion": (self.diffusion_model, self.seed, settings.attention_threshold),
            "foundation": (self.chosen_foundation,),
            "sam": (self.sam_model,),
        }
        masks = self.masks if self.uses_masks else ""
        return (
            *(self.method, self.model, self.device, self.precision, masks),
            *(
                settings.shorter_side,
                settings.window,
                settings.stride,
                settings.numbers,
                self.tiles,
            ),
            REFINERS[self.chosen_refiner].reads,
            *(made_with[network] for network in self.networks),
        )

    @property
    def tile_overlap(self) -> int:
        """Default overlap of the tiles, in pixels of the image; 0 without tiles."""
        side = 0 if self.tiles is None else self.tiles.side
        return side // (2 if self.needs_diffusion else 4)

    @property
    def networks(self) -> tuple[Network, ...]:
        """The networks that are used in addition to CLIP."""
        method, refiner = METHODS[self.method], REFINERS[self.chosen_refiner].needs
        masks: tuple[Network, ...] = ("sam",) if method.uses_masks and self.masks == "sam" else ()
        needed = (*method.needs, *((refiner,) if refiner else ()), *masks)
        return tuple(dict.fromkeys(needed))

    @property
    def weights(self) -> tuple[str, ...]:
        """The names of all networks that are used, CLIP first."""
        names: Mapping[Network, tuple[str, ...]] = {
            "diffusion": tuple(filter(None, (self.diffusion_model, self.autoencoder))),
            "foundation": (self.chosen_foundation,),
            "sam": (self.sam_model,),
        }
        return (self.model, *(name for network in self.networks for name in names[network]))

    @property
    def uses_masks(self) -> bool:
        """Whether the method uses masks."""
        return METHODS[self.method].uses_masks

    @property
    def needs_foundation(self) -> bool:
        """Whether a vision foundation model is used."""
        return "foundation" in self.networks

    @property
    def autoencoder(self) -> str:
        """The image encoder that replaces that of Stable Diffusion; empty for its own."""
        return REFINERS[self.chosen_refiner].autoencoder

    @property
    def needs_diffusion(self) -> bool:
        """Whether Stable Diffusion is used."""
        return "diffusion" in self.networks

    @property
    def needs_sam(self) -> bool:
        """Whether SAM is used."""
        return "sam" in self.networks


def _check_choice(what: str, value: str, known: tuple[str, ...]) -> None:
    if value not in known:
        raise unknown_choice(what, value, known)


def _check_model(model: str) -> None:
    """Refuse a name that is not in the registry, not an open_clip name and not a checkpoint."""
    if model.startswith("open_clip:"):
        name, slash, tag = model.removeprefix("open_clip:").partition("/")
        if not (name and slash and tag):
            raise InvalidInputError(
                f"{model!r} is incomplete. Write open_clip:NAME/TAG, such as "
                "open_clip:ViT-B-16/laion2b_s34b_b88k."
            )
    elif not model.endswith((".safetensors", ".bin", ".pt", ".pth")):
        registry.refuse_siglip(model)
        registry.entry(model, "clip")


def _check_diffusion(model: str) -> None:
    """Refuse a name that is neither in the registry nor a folder."""
    path = Path(model)
    if not model or (path.name == model and not path.is_dir()):
        registry.entry(model, "diffusion")


def _check_sam(model: str, *, attention: bool) -> None:
    """Refuse a name that is neither in the registry nor a folder, and no attention if needed."""
    if model and model not in registry.REGISTRY and Path(model).is_dir():
        return
    row = registry.entry(model, "sam")
    if attention and not row.patch:
        able = [one.name for one in registry.REGISTRY.values() if one.kind == "sam" and one.patch]
        raise InvalidInputError(
            f"Trident needs attention that {model} does not have. Choose {' or '.join(able)}."
        )
