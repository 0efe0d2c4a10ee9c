"""The figures of the page: every kind that can be drawn, pair by pair."""

from dataclasses import dataclass, field

from markupsafe import Markup

from kbench.analysis.frame import Frames
from kbench.analysis.rows import Comparison
from kbench.errors import ResultsError
from kbench.figures.kinds import KINDS, view_of
from kbench.figures.page import svg
from kbench.report import night
from kbench.report.shared import SharedPage

WIDE_IN = 6.0  # [inch] wider than one panel


@dataclass(frozen=True)
class Panel:
    """A figure of one pair."""

    svg: Markup
    is_wide: bool  # to be scrolled on a phone, rather than shrunk


@dataclass(frozen=True)
class Drawing:
    """A kind of figure: a panel per pair."""

    kind: str
    about: str
    panels: tuple[Panel, ...]


@dataclass(frozen=True)
class Drawings:
    """All figures of the page."""

    kinds: list[Drawing] = field(default_factory=list)
    skipped: dict[str, str] = field(default_factory=dict)  # kinds that can't be drawn, and why
    shades: dict[str, str] = field(default_factory=dict)  # the colours' variables on a dark page


def drawings(frames: Frames, comparison: Comparison) -> Drawings:
    """All kinds that can be drawn, each pair by pair, so that a phone shows one below the other."""
    found, view, shared = Drawings(), view_of(comparison), SharedPage()
    for name, kind in KINDS.items():
        try:
            data = kind.data(frames, comparison)
        except ResultsError as error:
            found.skipped[name] = error.message
            continue
        panels = []
        for pair in data["pair"].unique():
            figure = kind.draw(data[data["pair"] == pair], view)
            element = shared.add(svg(figure), label=f"{pair}: {kind.about}")
            element, shades = night.switched(element)
            found.shades.update(shades)
            panels.append(Panel(Markup(element), figure.get_figwidth() > WIDE_IN))
        found.kinds.append(Drawing(name, kind.about, tuple(panels)))
    return found
