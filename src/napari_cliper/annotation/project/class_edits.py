"""Change a class in all images of a project: either in all of its files, or in none.

If the program is killed, the change is completed when the project is next opened, or nothing was
changed.

What is replaced is copied to a folder first:

    backups/2026-11-26 14-05-09/    annotations and settings as they were before the change

To go back, copy the contents of that folder over the project while no program has it open.
"""

from __future__ import annotations

import re
import shutil
from collections.abc import Iterable
from contextlib import AbstractContextManager, ExitStack, suppress
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ...io.files import whole_files
from ...io.resumed_files import resumed_files
from ...labels.label_class import check_rows
from ...segmentation import Monitor, atomic
from ..class_change import ClassChange
from .image_files import check_folder
from .image_list import ANNOTATIONS, ImageList
from .settings import change_settings

if TYPE_CHECKING:
    from .annotation_store import AnnotationStore, StagedRecord
    from .settings_files import SettingsFiles

BACKUPS = "backups"
BACKUPS_KEPT = 5
"""Backups that a project keeps; the oldest are deleted."""

_BACKUP = re.compile(r"\d{4}-\d\d-\d\d \d\d-\d\d-\d\d( \d+)?")


@dataclass(frozen=True)
class ClassPixels:
    """Where a class is in a project.

    Parameters
    ----------
    pixels : int
        Labelled pixels in all images.
    clicks : int
    images : tuple of str
        Names of the images with such pixels or clicks.
    """

    pixels: int
    clicks: int
    images: tuple[str, ...]


@dataclass(frozen=True)
class ClassChanged:
    """What a change of a class has changed in a project.

    Parameters
    ----------
    images : tuple of str
        Names of the images that had pixels or clicks of the class.
    backup : Path or None
        Folder with the files as they were; None if neither annotations nor prototypes changed.
    """

    images: tuple[str, ...]
    backup: Path | None


def change_class(
    folder: Path,
    images: ImageList,
    store: AnnotationStore,
    settings: SettingsFiles,
    lock: AbstractContextManager[Any],
    change: ClassChange,
    monitor: Monitor,
) -> ClassChanged:
    """See `Project.change_class`."""
    check_folder(folder)
    staged: list[StagedRecord] = []
    backup: Path | None = None
    with ExitStack() as held:
        held.enter_context(store.saving)
        try:
            with resumed_files(folder) as staging:
                (staging / ANNOTATIONS).mkdir()
                for index, entry in enumerate(images.entries):
                    monitor.tell("Changing the class", index, len(images.entries))
                    folder_of_all = staging / ANNOTATIONS
                    one = store.stage_change(entry.file, entry.name, change, folder_of_all, monitor)
                    staged += [] if one is None else [one]
                if not staged:
                    (staging / ANNOTATIONS).rmdir()
                held.enter_context(lock)  # the rest takes a moment
                found = settings.read_again(images.files)
                changed = change_settings(found, change)
                check_rows(changed.classes)
                settings.stage(staging, images.files, changed)
                if staged or changed.prototypes is not found.prototypes:
                    backup = _backed_up(folder, staged, settings.names(images.files))
                monitor.check()
                for one in staged:
                    store.check_staged(one)
                settings.check(images.files)
        except BaseException:
            if backup is not None:  # nothing was changed
                shutil.rmtree(backup, ignore_errors=True)
            raise
        for one in staged:
            store.adopt(one)
        settings.adopt(images.files, changed)
    if backup is not None:
        _delete_oldest(folder / BACKUPS)
    names = {entry.file: entry.name for entry in images.entries}
    return ClassChanged(tuple(names[one.file] for one in staged if one.used), backup)


def _backed_up(folder: Path, staged: Iterable[StagedRecord], settings: Iterable[str]) -> Path:
    """Copy what is about to be replaced, and return the folder of the copies."""
    names = dict.fromkeys(name for one in staged for name in one.replaced)  # a store stands twice
    inside = [f"{ANNOTATIONS}/{name}" for name in names]
    backups = folder / BACKUPS
    name = free = f"{datetime.now():%Y-%m-%d %H-%M-%S}"
    number = 1
    while (backups / free).exists():
        number += 1
        free = f"{name} {number}"
    with whole_files(backups / free, replace="any") as staging:
        for path in (*inside, *settings):
            target = staging / path
            target.parent.mkdir(exist_ok=True)
            if (folder / path).is_dir():
                shutil.copytree(folder / path, target, dirs_exist_ok=True)
            elif (folder / path).exists():
                shutil.copy2(folder / path, target)
                atomic.sync_file(target)
    return backups / free


def _delete_oldest(backups: Path) -> None:
    """Keep the newest backups; folders of other names are left alone."""
    with suppress(OSError):
        found = sorted(path for path in backups.iterdir() if _BACKUP.fullmatch(path.name))
        for path in found[:-BACKUPS_KEPT]:
            shutil.rmtree(path, ignore_errors=True)
