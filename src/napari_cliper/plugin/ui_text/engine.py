"""Texts of the engine panel: models, settings, downloads."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING

from ...workflows.quantities import size_text

if TYPE_CHECKING:
    from ...segmentation import WeightsEntry

PRESET_NAMES: Mapping[str, tuple[str, str]] = MappingProxyType(
    {
        "voc21": ("VOC, with background", "PASCAL VOC: 20 object classes and background."),
        "voc20": ("VOC, no background", "PASCAL VOC: 20 object classes, no background."),
        "context60": ("Context, with background", "PASCAL Context: 59 classes and background."),
        "context59": ("Context, no background", "PASCAL Context: 59 classes, no background."),
        "coco-object": ("COCO Object", "COCO: 80 object classes and background."),
        "coco-stuff": ("COCO Stuff", "COCO: 171 object and surface classes, no background."),
        "ade20k": ("ADE20K", "ADE20K: 150 classes of indoor and outdoor scenes."),
        "cityscapes": ("Cityscapes", "Cityscapes: 19 classes of street scenes."),
    }
)
"""Name and tooltip by preset."""
TEMPLATE_NAMES: Mapping[str, tuple[str, str]] = MappingProxyType(
    {
        "cliper-15": ("15 by CLIPer", "Sentences such as 'a photo of a small cat.'"),
        "openai-80": ("80 by OpenAI", "OpenAI's long list of sentences; the first run is slower."),
        "openai-7": ("7 by OpenAI", "OpenAI's short list of sentences."),
        "word": ("word only", "The word without a sentence."),
    }
)
"""Name and tooltip by template set."""
MASK_NAMES: Mapping[str, tuple[str, str]] = MappingProxyType(
    {
        "superpixels": ("superpixels", "About a hundred regions of similar colour; no download."),
        "sam": ("SAM", "The regions that SAM finds; takes long on a CPU."),
        "none": ("none", "Patches attend to all patches that are similar."),
    }
)
"""Name and tooltip by source of masks."""
PRECISION_NAMES: Mapping[str, str] = MappingProxyType(
    {
        "auto": "float16 on CUDA, float32 elsewhere.",
        "float32": "Most exact; needs the most memory.",
        "float16": "Half the memory on a GPU; does not work on a CPU.",
        "bfloat16": "Half the memory, on newer GPUs and some CPUs.",
    }
)
"""Tooltip by precision."""
DEVICES: Mapping[str, str] = MappingProxyType(
    {
        "auto": "The fastest available device: CUDA, then MPS, then the CPU.",
        "cpu": "The processor; always works.",
        "cuda": "An NVIDIA GPU. Type cuda:1 for the second one.",
        "mps": "The GPU of an Apple computer.",
    }
)
"""Tooltip by device. Only torch knows which are available, and a form must not load torch."""
FURTHER_NAMES: Mapping[str, str] = MappingProxyType(
    {
        "select_layer": "layer",
        "logit_scale": "logit scale",
        "attention_threshold": "attention threshold",
    }
)
"""Settings without a row in the form, which a configuration may include."""
METHOD_LABEL = "Method"
METHOD_TIP = "How the patch features of CLIP are computed."
MODEL_LABEL = "Model"
MODEL_TIP = "The CLIP model that compares words with the image."
REFINER_LABEL = "Refiner"
REFINER_TIP = "How the borders of the coarse map are refined."
DIFFUSION_LABEL = "Diffusion"
DIFFUSION_TIP = "The Stable Diffusion model of the refiner."
DINO_LABEL = "DINO"
DINO_TIP = "The DINO model that ProxyCLIP, CorrCLIP, Trident or the refiner DINO uses."
DINO_PUBLISHED_TIP = "The DINO model that the method was published with."
SAM_LABEL = "SAM"
SAM_TIP = "The SAM that Trident, the refiner SAM or masks of SAM use."
SAM_FOLDER_TITLE = "Choose a folder with a SAM"
OTHER_SAM_PLACEHOLDER = "a folder with a SAM"
NO_SAM_NAMED = "No folder is named for SAM. Type one, or choose another model."
MASKS_LABEL = "Masks"
MASKS_TIP = "The masks within which CorrCLIP compares patches. Each mask gets one label."
MASKS_WHY_NOT = "Used only by the method CorrCLIP."
BACKGROUND_LABEL = "Background"
BACKGROUND_TIP = (
    "Words for what is in the image but is none of the classes. They compete with the classes."
)
TEMPLATES_LABEL = "Prompts"
TEMPLATES_TIP = "The sentences into which each word is inserted before CLIP reads it."
PRESET_LABEL = "Preset"
PRESET_TIP = "The benchmark whose published values apply where a field says 'as published'."
SHORTER_SIDE_LABEL = "Shorter side"
SHORTER_SIDE_TIP = (
    "The shorter side of the image is resized to this many pixels. Empty or 0: as published."
)
WINDOWS_LABEL = "Windows"
WINDOWS_TIP = "Whether CLIP reads the whole image at once or in sliding windows."
STRIDE_LABEL = "Stride"
STRIDE_TIP = "The distance between windows, in pixels. Empty or 0: as published."
DEVICE_LABEL = "Device"
DEVICE_TIP = "The device that runs the networks. You can type another one, such as cuda:1."
PRECISION_LABEL = "Precision"
PRECISION_TIP = "The number type that the networks use."
SEED_LABEL = "Seed"
SEED_TIP = "The seed of the noise that Stable Diffusion starts from."
SEED_PLACEHOLDER = "0"
OFFLINE = "Offline"
OFFLINE_TIP = "Never use the network; use only models on disk."
FURTHER_TIP = (
    "Settings of the project that have no field here. Press to reset them to 'as published'."
)
AS_PUBLISHED = "as published"
REFINER_PUBLISHED_TIP = (
    "Stable Diffusion for CLIPer, SAM for Trident, PAMR for the demo model, none for the others."
)
TEMPLATES_PUBLISHED_TIP = "The sentences of the published settings."
OTHER_MODEL = "other ..."
OTHER_MODEL_PLACEHOLDER = "search open_clip, or a file"
OTHER_FOLDER = "a folder ..."
OTHER_FOLDER_PLACEHOLDER = "a diffusers folder"
OWN_TEMPLATES = "custom sentences"
OWN_TEMPLATES_PLACEHOLDER = "a {} in a microscope | a stained {}"
CHECKPOINT_FILES = "Checkpoints (*.safetensors *.bin *.pt *.pth)"
CHECKPOINT_TITLE = "Choose a CLIP checkpoint"
DIFFUSERS_TITLE = "Choose a diffusers folder"
NO_MODEL_NAMED = "No model is named. Type open_clip:NAME/TAG, or choose a checkpoint file."
NO_DIFFUSION_NAMED = (
    "No folder is named for the diffusion model. Type one, or choose another model."
)
WINDOWS_ARE_OFF = "Windows are off, so there is no stride."
WINDOW_SIDE_TIP = "The side of a window, in pixels."
WINDOW_SIDE_PLACEHOLDER = "side in pixels"
WINDOWS_OFF = "off"
WINDOWS_OFF_TIP = "The whole image at once."
WINDOWS_OWN = "custom size"
WINDOWS_OWN_TIP = "Windows with the side below."
NO_WINDOW_SIZE = "The window size is missing. Type the side in pixels, or choose 'off'."
BACKGROUND_OWN = "custom words"
BACKGROUND_OWN_TIP = "The words below, separated by commas."
BACKGROUND_PLACEHOLDER = "words, separated by commas"
NO_BACKGROUND_WORDS = "No background words."
DEMO_BACKGROUND_WHY_NOT = (
    "Only the demo model knows these backgrounds. Choose the demo model to use them."
)
NO_MODEL = "no model"
USE_PAMR = "The refiner PAMR needs no download."
OFFLINE_WHY_NOT = "Offline is ticked. Untick it to download."
DOWNLOAD = "Download"
BUSY_WHY_NOT = "Wait for the run to end, or cancel it."
MODEL_FOLD = "&Model"
REFINER_FOLD = "R&efiner"
PROMPTS_FOLD = "Prompts and bac&kground"
RESOLUTION_FOLD = "Resolution and precisi&on"
ENGINE_PRESETS: Mapping[str, tuple[str, str]] = MappingProxyType(
    {
        "demo": ("Demo", "A small model for the synthetic scenes. Nothing to download."),
        "fast": ("Fast", "CLIP, with borders refined by PAMR from the image alone."),
        "best": ("Best", "CLIP, with borders refined by Stable Diffusion. A GPU helps."),
    }
)
"""Title and purpose by preset of the engine."""
RESTRICTED = "A licence forbids some uses: read it before you download."


def browse_tip(placeholder: str) -> str:
    """The tooltip of a button that opens a file dialog."""
    return f"Choose a file or folder on this machine: {placeholder}."


def as_published(value: str) -> str:
    """The published setting with its present value."""
    return f"{AS_PUBLISHED} ({value})"


def pixels(number: int) -> str:
    """A length in pixels, in short."""
    return f"{number} px"


def needs_diffusion(*, refiner: str) -> str:
    """Why a field of Stable Diffusion is grey."""
    return f"Used only by the refiner Stable Diffusion. The refiner is now: {refiner}."


def needs_dino(*, refiner: str) -> str:
    """Why the choice of a DINO model is grey."""
    return (
        "Used only by ProxyCLIP, CorrCLIP, Trident and the refiner DINO. "
        f"The refiner is now: {refiner}."
    )


def needs_sam(*, refiner: str) -> str:
    """Why the choice of a SAM is grey."""
    return (
        "Used only by Trident, the refiner SAM, and CorrCLIP with masks of SAM. "
        f"The refiner is now: {refiner}."
    )


def mask_layer_tip(name: str) -> str:
    """The tooltip of a layer that is offered as masks."""
    return f"The objects of the layer {name}. Other images get superpixels."


def one_preset(*, model: str) -> str:
    """Why the choice of a preset is grey."""
    return f"{model} has the same published values in every preset."


def further_settings(settings: Mapping[str, float], tile: int | None = None) -> str:
    """The button that resets settings without a row; empty for none."""
    every = [f"{FURTHER_NAMES[name]} {value:g}" for name, value in settings.items()]
    if tile is not None:
        every.append(f"tiles of {pixels(tile)}")
    named = ", ".join(every)
    return f"Also: {named} \N{MULTIPLICATION SIGN}" if named else ""


def plain_name(name: str) -> str:
    """A model's name as people write it; of a path, the file name."""
    if name.startswith("stable-diffusion-"):
        return name.replace("stable-diffusion-", "Stable Diffusion ")
    weights = (".safetensors", ".bin", ".pt", ".pth")
    is_path = not name.startswith("open_clip:") and (
        name.endswith(weights) or Path(name).is_absolute()
    )
    return Path(name).name or name if is_path else name


