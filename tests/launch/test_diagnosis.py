"""A program is asked, and what it does not say in time is not waited for."""

import os
import sys

import pytest

from kbench.launch.diagnosis import ask

BOX = """\
--------------------------------------------------------------------------
PRTE was unable to open the hostfile:

   /nowhere/hosts.txt

Check to make sure the path and filename are correct.
--------------------------------------------------------------------------
"""
TRACEBACK = """\
Traceback (most recent call last):
  File "<string>", line 1, in <module>
ModuleNotFoundError: No module named 'torch'
--------------------------------------------------------------------------
prterun detected that one or more processes exited with non-zero status,
--------------------------------------------------------------------------
"""


def test_what_a_program_prints_is_its_answer() -> None:
    answer = ask(["echo", "hello"], seconds=10)
    assert (answer.ok, answer.first_line, answer.why) == (True, "hello", "")


def test_a_program_that_hangs_is_given_up_with_all_that_it_started() -> None:
    told, tell = os.pipe()
    held = f"exec 9>/proc/{os.getpid()}/fd/{tell}; sleep 600 & sleep 600"
    answer = ask(["bash", "-c", held], seconds=0.5)
    os.close(tell)
    assert (answer.ok, answer.status) == (False, None)
    assert answer.why == "bash gave no answer within 0.5 s"
    assert os.read(told, 1) == b"", "the end of the pipe: nobody holds it any more"
    os.close(told)


def test_a_program_that_is_not_there_is_named() -> None:
    assert ask(["no-such-program"], seconds=10).why == "no-such-program is not on the PATH"


@pytest.mark.parametrize(
    ("said", "status", "why"),
    [
        ("first\nsbatch: error: Batch job submission failed", 1, "bash: sbatch: error: Batch job submission failed"),
        ("one\ntwo\n", 3, "bash: two"),
        ("", 7, "bash: it ended with status 7"),
        (BOX, 1, "bash: PRTE was unable to open the hostfile: /nowhere/hosts.txt Check to make sure the path and"),
        (TRACEBACK, 1, "bash: ModuleNotFoundError: No module named 'torch'"),
        ("a\x00b\x1b", 1, "bash: ab"),
    ],
)
def test_of_what_went_wrong_the_line_that_tells_most_is_kept(said: str, status: int, why: str) -> None:
    program = f"import os, sys; os.write(2, {said.encode()!r}); sys.exit({status})"
    answer = ask(["bash", "-c", 'exec "$0" -c "$1"', sys.executable, program], seconds=30)
    assert answer.why.startswith(why)


def test_programs_are_asked_in_english(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LC_ALL", "de_DE.UTF-8")
    assert ask(["bash", "-c", "echo $LC_ALL $MORE"], seconds=10, env={"MORE": "x"}).out == "C x\n"
