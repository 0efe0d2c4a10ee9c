"""The page in a real browser."""

from pathlib import Path
from typing import Any

import pytest

BODY = "getComputedStyle(document.documentElement)"
FIRST = "document.querySelector('table.accuracy')"
NAMES = f"[...{FIRST}.tBodies[0].rows].map(row => row.cells[0].textContent.trim())"


@pytest.fixture(scope="module")
def file(shown_html: str, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The page as a file."""
    path = tmp_path_factory.mktemp("page") / "report.html"
    path.write_text(shown_html)
    return path


@pytest.mark.parametrize("theme", ["light", "dark"])
@pytest.mark.parametrize("width", [1280, 390])
def test_a_browser_has_nothing_to_complain_of_and_fetches_nothing(
    browser: Any, file: Path, theme: str, width: int
) -> None:
    browser.open(file, theme=theme, width=width)
    assert browser.run("document.querySelectorAll('figure svg').length") >= 5
    assert browser.said == []
    assert browser.fetched == [file.as_uri()]


def test_a_click_on_a_heading_sorts_another_turns_it_and_a_third_restores(browser: Any, file: Path) -> None:
    browser.open(file)
    by_time = f"[...{FIRST}.tHead.rows[0].cells].find(cell => cell.textContent === 'time')"
    orders = [browser.run(NAMES)]
    sorts = []
    for _ in range(3):
        browser.run(f"{by_time}.querySelector('button').click()")
        orders.append(browser.run(NAMES))
        sorts.append(browser.run(f"{by_time}.getAttribute('aria-sort')"))
    # The baseline has no change of time: what is not known comes last, either way.
    written = ["baseline", "mine", "random"]
    assert sorted(orders[0]) == written
    assert orders[1:] == [["mine", "random", "baseline"], ["random", "mine", "baseline"], orders[0]]
    assert sorts == ["ascending", "descending", None]
    assert browser.said == []


def test_numbers_are_sorted_as_numbers(browser: Any, file: Path) -> None:
    browser.open(file)
    browser.run(f"{FIRST}.tHead.rows[0].querySelectorAll('button')[6].click()")  # train s: 20.03, 15.00, 10.02
    assert browser.run(NAMES) == ["mine", "random", "baseline"]


@pytest.mark.parametrize(
    ("theme", "media", "ground", "ink"),
    [
        ("light", "", "rgb(255, 255, 255)", "rgb(27, 31, 36)"),
        ("dark", "", "rgb(21, 24, 28)", "rgb(229, 232, 235)"),
        ("dark", "print", "rgb(255, 255, 255)", "rgb(0, 0, 0)"),
    ],
)
def test_page_and_figures_follow_the_readers_light(
    browser: Any, file: Path, theme: str, media: str, ground: str, ink: str
) -> None:
    browser.open(file, theme=theme, media=media)
    assert browser.run(f"{BODY}.backgroundColor") == ground
    assert browser.run(f"{BODY}.color") == ink
    assert browser.run("getComputedStyle(document.querySelector('figure svg text')).fill") == ink


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_words_stand_out_from_their_ground(browser: Any, file: Path, theme: str) -> None:
    browser.open(file, theme=theme)
    low = browser.run("""
        (() => {
          const light = (text) => {
            const [r, g, b] = text.match(/[0-9.]+/g).map((v) => v / 255)
              .map((v) => v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4);
            return 0.2126 * r + 0.7152 * g + 0.0722 * b;
          };
          const ground = (e) => {
            for (; e; e = e.parentElement) {
              const color = getComputedStyle(e).backgroundColor;
              if (color !== "rgba(0, 0, 0, 0)") return color;
            }
          };
          return [...document.querySelectorAll("p, h1, h4, th, td, dt, dd, a, .mark, .tag, .note, summary, li")]
            .map((e) => [light(getComputedStyle(e).color), light(ground(e))].sort((a, b) => b - a))
            .map(([a, b]) => (a + 0.05) / (b + 0.05)).sort((a, b) => a - b)[0];
        })()""")
    assert low >= 4.5


def test_a_phone_scrolls_tables_in_their_box_and_never_the_page(browser: Any, file: Path) -> None:
    browser.open(file, width=390)
    assert browser.run("document.documentElement.scrollWidth") == 390
    assert browser.run(f"{FIRST}.parentElement.scrollWidth > {FIRST}.parentElement.clientWidth")


def test_it_prints_without_what_is_for_screens(browser: Any, file: Path) -> None:
    browser.open(file, media="print")
    assert browser.run("getComputedStyle(document.querySelector('nav')).display") == "none"
    assert len(browser.ask("Page.printToPDF", preferCSSPageSize=True)["data"]) > 10_000
