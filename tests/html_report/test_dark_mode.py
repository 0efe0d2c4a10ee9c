"""Colours on a dark page."""

import colorsys
from pathlib import Path

import pytest

from kbench.figures.style import LOOKS
from kbench.html_report import dark_mode
from kbench.html_report.dark_mode import GROUND, contrast, lighter, with_dark_colors


def test_the_contrast_is_that_of_the_guidelines() -> None:
    assert contrast("#000000", "#ffffff") == pytest.approx(21)
    assert contrast("#777777", "#ffffff") == pytest.approx(4.48, abs=0.01)  # WCAG's well-known near miss


@pytest.mark.parametrize("color", sorted({look.color for look in LOOKS.values()} | {"#0b3d77", "#000001"}))
@pytest.mark.parametrize("least", [3.0, 4.5])
def test_a_colour_becomes_light_enough_and_keeps_its_hue(color: str, least: float) -> None:
    shade = lighter(color, least)
    assert contrast(shade, GROUND) >= least
    hues = [colorsys.rgb_to_hls(*(int(c[i : i + 2], 16) / 255 for i in (1, 3, 5)))[0] for c in (color, shade)]
    assert hues[0] == pytest.approx(hues[1], abs=0.02)


def test_only_what_would_drown_is_changed_and_words_more_than_lines() -> None:
    svg = (
        '<path style="fill: #0b3d77; stroke: #ffffff"/>'
        '<text style="fill: #6e6e6e">#0b3d77</text><a style="fill: #6e6e6e"/>'
    )
    changed, shades = with_dark_colors(svg)
    assert changed == (
        '<path style="fill: var(--c-0b3d77, #0b3d77); stroke: #ffffff"/>'
        '<text style="fill: var(--t-6e6e6e, #6e6e6e)">#0b3d77</text><a style="fill: #6e6e6e"/>'
    )
    assert shades == {"--c-0b3d77": lighter("#0b3d77", 3.0), "--t-6e6e6e": lighter("#6e6e6e", 4.5)}


def test_the_dark_ground_is_the_pages() -> None:
    style = Path(dark_mode.__file__).with_name("page.css").read_text()
    assert f"--ground: {GROUND};" in style
