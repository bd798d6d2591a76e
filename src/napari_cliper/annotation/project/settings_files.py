"""The project files that apply to all images: classes, settings and prototypes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from ...io.class_list import read_classes, write_classes
from ...io.filenames import Names, folded
from ...io.files import whole_files
from ...io.json_records import content_of, encoded, understood
from ...io.prototype_file import read_prototypes, write_prototypes
from ...segmentation import SegmentationConfig, atomic
from .annotation_record import remove
from .annotation_store import Seen
from .image_files import check_folder
from .settings import (
    ProjectSettings,
    settings_from_record,
    settings_to_record,
)

if TYPE_CHECKING:
    from ...segmentation import Prototypes

CLASSES = "classes.yaml"
PROTOTYPES = "prototypes.safetensors"
SETTINGS = "settings.json"


class SettingsFiles:
    """Read and save the settings of a project without overwriting changes by other programs.

    Parameters
    ----------
    folder : Path
        Folder of the project.

    Notes
    -----
    The argument `files` of the methods maps usual file names to the names in use, if another
    file had the usual name before the project was created (`ImageList.files`).
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._seen = Seen()
        self._prototypes: Prototypes | None = None  # as stored on disk

    def read(self, files: Mapping[str, str]) -> ProjectSettings:
        """See `Project.settings`."""
        paths = classes, settings, prototypes = self._paths(files)
        rows = read_classes(classes) if content_of(classes) is not None else ()
        content = content_of(settings)
        if content is None:
            config = SegmentationConfig()
            found = ProjectSettings(rows, config.settings().thresholds, config)
        else:
            found = understood(settings, content, lambda record: settings_from_record(record, rows))
        exists = content_of(prototypes) is not None
        self._prototypes = read_prototypes(prototypes) if exists else None
        for path in paths:
            self._seen.see(path, content_of(path))
        return replace(found, prototypes=self._prototypes)

    def read_again(self, files: Mapping[str, str]) -> ProjectSettings:
        """Read the settings, unless another program has changed files that were read before.

        Raises
        ------
        ChangedOnDiskError
        """
        self.check(files)
        return self.read(files)

    def check(self, files: Mapping[str, str]) -> None:
        """Raise an error if another program has changed files that were read or saved here.

        Raises
        ------
        ChangedOnDiskError
        """
        for path in self._paths(files):
            if self._seen.changed(path, content_of(path)):
                self._seen.check(path, path.name)

    def names(self, files: Mapping[str, str]) -> tuple[str, ...]:
        """Return the names of the files, whether they exist or not."""
        return tuple(path.name for path in self._paths(files))

    def save(self, files: Mapping[str, str], settings: ProjectSettings, *, overwrite: bool) -> None:
        """See `Project.save_settings`."""
        if not overwrite:
            for path in self._paths(files):
                self._seen.check(path, path.name)
        check_folder(self.folder)
        with whole_files(self.folder, replace="any") as staging:
            self.stage(staging, files, settings)
        self.adopt(files, settings)

    def stage(self, staging: Path, files: Mapping[str, str], settings: ProjectSettings) -> None:
        """Write settings to another folder; move the files to `folder`, then call `adopt`.

        Raises
        ------
        InvalidInputError
            For values that are not finite numbers.
        """
        content = encoded(
            settings_to_record(settings.thresholds, settings.config, settings.prototype_weight),
            "The settings",
        )
        paths, prototypes = self._paths(files), settings.prototypes
        written = [staging / path.name for path in paths[:2]]
        write_classes(written[0], settings.classes)
        written[1].write_bytes(content)
        if prototypes and not self._are_on_disk(prototypes, paths[2]):
            written.append(staging / paths[2].name)
            write_prototypes(written[2], prototypes, replace="any")
        for path in staging.iterdir():
            if path.is_file():
                atomic.sync_file(path)

    def adopt(self, files: Mapping[str, str], settings: ProjectSettings) -> None:
        """Use settings that were moved to the folder."""
        paths = self._paths(files)
        if not settings.prototypes:
            remove(self.folder, (paths[2].name,))
        atomic.sync_folder(self.folder)
        for path in paths:
            self._seen.see(path, content_of(path))
        self._prototypes = settings.prototypes

    def _paths(self, files: Mapping[str, str]) -> tuple[Path, Path, Path]:
        classes, settings, prototypes = (
            self.folder / files.get(usual, usual) for usual in (CLASSES, SETTINGS, PROTOTYPES)
        )
        return classes, settings, prototypes

    def _are_on_disk(self, prototypes: Prototypes, path: Path) -> bool:
        """Whether the file holds these prototypes; they are large and not written again."""
        content = content_of(path)
        unchanged = content is not None and self._seen.same(path, content)
        return unchanged and prototypes is self._prototypes


def free_names(folder: Path) -> dict[str, str]:
    """Names for the files of a new project whose usual names are taken, by usual name."""
    taken = {folded(path.name) for path in folder.glob("*")}
    names = {}
    for usual in (CLASSES, SETTINGS, PROTOTYPES):
        if folded(usual) in taken:
            stem, ending = Path(usual).stem, Path(usual).suffix
            free = Names(Path(name).stem for name in taken)
            names[usual] = free.first_free(f"project {stem}") + ending
    return names
