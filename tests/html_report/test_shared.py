"""Figures that share a page."""

import re
from xml.etree import ElementTree

from kbench.html_report.drawings import SharedSvgParts

DRAWN = """<svg xmlns="http://www.w3.org/2000/svg" xmlns:xlink="http://www.w3.org/1999/xlink" viewBox="0 0 9 9">
 <metadata>https://example.org</metadata>
 <defs><style>* {{ stroke: red }}</style><pattern id="h1"><path d="M 0.123456 1.5 L {end} 2"/></pattern></defs>
 <g id="axes_1"><path id="m1" d="M 1 1"/><use xlink:href="#m1" style="fill: url(#h1)"
 transform="scale(0.015625)"/><text>a &lt; b</text></g>
</svg>"""


def test_what_is_defined_on_the_page_is_not_defined_again() -> None:
    shared = SharedSvgParts()
    first, second = (shared.add(DRAWN.format(end="3.14159"), label="x") for _ in range(2))
    assert first.count("<pattern") == 1
    assert second.count("<pattern") == 0
    assert re.findall(r"url\(#(.+?)\)", first) == re.findall(r"url\(#(.+?)\)", second)


def test_equal_names_of_different_things_are_told_apart() -> None:
    shared = SharedSvgParts()
    first, second = (shared.add(DRAWN.format(end=end), label="x") for end in ("3", "4"))
    names = [re.findall(r'<pattern id="(.+?)"', svg)[0] for svg in (first, second)]
    assert len(set(names)) == 2
    assert [re.findall(r"url\(#(.+?)\)", svg)[0] for svg in (first, second)] == names


def test_a_name_that_nobody_refers_to_goes_and_so_does_what_shows_nothing() -> None:
    svg = SharedSvgParts().add(DRAWN.format(end="3"), label="x")
    assert "axes_1" not in svg
    assert "metadata" not in svg and "<style" not in svg and "xmlns" not in svg


def test_numbers_lose_digits_that_nobody_sees_but_factors_keep_theirs() -> None:
    svg = SharedSvgParts().add(DRAWN.format(end="3.14159"), label="x")
    assert 'd="M 0.12 1.5 L 3.14 2"' in svg
    assert "scale(0.015625)" in svg


def test_a_label_and_words_are_escaped() -> None:
    svg = SharedSvgParts().add(DRAWN.format(end="3"), label='"<&')
    assert ElementTree.fromstring(svg).get("aria-label") == '"<&'
    assert "<text>a &lt; b</text>" in svg


def test_something_drawn_in_place_stays_however_often_it_was_drawn_before() -> None:
    shared = SharedSvgParts()
    assert all('d="M 1 1"' in shared.add(DRAWN.format(end="3"), label="x") for _ in range(2))
