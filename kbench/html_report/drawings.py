"""The figures of the page: every kind that can be drawn, pair by pair."""

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from xml.etree import ElementTree
from xml.etree.ElementTree import Element

from markupsafe import Markup

from kbench.analysis.frame import Frames
from kbench.analysis.rows import Comparison
from kbench.analysis.tables.layout import disturbed_note
from kbench.errors import ResultsError
from kbench.figures.layout import add_note, options_for, svg_element
from kbench.figures.registry import FIGURES, figure_kind, kinds_for
from kbench.html_report import dark_mode

SILENT = ("metadata", "style")  # matplotlib's name, and one rule, which the page's own style has
REFERENCE = re.compile(r"(?<=url\(#)[^)]+(?=\))|(?<=^#).+")
DIGITS = re.compile(r"(\d+\.\d{2})\d+")  # hundredths of a point are finer than any screen or printer
PLACES = ("d", "x", "y", "width", "height")  # never a transform: its factors are small


class SharedSvgParts:
    """Makes figures smaller, and names in them unique: parts that several figures of a page have are defined once."""

    def __init__(self) -> None:
        self._names: dict[str, str] = {}  # of what is defined on the page already

    def add(self, svg: str, *, label: str) -> str:
        """The figure ``svg`` as it stands on the page; ``label`` describes it to those who can't see it."""
        root = ElementTree.fromstring(svg)
        for element in list(root.iter()):
            _plain(element)
        used = {name for element in root.iter() for name in _references(element)}
        names = dict(self._define(root, used))
        for element in root.iter():
            for key, value in element.attrib.items():
                element.set(key, REFERENCE.sub(lambda found: names.get(found[0], found[0]), value))
        root.attrib |= {"role": "img", "aria-label": label}
        return ElementTree.tostring(root, encoding="unicode")

    def _define(self, root: Element, used: set[str]) -> Iterator[tuple[str, str]]:
        """Rename what others refer to, and take out what the page has; yields old names and new ones."""
        for parent in list(root.iter()):
            for element in list(parent):
                old = element.attrib.pop("id", None)
                if old in used and old is not None:
                    content = ElementTree.tostring(element, encoding="unicode")
                    is_new = content not in self._names
                    name = self._names.setdefault(content, f"d{len(self._names)}")
                    yield old, name
                    if is_new or parent.tag != "defs":
                        element.set("id", name)
                    else:
                        parent.remove(element)


def _plain(element: Element) -> None:
    """Names without namespaces, as HTML has them; numbers no finer than can be seen."""
    element.tag = _bare(element.tag)
    for child in list(element):
        if _bare(child.tag) in SILENT:
            element.remove(child)
    for key in list(element.attrib):
        value = " ".join(element.attrib.pop(key).split())
        element.set(_bare(key), DIGITS.sub(r"\1", value) if key in PLACES else value)
    element.text = element.text and element.text.strip()
    element.tail = None


def _bare(name: str) -> str:
    return name.rpartition("}")[2]


def _references(element: Element) -> Iterator[str]:
    for value in element.attrib.values():
        yield from REFERENCE.findall(value)


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
    found, options, shared = Drawings(), options_for(comparison), SharedSvgParts()
    for name in kinds_for(list(FIGURES), comparison):
        kind = figure_kind(name)
        try:
            data = kind.data(frames, comparison)
        except ResultsError as error:
            found.skipped[name] = error.message
            continue
        panels = []
        for pair in data["pair"].unique():
            figure = kind.draw(data[data["pair"] == pair], options)
            of = pair if kind.min_pairs == 1 else None  # else of all pairs
            if kind.shows_times and (note := disturbed_note(comparison, of)):
                add_note(figure, note, options)
            element = shared.add(svg_element(figure), label=f"{pair}: {kind.about}")
            element, shades = dark_mode.with_dark_colors(element)
            found.shades.update(shades)
            panels.append(Panel(Markup(element), figure.get_figwidth() > WIDE_IN))
        found.kinds.append(Drawing(name, kind.about, tuple(panels)))
    return found
