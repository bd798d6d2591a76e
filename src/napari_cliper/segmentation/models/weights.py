"""Names to weights: the shared hub cache, downloads that can be stopped, safe reading.

The only file that talks to the hub. What is downloaded lies in the cache that every tool on
huggingface_hub shares (HF_HOME, HF_HUB_CACHE, HF_ENDPOINT, HF_HUB_OFFLINE are honoured), laid
out as https://huggingface.co/docs/huggingface_hub/guides/manage-cache has it: `blobs` holds
the bytes under their hash, `snapshots` names them.

Why `hf_hub_download` does not fetch the bytes: it hands files of the hub's Xet storage to hf_xet,
whose threads swallow what a progress callback raises, so that a download cannot be stopped
without breaking those of others in the process (huggingface_hub issue 4632); over plain
HTTP it reports once in 10 MB and throws a stopped part away. Here they come over plain HTTP,
which every repository offers, are resumed, checked against their hash and put in as a blob;
`hf_hub_download` then finds the blob and does the rest.
"""

from __future__ import annotations

import errno
import json
import shutil
import threading
from concurrent.futures import Future
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from huggingface_hub import (
    constants,
    get_hf_file_metadata,
    get_session,
    hf_hub_download,
    hf_hub_url,
    try_to_load_from_cache,
)
from huggingface_hub.errors import (
    EntryNotFoundError,
    FileMetadataError,
    GatedRepoError,
    HfHubHTTPError,
    LocalEntryNotFoundError,
    RepositoryNotFoundError,
)
from huggingface_hub.file_download import HfFileMetadata, repo_folder_name
from huggingface_hub.utils import (  # type: ignore[attr-defined]  # its names lack an __all__
    WeakFileLock,
    build_hf_headers,
    hf_raise_for_status,
    tqdm,
)

from ..errors import DamagedWeightsError, Stopped, WeightsUnavailableError
from ..progress import Monitor
from .checkpoints import SHA256, read_tensors, safetensors_notes, sha256
from .registry import REGISTRY, WeightsEntry, entry

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = [
    "REGISTRY",
    "WeightsEntry",
    "cached",
    "entry",
    "fetch",
    "known_words",
    "read_tensors",
    "safetensors_notes",
    "sha256",
]

T = TypeVar("T")

# The root of the errors of huggingface_hub's own HTTP library, which has been another one in
# each of its major versions: connections, time-outs, and answers such as 404.
_HTTPError: type[BaseException] = HfHubHTTPError.__mro__[1]

_POLL = 0.1  # seconds between two looks at `should_stop`, and two reports
_RETRIES = 3  # reconnections in a row that may bring nothing
_UNWATCHED = Monitor()


class _MissingFileError(LookupError):
    """No alternative of a needed file is there."""


@dataclass
class _Transfer:
    """What the downloading thread and the caller tell each other."""

    total: int  # bytes
    done: int = 0  # bytes
    stop: threading.Event = field(default_factory=threading.Event)

    def check(self) -> None:
        """End the thread when nobody waits for it any more."""
        if self.stop.is_set():
            raise Stopped("The download was stopped.")


