"""What the audit says of results with chosen numbers."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pandas as pd
import pytest

from kbench.analysis.compare import compare
from kbench.analysis.finding import Finding
from kbench.analysis.frame import Frames
from kbench.analysis.rows import Comparison

Told = Callable[..., list[str]]


@pytest.fixture
def findings() -> Callable[..., list[Finding]]:
    """What is found in a book: ``findings(book, "control")`` of some kinds, without kinds of all."""

    def of(book: Any, *kinds: str, baseline: str = "baseline", targets: Any = ()) -> list[Finding]:
        found = compare(book.frames(), baseline=baseline, targets=targets).findings
        return [finding for finding in found if not kinds or finding.kind in kinds]

    return of


@pytest.fixture
def told(findings: Callable[..., list[Finding]]) -> Told:
    """The texts of what is found, but for the remark that no run hides at random: few books have such runs."""

    def of(book: Any, *kinds: str, **asked: Any) -> list[str]:
        return [f.text for f in findings(book, *kinds, **asked) if kinds or f.kind != "control"]

    return of


@pytest.fixture
def imported() -> Callable[..., Comparison]:
    """Compare after some runs were given out as read from logs of others: ``imported(frames, seed=3)``."""

    def compared(frames: Frames, **which: Any) -> Comparison:
        theirs = pd.Series(True, index=frames.runs.index)
        for column, value in which.items():
            theirs &= frames.runs[column] == value
        runs = frames.runs.astype({"imported_from": "object"})
        runs.loc[theirs, "imported_from"] = "wandb"
        return compare(replace(frames, runs=runs), baseline="baseline", targets=[])

    return compared
