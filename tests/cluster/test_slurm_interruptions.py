"""What happens to runs whose jobs are interrupted, on a real Slurm."""

import pandas as pd
import pytest
from daemons import wait_until
from slurm_cluster import SlurmCluster
from users import User, name_of

pytestmark = pytest.mark.slurm

SITE = """\
launcher: slurm
nodes: 2
threads_per_rank: 1
"""
HELD = '{"held:Held": {before: 2}, label: baseline}'


HELD_AT_ONCE = HELD.replace("2", "1")
ON_ONE_NODE = SITE.replace("nodes: 2", "nodes: 1")
URGENT = ("sbatch", "--parsable", "-p", "urgent", "-N", "4", "--exclusive", "-o", "/dev/null", "--wrap", "sleep 600")


def losses(user: User, results: str) -> list[tuple[int, float]]:
    """The epochs of the baseline, with their losses."""
    return [(record.epoch, record.train_loss) for record in user.found(results)["baseline.s0"].epochs()]


def test_a_run_whose_node_died_is_put_back_and_ends_as_if_undisturbed(on_slurm: User, slurm: SlurmCluster) -> None:
    user = on_slurm
    user.writes(SITE, HELD, epochs=4)
    user.runs()
    user.awaits_epochs("baseline.s0", 2)
    run = user.found()["baseline.s0"]
    first = run.read().start
    slurm.kill_node(first.nodes[1])
    job = first.id
    slurm.await_state(job, "PENDING")
    assert user.sees()["baseline.s0"]["state"] == "waiting"
    user.go.touch()
    slurm.start_now(job)
    user.runs("--results", "undisturbed", "--wait")
    user.awaits("done")
    assert (run.read().start.attempt, run.read().start.restarts) == (2, 1)
    assert first.nodes[1] not in run.read().start.nodes
    assert losses(user, "results") == losses(user, "undisturbed")
    assert [epoch for epoch, _ in losses(user, "results")] == [0, 1, 2, 3]


def test_a_run_near_its_time_limit_ends_after_its_epoch_and_goes_on_until_it_is_done(
    on_slurm: User, slurm: SlurmCluster
) -> None:
    """Slurm sends its signal up to half a minute early, so it is not said how many epochs a turn does."""
    user = on_slurm
    user.writes(ON_ONE_NODE + "partition: short\ntime_limit: '00:01:00'\nsignal_s: 50\n", HELD_AT_ONCE, epochs=3)
    user.runs()
    (job,) = slurm.waiting_or_running()
    run = user.found()["baseline.s0"]
    wait_until(lambda: run.stop.exists() or bool(slurm.held_back()), within_s=90, what="told to stop")
    user.go.touch()  # and the epoch ends

    def done() -> bool:
        slurm.start_now(*slurm.held_back())
        return run.is_done()

    wait_until(done, within_s=240, what=lambda: f"{user.sees()} {user.logs()}")
    assert [record.epoch for record in run.epochs()] == [0, 1, 2]
    attempts = [record.attempt for record in run.epochs()]
    assert attempts == sorted(attempts) and attempts[-1] == run.read().start.attempt > 1
    assert run.read().start.id == job


def test_a_run_that_is_preempted_goes_on_when_there_is_room_again(on_slurm: User, slurm: SlurmCluster) -> None:
    user = on_slurm
    user.writes(ON_ONE_NODE + "partition: cheap\n", HELD, epochs=4)
    user.runs()
    user.awaits_epochs("baseline.s0", 2)
    run = user.found()["baseline.s0"]
    job = run.read().start.id
    urgent = slurm.run(*URGENT).strip()
    slurm.await_state(urgent, "RUNNING")
    slurm.await_state(job, "PENDING")
    assert user.sees()["baseline.s0"]["state"] == "waiting"
    slurm.run("scancel", urgent)
    user.go.touch()
    slurm.start_now(job)
    user.awaits("done")
    assert [record.epoch for record in run.epochs()] == [0, 1, 2, 3]
    assert run.read().start.attempt == 2


def test_a_cancelled_run_is_a_row_and_retry_completes_it(on_slurm: User, slurm: SlurmCluster) -> None:
    user = on_slurm
    user.writes(ON_ONE_NODE, HELD, epochs=3, seeds=(0, 1))
    user.runs()
    for name in ("baseline.s0", "baseline.s1"):
        user.awaits_epochs(name, 2)
    slurm.run("scancel", user.found()["baseline.s0"].read().start.id)
    user.awaits("cancelled", "baseline.s0")
    user.go.touch()
    user.awaits("done", "baseline.s1")
    user.calls("gather", "small")
    rows = pd.read_parquet(user.experiment().path / "runs.parquet").set_index("run_id")["state"].to_dict()
    assert {name_of(run_id): state for run_id, state in rows.items()} == {
        "baseline.s0": "cancelled",
        "baseline.s1": "done",
    }
    user.runs()
    assert user.sees()["baseline.s0"]["state"] == "cancelled"
    user.runs("--retry")
    user.awaits("done")


def test_a_node_that_failed_is_not_asked_again(on_slurm: User, slurm: SlurmCluster) -> None:
    user = on_slurm
    user.writes(SITE + "requeue: false\n", HELD, epochs=3)
    user.runs()
    user.awaits_epochs("baseline.s0", 2)
    run = user.found()["baseline.s0"]
    lost, job = run.read().start.nodes[1], run.read().start.id
    slurm.kill_node(lost)
    slurm.declare_down(lost)
    slurm.await_state(job, "NODE_FAIL")
    user.awaits("interrupted")
    slurm.revive_node(lost)
    user.go.touch()
    user.runs()
    assert f"--exclude={lost}" in run.script.read_text()
    user.awaits("done")
    assert [(record.epoch, record.attempt) for record in run.epochs()] == [(0, 1), (1, 1), (2, 2)]


def test_a_rank_that_outlives_its_job_writes_nothing_more(on_slurm: User, slurm: SlurmCluster) -> None:
    """A slurmd that dies leaves the ranks alive: the job is started elsewhere, and they still train."""
    user = on_slurm
    user.writes(ON_ONE_NODE, HELD, epochs=4)
    user.runs()
    user.awaits_epochs("baseline.s0", 2)
    run = user.found()["baseline.s0"]
    job, node = run.read().start.id, run.read().start.nodes[0]
    slurm.kill_slurmd(node)
    slurm.declare_down(node)
    slurm.await_state(job, "PENDING")
    slurm.start_now(job)
    wait_until(lambda: run.read().start.attempt == 2, within_s=60, what="a second start")
    user.go.touch()
    user.awaits("done")
    assert [record.epoch for record in run.epochs()] == [0, 1, 2, 3]
    assert {record.attempt for record in run.epochs()[2:]} == {2}