class _Silent(tqdm):
    """A progress bar that writes nothing."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        kwargs["disable"] = True
        super().__init__(*args, **kwargs)  # type: ignore[no-untyped-call]


def cached(entry: WeightsEntry) -> dict[str, Path] | None:
    """Where the files lie, if all of them are on disk. Touches no network.

    Parameters
    ----------
    entry : WeightsEntry
        What is wanted.

    Returns
    -------
    dict of str to Path, or None
        The chosen alternative of each needed file and where it is; None if one is missing.
    """
    places: list[Callable[[str], Path | None]] = [
        partial(_in_cache, repository) for repository in entry.repositories
    ]
    for look in places or [_in_package]:
        try:
            return _choose(entry, look)
        except _MissingFileError:
            continue
    return None


def known_words(entry: WeightsEntry) -> tuple[str, ...]:
    """The only words that a model on disk knows; empty where it knows words in general."""
    files = cached(entry) or {}
    notes = (safetensors_notes(path) for path in files.values())
    return tuple(word for note in notes for word in json.loads(note.get("words", "[]")))


def fetch(
    entry: WeightsEntry, *, offline: bool = False, monitor: Monitor = _UNWATCHED
) -> dict[str, Path]:
    """Where the files lie, after a download if need be.

    Parameters
    ----------
    entry : WeightsEntry
        What is wanted.
    offline : bool
        Use what is on disk only. HF_HUB_OFFLINE does the same.
    monitor : Monitor
        Gets ``"Downloading NAME"`` in bytes over all files of the entry, in the calling
        thread. A stop takes effect within a second, also when the network stalls; the part
        that has arrived is kept and the next call goes on from there.

    Returns
    -------
    dict of str to Path
        The chosen alternative of each needed file and where it is.

    Raises
    ------
    WeightsUnavailableError
        Saying what was tried, where the files are expected, and what fetches them; also for a full
        disk and for a folder without permission.
    DamagedWeightsError
        When what arrives has another size or hash than was announced.
    Stopped
        On the request of `monitor`.
    """
    monitor.check()
    found = cached(entry)
    if found is not None:
        return found
    if not entry.repositories:
        raise WeightsUnavailableError(
            f"The weights of {entry.name!r} should have come with the package, as "
            f"{Path(__file__).parent / entry.files[0][0]}. Install napari-cliper again."
        )
    if offline or constants.HF_HUB_OFFLINE:
        why = "offline was asked for" if offline else "HF_HUB_OFFLINE is set"
        raise _unavailable(entry, [f"{name}: not asked, {why}" for name in entry.repositories])
    tried = []
    for repository in entry.repositories:
        transfer = _Transfer(entry.size)
        try:
            return _watch(
                partial(_fetch_from, repository, entry, transfer), entry.name, transfer, monitor
            )
        except (
            _HTTPError,
            FileMetadataError,
            LocalEntryNotFoundError,
            _MissingFileError,
        ) as error:
            tried.append(f"{repository}: {_reason(repository, error)}")
        except OSError as error:
            raise _not_stored(entry, error) from error
    raise _unavailable(entry, tried)


def _choose(entry: WeightsEntry, look: Callable[[str], T | None]) -> dict[str, T]:
    """What `look` finds for the first alternative of each file for which it finds anything."""
    chosen: dict[str, T] = {}
    for alternatives in entry.files:
        for name in alternatives:
            found = look(name)
            if found is not None:
                chosen[name] = found
                break
        else:
            raise _MissingFileError(" or ".join(alternatives))
    return chosen


def _in_package(name: str) -> Path | None:
    path = Path(__file__).with_name(name)
    return path if path.is_file() else None


def _in_cache(repository: str, name: str, revision: str | None = None) -> Path | None:
    # It is a str for a file on disk, and an object for one that is known not to exist.
    found = try_to_load_from_cache(repository, name, revision=revision)
    return Path(found) if isinstance(found, str) else None


def _folder(repository: str) -> Path:
    name = repo_folder_name(repo_id=repository, repo_type="model")
    return Path(constants.HF_HUB_CACHE).expanduser() / name


def _bytes_in(path: Path) -> int:
    return path.stat().st_size if path.exists() else 0


def _watch(work: Callable[[], T], name: str, transfer: _Transfer, monitor: Monitor) -> T:
    """Do `work` in a thread, and report and look at `should_stop` in this one.

    Threads are for plugin/worker.py alone, but for this one: a read from a network that stalls
    returns after its time-out of ten seconds, and only another thread can give up on it sooner.
    Left alone it ends by itself, at its next chunk or time-out.
    """
    future: Future[T] = Future()

    def run() -> None:
        try:
            future.set_result(work())
        except BaseException as error:  # noqa: BLE001 - not handled here: raised in the caller
            future.set_exception(error)

    thread = threading.Thread(target=run, name=f"Downloading {name}", daemon=True)
    thread.start()
    try:
        while thread.is_alive():
            monitor.tell(f"Downloading {name}", transfer.done, transfer.total, "byte")
            thread.join(_POLL)
    finally:
        transfer.stop.set()
        thread.join(_POLL)
    result = future.result()
    monitor.tell(f"Downloading {name}", transfer.done, transfer.total, "byte")
    return result


def _fetch_from(repository: str, entry: WeightsEntry, transfer: _Transfer) -> dict[str, Path]:
    """All files of an entry from one repository, into the cache."""
    remote = _choose(entry, partial(_ask, repository, transfer))
    transfer.total = sum(metadata.size or 0 for metadata in remote.values())
    blobs = _folder(repository) / "blobs"
    blobs.mkdir(parents=True, exist_ok=True)
    wanted = {
        name: metadata
        for name, metadata in remote.items()
        if _in_cache(repository, name, metadata.commit_hash) is None
        and not (blobs / str(metadata.etag)).exists()
    }
    missing = sum(
        (metadata.size or 0) - _bytes_in(blobs / f"{metadata.etag}.incomplete")
        for metadata in wanted.values()
    )
    if missing > shutil.disk_usage(blobs).free:
        raise OSError(errno.ENOSPC, "not enough free space")
    for name, metadata in remote.items():
        before = transfer.done
        if name in wanted:
            url = hf_hub_url(repository, name, revision=metadata.commit_hash)
            _download(url, metadata, blobs / str(metadata.etag), transfer)
        transfer.done = before + (metadata.size or 0)
    paths = {}
    for name, metadata in remote.items():  # named when all are there, so that none looks complete
        transfer.check()
        paths[name] = Path(hf_hub_download(repository, name, tqdm_class=_Silent))
        if not paths[name].is_symlink():  # a system without links: the library made a copy
            (blobs / str(metadata.etag)).unlink(missing_ok=True)
    return paths


def _ask(repository: str, transfer: _Transfer, name: str) -> HfFileMetadata | None:
    """What the hub says of a file: commit, hash, size. None where there is no such file."""
    transfer.check()
    try:
        metadata = get_hf_file_metadata(hf_hub_url(repository, name))
    except EntryNotFoundError:
        return None
    if not metadata.commit_hash or not metadata.etag or Path(metadata.etag).name != metadata.etag:
        raise FileMetadataError("the server does not answer as a hub does; is HF_ENDPOINT right?")
    return metadata


def _download(url: str, metadata: HfFileMetadata, blob: Path, transfer: _Transfer) -> None:
    """One file into `blob`, which appears whole and checked or not at all.

    The lock is the library's own: its downloads of the same file, in this process or another,
    wait for this one, and the other way round.
    """
    part = blob.with_name(f"{blob.name}.incomplete")
    locks = blob.parents[2] / ".locks" / blob.parents[1].name
    locks.mkdir(parents=True, exist_ok=True)
    with WeakFileLock(locks / f"{blob.name}.lock"):
        if blob.exists():  # another program was faster
            return
        before, failures = transfer.done, 0
        while True:
            had = _bytes_in(part)
            try:
                _stream(url, metadata.size, part, before, transfer)
                break
            except HfHubHTTPError:
                raise
            except _HTTPError:
                failures = 0 if _bytes_in(part) > had else failures + 1
                if failures > _RETRIES or transfer.stop.wait(1):
                    raise
        arrived = _bytes_in(part)
        of_hash = blob.name
        if SHA256.fullmatch(blob.name):  # small files go by their git hash: not checked
            of_hash = sha256(part, Monitor(should_stop=transfer.stop.is_set))
        if arrived != (metadata.size or arrived) or of_hash != blob.name:
            part.unlink()
            raise DamagedWeightsError(
                f"What arrived from {url} is damaged: {arrived} bytes with hash {of_hash}, while "
                f"{metadata.size} with {blob.name} were announced. It was deleted; fetch again."
            )
        part.replace(blob)


def _stream(url: str, size: int | None, part: Path, before: int, transfer: _Transfer) -> None:
    """Append to `part` what it lacks."""
    start = _bytes_in(part)
    if start == size:
        return
    headers = {**build_hf_headers(), "Accept-Encoding": "identity"}
    if size is not None and 0 < start < size:
        headers["Range"] = f"bytes={start}-"
    with get_session().stream(
        "GET", url, headers=headers, timeout=constants.HF_HUB_DOWNLOAD_TIMEOUT
    ) as response:
        hf_raise_for_status(response)
        # 206: the rest, as asked. 200: the whole file, from a server that knows no ranges.
        with part.open("ab" if response.status_code == 206 else "wb") as file:
            for chunk in response.iter_bytes():
                transfer.check()
                file.write(chunk)
                transfer.done = before + file.tell()


def _reason(repository: str, error: BaseException) -> str:
    """Why a repository gave nothing, in a few words."""
    if isinstance(error, GatedRepoError):
        return (
            f"gated; accept its terms at {constants.ENDPOINT}/{repository} and log in with "
            "'hf auth login'"
        )
    if isinstance(error, RepositoryNotFoundError):
        return "not found (or private)"
    if isinstance(error, _MissingFileError):
        return f"has no {error}"
    if isinstance(error, HfHubHTTPError):
        return f"the server answered {error.response.status_code}"
    if isinstance(error, FileMetadataError):
        return str(error)
    return f"no connection to {constants.ENDPOINT} ({type(error).__name__}: {error})"


def _unavailable(entry: WeightsEntry, tried: list[str]) -> WeightsUnavailableError:
    size = f" ({entry.size / 1e6:.0f} MB)" if entry.size else ""
    return WeightsUnavailableError(
        "\n".join(
            [
                f"The weights of {entry.name!r} are not on disk and could not be had. Tried:",
                *(f"  - {line}" for line in tried),
                f"Expected: {', '.join(names[0] for names in entry.files)}",
                f"in the folder {_folder(entry.repositories[0]) / 'snapshots' / '<commit>'}",
                f"Fetch them{size} with: napari-cliper models download {entry.name}",
                "HF_ENDPOINT names a mirror of the hub, HF_HOME another folder.",
            ]
        )
    )


def _not_stored(entry: WeightsEntry, error: OSError) -> WeightsUnavailableError:
    folder = constants.HF_HUB_CACHE
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        why = f"there is no room for them in {folder}. Make some"
    elif error.errno in (errno.EACCES, errno.EPERM, errno.EROFS):
        why = f"there is no permission to write in {folder}. Give it"
    else:
        why = f"writing in {folder} failed: {error}. Put that right"
    size = f" ({entry.size / 1e6:.0f} MB)" if entry.size else ""
    return WeightsUnavailableError(
        f"The weights of {entry.name!r}{size} could not be stored: {why}, or name another "
        f"folder in HF_HOME; then: napari-cliper models download {entry.name}"
    )
