"""Coloured texts can be read in both themes of napari, wherever they stand."""

from __future__ import annotations

import pytest
from napari.utils.theme import get_theme
from qtpy.QtGui import QColor
from qtpy.QtWidgets import QLabel, QLineEdit

from napari_cliper.plugin.qt.theme_colours import set_tone, tone_colours, tone_style

pytestmark = pytest.mark.one_binding


def luminance(colour):
    """Relative luminance, as WCAG 2.1 defines it."""
    red, green, blue = (
        value / 12.92 if value <= 0.03928 else ((value + 0.055) / 1.055) ** 2.4
        for value in QColor(colour).getRgbF()[:3]
    )
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def contrast(one, other):
    dark, light = sorted((luminance(one), luminance(other)))
    return (light + 0.05) / (dark + 0.05)


def test_the_contrast_is_that_of_the_standard():
    assert contrast("#000000", "#ffffff") == pytest.approx(21)
    assert contrast("#777777", "#ffffff") == pytest.approx(4.48, abs=0.01)


@pytest.mark.parametrize("theme", ["dark", "light"])
def test_every_tone_has_a_contrast_of_four_and_a_half(theme):
    found = get_theme(theme)
    for ground in (found.background, found.foreground):
        for tone, colour in tone_colours(theme).items():
            assert contrast(colour, ground.as_hex()) >= 4.5, (tone, ground)
    assert contrast(found.text.as_hex(), found.current.as_hex()) >= 4.5


def test_a_label_takes_the_colour_and_gives_it_back(qtbot):
    label = QLabel("Text")
    qtbot.addWidget(label)
    label.setStyleSheet(tone_style("dark"))
    label.ensurePolished()
    ordinary = label.palette().windowText().color().name()
    for tone in ("error", "warning", ""):
        set_tone(label, tone)
        label.ensurePolished()
        expected = tone_colours("dark")[tone] if tone else ordinary
        assert label.palette().windowText().color().name() == expected


@pytest.mark.parametrize("theme", ["dark", "light"])
def test_what_an_empty_field_asks_for_is_legible(qtbot, theme):
    field = QLineEdit()
    qtbot.addWidget(field)
    field.setStyleSheet(tone_style(theme))
    field.ensurePolished()
    colour = field.palette().placeholderText().color().name()
    drawn = {"dark": "#424a54", "light": "#c5c3c1"}  # the fields of napari's style sheet
    assert contrast(colour, drawn[theme]) >= 4.5
