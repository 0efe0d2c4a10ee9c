"""The look of each strategy: colour, dash and marker, told apart in grey and by the colour-blind."""

import colorsys
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from matplotlib.colors import to_hex, to_rgb

# Okabe and Ito's palette (jfly.uni-koeln.de/color, 2008), darkened where a line would be too pale.
BLACK, GREY, SKY, GREEN, BLUE, RED, ORANGE, PINK = (
    "#000000", "#7f7f7f", "#3a9bd6", "#009e73", "#0072b2", "#d55e00", "#c98500", "#b05c8e",
)  # fmt: skip
FAINT: Any = {"color": "#808080", "alpha": 0.25, "lw": 0.6}  # a grid, on white and on black
DOTS, LONG, DASH_DOT = (0, (1, 1)), (0, (5, 1)), (0, (3, 1, 1, 1))

RC: Any = {
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.linewidth": 0.6,
    "hatch.linewidth": 0.5,
    "legend.frameon": False,
    "legend.handlelength": 3.2,
    "pdf.fonttype": 42,
    "svg.fonttype": "none",
    "svg.hashsalt": "kbench",  # equal figures give equal files
    "figure.dpi": 200,
}


@dataclass(frozen=True)
class Look:
    """How a strategy is drawn."""

    color: str
    dash: str | tuple[float, Sequence[float]]
    marker: str
    hollow: bool = False

    @property
    def marker_keywords(self) -> Any:
        """The keywords of its marker, for matplotlib."""
        fill = "none" if self.hollow else self.color
        return {"marker": self.marker, "markerfacecolor": fill, "markeredgecolor": self.color}

    @property
    def text_color(self) -> str:
        """The colour of its name: to be read on white and on black."""
        return "#6b6b6b" if self.color == GREY else self.color


# Relatives share a colour: controls are grey, those that sample by importance ochre, prune green, select sky blue.
LOOKS = {
    "baseline": Look(BLACK, "-", "o"),
    "random": Look(GREY, DOTS, "x"),
    "rs2": Look(GREY, DASH_DOT, "+"),
    "budget": Look(GREY, LONG, "s"),
    "iswr": Look(ORANGE, DASH_DOT, "v"),
    "kf18": Look(ORANGE, (0, (6, 2)), "8"),
    "forget": Look(GREEN, (0, (4, 1.5)), "^"),
    "forget-online": Look(GREEN, (0, (1, 2)), "p"),
    "prune-el2n": Look(GREEN, (0, (6, 1, 1, 1)), "d"),
    "dual": Look(GREEN, "-", "$\\bowtie$"),
    "gradmatch": Look(GREEN, (0, (8, 1)), "$\\clubsuit$"),
    "craig": Look(GREEN, (0, (8, 1, 1, 1)), "$\\spadesuit$"),
    "subset": Look(GREEN, (0, (2, 2)), "1"),
    "sb": Look(SKY, (0, (2, 1)), "D"),
    "sb-stale": Look(SKY, (0, (5, 1, 1, 1, 1, 1)), "<"),
    "sb-epoch": Look(SKY, "-", "*"),
    "divbs": Look(SKY, (0, (1, 1)), "$\\heartsuit$"),
    "kakurenbo": Look(RED, "-", "P"),
    "ies": Look(RED, LONG, "2"),
    "orderdp": Look(PINK, (0, (1, 2)), "3"),
    "seta": Look(PINK, (0, (4, 1, 1, 1)), "4"),
    "rcap": Look(PINK, (0, (5, 2)), "H"),
    "infobatch": Look(PINK, (0, (3, 1)), "h"),
    "autoassist": Look(BLUE, (0, (6, 1, 2, 1)), ">"),
    "rho-loss": Look(BLUE, (0, (2, 2)), "X"),
    "progressive": Look(BLACK, (0, (1, 2)), "|"),
    "warmup": Look(BLACK, DASH_DOT, "."),
}
SPARE = (
    Look(PINK, (0, (6, 1, 1, 1)), "H"),
    Look(BLUE, LONG, "o"),
    Look(PINK, DOTS, "s"),
    Look(BLUE, "-", "D"),
    Look(PINK, (0, (6, 2)), "^"),
)
DASHES = ("-", (0, (4, 1)), (0, (2, 1)), DASH_DOT, DOTS, (0, (7, 1, 1, 1, 1, 1)), (0, (3, 2)), (0, (1, 2)))
SHADES = (0.55, 1.0, 0.8, 0.65)  # of the lightness of a family: lighter ones would be too pale


def looks(strategies: Sequence[str]) -> dict[str, Look]:
    """A look for each label: the known keep theirs in every figure, ``kakurenbo-30`` is a kakurenbo."""
    found, met = {}, dict.fromkeys([*LOOKS, ""], 0)
    for label in strategies:
        family = family_of(label)
        if label in LOOKS:
            found[label] = LOOKS[label]
        else:
            found[label] = _variant(LOOKS[family], met[family]) if family else _spare(met[family])
            met[family] += 1
    return found


def family_of(label: str) -> str:
    """The known strategy that a label begins with, or an empty string: random of random-like-kakurenbo."""
    kin = [name for name in LOOKS if label == name or (label.startswith(name) and not label[len(name)].isalnum())]
    return max(kin, key=len, default="")


def _variant(look: Look, place: int) -> Look:
    """A relative: the family's marker, another dash and shade; every other one is hollow."""
    dashes = [dash for dash in DASHES if dash != look.dash]
    turn, at = divmod(place, len(dashes))
    color = _shaded(look.color, SHADES[place % len(SHADES)])
    return replace(look, color=color, dash=dashes[at], hollow=(at + turn) % 2 == 0)


def _shaded(color: str, by: float) -> str:
    hue, light, full = colorsys.rgb_to_hls(*to_rgb(color))
    return to_hex(colorsys.hls_to_rgb(hue, min(max(light * by, 0.22), 0.5), full))


def _spare(place: int) -> Look:
    """A look for a strategy that has none: with each round the markers move on, and every other round is hollow."""
    turn, at = divmod(place, len(SPARE))
    marker = SPARE[(at + turn) % len(SPARE)].marker
    return replace(SPARE[at], marker=marker, hollow=turn % 2 == 1)
