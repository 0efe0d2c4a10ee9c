"""Sizes, keys, titles and files."""

import re
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from kbench.figures.layout import SIZES, save, svg_element, width_in


@pytest.mark.parametrize(("size", "width"), [("one", 3.33), ("two", 6.9)])
@pytest.mark.parametrize("pairs", [("p",), ("p", "q", "r", "s")], ids=["one pair", "four"])
def test_a_figure_for_a_paper_is_as_wide_as_its_columns(
    size: str, width: float, pairs: tuple[str, ...], invent: Any, draw: Any
) -> None:
    assert draw("epochs", invent(("baseline", "sb"), pairs, epochs=3), size=size).figure.get_figwidth() == width


@pytest.mark.parametrize(("size", "shape"), [("screen", (2, 2)), ("two", (2, 2)), ("one", (4, 1))])
def test_four_pairs_stand_two_by_two_or_in_one_column(
    size: str, shape: tuple[int, int], invent: Any, draw: Any
) -> None:
    axes = draw("epochs", invent(("baseline", "sb"), ("p", "q", "r", "s"), epochs=3), size=size).figure.axes
    rows = {round(a.get_position().y0, 3) for a in axes}
    columns = {round(a.get_position().x0, 3) for a in axes}
    assert (len(rows), len(columns)) == shape


def test_letters_are_no_smaller_than_six_points() -> None:
    assert min(size.font_pt for size in SIZES.values()) - 1 >= 6


def test_the_width_of_a_text_is_that_of_its_letters() -> None:
    assert width_in("mm", 10) == pytest.approx(2 * width_in("m", 10), rel=0.2)
    assert width_in("m", 20) == pytest.approx(2 * width_in("m", 10))
    assert width_in("", 10) == 0


def test_a_title_too_long_for_its_panel_is_broken(invent: Any, draw: Any) -> None:
    pair = "a-model-of-a-very-long-name-resnet50-imagenet21k-climate"
    title = draw("epochs", invent(("baseline", "sb"), (pair,), epochs=3), size="one").figure.axes[0].get_title()
    assert title.replace("\n", "").replace(" ", "").startswith(pair)
    assert "\n" in title


def test_the_data_that_a_figure_shows_stands_beside_it(tmp_path: Path, invent: Any, draw: Any) -> None:
    drawn = draw("curves", invent(("baseline", "sb"), epochs=3))
    save(drawn.figure, drawn.data, tmp_path / "new" / "figure.pdf")
    pd.testing.assert_frame_equal(pd.read_csv(tmp_path / "new" / "figure.csv"), drawn.data, check_dtype=False)


@pytest.mark.parametrize("ending", ["pdf", "svg", "png"])
def test_the_same_figure_gives_the_same_file(tmp_path: Path, ending: str, invent: Any, draw: Any) -> None:
    frames = invent(("baseline", "sb"), epochs=3)
    drawn = [draw("epochs", frames) for _ in range(2)]
    first, second = (save(d.figure, d.data, tmp_path / f"{i}.{ending}").read_bytes() for i, d in enumerate(drawn))
    assert first == second


def test_a_transparent_file_has_no_ground(tmp_path: Path, invent: Any, draw: Any) -> None:
    from matplotlib.image import imread

    drawn = draw("epochs", invent(("baseline", "sb"), epochs=3))
    corners = [
        imread(save(drawn.figure, drawn.data, tmp_path / f"{clear}.png", transparent=clear))[0, 0, 3]
        for clear in (True, False)
    ]
    assert corners == [0.0, 1.0]


def test_an_svg_for_a_page_takes_the_colour_of_its_text(invent: Any, draw: Any) -> None:
    element = svg_element(draw("curves", invent(("baseline", "sb"), epochs=3)).figure)
    assert element.startswith('<svg fill="currentColor"')
    assert "#000000" not in element
    assert "#ffffff" not in element.replace("var(--ground, #ffffff)", "")
    assert re.search(r"<text[^>]*>baseline</text>", element)
