"""Runs wait for their turn, and for the run that they follow; who follows a failure fails with it."""

import socket
from collections.abc import Callable
from pathlib import Path

import pytest

from kbench.config.experiment import Pair
from kbench.config.run_spec import RunSpec
from kbench.config.strategy_choice import Choice
from kbench.experiment.dependencies import RunQueue
from kbench.experiment.order import draw_order
from kbench.records.folders import ExperimentDir, RunDir
from kbench.records.liveness import state_of
from kbench.records.run_files import Done, Failure, Job
from kbench.records.run_state import FailureKind, State

Make = Callable[..., RunDir]


@pytest.fixture
def experiment(tmp_path: Path) -> ExperimentDir:
    folder = ExperimentDir(tmp_path / "small")
    folder.path.mkdir()
    return folder


@pytest.fixture
def make(experiment: ExperimentDir, pair: Pair) -> Make:
    """``make("random", like="sb", seed=1)``: the folder of a run that was never started."""

    def one(name: str, *, like: str = "", label: str = "", seed: int = 0) -> RunDir:
        params = {"like": like} if like else {}
        spec = RunSpec(
            experiment="small",
            pair=pair,
            strategy=Choice(label=label or (f"{name}-like-{like}" if like else name), name=name, params=params),
            follows=Choice(label=like, name=like) if like else None,
            seed=seed,
            ranks=1,
        )
        run = experiment.run(spec.run_id)
        run.prepare(spec)
        return run

    return one


def done(run: RunDir) -> None:
    run.begin(Job.of(attempt=1))
    run.finish(Done.of(attempt=1, phases=()))


def failed(run: RunDir) -> None:
    run.begin(Job.of(attempt=1))
    run.fail(Failure.of("it broke", kind=FailureKind.RAISED, attempt=1))


def test_who_follows_nobody_comes_in_the_order_of_the_queue(make: Make) -> None:
    runs = [make("baseline", seed=seed) for seed in (3, 1, 2)]
    waiting = RunQueue(runs)
    assert len(waiting) == 3
    assert [waiting.next([]) for _ in range(4)] == [*runs, None] and len(waiting) == 0


def test_a_run_names_the_folder_of_the_run_that_it_follows(make: Make) -> None:
    leader, follower = make("sb", seed=1), make("random", like="sb", seed=1)
    assert follower.read_prerequisite() == leader and leader.read_prerequisite() is None
    assert make("random", like="sb", seed=2).read_prerequisite() != leader


def test_who_follows_a_run_in_work_lets_others_pass(make: Make) -> None:
    leader, follower, other = make("sb"), make("random", like="sb"), make("baseline")
    waiting = RunQueue([leader, follower, other])
    assert waiting.next([]) == leader
    assert waiting.next([leader.run_id]) == other
    assert waiting.next([leader.run_id]) is None and len(waiting) == 1
    done(leader)
    assert waiting.next([]) == follower and len(waiting) == 0


def test_who_follows_a_run_that_waits_behind_it_lets_that_one_pass(make: Make) -> None:
    leader, follower = make("sb"), make("random", like="sb")
    waiting = RunQueue([follower, leader])
    assert [waiting.next([]), waiting.next([leader.run_id])] == [leader, None]
    done(leader)
    assert waiting.next([]) == follower


def test_two_follow_one_and_each_its_own_seed(make: Make) -> None:
    leaders = [make("sb", seed=seed) for seed in (0, 1)]
    followers = [make(name, like="sb", seed=seed) for name in ("random", "budget") for seed in (0, 1)]
    waiting = RunQueue(followers)
    done(leaders[1])
    busy = [leaders[0].run_id]
    assert [waiting.next(busy) for _ in range(3)] == [followers[1], followers[3], None]
    done(leaders[0])
    assert [waiting.next([]) for _ in range(3)] == [followers[0], followers[2], None]


def test_a_run_whose_leader_is_done_long_since_starts_at_once(make: Make) -> None:
    leader, follower = make("sb"), make("random", like="sb")
    done(leader)
    assert RunQueue([follower]).next([]) == follower and not follower.read().failure


@pytest.mark.parametrize("ended", [State.FAILED, State.MISSING])
def test_who_follows_a_run_that_failed_or_never_came_fails_with_it(ended: State, make: Make) -> None:
    leader, follower, other = make("sb"), make("random", like="sb"), make("baseline")
    if ended is State.FAILED:
        failed(leader)
    waiting = RunQueue([follower, other])
    assert waiting.next([]) == other and len(waiting) == 0
    assert state_of(follower.read()) is State.FAILED
    told = {key: getattr(follower.read().failure, key) for key in ("error", "hint", "kind", "exit_code", "attempt")}
    assert told == {
        "error": f"it follows {leader.run_id}, which is {ended}",
        "hint": "mend that one, then kbench run --retry",
        "kind": "PrerequisiteFailed",
        "exit_code": 5,
        "attempt": 1,
    }
    assert follower.read().job == Job(attempt=1, host=socket.gethostname(), id=None) and not follower.epochs()


def test_a_leader_that_dies_at_work_takes_its_followers_with_it(make: Make) -> None:
    leader, followers = make("sb"), [make(name, like="sb") for name in ("random", "budget")]
    waiting = RunQueue([leader, *followers])
    assert [waiting.next([]), waiting.next([leader.run_id])] == [leader, None]
    failed(leader)
    assert waiting.next([]) is None and len(waiting) == 0
    assert [state_of(run.read()) for run in followers] == [State.FAILED] * 2


def test_giving_up_is_an_attempt_of_its_own(make: Make) -> None:
    leader, follower = make("sb"), make("random", like="sb")
    failed(leader)
    failed(follower)
    RunQueue([follower]).next([])
    assert (follower.read().job.attempt, follower.read().failure.attempt) == (2, 2)


def test_in_the_order_nobody_stands_before_the_run_that_it_follows(make: Make, experiment: ExperimentDir) -> None:
    runs = [
        make(name, like=like, seed=seed)
        for name, like in [("random", "sb"), ("budget", "sb"), ("sb", ""), ("baseline", ""), ("random", "iswr")]
        for seed in range(2)
    ]
    seen = set()
    for _ in range(60):
        order = draw_order(runs, experiment, max_parallel=1).runs
        assert sorted(run.run_id for run in order) == sorted(run.run_id for run in runs)
        assert [run.read_spec().seed for run in order] in ([0] * 5 + [1] * 5, [1] * 5 + [0] * 5)
        place = {run.run_id: i for i, run in enumerate(order)}
        for run in runs:
            leader = run.read_prerequisite()
            if leader and leader.run_id in place:
                assert place[leader.run_id] < place[run.run_id]
        seen.add(tuple(place))
    assert len(seen) > 10  # still drawn
