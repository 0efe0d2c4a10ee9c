"""kbench import as a user types it, and what compare --published makes of it."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from kbench.config.run_spec import RunSpec
from kbench.records.folders import ExperimentDir

Write = Callable[..., Path]
Typed = Callable[..., Any]
LAST = {
    "baseline": 95.86,
    "baseline-ep80-2": 88.59,
    "forget": 95.85,
    "sb": 93.59,
    "kakurenbo-20": 95.28,
    "kakurenbo-30": 95.03,
}


@pytest.fixture
def audited(chart: Write, author_run: Callable[..., str]) -> Path:
    """A chart whose runs end where the published table says, or does not say."""
    runs = {author_run(strategy): [50.0, last] for strategy, last in LAST.items()}
    return chart({**runs, author_run("iswr"): [88.18]})


def test_a_run_per_line_and_advice_on_stderr(chart: Write, typed: Typed) -> None:
    path = chart({"x_baseline": [50.0, 60.0], "x_sb": [50.0]})
    done = typed("import", "wandb-csv", str(path))
    assert done.returncode == 0, done.stderr
    first, second = done.stdout.splitlines()
    assert first.startswith("chart.baseline.s0.")
    assert first.endswith("imported  2 epochs  last top-1 60.00 %, best 60.00 %")
    assert second.endswith("1 epoch  last top-1 50.00 %, best 50.00 %  interrupted: its log ends after 1 of 2 epochs")
    assert "2 of 2 runs are new in results/chart; see kbench compare chart --published" in done.stderr


def test_importing_twice_changes_nothing(chart: Write, typed: Typed, tmp_path: Path) -> None:
    path = str(chart({"x_baseline": [50.0, 60.0], "x_sb": [50.0, 55.0]}))
    typed("import", "wandb-csv", path)
    written = {file: file.stat().st_mtime_ns for file in (tmp_path / "results").rglob("*")}
    again = typed("import", "wandb-csv", path, "--json")
    assert [run["is_new"] for run in json.loads(again.stdout)["runs"]] == [False, False]
    assert {file: file.stat().st_mtime_ns for file in (tmp_path / "results").rglob("*")} == written


def test_json_has_null_for_what_is_not_known(chart: Write, typed: Typed) -> None:
    done = typed("import", "wandb-csv", str(chart({"sb": [50.0]})), "--json", "--quiet", "--experiment", "mine")
    told = json.loads(done.stdout)
    assert (done.stderr, told["experiment"]) == ("", "mine")
    assert (told["runs"][0]["final_acc1"], told["runs"][0]["total_train_s"]) == (0.5, None)


@pytest.mark.parametrize(
    "words, code, message",
    [
        (["wandb", "chart.csv"], 2, "unknown format 'wandb'; did you mean 'wandb-csv'?"),
        (["wandb-csv", "none.csv"], 6, "none.csv: no such file or folder"),
        (["csv", "chart.csv"], 6, "chart.csv:1: unknown column 'sb - eval_top1'"),
        (["wandb-csv", "chart.csv", "--as", "sb"], 2, "--as sb: must be REGEX=PAIR/STRATEGY"),
        (["wandb-csv", "chart.csv", "--experiment", "a/b"], 2, "--experiment: must be letters, digits, - and _ only"),
    ],
)
def test_mistakes_are_sentences(words: list[str], code: int, message: str, chart: Write, typed: Typed) -> None:
    chart({"sb": [50.0]})
    done = typed("import", *words)
    assert (done.returncode, done.stdout) == (code, "")
    assert message in done.stderr
    assert "Traceback" not in done.stderr


def test_other_commands_do_not_stumble_over_imported_runs(audited: Path, typed: Typed, tmp_path: Path) -> None:
    typed("import", "wandb-csv", str(audited))
    for words in (["status"], ["cancel"], ["gather"], ["compare"]):
        done = typed(*words, "kakurenbo")
        assert done.returncode == 0, (words, done.stderr)
    done = typed("compare", "kakurenbo", "--json")
    rows = {row["strategy"]: row for row in json.loads(done.stdout)["rows"]}
    assert rows["kakurenbo-20"]["acc_final"] == pytest.approx(0.9528)
    assert rows["kakurenbo-20"]["acc_final_diff"] == pytest.approx(-0.0058)
    assert rows["kakurenbo-20"]["train_s"] is None
    assert "iswr" not in rows  # its log is partial


def test_logs_of_fewer_epochs_than_were_published_decide_nothing(audited: Path, typed: Typed) -> None:
    typed("import", "wandb-csv", str(audited))
    told = json.loads(typed("compare", "kakurenbo", "--published", "--json").stdout)
    verdicts = {cell["strategy"]: (cell["verdict"], cell["why"]) for cell in told["audit"]}
    assert verdicts["baseline"] == ("undecided", "its log has 2 of 1000 epochs")
    assert {verdict for verdict, _ in verdicts.values()} == {"undecided"}


def test_a_printed_cell_that_is_another_runs_is_found_and_the_differences_set_right(
    chart: Write, author_run: Callable[..., str], typed: Typed
) -> None:
    runs = {author_run(strategy): [50.0] * 999 + [last] for strategy, last in LAST.items()}
    typed("import", "wandb-csv", str(chart({**runs, author_run("iswr"): [88.18] * 80})))
    shown = typed("compare", "kakurenbo", "--published").stdout
    words = " ".join(shown.split())
    assert (
        "the printed baseline, 95.03, is not the last accuracy of baseline's run (95.86), nor of baseline-ep80-2's "
        "run (88.59), but equals that of kakurenbo-30's run"
    ) in words
    assert "with the baseline run's 95.86 the differences change" in words
    assert "iswr's is -0.07, not +0.76 (from its printed value)" in words
    assert "kakurenbo's is -0.58, not +0.25" in words
    told = json.loads(typed("compare", "kakurenbo", "--published", "--json").stdout)
    verdicts = {cell["strategy"]: (cell["verdict"], cell["equals"]) for cell in told["audit"]}
    assert verdicts == {
        "baseline": ("contradicted", "kakurenbo-30"),
        "iswr": ("undecided", None),
        "forget": ("supported", None),
        "sb": ("supported", None),
        "kakurenbo": ("supported", None),
    }


def test_a_log_without_a_baseline_is_audited_all_the_same(kakurenbo_folder: Write, typed: Typed) -> None:
    folder = kakurenbo_folder("lagfix", [398.4] * 80, shares=[0.0] * 80)
    done = typed("import", "kakurenbo-log", str(folder))
    assert "80 epochs  training 531.2 min  hidden 0.00 % (79 epochs told)" in done.stdout
    assert typed("compare", "kakurenbo").returncode == 6
    shown = typed("compare", "kakurenbo", "--published")
    assert shown.returncode == 0
    words = " ".join(shown.stdout.split())
    assert (
        "deit-tiny-fractal3k / forget: by its log it hid nothing (79 of 80 epochs tell), and trained as a baseline "
        "does; it took 531 minutes"
    ) in words
    assert "forget 533 531.2 supported" in words


def test_other_mistakes_stay_mistakes_beside_published_numbers(audited: Path, typed: Typed) -> None:
    typed("import", "wandb-csv", str(audited), "--epochs", "2")
    done = typed("compare", "kakurenbo", "--published", "--transfer", "nowhere:deit-tiny-cifar10")
    assert (done.returncode, done.stdout) == (6, "")
    assert "nowhere" in done.stderr


def test_a_time_that_the_epochs_alone_exceed_is_contradicted(kakurenbo_folder: Write, typed: Typed) -> None:
    typed("import", "kakurenbo-log", str(kakurenbo_folder("lagfix", [420.0] * 80)))
    words = " ".join(typed("compare", "kakurenbo", "--published").stdout.split())
    assert "forget 533 560.0 contradicted forget's epochs alone take 560.0 min" in words


def test_imported_runs_stand_beside_measured_ones_and_are_not_averaged_with_them(
    run_spec: RunSpec, tmp_path: Path, typed: Typed
) -> None:
    ours = ExperimentDir(tmp_path / "results" / "small").run(run_spec.run_id)
    ours.prepare(run_spec)
    (tmp_path / "theirs.csv").write_text("epoch,val_acc1\n0,0.5\n1,0.6\n")
    words = ["import", "csv", "theirs.csv", "--experiment", "small", "--pair", run_spec.pair.name]
    refused = typed(*words, "--strategy", "baseline")
    assert refused.returncode == 6
    assert f"holds measured runs of {run_spec.pair.name} / baseline" in refused.stderr
    assert typed(*words, "--strategy", "theirs").returncode == 0
    assert "2 runs" in typed("gather", "small").stdout
    assert ours.read_spec() == run_spec


def test_tables_of_other_formats_hold_published_numbers_too(audited: Path, typed: Typed) -> None:
    typed("import", "wandb-csv", str(audited))
    for form in ("markdown", "latex", "csv"):
        done = typed("compare", "kakurenbo", "--published", "--format", form)
        assert done.returncode == 0, (form, done.stderr)
        assert "kakurenbo" in done.stdout


def test_percent_cannot_be_said_of_a_format_that_says_it_itself(kakurenbo_folder, typed) -> None:
    said = typed("import", "kakurenbo-log", str(kakurenbo_folder("x", [10.0], accuracy=[0.5])), "--percent")
    assert said.returncode == 2
    assert said.stderr.startswith("error: --percent: kakurenbo-log says itself what its accuracies are")


def test_the_line_of_a_run_says_in_how_many_stages_its_epochs_were_counted(kakurenbo_folder, typed) -> None:
    folder = kakurenbo_folder("x", [1.0] * 8, epochs=[0, 1, 2, 0, 1, 2, 3, 4])
    assert "8 epochs in 2 stages" in typed("import", "kakurenbo-log", str(folder)).stdout
