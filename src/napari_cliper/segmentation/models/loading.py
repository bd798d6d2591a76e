"""Load the networks that a configuration names, onto a device.

Finds the weight files and their architecture, and shares networks that are already in memory.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any, Generic, Protocol, TypeVar
from weakref import WeakValueDictionary

import torch
from torch import Tensor, nn

from ..config import SegmentationConfig
from ..errors import InvalidInputError, WeightsUnavailableError
from ..progress import Monitor
from . import clip, weights
from .clip_image_encoder import MEAN, STD
from .image_encoder import ImageEncoder
from .registry import REGISTRY, WeightsEntry, entry, open_clip_licence
from .tensor_cache import TensorCache

if TYPE_CHECKING:
    from .stable_diffusion import Diffusion


class HasNetworks(Protocol):
    """A model made of torch modules."""

    @property
    def networks(self) -> tuple[nn.Module, ...]:
        """All torch modules with weights."""
        ...


N = TypeVar("N", bound=HasNetworks)


class Loaded(Generic[N]):
    """A network in memory, with a lock for the jobs that cannot use it at the same time.

    Parameters
    ----------
    network : Clip, ImageEncoder or Diffusion
    weights : list of dict
        Name and SHA-256 of each weight file.
    identity : str
        Everything that its results depend on except its input (weights, configuration, library
        version), for cache keys; "" if unknown.
    """

    def __init__(self, network: N, weights: list[dict[str, str]], identity: str = "") -> None:
        self.network = network
        self.weights = weights
        self.identity = identity
        self._free = threading.Condition()
        self._alone, self._together = False, 0

    @property
    def nbytes(self) -> int:
        """Memory of the weights in bytes."""
        return sum(p.nbytes for module in self.network.networks for p in module.parameters())

    @contextmanager
    def for_one_job(self, monitor: Monitor, *, together: bool = False) -> Iterator[N]:
        """Wait until the network is free, then lock it; `should_stop` can end the wait.

        Jobs that only call its modules, and have memory for it, may use it together.
        """
        with self._free:
            while self._alone or (self._together and not together):
                self._free.wait(timeout=0.1)
                monitor.check()
            self._alone = not together
            self._together += together
        try:
            yield self.network
        finally:
            with self._free:
                self._alone = False
                self._together -= together
                self._free.notify_all()


EMPTY_PROMPTS = TensorCache("empty-prompts", "prompt", most=64)
"""Disk cache of the empty prompt's embedding, one per diffusion model."""

_store: WeakValueDictionary[tuple[str, ...], Loaded[Any]] = WeakValueDictionary()
"""Networks in use. A network is removed when its last user releases it."""
_store_lock = threading.Lock()


def shared(key: tuple[str, ...], load: Callable[[], Loaded[N]], monitor: Monitor) -> Loaded[N]:
    """Return the network of a key; load it if it is not in memory.

    Networks are loaded one at a time; `should_stop` can end the wait.
    """
    while (found := _store.get(key)) is None:
        if _store_lock.acquire(timeout=0.1):
            try:
                found = _store.get(key) or load()
                _store[key] = found
            finally:
                _store_lock.release()
            break
        monitor.check()
    return found


@dataclass(frozen=True)
class ClipSource:
    """Architecture and weight file of a CLIP model that has not been loaded yet.

    Parameters
    ----------
    config : dict
        open_clip's configuration.
    entry : WeightsEntry or None
        Row of the registry, or one created for ``open_clip:NAME/TAG``.
    path : Path or None
        A local checkpoint.
    quick_gelu : bool
        Use QuickGELU even if the configuration does not ask for it.
    mean, std : (float, float, float)
        RGB mean and standard deviation that pixels in [0, 1] are normalised with.
    words : tuple of str
        The vocabulary of a model with a closed vocabulary; empty for an open vocabulary.
    """

    config: dict[str, Any]
    entry: WeightsEntry | None = None
    path: Path | None = None
    quick_gelu: bool = False
    mean: tuple[float, float, float] = MEAN
    std: tuple[float, float, float] = STD
    words: tuple[str, ...] = ()

    @property
    def patch(self) -> int:
        """Patch size in pixels."""
        return int(self.config["vision_cfg"]["patch_size"])

    @property
    def layers(self) -> int:
        """Number of transformer blocks, from which CLIPer selects a layer."""
        return int(self.config["vision_cfg"]["layers"])

    @property
    def heads(self) -> int:
        """Number of attention heads per block."""
        vision = self.config["vision_cfg"]
        return int(vision["width"]) // int(vision.get("head_width", 64))


