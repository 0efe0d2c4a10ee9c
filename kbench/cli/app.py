"""The command line: the list of commands, and the one place where errors are caught."""

import locale
import os
import sys
import traceback
from collections.abc import Callable
from io import TextIOWrapper
from typing import Annotated, Any

import typer
from typer.core import TyperGroup

import kbench
from kbench.cli.calibrate import calibrate, plan
from kbench.cli.check_method import check_method
from kbench.cli.check_own import check_data, check_model
from kbench.cli.compare import compare, gather, plot, report
from kbench.cli.data import data
from kbench.cli.doctor import doctor
from kbench.cli.export import export
from kbench.cli.import_results import import_results
from kbench.cli.init import init
from kbench.cli.lists import list_names
from kbench.cli.move import bundle, clean, merge, unbundle
from kbench.cli.options import Debug, expanded
from kbench.cli.run import check, run
from kbench.cli.status import cancel, logs, status
from kbench.cli.verify_pair import verify_pair
from kbench.errors import KBenchError, ResultsError, printable

COMMANDS: dict[str, Callable[..., None] | typer.Typer] = {
    "run": run, "check": check, "status": status, "logs": logs, "cancel": cancel, "gather": gather, "compare": compare,
    "plot": plot, "report": report, "import": import_results, "export": export, "bundle": bundle, "unbundle": unbundle,
    "merge": merge, "clean": clean, "data": data, "list": list_names, "check-method": check_method,
    "check-model": check_model, "check-data": check_data, "verify-pair": verify_pair,
    "calibrate": calibrate, "plan": plan, "doctor": doctor, "init": init,
}  # fmt: skip


class InOrder(TyperGroup):
    """Commands and groups of commands in one order; typer would put groups last."""

    def list_commands(self, ctx: Any) -> list[str]:
        """The names, as they are used."""
        return list(COMMANDS)


app = typer.Typer(
    name="kbench",
    cls=InOrder,
    help="Does training on fewer or other samples really save time, and at what accuracy?",
    epilog="kbench COMMAND --help tells more.  Exit codes: 0 done, 2 configuration, 3 launch, "
    "4 data or model, 5 a run failed, 6 results, 130 interrupted.",
    no_args_is_help=True,
    add_completion=True,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
for name, command in COMMANDS.items():
    if isinstance(command, typer.Typer):
        app.add_typer(command)
    else:
        app.command(name)(expanded(command))


def _version(wanted: bool) -> None:
    if wanted:
        print(f"kbench {kbench.__version__}")
        raise typer.Exit


@app.callback()
def _common(
    version: Annotated[
        bool, typer.Option("--version", help="Print the version.", callback=_version, is_eager=True)
    ] = False,
    debug: Debug = False,
) -> None:
    pass


def _take_utf8() -> None:
    """Start again in Python's UTF-8 mode where the locale has another encoding; what is printed stays in the locale's.

    Names of files are bytes: read in another encoding, they would be others in scripts and records, which are UTF-8.
    """
    if sys.getfilesystemencoding() == "utf-8" or os.environ.get("PYTHONUTF8") == "1":
        return
    os.environ.setdefault("PYTHONIOENCODING", locale.getencoding())
    os.environ["PYTHONUTF8"] = "1"
    os.execv(sys.executable, [sys.executable, *sys.orig_argv[1:]])


def main() -> None:
    """Run a command; an error of the user's is a sentence, one of ours a traceback."""
    _take_utf8()
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, TextIOWrapper):  # a terminal that lacks a letter of a name or a script shows its number
            stream.reconfigure(errors="backslashreplace")
    try:
        app()
    except KBenchError as error:
        if "--debug" in sys.argv:
            traceback.print_exc()
        for sentence in error.sentences:
            print(f"error: {printable(sentence)}", file=sys.stderr)
        if error.hint:
            print(f"hint: {printable(error.hint)}", file=sys.stderr)
        sys.exit(error.exit_code)
    except OSError as error:  # a full disk, a file system that went away
        from kbench.files import reason

        if "--debug" in sys.argv:
            traceback.print_exc()
        print(f"error: {printable(str(error.filename or 'file system'))}: {reason(error)}", file=sys.stderr)
        sys.exit(ResultsError.exit_code)
    except MemoryError:
        if "--debug" in sys.argv:
            traceback.print_exc()
        print("error: out of memory; leave out what is large, or use a machine with more", file=sys.stderr)
        sys.exit(ResultsError.exit_code)
