"""kbench check-method: does a method keep to the contract?"""

from typing import TYPE_CHECKING, Annotated, Any

import typer

from kbench.cli.options import Output, repeatable

if TYPE_CHECKING:
    from kbench.conformance.checks import Verdict

WORDS = {"ok": "ok", "broken": "BROKEN", "not checked": "not checked"}


def check_method(
    method: Annotated[
        str, typer.Argument(help="A class, or a name of kbench list strategies.", metavar="MODULE:CLASS")
    ],
    settings: Annotated[list[str], repeatable("--set", "A parameter", "KEY=VALUE")] = [],  # noqa: B006
    ranks: Annotated[str, typer.Option("--ranks", help="How many ranks to start, in turn.", metavar="N,N")] = "1,2,3",
    *,
    output: Output,
) -> None:
    """Check that a method of your own keeps to the contract: short trainings on the digits, on this machine's CPU."""
    params, sizes = _params(settings), _sizes(ranks)

    from kbench.conformance.checks import Case, examine

    verdicts = []
    for verdict in examine(Case(method, params, ranks=sizes)):
        verdicts.append(verdict)
        output.text(line(verdict))
    is_ok = all(verdict.state != "broken" for verdict in verdicts)
    checks = [row(verdict) for verdict in verdicts]
    output.json({"method": method, "parameters": params, "ok": is_ok, "checks": checks})
    sum_up(method, verdicts, output, contract="kbench/strategies/api.py")


def line(verdict: "Verdict") -> str:
    """One check and what became of it."""
    finding = verdict.finding
    detail = f": {finding.sentence}" if finding else f": {verdict.reason}" if verdict.reason else ""
    return f"{WORDS[verdict.state]:<11}  {verdict.check.promise}{detail}"


def row(verdict: "Verdict") -> dict[str, Any]:
    """One check as JSON."""
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


def sum_up(name: str, verdicts: "list[Verdict]", output: Output, *, contract: str) -> None:
    """Print how many checks were ok; raises ConfigError, which names the ``contract``, where one was broken."""
    from kbench.errors import ConfigError

    states = [verdict.state for verdict in verdicts]
    left = f", {states.count('not checked')} not checked" if "not checked" in states else ""
    if "broken" in states:
        raise ConfigError(
            f"{name}: {states.count('broken')} of {len(states)} checks broken{left}",
            hint=f"the contract is {contract}",
        )
    if not output.quiet:
        output.text(f"{name}: {states.count('ok')} of {len(states)} checks ok{left}")


def _params(settings: list[str]) -> dict[str, Any]:
    """The parameters in KEY=VALUE, values as YAML reads them."""
    from kbench.config.yaml_source import read_text
    from kbench.errors import ConfigError

    params = {}
    for setting in settings:
        key, equals, value = setting.partition("=")
        if not key or not equals:
            raise ConfigError(f"--set {setting}: must be KEY=VALUE, got {setting!r}")
        params[key] = read_text(value, f"--set {key}").tree
    return params


def _sizes(text: str) -> tuple[int, ...]:
    from kbench.errors import ConfigError

    sizes = tuple(int(part) if part.strip().isdigit() else 0 for part in text.split(","))
    if not all(1 <= size <= 16 for size in sizes):
        raise ConfigError(f"--ranks: must be numbers from 1 to 16, got {text!r}", hint="as in --ranks 1,2,3")
    return sizes
