"""Check a method's parameters, phases and plans of many samples, without any training."""

import dataclasses
import json
from collections.abc import Callable, Iterator
from typing import Any

import torch
from pydantic_core import to_jsonable_python
from torch import Tensor

from kbench.conformance.monitor import Finding, id_violations
from kbench.errors import ConfigError
from kbench.strategies import load, strategy_class
from kbench.strategies.api import Epoch, EpochPlan, Phase, SampleStats, Strategy, TrainingSetup
from kbench.strategies.parameters import check, resolve, schema

NONSENSE = (float("nan"), "1")  # for a number
LIMITS = ("minimum", "exclusiveMinimum", "maximum", "exclusiveMaximum")
SETUP = TrainingSetup(n_train=50_000, n_classes=10, task="classification", epochs=200, global_batch=128)
RANGES = "type it with a range of kbench.config.value_types, as fraction: Fraction = 0.3"


def parameter_violation(name: str, params: dict[str, Any]) -> Finding | None:
    """The first parameter that takes what makes no sense, or that a run's name cannot hold."""
    cls = strategy_class(name)
    for parameter, facts in schema(cls).model_json_schema().get("properties", {}).items():
        numbers = list(_numbers(facts))
        if any(not any(limit in number for limit in LIMITS) for number in numbers):
            return _finding("it takes any number, without a limit", parameter, RANGES)
        for nonsense in NONSENSE if numbers and not _takes_text(facts) else ():
            if not _refused(cls, params | {parameter: nonsense}):
                return _finding(f"it takes {nonsense!r} for a number", parameter, RANGES)
    try:
        text = json.dumps(to_jsonable_python(resolve(cls, params)), allow_nan=False)
        if load(name, json.loads(text)) != load(name, params):
            raise ValueError("they come back as others")
    except (ValueError, TypeError, ConfigError) as error:
        what = f"its parameters do not survive the file of a run: {error}"
        return _finding(what, "all parameters", "take numbers, text, flags, and tuples of them")
    return _problems_violation(load(name, params), {"", *schema(cls).model_fields})


def _problems_violation(strategy: Strategy, parameters: set[str]) -> Finding | None:
    """What is wrong with what ``problems`` returns, of a data set that is known and of one that is not."""
    do = "give (parameter, sentence) for each thing that cannot work"
    for setup in (SETUP, dataclasses.replace(SETUP, n_train=None, n_classes=None)):
        try:
            for parameter, sentence in strategy.problems(setup):
                if parameter not in parameters or not isinstance(sentence, str):
                    return _finding(f"problems gave {(parameter, sentence)!r}", "problems", do)
        except Exception as error:
            return _finding(f"problems raised {type(error).__name__}: {error}", "problems", do)
    return None


def phase_violation(strategy: Strategy) -> Finding | None:
    """What is wrong with the phases of recipes of different lengths."""
    for epochs in (1, 2, 10, 300):
        phases = strategy.phases(epochs)
        if not isinstance(phases, tuple) or not phases or not all(isinstance(phase, Phase) for phase in phases):
            return _of_phases(f"phases returned {phases!r}", epochs, "return a tuple of Phase")
        if phases[-1].name != "train" or len({phase.name for phase in phases}) < len(phases):
            names = ", ".join(phase.name for phase in phases)
            return _of_phases(f"the phases are {names}", epochs, "give each its own name, and 'train' to the last")
        for phase in phases:
            if not 1 <= phase.epochs <= phase.horizon:
                what = f"phase {phase.name} has {phase.epochs} epochs of a horizon of {phase.horizon}"
                return _of_phases(what, epochs, "give at least one epoch, and no more than the horizon")
        if strategy.phases(epochs) != phases:
            return _of_phases("asked twice, phases answered differently", epochs, "answer from the parameters alone")
    return None


