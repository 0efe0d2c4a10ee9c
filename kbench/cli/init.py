"""kbench init: write a first site file, or a first experiment."""

from pathlib import Path
from typing import Annotated

import typer

from kbench.cli.options import Messages, expanded
from kbench.errors import ConfigError

init = typer.Typer(
    name="init",
    help="Write a first site file for this machine, or a first experiment.",
    no_args_is_help=True,
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"]},
)


@init.command()
@expanded
def site(
    name: Annotated[str, typer.Argument(help="What --site will call it.", metavar="NAME")], *, messages: Messages
) -> None:
    """Ask this machine (sinfo, modules, GPUs, interfaces), and write configs/sites/NAME.yaml with comments."""
    from kbench.doctor.site_file import look_around, site_file

    path = _written(Path("configs/sites") / f"{name}.yaml", site_file(look_around()))
    messages.log(f"kbench doctor --site {path.stem} examines it, kbench check --site {path.stem} shows a job script")


@init.command()
@expanded
def experiment(
    name: Annotated[str, typer.Argument(help="What kbench run will call it.", metavar="NAME")],
    pair: Annotated[str, typer.Option("--pair", help="A pair of the papers' experiments.", metavar="PAIR")],
    *,
    messages: Messages,
) -> None:
    """Write configs/NAME.yaml: a pair with its recipe from the papers, a baseline, a control and a method."""
    from kbench.experiment.experiment_file import experiment_file

    path = _written(Path("configs") / f"{name}.yaml", experiment_file(name, pair))
    messages.log(f"kbench check {path.stem} finds every mistake, kbench run {path.stem} trains")


def _written(path: Path, text: str) -> Path:
    """Write a file that is not there yet; raises ConfigError where it is."""
    path.parent.mkdir(parents=True, exist_ok=True)
    try:
        with path.open("x", encoding="utf-8") as file:
            file.write(text)
    except FileExistsError:
        raise ConfigError(f"{path}: is there already", hint="name another one, or delete it") from None
    print(path, flush=True)
    return path