def weights_text(row: WeightsEntry, on_disk: bool | None) -> str:
    """A row of the registry with where it is: on disk, or how large a download."""
    if not row.repositories:
        where = "included"
    elif on_disk:
        where = "on disk"
    else:
        where = size_text(row.size) + (" to download" if on_disk is False else "")
    return f"{plain_name(row.name)} ({where})" if where else plain_name(row.name)


def missing_text(row: WeightsEntry) -> str:
    """Weights that are not on disk: size and licence."""
    facts = ", ".join(part for part in (size_text(row.size), row.licence) if part)
    return f"{plain_name(row.name)}: {facts}"


def missing_tip(row: WeightsEntry, workaround: str = "") -> str:
    """That weights are not on disk, and what can be done without them."""
    text = f"{plain_name(row.name)} is not on this machine."
    return f"{text} {workaround}" if workaround else text


def preset_button(name: str, rows: Sequence[WeightsEntry]) -> str:
    """A preset with the size of what it downloads."""
    size = size_text(sum(row.size for row in rows))
    title = ENGINE_PRESETS[name][0]
    return f"{title} ({size})" if size else title


def preset_tip(name: str, rows: Sequence[WeightsEntry]) -> str:
    """What a preset is for, what it downloads, and the licences."""
    lines = [ENGINE_PRESETS[name][1]]
    lines += [f"{plain_name(row.name)}: {size_text(row.size)}, {row.licence}" for row in rows]
    if any(row.restricted for row in rows):
        lines.append(RESTRICTED)
    return "\n".join(lines)


def download_name(row: WeightsEntry) -> str:
    """The accessible name of a download button."""
    return f"{DOWNLOAD} {plain_name(row.name)}"


def engine_summary(*, method: str, model: str, refiner: str) -> str:
    """The choice in one line."""
    return f"{method} \N{MIDDLE DOT} {model} \N{MIDDLE DOT} {refiner}"


def demo_kinds(kinds: Sequence[str]) -> str:
    """What the demo model can find."""
    return f"The demo model knows only synthetic scenes: {', '.join(kinds)}."


def demo_words(words: Sequence[str]) -> str:
    """All words of the demo model."""
    return f"All words it knows: {', '.join(words)}."