def clip_source(model: str) -> ClipSource:
    """Find the CLIP model that `SegmentationConfig.model` names.

    Raises
    ------
    InvalidInputError
        If the model is unknown or unsupported, a checkpoint does not exist, or its architecture
        cannot be determined.
    WeightsUnavailableError
        If the demo model is missing.
    """
    if model == "demo":
        demo = entry("demo")
        found = weights.cached(demo)
        if found is None:
            raise WeightsUnavailableError(
                "The demo model is missing from this installation. Install napari-cliper again, or "
                "train the model with tools/train_demo_model.py."
            )
        (path,) = found.values()
        return replace(_described(path) or _undescribed(path), entry=demo)
    if model in REGISTRY:
        row = entry(model, "clip")
        return ClipSource(clip.model_config(row.architecture), row)
    if not model.startswith("open_clip:"):
        return _local_source(Path(model))
    architecture, _, tag = model.removeprefix("open_clip:").partition("/")
    config = clip.model_config(architecture)
    if Path(tag).suffix in (".safetensors", ".bin", ".pt", ".pth"):
        return ClipSource(config, path=_existing(Path(tag)))
    tagged = clip.pretrained(architecture, tag)
    row = WeightsEntry(
        name=model,
        kind="clip",
        architecture=architecture,
        repositories=(tagged.repository,),
        files=(tagged.files,),
        size=0,
        licence=open_clip_licence(tag),
        purpose="A CLIP model listed by open_clip.",
        validated=False,
    )
    return ClipSource(
        config,
        row,
        quick_gelu=tagged.quick_gelu,
        mean=tagged.mean,
        std=tagged.std,
    )


def _existing(path: Path) -> Path:
    if not path.is_file():
        raise InvalidInputError(f"There is no checkpoint file at {path}. Check the path.")
    return path


def _described(path: Path) -> ClipSource | None:
    """Return a checkpoint with the configuration in its metadata or next to it; None if none."""
    notes = weights.safetensors_notes(path)
    if "config" in notes:
        source = _configured(path, notes["config"], f"The metadata of {path}")
        return replace(source, words=tuple(json.loads(notes.get("words", "[]"))))
    for beside in (path.with_suffix(".json"), path.with_name("open_clip_config.json")):
        if beside.is_file():
            return _configured(path, beside.read_text(encoding="utf-8"), str(beside))
    return None


def _configured(path: Path, text: str, whose: str) -> ClipSource:
    """Parse a configuration: a whole open_clip_config.json or only its ``model_cfg``."""
    try:
        document = json.loads(text)
    except ValueError as error:
        raise InvalidInputError(f"{whose} cannot be read as JSON: {error}.") from error
    if not isinstance(document, dict):
        raise InvalidInputError(
            f"{whose} is not an open_clip configuration: it holds {document!r:.40} instead of an "
            "object."
        )
    pixels = document.get("preprocess_cfg", {})
    config = clip.completed(document.get("model_cfg", document), whose)
    reason = clip.refusal(config)
    if reason:
        raise InvalidInputError(f"{path} cannot be used: {reason}.")
    return ClipSource(
        config,
        path=path,
        mean=tuple(pixels.get("mean", MEAN)),
        std=tuple(pixels.get("std", STD)),
    )


def _local_source(path: Path) -> ClipSource:
    return _described(_existing(path)) or _undescribed(path)


