"""Runs handed to a real Grid Engine by a site's commands; mpirun starts their ranks."""

import pytest
from daemons import wait_until
from grid_engine import GridEngine
from users import User

pytestmark = [pytest.mark.sge, pytest.mark.dist]

SITE = """\
launcher: queue
template: sge
queue:
  submit: [qsub, -terse, -V]
  list: [qstat]
  cancel: [qdel]
ranks_per_node: 2
threads_per_rank: 1
options: [-pe mpi 2]
"""
BANNER = "INFO: your group has 1234 points left; see https://docs.example/2026"
HELD = '{"held:Held": {before: 2}, label: baseline}'


def test_a_run_is_cancelled_by_hand_and_completed_by_retry_while_another_is_done(on_sge: User, sge: GridEngine) -> None:
    user = on_sge
    user.writes(SITE, HELD, epochs=3, seeds=(0, 1))
    user.runs()
    assert len(sge.states()) == 2
    for name in ("baseline.s0", "baseline.s1"):
        user.awaits_epochs(name, 2)
    assert {row["state"] for row in user.sees().values()} == {"running"}
    job = user.found()["baseline.s0"].read().start.id
    sge.run("qdel", job)
    sge.await_state(job, "")
    assert user.sees()["baseline.s0"]["state"] == "cancelled"
    user.go.touch()
    user.awaits("done", "baseline.s1")
    user.runs()
    assert user.sees()["baseline.s0"]["state"] == "cancelled"
    user.runs("--retry", "--wait")
    run = user.found()["baseline.s0"]
    assert [(record.epoch, record.attempt) for record in run.epochs()] == [(0, 1), (1, 1), (2, 2)]


def test_a_run_near_its_time_limit_is_put_back_until_it_is_done(on_sge: User, sge: GridEngine) -> None:
    user = on_sge
    user.writes(SITE + "time_limit: '00:02:00'\nsignal_s: 105\n", HELD.replace("2", "1"), epochs=3)
    user.runs()
    (job,) = sge.states()
    run = user.found()["baseline.s0"]
    wait_until(run.stop.exists, within_s=60, what="told to stop")
    user.go.touch()
    user.awaits("done", within_s=600)
    assert [record.epoch for record in run.epochs()] == [0, 1, 2]
    attempts = [record.attempt for record in run.epochs()]
    assert attempts == sorted(attempts) and attempts[-1] == run.read().start.attempt > 1
    # Grid Engine says that a job was put back, not how often; on a slow machine it may be more than once.
    assert (run.read().start.id, run.read().start.restarts) == (job, 1)


def test_kbench_cancel_empties_the_queue_also_where_qsub_has_a_banner_with_digits(
    on_sge: User, sge: GridEngine
) -> None:
    user = on_sge
    user.writes(SITE.replace("[-pe mpi 2]", "[-pe mpi 2, -h]"), "baseline", seeds=(0, 1))
    env = user.wraps("qsub", f'echo {BANNER!r}; exec {{}} "$@"')
    user.runs(env=env)
    rows = user.sees().values()
    assert {row["state"] for row in rows} == {"waiting"}
    assert {row["job_id"] for row in rows} == sge.states().keys()
    assert user.calls("cancel", "small").returncode == 0
    assert not sge.states()
    assert {row["state"] for row in user.sees().values()} == {"cancelled"}


def test_a_number_that_came_back_as_another_job_is_neither_waited_for_nor_ended(on_sge: User, sge: GridEngine) -> None:
    user = on_sge
    user.writes(SITE.replace("[-pe mpi 2]", "[-pe mpi 2, -h]"), "baseline")
    user.runs()
    (mine,) = sge.states()
    sge.run("qdel", mine)
    other = sge.run("qsub", "-terse", "-h", "-b", "y", "-N", "important", "-o", "/dev/null", "sleep", "600").strip()
    user.recycles(mine, other)
    assert user.sees()["baseline.s0"]["state"] == "interrupted"
    assert user.calls("cancel", "small").returncode == 0
    assert sge.states() == {other: "hqw"}
    user.runs()
    assert len(sge.states()) == 2


@pytest.mark.parametrize(
    "options, sentence",
    [
        ("-pe nope 2", 'the requested parallel environment "nope" does not exist'),
        ("-q nope.q", 'unknown queue "nope.q"'),
    ],
)
def test_a_refusal_is_told_in_one_sentence(on_sge: User, sge: GridEngine, options: str, sentence: str) -> None:
    user = on_sge
    user.writes(SITE.replace("-pe mpi 2", options), "baseline")
    done = user.calls("run", "small.yaml", "--site", "site.yaml", "--quiet")
    assert done.returncode == 3 and sentence in done.stderr.splitlines()[0]
    assert not sge.states()
    assert user.sees()["baseline.s0"]["state"] == "missing"
