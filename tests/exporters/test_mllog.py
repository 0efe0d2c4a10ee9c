"""MLPerf logs: what the public checker accepts, what kbench reads back, what is not known and left out."""

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from kbench.exporters import mllog as exporter
from kbench.exporters.mllog import Log
from kbench.exporters.registry import Submission
from kbench.importers.mllog import read
from kbench.records.folders import RunDir
from kbench.records.run_files import Job

Finish = Callable[..., RunDir]
SAID = Submission(org="a centre", division="closed")


def mllog(run: RunDir, submission: Submission) -> Log:
    return exporter.run_log(run.read(), submission)


def events(text: str) -> list[dict[str, Any]]:
    """The lines of a log, parsed."""
    lines = text.splitlines()
    assert all(line.startswith(":::MLLOG {") for line in lines)
    return [json.loads(line.removeprefix(":::MLLOG ")) for line in lines]


def values(text: str) -> dict[str, Any]:
    """The last value of each key."""
    return {event["key"]: event["value"] for event in events(text)}


def checked(path: Path, *, rules: str) -> tuple[int, str]:
    """What mlcommons' compliance checker says of a log under the HPC rules of a version."""
    command = [sys.executable, "-m", "mlperf_logging.compliance_checker", "--usage", "hpc", "--ruleset", rules]
    command += ["--werror", "--log_output", str(path.with_suffix(".checked")), str(path)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60)
    return done.returncode, done.stdout + done.stderr


@pytest.mark.parametrize("rules", ["1.0.0", "2.0.0", "3.0.0"])
def test_the_public_checker_accepts_a_closed_deepcam_run(rules: str, finish: Finish, tmp_path: Path) -> None:
    path = tmp_path / "result_1.txt"
    path.write_text(mllog(finish(), SAID).text)
    code, said = checked(path, rules=rules)
    assert (code, "SUCCESS" in said) == (0, True), said


def test_the_public_checker_accepts_a_strategy_in_the_open_division(finish: Finish, tmp_path: Path) -> None:
    path = tmp_path / "result_1.txt"
    path.write_text(mllog(finish(strategy="kakurenbo", n_trained=41 * 2048), Submission(org="a centre")).text)
    code, said = checked(path, rules="3.0.0")
    assert code == 0, said


def test_the_public_checker_refuses_a_run_that_missed_the_target(finish: Finish, tmp_path: Path) -> None:
    path = tmp_path / "result_1.txt"
    path.write_text(mllog(finish((0.3, 0.6, 0.7, 0.8199)), SAID).text)
    code, said = checked(path, rules="3.0.0")
    assert code == 1 and "eval_accuracy" in said


def test_lines_are_in_the_format_and_order_of_mlperf(finish: Finish) -> None:
    told = events(mllog(finish((0.31,)), SAID).text)
    assert {tuple(event) for event in told} == {("namespace", "time_ms", "event_type", "key", "value", "metadata")}
    assert all({"file", "lineno"} <= event["metadata"].keys() for event in told)
    course = [event["key"] for event in told if event["event_type"] != "POINT_IN_TIME"]
    assert course == [
        *("init_start", "init_stop", "run_start", "staging_start", "staging_stop"),
        *("epoch_start", "epoch_stop", "eval_start", "eval_stop", "run_stop"),
    ]
    times = [event["time_ms"] for event in told]
    assert times == sorted(times)


def test_times_are_those_of_the_records(finish: Finish) -> None:
    told = {event["key"]: event for event in events(mllog(finish((0.31,)), SAID).text)}
    began = 1735732800_000  # 2025-01-01 12:00 UTC
    after = {key: round(told[key]["time_ms"] - began, 3) for key in told}
    assert (after["init_start"], after["init_stop"], after["run_start"]) == (4_000, 20_000, 20_000)
    assert (after["staging_start"], after["staging_stop"]) == (20_000, 80_250)
    assert (after["eval_stop"], after["eval_start"]) == (125_000, 121_500)
    assert (after["epoch_stop"], after["epoch_start"]) == (121_500, 96_376.544)
    assert (after["run_stop"], told["run_stop"]["metadata"]["status"]) == (300_000, "success")


def test_the_recipe_is_told_in_deepcams_keys(finish: Finish) -> None:
    found = values(mllog(finish(), SAID).text)
    assert {key: found[key] for key in found if key.startswith("opt_")} == {
        **{"opt_name": "LAMB", "opt_lr": 0.0055, "opt_base_learning_rate": 0.0055, "opt_weight_decay": 0.01},
        **{"opt_betas": [0.9, 0.999], "opt_eps": 1e-6, "opt_max_grad_norm": 1.0},
        **{"opt_bias_correction": True, "opt_grad_averaging": True},
    }
    assert {key: found[key] for key in found if key.startswith("scheduler_")} == {
        **{"scheduler_type": "multistep", "scheduler_lr_warmup_factor": 1.0, "scheduler_decay_rate": 0.1},
        # 59 steps an epoch: it drops after 119 and 178 of them, counted from the end of the warm-up
        **{"scheduler_lr_warmup_steps": 59, "scheduler_milestones": [60, 119]},
    }
    assert (found["global_batch_size"], found["train_samples"], found["eval_samples"]) == (2048, 121266, 15158)
    assert (found["number_of_nodes"], found["accelerators_per_node"]) == (2, 4)
    assert found["submission_platform"] == "2 x 4 NVIDIA H200"
    assert found["cache_clear"] is False


