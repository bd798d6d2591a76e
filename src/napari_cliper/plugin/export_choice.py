"""What a person exports, and where to; kept from session to session."""

from __future__ import annotations

import logging
from dataclasses import asdict, dataclass
from pathlib import Path

import platformdirs

from ..io.files import FileError
from ..io.formats import FORMATS
from ..io.json_records import content_of, encoded, understood
from ..io.record_checks import from_record
from ..segmentation import atomic

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class ExportChoice:
    """A choice of the page Export.

    Parameters
    ----------
    purposes : tuple of str
        Keys of `PURPOSES`; others have no effect.
    left_out : tuple of str
        Names of formats that are not written though their purpose is chosen.
    folder : str
    overwrite : bool
        Whether files that this program wrote are replaced.
    """

    purposes: tuple[str, ...] = ()
    left_out: tuple[str, ...] = ()
    folder: str = ""
    overwrite: bool = False

    @property
    def formats(self) -> tuple[str, ...]:
        """The names of the formats to write, in the order of `FORMATS`."""
        return tuple(
            name
            for name, one in FORMATS.items()
            if one.purpose in self.purposes and name not in self.left_out
        )


def choice_file() -> Path:
    """Return the file of this user's last choice."""
    return platformdirs.user_data_path("napari-cliper") / "export.json"


def last_choice() -> ExportChoice:
    """Return the choice of the last export; an empty one if there is none that can be read."""
    path = choice_file()
    try:
        content = content_of(path)
        if content is not None:
            return understood(path, content, lambda it: from_record(ExportChoice, it, "it"))
    except FileError as error:
        logger.warning("The last export is not remembered: %s", error)
    return ExportChoice()


def keep_choice(choice: ExportChoice) -> None:
    """Keep a choice for the next session; a disk that does not take it is no reason to stop."""
    path = choice_file()
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        atomic.write(path, encoded(asdict(choice), path.name))
    except OSError as error:
        logger.warning("The choice of this export is not remembered: %s", error)
