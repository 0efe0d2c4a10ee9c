"""Scripts for schedulers are run with values that the shell could take for commands: none is executed.

What starts the ranks is played by a stub that notes its arguments.
"""

import os
import subprocess
from pathlib import Path

import pytest

from kbench.config.run_spec import RunSpec
from kbench.config.site import Queue, Site
from kbench.launch.job_script import script
from kbench.records.folders import ExperimentDir, RunDir

TOKEN = "kb0123abcd"
QUEUE = Queue(submit=("qsub",), list=("qstat",), cancel=("qdel",))
EVIL = "a b 'c' \"d\" $(touch pwned1) `touch pwned2` ; touch pwned3 & > pwned4 \\ * ~ {{ 7 * 7 }} #"
STUB = """\
#!/bin/bash
printf '%s\\0' "$@" > "$RECORD"
"""


def rendered(site: Site, run: RunDir) -> str:
    """The script for one run."""
    experiment = ExperimentDir(run.path.parents[1])
    return script(site, experiment, TOKEN, {0: (run,)}, after=(), avoid=(), max_parallel=None, arrays=False)


def executed(text: str, folder: Path, *, starter: str, **env: str) -> list[str]:
    """Run a script with a stub for what starts the ranks; returns the arguments of that stub."""
    place, empty, record = folder / "bin", folder / "empty", folder / "record"
    place.mkdir()
    empty.mkdir()
    stub = place / starter
    stub.write_text(STUB)
    stub.chmod(0o755)
    job = folder / "job.sh"
    job.write_text(text)
    path = f"{place}:{os.environ['PATH']}"
    given = {"PATH": path, "RECORD": str(record), "PYTHONPATH": str(Path(__file__).parents[2]), **env}
    done = subprocess.run(["bash", str(job)], cwd=empty, env=given, capture_output=True, text=True, timeout=60)
    assert list(empty.iterdir()) == [], done.stderr
    assert record.exists(), done.stderr
    return record.read_text().split("\0")[:-1]


def prepared(folder: Path, run_spec: RunSpec) -> RunDir:
    """A run that could be trained, below a folder of its own."""
    run = ExperimentDir(folder / "small").run("digits-cnn-digits.baseline.s0.0123abcd")
    run.prepare(run_spec)
    (folder / "small" / "jobs").mkdir()
    return run


def evil_site(launcher: str, template: str) -> Site:
    """A site whose every free text is evil; whole directives are words of the scheduler, and comments to the shell."""
    return Site(
        launcher=launcher,
        template=template,
        queue=QUEUE if launcher == "queue" else None,
        ranks_per_node=2,
        threads_per_rank=1,
        partition=EVIL,
        account=EVIL,
        options=(EVIL,),
        container=("run", EVIL),
        python=f"/nowhere/{EVIL}",
    )


@pytest.mark.parametrize(
    ("launcher", "template", "starter", "words"),
    [
        ("slurm", "slurm", "srun", ["--ntasks=2", "--ntasks-per-node=2", "--kill-on-bad-exit=1", "--unbuffered"]),
        ("slurm", "slurm-mpirun", "mpirun", ["-np", "2"]),
    ],
)
def test_evil_values_reach_what_starts_the_ranks_in_slurm_as_they_are(
    tmp_path: Path, run_spec: RunSpec, launcher: str, template: str, starter: str, words: list[str]
) -> None:
    run = prepared(tmp_path / EVIL.replace("\\", ""), run_spec)
    text = rendered(evil_site(launcher, template), run)
    got = executed(text, tmp_path, starter=starter)
    assert got[: len(words)] == words
    assert got[-6:] == ["run", EVIL, f"/nowhere/{EVIL}", "-m", "kbench.worker", str(run.path)]


@pytest.mark.parametrize(("template", "variable"), [("sge", "PE_HOSTFILE"), ("pbs", "PBS_NODEFILE")])
def test_evil_values_reach_mpirun_in_a_queue_as_they_are(
    tmp_path: Path, run_spec: RunSpec, template: str, variable: str
) -> None:
    run = prepared(tmp_path / EVIL, run_spec)
    text = rendered(evil_site("queue", template), run)
    hosts = tmp_path / "hosts"
    hosts.write_text("one 1 all.q UNDEFINED\none 1 all.q UNDEFINED\n$(touch${IFS}pwned) 1 all.q UNDEFINED\n")
    # The mpirun that only notes its words is of no known make, and gets no options.
    got = executed(text, tmp_path, starter="mpirun", **{variable: str(hosts)})
    start, rank = got[: got.index("env")], got[got.index("env") :]
    assert start == ["-np", "2", "--host", "one:2,$(touch${IFS}pwned):2"]
    assert rank[-6:] == ["run", EVIL, f"/nowhere/{EVIL}", "-m", "kbench.worker", str(run.path)]
    assert rank[1] == "OMP_NUM_THREADS=1"


@pytest.mark.parametrize("template", ["sge", "pbs"])
def test_one_rank_in_a_queue_needs_no_mpi(tmp_path: Path, run_spec: RunSpec, template: str) -> None:
    run = prepared(tmp_path, run_spec)
    site = Site(launcher="queue", template=template, queue=QUEUE, threads_per_rank=3, python=str(tmp_path / "bin/py"))
    got = executed(rendered(site, run), tmp_path, starter="py")
    assert got == ["-m", "kbench.worker", str(run.path)]


@pytest.mark.parametrize("template", ["sge", "pbs"])
def test_what_a_queue_job_says_itself_lies_in_its_log(tmp_path: Path, run_spec: RunSpec, template: str) -> None:
    run = prepared(tmp_path, run_spec)
    site = Site(launcher="queue", template=template, queue=QUEUE, threads_per_rank=3, python=str(tmp_path / "bin/py"))
    executed(rendered(site, run), tmp_path, starter="py")
    log = (tmp_path / "small" / "jobs" / f"{TOKEN}.log").read_text()
    assert log.startswith("allocation: 1 node(s) of 0 GPU(s), 3 core(s) per rank; given: localhost:1\n")
