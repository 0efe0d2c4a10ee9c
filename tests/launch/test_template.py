"""Job scripts: nothing missing, nothing ignored, and no value that the shell takes for a command."""

import os
import shutil
import subprocess
from pathlib import Path

import pytest

from kbench.config.lookup import find
from kbench.config.run_spec import RunSpec
from kbench.config.site import Site
from kbench.errors import ConfigError
from kbench.experiment.local import script
from kbench.launch.job_script import render
from kbench.records.folders import RunDir

GOLDEN = Path(__file__).parent / "golden"
RUN = "digits-cnn-digits.baseline.s0.0123abcd"
FIXED: dict[str, object] = {
    "run_dir": f"/data/results/small/runs/{RUN}",
    "python": ["/opt/kbench/bin/python"],
    "host_python": "/opt/kbench/bin/python",
    "ranks": 1,
    "nodes": 1,
    "ranks_per_node": 1,
    "threads_per_rank": 8,
    "mpirun": "/usr/bin/mpirun",
    "mpirun_options": (),
    "hosts": (),
    "hostfile": "",
    "setup": (),
}
# (golden file, template, what differs from FIXED)
SCRIPTS = [
    ("local.sh", "local", {}),
    ("local-ranks.sh", "local", {"ranks": 2, "ranks_per_node": 2, "setup": ("module load cuda",)}),
    (
        "mpirun.sh",
        "mpirun",
        {
            "ranks": 4,
            "nodes": 2,
            "ranks_per_node": 2,
            "hosts": ("node1:2", "node2:2"),
            "mpirun_options": ("--bind-to", "core", "-x", "A B"),
            "setup": ("module load openmpi", "export A='x y'"),
        },
    ),
    ("mpirun-plain.sh", "mpirun", {"ranks": 2, "ranks_per_node": 2}),
    (
        "mpirun-hostfile.sh",
        "mpirun",
        {"ranks": 2, "hostfile": "my hosts.txt", "python": ["apptainer", "exec", "my image.sif", "python3"]},
    ),
]
EVIL = "a b 'c' \"d\" $(touch pwned1) `touch pwned2` ; touch pwned3\ntouch pwned4 & > pwned5 \\ * ~ {{ 7 * 7 }} #"
STUB = """\
#!/bin/bash
printf '%s\\0' "$@" > "$RECORDS/$(ls "$RECORDS" | wc -l)"
exit "${STATUS:-0}"
"""


def template(name: str) -> Path:
    return find(name, "jobs", ".sh", "job template")


def rendered(name: str, **values: object) -> str:
    return render(template(name), FIXED | values, given={})


def written(path: Path, text: str) -> Path:
    path.write_text(text)
    return path


def execute(text: str, folder: Path, *, status: int = 0) -> tuple[int, list[list[str]]]:
    """Run a script in an empty folder; returns its exit status and what each stub was called with."""
    records, empty = folder / "records", folder / "empty"
    records.mkdir()
    empty.mkdir()
    job = written(folder / "job.sh", text)
    env = {"PATH": os.environ["PATH"], "RECORDS": str(records), "STATUS": str(status)}
    done = subprocess.run(["bash", str(job)], cwd=empty, env=env, capture_output=True, text=True, timeout=60)
    assert list(empty.iterdir()) == [], done.stderr
    calls = [record.read_text().split("\0")[:-1] for record in sorted(records.iterdir())]
    return done.returncode, calls


def stub(folder: Path, name: str) -> Path:
    """An executable below a folder of an evil name that only notes its arguments."""
    place = folder / EVIL
    place.mkdir(exist_ok=True)
    path = written(place / name, STUB)
    path.chmod(0o755)
    return path


@pytest.mark.parametrize(("golden", "name", "values"), SCRIPTS, ids=[s[0] for s in SCRIPTS])
def test_a_script_is_what_its_golden_file_holds(golden: str, name: str, values: dict[str, object]) -> None:
    assert rendered(name, **values) == (GOLDEN / golden).read_text()


