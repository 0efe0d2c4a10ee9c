"""What the training loop relies on, asked of every strategy that has a name."""

import dataclasses
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from kbench.errors import ConfigError
from kbench.strategies import known, load, strategy_class
from kbench.strategies.api import Batch, Epoch, EpochPlan, Measured, SampleStats, Strategy
from kbench.strategies.params import resolve, schema

N, BATCH = 60, 12
NAMES = sorted(known())

pytestmark = pytest.mark.filterwarnings("error")


def shown(index: int) -> SampleStats:
    """What is known before epoch ``index``: the same at every call."""
    rng = np.random.default_rng(index)
    if index == 0:
        loss, right, sure = np.full(N, np.log(10)), np.zeros(N, bool), np.full(N, 0.1)
    else:
        loss, right = rng.exponential(size=N) / index, rng.random(N) < 0.8
        sure = np.exp(-loss)
    return SampleStats(
        torch.tensor(loss, dtype=torch.float32),
        torch.tensor(right),
        torch.tensor(sure, dtype=torch.float32),
        torch.tensor(1 - sure, dtype=torch.float32),
        torch.full((N,), -1 if index == 0 else 0, dtype=torch.int16),
    )


@pytest.fixture
def lived(epoch_at: Callable[..., Epoch], probe_of: Any) -> Callable[[Strategy], list[Any]]:
    """``lived(strategy)``: its plans and choices through a short life of all phases."""

    def live(strategy: Strategy) -> list[Any]:
        told: list[Any] = []
        for phase in strategy.phases(4):
            for index in range(phase.epochs):
                epoch = epoch_at(N, index, epochs=phase.epochs, phase=phase.name)
                plan = strategy.plan(epoch, shown(index))
                told.append(plan)
                probe = probe_of(
                    epoch, [torch.rand(BATCH, generator=torch.Generator().manual_seed(i)) for i in range(5)]
                )
                for ids in plan.indices.split(BATCH)[:5]:
                    batch = Batch(ids, torch.zeros(len(ids), 1, 2, 2), torch.zeros(len(ids), dtype=torch.int64))
                    if len(ids) == BATCH:
                        told.append(strategy.select(batch, probe))
                    loss = torch.rand(len(ids), generator=torch.Generator().manual_seed(index))
                    strategy.observe(batch, Measured(loss, loss < 0.5, torch.exp(-loss), 1 - torch.exp(-loss)))
        return told

    return live


def same(a: Any, b: Any) -> bool:
    if isinstance(a, EpochPlan):
        return all(same(getattr(a, f.name), getattr(b, f.name)) for f in dataclasses.fields(a))
    return torch.equal(a, b) if isinstance(a, torch.Tensor) else a == b


@pytest.mark.parametrize("name", NAMES)
def test_two_instances_decide_the_same(name: str, lived: Callable[[Strategy], list[Any]]) -> None:
    first, second = lived(load(name)), lived(load(name))
    assert len(first) == len(second) > 0 and all(map(same, first, second))


@pytest.mark.parametrize("name", NAMES)
def test_statistics_are_left_as_they_were_shown(name: str, epoch_at: Callable[..., Epoch]) -> None:
    strategy = load(name)
    for phase in strategy.phases(4):
        for index in range(phase.epochs):
            stats = shown(index)
            strategy.plan(epoch_at(N, index, epochs=phase.epochs, phase=phase.name), stats)
            for field in dataclasses.fields(stats):
                assert torch.equal(getattr(stats, field.name), getattr(shown(index), field.name)), (index, field.name)


@pytest.mark.parametrize("name", NAMES)
def test_random_streams_of_others_are_left_alone(name: str, lived: Callable[[Strategy], list[Any]]) -> None:
    before = random.getstate(), np.random.get_state()[1].tolist(), torch.get_rng_state()  # type: ignore[index]
    lived(load(name))
    assert random.getstate() == before[0]
    assert np.random.get_state()[1].tolist() == before[1]  # type: ignore[index]
    assert torch.equal(torch.get_rng_state(), before[2])


@pytest.mark.parametrize("name", NAMES)
def test_plans_hold_ids_of_the_data_set(name: str, lived: Callable[[Strategy], list[Any]]) -> None:
    plans = [told for told in lived(load(name)) if isinstance(told, EpochPlan)]
    for ids in [plan.indices for plan in plans] + [plan.refresh for plan in plans if plan.refresh is not None]:
        assert ids.dtype == torch.int64 and ids.ndim == 1
        assert len(ids) == 0 or (0 <= int(ids.min()) and int(ids.max()) < N)


@pytest.mark.parametrize("name", NAMES)
def test_digests_of_equal_plans_are_equal(name: str, epoch_at: Callable[..., Epoch]) -> None:
    first, second = (load(name).plan(epoch_at(N, 0), shown(0)).digest() for _ in range(2))
    assert first == second and abs(first) < 2**62


