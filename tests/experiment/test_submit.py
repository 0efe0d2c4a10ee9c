"""How runs are put into scripts: who shares an allocation, who waits for whom."""

from collections.abc import Callable
from pathlib import Path

import pytest

from kbench.config.experiment import ExperimentSpec, Pair
from kbench.config.run_spec import expand
from kbench.experiment.dependencies import orphans
from kbench.experiment.submit import TaskRef, batches, groups
from kbench.records.folders import ExperimentDir, RunDir
from kbench.records.run_state import State

Made = Callable[..., dict[str, RunDir]]
RECIPE = {"epochs": 1, "global_batch": 48, "lr": 0.05}


@pytest.fixture
def made(tmp_path: Path) -> Made:
    """``made("baseline", {"random": {"like": "sb"}}, seeds=[0])``: run folders by label and seed, nothing started."""

    def make(*strategies: object, seeds: tuple[int, ...] = (0,), chain: bool = False) -> dict[str, RunDir]:
        pairs = [{"name": "up", "model": "digits-cnn", "dataset": "digits", "recipe": RECIPE}]
        if chain:
            pairs.append({**pairs[0], "name": "down", "starts_from": "up"})
        spec = ExperimentSpec.model_validate(
            {"name": "e", "pairs": pairs, "strategies": list(strategies), "seeds": seeds}
        )
        folder, found = ExperimentDir(tmp_path / "e"), {}
        for run in expand(spec, ranks=1):
            place = folder.run(run.run_id)
            place.prepare(run)
            found[f"{run.pair.name}.{run.strategy.label}.{run.seed}"] = place
        return found

    return make


FOLLOWER = {"random": {"like": "sb"}, "label": "like-sb"}


def test_each_run_has_an_allocation_of_its_own_unless_they_are_paired(made: Made) -> None:
    runs = made("baseline", "sb", seeds=(0, 1))
    assert [len(group) for group in groups(list(runs.values()), paired=False)] == [1, 1, 1, 1]
    paired = groups(list(runs.values()), paired=True)
    assert [[run.read_spec().strategy.label for run in group] for group in paired] == [["baseline", "sb"]] * 2
    assert [{run.read_spec().seed for run in group} for group in paired] == [{0}, {1}]


def test_followers_take_the_number_of_their_leader_in_an_array_that_waits_for_the_leaders(made: Made) -> None:
    runs = made("baseline", "sb", FOLLOWER, seeds=(0, 1))
    order = [runs[f"up.{name}"] for name in ("like-sb.1", "baseline.0", "sb.1", "like-sb.0", "sb.0", "baseline.1")]
    first, second = batches(groups(order, paired=False), arrays=True, at_most=1000, known={})
    assert [run.run_id for task in first.tasks.values() for run in task] == [order[i].run_id for i in (1, 2, 4, 5)]
    assert second.after_same_task == first.token
    for number, (run,) in second.tasks.items():
        assert first.tasks[number][0].read_spec().seed == run.read_spec().seed
        assert first.tasks[number][0].read_spec().strategy.label == "sb"


def test_two_followers_of_one_run_are_in_two_arrays(made: Made) -> None:
    runs = made("baseline", "sb", FOLLOWER, {"budget": {"like": "sb"}, "label": "budget-sb"})
    found = batches(groups(list(runs.values()), paired=False), arrays=True, at_most=1000, known={})
    assert [len(batch.tasks) for batch in found] == [2, 1, 1]


def test_a_chain_of_three_goes_in_three_steps(made: Made) -> None:
    runs = made("baseline", "sb", FOLLOWER, chain=True)
    found = batches(groups(list(runs.values()), paired=False), arrays=True, at_most=1000, known={})
    names = [{run.run_id.rpartition(".s")[0] for task in batch.tasks.values() for run in task} for batch in found]
    assert names[0] == {"up.baseline", "up.sb"}
    step = {name: number for number, there in enumerate(names) for name in there}
    assert step["up.sb"] < step["up.like-sb"] < step["down.like-sb"]
    assert step["up.sb"] < step["down.sb"]


def test_without_arrays_each_script_names_the_jobs_that_it_waits_for(made: Made) -> None:
    runs = made("baseline", "sb", FOLLOWER)
    found = batches(groups(list(runs.values()), paired=False), arrays=False, at_most=1, known={})
    (follower,) = [batch for batch in found if batch.after]
    leader = next(batch for batch in found if batch.tasks[0][0].read_spec().strategy.label == "sb")
    assert follower.after == [TaskRef(leader.token, 0)] and len(found) == 3


def test_a_leader_that_was_handed_in_before_is_waited_for_where_it_is(made: Made) -> None:
    runs = made("baseline", "sb", FOLLOWER)
    known = {runs["up.sb.0"].run_id: TaskRef("kbbefore00", 7)}
    (batch,) = batches(groups([runs["up.like-sb.0"]], paired=False), arrays=True, at_most=1000, known=known)
    assert (batch.after_same_task, list(batch.tasks)) == ("kbbefore00", [7])


def test_arrays_are_no_longer_than_the_cluster_allows(made: Made) -> None:
    runs = made("baseline", "sb", "iswr", seeds=(0, 1, 2))
    found = batches(groups(list(runs.values()), paired=False), arrays=True, at_most=4, known={})
    assert [len(batch.tasks) for batch in found] == [4, 4, 1]


def test_whoever_follows_a_run_that_failed_is_not_handed_in_nor_who_follows_that_one(made: Made) -> None:
    runs = made("baseline", "sb", FOLLOWER, chain=True)
    states = {run.run_id: State.MISSING for run in runs.values()} | {runs["up.sb.0"].run_id: State.FAILED}
    left = [run for run in runs.values() if states[run.run_id] is State.MISSING]
    lost = {run.run_id.rpartition(".s")[0] for run, _ in orphans(left, states)}
    assert lost == {"up.like-sb", "down.like-sb", "down.sb"}
    states[runs["up.sb.0"].run_id] = State.RUNNING
    assert orphans(left, states) == []


def test_the_names_of_the_pairs_of_a_chain_are_part_of_no_run(made: Made) -> None:
    runs = made("baseline", chain=True)
    assert runs["down.baseline.0"].read_spec().upstream is not None
    assert isinstance(runs["down.baseline.0"].read_spec().pair, Pair)
    assert runs["down.baseline.0"].read_spec().match_key != runs["up.baseline.0"].read_spec().match_key
