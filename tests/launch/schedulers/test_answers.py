"""What the commands of schedulers print, and what is made of it: banners, filters, lists that are cut."""

from collections.abc import Callable
from pathlib import Path

import pytest

from kbench.config.site import Queue
from kbench.errors import LaunchError
from kbench.launch.schedulers.base import NoAnswer, Stage
from kbench.launch.schedulers.commands import Commands
from kbench.launch.schedulers.slurm import Slurm, expand_node_list, read_jobs

Plays = Callable[[str, str], object]
QUEUE = Queue(submit=("qsub", "-terse"), list=("qstat",), cancel=("qdel",), find=("qstat", "-j"))
RECORD = "JobId=30 ArrayJobId=24 ArrayTaskId=0-1,4%2 JobName=small.kb0123abcd UserId=me(7) JobState=PENDING Reason=Held"


@pytest.fixture
def script(tmp_path: Path) -> Path:
    return tmp_path / "kb0123abcd.sh"


@pytest.mark.parametrize(
    "name",
    [
        *("SQUEUE_PARTITION", "SQUEUE_NAMES", "SCANCEL_STATE", "SACCT_FORMAT", "SINFO_PARTITION", "SBATCH_HOLD"),
        *("RANK", "WORLD_SIZE", "LOCAL_RANK", "MASTER_ADDR", "MASTER_PORT", "OMPI_COMM_WORLD_RANK", "PMI_RANK"),
        *("PMIX_RANK", "SLURM_PROCID", "SLURM_JOB_ID", "TORCHELASTIC_RUN_ID", "MV2_COMM_WORLD_RANK", "FLUX_TASK_RANK"),
    ],
)
@pytest.mark.parametrize("scheduler", [Slurm(), Commands(QUEUE)])
def test_what_the_shell_says_of_lists_and_ranks_reaches_no_command_and_no_job(
    scheduler: Slurm | Commands, name: str
) -> None:
    there = scheduler.environment(
        {name: "1", "SLURM_CONF": "/etc/slurm.conf", "OMPI_MCA_btl": "^openib", "HOME": "/me"}
    )
    assert there == {"SLURM_CONF": "/etc/slurm.conf", "OMPI_MCA_btl": "^openib", "HOME": "/me"}


@pytest.mark.parametrize(
    ("printed", "job"),
    [
        ("123", "123"),
        ("123;cluster", "123"),
        ("Welcome to 3 clusters\n2026\n123", "123"),
        ("Submitted batch job 13", "13"),
        ("No reservation for 12 nodes\nSubmitted batch job 13\nWelcome", "13"),
    ],
)
def test_the_id_is_found_in_what_sbatch_and_its_wrappers_print(
    plays: Plays, script: Path, printed: str, job: str
) -> None:
    plays("sbatch", f"echo '{printed}'")
    assert Slurm().submit(script) == job


def test_a_job_whose_id_sbatch_does_not_print_is_found_by_its_name(plays: Plays, script: Path) -> None:
    plays("sbatch", "echo thanks")
    plays("squeue", "echo '24_0|PENDING|N/A|None|small.kb0123abcd'")
    assert Slurm().submit(script) == "24"


def test_a_job_that_may_have_been_taken_is_not_refused(plays: Plays, script: Path) -> None:
    plays("sbatch", "echo thanks")
    plays("squeue", "")
    plays("scontrol", "echo No jobs in the system")
    with pytest.raises(NoAnswer, match="printed no job id but 'thanks'"):
        Slurm().submit(script)
    plays("scontrol", "echo 'slurm_load_jobs error: Unable to contact slurm controller' >&2; exit 1")
    with pytest.raises(NoAnswer):
        Slurm().submit(script)