def _undescribed(path: Path) -> ClipSource:
    """Identify the architecture of a checkpoint by its tensor shapes."""
    names = clip.matching_architectures(weights.read_tensors(path))
    if len(names) == 1:
        return ClipSource(clip.model_config(names[0]), path=path)
    fit = f"{', '.join(names)} fit its shapes" if names else "none of open_clip's fits its shapes"
    raise InvalidInputError(
        f"The architecture of {path} cannot be determined: {fit}. Choose open_clip:NAME/{path}, or "
        f"put an open_clip configuration next to it as {path.with_suffix('.json').name}."
    )


def weights_of(name: str) -> tuple[WeightsEntry, ...]:
    """Return the downloads that a model needs: its weights and, for some text towers, a tokenizer.

    Raises
    ------
    InvalidInputError
        If the name is unknown (the message suggests the nearest one) or a local file.
    """
    if not name.startswith("open_clip:"):
        return (entry(name),)
    source = clip_source(name)
    if source.entry is None:
        raise InvalidInputError(
            f"{name!r} is a file on this computer. There is nothing to download."
        )
    tokenizer = _tokenizer_row(source.config)
    return (source.entry,) if tokenizer is None else (source.entry, tokenizer)


def fetch_weights(config: SegmentationConfig, monitor: Monitor) -> None:
    """Download all weights of a configuration that are not on disk; nothing is loaded.

    Raises
    ------
    InvalidInputError, WeightsUnavailableError, DamagedWeightsError, Stopped
    """
    for name in config.weights:
        local = name not in REGISTRY and not name.startswith("open_clip:")
        if local or (name == config.model and clip_source(name).path is not None):
            continue
        for row in weights_of(name):
            weights.fetch(row, offline=config.offline, monitor=monitor)


def load_clip(
    source: ClipSource,
    config: SegmentationConfig,
    device: torch.device,
    dtype: torch.dtype,
    monitor: Monitor,
) -> Loaded[clip.Clip]:
    """Load CLIP's image and text encoders onto the device; download them if necessary."""

    def load() -> Loaded[clip.Clip]:
        path = source.path
        if path is None:
            assert source.entry is not None  # noqa: S101 - one of the two is always set
            (path,) = weights.fetch(source.entry, offline=config.offline, monitor=monitor).values()
        monitor.tell(f"Loading {config.model}", 0, 1)
        tensors = weights.read_tensors(path)
        text_folder = (
            None if clip.is_bare(tensors) else _text_folder(source.config, config, monitor)
        )
        network = clip.build(
            source.config,
            tensors,
            source=str(path),
            quick_gelu=source.quick_gelu,
            mean=source.mean,
            std=source.std,
            text_folder=text_folder,
        )
        if network.text is not None:
            # Text vectors are cached on disk, so they stay in float32. The text model contains the
            # image tower, which is moved to `dtype` below.
            network.text.model.to(device)
        network.image.visual.to(device, dtype)
        hashes = hashed([path], monitor)
        return Loaded(network, hashes, _identity(source, hashes, text_folder, monitor))

    return shared(("clip", config.model, str(device), str(dtype)), load, monitor)


def _identity(
    source: ClipSource,
    hashes: list[dict[str, str]],
    text_folder: Path | None,
    monitor: Monitor,
) -> str:
    """Return everything that the text vectors of a CLIP depend on, as a cache key."""
    beside = [] if text_folder is None else sorted(text_folder.iterdir())
    files = [path for path in beside if path.suffix in (".json", ".txt", ".model")]
    return json.dumps(
        [
            [row["sha256"] for row in (*hashes, *hashed(files, monitor))],
            source.config,
            source.quick_gelu,
            version("open_clip_torch"),
        ],
        sort_keys=True,
        default=str,
    )


def _text_folder(
    clip_config: dict[str, Any], config: SegmentationConfig, monitor: Monitor
) -> Path | None:
    """Return the folder of the tokenizer; None for CLIP's own tokenizer."""
    row = _tokenizer_row(clip_config)
    if row is None:
        repository = clip.text_repository(clip_config)
        return Path(repository) if repository else None
    return weights.fetch(row, offline=config.offline, monitor=monitor)["config.json"].parent


