"""A comparison that has everything in it, and every format read back."""

import csv
import io
import re
from collections.abc import Iterator
from typing import Any

import pytest

from kbench.analysis.compare import compare
from kbench.analysis.rows import Comparison
from kbench.analysis.time_to_target import parse_target

Grid = list[list[str]]  # header and lines of a table; empty cells are not there


@pytest.fixture
def full(book: Any) -> Comparison:
    """Two pairs, one after the other, three and two seeds, intervals and ranges, a target missed, names with signs."""
    for model, seeds, strategies in (
        ("digits-cnn", 3, {"baseline": 1.0, "random_25": 0.75, "sb-2": 0.8}),
        ("mlp", 2, {"baseline": 1.0, "random_25": 0.7}),
    ):
        for strategy, share in strategies.items():
            for seed in range(seeds):
                seconds = [5.0 * share + 0.01 * seed**2, 5.0 * share + 0.2 * len(strategy)]
                accuracy = [0.6, 0.9 - 0.01 * seed * len(strategy) * share]
                samples = {"n_trained": round(1100 * share), "n_hidden": round(100 * (1 - share)), "n_refreshed": 2}
                parts = {"forward_s": share, "backward_s": 2 * share, "refresh_s": 0.125}
                place = {"stage_s": 0.5 + seed} if model == "mlp" else {}
                book.run(strategy, seed, accuracy, seconds, model=model, ceiling=0.4, place=place, **samples, **parts)
    return compare(
        book.frames(),
        baseline="baseline",
        targets=["0.6:sustained", 0.85, parse_target("final*1.05"), 0.999],
        transfers=[("digits-cnn-digits", ["mlp-digits"])],
        margins={"digits-cnn-digits": 0.04},
    )


class Read:
    """How tables are read back."""

    @staticmethod
    def text(printed: str) -> list[Grid]:
        blocks = [block.splitlines() for block in printed.split("\n\n") if "\n---" in block]
        return [[re.split(r"\s{2,}", line.strip()) for line in block if not line.startswith("---")] for block in blocks]

    @staticmethod
    def markdown(printed: str) -> list[Grid]:
        blocks = [block.splitlines() for block in printed.split("\n\n") if block.startswith("| ")]
        plain = [[re.sub(r"\\(.)", r"\1", line) for line in block if "---" not in line] for block in blocks]
        return [[[c for c in line[2:-2].split(" | ") if c] for line in block] for block in plain]

    @staticmethod
    def latex(printed: str) -> list[Grid]:
        blocks = re.findall(r"\\toprule\n(.*?)\\bottomrule", printed, re.DOTALL)
        rows = [[line.strip()[:-3] for line in block.splitlines() if "&" in line] for block in blocks]
        return [[[plain(cell) for cell in re.split(r"(?<!\\)&", line) if cell.strip()] for line in b] for b in rows]

    @staticmethod
    def macros(printed: str) -> dict[str, str]:
        found = re.findall(r"^\\newcommand\{\\(\w+)\}\{(.*)\}$", printed, re.MULTILINE)
        return {name: plain(text) for name, text in found}

    @staticmethod
    def csv(printed: str) -> list[dict[str, str]]:
        return list(csv.DictReader(io.StringIO(printed)))


def plain(latex: str) -> str:
    """What LaTeX prints, in the characters of a terminal."""
    for code, sign in ((r"$-$", "-"), (r"$\pm$", "±"), (r"$\times$", "x"), (r"$\geq$", ">=")):
        latex = latex.replace(code, sign)
    latex = re.sub(r"\\([&%$#_{}])", r"\1", latex.strip())
    return "-" if latex == "--" else latex


@pytest.fixture
def read() -> type[Read]:
    return Read


def flat(row: dict[str, Any]) -> Iterator[tuple[str, Any]]:
    """A row of the JSON as columns of a sheet."""
    for key, value in row.items():
        if key == "targets":
            for target in value:
                yield f"target_{target['asked']}_accuracy", target["target"]
                numbers = {k: v for k, v in target.items() if k not in ("asked", "target")}
                yield from ((f"target_{target['asked']}_{name}", number) for name, number in flat(numbers))
        elif key == "time_parts":
            for name, part in value.items():
                yield f"{'parts_total' if name == 'total' else name}_s", part["seconds"]
                if part["share"] is not None:
                    yield f"{name}_share", part["share"]
        elif key.endswith(("_ci", "_range", "_bca")):
            yield from zip((f"{key}_low", f"{key}_high"), value or (None, None), strict=True)
        elif key not in ("pair", "strategy", "upstream", "ci_method", "shown", "rule", "withheld", "hits_missing"):
            yield key, value


@pytest.fixture
def columns() -> Any:
    return lambda row: dict(flat(row))
