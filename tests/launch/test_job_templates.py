"""Scripts for schedulers: what the example sites render, and what a template refuses."""

import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest

from kbench.config.lookup import find
from kbench.config.parse import parse
from kbench.config.site import Queue, Site
from kbench.config.yaml_source import read_source
from kbench.errors import ConfigError
from kbench.experiment.plan import resolved
from kbench.launch.job_script import script
from kbench.records.folders import ExperimentDir

GOLDEN = Path(__file__).parent / "golden"
EXPERIMENT = ExperimentDir(Path("/data/results/small"))
TOKEN = "kb0123abcd"
RUNS = [f"digits-cnn-digits.{name}.s0.0123abcd" for name in ("baseline", "iswr", "sb")]
QUEUE = Queue(submit=("qsub",), list=("qstat",), cancel=("qdel",))
# (golden file, example site, what differs from it, tasks of how many runs, ids to wait for, nodes to avoid)
SCRIPTS: list[tuple[str, str, dict[str, object], tuple[int, ...], tuple[str, ...], tuple[str, ...]]] = [
    ("slurm.sh", "slurm", {}, (1, 1), (), ()),
    ("slurm-gpu.sh", "slurm-gpu", {"requeue": False, "qos": "long"}, (2,), ("12_3", "13_0"), ("n3", "n7")),
    ("slurm-mpirun.sh", "slurm", {"template": "slurm-mpirun", "nodes": 2, "ranks_per_node": 2}, (1,), (), ()),
    ("sge.sh", "sge", {"account": "faster", "partition": "gpu.q"}, (1,), ("12", "13"), ()),
    ("sge-one-rank.sh", "sge", {"nodes": 1, "ranks_per_node": 1, "time_limit": None, "requeue": False}, (3,), (), ()),
    ("pbs.sh", "pbs", {"account": "faster"}, (1,), ("12.server",), ()),
    ("lsf.sh", "lsf", {"account": "faster"}, (1,), ("12",), ()),
    ("flux.sh", "flux", {"account": "faster"}, (1,), ("12",), ()),
    ("pbs-one-rank.sh", "pbs", {"nodes": 1, "ranks_per_node": 1, "gpus_per_node": 0, "memory": None}, (3,), (), ()),
]
IDS = [case[0] for case in SCRIPTS]


def example(name: str, **changes: object) -> Site:
    site = parse(Site, read_source(find(name, "configs/sites", ".yaml", "site")))
    changed = Site.model_validate({**site.model_dump(exclude_unset=True), **changes})
    return resolved(changed, launcher="auto", max_parallel=1)


def rendered(site: Site, experiment: ExperimentDir = EXPERIMENT, tasks: Sequence[int] = (1,), **more: object) -> str:
    """The script of some tasks, each of so many runs."""
    names = iter(RUNS)
    groups = {n: tuple(experiment.run(next(names)) for _ in range(size)) for n, size in enumerate(tasks)}
    options = {"after": (), "avoid": (), "max_parallel": None, "arrays": len(groups) > 1, **more}
    return script(site, experiment, TOKEN, groups, **options)  # type: ignore[arg-type]


@pytest.fixture
def the_python(monkeypatch: pytest.MonkeyPatch) -> None:
    """Scripts name the Python that made them; golden files need one that is always the same."""
    monkeypatch.setattr(sys, "executable", "/opt/kbench/bin/python")


@pytest.mark.parametrize(("golden", "name", "changes", "tasks", "after", "avoid"), SCRIPTS, ids=IDS)
def test_what_an_example_site_renders_is_what_its_golden_file_holds(
    the_python: None, golden: str, name: str, changes: dict[str, object], tasks: Sequence[int], after: Sequence[str],
    avoid: Sequence[str],
) -> None:  # fmt: skip
    most = 4 if len(tasks) > 1 else None
    text = rendered(example(name, **changes), tasks=tasks, after=after, avoid=avoid, max_parallel=most)
    assert text == (GOLDEN / golden).read_text()


@pytest.mark.parametrize("golden", IDS)
def test_a_scheduler_script_is_valid_bash(golden: str) -> None:
    done = subprocess.run(["bash", "-n", str(GOLDEN / golden)], capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.skipif(shutil.which("shellcheck") is None, reason="needs shellcheck")
def test_shellcheck_finds_nothing_in_the_scheduler_scripts() -> None:
    files = [str(GOLDEN / golden) for golden in IDS]
    done = subprocess.run(["shellcheck", "--norc", "--shell=bash", *files], capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stdout) == (0, "")


@pytest.mark.parametrize("golden", IDS)
def test_directives_stand_before_the_first_command(golden: str) -> None:
    lines = [line for line in (GOLDEN / golden).read_text().splitlines() if line]
    directives = [n for n, line in enumerate(lines) if line.startswith(("#SBATCH", "#$", "#PBS", "#BSUB", "#flux:"))]
    first_command = next(n for n, line in enumerate(lines) if not line.startswith("#"))
    assert directives == list(range(1, 1 + len(directives)))
    assert len(directives) > 5 and directives[-1] < first_command


@pytest.mark.parametrize("launcher", ["slurm", "queue"])
def test_a_results_folder_of_several_lines_is_no_place_for_job_scripts(tmp_path: Path, launcher: str) -> None:
    site = Site(launcher=launcher, template="sge", queue=QUEUE, threads_per_rank=1)
    with pytest.raises(ConfigError, match="control characters"):
        rendered(site, ExperimentDir(tmp_path / "two\nlines" / "small"))


def test_slurm_refuses_a_results_folder_with_a_backslash_that_it_would_lose(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="backslash"):
        rendered(Site(launcher="slurm", threads_per_rank=1), ExperimentDir(tmp_path / "back\\slash" / "small"))


@pytest.mark.parametrize("template", ["sge", "pbs"])
def test_a_queue_job_without_a_time_limit_or_requeue_asks_for_neither(template: str) -> None:
    text = rendered(Site(launcher="queue", template=template, queue=QUEUE, threads_per_rank=1, requeue=False))
    assert not any(word in text for word in ("h_rt", "walltime", "--limit", "--requeue"))


def test_what_a_grid_engine_names_differently_everywhere_is_left_to_the_options() -> None:
    site = Site(launcher="queue", template="sge", queue=QUEUE, threads_per_rank=1, memory="64G", qos="high")
    with pytest.raises(ConfigError, match=r"sge\.sh: does not use memory, qos"):
        rendered(site)
