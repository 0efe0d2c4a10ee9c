"""What the training loop relies on, asked of every strategy that has a name."""

import ast
import dataclasses
from collections.abc import Callable
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import torch
from strategy_needs import NEEDED

from kbench.conformance.checks import CHECKS, Case, Check
from kbench.conformance.monitor import Finding
from kbench.errors import ConfigError
from kbench.strategies import STRATEGIES, load, role_of, strategy_class
from kbench.strategies.api import Epoch, SampleStats, TrainingSetup
from kbench.strategies.parameters import resolve, schema

NAMES = sorted(STRATEGIES)
SHORT = {
    "forget": {"score_epochs": 2},
    "prune-el2n": {"score_epochs": 2},
    "dual": {"score_epochs": 2, "window": 2},
    "gradmatch": {"every": 2},
    "craig": {"every": 2},
    **NEEDED,
}  # as many phases, in less time
NOTHING_TO_RECOMPUTE = {"baseline", "random", "budget"}  # they ask no statistics; their tests count
ORACLE = "_slowly"  # how a function's name ends that decides the same, slowly and obviously
OTHER_ORACLES = {"ies": "Bookkeeping", "autoassist": "ByHand", "sb-epoch": "shares_by_rank"}
BEYOND_FLOAT32 = "ids-beyond-2^24"
# That check takes seconds and more than a GB for each; these try it in their own tests, or in test_rank.py.
# For gradmatch and craig it would take a table of all groups with all, and theirs are drawn as those of random.
TRIED_ELSEWHERE = {"iswr", "sb-epoch", "infobatch", "rho-loss", "prune-el2n", "dual", "gradmatch", "craig"}
AMONG_RANKS = ("same-plan", "ranks")

FAST = [check for check in CHECKS if check.name not in (BEYOND_FLOAT32, *AMONG_RANKS)]

pytestmark = pytest.mark.filterwarnings("error")


@cache
def case_of(name: str) -> Case:
    return Case(name, SHORT.get(name), ranks=(3,))


def keeps(name: str, check: Check) -> None:
    answer = check.run(case_of(name))
    assert not isinstance(answer, Finding), answer.sentence
    assert answer is None or (check.name == "baseline-params" and strategy_class(name).baseline_params is None), answer


@pytest.mark.trains
@pytest.mark.parametrize("check", FAST, ids=lambda check: check.name)
@pytest.mark.parametrize("name", NAMES)
def test_a_strategy_keeps_its_word(name: str, check: Check) -> None:
    keeps(name, check)


@pytest.mark.trains
@pytest.mark.parametrize("name", sorted(STRATEGIES.keys() - TRIED_ELSEWHERE))
def test_a_strategy_keeps_ids_whole_beyond_what_float32_counts(name: str) -> None:
    keeps(name, next(check for check in CHECKS if check.name == BEYOND_FLOAT32))


@pytest.mark.dist
@pytest.mark.parametrize("check", [c for c in CHECKS if c.name in AMONG_RANKS], ids=lambda check: check.name)
@pytest.mark.parametrize("name", NAMES)
def test_a_strategy_keeps_its_word_on_three_ranks(name: str, check: Check) -> None:
    keeps(name, check)


@pytest.mark.parametrize("name", sorted(STRATEGIES.keys() - NOTHING_TO_RECOMPUTE))
def test_a_strategy_has_an_oracle(name: str) -> None:
    path = Path(__file__).with_name(f"test_{name.replace('-', '_')}.py")
    assert path.exists(), f"{name} has no {path.name}"
    nodes = list(ast.walk(ast.parse(path.read_text())))
    defined = {node.name for node in nodes if isinstance(node, (ast.FunctionDef, ast.ClassDef))}
    used = {node.id for node in nodes if isinstance(node, ast.Name)}
    oracles = {one for one in defined if one.endswith(ORACLE) or one == OTHER_ORACLES.get(name)}
    assert oracles & used, f"{path.name} compares with no function whose name ends in {ORACLE}"


