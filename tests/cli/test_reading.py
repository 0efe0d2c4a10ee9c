"""Commands that only look: what they print, for people and for programs."""

import json
import os
import shutil
from pathlib import Path

import pandas as pd
import pytest

RUNS = [f"digits-cnn-digits.{name}.s{seed}" for name in ("baseline", "random", "kakurenbo") for seed in (0, 1)]
LISTED = {
    "strategies": {"baseline", "random", "budget", "iswr", "forget", "sb", "kakurenbo"},
    "models": {"digits-cnn"},
    "datasets": {"digits"},
    "experiments": {"quick", "mine"},
    "sites": {"laptop"},
}


def named(lines: str) -> list[str]:
    """The runs at the beginning of lines, without their hashes."""
    return [line.split()[0].rpartition(".")[0] for line in lines.splitlines() if line.startswith("digits-cnn")]


@pytest.mark.parametrize(
    "words",
    [
        ["run", "small.yaml"],
        ["run", "small.yaml", "-n"],
        ["check", "small.yaml"],
        ["status", "small"],
        ["gather", "small"],
        ["compare", "small"],
        ["plot", "small", "--kind", "all"],
        *(["list", kind] for kind in LISTED),
        ["list", "strategies", "kakurenbo"],
    ],
    ids=" ".join,
)
def test_json_is_one_object_and_nothing_else(words: list[str], folder: Path, here) -> None:
    said = here(*words, "--json", cwd=folder)
    assert said.code == 0
    assert json.loads(said.out)["schema"] == 1


@pytest.mark.parametrize(
    "command", [["check", "small.yaml"], ["run", "small.yaml", "-n"], ["run", "small.yaml", "--dry-run"]]
)
def test_a_check_starts_nothing_and_writes_nothing(
    command: list[str], small_folder: Path, tmp_path: Path, here
) -> None:
    (tmp_path / "small.yaml").write_text((small_folder / "small.yaml").read_text())
    said = here(*command, cwd=tmp_path)
    assert said.code == 0
    assert named(said.out) == RUNS
    assert "6 runs (6 missing)" in said.out
    assert "-m kbench.worker" in said.out
    assert os.listdir(tmp_path) == ["small.yaml"]


@pytest.mark.parametrize(
    "only, wanted",
    [
        (["kakurenbo"], RUNS[4:]),
        (["0"], RUNS[::2]),
        (["s1", "random"], [RUNS[3]]),
        (["random", "baseline"], RUNS[:4]),
        (["digits-cnn-digits"], RUNS),
    ],
)
def test_only_keeps_what_it_names(only: list[str], wanted: list[str], small_folder: Path, here) -> None:
    flags = [word for name in only for word in ("--only", name)]
    assert named(here("check", "small.yaml", *flags, cwd=small_folder).out) == wanted


def test_the_default_experiment_is_the_embedded_one(tmp_path: Path, here) -> None:
    said = here("run", "-n", "--json", cwd=tmp_path)
    assert json.loads(said.out)["experiment"] == "quick"


def test_results_may_lie_where_the_environment_says(small_folder: Path, tmp_path: Path, kbench) -> None:
    done = kbench("status", "small", env={"KBENCH_RESULTS": str(small_folder / "results")})
    assert named(done.stdout) == RUNS


@pytest.mark.parametrize("name", ["small", "small.yaml"])
def test_status_has_a_line_per_run_in_the_order_of_the_file(name: str, small_folder: Path, here) -> None:
    said = here("status", name, cwd=small_folder)
    assert named(said.out) == RUNS
    assert all("  done  epoch 3/3  top-1 " in line for line in said.out.splitlines())


def test_status_tells_programs_the_same(small_folder: Path, here) -> None:
    told = json.loads(here("status", "small", "--json", cwd=small_folder).out)
    assert [run["run_id"].rpartition(".")[0] for run in told["runs"]] == RUNS
    for run in told["runs"]:
        assert (run["state"], run["epochs_done"], run["epochs"], run["error"]) == ("done", 3, 3, None)
        assert 0 < run["final_acc1"] <= 1
        assert run["elapsed_s"] > 0


def test_gather_makes_the_tables_anew(folder: Path, here) -> None:
    tables = [folder / "results" / "small" / f"{name}.parquet" for name in ("epochs", "runs")]
    for table in tables:
        table.unlink()
    said = here("gather", "small", cwd=folder)
    assert [line.split()[-2:] for line in said.out.splitlines()] == [["18", "epochs"], ["6", "runs"]]
    assert [len(pd.read_parquet(table)) for table in tables] == [18, 6]


def test_compare_gathers_by_itself(folder: Path, here) -> None:
    (folder / "results" / "small" / "epochs.parquet").unlink()
    assert here("compare", "small", cwd=folder).code == 0
    assert (folder / "results" / "small" / "epochs.parquet").exists()


