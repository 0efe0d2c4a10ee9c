"""Names of imported runs: by the user's rules, by the publication that a log is known from, or by its files."""

import os
import re
from collections.abc import Sequence
from dataclasses import dataclass

from kbench.errors import ConfigError
from kbench.importers.log import Log
from kbench.papers.publications import KnownLog, Publication, load_publications

LONGEST = 60  # as the names of pairs and strategies
NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,59}")
SEED = re.compile(r"(?:^|[_\- .])seed[_\- =]?(\d+)|[_\- .]s(\d+)$", re.IGNORECASE)


@dataclass(frozen=True, kw_only=True)
class Name:
    """Pair, strategy and seed of a run, and where they are known from."""

    pair: str
    strategy: str
    seed: int
    model: str | None = None
    dataset: str | None = None
    known_from: str | None = None  # id of the publication

    @property
    def label(self) -> str:
        return f"{self.pair}.{self.strategy}.s{self.seed}"


@dataclass(frozen=True, kw_only=True)
class Naming:
    """How imported runs are to be called; what is empty is taken from rules, publications or files."""

    experiment: str = ""
    rules: tuple[str, ...] = ()  # REGEX=PAIR/STRATEGY[/SEED], the first that fits counts
    pair: str = ""
    strategy: str = ""
    seed: int | None = None


@dataclass(frozen=True, kw_only=True)
class Rule:
    """``REGEX=PAIR/STRATEGY[/SEED]``: what the runs with that in their name are called."""

    text: str
    pattern: re.Pattern[str]
    pair: str
    strategy: str
    seed: str


def parse_rule(text: str) -> Rule:
    """Read a rule of the user's; raises ConfigError where it is none."""
    regex, found, target = text.rpartition("=")
    parts = target.split("/")
    if not found or not regex or len(parts) not in (2, 3) or not all(parts):
        raise ConfigError(
            f"--as {text}: must be REGEX=PAIR/STRATEGY or REGEX=PAIR/STRATEGY/SEED",
            hint=r"groups of the regex may stand in the names: --as '(cifar10+)_sb=deit-\1/sb'",
        )
    try:
        pattern = re.compile(regex)
        re.compile(regex + "|").fullmatch("").expand(target)  # type: ignore[union-attr]
    except (re.error, IndexError) as error:
        raise ConfigError(f"--as {text}: is no regular expression with such groups: {error}") from error
    return Rule(text=text, pattern=pattern, pair=parts[0], strategy=parts[1], seed=parts[2] if len(parts) > 2 else "")


def name_logs(logs: Sequence[Log], naming: Naming, *, digests: Sequence[Sequence[str]], fallback: str) -> list[Name]:
    """Name each log: flags first, then the first rule that fits, then a publication, then its files.

    Args:
        logs: What was read.
        naming: What the user wants.
        digests: The sha256 of each log's files.
        fallback: Pair of a log that names none.

    Raises:
        ConfigError: A rule is none or fits nothing, a name cannot be one, or two runs would have the same.
    """
    rules = [parse_rule(text) for text in naming.rules]
    for each in rules:
        if not any(each.pattern.search(log.run) for log in logs):
            runs = ", ".join(log.run for log in logs[:4]) + (", ..." if len(logs) > 4 else "")
            raise ConfigError(f"--as {each.text}: fits no run; runs are {runs}")
    short = _short([log.run for log in logs])
    names = []
    for log, sums, own in zip(logs, digests, short, strict=True):
        name = _ruled(log, rules) or _known(log, sums) or _automatic(log, own, fallback)
        named_pair = naming.pair or name.pair
        as_known = name.known_from is not None and named_pair == name.pair
        names.append(
            Name(
                pair=named_pair,
                strategy=naming.strategy or name.strategy,
                seed=name.seed if naming.seed is None else naming.seed,
                model=name.model if as_known else log.model,
                dataset=name.dataset if as_known else log.dataset,
                known_from=name.known_from,
            )
        )
    _check(logs, names)
    return names


def _ruled(log: Log, rules: Sequence[Rule]) -> Name | None:
    for each in rules:
        found = each.pattern.search(log.run)
        if found:
            seed = found.expand(each.seed)
            if seed and not seed.isdigit():
                raise ConfigError(f"--as {each.text}: the seed must be a whole number from 0, got {seed!r}")
            number = int(seed) if seed else log.seed or 0
            return Name(pair=found.expand(each.pair), strategy=found.expand(each.strategy), seed=number)
    return None


def _known(log: Log, sums: Sequence[str]) -> Name | None:
    """The name of a log that a publication is known to rest on."""
    for publication in load_publications():
        for known in publication.logs:
            name = _if_known(log, sums, publication, known)
            if name:
                return name
    return None


def _if_known(log: Log, sums: Sequence[str], publication: Publication, known: KnownLog) -> Name | None:
    found = re.fullmatch(known.run, log.run) if known.run else None
    if not found and not (known.sha256 and known.sha256 in sums):
        return None
    pair = found.expand(known.pair) if found else known.pair
    workload = publication.workloads[pair]
    return Name(
        pair=pair,
        strategy=known.strategy,
        seed=log.seed or 0,
        model=workload.model,
        dataset=workload.dataset,
        known_from=publication.id,
    )


def _automatic(log: Log, short: str, fallback: str) -> Name:
    found = SEED.search(short)
    number = int(next(part for part in found.groups() if part)) if found else 0
    rest = SEED.sub("", short, count=1) if found else short
    return Name(
        pair=plain_name(log.pair or fallback),
        strategy=plain_name(log.strategy or rest),
        seed=number if log.seed is None else log.seed,
    )


def check_name(text: str, place: str) -> str:
    """The name, if it can be a folder's; raises ConfigError where it cannot."""
    if not NAME.fullmatch(text):
        raise ConfigError(f"{place}: must be letters, digits, - and _ only, {LONGEST} at most, got {text!r}")
    return text


def plain_name(text: str) -> str:
    """``text`` as a name: letters, digits, - and _ only, the last 60, as ends of names say more than beginnings."""
    name = re.sub(r"[^A-Za-z0-9_]+", "-", text).strip("-_") or "run"
    return name if len(name) <= LONGEST else name[-LONGEST:].lstrip("-_")


def _short(runs: Sequence[str]) -> list[str]:
    """The names without the words that all of them begin with."""
    if len(runs) < 2:
        return list(runs)
    common = os.path.commonprefix(list(runs))
    start = max(common.rfind(mark) for mark in "_- /") + 1
    return [run[start:] or run for run in runs]


def _check(logs: Sequence[Log], names: Sequence[Name]) -> None:
    problems = []
    first: dict[str, str] = {}
    for log, name in zip(logs, names, strict=True):
        for key, text in (("pair", name.pair), ("strategy", name.strategy)):
            if not NAME.fullmatch(text):
                problems.append(f"{log.run}: {key}: must be letters, digits, - and _ only, 60 at most, got {text!r}")
        if name.label in first:
            problems.append(f"{log.run} and {first[name.label]}: both would be called {name.label}")
        first.setdefault(name.label, log.run)
    if problems:
        raise ConfigError(problems, hint="--as 'REGEX=PAIR/STRATEGY/SEED' gives names; repeat it for several runs")
