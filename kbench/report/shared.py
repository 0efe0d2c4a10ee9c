"""SVG elements that share one page: no name twice, no definition twice, nothing that shows nothing."""

import re
from collections.abc import Iterator
from xml.etree import ElementTree
from xml.etree.ElementTree import Element

SILENT = ("metadata", "style")  # matplotlib's name, and one rule, which the page's own style has
REFERENCE = re.compile(r"(?<=url\(#)[^)]+(?=\))|(?<=^#).+")
DIGITS = re.compile(r"(\d+\.\d{2})\d+")  # hundredths of a point are finer than any screen or printer
PLACES = ("d", "x", "y", "width", "height")  # never a transform: its factors are small


class SharedPage:
    """Makes figures smaller, and names in them unique, over all that go to one page."""

    def __init__(self) -> None:
        self._made: dict[str, str] = {}  # what is defined on the page already, and its name there

    def add(self, svg: str, *, label: str) -> str:
        """The figure ``svg`` as it stands on the page; ``label`` says to those who can't see it what it is."""
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
                    is_new = content not in self._made
                    name = self._made.setdefault(content, f"d{len(self._made)}")
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
