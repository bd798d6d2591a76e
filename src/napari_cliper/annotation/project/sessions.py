"""Session folders: annotations without a project, saved where the next start finds them.

A session folder is a project (`project.Project`) in the user's data folder. The window that
writes it holds a lock, which the system takes back when the process ends in any way: so what is
not locked was closed or killed, and can be offered to whoever comes next.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from secrets import token_hex

import platformdirs
from filelock import FileLock, Timeout

from ...io.files import FileError, cannot
from .project import Project, is_project


class SessionInUseError(FileError):
    """Another window works on the session."""


@dataclass(frozen=True)
class FoundSession:
    """A session that no window works on.

    Parameters
    ----------
    folder : Path
    images : tuple of str
        The names of its images.
    saved : datetime, optional
        When it was saved last, in local time.
    problem : str
        Why it cannot be read; empty where it can.
    """

    folder: Path
    images: tuple[str, ...] = ()
    saved: datetime | None = None
    problem: str = ""


class Session:
    """A session that this process works on; made by `create` and `open`.

    Parameters
    ----------
    project : Project
    lock : FileLock
        Held.
    """

    def __init__(self, project: Project, lock: FileLock) -> None:
        self.project = project
        self._lock = lock

    @property
    def folder(self) -> Path:
        """The session's folder."""
        return self.project.folder

    @classmethod
    def create(cls) -> Session:
        """Begin a session in the user's data folder.

        Raises
        ------
        FileError
            For a full disk, a missing permission and the like.
        """
        folder = sessions_folder() / token_hex(8)
        lock = _locked(folder)
        try:
            return cls(Project.create(folder), lock)
        except BaseException:
            lock.release()
            raise

    @classmethod
    def open(cls, folder: Path) -> Session:
        """Go on with a session.

        Raises
        ------
        SessionInUseError
            Where another window works on it.
        FileError
            As `Project.open`.
        """
        lock = _locked(folder)
        try:
            return cls(Project.open(folder), lock)
        except BaseException:
            lock.release()
            raise

    def close(self) -> None:
        """Let others go on with it."""
        self._lock.release()

    def delete(self) -> None:
        """Delete the session: its folder is the program's own, and holds what `Project` wrote."""
        _delete(self.folder)
        self.close()


def sessions_folder() -> Path:
    """Where the sessions of this user are."""
    return platformdirs.user_data_path("napari-cliper") / "sessions"


def found_sessions() -> list[FoundSession]:
    """The sessions that no window works on, the newest first.

    Sessions without an image, as a process leaves them that is killed at its first save, are
    deleted.

    Raises
    ------
    FileError
        For a folder that cannot be read.
    """
    found = []
    try:
        folders = [path for path in sessions_folder().iterdir() if is_project(path)]
    except FileNotFoundError:
        return []
    except OSError as error:
        raise cannot("read", sessions_folder(), error) from error
    for folder in folders:
        try:
            with _held(folder):
                session = _looked_at(folder)
                if session.images or session.problem:
                    found.append(session)
                else:
                    _delete(folder)
        except SessionInUseError:
            continue
    return sorted(found, key=_when, reverse=True)


def delete_session(folder: Path) -> None:
    """Delete a session that was found.

    Raises
    ------
    SessionInUseError
        Where another window has gone on with it meanwhile.
    """
    with _held(folder):
        _delete(folder)


def _when(found: FoundSession) -> float:
    return 0.0 if found.saved is None else found.saved.timestamp()


def _looked_at(folder: Path) -> FoundSession:
    try:
        project = Project.open(folder)
        images = tuple(image.name for image in project.images)
        saved = [when for image in images if (when := project.saved_at(image)) is not None]
    except FileError as error:
        return FoundSession(folder, problem=str(error))
    return FoundSession(folder, images, max(saved, default=None))


def _delete(folder: Path) -> None:
    shutil.rmtree(folder, ignore_errors=True)


@contextmanager
def _held(folder: Path) -> Iterator[None]:
    lock = _locked(folder)
    try:
        yield
    finally:
        lock.release()


def _locked(folder: Path) -> FileLock:
    """The lock of a session, which stands beside its folder so that this can be deleted."""
    path = folder.with_name(f"{folder.name}.lock")
    lock = FileLock(path, thread_local=False)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        lock.acquire(blocking=False)
    except Timeout:
        raise SessionInUseError(
            "Another napari window works on these annotations. Close it first."
        ) from None
    except OSError as error:
        raise cannot("write", path, error) from error
    return lock
