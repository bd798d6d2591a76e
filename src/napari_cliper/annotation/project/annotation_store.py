"""Load and save the annotations of a project without overwriting changes of other programs.

The store remembers a hash of each file when it is read or written, and compares it before the file
is replaced.
"""

from __future__ import annotations

import threading
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from hashlib import sha256
from pathlib import Path

from ...io.files import FileError, cannot
from ...io.json_records import content_of, encoded, understood
from ...segmentation import InvalidInputError, Monitor, atomic
from ..chunk_files import is_stored
from ..class_change import ClassChange, change_state, change_thresholds, pixels_of
from ..edit_mask import AnnotationState
from ..label_store import LabelStore
from ..stored_state import StoredState
from ..user_hints import CLICKS, clicks_in
from .annotation_record import (
    STATUSES,
    AnnotationRecord,
    Status,
    check_state,
    count_pixels,
    make_folder,
    read_arrays,
    record_reader,
    remove,
    sweep,
    written_arrays,
)


class ChangedOnDiskError(FileError):
    """The file changed on disk after it was loaded: load it again, or save with `overwrite`."""


class Seen:
    """Hashes of files when they were last read or written by this process."""

    def __init__(self) -> None:
        self._digests: dict[Path, bytes] = {}

    def see(self, path: Path, content: bytes | None) -> None:
        """Remember the content of a file; None if it does not exist."""
        self._digests[path] = _digest(content)

    def same(self, path: Path, content: bytes | None) -> bool:
        """Return whether the content is unchanged; unknown files count as non-existent."""
        return _digest(content) == self._digests.get(path, b"")

    def changed(self, path: Path, content: bytes | None) -> bool:
        """Return whether the content differs from what was read or written here; not if unknown."""
        return path in self._digests and not self.same(path, content)

    def check(self, path: Path, what: str, *, by_part: bool = False) -> None:
        """Raise an error if another program has changed a file since it was read here.

        Parameters
        ----------
        path : Path
        what : str
            Name of the content, for the message.
        by_part : bool
            Whether a save with `overwrite` replaces only the parts that have changed here.

        Raises
        ------
        ChangedOnDiskError
        """
        content = content_of(path)
        if content is not None and not self.same(path, content):
            raise _saved_elsewhere(what, path, by_part=by_part)


@dataclass(frozen=True)
class StagedRecord:
    """A changed annotation that waits to replace the one of an image.

    Parameters
    ----------
    file : str
        Base name of the image's files.
    before : bytes
        Content of the record that it replaces.
    replaced : tuple of str
        Names of the files that it replaces.
    record : AnnotationRecord
        The new record.
    used : bool
        Whether the class had pixels or clicks.
    """

    file: str
    before: bytes
    replaced: tuple[str, ...]
    record: AnnotationRecord
    used: bool


