"""A command that needs little imports little, and says it without colours."""

import subprocess
import sys
from pathlib import Path

import pytest

HEAVY = ("torch", "pandas", "pyarrow", "matplotlib", "scipy", "sklearn", "timm")
CONTRACT = (
    "run check status logs cancel gather compare plot report import export bundle"
    " unbundle merge clean data list check-method check-model check-data calibrate plan doctor"
).split()

SPY = """
import atexit, sys
atexit.register(lambda: print(*sorted(sys.modules), file=sys.stderr))
sys.argv = ["kbench", *sys.argv[1:]]
from kbench.cli.app import main
main()
"""


@pytest.mark.parametrize(
    "words", [["--help"], ["--version"], ["status", "small"], ["run", "--help"], ["logs", "?"], ["data", "list"]]
)
def test_light_commands_import_nothing_heavy(words: list[str], small_folder: Path, clean_env: dict[str, str]) -> None:
    command = [sys.executable, "-c", SPY, *words]
    done = subprocess.run(command, cwd=small_folder, env=clean_env, capture_output=True, text=True, timeout=60)
    modules = done.stderr.splitlines()[-1].split()
    assert "kbench.cli.app" in modules
    assert [name for name in HEAVY if name in modules] == []


def test_help_lists_the_commands_in_the_order_of_the_contract(kbench) -> None:
    help_text = kbench("--help").stdout
    listed = [line.split()[0] for line in help_text.partition("Commands:")[2].splitlines() if line[:3].strip()]
    listed = [word for word in listed if word in CONTRACT]
    assert listed == [word for word in CONTRACT if word in listed]
    assert {"run", "check", "status", "logs", "cancel", "gather", "compare", "plot", "list"} <= set(listed)


def test_version_is_one_line_on_stdout(kbench) -> None:
    import kbench as package

    assert kbench("--version").stdout == f"kbench {package.__version__}\n"


@pytest.mark.parametrize("env", [{"TERM": "xterm-256color"}, {"NO_COLOR": "1"}], ids=["any terminal", "no colour"])
@pytest.mark.parametrize("words", [["--help"], ["status", "small"], ["compare", "small"], ["no-such-command"]])
def test_a_pipe_gets_no_colours(words: list[str], env: dict[str, str], small_folder: Path, kbench) -> None:
    done = kbench(*words, env=env, cwd=small_folder)
    assert done.stdout + done.stderr
    assert "\x1b" not in done.stdout + done.stderr
