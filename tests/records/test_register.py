"""What stands in a results folder never means two things."""

from pathlib import Path
from typing import Any

import pytest

from kbench.config.run_spec import RunSpec
from kbench.config.strategy_choice import Choice
from kbench.errors import ResultsError
from kbench.records import register
from kbench.records.folders import ExperimentDir

TEXT = """\
name: small
pairs: [{model: digits-cnn, dataset: digits, recipe: {epochs: 3, global_batch: 48, lr: 0.05}}]
strategies: [baseline]
"""


def changed_recipe(run: RunSpec, **changes: Any) -> RunSpec:
    recipe = run.pair.recipe.model_copy(update=changes)
    return run.model_copy(update={"pair": run.pair.model_copy(update={"recipe": recipe})})


@pytest.fixture
def taken(experiment_dir: ExperimentDir, run_spec: RunSpec) -> ExperimentDir:
    register.check(experiment_dir, [run_spec])
    register.register_runs(experiment_dir, [run_spec], TEXT)
    return experiment_dir


def test_checking_writes_nothing(experiment_dir: ExperimentDir, run_spec: RunSpec, tmp_path: Path) -> None:
    register.check(experiment_dir, [run_spec])
    assert list(tmp_path.iterdir()) == []


def test_taking_keeps_the_text_and_makes_the_runs(taken: ExperimentDir, run_spec: RunSpec) -> None:
    assert taken.source.read_text() == TEXT
    assert [run.read_spec() for run in taken.all_runs()] == [run_spec]


def test_the_same_runs_may_come_again(taken: ExperimentDir, run_spec: RunSpec) -> None:
    register.check(taken, [run_spec])
    register.register_runs(taken, [run_spec], TEXT)
    assert [run.read_spec() for run in taken.all_runs()] == [run_spec]


@pytest.mark.parametrize(
    "change",
    [{"seed": 7}, {"strategy": Choice(label="sb", name="sb", params={"beta": 2.0})}],
    ids=["a seed", "a strategy"],
)
def test_more_seeds_and_strategies_may_join(change: dict[str, Any], taken: ExperimentDir, run_spec: RunSpec) -> None:
    more = run_spec.model_copy(update=change)
    register.check(taken, [run_spec, more])
    register.register_runs(taken, [run_spec, more], TEXT)
    assert len(list(taken.all_runs())) == 2


def test_another_pair_may_join_with_another_recipe(taken: ExperimentDir, run_spec: RunSpec) -> None:
    other = changed_recipe(run_spec, lr=1.0)
    register.check(taken, [other.model_copy(update={"pair": other.pair.model_copy(update={"name": "other"})})])


@pytest.mark.parametrize(
    "change, difference",
    [
        ({"lr": 1.0}, "pair digits-cnn-digits: recipe.lr is 0.05 there, 1.0 here"),
        ({"epochs": 9}, "pair digits-cnn-digits: recipe.epochs is 3 there, 9 here"),
    ],
)
def test_another_recipe_of_the_same_name_is_refused(
    change: dict[str, Any], difference: str, taken: ExperimentDir, run_spec: RunSpec
) -> None:
    with pytest.raises(ResultsError) as caught:
        register.check(taken, [changed_recipe(run_spec, **change)])
    assert caught.value.message == f"{taken.path}: holds another experiment named 'small': {difference}"
    assert caught.value.exit_code == 6
    assert "--set name=small-2" in caught.value.hint


@pytest.mark.parametrize(
    "change, difference",
    [
        ({"ranks": 2}, "1 ranks there, 2 here"),
        ({"schema_version": 99}, "made by a kbench of schema 1, this one has 99"),
        ({"strategy": Choice(label="baseline", name="sb")}, "strategy baseline: name is 'baseline' there, 'sb' here"),
    ],
)
def test_whatever_else_a_name_stood_for_is_named(
    change: dict[str, Any], difference: str, taken: ExperimentDir, run_spec: RunSpec
) -> None:
    with pytest.raises(ResultsError, match=difference):
        register.check(taken, [run_spec.model_copy(update=change)])


def test_a_label_keeps_its_parameters(taken: ExperimentDir, run_spec: RunSpec) -> None:
    def labelled(beta: float) -> RunSpec:
        return run_spec.model_copy(update={"strategy": Choice(label="sb", name="sb", params={"beta": beta})})

    register.register_runs(taken, [labelled(1.0)], TEXT)
    with pytest.raises(ResultsError, match="strategy sb: params.beta is 1.0 there, 2.0 here"):
        register.check(taken, [labelled(2.0)])


def test_a_file_in_the_way_is_refused(run_spec: RunSpec, tmp_path: Path) -> None:
    (tmp_path / "results").write_text("")
    with pytest.raises(ResultsError, match="results: is a file, wanted a folder for results"):
        register.check(ExperimentDir(tmp_path / "results" / "small"), [run_spec])


def test_a_place_that_the_system_does_not_give_is_refused(run_spec: RunSpec) -> None:
    with pytest.raises(ResultsError, match="/proc/kbench/small: cannot be written"):
        register.register_runs(ExperimentDir(Path("/proc/kbench/small")), [run_spec], TEXT)
