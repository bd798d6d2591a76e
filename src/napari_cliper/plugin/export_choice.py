"""The choice of the page Export, remembered between sessions."""

from __future__ import annotations

from dataclasses import asdict, dataclass, fields

from ..io.formats import FORMATS
from . import preferences


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
    every_plane : bool
        Whether untouched planes of stacks are written too.
    validation : int
        Percent of the images for validation, in formats that divide them.
    """

    purposes: tuple[str, ...] = ()
    left_out: tuple[str, ...] = ()
    folder: str = ""
    overwrite: bool = False
    every_plane: bool = False
    validation: int = 0

    @property
    def formats(self) -> tuple[str, ...]:
        """The names of the formats to write, in the order of `FORMATS`."""
        return tuple(
            name
            for name, one in FORMATS.items()
            if one.purpose in self.purposes and name not in self.left_out
        )

    @property
    def is_split(self) -> bool:
        """Whether one of the formats divides images into those for training and validation."""
        return any(FORMATS[name].split for name in self.formats)


def last_choice() -> ExportChoice:
    """Return the choice of the last export; an empty one if there is none."""
    last = preferences.read()
    names = (field.name for field in fields(ExportChoice))
    return ExportChoice(**{name: getattr(last, name) for name in names})


def keep_choice(choice: ExportChoice) -> None:
    """Remember a choice for the next session."""
    preferences.write(**asdict(choice))
