"""Every text that the window shows, grouped by the panel or the task it belongs to.

The rest of `plugin` refers to these names. ``&`` stands before the letter that works with Alt.
No Qt here.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ..annotation.cleanup import Amount
    from ..annotation.completion import Done
    from ..annotation.merge import Rule
    from ..annotation.project.project import Status
    from ..segmentation import Progress, WeightsEntry


def count(number: int, one: str, several: str = "") -> str:
    """A number with its noun: ``1 class``, ``1,200 pixels``."""
    return f"{number:,} {one if number == 1 else several or one + 's'}"


def _classes(number: int) -> str:
    return count(number, "class", "classes")


def listed(names: Sequence[str], most: int) -> str:
    """The first names with commas between, and how many more there are."""
    more = len(names) - most
    return ", ".join(names[:most]) + (f" and {more} more" if more > 0 else "")


# ---------------------------------------------------------------------- everywhere

DISCARD = "Discard"
UNDO = "Undo"
BROWSE = "Browse ..."
NOTHING_TO_UNDO = "There is nothing to undo."
CHOOSE_IMAGE_FIRST = "Choose an image first."
BACKGROUND_NAME = "background"


# ---------------------------------------------------------------------- image panel

NO_IMAGE = "There is no image. Open one, or choose one in File > Open Sample."
NO_RECTANGLE = "To choose a rectangle here, draw one in a Shapes layer first."
IMAGE_LABEL = "&Image"
IMAGE_TIP = "The image layer to segment. Follows the active layer until you choose one here."
PLANE_LABEL = "Plane"
PLANE_TIP = "The plane of the stack to segment."
CURRENT_PLANE = "current plane"
CURRENT_PLANE_TIP = "The plane at the position of the sliders."
CHOSEN_PLANE = "chosen plane"
CHOSEN_PLANE_TIP = "The plane with the indices below."
REGION_LABEL = "Re&gion"
REGION_TIP = "The region of the image to segment."
REGIONS: Mapping[str, str] = MappingProxyType({"whole": "whole image", "visible": "visible region"})
RECTANGLE = "rectangle in a Shapes layer"
RGB = "RGB"


def rectangle_in(layer: str) -> str:
    """A rectangle that can be chosen."""
    return f"rectangle in {layer}"


def plane_index_tip(*, axis: str, last: int) -> str:
    """What a box for the index along an axis takes."""
    return f"Index along {axis}, 0 to {last}."


def image_size(*, rows: int, columns: int, region: tuple[int, int] | None = None) -> str:
    """The size of an image, or of a region in it."""
    whole = f"{rows} x {columns} pixels"
    return whole if region is None else f"{region[0]} x {region[1]} of {whole}"


def axis_index(*, axis: str, index: int) -> str:
    """A position along an axis, such as ``z 5``."""
    return f"{axis} {index}"


# ---------------------------------------------------------------------- classes panel

CLASSES_NAME = "Classes"
WORDS_LABEL = "W&ords"
WORDS_PLACEHOLDER = "cup=mug, spoon, table"
WORDS_TIP = (
    "Words to look for, separated by commas. Write synonyms as cup=mug|beaker. You can paste "
    "several lines. Press Enter to add them."
)
NO_WORDS = "There are no words to look for. Add at least one, such as 'nucleus'."
ALL_BACKGROUND = (
    "Every class is background, so there is nothing to label. Untick Bg for one class, or add "
    "another class."
)
CLASS_FILES = "Class lists (*.yaml *.yml *.json *.txt)"
CLASS_FILE_FORMATS: Mapping[str, str] = MappingProxyType(
    {
        "YAML (*.yaml *.yml)": "yaml",
        "JSON (*.json)": "json",
        "One class per line (*.txt)": "txt",
    }
)
"""The file suffix by the filter of the file dialog."""
LOAD_CLASSES_TITLE = "Load classes"
SAVE_CLASSES_TITLE = "Save classes"

ADD = "Add"
ADD_TIP = "Add the words above (Enter)."
ADD_WHY_NOT = "Type words into the field above first."
REMOVE = "Remove"
REMOVE_CLASSES_TIP = "Remove the selected classes (Delete)."
MOVE_UP = "Move up"
MOVE_UP_TIP = "Move the selected classes up (Alt+Up)."
MOVE_UP_WHY_NOT = "The selected classes are at the top."
MOVE_DOWN = "Move down"
MOVE_DOWN_TIP = "Move the selected classes down (Alt+Down)."
MOVE_DOWN_WHY_NOT = "The selected classes are at the bottom."
NO_ROW_SELECTED = "Select a row first."
UNDO_CLASSES_TIP = "Undo the last change to the classes (Ctrl+Z)."
REDO = "Redo"
REDO_CLASSES_TIP = "Redo the last change that was undone (Ctrl+Shift+Z)."
NOTHING_TO_REDO = "There is nothing to redo."
LOAD_CLASSES = "Loa&d ..."
LOAD_CLASSES_NAME = "Load classes"
LOAD_CLASSES_TIP = "Read classes from a file: YAML, JSON, or text with one class per line."
SAVE_CLASSES = "&Save ..."
SAVE_CLASSES_NAME = "Save classes"
SAVE_CLASSES_TIP = "Write the classes to a file: YAML, JSON, or text with one class per line."
SAVE_CLASSES_WHY_NOT = "There are no classes to save."

COLOUR_HEADER = "Colour"
COLOUR_HEADER_TIP = "The colour of the label. Double-click or press Enter to change it."
NAME_HEADER = "Name"
NAME_HEADER_TIP = "What to look for, in plain words. Double-click to change it."
SYNONYMS_HEADER = "Synonyms"
SYNONYMS_HEADER_TIP = (
    "Other words for the same class, separated by commas. Double-click to change them."
)
BACKGROUND_HEADER = "Bg"
BACKGROUND_HEADER_TIP = (
    "Background: this class competes with the others for pixels, but gets no label."
)
SCORE_HEADER = "Score"
SCORE_HEADER_TIP = (
    "How well the class matches the image in the last run. Higher is better; values above 1 are "
    "possible."
)
SHOW_HEADER = "Show"
SHOW_HEADER_TIP = "Show or hide the label of this class."
BACKGROUND_CELL_TIP = "A background class has no label, so it has no colour and cannot be shown."


def colour_title(name: str) -> str:
    """The title of the dialog for a colour."""
    return f"Colour of {name}"


def label_tip(label: int) -> str:
    """The tooltip of a colour."""
    return f"Label {label}. Double-click or press Enter to choose a colour."


def with_prompt(*, name: str, prompt: str) -> str:
    """A class with the sentence that CLIP reads for it."""
    return f"{name} (prompt: {prompt})"


def name_with_comma(text: str) -> str:
    """A comma was typed into the name of a class."""
    return (
        f"The name {text!r} contains a comma. Type several classes into the field above, and "
        "synonyms into the next column."
    )


def cannot_read(*, path: object, error: object) -> str:
    """A list of classes cannot be used."""
    return f"Cannot read {path}: {error}"


def no_classes_in(path: object) -> str:
    """A list of classes is empty."""
    return f"There are no classes in {path}."


# ---------------------------------------------------------------------- engine panel

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

METHOD_LABEL = "&Method"
METHOD_TIP = "How the patch features of CLIP are computed."
MODEL_LABEL = "Mo&del"
MODEL_TIP = "The CLIP model that compares words with the image."
REFINER_LABEL = "Refiner"
REFINER_TIP = "How the borders of the coarse map are refined."
DIFFUSION_LABEL = "Diffusion"
DIFFUSION_TIP = "The Stable Diffusion model of the refiner."
DINO_LABEL = "DINO"
DINO_TIP = "The DINO model that ProxyCLIP or the refiner DINO uses."
BACKGROUND_LABEL = "Bac&kground"
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
FURTHER_TIP = "These settings came with the configuration. Press to reset them to 'as published'."

AS_PUBLISHED = "as published"
REFINER_PUBLISHED_TIP = (
    "Stable Diffusion for CLIPer, PAMR for the demo model, none for the other methods."
)
TEMPLATES_PUBLISHED_TIP = "The sentences of the published settings."
OTHER_MODEL = "other"
OTHER_MODEL_PLACEHOLDER = "open_clip:NAME/TAG, or a file"
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
NO_BACKGROUND_WORDS = "No words for the background."
DEMO_BACKGROUND_WHY_NOT = (
    "Only the demo model knows these backgrounds. Choose the demo model to use them."
)

NO_MODEL = "no model"
USE_PAMR = "Or choose the refiner PAMR, which needs no download."
OFFLINE_WHY_NOT = "Offline is ticked. Untick it to download."
DOWNLOAD = "Download"
BUSY_WHY_NOT = "Wait for the run to end, or cancel it."
ENGINE = "Engine"


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
    return f"Used only by ProxyCLIP and the refiner DINO. The refiner is now: {refiner}."


def one_preset(*, model: str) -> str:
    """Why the choice of a preset is grey."""
    return f"{model} has the same published values in every preset."


def further_settings(settings: Mapping[str, float]) -> str:
    """The button that resets settings without a row; empty for none."""
    named = ", ".join(f"{FURTHER_NAMES[name]} {value:g}" for name, value in settings.items())
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


def size_text(size: int) -> str:
    """Bytes as MB or GB; nothing for an unknown size."""
    return "" if not size else f"{size / 1e9:.1f} GB" if size >= 1e9 else f"{size / 1e6:.0f} MB"


def weights_text(row: WeightsEntry, on_disk: bool | None) -> str:
    """A row of the registry with where it is: on disk, or how large a download."""
    if not row.repositories:
        where = "included"
    elif on_disk:
        where = "on disk"
    else:
        where = size_text(row.size) + (" to download" if on_disk is False else "")
    return f"{plain_name(row.name)} ({where})" if where else plain_name(row.name)


def missing_text(row: WeightsEntry, way_round: str = "") -> str:
    """Weights that are not on disk: size, licence, and what can be done without them."""
    facts = ", ".join(part for part in (size_text(row.size), f"licence {row.licence}") if part)
    text = f"{plain_name(row.name)} is not on this machine: {facts}."
    return f"{text} {way_round}" if way_round else text


def download_name(row: WeightsEntry) -> str:
    """The accessible name of a download button."""
    return f"{DOWNLOAD} {plain_name(row.name)}"


def engine_summary(*, method: str, model: str, refiner: str) -> str:
    """The choice in one line."""
    return f"{method} \N{MIDDLE DOT} {model} \N{MIDDLE DOT} {refiner}"


def engine_title(summary: str) -> str:
    """The header of the engine panel."""
    return f"{ENGINE}: {summary}"


def engine_tip(summary: str) -> str:
    """The tooltip of the header."""
    return f"Segmentation settings: {summary}. Press to show all."


def demo_kinds(kinds: Sequence[str]) -> str:
    """What the demo model can find."""
    return f"The demo model knows only synthetic scenes: {', '.join(kinds)}."


def demo_words(words: Sequence[str]) -> str:
    """All words of the demo model."""
    return f"All words it knows: {', '.join(words)}."


# ---------------------------------------------------------------------- run panel

RUN = "&Run"
RUN_TIP = "Find the words in the image."
RUN_WHY_NOT = "A job is running."
CANCEL = "Cance&l"
CANCEL_TIP = "Stop the job within a second. Nothing is changed."
CANCEL_WHY_NOT = "Nothing is running."
STARTING = "Starting"
STOPPING = "Stopping"


def stage_text(progress: Progress, seconds_left: float | None) -> str:
    """The stage of a job, how much of it is done, and the time left if that is known."""
    if not progress.total:
        return progress.stage
    if progress.unit == "byte":
        amount = f"{progress.done / 1e6:.0f} of {progress.total / 1e6:.0f} MB"
    else:
        amount = f"{min(progress.done + 1, progress.total)} of {progress.total}"
    if seconds_left is None:
        left = ""
    elif seconds_left >= 90:
        left = f", {seconds_left / 60:.0f} min left"
    else:
        left = f", {seconds_left:.0f} s left"
    return f"{progress.stage}, {amount}{left}"


def downloaded(name: str) -> str:
    """Weights are on disk."""
    return f"{name} has been downloaded."


# ---------------------------------------------------------------------- threshold panel

CLASS_THRESHOLD = "&Class threshold"
CLASS_THRESHOLD_TIP = "A class counts as absent unless its score is above this value."
BACKGROUND_THRESHOLD = "Background threshold"
BACKGROUND_THRESHOLD_TIP = "A pixel becomes background if its best class is below this value."
MIN_MAX = "Min-max normalise each class"
MIN_MAX_TIP = (
    "Rescale the map of each class by its own minimum and maximum, as CLIPer does. This brings up "
    "classes with low scores."
)
PER_CLASS = "Thresh&old for"
PER_CLASS_TIP = "Replaces the background threshold for the pixels of one class."
PER_CLASS_NAME = "Class with a per-class threshold"
PER_CLASS_CHOICE_TIP = "The class. You can also select its row in the table."
PER_CLASS_SLIDER = "Per-class threshold"
UPDATING_LABELS = "Updating the labels ..."
DEFAULT_TIP = "Reset to the published value."
NO_RESULT = "There is no result yet. Press Run."


def default_value(value: float) -> str:
    """A button that resets a threshold."""
    return f"default {value:.2f}"


# ---------------------------------------------------------------------- the result on the screen

NO_PREDICTION = "There is no prediction yet. Press Run."


# ---------------------------------------------------------------------- annotation panel

ANNOTATION = "<b>Annotation</b>"
ANNOTATION_TIP = "The labels you have accepted, painted or imported."
ACCEPT = "Accept"
ACCEPT_TIP = "Copy the prediction into the annotation. Undo takes it back in one step."
CLEAN = "Clean"
CLEAN_TIP = "Clean the annotation. Undo takes it back in one step."
SCOPE_TIP = "What to accept or clean."
SCOPES: Mapping[str, tuple[str, str]] = MappingProxyType(
    {
        "all": ("all classes", "All classes and the background."),
        "chosen": ("the selected classes", "The classes selected in the table."),
        "rectangle": ("the rectangle", "The rectangle in the topmost Shapes layer."),
        "region": ("the region I click", "One connected region: press the button, then click it."),
    }
)
"""Name and tooltip by what is accepted or cleaned."""
RULE_TIP = "Which pixels Accept may change."
RULE_NAMES: Mapping[Rule, tuple[str, str]] = MappingProxyType(
    {
        "empty": ("unlabelled pixels only", "Labelled and hand-painted pixels stay unchanged."),
        "unpainted": (
            "keep hand-painted pixels",
            "Replaces accepted pixels; pixels that you painted or erased stay unchanged.",
        ),
        "all": ("replace all pixels", "Also replaces hand-painted pixels; asks first."),
    }
)
"""Name and tooltip by the rule of Accept."""
TOOL_TIP = "How to clean the annotation of the plane on the screen."
AMOUNT_NAME = "Amount"
PIXELS_SUFFIX = " px"
IMPORT = "&Import ..."
IMPORT_TIP = (
    "Read labels from a TIFF, PNG or COCO JSON file. Classes are matched by name. Undo takes it "
    "back in one step."
)
EXPORT = "&Export ..."
EXPORT_TIP = "Write the annotation for training, ImageJ, QuPath, spreadsheets and more."
NO_ANNOTATION = "There is no annotation yet. Accept a prediction or paint first."
NOTHING_DONE = "Nothing is accepted or painted yet."


def amount_tip(amount: Amount) -> str:
    """What the number of a cleaning tool means."""
    return f"{amount.words}, in {amount.unit}."


def done_text(done: Done | None) -> str:
    """How much of a plane is annotated."""
    if done is None:
        return NOTHING_DONE
    parts = [
        f"{done.labelled:.0%} labelled",
        f"{done.decided:.0%} decided",
        _classes(done.classes),
    ]
    if done.open_regions:
        parts.append(f"{count(done.open_regions, 'predicted region')} open")
    return ", ".join(parts) + "."


def accepted(*, changed: int) -> str:
    """A prediction was accepted."""
    return f"Accepted: {count(changed, 'pixel')} changed."


def cleaned(*, changed: int) -> str:
    """The annotation was cleaned."""
    return f"Cleaned: {count(changed, 'pixel')} changed."


# ---------------------------------------------------------------------- corrections panel

CORRECTIONS = "<b>Corrections</b>"
CORRECTIONS_TIP = "Correct the prediction with a few strokes and clicks."
PROPAGATE = "Propagate corrections"
PROPAGATE_TIP = (
    "Your strokes and clicks also change the prediction in similar regions. Off: only the words "
    "count."
)
UNCERTAINTY = "Uncertainty"
UNCERTAINTY_TIP = "Show an image layer that is bright where the two best classes are close."
CLICK = "Click"
CLICK_TIP = "Click in the image to say which class is there. Delete a point to take it back."
CLICK_CLASS_TIP = "The class of the next click."
CLICK_CLASS_NAME = "Class of the next click"
NEXT_UNCERTAIN = "Next uncertain"
NEXT_UNCERTAIN_TIP = "Go to the next uncertain place that you have not decided yet."
BACKGROUND_CLICK_TIP = "None of the classes."
NOT_IN_TABLE = "Not in the table of classes."


# ---------------------------------------------------------------------- prototypes panel

PROTOTYPES = "Visual prototypes"
PROTOTYPES_TIP = "Example patches of each class. They help where words fail."
LEARN = "Learn from t&his image"
LEARN_TIP = "Use what is accepted or painted in the chosen plane as examples of the classes."
LEARN_DONE = "Learn from each finished image"
LEARN_DONE_TIP = (
    "Learn when you mark an image of the project as done, and when you accept a whole image."
)
NOTHING_LEARNED = "No visual prototypes have been learned yet."
SELECT_PROTOTYPE_FIRST = "Select an example first."
REMOVE_PROTOTYPES = "Re&move"
REMOVE_PROTOTYPES_TIP = "Remove the selected prototypes (Delete)."
UNDO_PROTOTYPES_TIP = "Undo the last change to the prototypes."
WORDS_END = "Words"
PROTOTYPES_END = "prototypes"
WEIGHT_NAME = "Weight of the prototypes"
WEIGHT_TIP = "The weight of the prototypes relative to the words."
AUTOMATIC = "automatic"
AUTOMATIC_TIP = (
    "Words count most at first. The more images a class was learned from, the more its prototypes "
    "count."
)


def prototypes_title(*, number: int, classes: int) -> str:
    """The header of the prototypes panel."""
    return f"{PROTOTYPES}: {number}, of {_classes(classes)}" if number else PROTOTYPES


def prototype_entry(*, name: str, sources: Sequence[str]) -> str:
    """A prototype in the list: its class and where it comes from."""
    return f"{name or BACKGROUND_NAME}\n{listed(sources, 1)}"


def prototype_tip(*, name: str, patches: int, sources: Sequence[str]) -> str:
    """What a prototype was made from."""
    several = count(patches, "patch", "patches")
    return f"{name or BACKGROUND_NAME}: the mean of {several} of {', '.join(sources)}"


# ---------------------------------------------------------------------- project panel

PROJECT = "Project"
STATUS_NAMES: Mapping[Status, str] = MappingProxyType(
    {"open": "not started", "started": "in progress", "done": "done"}
)
NO_PROJECT = (
    "No project. Annotations are saved automatically and offered the next time this panel opens. "
    "Press Save as ... to save them in a folder of your choice."
)
NEW_PROJECT = "&Folder of images ..."
NEW_PROJECT_TIP = "Annotate the images of a folder."
OPEN_PROJECT = "Op&en ..."
OPEN_PROJECT_TIP = "Open a project."
SAVE_PROJECT = "&Save as ..."
SAVE_PROJECT_TIP = "Save the annotation of this image in a new project."
PROJECT_IMAGES = "Images of the project"
PREVIOUS = "Pre&vious"
PREVIOUS_TIP = "Go to the previous image."
NEXT = "Next"
NEXT_TIP = "Go to the next image."
DONE = "&Done"
DONE_TIP = "Mark the image as done and go to the next. Press again to mark it as not done."
ORDER = "Most uncertain first"
ORDER_TIP = (
    "Run the words on all images that are not done, and sort these images by the uncertainty of "
    "what is not accepted or painted yet."
)


def project_state(*, folder: str, done: int, images: int) -> str:
    """The line above the list of images."""
    if not folder:
        return NO_PROJECT
    return f"{folder}: {done} of {images} done. Changes are saved automatically."


def project_image(*, name: str, status: Status, uncertainty: float | None) -> str:
    """An image in the list."""
    text = f"{name}: {STATUS_NAMES[status]}"
    return text if uncertainty is None else f"{text}, {uncertainty:.0%} uncertain"


def project_image_tip(*, path: Path, uncertainty: float | None) -> str:
    """The tooltip of an image in the list."""
    if uncertainty is None:
        return str(path)
    return f"{path}\nUncertainty when the images were sorted: {uncertainty:.3f} of 1"


# ---------------------------------------------------------------------- saved sessions


def more_offers(number: int) -> str:
    """How many offers are not shown."""
    return f"{number} more are not shown."


# ---------------------------------------------------------------------- export and import

EXPORT_TITLE = "Export annotations"
EXPORT_FOLDER_TITLE = "Export to folder"
FOLDER_LABEL = "Folder"
OVERWRITE = "Replace existing files"
EXPORT_WHY_NOT = "Tick a format and choose a folder."

MATCH_TITLE = "Match classes"
MATCH_TEXT = "Choose the class of each label in the file:"
MATCH_PLACEHOLDER = "choose"
MATCH_WHY_NOT = "Choose a class for every label."
NEW_CLASS, LEAVE_OUT = "a new class", "do not import"


def every_image(images: int) -> str:
    """A box to export more than the image in the window."""
    return f"All {images} annotated images of the project"


def imported(*, source: str, changed: int) -> str:
    """Labels were imported."""
    return f"Imported {source}: {count(changed, 'pixel')} changed."


def label_name(label: int) -> str:
    """A label without a class name."""
    return f"label {label}"


def label_to_match(*, label: int, name: str, why: str) -> str:
    """A label of the file, and why its class is not clear."""
    return f"{label}: {name}" + (f"\n({why})" if why else "")


# ---------------------------------------------------------------------- results panel

RESULTS = "Results"
NO_RESULTS = "No results yet."
SCORE_MAPS = "Show the &score maps as layers"
SCORE_MAPS_TIP = "Add an image layer with the score map of each class."
UNLOAD = "Unload"
UNLOAD_TIP = (
    "Free the memory of the networks, on the GPU too. The next run loads them again. Layers and "
    "thresholds stay unchanged."
)


def results_title(title: str) -> str:
    """The header of the results panel."""
    return f"{RESULTS}: {title}" if title else RESULTS
