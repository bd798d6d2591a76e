"""Find weights in the Hugging Face cache and download them with progress, stop and resume.

The only module that uses the network. Files are stored in the standard cache of huggingface_hub,
which other tools share (HF_HOME, HF_HUB_CACHE, HF_ENDPOINT and HF_HUB_OFFLINE are honoured). Its
layout (https://huggingface.co/docs/huggingface_hub/guides/manage-cache): `blobs` holds the bytes,
named by their hash; `snapshots` holds links with the file names.

Why `hf_hub_download` does not download the bytes: it uses hf_xet for files in Xet storage, whose
threads swallow exceptions of the progress callback, so a download cannot be stopped without
breaking other downloads of the process (huggingface_hub issue 4632). Over plain HTTP it reports
progress every 10 MB only and discards a partial download. This module downloads over plain HTTP,
which every repository offers, resumes partial files, checks the hash and stores the blob;
`hf_hub_download` then finds the blob and adds it to the snapshot.
"""

from __future__ import annotations

import errno
import json
import shutil
import threading
from concurrent.futures import Future
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from huggingface_hub import (
    HFCacheInfo,
    constants,
    get_hf_file_metadata,
    get_session,
    hf_hub_download,
    hf_hub_url,
    scan_cache_dir,
    try_to_load_from_cache,
)
from huggingface_hub.errors import (
    CacheNotFound,
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

from .. import atomic
from ..errors import DamagedWeightsError, Stopped, WeightsUnavailableError
from ..progress import Monitor
from .checkpoints import SHA256, read_tensors, safetensors_notes, sha256
from .registry import REGISTRY, WeightsEntry, entry

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = [
    "REGISTRY",
    "WeightsEntry",
    "cache_folder",
    "cached",
    "delete_downloads",
    "downloaded",
    "entry",
    "fetch",
    "read_tensors",
    "safetensors_notes",
    "sha256",
    "vocabulary",
]

T = TypeVar("T")

# Base class of all HTTP errors (connection, time-out, status such as 404). It depends on the HTTP
# library, which differs between major versions of huggingface_hub.
_HTTPError: type[BaseException] = HfHubHTTPError.__mro__[1]

_POLL = 0.1  # seconds between two progress reports and checks of `should_stop`
_RETRIES = 3  # consecutive reconnections without new data before giving up
_UNWATCHED = Monitor()


class _MissingFileError(LookupError):
    """None of the alternatives of a needed file exists."""


@dataclass
class _Transfer:
    """State shared by the download thread and its caller."""

    total: int  # bytes
    done: int = 0  # bytes
    stop: threading.Event = field(default_factory=threading.Event)

    def check(self) -> None:
        """Raise Stopped if the caller has asked the download to stop."""
        if self.stop.is_set():
            raise Stopped("The download was stopped.")


class _Silent(tqdm):
    """A progress bar that writes nothing."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        kwargs["disable"] = True
        super().__init__(*args, **kwargs)  # type: ignore[no-untyped-call]


def cached(entry: WeightsEntry) -> dict[str, Path] | None:
    """Return the paths of weight files that are on disk, without using the network.

    Parameters
    ----------
    entry : WeightsEntry
        Row of the registry.

    Returns
    -------
    dict of str to Path, or None
        For each needed file, the name of the alternative found and its path; None if any file is
        missing.
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


def vocabulary(entry: WeightsEntry) -> tuple[str, ...]:
    """Return the vocabulary of a model with a closed vocabulary; empty for an open one.

    Only models on disk are read; nothing is downloaded.
    """
    files = cached(entry) or {}
    notes = (safetensors_notes(path) for path in files.values())
    return tuple(word for note in notes for word in json.loads(note.get("words", "[]")))


def fetch(
    entry: WeightsEntry, *, offline: bool = False, monitor: Monitor = _UNWATCHED
) -> dict[str, Path]:
    """Return the paths of weight files; download them if they are not on disk.

    Parameters
    ----------
    entry : WeightsEntry
        Row of the registry.
    offline : bool
        Never download. HF_HUB_OFFLINE has the same effect.
    monitor : Monitor
        Reports ``"Downloading NAME (licence ...)"`` with progress in bytes over all files, in the
        calling thread. A stop takes effect within a second, even if the network stalls; the next
        call resumes the partial download.

    Returns
    -------
    dict of str to Path
        For each needed file, the name of the alternative used and its path.

    Raises
    ------
    WeightsUnavailableError
        If the files cannot be downloaded or stored (no network, disk full, no permission). The
        message lists the repositories tried, the expected folder and the command for the download.
    DamagedWeightsError
        If the size or hash of a downloaded file differs from what the server announced.
    Stopped
        If `monitor` requests a stop.
    """
    monitor.check()
    found = cached(entry)
    if found is not None:
        return found
    if not entry.repositories:
        raise WeightsUnavailableError(
            f"The weights of {entry.name!r} are part of this package, but "
            f"{Path(__file__).parent / entry.files[0][0]} is missing. Install napari-cliper again."
        )
    if offline or constants.HF_HUB_OFFLINE:
        why = "the offline option is on" if offline else "HF_HUB_OFFLINE is set"
        raise _unavailable(entry, [f"{name}: not tried, {why}" for name in entry.repositories])
    try:
        get_session()
    except (ImportError, ValueError) as error:  # a SOCKS proxy without socksio, or an unknown kind
        proxy = f"the proxy in HTTPS_PROXY, HTTP_PROXY or ALL_PROXY cannot be used: {error}"
        raise _unavailable(entry, [proxy]) from error
    tried = []
    what = f"{entry.name} (licence {entry.licence})"
    for repository in entry.repositories:
        transfer = _Transfer(entry.size)
        try:
            return _watch(
                partial(_fetch_from, repository, entry, transfer), what, transfer, monitor
            )
        except (_HTTPError, FileMetadataError, LocalEntryNotFoundError, _MissingFileError) as error:
            tried.append(f"{repository}: {_reason(repository, error)}")
        except OSError as error:
            raise _not_stored(entry, error) from error
    raise _unavailable(entry, tried)


def cache_folder() -> Path:
    """Return the folder of the Hugging Face cache, which may not exist yet."""
    return Path(constants.HF_HUB_CACHE).expanduser()


def free_space(folder: Path | None = None) -> int:
    """Return the bytes that are free in a folder; by default where downloads are stored."""
    folder = folder or cache_folder()
    there = next((one for one in (folder, *folder.parents) if one.exists()), folder)
    return shutil.disk_usage(there).free


def downloaded() -> dict[str, int]:
    """Return the bytes on disk of each repository of the registry, partial downloads included.

    Other repositories in the cache are left out.
    """
    found = _scan()
    repositories = () if found is None else found.repos
    ours = {repository.repo_id: repository.size_on_disk for repository in repositories}
    for part, repository in _partial_downloads().items():
        ours[repository] = ours.get(repository, 0) + _bytes_in(part)
    return dict(sorted(ours.items()))


def delete_downloads() -> None:
    """Delete the repositories of the registry and their partial downloads, and nothing else.

    Raises
    ------
    OSError
        For repositories that cannot be deleted; the message names their folders.
    """
    for part in _partial_downloads():
        part.unlink(missing_ok=True)
    found = _scan()
    if found is not None:
        revisions = [one.commit_hash for repository in found.repos for one in repository.revisions]
        found.delete_revisions(*revisions).execute()
    left = _scan()
    if left is not None and left.repos:
        raise OSError(
            "Could not be deleted, because another program uses it or it is write-protected: "
            f"{', '.join(sorted(str(repository.repo_path) for repository in left.repos))}."
        )


def _scan() -> HFCacheInfo | None:
    """Return the cache entries of the registry's repositories; None without a cache."""
    try:
        found = scan_cache_dir(cache_folder())
    except CacheNotFound:
        return None
    names = _repositories()
    ours = (one for one in found.repos if one.repo_type == "model" and one.repo_id in names)
    return replace(found, repos=frozenset(ours))


def _repositories() -> set[str]:
    return {name for row in REGISTRY.values() for name in row.repositories}


def _partial_downloads() -> dict[Path, str]:
    """Return unfinished files of the registry's repositories, with the repository of each."""
    return {
        part: name
        for name in _repositories()
        for part in (_folder(name) / "blobs").glob("*.incomplete")
    }


def _choose(entry: WeightsEntry, look: Callable[[str], T | None]) -> dict[str, T]:
    """Return, for each needed file, the first alternative that `look` finds."""
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
    # A str for a file on disk; a sentinel object for a file known not to exist in the repository.
    found = try_to_load_from_cache(repository, name, revision=revision)
    return Path(found) if isinstance(found, str) else None


def _folder(repository: str) -> Path:
    name = repo_folder_name(repo_id=repository, repo_type="model")
    return cache_folder() / name


def _bytes_in(path: Path) -> int:
    return path.stat().st_size if path.exists() else 0


def _watch(work: Callable[[], T], name: str, transfer: _Transfer, monitor: Monitor) -> T:
    """Run `work` in a thread; report progress and check `should_stop` in the calling thread.

    A network read that stalls returns only after its time-out of ten seconds; a second thread lets
    the caller stop sooner. The abandoned thread ends at its next chunk or time-out. All other
    threads are in plugin/worker.py.
    """
    future: Future[T] = Future()

    def run() -> None:
        try:
            future.set_result(work())
        except BaseException as error:  # noqa: BLE001 - raised again in the calling thread
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
    """Download all files of an entry from one repository into the cache."""
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
    for name, metadata in remote.items():  # linked only when all are complete
        transfer.check()
        paths[name] = Path(hf_hub_download(repository, name, tqdm_class=_Silent))
        if not paths[name].is_symlink():  # no symlinks here: the library made a copy
            (blobs / str(metadata.etag)).unlink(missing_ok=True)
    return paths


def _ask(repository: str, transfer: _Transfer, name: str) -> HfFileMetadata | None:
    """Return commit, hash and size of a file on the hub; None if it does not exist."""
    transfer.check()
    try:
        metadata = get_hf_file_metadata(hf_hub_url(repository, name))
    except EntryNotFoundError:
        return None
    if not metadata.commit_hash or not metadata.etag or Path(metadata.etag).name != metadata.etag:
        raise FileMetadataError(
            "the server does not answer like a Hugging Face hub; check HF_ENDPOINT"
        )
    return metadata


def _download(url: str, metadata: HfFileMetadata, blob: Path, transfer: _Transfer) -> None:
    """Download a file to `blob` atomically and check its hash.

    Uses the lock of huggingface_hub, so that simultaneous downloads of the same file, in any
    process, wait for each other.
    """
    part = blob.with_name(f"{blob.name}.incomplete")
    locks = blob.parents[2] / ".locks" / blob.parents[1].name
    locks.mkdir(parents=True, exist_ok=True)
    with WeakFileLock(locks / f"{blob.name}.lock"):
        if blob.exists():  # another process has downloaded it meanwhile
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
        if SHA256.fullmatch(blob.name):  # small files are named by their git hash: not checked
            of_hash = sha256(part, Monitor(should_stop=transfer.stop.is_set))
        if arrived != (metadata.size or arrived) or of_hash != blob.name:
            part.unlink()
            raise DamagedWeightsError(
                f"The download from {url} is damaged: {arrived} bytes with hash {of_hash} instead "
                f"of {metadata.size} bytes with {blob.name}. It was deleted. Download it again."
            )
        atomic.move(part, blob)


def _stream(url: str, size: int | None, part: Path, before: int, transfer: _Transfer) -> None:
    """Append the missing bytes to a partial file."""
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
        # 206: the requested range. 200: the whole file, from a server without range requests.
        with part.open("ab" if response.status_code == 206 else "wb") as file:
            for chunk in response.iter_bytes():
                transfer.check()
                file.write(chunk)
                transfer.done = before + file.tell()


def _reason(repository: str, error: BaseException) -> str:
    """Describe in a few words why a download from a repository failed."""
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
                f"The weights of {entry.name!r} are missing and could not be downloaded. Tried:",
                *(f"  - {line}" for line in tried),
                f"Expected: {', '.join(names[0] for names in entry.files)}",
                f"in the folder {_folder(entry.repositories[0]) / 'snapshots' / '<commit>'}",
                f"Download them{size} with: napari-cliper models download {entry.name}",
                "Set HF_ENDPOINT to use a mirror of the hub, HF_HOME to use another folder.",
            ]
        )
    )


def _not_stored(entry: WeightsEntry, error: OSError) -> WeightsUnavailableError:
    folder = constants.HF_HUB_CACHE
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        why = f"the disk of {folder} is full. Free some space"
    elif error.errno in (errno.EACCES, errno.EPERM, errno.EROFS):
        why = f"{folder} is not writable. Change its permissions"
    else:
        why = f"writing to {folder} failed: {error}. Solve this problem"
    size = f" ({entry.size / 1e6:.0f} MB)" if entry.size else ""
    return WeightsUnavailableError(
        f"The weights of {entry.name!r}{size} could not be stored: {why} or set HF_HOME to another "
        f"folder, then run: napari-cliper models download {entry.name}"
    )
