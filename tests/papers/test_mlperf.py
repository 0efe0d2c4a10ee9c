"""MLPerf's arithmetic: the examples of its rules, its own checker on the same numbers, and runs of kbench scored so."""

import json
import math
from pathlib import Path
from typing import Any

import pytest
from mlperf_logging.rcp_checker.rcp_checker import RCP_Checker

import kbench
from kbench.errors import ConfigError
from kbench.importers.naming import Naming
from kbench.importers.store import import_logs
from kbench.papers.mlperf import (
    Benchmark,
    fewest_epochs,
    load_facts,
    mlperf_scores,
    mlperf_tables,
    olympic_mean,
    read_points,
    reference_at,
)
from kbench.papers.papers import PublishedComparison

RULES = {128: (16, 14, 16, 17, 16, 16, 15, 16, 15, 16), 256: (20, 21, 21, 20, 22, 22, 21, 21, 20, 20)}
A = Benchmark(name="A", target=0.8, points=RULES, n_runs=5)  # of the appendix of the rules


def test_the_examples_of_the_rules_come_out_as_printed() -> None:
    assert olympic_mean(RULES[128]) == 15.75 and olympic_mean(RULES[256]) == 20.75
    assert fewest_epochs(15.75, 0.433, n_reference=8, n_result=3) == pytest.approx(15.21, abs=0.005)
    assert fewest_epochs(20.75, 0.661, n_reference=8, n_result=3) == pytest.approx(19.93, abs=0.005)
    assert 18.25 / fewest_epochs(18.25, 0.547, n_reference=10, n_result=3) == pytest.approx(1.0368, abs=0.0002)
    between, beyond, below = reference_at(A, 192), reference_at(A, 512), reference_at(A, 64)
    assert between is not None and between.mean == 18.25 and beyond is None and below == reference_at(A, 128)


def test_a_single_run_that_does_not_converge_is_dropped_and_a_second_one_is_not() -> None:
    assert olympic_mean([3, 4, 5, 6, math.inf]) == 5
    assert olympic_mean([3, 4, 5, math.inf, math.inf]) == math.inf


@pytest.mark.parametrize(("usage", "version", "name"), [("hpc", "3.0.0", "deepcam"), ("training", "4.0.0", "resnet")])
def test_references_are_those_of_mlperf_s_own_checker(usage: str, version: str, name: str) -> None:
    checker = RCP_Checker(usage, version, name, False)
    facts = load_facts()
    (benchmark,) = [facts.complete(each) for each in facts.benchmarks if each.name == name]
    assert benchmark.n_runs == checker.submission_runs
    batches = [record["BS"] for record in checker.rcp_data.values()]
    assert sorted(batches) == sorted(benchmark.points)
    for batch in (*batches, batches[0] + 100, batches[-2] + 64):
        record = checker._find_rcp(batch, "pruned_rcps")
        if record is None:
            ends = (find(batch, "pruned_rcps") for find in (checker._find_top_min_rcp, checker._find_bottom_max_rcp))
            low, high = ends
            record = (
                checker._create_interp_rcp(batch, low, high)[1]
                if low and high
                else checker._find_min_rcp("pruned_rcps")
            )
        found = reference_at(benchmark, batch)
        assert found is not None
        assert (found.mean, found.fewest) == pytest.approx((record["RCP Mean"], record["Min Epochs"]), abs=1e-3)


def curve(n_epochs: int, *, at: int | None) -> list[float]:
    """Accuracies of a run that reaches .8 in an epoch, counted from 1, or never."""
    return [0.85 if at is not None and epoch >= at else 0.5 for epoch in range(1, n_epochs + 1)]


def filled(book: Any, reached: dict[str, list[int | None]]) -> Any:
    for strategy, epochs in reached.items():
        for seed, at in enumerate(epochs):
            book.run(strategy, seed, curve(25, at=at), [10.0] * 25, eval_s=2.0)
    return book.frames()


def test_runs_are_scored_on_the_total_clock_and_held_against_the_reference(book: Any) -> None:
    batch = book.pair.recipe.global_batch
    a = A.model_copy(update={"points": {batch: RULES[128]}})
    frames = filled(
        book,
        {
            "baseline": [16, 16, 17, 15, 16], "quick": [15, 15, 16, 16, 15], "wrong": [9, 9, 9, 9, 9],
            "lost": [16, 16, None, None, 16], "few": [16, 16],
        },
    )  # fmt: skip
    scores, findings = mlperf_scores(frames, [a], any_pair=True)
    found = {score.strategy: score for score in scores}
    assert findings == []
    baseline = found["baseline"]
    assert (baseline.epochs, baseline.seconds, baseline.test) == (16, 16 * 12.0, "passes")
    assert baseline.normalized_s == baseline.seconds  # not faster than the reference
    quick = found["quick"]
    assert quick.epochs == pytest.approx(46 / 3) and quick.seconds == pytest.approx(46 / 3 * 12)
    assert quick.test == "passes" and quick.normalized_s == pytest.approx(15.75 * 12)
    assert (found["wrong"].test, found["wrong"].normalized_s) == ("too fast", None)
    assert "did not reach the target" in found["lost"].why and found["lost"].n_reached == 3
    assert (found["few"].n_runs, found["few"].why) == (2, "5 runs are required")
    (table,) = mlperf_tables(scores)
    assert "16.00" in [cell.text for cell in table.lines[0].cells] and "no MLPerf result" in table.notes[0]