def test_a_cosine_is_told_with_its_length(finish: Finish) -> None:
    recipe = {"epochs": 4, "global_batch": 2048, "lr": 0.1, "schedule": "cosine", "min_lr": 0.001, "warmup_epochs": 0.5}
    found = values(mllog(finish(recipe=recipe), SAID).text)
    assert (found["scheduler_type"], found["scheduler_eta_min"]) == ("cosine_annealing", 0.001)
    assert (found["scheduler_lr_warmup_steps"], found["scheduler_t_max"]) == (30, 206)
    assert (found["opt_name"], found["opt_momentum"], "opt_betas" in found) == ("SGD", 0.9, False)


def test_a_log_read_back_has_the_same_numbers(finish: Finish, tmp_path: Path) -> None:
    run = finish(strategy="forget", phases=("score", "score", "train", "train"))
    path = tmp_path / "somewhere" / "result_1.txt"
    path.parent.mkdir()
    path.write_text(mllog(run, SAID).text)
    (log,) = read([path])
    assert (log.pair, log.strategy, log.seed, log.ranks, log.state) == ("climate", "forget", 1, 8, "done")
    assert log.stage_s == 60.25
    records = run.epochs()
    exact = ("phase", "epoch", "val_acc1", "n_samples")
    for row, record in zip(log.epochs, records, strict=True):
        assert [row[name] for name in exact] == [getattr(record, name) for name in exact]
        for name in ("train_s", "eval_s", "elapsed_s"):
            assert row[name] == pytest.approx(getattr(record, name), abs=4e-6)  # times are told to a microsecond
        assert str(row["ended_at"])[:26] == record.ended_at.isoformat()[:26]


@pytest.mark.parametrize("end, state", [("failed", "failed"), ("", "interrupted")])
def test_an_end_that_was_none_is_told_as_such(end: str, state: str, finish: Finish, tmp_path: Path) -> None:
    path = tmp_path / "result_1.txt"
    path.write_text(mllog(finish(end=end), SAID).text)
    assert read([path])[0].state == state


def test_what_the_records_do_not_tell_is_left_out_and_said(finish: Finish) -> None:
    bare = dict.fromkeys(["worker_started_at", "staging_started_at", "started_at", "hosts", "n_devices", "n_val"])
    run = finish(provenance={**bare, "hosts": []})
    Job.of(attempt=1).write(run.path)
    log = mllog(run, Submission())
    absent = {"submission_org", "submission_platform", "number_of_nodes", "accelerators_per_node", "eval_samples"}
    absent |= {"init_start", "init_stop", "staging_start", "staging_stop"}
    assert not absent & values(log.text).keys()
    said = "\n".join(log.notes)
    assert all(
        f"{key} is left out" in said or f"{key} and" in said for key in absent - {"init_stop"} if key[:2] != "st"
    )
    starts = {event["key"]: event["time_ms"] for event in reversed(events(log.text))}
    assert starts["run_start"] == starts["epoch_start"]


def test_a_run_that_went_on_starts_with_its_first_epoch(finish: Finish) -> None:
    late = "2025-01-01T13:00:00+00:00"
    names = ("worker_started_at", "started_at", "staging_started_at", "staging_stopped_at")
    log = mllog(finish(provenance={**dict.fromkeys(names, late), "stage_s": 60.25}), SAID)
    starts = {event["key"]: event["time_ms"] for event in reversed(events(log.text))}
    assert starts["run_start"] == starts["epoch_start"]
    assert not {"init_start", "staging_start"} & starts.keys()
    assert sum("not on record" in note for note in log.notes) == 2  # staging too


@pytest.mark.parametrize(
    "changes, why",
    [
        ({"strategy": "kakurenbo", "n_trained": 41 * 2048}, "for kakurenbo: its epochs differ in steps"),
        ({"strategy": "budget", "provenance": {"epochs": 3}}, "for budget: it has phases or a length of its own"),
        ({"strategy": "forget", "phases": ("score", "score", "train", "train")}, "for forget: it has phases"),
    ],
)
def test_a_schedule_that_is_no_count_of_steps_is_not_told_in_steps(
    changes: dict[str, Any], why: str, finish: Finish
) -> None:
    log = mllog(finish(**changes), SAID)
    assert not {"scheduler_milestones", "scheduler_lr_warmup_steps"} & values(log.text).keys()
    assert any(why in note for note in log.notes)


def test_a_seed_that_the_rules_refuse_is_told_as_it_is(finish: Finish) -> None:
    log = mllog(finish(seed=0), SAID)
    assert values(log.text)["seed"] == 0
    assert log.notes == ("MLPerf's rules for DeepCAM refuse the seed 0",)


def test_copies_of_several_attempts_are_no_span(finish: Finish) -> None:
    log = mllog(finish(provenance={"stage_s": 12.5}), SAID)  # 60.25 s passed between the first and the last
    assert not {"staging_start", "staging_stop"} & values(log.text).keys()
    assert any(note.startswith("staging_start and staging_stop are left out") for note in log.notes)


def test_a_line_says_from_which_entry_of_the_journal_it_is(finish: Finish) -> None:
    told = [event for event in events(mllog(finish(), SAID).text) if event["key"] == "eval_accuracy"]
    assert [event["metadata"]["lineno"] for event in told] == [1, 2, 3, 4]
    assert {event["metadata"]["file"] for event in told} == {"epochs.jsonl"}
    assert {event["metadata"]["metric"] for event in told} == {"mean_iou"}