def _tokenizer_row(clip_config: dict[str, Any]) -> WeightsEntry | None:
    """Return the download of a tokenizer; None for CLIP's own and for a local folder."""
    repository = clip.text_repository(clip_config)
    if not repository or Path(repository).is_dir():
        return None
    return WeightsEntry(
        name=repository,
        kind="clip",
        architecture="",
        repositories=(repository,),
        files=clip.TEXT_FILES,
        size=0,
        licence="see its page on the hub",
        purpose="The tokenizer of a CLIP model with another text encoder.",
    )


def load_foundation(
    config: SegmentationConfig, device: torch.device, dtype: torch.dtype, monitor: Monitor
) -> Loaded[ImageEncoder]:
    """Load the vision foundation model onto the device; download it if necessary."""

    def load() -> Loaded[ImageEncoder]:
        row = entry(config.chosen_foundation, "foundation")
        paths = list(weights.fetch(row, offline=config.offline, monitor=monitor).values())
        monitor.tell(f"Loading {row.name}", 0, 1)
        tensors: dict[str, Tensor] = {}
        for path in paths:
            tensors |= weights.read_tensors(path)
        model: ImageEncoder = row.make(row.architecture, tensors, ", ".join(map(str, paths)))
        for network in model.networks:
            network.to(device, dtype)
        return Loaded(model, hashed(paths, monitor))

    return shared(("foundation", config.chosen_foundation, str(device), str(dtype)), load, monitor)


def load_diffusion(
    config: SegmentationConfig, device: torch.device, dtype: torch.dtype, monitor: Monitor
) -> Loaded[Diffusion]:
    """Load the needed parts of Stable Diffusion onto the device; download them if necessary."""

    def load() -> Loaded[Diffusion]:
        name = config.diffusion_model
        folder = Path(name)
        if name in REGISTRY:
            files = weights.fetch(entry(name, "diffusion"), offline=config.offline, monitor=monitor)
            folder = files["unet/config.json"].parent.parent
        autoencoder = None
        if config.autoencoder:
            row = entry(config.autoencoder, "autoencoder")
            found = weights.fetch(row, offline=config.offline, monitor=monitor)
            autoencoder = found["config.json"].parent
        from . import stable_diffusion as diffusion  # noqa: PLC0415 - imports diffusers

        prompt = _cached_empty_prompt(folder, monitor)
        monitor.tell(f"Loading {name}", 0, 1)
        model = diffusion.load(folder, prompt, dtype, autoencoder)
        for network in model.networks:
            network.to(device)
        parts = [folder / "unet", autoencoder or folder / "vae"]
        read = [path for part in parts for path in sorted(part.glob("*.safetensors"))]
        return Loaded(model, hashed(read, monitor))

    key = ("diffusion", config.diffusion_model, config.autoencoder, str(device), str(dtype))
    return shared(key, load, monitor)


def _cached_empty_prompt(folder: Path, monitor: Monitor) -> Tensor:
    """Return the empty prompt's embedding from the disk cache; encode it the first time."""
    encoders = sorted((folder / "text_encoder").glob("*.safetensors"))
    if not encoders or not (folder / "tokenizer").is_dir():
        raise InvalidInputError(
            f"{folder} is not a Stable Diffusion model in diffusers format: it lacks text_encoder "
            "(as safetensors) or tokenizer. Add them; they are needed once, for the empty prompt."
        )
    stat = encoders[0].resolve().stat()
    mark = f"{encoders[0].resolve()}|{stat.st_size}|{stat.st_mtime_ns}"
    kept = EMPTY_PROMPTS.get(mark)
    if kept is not None:
        return kept[0]
    monitor.tell("Encoding the empty prompt", 0, 1)
    from . import transformers_networks  # noqa: PLC0415 - imports transformers

    prompt = transformers_networks.empty_prompt(folder, monitor)
    EMPTY_PROMPTS.put(mark, prompt)
    EMPTY_PROMPTS.trim()
    return prompt


def hashed(paths: Sequence[Path], monitor: Monitor) -> list[dict[str, str]]:
    """Return name and SHA-256 of weight files."""
    return [{"file": path.name, "sha256": weights.sha256(path, monitor)} for path in paths]
