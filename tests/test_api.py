"""The Python API: each function for real on the digits; typed values come back, and nothing is printed."""

import dataclasses
import shutil
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest

import kbench
from kbench import api
from kbench.analysis.frame import Frames
from kbench.analysis.rows import Comparison
from kbench.errors import ConfigError, KBenchError, ResultsError, RunError
from kbench.experiment.check import CheckReport
from kbench.experiment.driver import RunReport
from kbench.experiment.status import RunStatus
from kbench.papers.papers import PublishedComparison
from kbench.records.run_state import State

TINY = """\
name: tiny
pairs:
  - model: digits-cnn
    dataset: digits
    recipe: {epochs: 1, global_batch: 96, lr: 0.05}
strategies:
  - baseline
  - random: {fraction: 0.3}
seeds: [0]
"""
ONE_THREAD = "threads_per_rank=1"


@pytest.fixture
def here(small_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working folder from which the finished experiment ``small`` is read; nothing is in the environment."""
    monkeypatch.delenv("KBENCH_RESULTS", raising=False)
    monkeypatch.chdir(small_folder)
    return small_folder


@pytest.fixture
def tiny(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working folder with tiny.yaml, which nobody has run."""
    monkeypatch.delenv("KBENCH_RESULTS", raising=False)
    monkeypatch.chdir(tmp_path)
    (tmp_path / "tiny.yaml").write_text(TINY)
    return tmp_path


@pytest.fixture(autouse=True)
def silent(capfd: pytest.CaptureFixture[str]):
    """Nothing reaches stdout or stderr, not even from below Python."""
    yield
    assert capfd.readouterr() == ("", "")


def test_the_package_offers_the_seven_functions() -> None:
    assert set(kbench.__all__) == {"run", "check", "status", "compare", "plot", "report", "load", "calibrate", "plan"}
    assert all(getattr(kbench, name) is getattr(api, name) for name in kbench.__all__)
    assert set(kbench.__all__) <= set(dir(kbench))
    with pytest.raises(AttributeError, match="has no attribute 'runn'"):
        kbench.runn  # noqa: B018


def test_the_report_room_does_not_hide_the_report_function() -> None:
    code = "import kbench.html_report.page, kbench; assert callable(kbench.report)"
    subprocess.run([sys.executable, "-c", code], check=True, timeout=120)


def test_run_trains_what_is_missing_and_tells_how_it_goes(tiny: Path) -> None:
    messages: list[str] = []
    done = kbench.run("tiny.yaml", settings=ONE_THREAD, progress=messages.append)
    messages = messages[messages[0].startswith("warning: this machine is busy") :]  # with other tests
    assert isinstance(done, RunReport) and done.waited
    assert [(one.state, one.epochs_done, one.epochs) for one in done.runs] == [(State.DONE, 1, 1)] * 2
    assert done.folder.resolve() == tiny / "results" / "tiny"
    assert messages[0] == "2 of 2 runs to start, with local"
    assert [text[:6] for text in messages[1:]] == ["[1/2] ", "[2/2] "]
    again = kbench.run(tiny / "tiny.yaml", settings=[ONE_THREAD], progress=messages.append)
    assert len(messages) == 3 and [one.attempt for one in again.runs] == [1, 1]
    with pytest.raises(dataclasses.FrozenInstanceError):
        again.experiment = "other"  # type: ignore[misc]


def test_run_raises_when_a_run_failed_after_all_were_tried(tiny: Path) -> None:
    (tiny / "tiny.yaml").write_text(TINY.replace("lr: 0.05", "lr: 1.0e+30"))
    with pytest.raises(RunError, match="2 of 2 runs failed; digits-cnn-digits.baseline.s0"):
        kbench.run("tiny.yaml", settings=[ONE_THREAD])
    assert [one.state for one in kbench.status("tiny")] == [State.FAILED] * 2
    assert "finite" in str(kbench.status("tiny")[0].error)


def test_a_dry_run_describes_and_starts_nothing(tiny: Path) -> None:
    planned = kbench.run("tiny.yaml", only="baseline", dry_run=True)
    assert [one.state for one in planned.runs] == [State.MISSING]
    assert isinstance(planned.check, CheckReport)
    assert [one.run_id for one in planned.check.runs] == [one.run_id for one in planned.runs]
    assert not (tiny / "results").exists()


def test_a_script_that_runs_an_experiment_keeps_others_out(tiny: Path, until) -> None:
    """The lock knows its holder by the holder's own command, whatever that is called."""
    code = "import kbench; kbench.run('tiny.yaml', settings=['threads_per_rank=1', 'pairs.0.recipe.epochs=100000'])"
    (tiny / "study.py").write_text(code)
    process = subprocess.Popen([sys.executable, "study.py"], stderr=subprocess.DEVNULL)
    try:
        until(lambda: (tiny / "results/tiny/front.json").exists() or process.poll() is not None)
        with pytest.raises(KBenchError, match=f"kbench run is at work here already .process {process.pid} "):
            kbench.run("tiny.yaml", settings=["threads_per_rank=1", "pairs.0.recipe.epochs=100000"])
    finally:
        process.terminate()
        assert process.wait(60) != 0


def test_check_finds_out_what_the_command_finds_out(tiny: Path) -> None:
    found = kbench.check("tiny.yaml", settings=[ONE_THREAD, "time_limit='01:00:00'"], launcher="local")
    assert isinstance(found, CheckReport)
    assert (found.experiment, found.launcher, found.ranks, found.threads_per_rank) == ("tiny", "local", 1, 1)
    assert [one.state for one in found.runs] == [State.MISSING] * 2
    assert found.node_hours == 2.0 and found.data_problems == ()
    assert "kbench.worker" in found.script
    assert not (tiny / "results").exists()


def test_check_raises_all_mistakes_at_once(tiny: Path) -> None:
    (tiny / "tiny.yaml").write_text(TINY.replace("epochs: 1", "epochs: 0").replace("random", "randon"))
    with pytest.raises(ConfigError) as caught:
        kbench.check("tiny.yaml")
    assert len(caught.value.sentences) == 2
    assert "tiny.yaml:8: strategies[1].randon: unknown strategy; did you mean 'random'?" in caught.value.sentences


def test_status_lists_the_runs(here: Path) -> None:
    found = kbench.status("small")
    assert len(found) == 6 and all(isinstance(one, RunStatus) for one in found)
    assert {one.state for one in found} == {State.DONE}
    assert all(0 < float(one.final_acc1 or 0) <= 1 and one.elapsed_s for one in found)


def test_load_gives_two_frames(here: Path) -> None:
    frames = kbench.load("small")
    assert isinstance(frames, Frames)
    assert isinstance(frames.epochs, pd.DataFrame) and isinstance(frames.runs, pd.DataFrame)
    assert (len(frames.epochs), len(frames.runs)) == (18, 6)
    assert set(frames.epochs["strategy"]) == {"baseline", "random", "kakurenbo"}


def test_load_gathers_where_nothing_was_gathered(here: Path, tmp_path: Path) -> None:
    copy = Path(shutil.copytree(here / "results", tmp_path / "copy"))
    (copy / "small/epochs.parquet").unlink()
    assert len(kbench.load("small", results=copy).epochs) == 18


def test_results_may_lie_elsewhere(here: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert len(kbench.status("small", results=here / "results")) == 6
    monkeypatch.setenv("KBENCH_RESULTS", str(here / "results"))
    assert len(kbench.load("small").runs) == 6


def test_compare_gives_a_row_per_strategy(here: Path) -> None:
    found = kbench.compare("small", target=[0.5, "final*1.1"])
    assert isinstance(found, Comparison) and not isinstance(found, PublishedComparison)
    assert [row.strategy for row in found.rows] == ["baseline", "random", "kakurenbo"]
    assert [reach.target for reach in found.rows[0].targets][0] == 0.5
    assert [row.targets for row in kbench.compare("small", target=0.5).rows] == [
        row.targets for row in kbench.compare("small", target="0.5").rows
    ]
    assert kbench.compare("small", baseline="random").baseline == "random"


def test_compare_holds_published_numbers_against_the_rows(here: Path) -> None:
    found = kbench.compare("small", published=True)
    assert isinstance(found, PublishedComparison)
    assert found.rows == kbench.compare("small").rows
    assert set(found.as_json()) >= {"rows", "published", "audit"} and "papers" not in found.as_json()


def test_plot_writes_figures_with_their_data(here: Path, tmp_path: Path) -> None:
    drawn = kbench.plot("small", kind="epochs", output=tmp_path / "epochs.svg")
    assert (drawn.paths, drawn.skipped) == ((tmp_path / "epochs.svg",), {})
    assert {path.name for path in tmp_path.iterdir()} == {"epochs.svg", "epochs.csv"}


def test_report_writes_one_page(here: Path, tmp_path: Path) -> None:
    written = kbench.report("small", output=tmp_path / "page.html")
    assert written.path == tmp_path / "page.html" and written.skipped == {}
    assert written.path.read_text().startswith("<!")


@pytest.mark.parametrize(
    ("call", "error", "sentence"),
    [
        (lambda: kbench.run("gone.yaml"), ConfigError, "gone.yaml: no such file, wanted experiment"),
        (lambda: kbench.check("quik"), ConfigError, "did you mean 'quick'"),
        (lambda: kbench.status("smal"), ResultsError, "holds no results of 'smal'; did you mean 'small'"),
        (lambda: kbench.compare("small", target="high"), ConfigError, "--target: must be a fraction"),
        (lambda: kbench.compare("small", baseline="sb"), ResultsError, "no run of the baseline 'sb' is done"),
        (lambda: kbench.plot("small", kind="curve"), ConfigError, "unknown kind 'curve'; did you mean 'curves'"),
        (lambda: kbench.report("small", target=[98]), ConfigError, "--target: must be a fraction"),
        (lambda: kbench.load("nothing"), ResultsError, "holds no results of 'nothing'; known: small"),
    ],
)
def test_a_mistake_is_an_error_with_an_exit_code(call, error: type[KBenchError], sentence: str, here: Path) -> None:
    with pytest.raises(error, match=sentence):
        call()


def test_importing_the_package_imports_nothing_heavy() -> None:
    code = "import sys, kbench; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60)
    modules = done.stdout.split()
    assert not {"kbench.api", "kbench.errors", "pydantic", "torch", "pandas", "typer", "yaml"} & set(modules)
