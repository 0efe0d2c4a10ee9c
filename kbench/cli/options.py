"""The flags that several commands share, and the two streams that they write to."""

import json
import os
import sys
from pathlib import Path
from typing import Annotated, Any

import typer

DEFAULT = "quick"

Experiment = Annotated[str, typer.Argument(help="A file, or a name found in configs/.", metavar="EXPERIMENT")]
Results = Annotated[
    Path,
    typer.Option("--results", envvar="KBENCH_RESULTS", help="Where results lie.", metavar="DIR", show_envvar=True),
]
Json = Annotated[bool, typer.Option("--json", help="Machine-readable on stdout, and nothing else there.")]
Quiet = Annotated[bool, typer.Option("--quiet", "-q", help="No progress and no advice on stderr.")]
Debug = Annotated[bool, typer.Option("--debug", help="Show the traceback of an error.", is_eager=True)]
Settings = Annotated[
    list[str],
    typer.Option(
        "--set",
        help="Replace a key of the experiment or the site; repeatable.",
        metavar="KEY=VALUE",
        show_default=False,
    ),
]
SiteName = Annotated[
    str, typer.Option("--site", help="A site file, or a name found in configs/sites/.", metavar="NAME")
]
Launcher = Annotated[
    str, typer.Option("--launcher", help="auto, local, mpirun, slurm, queue, or MODULE:CLASS.", metavar="NAME")
]
Only = Annotated[
    list[str],
    typer.Option("--only", help="Strategy, pair or seed to keep; repeatable.", metavar="NAME", show_default=False),
]
MaxParallel = Annotated[
    int | None,
    typer.Option(
        "--max-parallel",
        min=1,
        help="Runs at a time: one on this machine, where more divide the cores; as many as fit on a cluster.",
        metavar="N",
        show_default=False,
    ),
]
Pairing = Annotated[
    str,
    typer.Option(
        "--pairing", help="none, or node: one allocation does all strategies of a seed, in random order.", metavar="HOW"
    ),
]
MaxNodeHours = Annotated[
    float | None,
    typer.Option("--max-node-hours", min=0.0, help="Refuse to submit more than that.", metavar="H", show_default=False),
]
SchedulerOptions = Annotated[
    list[str] | None,
    typer.Argument(
        help="After --: options for the scheduler as they are.", metavar="[-- OPTION...]", show_default=False
    ),
]

RESULTS = Path("results")


def log(text: str, *, quiet: bool = False) -> None:
    """Write a message for the person at the terminal: stderr."""
    if not quiet:
        print(text, file=sys.stderr, flush=True)


def print_result(text: str) -> None:
    """Write a result: stdout."""
    print(text, flush=True)


def print_json(entry: dict[str, Any]) -> None:
    """Write a result for a program: one object on stdout."""
    print_result(json.dumps(entry, indent=1, default=str))


def on_terminal(stream: Any) -> bool:
    """Whether somebody watches a stream and its terminal can redraw."""
    return bool(stream.isatty()) and os.environ.get("TERM") != "dumb"


def split_options(experiment: str, options: list[str] | None) -> tuple[str, list[str]]:
    """The experiment and the scheduler's options; ``kbench run -- --option`` names no experiment."""
    if experiment.startswith("-"):
        return DEFAULT, [experiment, *(options or [])]
    return experiment, options or []
