"""The experiment file: pairs of model and data set, strategies, seeds.  No machine is named here."""

import math
import re
from collections.abc import Callable, Sequence
from typing import Annotated, Any, Literal, Self

from pydantic import BeforeValidator, Field, ValidationInfo, field_validator, model_validator
from pydantic_core import InitErrorDetails

from kbench.config.parse import Spec, all_at_once, did_you_mean, findings, problem, quoted
from kbench.config.recipe import Recipe
from kbench.config.strategy_choice import Choice, NameRegistry, is_in_full, label_of, unknown_prerequisites
from kbench.config.value_types import Count, Name, Natural, Positive, Share

MAX_RUNS = 100_000  # of an experiment: beyond it, even to list them takes minutes


def _not_empty(raw: Any) -> Any:
    if raw == []:
        raise ValueError("must not be empty")
    return raw


NotEmpty = BeforeValidator(_not_empty)
TargetRule = Literal["first", "sustained", "clock"]  # when a target counts as reached
Pairing = Literal["none", "node", "turns"]


NonEmpty = Annotated[str, Field(strict=True, min_length=1)]


class Paper(Spec):
    """What a publication says of an experiment besides its recipe.  It is quoted, and is no part of a run."""

    source: Annotated[str, Field(strict=True, min_length=1)]  # what was read, and where
    epochs: Count | None = None  # null, here and below: not published
    gpus: Count | None = None
    gpu: Annotated[str, Field(strict=True)] = ""  # of what kind
    batch_per_gpu: Count | None = None
    note: Annotated[str, Field(strict=True)] = ""  # where this recipe departs from what was published
    reading: Annotated[str, Field(strict=True)] = ""  # its name, where what was published can be read in several ways
    assumed: dict[str, NonEmpty] = {}  # keys of the recipe that nobody published, and what their values come from

    @field_validator("assumed")
    @classmethod
    def _of_the_recipe(cls, assumed: dict[str, str]) -> dict[str, str]:
        unknown = [key for key in assumed if key not in Recipe.model_fields]
        if unknown:
            raise ValueError(f"{unknown[0]!r} is no key of a recipe{did_you_mean(unknown[0], Recipe.model_fields)}")
        return assumed


class Pair(Spec):
    """A model, a data set and the recipe that trains one on the other."""

    name: Name = ""
    model: Annotated[str, Field(strict=True)]
    dataset: Annotated[str, Field(strict=True)]
    recipe: Recipe
    code: dict[str, str] = {}  # digest of the source of each name that is one's own; filled in, and part of a run
    starts_from: Name | None = None  # a pair on which each strategy trains the weights that its own run begins with
    margin: Positive | None = (
        None  # [point] of final accuracy that a strategy which saves time may lose; no part of a run
    )
    paper: Paper | None = None

    @model_validator(mode="wrap")
    @classmethod
    def _known(cls, raw: Any, handler: Callable[[Any], Self], info: ValidationInfo) -> Self:
        if not isinstance(raw, dict):
            return handler(raw)
        found = []
        if info.context is not None:
            registry: NameRegistry = info.context
            problems = registry.pair_problems(raw.get("model"), raw.get("dataset"), raw.get("recipe"))
            found = [problem(text, tuple(key.split(".")), None) for key, text in problems]
            code = registry.own_code(raw.get("model"), raw.get("dataset"), raw.get("recipe"))
            if raw.get("code", code) != code:
                text = f"must be {quoted(code)}, as the sources are now, or be left out, got {quoted(raw['code'])}"
                found.append(problem(text, ("code",), raw["code"]))
            raw = {**raw, "code": code}
        name = pair_name(raw)
        return all_at_once(cls, raw if name is None else {"name": name, **raw}, handler, found)


def pair_name(raw: Any) -> str | None:
    """The name that a pair has or gets; None where it cannot have any."""
    if not isinstance(raw, dict) or not {"model", "dataset"} <= raw.keys():
        return None
    default = re.sub(r"[^A-Za-z0-9_]+", "-", f"{raw['model']}-{raw['dataset']}").strip("-")
    return str(raw.get("name", default[:60]))


