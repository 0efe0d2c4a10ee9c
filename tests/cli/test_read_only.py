"""Results that cannot be written to, of a colleague or on an archive, are compared, drawn and reported all the same."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

WITHOUT = "--bounding-set=-dac_override,-dac_read_search,-fowner"  # root obeys permissions then


@pytest.fixture(scope="module")
def read_only(small_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the small results with a journal that is newer than the tables; nobody may write there."""
    results = tmp_path_factory.mktemp("archive") / "results"
    shutil.copytree(small_folder / "results", results)
    for path in [results, *results.rglob("*")]:
        path.chmod(0o555 if path.is_dir() else 0o444)
    journal = next(results.glob("small/runs/*/epochs.jsonl"))
    os.utime(journal)
    return results


@pytest.fixture
def look(read_only: Path, tmp_path: Path, clean_env: dict[str, str]):
    """Run a command on the results as one who may not write there: ``look("compare", "small")``."""
    prefix = [] if os.getuid() else ["setpriv", WITHOUT]
    if prefix and not shutil.which("setpriv"):
        pytest.skip("needs setpriv, or another user than root")

    def call(*words: str) -> subprocess.CompletedProcess[str]:
        command = [*prefix, sys.executable, "-m", "kbench", *words, "--results", str(read_only)]
        done = subprocess.run(command, cwd=tmp_path, env=clean_env, capture_output=True, text=True, timeout=300)
        assert "Traceback" not in done.stderr
        return done

    return call


def test_a_comparison_of_read_only_results_is_that_of_a_copy(look, read_only: Path, kbench, tmp_path: Path) -> None:
    there = look("compare", "small", "--format", "json")
    shutil.copytree(read_only, tmp_path / "copy")
    for path in (tmp_path / "copy").rglob("*"):
        path.chmod(0o755 if path.is_dir() else 0o644)
    (tmp_path / "copy").chmod(0o755)
    here = kbench("compare", "small", "--format", "json", "--results", "copy")
    assert there.returncode == 0, there.stderr
    assert json.loads(there.stdout) == json.loads(here.stdout)
    assert not list(read_only.rglob(".*"))


@pytest.mark.parametrize(
    ("words", "made"),
    [
        (["plot", "small", "--kind", "pareto"], "small-figures/pareto.png"),
        (["report", "small"], "small-report.html"),
        (["export", "csv", "small"], "small-csv/epochs.csv"),
    ],
    ids=lambda value: value[0] if isinstance(value, list) else "",
)
def test_what_is_made_of_read_only_results_goes_into_the_current_folder_and_says_so(
    words: list[str], made: str, look, read_only: Path, tmp_path: Path
) -> None:
    done = look(*words)
    assert done.returncode == 0, done.stderr
    assert (tmp_path / made).stat().st_size
    place = made.split("/")[0]
    assert f"note: {read_only / 'small'} cannot be written to; {place} is in the current folder" in done.stderr


def test_a_table_that_cannot_be_written_is_named_with_the_reason(look, read_only: Path) -> None:
    done = look("gather", "small")
    assert done.returncode == 6
    assert done.stderr == f"error: {read_only}/small/epochs.parquet: cannot be written: Permission denied\n"


def test_a_run_whose_folder_may_not_be_read_is_named_and_is_not_missing(look, read_only: Path) -> None:
    run = sorted((read_only / "small" / "runs").iterdir())[0]
    run.chmod(0)  # as another user's with umask 077
    try:
        done = look("status", "small")
    finally:
        run.chmod(0o555)
    assert done.returncode == 0, done.stderr
    (line,) = [line for line in done.stdout.splitlines() if line.startswith(run.name)]
    assert line.split()[1] == "damaged" and "may not be read; its owner opens it to others with chmod -R g+rX" in line
    assert "missing" not in done.stdout