def _numbers(facts: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """Every number in the JSON schema of a parameter, in lists and alternatives too."""
    if facts.get("type") in ("number", "integer") and "enum" not in facts and "const" not in facts:
        yield facts
    for part in [*facts.get("anyOf", []), *facts.get("prefixItems", []), facts.get("items")]:
        if isinstance(part, dict):
            yield from _numbers(part)


def _takes_text(facts: dict[str, Any]) -> bool:
    return any(part.get("type") == "string" for part in [facts, *facts.get("anyOf", [])])


def _refused(cls: type[Strategy], params: dict[str, Any]) -> bool:
    try:
        return bool(check(cls, params))
    except Exception:  # a __post_init__ that stumbles over nonsense has not taken it
        return True


def _finding(what: str, parameter: str, do: str) -> Finding:
    return Finding(check="parameters", what=what, where=parameter, do=do)


def _of_phases(what: str, epochs: int, do: str) -> Finding:
    return Finding(check="phases", what=what, where=f"a recipe of {epochs} epochs", do=do)


MANY = (60_013, 100_003)  # below and above what half precision holds
N_CLASSES, N_FEATURES = 10, 16
BEYOND_FLOAT32 = 2**24 + 5_003
FLOATS = {2**8: "bfloat16", 2**11: "half precision", 2**24: "float32"}  # the last odd number is below
EVIDENCE = 64  # ids, all even: by chance in one of 2^64 cases
DO = "keep ids int64 from end to end; take them from epoch.all_ids or nonzero()"


def id_precision_violation(make: Callable[[], Strategy], n: int) -> Finding | None:
    """What becomes of sample ids in the first two plans of each phase, with ``n`` samples."""
    return next(filter(None, (_id_violation(plan, epoch) for plan, epoch in _plans(make(), n, (0, 1)))), None)


def plan_agreement_violation(make: Callable[[], Strategy], n: int) -> Finding | None:
    """The same of one plan of each phase, as more would take long; the second says more than the first.

    A method that cannot plan the second epoch without the first is asked for the first.
    """
    try:
        plans = list(_plans(make(), n, (1,)))
    except Exception:
        plans = list(_plans(make(), n, (0,)))
    return next(filter(None, (_id_violation(plan, epoch) for plan, epoch in plans)), None)


def _plans(strategy: Strategy, n: int, indices: tuple[int, ...]) -> Iterator[tuple[EpochPlan, Epoch]]:
    for phase in strategy.phases(3):
        for at in sorted({min(index, phase.epochs - 1) for index in indices}):
            epoch = _epoch(n, phase.name, at, phase.epochs)
            yield strategy.plan(epoch, _stats(n, strategy.memory_width(N_CLASSES, N_FEATURES))), epoch


def _id_violation(plan: EpochPlan, epoch: Epoch) -> Finding | None:
    where = f"plan, epoch {epoch.index} of phase {epoch.phase}, {epoch.n_samples:,} samples"
    for name, ids in (("indices", plan.indices), ("refresh", plan.refresh)):
        width = _lossy_float(ids)
        if width:
            return Finding(check="ids", what=f"{name} holds no odd id where {width} has none", where=where, do=DO)
        violation = next(id_violations(ids, name, epoch), None) if ids is not None else None
        if violation:
            return Finding(check="ids", what=violation.what, where=where, do=violation.do)
    return None


def _lossy_float(ids: Tensor | None) -> str | None:
    """The float that ids went through, if they did: beyond its range of whole numbers all are even, below not.

    Ids that a method wants even are so below, too.
    """
    if not isinstance(ids, Tensor) or ids.is_floating_point():
        return None
    for limit, name in FLOATS.items():
        is_above, is_odd = ids > limit, (ids & 1).bool()
        if is_above.sum() >= EVIDENCE and not (is_above & is_odd).any() and is_odd.any():
            return name
    return None


def _epoch(n: int, phase: str, index: int, epochs: int) -> Epoch:
    return Epoch(
        phase=phase,
        index=index,
        epochs=epochs,
        n_samples=n,
        n_classes=N_CLASSES,
        warmup=False,
        device=torch.device("cpu"),
        rng=torch.Generator().manual_seed(index),
    )


def _stats(n: int, width: int) -> SampleStats:
    """Losses, and what is remembered, that know nothing of ids; most samples are right."""
    rng = torch.Generator().manual_seed(n)
    loss = torch.rand(n, generator=rng) + 0.01
    return SampleStats(
        loss=loss,
        correct=loss < 0.8,
        confidence=torch.exp(-loss),
        error_norm=1 - torch.exp(-loss),
        age=torch.zeros(n, dtype=torch.int16),
        label=torch.arange(n) % N_CLASSES,
        memory=torch.rand(n, width, generator=rng) if width else None,
    )