def test_compare_tells_programs_what_the_contract_says(small_folder: Path, here) -> None:
    by_flag = here("compare", "small", "--json", cwd=small_folder).out
    assert here("compare", "small", "--format", "json", cwd=small_folder).out == by_flag
    told = json.loads(by_flag)
    assert (told["schema"], told["experiment"], told["baseline"]) == (1, "small", "baseline")
    assert [row["strategy"] for row in told["rows"]] == ["baseline", "random", "kakurenbo"]
    wanted = (
        "pair strategy seeds acc_best acc_best_sd acc_final acc_diff acc_diff_ci train_s time_diff time_diff_ci "
        "time_ceiling targets n_trained n_scored n_refreshed hidden_mean"
    ).split()
    for row in told["rows"]:
        assert set(wanted) <= row.keys()
        assert row["seeds"] == 2
        assert [target["target"] for target in row["targets"]] == [0.5, 1.0]


def test_a_target_that_no_run_reached_has_no_seconds(small_folder: Path, here) -> None:
    told = json.loads(here("compare", "small", "--json", "--target", "1.0", cwd=small_folder).out)
    found = [row["targets"][0] for row in told["rows"]]
    assert all(target["reached"] == 0 and target["seconds"] is None for target in found)


def test_compare_prints_the_same_rows_in_every_format(small_folder: Path, here) -> None:
    wanted = ["baseline", "random", "kakurenbo"]
    said = {form: here("compare", "small", "--format", form, cwd=small_folder) for form in ("csv", "markdown", "latex")}
    assert [told.code for told in said.values()] == [0, 0, 0]
    lines = said["csv"].out.splitlines()
    assert [line.split(",")[:3] for line in lines[1:]] == [["small", "digits-cnn-digits", name] for name in wanted]
    told = json.loads(here("compare", "small", "--json", cwd=small_folder).out)
    column = lines[0].split(",").index("time_diff")
    assert [line.split(",")[column] for line in lines[2:]] == [str(row["time_diff"]) for row in told["rows"][1:]]
    for row in told["rows"][1:]:
        shown = f"{100 * row['time_diff']:+.1f} %"
        assert f" {shown} |" in said["markdown"].out
        assert shown.replace("-", "$-$").replace("%", r"\%") in said["latex"].out


def test_a_sheet_holds_numbers_only_and_findings_go_to_the_person(small_folder: Path, here) -> None:
    said = here("compare", "small", "--format", "csv", cwd=small_folder)
    assert len(said.out.splitlines()) == 4
    assert "note: digits-cnn-digits: baseline, random, kakurenbo: 2 matched seeds" in said.err
    assert here("compare", "small", "--format", "csv", "--quiet", cwd=small_folder).err == ""


def test_an_error_target_is_a_multiple_of_the_baseline_s_final_error(small_folder: Path, here) -> None:
    told = json.loads(here("compare", "small", "--json", "--target", "final*1.5", cwd=small_folder).out)
    base, *_ = told["rows"]
    (reach,) = base["targets"]
    assert reach["asked"] == "final*1.5"
    assert reach["target"] == pytest.approx(1 - 1.5 * (1 - base["acc_final"]))


def test_compare_prints_a_line_per_strategy(small_folder: Path, here) -> None:
    out = here("compare", "small", cwd=small_folder).out
    assert [line.split()[0] for line in out.splitlines()[4:7]] == ["baseline", "random", "kakurenbo"]


def test_another_strategy_can_be_the_baseline(small_folder: Path, here) -> None:
    told = json.loads(here("compare", "small", "--json", "--baseline", "random", cwd=small_folder).out)
    assert told["baseline"] == "random"
    assert [row["acc_diff"] for row in told["rows"] if row["strategy"] == "random"] in ([None], [0.0])


@pytest.mark.parametrize("part", ["kakurenbo.s1", "small/digits-cnn-digits.kakurenbo.s1"])
def test_a_run_is_found_by_any_part_of_its_name(part: str, small_folder: Path, here) -> None:
    said = here("logs", part, cwd=small_folder)
    assert said.code == 0
    assert [line.split()[:2] for line in said.out.splitlines()] == [["train", "1"], ["train", "2"], ["train", "3"]]


@pytest.mark.parametrize("kind", LISTED)
def test_names_are_listed_a_line_each(kind: str, tmp_path: Path, here) -> None:
    (tmp_path / "configs").mkdir()
    (tmp_path / "configs" / "mine.yaml").write_text("# One of my own.\nname: mine\n")
    lines = [line.split(maxsplit=1) for line in here("list", kind, cwd=tmp_path).out.splitlines()]
    assert LISTED[kind] <= {name for name, _ in lines}
    assert all(about for _, about in lines)


