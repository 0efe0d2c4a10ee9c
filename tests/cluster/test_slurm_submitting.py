"""Runs handed to a real Slurm: each exactly once, whoever is killed meanwhile."""

import json
import shutil
from collections import Counter
from pathlib import Path

import pandas as pd
import pytest
from slurm_cluster import SlurmCluster
from users import User

pytestmark = pytest.mark.slurm

SITE = """\
launcher: slurm
nodes: 2
threads_per_rank: 1
"""
SEVEN = (
    "baseline",
    "random: {fraction: 0.3}",
    "iswr",
    "sb",
    "forget: {score_epochs: 1}",
    "kakurenbo: {fraction: 0.3, milestones: [], shares: [1.0]}",
    "infobatch",
)
# A site's own sbatch, which takes an option out and adds a line.
UNPARSABLE = """\
echo "3 clusters, 2026"
for word; do [ "$word" = --parsable ] || words+=("$word"); done
exec {} "${{words[@]}}"
"""
# What a shell may say of ranks that it was once part of.
LEAKING = {
    **{"RANK": "0", "WORLD_SIZE": "1", "LOCAL_RANK": "0", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": "29555"},
    **{"OMPI_COMM_WORLD_RANK": "0", "OMPI_COMM_WORLD_SIZE": "1", "OMPI_COMM_WORLD_LOCAL_RANK": "0"},
    **{"PMI_RANK": "0", "PMI_SIZE": "1", "PMI_FD": "7", "PMIX_RANK": "0", "PMIX_NAMESPACE": "gone"},
    **{"SLURM_PROCID": "0", "SLURM_NTASKS": "1", "SLURM_LOCALID": "0", "SLURM_JOB_ID": "7", "SLURM_STEP_ID": "0"},
    **{"SLURM_NNODES": "1", "SLURM_JOB_NODELIST": "gone", "SLURM_HET_SIZE": "2"},
}
JOB = """\
#!/bin/bash
echo "start ${SLURM_RESTART_COUNT:-0} $SLURM_JOB_NODELIST"
srun bash -c 'echo "rank $SLURM_PROCID on $SLURMD_NODENAME"; sleep 100'
"""
# Stands before the real sbatch, and kills who calls it at the n-th call, before or after.
KILLER = """\
#!/bin/bash
[ "$1" = --test-only ] && exec {sbatch} "$@"
echo call >>"$KILLER_COUNT"
[ "$(wc -l <"$KILLER_COUNT")" = "$KILLER_AT" ] || exec {sbatch} "$@"
[ "$KILLER_WHEN" = after ] && {sbatch} "$@" >/dev/null
kill -9 $PPID
"""


def killed(user: User, *, at: int, when: str) -> None:
    """``kbench run`` killed by -9 around one of its calls of sbatch."""
    bin_folder = user.folder / "bin"
    bin_folder.mkdir(exist_ok=True)
    (bin_folder / "sbatch").write_text(KILLER.format(sbatch=shutil.which("sbatch")))
    (bin_folder / "sbatch").chmod(0o755)
    count = user.folder / "count"
    count.unlink(missing_ok=True)
    path = f"{bin_folder}:{user.path}"
    env = {"PATH": path, "KILLER_COUNT": str(count), "KILLER_AT": str(at), "KILLER_WHEN": when}
    done = user.calls("run", "small.yaml", "--site", "site.yaml", env=env)
    assert done.returncode == -9


def submitted(user: User, slurm: SlurmCluster) -> Counter[str]:
    """How often each run is in the queue, as the scripts of the jobs there have it."""
    tasks: Counter[str] = Counter()
    for job, name in slurm.states("%i|%j").items():
        script = user.experiment().job_script(name.partition(".")[2])
        lines = script.read_text().splitlines() if script.exists() else []  # else another test's
        number = job.partition("_")[2] or "0"
        tasks.update(line.partition("=")[2] for line in lines if line.strip().startswith(f"[{number}]="))
    return tasks


@pytest.mark.parametrize("arrays", ["true", "false"])
def test_a_front_that_is_killed_while_submitting_loses_nothing_and_doubles_nothing(
    on_slurm: User, slurm: SlurmCluster, arrays: str
) -> None:
    user = on_slurm
    user.writes(SITE + f"arrays: {arrays}\noptions: [--hold]\n", *SEVEN[:3], seeds=(0, 1))
    last = 1 if arrays == "true" else 4
    killed(user, at=1, when="before")
    assert not submitted(user, slurm)
    killed(user, at=last, when="after")
    user.runs()
    runs = {run.run_id for run in user.experiment().all_runs()}
    assert len(runs) == 6
    assert submitted(user, slurm) == Counter(dict.fromkeys(runs, 1))
    assert {row["state"] for row in user.sees().values()} == {"waiting"}


def test_seven_strategies_by_two_seeds_on_two_nodes_survive_the_death_of_the_front_and_ranks_of_the_shell(
    on_slurm: User, slurm: SlurmCluster
) -> None:
    user = on_slurm
    user.writes(SITE, *SEVEN, epochs=1, seeds=(0, 1))
    killed(user, at=1, when="after")
    user.runs("--wait", env=LEAKING)
    rows = pd.read_parquet(user.experiment().path / "runs.parquet")
    assert sorted(rows["run_id"]) == sorted(run.run_id for run in user.experiment().all_runs())
    assert len(rows) == 14 and set(rows["state"]) == {"done"} and set(rows["attempts"]) == {1}
    assert set(submitted(user, slurm).values()) == {1}
    epochs = pd.read_parquet(user.experiment().path / "epochs.parquet")
    assert not epochs.duplicated(["run_id", "phase", "epoch"]).any()
    assert set(epochs.groupby("run_id")["epoch"].max()) == {0}


def test_what_a_wrapper_of_sbatch_answers_and_a_number_that_came_back_mislead_nobody(
    on_slurm: User, slurm: SlurmCluster
) -> None:
    user = on_slurm
    user.writes(SITE + "arrays: false\noptions: [--hold]\n", "baseline")
    user.runs(env=user.wraps("sbatch", UNPARSABLE))
    (mine,) = slurm.waiting_or_running()
    row = user.sees()["baseline.s0"]
    assert (row["state"], row["job_id"]) == ("waiting", mine)
    slurm.run("scancel", mine)
    other = slurm.run("sbatch", "--parsable", "--hold", "-J", "important", "-o", "/dev/null", "--wrap", "true").strip()
    user.recycles(mine, other)
    assert user.sees()["baseline.s0"]["state"] == "interrupted"
    assert user.calls("cancel", "small").returncode == 0
    assert slurm.waiting_or_running() == [other]
    user.runs()
    assert len(slurm.waiting_or_running()) == 2


def test_settings_of_the_users_shell_do_not_reach_the_jobs(on_slurm: User, slurm: SlurmCluster) -> None:
    user = on_slurm
    user.writes(SITE + "options: [--hold]\n", "baseline")
    user.runs(env={"SBATCH_PARTITION": "short", "SBATCH_TIMELIMIT": "1", "SLURM_NTASKS": "7"})
    (job,) = slurm.waiting_or_running()
    assert slurm.states("%i|%P %l %D")[job] == "debug UNLIMITED 2"


def test_one_allocation_does_all_strategies_of_a_seed_in_a_recorded_order(on_slurm: User, slurm: SlurmCluster) -> None:
    user = on_slurm
    user.writes(SITE.replace("nodes: 2", "nodes: 1"), *SEVEN[:2], epochs=1, seeds=(0, 1))
    user.runs("--pairing", "node", "--wait")
    runs = user.found()
    places = {name: (run.read().start.id, tuple(run.read().start.nodes)) for name, run in runs.items()}
    for seed in ("s0", "s1"):
        assert len({place for name, place in places.items() if name.endswith(seed)}) == 1
    assert len(set(places.values())) == 2
    entries = map(json.loads, user.experiment().ledger.read_text().splitlines())
    order = next(entry["order"] for entry in entries if entry["event"] == "order")
    started = {run.run_id: run.read().start.started_at for run in runs.values()}
    for seed in (".s0.", ".s1."):
        theirs = [run_id for run_id in order if seed in run_id]
        assert theirs == sorted(theirs, key=started.__getitem__)


def test_mpirun_starts_the_ranks_on_the_nodes_of_the_allocation_whatever_the_shell_says_of_ranks(
    on_slurm: User,
) -> None:
    user = on_slurm
    user.writes(SITE + "template: slurm-mpirun\n", "baseline", epochs=1)
    user.runs("--wait", env=LEAKING)
    run = user.found()["baseline.s0"]
    assert " mpirun -np 2 " in run.script.read_text()
    assert run.is_done() and run.read().provenance.hosts == run.read().start.nodes and len(run.read().start.nodes) == 2


def submit(slurm: SlurmCluster, folder: Path, *options: str) -> tuple[str, Path]:
    """A job of two ranks on two nodes, and what it prints."""
    script, log = folder / "job.sh", folder / "log"
    script.write_text(JOB)
    words = ("sbatch", "--parsable", "-N2", "-n2", "--open-mode=append", f"--output={log}", *options, str(script))
    return slurm.run(*words).strip(), log


def test_ranks_start_on_two_nodes(slurm: SlurmCluster, tmp_path: Path) -> None:
    job, log = submit(slurm, tmp_path)
    slurm.await_state(job, "RUNNING")
    slurm.await_text(log, "rank 0 on n1", "rank 1 on n2")
    slurm.run("scancel", job)
    slurm.await_state(job, "CANCELLED")
