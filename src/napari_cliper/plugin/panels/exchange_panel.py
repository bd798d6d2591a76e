"""Files for other programs, and labels from them."""

from __future__ import annotations

from qtpy.QtCore import Signal
from qtpy.QtWidgets import QHBoxLayout, QPushButton, QWidget

from .. import ui_text


class ExchangePanel(QWidget):
    """Emits `import_wanted` and `export_wanted`."""

    import_wanted = Signal()
    export_wanted = Signal()

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.import_button = QPushButton(ui_text.IMPORT)
        self.import_button.setToolTip(ui_text.IMPORT_TIP)
        self.export_button = QPushButton(ui_text.EXPORT)
        self.export_button.setToolTip(ui_text.EXPORT_TIP)
        row = QHBoxLayout(self)
        row.setContentsMargins(0, 0, 0, 0)
        row.addWidget(self.import_button)
        row.addWidget(self.export_button)
        self.import_button.clicked.connect(self.import_wanted)
        self.export_button.clicked.connect(self.export_wanted)
