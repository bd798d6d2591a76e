"""How the panel of classes looks."""

from __future__ import annotations

from itertools import pairwise

import pytest
from cpu_time import cpu_seconds
from qtpy.QtWidgets import QApplication

from napari_cliper.labels.label_class import ClassRow
from napari_cliper.plugin.panels.classes_model import Column
from napari_cliper.plugin.qt.theme_colours import tone_colours


@pytest.mark.parametrize("count", [3, 150])
def test_fits_320_pixels(qtbot, panel, count):
    panel.setValue(
        [
            ClassRow(f"a rather long name of a class {i}", (f"long synonym {i}", f"other {i}"))
            for i in range(count)
        ]
    )
    panel.set_scores({row.name: 0.5 for row in panel.value()})
    panel.load_from(f"/{'x' * 200}/{'y' * 200}.yaml")
    qtbot.wait(20)
    assert panel.width() == 320
    assert panel.minimumSizeHint().width() <= 300
    assert not panel.table.horizontalScrollBar().isVisible()
    widths = [panel.table.columnWidth(column) for column in Column]
    assert sum(widths) <= panel.table.viewport().width()
    assert widths[Column.NAME] >= 80
    header = panel.table.horizontalHeader()
    assert all(widths[column] >= header.sectionSizeHint(column) for column in Column)
    for button in (panel.add_button, panel.menu_button):
        assert panel.rect().contains(button.mapTo(panel, button.rect().bottomRight()))


def test_the_table_is_as_high_as_its_rows_up_to_six(panel):
    bar = panel.table.verticalScrollBar()
    heights = []
    panel.resize(320, 500)
    for count in range(1, 9):
        panel.setValue([ClassRow(f"class {index}") for index in range(count)])
        QApplication.processEvents()
        heights.append(panel.table.height())
        assert (bar.maximum() == 0) == (count <= 6), count
        last = panel.table.visualRect(panel.model.index(min(count, 6) - 1, 0))
        assert panel.table.viewport().height() - last.bottom() in range(3), count
    assert len({after - before for before, after in pairwise(heights[:6])}) == 1
    assert heights[5] == heights[6] == heights[7]
    panel.resize(320, panel.minimumSizeHint().height())  # others need the room
    QApplication.processEvents()
    first = panel.table.visualRect(panel.model.index(0, 0))
    assert first.bottom() <= panel.table.viewport().height()
    assert bar.maximum() > 0


@pytest.mark.parametrize("theme", ["dark", "light"])
def test_bars_are_filled_up_to_the_score_and_have_a_line_at_the_threshold(panel, theme):
    panel.table.set_theme(theme)
    panel.setValue([ClassRow("cat"), ClassRow("dog")])
    panel.set_scores({"cat": 1.5, "dog": 0.5})
    panel.set_threshold(1.0, 2.0)
    QApplication.processEvents()
    picture = panel.table.viewport().grab().toImage()
    colours = tone_colours(theme)
    for row, tone, share in ((0, "good", 0.75), (1, "muted", 0.25)):
        cell_rect = panel.table.visualRect(panel.model.index(row, Column.SCORE))
        inside = range(cell_rect.left() + 4, cell_rect.right() - 3)
        middle = [picture.pixelColor(x, cell_rect.center().y()).name() for x in inside]
        filled = [at for at, colour in enumerate(middle) if colour == colours[tone]]
        assert abs(len(filled) - share * len(inside)) <= 3
        above = [picture.pixelColor(x, cell_rect.center().y() - 6).name() for x in inside]
        (ground,) = {above[0], above[-1]}
        line = [at for at, colour in enumerate(above) if colour != ground]
        assert len(line) == 2
        assert abs(line[0] - len(inside) / 2) <= 2


def test_the_time_of_a_change_grows_with_the_number_of_classes(panel):
    def change():
        for row in range(10):
            panel.model.change(row, name=f"other {row} of {len(panel.value())}")
            panel.set_scores({one.name: 0.5 for one in panel.value()})
            QApplication.processEvents()

    seconds = []
    for first, end in ((0, 15), (15, 150)):
        words = ", ".join(f"class {i}=synonym {i}" for i in range(first, end))
        seconds.append(cpu_seconds(lambda words=words: (panel.add_words(words), change())))
    assert seconds[1] < 30 * seconds[0]  # ten times as many classes
