"""What a request means: the runs, the site, and the command line that asks for the same."""

import sys
from pathlib import Path

import pytest

from kbench.cli import app
from kbench.errors import ConfigError
from kbench.experiment import check
from kbench.experiment.plan import Plan, Request, make_plan

SMALL = """\
name: small
pairs:
  - model: digits-cnn
    dataset: digits
    recipe: {epochs: 1, global_batch: 48, lr: 0.05}
strategies: [baseline, {random: {fraction: 0.3}}]
seeds: [0, 1]
"""


@pytest.fixture
def small(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """An experiment's file in the working folder."""
    monkeypatch.chdir(tmp_path)
    Path("small.yaml").write_text(SMALL)
    return "small.yaml"


def test_a_plan_holds_the_runs_in_the_order_of_the_file(small: str) -> None:
    plan = make_plan(Request(experiment=small))
    assert [(run.strategy.label, run.seed) for run in plan.runs] == [
        ("baseline", 0), ("baseline", 1), ("random", 0), ("random", 1)
    ]  # fmt: skip
    assert [folder.run_id for folder in plan.run_dirs] == [run.run_id for run in plan.runs]
    assert (plan.name, plan.folder.path, plan.text) == ("small", Path("results/small"), SMALL)


def test_names_of_one_kind_widen_and_of_different_kinds_narrow(small: str) -> None:
    plan = make_plan(Request(experiment=small, only=("random", "s0", "1")))
    assert [(run.strategy.label, run.seed) for run in plan.runs] == [("random", 0), ("random", 1)]


def test_a_setting_reaches_the_site_or_the_experiment_by_its_key(small: str) -> None:
    plan = make_plan(Request(experiment=small, settings=("ranks_per_node=2", "seeds=[7]")))
    assert (plan.site.ranks, {run.seed for run in plan.runs}) == (2, {7})
    assert "seeds:\n- 7" in plan.text


def test_a_second_experiment_among_the_scheduler_s_options_is_refused(small: str) -> None:
    with pytest.raises(ConfigError, match="other.yaml: one experiment at a time"):
        make_plan(Request(experiment=small, scheduler_options=("other.yaml",)))


def test_a_request_in_words_is_read_by_the_command_line_as_the_same_request(
    small: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    request = Request(
        experiment=small,
        site="laptop",
        launcher="local",
        only=("baseline", "s0"),
        settings=("seeds=[0, 3]", "threads_per_rank=1"),
        scheduler_options=("--constraint=v100",),
        retry=True,
        max_parallel=2,
        pairing="node",
        max_node_hours=1.5,
        results=tmp_path / "else where",
    )
    seen: list[Request] = []

    def stop(request: Request) -> Plan:
        seen.append(request)
        raise ConfigError("that will do")

    monkeypatch.setattr(check, "checked_plan", stop)
    monkeypatch.setattr(sys, "argv", ["kbench", "run", "--wait", *request.arguments])
    with pytest.raises(SystemExit):
        app.main()
    (read,) = seen
    assert [tuple(value) if isinstance(value, list) else value for value in vars(read).values()] == list(
        vars(request).values()
    )