class ExperimentSpec(Spec):
    """Everything that is scientific about a comparison."""

    name: Name
    pairs: Annotated[tuple[Pair, ...], NotEmpty]
    strategies: Annotated[tuple[Choice, ...], NotEmpty]
    seeds: Annotated[tuple[Natural, ...], NotEmpty] = (0, 1, 2)
    baseline: Name = "baseline"  # the label that the others are compared with
    targets: tuple[Share, ...] = ()  # accuracies [fraction] to reach; or a mapping of each to its rule
    target_rules: tuple[TargetRule, ...] = ()  # of ``targets``, from that mapping; none: first
    looks: tuple[Count, ...] = ()  # numbers of seeds at which the results are looked at; intervals allow for it
    pairing: Pairing = "none"  # how the runs of a pair and a seed share a machine; no part of a run's name

    @field_validator("seeds")
    @classmethod
    def _distinct(cls, seeds: tuple[int, ...]) -> tuple[int, ...]:
        if len(set(seeds)) < len(seeds):
            raise ValueError(f"must differ from one another, got {quoted(list(seeds))}")
        return seeds

    @field_validator("looks")
    @classmethod
    def _within_seeds(cls, looks: tuple[int, ...], info: ValidationInfo) -> tuple[int, ...]:
        seeds = info.data.get("seeds", ())
        if list(looks) != sorted(set(looks)) or (looks and looks[-1] > len(seeds)):
            raise ValueError(f"must be increasing numbers of seeds up to all {len(seeds)} of them, got {list(looks)}")
        return looks

    @property
    def target_texts(self) -> tuple[str, ...]:
        """The targets with their rules, as ``kbench compare --target`` takes them."""
        rules = self.target_rules or ("first",) * len(self.targets)
        return tuple(f"{target:g}:{rule}" for target, rule in zip(self.targets, rules, strict=True))

    @model_validator(mode="wrap")
    @classmethod
    def _unambiguous(cls, raw: Any, handler: Callable[[Any], Self], info: ValidationInfo) -> Self:
        found = []
        if isinstance(raw, dict):
            if isinstance(targets := raw.get("targets"), dict):
                raw = {**raw, "targets": list(targets), "target_rules": list(targets.values())}
            found += _repeated(raw, "pairs", pair_name, "pair", "name")
            found += _repeated(raw, "strategies", label_of, "strategy", "label")
            strategies = raw.get("strategies")
            labels = [label for label in map(label_of, strategies if isinstance(strategies, list) else []) if label]
            baseline = str(raw.get("baseline", "baseline"))
            if labels and baseline not in labels:
                text = f"no strategy is labelled {baseline!r}{did_you_mean(baseline, labels)}"
                found.append(problem(text, ("baseline",), baseline))
            found += unknown_prerequisites(strategies) + _starts_from_problems(raw.get("pairs"))
            found += _too_many(raw)
        spec = all_at_once(cls, raw, handler, found)
        if info.context is not None:
            _check_together(spec, raw["strategies"], info.context)
        return spec


def _too_many(raw: dict[str, Any]) -> list[InitErrorDetails]:
    axes = [raw.get("pairs"), raw.get("strategies"), raw.get("seeds", range(3))]
    n_runs = math.prod(len(axis) for axis in axes if isinstance(axis, list | range))
    text = f"pairs, strategies and seeds make {n_runs} runs, more than {MAX_RUNS}; write several experiments"
    return [problem(text, ("seeds",), n_runs)] if n_runs > MAX_RUNS else []


def _repeated(
    raw: dict[str, Any], key: str, name_of: Callable[[Any], str | None], what: str, by: str
) -> list[InitErrorDetails]:
    entries = raw.get(key)
    names = [name_of(entry) for entry in entries] if isinstance(entries, list) else []
    first = {name: i for i, name in reversed(list(enumerate(names)))}
    return [
        problem(f"a second {what} called {quoted(name)}; give it a {by} of its own", (key, i), name)
        for i, name in enumerate(names)
        if name is not None and first[name] < i
    ]


def _starts_from_problems(pairs: Any) -> list[InitErrorDetails]:
    """What is wrong with keys ``starts_from``: each holds the name of a pair that starts from none."""
    entries = [pair for pair in pairs if isinstance(pair, dict)] if isinstance(pairs, list) else []
    first = [str(pair_name(pair)) for pair in entries if pair.get("starts_from") is None]
    text = "must be the name of another pair that starts from none"
    return [
        problem(f"{text}{did_you_mean(pair['starts_from'], first)}", ("pairs", i, "starts_from"), pair["starts_from"])
        for i, pair in enumerate(entries)
        if isinstance(pair.get("starts_from"), str) and pair["starts_from"] not in first
    ]


def _check_together(spec: ExperimentSpec, written: Sequence[Any], registry: NameRegistry) -> None:
    """Raise a ValidationError where a strategy cannot be trained on a pair, at the key as it is ``written``."""
    found = [
        problem(
            f"{text} (pair {pair.name})", ("strategies", i, "params" if is_in_full(raw) else choice.name, *loc), None
        )
        for i, (choice, raw) in enumerate(zip(spec.strategies, written, strict=True))
        for pair in spec.pairs
        if pair.starts_from is None
        for loc, text in registry.training_problems(choice.name, choice.params, pair.dataset, pair.recipe)
    ]
    if found:
        raise findings(found)
