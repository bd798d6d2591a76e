"""Ask for the folders of projects that the user wants to create, open or save."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

from ...annotation.project.image_files import images_in
from ...io.files import FileError
from .. import ui_text
from ..panels.project_panel import ProjectPanel
from .base import Controller


class ProjectDialogs(Controller):
    """Asks for folders when a button of the panel is pressed.

    Parameters
    ----------
    panel : ProjectPanel
    create : callable
        Takes the folder of a new project and its images.
    open_project, save_as : callable
        Take the folder.
    """

    def __init__(
        self,
        panel: ProjectPanel,
        create: Callable[[Path, Sequence[Path]], None],
        open_project: Callable[[Path], None],
        save_as: Callable[[Path], None],
    ) -> None:
        super().__init__(panel)
        self._panel = panel
        self._create = create
        self._open = open_project
        self._save_as = save_as
        panel.new_wanted.connect(self._on_new)
        panel.open_wanted.connect(self._on_open)
        panel.save_wanted.connect(self._on_save_as)

    def _on_new(self) -> None:
        images = self._panel.ask_folder(ui_text.IMAGES_TITLE)
        if not images:
            return
        with self.showing_errors():
            found = images_in(Path(images))
            if not found:
                raise FileError(ui_text.no_image_in(images))
            name = ui_text.annotations_folder(Path(images).name)
            folder = self._panel.ask_new(str(Path(images).with_name(name)))
            if folder:
                self._create(Path(folder), found)

    def _on_open(self) -> None:
        folder = self._panel.ask_folder(ui_text.OPEN_PROJECT_TITLE)
        if folder:
            self._open(Path(folder))

    def _on_save_as(self) -> None:
        folder = self._panel.ask_new()
        if folder:
            self._save_as(Path(folder))
