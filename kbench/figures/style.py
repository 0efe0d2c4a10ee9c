"""One look per strategy: colour, dash and marker, told apart in grey and by the colour-blind."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

# Okabe and Ito's palette (jfly.uni-koeln.de/color, 2008), darkened where a line would be too pale.
BLACK, GREY, SKY, GREEN, BLUE, RED, ORANGE, PINK = (
    "#000000", "#7f7f7f", "#3a9bd6", "#009e73", "#0072b2", "#d55e00", "#c98500", "#b05c8e",
)  # fmt: skip

RC: Any = {
    "font.size": 8,
    "axes.labelsize": 8,
    "axes.titlesize": 9,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "xtick.labelsize": 7,
    "ytick.labelsize": 7,
    "legend.fontsize": 7,
    "lines.linewidth": 1.3,
    "pdf.fonttype": 42,
    "svg.fonttype": "none",
    "figure.dpi": 200,
}


@dataclass(frozen=True)
class Look:
    """How a strategy is drawn."""

    color: str
    dash: str | tuple[float, Sequence[float]]
    marker: str


LOOKS = {
    "baseline": Look(BLACK, "-", "o"),
    "random": Look(GREY, (0, (1, 1)), "x"),
    "budget": Look(GREY, (0, (5, 1)), "s"),
    "iswr": Look(ORANGE, (0, (3, 1, 1, 1)), "v"),
    "forget": Look(GREEN, (0, (4, 1.5)), "^"),
    "sb": Look(SKY, (0, (2, 1)), "D"),
    "kakurenbo": Look(RED, "-", "P"),
}
SPARE = (
    Look(BLUE, (0, (6, 1, 1, 1)), "<"),
    Look(PINK, (0, (3, 1)), ">"),
    Look(BLUE, (0, (1, 1)), "*"),
    Look(PINK, (0, (6, 2)), "h"),
    Look(GREEN, (0, (1, 2)), "p"),
)


def looks(strategies: Sequence[str]) -> dict[str, Look]:
    """A look for each label; the known keep theirs in every figure."""
    others = [s for s in strategies if s not in LOOKS]
    return {s: LOOKS[s] if s in LOOKS else _spare(others.index(s)) for s in strategies}


def _spare(place: int) -> Look:
    """A look for who has none; with each round the markers move on, so that 25 of them differ."""
    turn, at = divmod(place, len(SPARE))
    return replace(SPARE[at], marker=SPARE[(at + turn) % len(SPARE)].marker)
