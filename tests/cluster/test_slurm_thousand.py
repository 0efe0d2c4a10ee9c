"""A thousand runs, and a thousand nodes."""

import shutil
from collections import Counter

import pytest
from slurm_cluster import SlurmCluster
from users import User

pytestmark = pytest.mark.slurm

COUNTING = """\
#!/bin/bash
echo "$(basename "$0") $*" >>"$CALLS"
exec {real} "$@"
"""
COMMANDS = ("sbatch", "squeue", "sinfo", "scontrol", "scancel", "sacct")
SITE = """\
launcher: slurm
nodes: 2
threads_per_rank: 1
partition: cloud
gpus_per_node: 4
"""


def calls(user: User, *words: str) -> Counter[str]:
    """How often kbench calls which command of Slurm."""
    folder, log = user.folder / "bin", user.folder / "calls"
    folder.mkdir(exist_ok=True)
    for command in COMMANDS:
        (folder / command).write_text(COUNTING.format(real=shutil.which(command)))
        (folder / command).chmod(0o755)
    log.write_text("")
    done = user.calls(*words, env={"PATH": f"{folder}:{user.path}", "CALLS": str(log)})
    assert done.returncode == 0, done.stderr
    said = (line.split() for line in log.read_text().splitlines())
    return Counter(words[0] for words in said if "--test-only" not in words)


def test_a_thousand_runs_are_one_submission_and_their_states_one_question(
    on_thousand: User, thousand: SlurmCluster
) -> None:
    user = on_thousand
    user.writes(SITE, "baseline", seeds=tuple(range(1000)))
    submitted = calls(user, "run", "small.yaml", "--site", "site.yaml", "--max-parallel", "300", "--quiet")
    assert submitted["sbatch"] == 1
    (job,) = {job.partition("_")[0] for job in thousand.states()}
    thousand.await_state(f"{job}_299", "CONFIGURING")  # it has its two nodes, which never come up
    assert calls(user, "status", "small") == {"squeue": 1}
    rows = user.sees()
    assert len(rows) == 1000 and {row["state"] for row in rows.values()} == {"waiting"}
    assert "JobArrayTaskLimit" in {row["why"] for row in rows.values()}
    assert calls(user, "cancel", "small")["scancel"] == 1
    assert not thousand.waiting_or_running()
    assert {row["state"] for row in user.sees().values()} == {"cancelled"}


def test_a_run_of_256_nodes_waits_for_them(on_thousand: User, thousand: SlurmCluster) -> None:
    user = on_thousand
    user.writes(SITE.replace("nodes: 2", "nodes: 256"), "baseline")
    text = (user.folder / "small.yaml").read_text()
    (user.folder / "small.yaml").write_text(text.replace("global_batch: 48", "global_batch: 256"))
    user.runs()
    (job,) = thousand.waiting_or_running()
    thousand.await_state(job, "CONFIGURING")
    assert thousand.states("%i|%N")[job] == "cloud[0001-0256]"
    assert user.sees()["baseline.s0"]["state"] == "waiting"
