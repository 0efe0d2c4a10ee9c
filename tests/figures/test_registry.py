"""Every kind of figure in every size: drawn without a warning, nothing cut off, nothing covered."""

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from matplotlib.transforms import Bbox

from kbench.cli.compare import plot
from kbench.figures.layout import SIZES, save
from kbench.figures.registry import FIGURES, figure_kind

BEGINS = {"png": b"\x89PNG\r\n", "pdf": b"%PDF-", "svg": b"<?xml"}
TWELVE = (
    "baseline", "random", "budget", "iswr", "forget", "sb", "kakurenbo", "sb-stale", "infobatch",
    "kakurenbo-without-learning-rate", "selective-backprop-at-half-of-the-data", "random-like-kakurenbo",
)  # fmt: skip
FOUR = ("wrn-28-10-cifar100", "resnet50-imagenet", "deepcam-climate", "efficientnet-b3-imagenet")
CASES = {
    "one-seed": ("screen", {"seeds": 1, "epochs": 8}),
    "seven-strategies": ("one", {"epochs": 8}),
    "four-pairs": ("two", {"pairs": FOUR, "epochs": 8}),
    "twelve-strategies": ("one", {"strategies": TWELVE, "epochs": 8}),
}


ACROSS = tuple(kind for kind in FIGURES if figure_kind(kind).min_pairs > 1)


@pytest.fixture(scope="module")
def results(invent: Any) -> Callable[..., Any]:
    """``results(kind, epochs=8)``: invented results that a kind of figure can show, the same for all that can."""
    found: dict[str, Any] = {}

    def of(kind: str, **asked: Any) -> Any:
        asked = {"pairs": FOUR, **asked} if kind in ACROSS else asked
        name = f"{kind == 'robustness'} {asked}"
        if name not in found:
            found[name] = invent(**asked)
            if kind == "robustness":  # pairs that differ in nothing but the noise
                runs = found[name].runs
                runs["noise"], runs["noise_key"] = runs.groupby("pair", sort=False).ngroup() / 10, "one"
        return found[name]

    return of


@pytest.fixture(scope="module", params=[(kind, size) for kind in FIGURES for size in ("one", "two")], ids="-".join)
def figure(request: pytest.FixtureRequest, results: Any, draw: Any) -> Any:
    kind, size = request.param
    return draw(kind, results(kind, epochs=8), size=size)


@pytest.mark.parametrize("ending", BEGINS)
def test_a_figure_is_written_in_the_format_of_its_ending(figure: Any, ending: str, tmp_path: Path) -> None:
    path = save(figure.figure, figure.data, tmp_path / f"figure.{ending}")
    written = path.read_bytes()
    assert written.startswith(BEGINS[ending])
    assert path.with_suffix(".csv").exists()
    if ending == "pdf":  # fonts are embedded, as TrueType
        assert set(re.findall(rb"/Subtype\s*/(Type\d|TrueType|CIDFontType\d)", written)) == {b"Type0", b"CIDFontType2"}
        assert b"/FontFile2" in written


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("kind", FIGURES)
def test_nothing_is_cut_off_and_nothing_covers_anything(kind: str, case: str, results: Any, draw: Any) -> None:
    size, asked = CASES[case]
    assert flaws(draw(kind, results(kind, **asked), size=size)) == []


def flaws(drawn: Any) -> list[str]:
    """What is cut off or lies on something else."""
    room = drawn.figure.bbox.padded(0.5)
    found = [text for text, box in drawn.texts() if not np.allclose(Bbox.union([box, room]).extents, room.extents)]
    panels = [axes.get_tightbbox(drawn.renderer) for axes in drawn.figure.axes]
    keys = [legend.get_window_extent(drawn.renderer) for legend in drawn.figure.legends]
    found += ["the key lies on a panel" for key in keys for panel in panels if key.overlaps(panel)]
    found += ["panels overlap" for i, a in enumerate(panels) for b in panels[:i] if a.overlaps(b)]
    return found


def test_the_command_line_offers_what_there_is() -> None:
    kinds, sizes = (plot.__annotations__[name].__metadata__[0].help for name in ("kind", "size"))
    assert kinds == f"{', '.join(FIGURES)} or all."
    assert all(re.search(rf"\b{size}\b", sizes) for size in SIZES)
    assert all(figure_kind(name).about for name in FIGURES)
