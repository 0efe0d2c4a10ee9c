"""kbench check-method: does a method keep to the contract?"""

from typing import TYPE_CHECKING, Annotated, Any

import typer

from kbench.cli.options import Debug, Json, Quiet, print_json, print_result

if TYPE_CHECKING:
    from kbench.conformance.checks import Verdict

WORDS = {"ok": "ok", "broken": "BROKEN", "not checked": "not checked"}


def check_method(
    method: Annotated[
        str, typer.Argument(help="A class, or a name of kbench list strategies.", metavar="MODULE:CLASS")
    ],
    settings: Annotated[
        list[str],
        typer.Option("--set", help="A parameter; repeatable.", metavar="KEY=VALUE", show_default=False),
    ] = [],  # noqa: B006  (typer's way)
    ranks: Annotated[str, typer.Option("--ranks", help="How many ranks to start, in turn.", metavar="N,N")] = "1,2,3",
    as_json: Json = False,
    quiet: Quiet = False,
    debug: Debug = False,
) -> None:
    """Check that a method of your own keeps to the contract: short trainings on the digits, on this machine's CPU."""
    params, sizes = _params(settings), _sizes(ranks)

    from kbench.conformance.checks import Case, examine

    verdicts = []
    for verdict in examine(Case(method, params, ranks=sizes)):
        verdicts.append(verdict)
        if not as_json:
            print_result(line(verdict))
    if as_json:
        print_json(
            {
                "schema": 1,
                "method": method,
                "parameters": params,
                "ok": all(v.state != "broken" for v in verdicts),
                "checks": [_row(verdict) for verdict in verdicts],
            }
        )
    _sum_up(method, verdicts, quiet=quiet or as_json)


def line(verdict: "Verdict") -> str:
    """One check and what became of it."""
    finding = verdict.finding
    detail = f": {finding.sentence}" if finding else f": {verdict.reason}" if verdict.reason else ""
    return f"{WORDS[verdict.state]:<11}  {verdict.check.promise}{detail}"


def _row(verdict: "Verdict") -> dict[str, Any]:
    finding = verdict.finding
    return {
        "check": verdict.check.name,
        "promise": verdict.check.promise,
        "state": verdict.state,
        "what": finding.what if finding else None,
        "where": finding.where if finding else None,
        "do": finding.do if finding else None,
        "reason": verdict.reason or None,
    }


def _sum_up(method: str, verdicts: "list[Verdict]", *, quiet: bool) -> None:
    from kbench.errors import ConfigError

    states = [verdict.state for verdict in verdicts]
    left = f", {states.count('not checked')} not checked" if "not checked" in states else ""
    if "broken" in states:
        raise ConfigError(
            f"{method}: {states.count('broken')} of {len(states)} checks broken{left}",
            hint="the contract is kbench/strategies/api.py",
        )
    if not quiet:
        print_result(f"{method}: {states.count('ok')} of {len(states)} checks ok{left}")


def _params(settings: list[str]) -> dict[str, Any]:
    """The parameters in KEY=VALUE, values as YAML reads them."""
    import yaml

    from kbench.errors import ConfigError

    params = {}
    for setting in settings:
        key, equals, value = setting.partition("=")
        if not key or not equals:
            raise ConfigError(f"--set {setting}: must be KEY=VALUE, got {setting!r}")
        try:
            params[key] = yaml.safe_load(value)
        except yaml.YAMLError as error:
            raise ConfigError(f"--set {setting}: is no YAML: {str(error).splitlines()[0]}") from error
    return params


def _sizes(text: str) -> tuple[int, ...]:
    from kbench.errors import ConfigError

    sizes = tuple(int(part) if part.strip().isdigit() else 0 for part in text.split(","))
    if not all(1 <= size <= 16 for size in sizes):
        raise ConfigError(f"--ranks: must be numbers from 1 to 16, got {text!r}", hint="as in --ranks 1,2,3")
    return sizes
