"""Dark mode: colours that would drown in a dark page are made lighter, and keep their hue."""

import colorsys
import re
from functools import cache

GROUND = "#15181c"  # of the dark page, as in page.css
LEAST = {"t": 4.5, "c": 3.0}  # contrast of text, and of other things that must be seen (WCAG 2.2, 1.4.3 and 1.4.11)
STEP = 0.02  # of lightness
TAG = re.compile(r"<[^>]+>")
COLOR = re.compile(r"(?<=: )#(?!ffffff)[0-9a-f]{6}\b")  # in a style; white is the page's ground already


def with_dark_colors(svg: str) -> tuple[str, dict[str, str]]:
    """The figure with variables for the colours that a dark page must change, and what they are there.

    ``#0b3d77`` becomes ``var(--c-0b3d77, #0b3d77)``, in a text ``var(--t-0b3d77, #0b3d77)``.
    """
    shades = {}

    def in_tag(tag: re.Match[str]) -> str:
        kind = "t" if tag[0].startswith("<text") else "c"
        return COLOR.sub(lambda found: in_style(found[0], kind), tag[0])

    def in_style(color: str, kind: str) -> str:
        shade = lighter(color, LEAST[kind])
        if shade == color:
            return color
        name = f"--{kind}-{color[1:]}"
        shades[name] = shade
        return f"var({name}, {color})"

    return TAG.sub(in_tag, svg), shades


@cache
def lighter(color: str, least: float) -> str:
    """The colour, as much lighter as it takes to have that contrast with the dark page."""
    hue, light, full = colorsys.rgb_to_hls(*_rgb(color))
    while contrast(color, GROUND) < least and light < 1:
        light += STEP
        color = "#" + "".join(f"{round(255 * part):02x}" for part in colorsys.hls_to_rgb(hue, min(light, 1.0), full))
    return color


def contrast(one: str, other: str) -> float:
    """The ratio of the luminances of two colours, from 1 to 21 (WCAG 2.2)."""
    low, high = sorted((_luminance(one), _luminance(other)))
    return (high + 0.05) / (low + 0.05)


def _luminance(color: str) -> float:
    linear = [part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in _rgb(color)]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def _rgb(color: str) -> tuple[float, float, float]:
    red, green, blue = (int(color[at : at + 2], 16) / 255 for at in (1, 3, 5))
    return red, green, blue