@pytest.mark.parametrize("name", NAMES)
def test_the_last_phase_is_the_one_that_counts(name: str) -> None:
    phases = load(name).phases(10)
    assert phases[-1].name == "train" and all(1 <= phase.epochs <= phase.horizon for phase in phases)
    assert len({phase.name for phase in phases}) == len(phases)


@pytest.mark.parametrize("name", NAMES)
def test_an_unknown_parameter_is_refused_by_name(name: str) -> None:
    with pytest.raises(ConfigError, match="no_such_thing"):
        load(name, {"no_such_thing": 1})


@pytest.mark.parametrize("name", NAMES)
def test_what_it_remembers_is_no_parameter(name: str) -> None:
    cls: Any = strategy_class(name)
    memories = {field.name for field in dataclasses.fields(cls) if not field.init}
    assert not memories & schema(cls).model_fields.keys()
    for memory in memories:
        with pytest.raises(ConfigError, match=memory):
            load(name, {memory: None})


@pytest.mark.parametrize("name", NAMES)
def test_written_out_parameters_make_the_same_strategy(name: str) -> None:
    params = resolve(strategy_class(name), {})
    assert load(name, params) == load(name)


@pytest.mark.parametrize(
    ("name", "parameters"),
    {
        "baseline": set(),
        "random": {"fraction"},
        "budget": {"share"},
        "iswr": {"unbiased"},
        "forget": {"fraction", "score_epochs", "keep_unlearnt"},
        "sb": {"beta", "window", "prime_epochs"},
        "kakurenbo": {"fraction", "confidence", "milestones", "shares", "lr_from"},
    }.items(),
)
def test_parameters_have_the_names_that_users_rely_on(name: str, parameters: set[str]) -> None:
    assert schema(strategy_class(name)).model_fields.keys() >= parameters


@pytest.mark.parametrize(
    ("name", "params"),
    [
        ("random", {"fraction": 1.0}),
        ("random", {"fraction": -0.1}),
        ("random", {"fraction": "0.3"}),
        ("random", {"fraction": float("nan")}),
        ("budget", {"share": 0.0}),
        ("budget", {"share": 1.01}),
        ("iswr", {"unbiased": 1}),
        ("forget", {"score_epochs": 0}),
        ("forget", {"score_epochs": 2.5}),
        ("sb", {"beta": 0.0}),
        ("sb", {"window": 0}),
        ("sb", {"prime_epochs": -1}),
        ("kakurenbo", {"confidence": 1.5}),
        ("kakurenbo", {"fraction": 1.0}),
    ],
)
def test_a_parameter_out_of_its_range_is_refused_by_name(name: str, params: dict[str, Any]) -> None:
    with pytest.raises(ConfigError, match=next(iter(params))):
        load(name, params)


def test_every_bad_parameter_is_named_at_once() -> None:
    with pytest.raises(ConfigError) as caught:
        load("sb", {"beta": -1.0, "window": 0, "stranger": 3})
    assert len(caught.value.sentences) == 3
    for name, sentence in zip(("beta", "window", "stranger"), caught.value.sentences, strict=True):
        assert sentence.startswith(f"sb: {name}:")


def test_a_class_is_loaded_by_its_module() -> None:
    assert load("kbench.strategies.sb:SelectiveBackprop", {"beta": 2.0}) == load("sb", {"beta": 2.0})


def test_a_strategy_of_ones_own_is_loaded_with_its_parameters(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "own_method_of_a_test.py").write_text(
        "from dataclasses import dataclass\n"
        "from kbench.spec.ranges import Fraction\n"
        "from kbench.strategies.api import Strategy\n"
        "@dataclass\n"
        "class Mine(Strategy):\n"
        "    gentleness: Fraction = 0.5\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    mine: Any = load("own_method_of_a_test:Mine", {"gentleness": 0.25})
    assert mine.gentleness == 0.25
    with pytest.raises(ConfigError, match="gentleness"):
        load("own_method_of_a_test:Mine", {"gentleness": 2.0})


@pytest.mark.parametrize("name", ["nobody", "no_such_module:Thing", "kbench.strategies.sb:Nobody", "", ":", "json:"])
def test_an_unknown_strategy_is_a_mistake_of_the_configuration(name: str) -> None:
    with pytest.raises(ConfigError):
        load(name)


@pytest.mark.parametrize("name", ["json:dumps", "json:JSONEncoder", "kbench.spec.run:RunSpec"])
def test_something_that_is_no_strategy_is_a_mistake_of_the_configuration(name: str) -> None:
    with pytest.raises(ConfigError):
        load(name)