@pytest.mark.parametrize(
    "printed",
    [
        "INFO: your group has 1234 points left; see https://docs.abci.ai/2026\n5678",
        "5678\nINFO: 3 jobs are left to you",
        'INFO: 1234 points\nYour job 5678 ("kb0123abcd") has been submitted',
    ],
)
def test_digits_in_a_banner_of_qsub_are_no_id(plays: Plays, script: Path, printed: str) -> None:
    plays("qsub", f"echo '{printed}'")
    plays("qstat", "echo '   5678 0.0 kb0123abcd me qw'; echo '   1234 0.0 other me qw'")
    assert Commands(QUEUE).submit(script) == "5678"


def test_lines_that_are_no_jobs_are_passed_over() -> None:
    text = "squeue: warning: x | y\n\n24_0|PENDING|N/A|Resources|small.kb|x\n25|RUNN\nJOBID|STATE|START|REASON|NAME\n"
    found = read_jobs(text)
    assert list(found) == ["24_0"]
    assert (found["24_0"].stage, found["24_0"].name, found["24_0"].reason) == (Stage.WAITING, "small.kb|x", "Resources")


def test_a_job_that_squeue_leaves_out_is_asked_for_at_the_controller(plays: Plays) -> None:
    plays("squeue", "")
    plays("scontrol", f"echo '{RECORD}'")
    found = Slurm().look_up("24_1")
    assert set(found) == {"24_0", "24_1", "24_4"}
    assert (found["24_1"].stage, found["24_1"].name) == (Stage.WAITING, "small.kb0123abcd")


def test_only_the_controller_says_that_a_job_is_gone(plays: Plays) -> None:
    plays("squeue", "echo 'slurm_load_jobs error: Invalid job id specified' >&2; exit 1")
    plays("scontrol", "echo 'slurm_load_jobs error: Invalid job id specified' >&2; exit 1")
    assert Slurm().look_up("24_1") == {}
    plays("scontrol", "echo maintenance")
    with pytest.raises(LaunchError, match="does not tell whether there is a job 24_1"):
        Slurm().look_up("24_1")


def test_a_queue_is_asked_for_one_job_by_the_command_of_the_site(plays: Plays) -> None:
    plays("qstat", 'echo "job_number: $2"; echo job_name: kb0123abcd')
    assert "kb0123abcd" in Commands(QUEUE).look_up("7")["7"].name
    plays("qstat", 'echo "Following jobs do not exist: $2" >&2; exit 1')
    assert Commands(QUEUE).look_up("7") == {}
    plays("qstat", "echo 'error: commlib error: got select error' >&2; exit 1")
    with pytest.raises(LaunchError, match="commlib"):
        Commands(QUEUE).look_up("7")


@pytest.mark.parametrize("words", ["CANCELLED by 0", "", " "])
def test_accounting_that_forgot_a_job_says_nothing_of_it(plays: Plays, words: str) -> None:
    plays("sacct", f"echo '7|{words}'; echo 'sacct: error: purged'")
    assert Slurm().ended(["7"]) == ({"7": "CANCELLED"} if words.strip() else {})


def test_nodes_in_a_form_that_nobody_knows_are_named_as_they_are() -> None:
    assert expand_node_list("n[1-x],m") == ("n1-x", "m")


@pytest.mark.parametrize(
    ("refusal", "advice"),
    [
        (
            "AssocMaxSubmitJobLimit\nsbatch: error: Batch job submission failed: Job violates accounting/QOS policy",
            "jobs you may",
        ),
        (
            "QOSMaxSubmitJobPerUserLimit\nsbatch: error: Job violates accounting/QOS policy",
            "jobs you may",
        ),
        ("Batch job submission failed: Invalid job array specification", "arrays: false"),
        ("Batch job submission failed: Invalid account or account/partition combination specified", "partition"),
    ],
)
def test_a_refusal_names_the_limit_that_was_met(plays: Plays, script: Path, refusal: str, advice: str) -> None:
    plays("sbatch", f"echo 'sbatch: error: {refusal}' >&2; exit 1")
    with pytest.raises(LaunchError) as refused:
        Slurm().submit(script)
    assert advice in refused.value.hint
