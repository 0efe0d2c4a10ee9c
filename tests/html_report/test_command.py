"""kbench report, the command."""

import json
from pathlib import Path
from typing import Any

import pytest


def test_the_page_lies_among_the_results_and_its_path_is_printed(small_folder: Path, here: Any) -> None:
    said = here("report", "small", cwd=small_folder)
    path = small_folder / "results" / "small" / "report.html"
    assert (said.code, said.out.strip()) == (0, "results/small/report.html")
    assert "random" in path.read_text() and "kakurenbo" in path.read_text()
    assert [p.name for p in path.parent.glob("*report*")] == ["report.html"]


def test_another_file_another_target_and_another_baseline(small_folder: Path, tmp_path: Path, here: Any) -> None:
    path = tmp_path / "new" / "page.html"
    flags = ["--output", str(path), "--target", "final*1.5", "--baseline", "random", "--json"]
    said = here("report", "small", *flags, cwd=small_folder)
    assert json.loads(said.out) == {"schema": 1, "report": str(path)}
    assert "final*1.5" in path.read_text()
    assert "compared with random" in path.read_text()


@pytest.mark.parametrize(
    ("flags", "code", "said"),
    [
        (["--target", "2"], 2, "error: --target: must be a fraction in (0, 1] or final*K, got 2"),
        (["--baseline", "nobody"], 6, "error: small: no run of the baseline 'nobody' is done"),
        (["--output", "small.yaml/page.html"], 6, "error: small.yaml/page.html: cannot be written:"),
    ],
)
def test_a_mistake_is_a_sentence(small_folder: Path, here: Any, flags: list[str], code: int, said: str) -> None:
    told = here("report", "small", *flags, cwd=small_folder)
    assert told.code == code
    assert told.err.startswith(said)
    assert told.out == ""