def test_a_strategy_is_described_with_its_parameters(tmp_path: Path, here) -> None:
    told = json.loads(here("list", "strategies", "kakurenbo", "--json", cwd=tmp_path).out)
    names = [parameter["name"] for parameter in told["parameters"]]
    assert names[:5] == ["fraction", "confidence", "milestones", "shares", "lr_from"]
    assert {"confidence_over", "refresh_in", "lr_clock"} < set(names)


def test_all_kinds_of_figures_are_drawn_each_with_its_data(folder: Path, here) -> None:
    told = json.loads(here("plot", "small", "--kind", "all", "-o", "figures", "--json", cwd=folder).out)
    drawn = [Path(figure["figure"]).stem for figure in told["figures"]]
    assert drawn == ["curves", "epochs", "time", "hidden", "pareto", "speedup"]
    assert told["skipped"] == {}
    written = {f"{kind}.{ending}" for kind in drawn for ending in ("png", "csv")}
    assert {path.name for path in (folder / "figures").iterdir()} == written


def test_a_figure_that_cannot_be_drawn_is_skipped_and_said_to_be(folder: Path, here) -> None:
    for run in (folder / "results" / "small" / "runs").iterdir():
        if ".baseline." not in run.name:
            shutil.rmtree(run)
    said = here("plot", "small", "--kind", "all", "-o", "figures", cwd=folder)
    assert said.code == 0
    notes = [line for line in said.err.splitlines() if line.startswith("note: no figure ")]
    assert [note.split("'")[1] for note in notes] == ["hidden", "speedup"]
    assert len(said.out.splitlines()) == 4


def test_runs_that_no_figure_shows_are_named_for_programs_too(folder: Path, here) -> None:
    run = next((folder / "results" / "small" / "runs").glob("*.baseline.*"))
    shutil.rmtree(run)
    told = json.loads(here("plot", "small", "--kind", "pareto", "-o", "figures", "--json", cwd=folder).out)
    assert len(told["figures"]) == 1
    assert run.name in " ".join(told["absent"])


def test_a_single_figure_that_cannot_be_drawn_is_an_error(folder: Path, here) -> None:
    for run in (folder / "results" / "small" / "runs").iterdir():
        if ".baseline." not in run.name:
            shutil.rmtree(run)
    said = here("plot", "small", "--kind", "hidden", "-o", "figures", cwd=folder)
    assert (said.code, said.out) == (6, "")
    assert said.err.startswith("error: small: no strategy is known to hide samples")
    assert "hint: " in said.err


def test_a_figure_for_a_column_of_a_paper_is_as_narrow_as_that(folder: Path, here) -> None:
    assert here("plot", "small", "--size", "one", "-o", "one.svg", cwd=folder).code == 0
    assert 'width="239.76pt"' in (folder / "one.svg").read_text()


def test_nothing_that_a_file_holds_steers_the_terminal(small_folder: Path, tmp_path: Path, here) -> None:
    shutil.copytree(small_folder / "results", tmp_path / "results")
    run = next((tmp_path / "results" / "small" / "runs").glob("*.kakurenbo.s0.*"))
    (run / "stdout.log").write_text("one\x1b[2J\x1b]0;title\x07\rtwo\n")
    (run / "done.json").write_text('{"\x1b[31m')
    there = run.rename(run.with_name(f"{run.name}\x1b[8m"))
    for words in (["status", "small"], ["logs", there.name], ["compare", "small"], ["report", "small"]):
        said = here(*words, cwd=tmp_path)
        assert not set(said.out + said.err) & set("\x07\x1b"), words
    assert here("logs", there.name, cwd=tmp_path).out == "one\\x1b[2J\\x1b]0;title\\x07\rtwo\n"


def test_a_plan_needs_three_seeds_or_a_calibration_and_says_how_to_come_by_one(small_folder: Path, here) -> None:
    said = here("plan", "small.yaml", "--margin", "0.5", cwd=small_folder)
    assert said.code == 6 and said.out == ""
    assert (
        "nothing to plan from" in said.err
        and "hint: kbench calibrate small.yaml --results results --seeds 5" in said.err
    )
    assert here("plan", "small.yaml", cwd=small_folder).code == 2
    assert here("plan", "small.yaml", "--margin", "0.5", "--power", "1", cwd=small_folder).code == 2


def test_a_score_that_is_none_is_refused_and_a_pair_that_is_no_benchmark_is_named(small_folder: Path, here) -> None:
    assert here("compare", "small", "--score", "elo", cwd=small_folder).code == 2
    assert here("compare", "small", "--runs", "5", cwd=small_folder).code == 2
    found = json.loads(here("compare", "small", "--score", "mlperf", "--json", cwd=small_folder).out)
    assert found["mlperf"] == [] and any("is no benchmark of MLPerf" in text for text in found["doubts"])
