"""Pages of results with chosen numbers, a reader of HTML that forgives nothing, and a real browser."""

import importlib.util
import shutil
from collections.abc import Callable, Iterator
from html.parser import HTMLParser
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from kbench.analysis.compare import compare
from kbench.analysis.frame import Frames
from kbench.config.experiment import Pair
from kbench.html_report.page import page
from kbench.records.folders import ExperimentDir

TESTS = Path(__file__).parents[1]
NASTY = "<script>console.error('injected')</script> & more"
VOID = {"area", "base", "br", "col", "hr", "img", "input", "link", "meta", "wbr"}


def _module(place: str) -> ModuleType:
    """Another folder's file of the tests."""
    spec = importlib.util.spec_from_file_location(place.replace("/", "_"), TESTS / f"{place}.py")
    assert spec and spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


_analysis = _module("analysis/conftest")
book = _analysis.book  # an experiment whose runs end as a test says
made = _analysis.made  # frames of runs in memory
here = _module("cli/conftest").here  # the command line in this process
Browser = _module("html_report/browser").Browser


class Read(HTMLParser):
    """A page as read; raises where a tag is not closed, or closes what is not open."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.text: list[str] = []
        self._open: list[str] = []
        self.feed(html)
        self.close()
        assert not self._open, f"never closed: {self._open}"

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        names = [name for name, _ in attrs]
        assert len(names) == len(set(names)), f"<{tag}> says twice {names}"
        self.tags.append((tag, dict(attrs)))
        if tag not in VOID:
            self._open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        assert "svg" in self._open or tag in VOID, f"<{tag}/> is closed nowhere but in SVG"
        self.tags.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self._open and self._open.pop() == tag, f"</{tag}> at {self.getpos()} closes another"

    def handle_data(self, data: str) -> None:
        if self._open and self._open[-1] not in ("script", "style"):
            self.text.append(data)

    def all(self, tag: str) -> list[dict[str, str | None]]:
        """The attributes of all elements of a kind."""
        return [attrs for name, attrs in self.tags if name == tag]

    @property
    def words(self) -> str:
        """All that is to be read, with single spaces."""
        return " ".join(" ".join(self.text).split())


@pytest.fixture(scope="session")
def read() -> Callable[[str], Read]:
    """``read(html)``: a page, checked."""
    return Read


@pytest.fixture(scope="session")
def html_of() -> Callable[..., str]:
    """``html_of(frames)``: the page about results."""

    def html(frames: Frames, *, baseline: str = "baseline", targets: tuple[float, ...] = (0.85,)) -> str:
        return page(frames, compare(frames, baseline=baseline, targets=targets)).html

    return html


@pytest.fixture(scope="session")
def shown(tmp_path_factory: pytest.TempPathFactory) -> Frames:
    """Three seeds: random saves a quarter, mine a half and gains a point; a fourth run of mine failed."""
    recipe = {"epochs": 2, "global_batch": 48, "lr": 0.05, "schedule": "cosine"}
    pair = Pair.model_validate({"model": "digits-cnn", "dataset": "digits", "recipe": recipe})
    book = _analysis.Book(ExperimentDir(tmp_path_factory.mktemp("shown") / "book"), pair)
    for seed, (noise, slow) in enumerate([(0.001, 1.0), (-0.002, 1.02), (0.0015, 0.99)]):
        base = 0.90 + 0.01 * seed
        book.run("baseline", seed, [base - 0.1, base], [10.0, 10.0 * slow])
        book.run("random", seed, [base - 0.1, base + noise], [7.5, 7.5], n_hidden=25, n_trained=75)
        book.run("mine", seed, [base - 0.1, base + 0.01 + noise / 10], [5.0, 5.0 * slow], n_hidden=50, n_trained=50)
    book.run("mine", 3, [0.5], [1.0], fails=NASTY, place={"hosts": ["<b>node1</b>"]})
    frames: Frames = book.frames()
    return frames


@pytest.fixture(scope="session")
def shown_html(shown: Frames, html_of: Callable[..., str]) -> str:
    """The page about ``shown``."""
    return html_of(shown)


@pytest.fixture(scope="session")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    """A real browser, without a window."""
    program = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if program is None:
        pytest.skip("needs chromium")
    with Browser(program, tmp_path_factory.mktemp("profile")) as opened:
        yield opened