@pytest.mark.parametrize("golden", [s[0] for s in SCRIPTS])
def test_a_script_is_valid_bash(golden: str) -> None:
    done = subprocess.run(["bash", "-n", str(GOLDEN / golden)], capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.skipif(shutil.which("shellcheck") is None, reason="needs shellcheck")
@pytest.mark.parametrize("golden", [s[0] for s in SCRIPTS])
def test_shellcheck_finds_nothing_in_a_script(golden: str) -> None:
    command = ["shellcheck", "--norc", "--shell=bash", str(GOLDEN / golden)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stdout) == (0, "")


def test_every_template_has_a_golden_file() -> None:
    templates = {path.name for path in template("local").parent.glob("*.sh")}
    assert templates <= {path.name for path in GOLDEN.iterdir()}


@pytest.mark.parametrize("status", [0, 3])
def test_an_evil_run_folder_reaches_one_local_rank_as_it_is(tmp_path: Path, status: int) -> None:
    run_dir = f"/nowhere/{EVIL}"
    python = stub(tmp_path, "python")
    text = rendered("local", run_dir=run_dir, python=[python], host_python=python)
    returned, calls = execute(text, tmp_path, status=status)
    worker = ["-m", "kbench.worker", run_dir]
    failure = ["-m", "kbench.launch.failure", "3", run_dir]
    assert returned == status
    assert calls == ([worker] if status == 0 else [worker, failure])


def test_an_evil_run_folder_reaches_several_local_ranks_as_it_is(tmp_path: Path) -> None:
    run_dir = f"/nowhere/{EVIL}"
    _, calls = execute(rendered("local", run_dir=run_dir, python=[stub(tmp_path, "python")], ranks=2), tmp_path)
    assert [call[-2:] for call in calls] == [["kbench.worker", run_dir]]


def test_evil_hosts_and_options_reach_mpirun_as_they_are(tmp_path: Path) -> None:
    run_dir, python = f"/nowhere/{EVIL}", stub(tmp_path, "python")
    values = {"hosts": ("one", EVIL), "mpirun_options": (EVIL, "--two words"), "ranks": 2}
    text = rendered("mpirun", run_dir=run_dir, python=["run", EVIL, python], mpirun=stub(tmp_path, "mpirun"), **values)
    returned, calls = execute(text, tmp_path)
    words = [
        "-np",
        "2",
        "--host",
        f"one,{EVIL}",
        EVIL,
        "--two words",
        "run",
        EVIL,
        str(python),
        "-m",
        "kbench.worker",
        run_dir,
    ]
    assert (returned, len(calls)) == (0, 1)
    before, carried, rank = calls[0][:6], calls[0][6:12], calls[0][12:]
    assert before + rank == words
    names = ["env", "OMP_NUM_THREADS", "PATH", "LD_LIBRARY_PATH", "GOMP_SPINCOUNT", "KMP_BLOCKTIME"]
    assert [word.partition("=")[0] for word in carried] == names


def test_an_evil_run_folder_reaches_the_epitaph_of_mpirun_as_it_is(tmp_path: Path) -> None:
    run_dir, python = f"/nowhere/{EVIL}", stub(tmp_path, "python")
    text = rendered("mpirun", run_dir=run_dir, host_python=python, mpirun=stub(tmp_path, "mpirun"))
    returned, calls = execute(text, tmp_path, status=137)
    assert (returned, calls[1:]) == (137, [["-m", "kbench.launch.failure", "137", run_dir]])


@pytest.mark.parametrize("line", ["(exit 7)", "exit 7", "(exit 7)  # why not", "[ -f /nowhere ] || (exit 7)"])
def test_a_setup_line_that_fails_is_the_reason_and_no_rank_starts(tmp_path: Path, line: str) -> None:
    python = stub(tmp_path, "python")
    text = rendered("local", setup=("true", line, "true"), python=[python], host_python=python)
    status, calls = execute(text, tmp_path)
    why = f"setup line 2 ({line}) ends with status 7"
    assert (status, calls) == (1, [["-m", "kbench.launch.failure", why, FIXED["run_dir"]]])


def test_setup_lines_run_before_the_ranks(tmp_path: Path) -> None:
    lines = ('export STATUS="$((STATUS + 1))"', 'export STATUS="$((STATUS * 2))"')
    python = stub(tmp_path, "python")
    text = rendered("local", python=[python], host_python=python, setup=lines)
    returned, _ = execute(text, tmp_path, status=3)
    assert returned == 8


def test_a_name_without_a_value_is_an_error_that_names_both(tmp_path: Path) -> None:
    path = written(tmp_path / "mine.sh", "sbatch --account={{ account | sh }}\n")
    with pytest.raises(ConfigError, match=r"mine\.sh: no value: 'account' is undefined"):
        render(path, FIXED, given={})


def test_a_condition_on_what_has_no_value_is_an_error(tmp_path: Path) -> None:
    path = written(tmp_path / "mine.sh", "{% if account %}echo{% endif %}\n")
    with pytest.raises(ConfigError, match="'account' is undefined"):
        render(path, FIXED, given={})


def test_what_a_site_sets_and_a_template_ignores_is_an_error() -> None:
    with pytest.raises(ConfigError, match=r"local\.sh: does not use hosts, mpirun_options, which the site sets"):
        render(template("local"), FIXED, given={"mpirun_options": ("-x",), "hosts": ("a",), "setup": ("true",)})


def test_a_setting_of_a_site_that_local_runs_would_ignore_is_an_error(tmp_path: Path, run_spec: RunSpec) -> None:
    run = RunDir(tmp_path / RUN)
    run.prepare(run_spec)
    with pytest.raises(ConfigError, match=r"local\.sh: does not use hosts"):
        script(run, Site(launcher="local", hosts=("node1",), threads_per_rank=1))


def test_a_template_that_is_no_template_is_reported_at_its_line(tmp_path: Path) -> None:
    path = written(tmp_path / "mine.sh", "true\n{% if ranks %}\ntrue\n{{ ranks | }}\n{% endif %}\n")
    with pytest.raises(ConfigError, match=r"mine\.sh:4: is no valid template"):
        render(path, FIXED, given={})


def test_a_mistake_in_a_part_that_a_template_includes_is_reported_in_the_part(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "jobs").mkdir()
    written(tmp_path / "jobs" / "part.sh", "true\n{% if %}\n")
    path = written(tmp_path / "mine.sh", '{% include "part.sh" %}\n')
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ConfigError, match=r"jobs/part\.sh:2: is no valid template"):
        render(path, FIXED, given={})