@pytest.mark.parametrize("name", NAMES)
def test_digests_of_equal_plans_are_equal(
    name: str, epoch_at: Callable[..., Epoch], stats_case: Callable[[int], SampleStats]
) -> None:
    n = len(stats_case(6).loss)
    stats = [replace(stats_case(6), label=torch.arange(n) % 10) for _ in range(2)]
    first, second = (load(name, NEEDED.get(name)).plan(epoch_at(n, 0), each).digest() for each in stats)
    assert first == second and abs(first) < 2**62


@pytest.mark.parametrize("name", NAMES)
def test_an_unknown_parameter_is_refused_by_name(name: str) -> None:
    with pytest.raises(ConfigError, match="no_such_thing"):
        load(name, {**NEEDED.get(name, {}), "no_such_thing": 1})


@pytest.mark.parametrize("name", NAMES)
def test_what_it_remembers_is_no_parameter(name: str) -> None:
    cls: Any = strategy_class(name)
    memories = {field.name for field in dataclasses.fields(cls) if not field.init}
    assert not memories & schema(cls).model_fields.keys()
    for memory in memories:
        with pytest.raises(ConfigError, match=memory):
            load(name, {**NEEDED.get(name, {}), memory: None})


@pytest.mark.parametrize("name", NAMES)
def test_written_out_parameters_make_the_same_strategy(name: str) -> None:
    params = resolve(strategy_class(name), NEEDED.get(name, {}))
    assert load(name, params) == load(name, NEEDED.get(name))


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
        ("sb", {"beta": -0.1}),
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
        "from kbench.config.value_types import Fraction\n"
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


def test_only_controls_and_the_baseline_are_no_methods() -> None:
    roles = {name: role_of(name) for name in NAMES}
    assert {name for name, role in roles.items() if role == "control"} == {"random", "rs2", "budget"}
    assert {name for name, role in roles.items() if role == "baseline"} == {"baseline"}
    assert role_of("nobody") == role_of("no_such_module:Thing") == "method"


@pytest.mark.parametrize("name", NAMES)
def test_with_its_defaults_nothing_stands_against_a_strategy_in_a_long_recipe(name: str) -> None:
    setup = TrainingSetup(n_train=50_000, n_classes=10, task="classification", epochs=200, global_batch=128)
    assert list(load(name, NEEDED.get(name)).problems(setup)) == []
    assert list(load(name, NEEDED.get(name)).problems(replace(setup, n_train=None, n_classes=None))) == []


def test_a_control_that_copies_another_run_leaves_out_what_that_one_did() -> None:
    setup = TrainingSetup(n_train=100, n_classes=10, task="classification", epochs=2, global_batch=90)
    assert [name for name, _ in load("random").problems(setup)] == ["fraction"]
    assert list(load("random", {"like": "sb"}).problems(setup)) == []


def test_a_role_that_there_is_not_is_a_mistake_of_the_configuration(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "judge_of_a_test.py").write_text(
        "from dataclasses import dataclass\n"
        "from kbench.strategies.api import Strategy\n"
        "@dataclass\n"
        "class Judge(Strategy):\n"
        "    role = 'judge'\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(ConfigError, match="role must be one of control, method, baseline, got 'judge'"):
        load("judge_of_a_test:Judge")


@pytest.mark.parametrize("name", ["nobody", "no_such_module:Thing", "kbench.strategies.sb:Nobody", "", ":", "json:"])
def test_an_unknown_strategy_is_a_mistake_of_the_configuration(name: str) -> None:
    with pytest.raises(ConfigError):
        load(name)


@pytest.mark.parametrize("name", ["json:dumps", "json:JSONEncoder", "kbench.config.run_spec:RunSpec"])
def test_something_that_is_no_strategy_is_a_mistake_of_the_configuration(name: str) -> None:
    with pytest.raises(ConfigError):
        load(name)