def test_of_more_runs_the_consecutive_ones_with_the_median_count(book: Any) -> None:
    a = A.model_copy(update={"n_runs": 3, "points": {book.pair.recipe.global_batch: RULES[128]}})
    frames = filled(book, {"baseline": [20, 16, 17, 14, 18]})  # sets of three: medians 17, 16, 17
    (score,), _ = mlperf_scores(frames, [a], any_pair=True)
    assert score.epochs == 17


def test_a_pair_that_is_no_benchmark_is_named(book: Any) -> None:
    scores, findings = mlperf_scores(filled(book, {"baseline": [3]}), load_facts().benchmarks)
    assert scores == [] and "--rcp FILE" in findings[0].text and "deepcam, resnet" in findings[0].text
    scores, findings = mlperf_scores(book.frames(), [A.model_copy(update={"target": None})], any_pair=True)
    assert scores == [] and "--target" in findings[0].text


def test_reference_points_are_read_as_mlperf_keeps_them(tmp_path: Path) -> None:
    path = tmp_path / "rcps_unet3d.json"
    path.write_text(json.dumps({"x": {"Benchmark": "unet3d", "BS": 32, "Epochs to converge": [2000.0, 2100.0]}}))
    found = read_points(path)
    assert (found.n_runs, found.n_dropped, dict(found.points)) == (40, 4, {32: (2000.0, 2100.0)})
    path.write_text(path.read_text().replace("unet3d", "mine"))
    assert read_points(path).n_runs == 0  # nothing says it: --runs does
    path.write_text('{"x": {"Benchmark": "unet3d"}}')
    with pytest.raises(ConfigError, match="is no file of reference convergence points"):
        read_points(path)


def log_of(n_epochs: int) -> str:
    """An MLPerf log of a run that converges in so many epochs of a minute each."""
    lines: list[tuple[str, int, object, dict[str, object]]] = [
        ("submission_benchmark", 0, "deepcam", {}),
        ("global_batch_size", 0, 2048, {}),
        ("seed", 0, n_epochs, {}),
        ("run_start", 0, None, {}),
    ]
    for epoch in range(1, n_epochs + 1):
        accuracy = 0.83 if epoch == n_epochs else 0.6
        lines += [
            ("epoch_start", (epoch - 1) * 60_000, None, {"epoch_num": epoch}),
            ("eval_start", epoch * 60_000 - 10_000, None, {"epoch_num": epoch}),
            ("eval_accuracy", epoch * 60_000, accuracy, {"epoch_num": epoch}),
            ("eval_stop", epoch * 60_000, None, {"epoch_num": epoch}),
            ("epoch_stop", epoch * 60_000, None, {"epoch_num": epoch}),
        ]
    lines.append(("run_stop", n_epochs * 60_000, None, {"status": "success"}))
    return "".join(
        f":::MLLOG {json.dumps({'key': key, 'time_ms': ms, 'value': value, 'metadata': metadata})}\n"
        for key, ms, value, metadata in lines
    )


def test_imported_logs_of_a_benchmark_are_scored_without_a_baseline(tmp_path: Path) -> None:
    logs = tmp_path / "deepcam"
    logs.mkdir()
    for n_epochs in (22, 23, 24, 26, 21):
        (logs / f"result_{n_epochs}.txt").write_text(log_of(n_epochs))
    import_logs("mllog", [logs], tmp_path / "results", naming=Naming(experiment="theirs", strategy="reference"))
    found = kbench.compare("theirs", score="mlperf", results=tmp_path / "results")
    assert isinstance(found, PublishedComparison)
    (score,) = found.papers.scores
    assert (score.benchmark, score.batch, score.n_reached) == ("deepcam HPC 3.0", 2048, 5)
    assert (score.epochs, score.seconds, score.test) == (23, 23 * 60.0, "passes")
    assert found.as_json()["mlperf"][0]["epochs"] == 23  # type: ignore[index]
    with pytest.raises(ConfigError, match="belongs to --score mlperf"):
        kbench.compare("theirs", runs=5, results=tmp_path / "results")