def test_a_part_that_is_not_there_is_named(tmp_path: Path) -> None:
    path = written(tmp_path / "mine.sh", '{% include "parts/nope.sh" %}\n')
    with pytest.raises(ConfigError, match=r"mine\.sh: includes parts/nope\.sh, which is not in jobs/"):
        render(path, FIXED, given={})


def test_what_an_included_part_uses_is_not_ignored(tmp_path: Path) -> None:
    path = written(tmp_path / "mine.sh", '{% include "parts/mpirun-setup.sh" %}\n')
    assert "module load x\n" in render(path, FIXED, given={"setup": ("module load x",)})


@pytest.mark.parametrize("around", ["{}", "{{% if ranks %}}{}{{% endif %}}"], ids=["plain", "in a condition"])
def test_an_unknown_filter_is_a_mistake_in_the_template(tmp_path: Path, around: str) -> None:
    path = written(tmp_path / "mine.sh", around.format("{{ ranks | quoted }}\n"))
    with pytest.raises(ConfigError, match=r"mine\.sh.*: is no valid template: No filter named 'quoted'"):
        render(path, FIXED, given={})


def test_bash_counts_its_arrays_with_a_hash_sign_as_ever(tmp_path: Path) -> None:
    text = 'a=(x y z)\nprintf "%s" "${#a[@]}"\n'
    shell = render(written(tmp_path / "mine.sh", text), FIXED, given={})
    assert subprocess.run(["bash", "-c", shell], capture_output=True, text=True, timeout=60).stdout == "3"


def test_the_script_of_a_run_names_its_whole_path_and_the_python_that_made_it(
    tmp_path: Path, run_spec: RunSpec, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    run = RunDir(Path("results") / RUN)
    run.prepare(run_spec)
    text = script(run, Site(launcher="local", threads_per_rank=3))
    assert f"-m kbench.worker {tmp_path / 'results' / RUN} \"$@\"\n" in text
    assert "OMP_NUM_THREADS=3\n" in text


@pytest.mark.parametrize(
    ("environ", "setup", "spins"),
    [
        ({}, (), ["20000", "1"]),
        ({"GOMP_SPINCOUNT": "7"}, (), ["7", "1"]),
        ({}, ("export GOMP_SPINCOUNT=7 KMP_BLOCKTIME=infinite",), ["7", "infinite"]),
        ({"OMP_WAIT_POLICY": "PASSIVE"}, (), ["unset", "unset"]),
        ({}, ("export OMP_WAIT_POLICY=PASSIVE",), ["unset", "unset"]),
    ],
)
def test_idle_threads_spin_for_a_bounded_time_unless_the_environment_or_the_site_says(
    environ: dict[str, str], setup: tuple[str, ...], spins: list[str], tmp_path: Path
) -> None:
    told = written(tmp_path / "told", '#!/bin/bash\necho "${GOMP_SPINCOUNT-unset} ${KMP_BLOCKTIME-unset}"\n')
    told.chmod(0o755)
    text = rendered("local", python=[str(told)], setup=setup)
    env = {"PATH": os.environ["PATH"], **environ}
    done = subprocess.run(["bash", "-c", text], env=env, capture_output=True, text=True, timeout=60)
    assert done.stdout.split() == spins


def test_ranks_on_other_hosts_are_told_how_long_to_spin(tmp_path: Path) -> None:
    mpirun = stub(tmp_path, "mpirun")
    text = rendered("mpirun", mpirun=str(mpirun), hosts=("n1", "n2"), ranks=2, setup=("export OMP_WAIT_POLICY=active",))
    _, (call, *_) = execute(text, tmp_path)
    assert "OMP_WAIT_POLICY=active" in call and not any(word.startswith("GOMP_SPINCOUNT") for word in call)
