"""A check away from the cluster says all that can be said there; a run is refused there."""

import re
from collections.abc import Callable
from pathlib import Path

import pytest

import kbench
from kbench.errors import ConfigError, LaunchError

SMALL = """\
name: small
pairs:
  - model: digits-cnn
    dataset: digits
    recipe: {epochs: 1, global_batch: 96, lr: 0.05}
strategies: [baseline, {random: {fraction: 0.3}}]
seeds: [0, 1]
"""
SITE = """\
launcher: slurm
nodes: 2
ranks_per_node: 4
threads_per_rank: 3
gpus_per_node: 4
time_limit: '03:00:00'
partition: big
account: me
"""


@pytest.fixture
def laptop(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, plays: Callable[[str, str], Path]) -> Path:
    """A working folder on a machine without any scheduler, with an experiment for a Slurm."""
    monkeypatch.delenv("KBENCH_RESULTS", raising=False)
    monkeypatch.chdir(tmp_path)
    (tmp_path / "small.yaml").write_text(SMALL)
    (tmp_path / "site.yaml").write_text(SITE)
    return tmp_path


def test_a_check_on_a_laptop_shows_the_array_its_cost_and_what_nobody_was_asked(laptop: Path) -> None:
    report = kbench.check("small.yaml", site="site.yaml", max_parallel=2)
    assert report.scheduler_says == "not asked, as the scheduler is not on this machine"
    assert {str(run.state) for run in report.runs} == {"missing"} and len(report.runs) == 4
    assert report.node_hours == 4 * 3 * 2, "runs x hours x nodes"
    lines = report.script.splitlines()
    wanted = (
        "array=0,1,2,3%2",
        "nodes=2",
        "ntasks-per-node=4",
        "gpus-per-node=4",
        "time=03:00:00",
        "partition=big",
        "account=me",
    )
    assert {f"#SBATCH --{option}" for option in wanted} <= set(lines)
    listed = {line.partition("=")[2] for line in lines if line.strip().startswith("[")}
    assert listed == {run.run_id for run in report.runs}
    summary = report.summary.splitlines()
    assert "4 runs (4 missing), 8 rank(s) of 3 thread(s), slurm" in summary
    assert "node-hours: at most 24 by the time limit; more is known when an epoch has been run" in summary
    assert f"sbatch --test-only: {report.scheduler_says}" in summary
    assert {path.name for path in laptop.iterdir()} == {"small.yaml", "site.yaml", "bin"}, "nothing was written"


def test_a_run_on_a_laptop_is_refused_before_it_writes_anything(laptop: Path) -> None:
    with pytest.raises(LaunchError, match="sbatch"):
        kbench.run("small.yaml", site="site.yaml")
    assert not (laptop / "results").exists()


@pytest.mark.parametrize("site", ["sge", "pbs", "lsf", "flux"])
def test_a_check_for_another_scheduler_says_on_a_laptop_that_it_was_not_asked(laptop: Path, site: str) -> None:
    report = kbench.check("small.yaml", site=site)
    assert f"queue: {report.scheduler_says}" in report.summary and "not asked" in report.scheduler_says
    assert report.runs[0].run_id in report.script


def test_what_a_strategy_keeps_of_each_sample_is_said_where_it_is_much(tmp_path: Path) -> None:
    (tmp_path / "wide.yaml").write_text(
        "name: wide\n"
        "pairs:\n"
        "  - {model: digits-cnn, dataset: digits, recipe: {epochs: 20, global_batch: 48, lr: 0.1, n_train: 1000}}\n"
        "strategies: [baseline, ies, gradmatch, kakurenbo: {milestones: [10], shares: [1.0, 0.8]}]\n"
        "seeds: [0]\n"
    )
    summary = kbench.check(tmp_path / "wide.yaml", results=tmp_path).summary
    said = [line for line in summary.splitlines() if "bytes of each sample" in line]
    assert said == [
        "ies on digits-cnn-digits: keeps 21 bytes of each sample on every rank, 0.0 MiB",
        "gradmatch on digits-cnn-digits: keeps 300 bytes of each sample on every rank, 0.3 MiB",  # 4 + 4 (10 + 64)
    ]


PAPERS = """\
name: small
pairs:
  - model: {model}
    dataset: digits
    paper: {{source: a paper, gpus: 4, batch_per_gpu: 24}}
    recipe: {{epochs: 1, global_batch: 96, lr: 0.05, {more}}}
strategies: [baseline]
seeds: [0]
"""


@pytest.mark.parametrize(
    ("model", "more", "says"),
    [
        (
            "digits-cnn",
            "",
            "sees 12 samples together, on the paper's GPUs it saw 24; recipe.batchnorm_group: 24 does so",
        ),
        ("digits-cnn", "batchnorm_group: 24", ""),
        ("digits-cnn", "batchnorm_group: 6, accumulate: 2", "sees 6 samples together"),
        ("timm:vit_tiny_patch16_224", "image_size: 32", ""),  # it normalises each sample for itself
    ],
)
def test_a_check_says_where_batches_are_normalised_otherwise_than_in_the_paper(
    model: str, more: str, says: str, laptop: Path
) -> None:
    (laptop / "small.yaml").write_text(PAPERS.format(model=model, more=more))
    report = kbench.check("small.yaml", site="site.yaml")
    assert [says in text for text in report.departures] == [True] * bool(says)
    assert all(text in report.summary.splitlines() for text in report.departures)
    assert report.as_json()["departures"] == list(report.departures)


@pytest.mark.parametrize(
    ("more", "says"),
    [
        ("accumulate: 5", "recipe.accumulate: must divide the 12 samples of each of 8 ranks, got 5"),
        (
            "batchnorm_group: 32",
            "recipe.batchnorm_group: must divide the 12 samples that a rank passes at once, or be 12",
        ),
        (
            "batchnorm_group: 24, accumulate: 2",
            "recipe.batchnorm_group: must divide the 6 samples that a rank passes at",
        ),
        ("batchnorm_group: 7", "batchnorm_group 7 does not divide global_batch 96"),
    ],
)
def test_groups_and_parts_that_ranks_cannot_hold_are_refused(more: str, says: str, laptop: Path) -> None:
    (laptop / "small.yaml").write_text(PAPERS.format(model="digits-cnn", more=more))
    with pytest.raises(ConfigError, match=re.escape(says)):
        kbench.check("small.yaml", site="site.yaml")
