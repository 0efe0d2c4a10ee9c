"""What commands share: groups of options, and where they print."""

import inspect
import json
import os
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields, is_dataclass
from functools import wraps
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from kbench.errors import printable

if TYPE_CHECKING:
    from kbench.experiment.plan import Request

DEFAULT = "quick"
RESULTS = Path("results")


def repeatable(flag: str, text: str, metavar: str) -> Any:
    """An option that can be given several times."""
    return typer.Option(flag, help=f"{text}; repeatable.", metavar=metavar, show_default=False)


def without_default(*flags: str, text: str, metavar: str, **limits: Any) -> Any:
    """An option whose help names no default, as there is none or ``text`` says it."""
    return typer.Option(*flags, help=text, metavar=metavar, show_default=False, **limits)


Experiment = Annotated[str, typer.Argument(help="A file, or a name found in configs/.", metavar="EXPERIMENT")]
Results = Annotated[
    Path,
    typer.Option("--results", envvar="KBENCH_RESULTS", help="Where results lie.", metavar="DIR", show_envvar=True),
]
Debug = Annotated[bool, typer.Option("--debug", help="Show the traceback of an error.", is_eager=True)]
SiteName = Annotated[
    str, typer.Option("--site", help="A site file, or a name found in configs/sites/.", metavar="NAME")
]
WaitForQuiet = Annotated[
    float | None,
    without_default(
        "--wait-for-quiet", text="Wait up to that many minutes until this machine is quiet.", metavar="MIN", min=0.0
    ),
]


@dataclass(frozen=True, kw_only=True)
class Messages:
    """The options about messages to the person at the terminal, and the printing: on stderr."""

    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="No progress and no advice on stderr.")] = False
    debug: Debug = False

    def log(self, text: str) -> None:
        """Print a message that may be unwanted."""
        if not self.quiet:
            log(text)


@dataclass(frozen=True, kw_only=True)
class Output(Messages):
    """Messages, and results on stdout: for a person, or one object for a program."""

    as_json: Annotated[bool, typer.Option("--json", help="Machine-readable on stdout, and nothing else there.")] = False

    def text(self, text: str) -> None:
        """Print a result for a person, unless a program reads stdout."""
        if not self.as_json:
            print(printable(text), flush=True)

    def json(self, entry: Mapping[str, Any]) -> None:
        """Print a result for a program, if one reads stdout: an object with the version of its schema."""
        if self.as_json:
            print(json.dumps({"schema": 1, **entry}, indent=1, default=str), flush=True)


def log(text: str) -> None:
    """Print a message for the person at the terminal."""
    print(printable(text), file=sys.stderr, flush=True)


@dataclass(frozen=True, kw_only=True)
class RequestOptions:
    """The options of run and check: which experiment, where, and what of it."""

    experiment: Experiment = DEFAULT
    scheduler_options: Annotated[
        list[str] | None,
        typer.Argument(
            help="After --: options for the scheduler as they are.", metavar="[-- OPTION...]", show_default=False
        ),
    ] = None
    site: SiteName = ""
    launcher: Annotated[
        str, typer.Option("--launcher", help="auto, local, mpirun, slurm, queue, or MODULE:CLASS.", metavar="NAME")
    ] = "auto"
    only: Annotated[list[str] | None, repeatable("--only", "Strategy, pair or seed to keep", "NAME")] = None
    settings: Annotated[
        list[str] | None, repeatable("--set", "Replace a key of the experiment or the site", "KEY=VALUE")
    ] = None
    max_parallel: Annotated[
        int | None,
        without_default(
            "--max-parallel",
            text="Runs at a time: one on this machine, where more divide the cores; as many as fit on a cluster.",
            metavar="N",
            min=1,
        ),
    ] = None
    pairing: Annotated[
        str | None,
        without_default(
            "--pairing",
            text="none; node: one allocation does all strategies of a seed, in random order; "
            "turns: one process does, epoch by epoch in turn.",
            metavar="HOW",
        ),
    ] = None
    max_node_hours: Annotated[
        float | None, without_default("--max-node-hours", text="Refuse to submit more than that.", metavar="H", min=0.0)
    ] = None
    results: Results = RESULTS

    def request(
        self, *, retry: bool = False, redo: tuple[str, ...] = (), wait_for_quiet: float | None = None
    ) -> "Request":
        """The request that the options make; ``kbench run -- --option`` names no experiment."""
        from kbench.experiment.plan import Request

        given = {field.name: getattr(self, field.name) for field in fields(self)}
        lists = {key: tuple(given.pop(key) or ()) for key in ("scheduler_options", "only", "settings")}
        if self.experiment.startswith("-"):
            lists["scheduler_options"] = (given.pop("experiment"), *lists["scheduler_options"])
        return Request(
            **{"experiment": DEFAULT, **given, **lists}, retry=retry, redo=redo, wait_for_quiet=wait_for_quiet
        )


def expanded(command: Callable[..., None]) -> Callable[..., None]:
    """The command as typer reads it: a parameter that is a dataclass stands for the options that are its fields."""
    groups: dict[str, Any] = {}
    parameters: list[inspect.Parameter] = []
    for parameter in inspect.signature(command).parameters.values():
        group = parameter.annotation
        if is_dataclass(group):
            groups[parameter.name] = group
            parameters += inspect.signature(group).parameters.values()  # type: ignore[arg-type]
        else:
            parameters.append(parameter.replace(kind=inspect.Parameter.KEYWORD_ONLY))

    @wraps(command)
    def call(**given: Any) -> None:
        built = {name: group(**{f.name: given.pop(f.name) for f in fields(group)}) for name, group in groups.items()}
        command(**given, **built)

    call.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
    return call


def on_terminal(stream: Any) -> bool:
    """Whether somebody watches a stream and its terminal can redraw."""
    return bool(stream.isatty()) and os.environ.get("TERM") != "dumb"
