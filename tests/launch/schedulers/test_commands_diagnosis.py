"""Which queue is there, and whether the site's commands reach it."""

from collections.abc import Callable

from kbench.config.site import Site
from kbench.launch.diagnosis import Finding, FindingState
from kbench.launch.schedulers.commands import Commands

Plays = Callable[[str, str], object]
QUEUE = {"submit": ["qsub", "-terse"], "list": ["qstat"], "cancel": ["qdel"]}


def queue(commands: dict[str, list[str]] | None = None) -> list[Finding]:
    """What is found for a site with such commands, or without any."""
    keys = {"launcher": "queue", "template": "sge", "queue": commands} if commands else {}
    return list(Commands.diagnose(Site.model_validate(keys), needed=bool(commands)))


def test_a_grid_engine_is_known_by_qconf_and_shows_its_parallel_environments(plays: Plays) -> None:
    plays("qsub", "")
    plays("qstat", "echo SGE 8.1.9; echo usage: qstat [options]")
    plays("qconf", "echo mpi; echo smp")
    engine, environments = queue()
    assert engine.found == "Grid Engine, SGE 8.1.9"
    assert environments.found == "mpi, smp; options: ['-pe NAME SLOTS']"


def test_pbs_is_known_by_its_version(plays: Plays) -> None:
    plays("qsub", "")
    plays("qstat", "echo pbs_version = 23.06.06")
    [item] = queue()
    assert item.found == "PBS or Torque, pbs_version = 23.06.06"


def test_slurms_imitation_of_qsub_is_not_taken_for_a_queue(plays: Plays) -> None:
    plays("qsub", "# qsub - a wrapper of Slurm's sbatch")
    plays("qconf", "")
    [item] = queue()
    assert item.found == "Slurm's imitation of it; use the launcher slurm"


def test_a_grid_engine_whose_master_is_down_is_told_in_its_own_words(plays: Plays) -> None:
    for name in ("qsub", "qconf", "qdel"):
        plays(name, "")
    plays("qstat", "echo 'error: unable to contact qmaster' >&2; exit 1")
    items = queue(QUEUE)
    assert [(item.name, item.state, item.is_fatal) for item in items] == [
        ("qsub", FindingState.MISSING, False),
        ("queue", FindingState.MISSING, True),
    ]
    assert "unable to contact qmaster" in items[1].found


def test_commands_of_the_site_that_are_not_there_are_named(plays: Plays) -> None:
    commands = {"submit": ["mysub"], "list": ["mylist"], "cancel": ["mycancel"]}
    plays("mylist", "")
    items = queue(commands)
    assert (items[-1].is_fatal, items[-1].found) == (True, "not on the PATH: submit: mysub, cancel: mycancel")


def test_a_queue_that_answers_is_good(plays: Plays) -> None:
    for name in ("mysub", "mycancel"):
        plays(name, "exit 9")  # neither must be called
    plays("mylist", "echo 1 a; echo 2 b")
    commands = {"submit": ["mysub"], "list": ["mylist", "-a"], "cancel": ["mycancel"]}
    item = queue(commands)[-1]
    assert item.state is FindingState.OK
    assert item.found.startswith("mylist -a answers with 2 lines")


def test_a_machine_without_a_queue_has_nothing_to_tell(plays: Plays) -> None:
    assert [item for item in queue() if item.name == "queue"] == []