class AnnotationStore:
    """The annotations folder of a project; images are identified by the base name of their files.

    Parameters
    ----------
    folder : Path
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.saving = threading.RLock()
        """Held for a whole save."""
        self._lock = threading.RLock()  # held for the moment that a small file takes
        self._known: dict[str, AnnotationRecord | None] = {}
        self._seen = Seen()

    def _path(self, file: str) -> Path:
        return self.folder / f"{file}.json"

    def known(self, file: str) -> AnnotationRecord | None:
        """Return the cached record of an image; the disk is read only the first time.

        If the record is damaged, the status is ``"started"``; `read` raises the error.
        """
        with self._lock:
            if file not in self._known:
                self._known[file] = AnnotationRecord(file, "started")
                with suppress(FileError):
                    self.look(file)
            return self._known[file]

    def look(self, file: str) -> AnnotationRecord | None:
        """Read the record of an image from disk; None if it does not exist.

        Raises
        ------
        FileError
            If it is damaged.
        """
        return self._look(file)[1]

    def _look(self, file: str) -> tuple[bytes | None, AnnotationRecord | None]:
        path = self._path(file)
        with self._lock:
            content, annotation_record = content_of(path), None
            if content is not None:
                annotation_record = understood(path, content, record_reader(file))
            self._known[file] = annotation_record
        return content, annotation_record

    def read(self, file: str, *, to_go_on: bool) -> AnnotationState | None:
        """Read the annotation of an image; None if none was saved.

        Parameters
        ----------
        file : str
        to_go_on : bool
            Whether the next save may replace this version.

        Raises
        ------
        FileError
            If files are damaged, missing or replaced by something else.
        """
        content, annotation_record = self._look(file)
        state = None
        while annotation_record is not None and annotation_record.labels:
            try:
                state = read_arrays(self.folder, annotation_record)
                break
            except FileError:  # another program may have saved meanwhile
                before = content
                content, annotation_record = self._look(file)
                if content == before:
                    raise
        if to_go_on:
            with self._lock:
                self._seen.see(self._path(file), content)
        return state

    def save(
        self,
        file: str,
        annotation_record: AnnotationRecord,
        state: AnnotationState,
        *,
        overwrite: bool,
        monitor: Monitor | None = None,
    ) -> None:
        """Save an annotation; it is on disk when this returns.

        Parameters
        ----------
        file : str
        annotation_record : AnnotationRecord
            File names, shape and time are filled in.
        state : AnnotationState
        overwrite : bool
            Whether to replace changes of another program; of a large image, those of the chunks
            that have changed here.
        monitor : Monitor, optional
            Told of each chunk of a large image that is saved for the first time.

        Raises
        ------
        ChangedOnDiskError, FileError, InvalidInputError
            See `Project.save`.
        """
        check_state(state)
        _check_status(annotation_record.status)
        encoded(
            dict(state.record), f"The record of {annotation_record.image}"
        )  # before any long work
        with self.saving:
            if not overwrite:
                by_part = isinstance(state, StoredState) and not state.store.in_memory
                self._seen.check(self._path(file), annotation_record.image, by_part=by_part)
            make_folder(self.folder)
            if overwrite and isinstance(state, StoredState):
                self._take_others(file, annotation_record, state.store)
            try:
                if isinstance(state, StoredState) and self._continues(file, state):
                    self._save_changes(file, annotation_record, state, overwrite=overwrite)
                    return
                with written_arrays(self.folder, file, state, monitor=monitor) as names:
                    annotation_record = _completed(annotation_record, state, names)
                    try:
                        self._switch(file, annotation_record, overwrite=overwrite)
                    except BaseException:
                        if not self._is_named(file, names):
                            remove(self.folder, names)
                        raise
            except OSError as error:
                raise cannot("write", self.folder, error) from error
            sweep(self.folder, file, annotation_record)

    def remove(self, file: str) -> None:
        """Delete the annotation of an image; files open in other programs stay."""
        with self.saving, self._lock:
            remove(self.folder, (f"{file}.json",))
            sweep(self.folder, file, AnnotationRecord(file, "open"), in_use_too=True)
            self._known.pop(file, None)
            self._seen.see(self._path(file), None)

    def set_status(self, file: str, image: str, status: Status) -> None:
        """Change the status of an image without changing its annotation.

        Raises
        ------
        FileError
        InvalidInputError
            If the status is unknown.
        """
        _check_status(status)
        path = self._path(file)
        with self.saving, self._lock:
            content, annotation_record = self._look(file)
            ours = self._seen.same(path, content)
            annotation_record = replace(
                annotation_record or AnnotationRecord(image, status), status=status, saved=_now()
            )
            make_folder(self.folder)
            try:
                self._write(file, annotation_record, seen=ours)
            except OSError as error:
                raise cannot("write", path, error) from error

    # ------------------------------------------------------------------ changes of a class

    def stage_change(
        self, file: str, image: str, change: ClassChange, staging: Path, monitor: Monitor
    ) -> StagedRecord | None:
        """Write a changed annotation to another folder; None if it lacks the class.

        The monitor is told of each chunk of a large image. Call while `saving` is held. Move the
        files to `folder`, then call `adopt`.

        Raises
        ------
        ChangedOnDiskError
            If another program has saved the annotation since it was loaded or saved here.
        FileError
            If it is damaged.
        """
        path = self._path(file)
        content, found = self._look(file)
        if content is None or found is None or not found.labels:
            return None
        if self._seen.changed(path, content):
            raise _saved_elsewhere(image, path)
        state = read_arrays(self.folder, found)
        changed = change_state(state, change, monitor)
        thresholds = found.thresholds and change_thresholds(found.thresholds, change)
        if changed is state and thresholds == found.thresholds:
            return None
        # A window that shows a large image keeps reading the folder: its name stays.
        store = found.labels if isinstance(state, StoredState) else ""
        arrays = written_arrays(staging, file, changed, store=store, monitor=monitor)
        with arrays as (labels, edit_mask):
            record = replace(
                found,
                saved=_now(),
                labels=labels,
                edit_mask=edit_mask,
                classes=changed.classes,
                thresholds=thresholds,
                record=changed.record,
                pixels=count_pixels(changed),
            )
        (staging / path.name).write_bytes(encoded(record.to_record(), path.name))
        atomic.sync_file(staging / path.name)
        replaced = (path.name, found.labels, found.edit_mask)
        clicked = any(map(change.is_of, clicks_in(state.record.get(CLICKS))))
        used = clicked or (
            pixels_of(state, change.old) > 0
            if found.pixels is None
            else any(
                label in found.pixels
                for label, row in found.classes.items()
                if change.is_of(row.name)
            )
        )
        return StagedRecord(file, content, replaced, record, used)

    def check_staged(self, staged: StagedRecord) -> None:
        """Raise an error if another program has saved the annotation since it was read.

        Raises
        ------
        ChangedOnDiskError
        """
        path = self._path(staged.file)
        if content_of(path) != staged.before:
            raise _saved_elsewhere(staged.record.image, path)

    def adopt(self, staged: StagedRecord) -> None:
        """Use a staged record that was moved to the folder, and delete the files it replaces."""
        path = self._path(staged.file)
        with self._lock:
            self._known[staged.file] = staged.record
            if self._seen.same(path, staged.before):
                self._seen.see(path, content_of(path))
        sweep(self.folder, staged.file, staged.record)

    # ------------------------------------------------------------------ writing

    def _continues(self, file: str, state: StoredState) -> bool:
        """Return whether the record on disk, as known here, names the folder of a store."""
        path, found = state.store.path, self.known(file)
        if path is None or found is None or path != self.folder / found.labels:
            return False
        return is_stored(path) and self._seen.same(self._path(file), content_of(self._path(file)))

    def _take_others(self, file: str, ours: AnnotationRecord, store: LabelStore) -> None:
        """Go on from the chunks that another program has saved, if it has; those before are gone.

        Raises
        ------
        FileError
            If their labels have other classes than here.
        """
        path = self._path(file)
        content, found = self._look(file)
        if store.path is None or store.in_memory or found is None or not found.labels:
            return
        if self._seen.same(path, content) or not is_stored(self.folder / found.labels):
            return
        for label, row in found.classes.items():
            mine = ours.classes.get(label, row)
            used = found.pixels is None or label in found.pixels
            if used and mine.name.casefold() != row.name.casefold():
                raise FileError(
                    f"{ours.image} cannot be saved over what another program has saved: label "
                    f"{label} is {row.name!r} there, and {mine.name!r} here. Export this "
                    "annotation, load the image again, and import it."
                )
        store.look_again(self.folder / found.labels)
        with self._lock:
            self._seen.see(path, content)

    def _save_changes(
        self, file: str, annotation_record: AnnotationRecord, state: StoredState, *, overwrite: bool
    ) -> None:
        """Save the changed chunks; first the record, which names their classes."""
        path = state.store.path
        assert path is not None  # noqa: S101 - see `_continues`
        completed = _completed(annotation_record, state, (path.name, path.name))
        completed = _with_classes_of(completed, self.known(file))
        self._switch(file, completed, overwrite=overwrite)
        state.store.save(path)
        sweep(self.folder, file, completed)

    def _switch(self, file: str, annotation_record: AnnotationRecord, *, overwrite: bool) -> None:
        """Replace the record; this completes a save."""
        with self._lock:
            if not overwrite:  # once more: writing the arrays takes a while
                self._seen.check(self._path(file), annotation_record.image)
            written = (
                self.folder / annotation_record.labels,
                self.folder / annotation_record.edit_mask,
            )
            if not all(one.is_file() or is_stored(one) for one in written):
                raise ChangedOnDiskError(
                    f"Another program has saved {annotation_record.image!r} at the same moment. "
                    "Load it again, or save again to replace its work."
                )
            self._write(file, annotation_record, seen=True)

    def _write(self, file: str, annotation_record: AnnotationRecord, *, seen: bool) -> None:
        path = self._path(file)
        content = encoded(annotation_record.to_record(), path.name)
        atomic.write(path, content)
        self._known[file] = annotation_record
        if seen:
            self._seen.see(path, content)

    def _is_named(self, file: str, names: tuple[str, str]) -> bool:
        """Return whether the record on disk names these arrays, or cannot be read."""
        try:
            annotation_record = self.look(file)
        except FileError:
            return True
        return (
            annotation_record is not None
            and (annotation_record.labels, annotation_record.edit_mask) == names
        )


def _saved_elsewhere(what: str, path: Path, *, by_part: bool = False) -> ChangedOnDiskError:
    where = " where both have changed the image" if by_part else ""
    return ChangedOnDiskError(
        f"{what} was saved by another program since it was loaded here ({path}). Load it again, "
        "without what was done here since, or save all the same to replace the other's work"
        f"{where}."
    )


def _completed(
    annotation_record: AnnotationRecord, state: AnnotationState, names: tuple[str, str]
) -> AnnotationRecord:
    labels, edit_mask = names
    return replace(
        annotation_record,
        saved=_now(),
        labels=labels,
        edit_mask=edit_mask,
        shape=state.shape,
        pixels=count_pixels(state),
    )


def _with_classes_of(ours: AnnotationRecord, on_disk: AnnotationRecord | None) -> AnnotationRecord:
    """Name the labels that only another program has given a class."""
    theirs = {} if on_disk is None else on_disk.classes
    used = ours.pixels or {}
    found = {label: row for label, row in theirs.items() if label in used}
    return replace(ours, classes={**found, **ours.classes})


def _check_status(status: str) -> None:
    if status not in STATUSES:
        raise InvalidInputError(f"{status!r} is no status. Known: {', '.join(STATUSES)}.")


def _digest(content: bytes | None) -> bytes:
    return b"" if content is None else sha256(content).digest()


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")
