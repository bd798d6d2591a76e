"""Autosave sessions: annotations without a project, restored at the next start.

A session is a project (`project.Project`) in the user's data folder. The window that writes it
holds a file lock, which the system releases when the process ends. A session without a lock was
closed or killed and can be restored.
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
    """The session is open in another window."""


@dataclass(frozen=True)
class FoundSession:
    """A session that is not open in any window.

    Parameters
    ----------
    folder : Path
    images : tuple of str
        The names of its images.
    saved : datetime, optional
        Time of the last save, local time.
    problem : str
        Why it cannot be read; empty if it can.
    """

    folder: Path
    images: tuple[str, ...] = ()
    saved: datetime | None = None
    problem: str = ""


class Session:
    """A session that this process has open; use `create` or `open`.

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
        """Create a session in the user's data folder.

        Raises
        ------
        FileError
            If it cannot be written.
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
        """Open an existing session.

        Raises
        ------
        SessionInUseError
            If it is open in another window.
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
        """Release the lock, so that another window can open the session."""
        self._lock.release()

    def delete(self) -> None:
        """Delete the session with its folder and release the lock."""
        _delete(self.folder)
        self.close()


def sessions_folder() -> Path:
    """Return the folder of this user's sessions."""
    return platformdirs.user_data_path("napari-cliper") / "sessions"


def found_sessions() -> list[FoundSession]:
    """Return the sessions that are not open in any window, newest first.

    Deletes sessions without images, which remain if a process is killed during its first save.

    Raises
    ------
    FileError
        If the folder cannot be read.
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
    """Delete a session that is not open.

    Raises
    ------
    SessionInUseError
        If another window has opened it in the meantime.
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
    """Acquire the lock of a session; the lock file is next to its folder, which may be deleted."""
    path = folder.with_name(f"{folder.name}.lock")
    lock = FileLock(path, thread_local=False)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        lock.acquire(blocking=False)
    except Timeout:
        raise SessionInUseError(
            "These annotations are open in another napari window. Close it first."
        ) from None
    except OSError as error:
        raise cannot("write", path, error) from error
    return lock
