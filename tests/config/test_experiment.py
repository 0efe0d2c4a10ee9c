"""What an experiment may say, and what it means by it."""

import json
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from kbench.config.experiment import ExperimentSpec
from kbench.config.parse import parse
from kbench.config.recipe import Recipe
from kbench.config.run_spec import expand
from kbench.config.strategy_choice import Choice
from kbench.config.yaml_source import Source, read_source
from kbench.errors import ConfigError
from kbench.experiment.registries import Registries

RECIPE = {"epochs": 10, "global_batch": 48, "lr": 0.1}
PAIR = {"model": "digits-cnn", "dataset": "digits", "recipe": RECIPE}
PLAIN = {"name": "x", "pairs": [PAIR], "strategies": ["baseline"]}


def experiment(**changes: Any) -> ExperimentSpec:
    return parse(ExperimentSpec, Source("x", {**PLAIN, **changes}), context=Registries())


def refusal(**changes: Any) -> str:
    with pytest.raises(ConfigError) as caught:
        experiment(**changes)
    return caught.value.message


def test_three_seeds_and_the_baseline_are_the_default() -> None:
    assert experiment().seeds == (0, 1, 2)
    assert experiment().baseline == "baseline"


@pytest.mark.parametrize(
    "changes, message",
    [
        ({"seeds": [2**63]}, "seeds[0]: must be less than 9223372036854775808, got 9223372036854775808"),
        ({"seeds": list(range(100_001))}, "seeds: pairs, strategies and seeds make 100001 runs, more than 100000"),
    ],
)
def test_what_no_table_can_hold_is_refused(changes: dict[str, Any], message: str) -> None:
    assert message in refusal(**changes)


def test_what_was_written_is_repeated_in_200_characters_at_most() -> None:
    assert len(refusal(targets="x" * 10_000)) < 300


def test_a_spec_cannot_be_changed() -> None:
    with pytest.raises(ValidationError, match="frozen"):
        experiment().name = "y"  # type: ignore[misc]


@pytest.mark.parametrize(
    "change, message",
    [
        ({"epochs": 0}, "recipe.epochs: must be greater than or equal to 1, got 0"),
        ({"epochs": 2.5}, "recipe.epochs: must be an integer, got 2.5"),
        ({"epochs": True}, "recipe.epochs: must be an integer, got True"),
        ({"global_batch": 0}, "recipe.global_batch: must be greater than or equal to 1, got 0"),
        ({"global_batch": 1443}, "recipe.global_batch: must be at most the 1442 training samples of digits, got 1443"),
        ({"n_train": 1443}, "recipe.n_train: must be at most the 1442 training samples of digits, got 1443"),
        ({"long_tail": 0.5}, "recipe.long_tail: must be greater than or equal to 1, got 0.5"),
        ({"noise": 1.5}, "recipe.noise: must be less than or equal to 1, got 1.5"),
        ({"lr": "0.1"}, "recipe.lr: must be a number, got '0.1'"),
        ({"lr": float("nan")}, "recipe.lr: must be a finite number, got nan"),
        ({"lr": float("inf")}, "recipe.lr: must be a finite number, got inf"),
        ({"momentum": 1.0}, "recipe.momentum: must be less than 1, got 1.0"),
        ({"weight_decay": -1e-4}, "recipe.weight_decay: must be greater than or equal to 0, got -0.0001"),
        ({"nesterov": "yes"}, "recipe.nesterov: must be a boolean, got 'yes'"),
        ({"augment": "flip"}, "recipe.augment: must be one of none, shift for digits, got 'flip'"),
        ({"precision": "fp8"}, "recipe.precision: must be 'fp32', 'bf16' or 'fp16', got 'fp8'"),
        ({"milestones": [5, 3]}, "recipe: milestones must increase, got [5.0, 3.0]"),
        ({"milestones": [5, 5]}, "recipe: milestones must increase, got [5.0, 5.0]"),
        ({"milestones": [10]}, "recipe: milestone 10 is never reached in 10 epochs"),
        ({"milestones": [5], "schedule": "cosine"}, "recipe: milestones belong to the schedule 'step', got 'cosine'"),
        ({"warmup_epochs": 10}, "recipe: warmup_epochs 10.0 leaves nothing of 10 epochs"),
        ({"nesterov": True, "momentum": 0.0}, "recipe: nesterov needs sgd and a momentum above 0"),
        ({"nesterov": True, "optimizer": "adamw"}, "recipe: nesterov needs sgd and a momentum above 0"),
        (
            {"optimizer": "lambs"},
            "recipe.optimizer: must be 'sgd', 'adam', 'adamw', 'lamb' or package.module:Name, got 'lambs'; "
            "did you mean 'lamb'?",
        ),
        ({"betas": [0.9]}, "recipe.betas: missing key '1'"),
        ({"betas": [0.9, 1.0]}, "recipe.betas[1]: must be less than 1, got 1.0"),
        ({"min_lr": 0.01}, "recipe: min_lr and cosine_over belong to the schedule 'cosine', got 'step'"),
        ({"cosine_over": "all"}, "recipe: min_lr and cosine_over belong to the schedule 'cosine', got 'step'"),
        ({"ema_decay": 1.0}, "recipe.ema_decay: must be less than 1, got 1.0"),
        ({"ema_every": 32}, "recipe: ema_every needs an ema_decay above 0"),
        ({"mean": [0.5]}, "recipe: mean and std must be equally many, got 1 and 0"),
        (
            {"val_resize": 200, "val_size": 224},
            "recipe.val_resize: must be at least the 224 pixels that are cut out of it, got 200",
        ),
        ({"drop_path": "a lot"}, "recipe.drop_path: must be a number, got 'a lot'"),
    ],
)
def test_a_recipe_that_cannot_train_is_refused(change: dict[str, Any], message: str) -> None:
    assert refusal(pairs=[{**PAIR, "recipe": {**RECIPE, **change}}]) == f"x: pairs[0].{message}"


@pytest.mark.parametrize("change", [{"n_train": 100}, {"long_tail": 2.0}, {"noise": 0.1}])
def test_a_data_set_without_a_class_for_each_sample_refuses_what_needs_one(change: dict[str, Any]) -> None:
    pair = {"model": "deepcam", "dataset": "deepcam-synthetic", "recipe": {"epochs": 1, "global_batch": 2, "lr": 0.1}}
    text = refusal(pairs=[pair | {"recipe": pair["recipe"] | change}])  # type: ignore[operator]
    why = "needs a class for each sample, and deepcam-synthetic has none, leave it out"
    assert text == f"x: pairs[0].recipe.{next(iter(change))}: {why}"


@pytest.mark.parametrize("change", [{"lr": 1}, {"global_batch": 1442}, {"warmup_epochs": 9.5}, {"momentum": 0}])
def test_a_recipe_at_the_border_of_a_range_is_accepted(change: dict[str, Any]) -> None:
    key, value = next(iter(change.items()))
    assert getattr(experiment(pairs=[{**PAIR, "recipe": {**RECIPE, **change}}]).pairs[0].recipe, key) == value


def test_milestones_may_be_parts_of_an_epoch() -> None:
    assert Recipe.model_validate({**RECIPE, "milestones": [2.5, 9]}).milestones == (2.5, 9.0)


@pytest.mark.parametrize(
    "written, label, name, share",
    [
        ("random", "random", "random", None),
        ({"random": None}, "random", "random", None),
        ({"random": {"fraction": 0.1}}, "random", "random", 0.1),
        ({"random": {"fraction": 0.1}, "label": "a-tenth"}, "a-tenth", "random", 0.1),
        ({"name": "random", "label": "a-tenth", "params": {"fraction": 0.1}}, "a-tenth", "random", 0.1),
    ],
)
def test_a_strategy_can_be_written_in_several_ways(written: Any, label: str, name: str, share: float | None) -> None:
    choice = experiment(strategies=["baseline", written]).strategies[1]
    assert (choice.label, choice.name) == (label, name)
    assert share is None or choice.params["fraction"] == share


def test_the_parameters_of_a_strategy_are_written_out_in_full() -> None:
    short = {"kakurenbo": {"milestones": [5], "shares": [1.0, 0.5]}}
    (choice,) = experiment(strategies=[short], baseline="kakurenbo").strategies
    assert set(choice.params) >= {"fraction", "confidence", "milestones", "shares", "lr_from"}


def test_a_strategy_of_ones_own_is_found_by_its_module() -> None:
    own = "kbench.strategies.random_hiding:RandomHiding"
    choice = experiment(strategies=["baseline", {own: {"fraction": 0.2}, "label": "mine"}]).strategies[1]
    params = {"fraction": 0.2, "like": None, "lr": "like"}
    assert choice == Choice(label="mine", name=own, params=params, role="control")


@pytest.mark.parametrize(
    "strategies, message",
    [
        (["baselin"], "x: strategies[0].baselin: unknown strategy; did you mean 'baseline'?"),
        (["baseline", {"sb": {"beta": -1}}], "x: strategies[1].sb.beta: must be greater than or equal to 0, got -1"),
        (["baseline", {"no.such:Thing": {}}], "x: strategies[1].no.such:Thing: strategy 'no.such:Thing' cannot be "),
        (["baseline", "baseline"], "x: strategies[1]: a second strategy called 'baseline'; give it a label of its own"),
        (
            ["baseline", {"random": {"like": "sb"}}],
            "x: strategies[1].random.like: must be the label of another strategy that follows none; known: baseline",
        ),
        (
            ["baseline", {"random": {"like": "random"}}],
            "x: strategies[1].random.like: must be the label of another strategy that follows none",
        ),
        (["baseline", {"sb": {"like": "baseline"}}], "x: strategies[1].sb.like: unknown key 'like'"),
        (["baseline", {}], "x: strategies[1]: must hold one strategy's name, got none"),
        (["baseline", {"label": "x"}], "x: strategies[1]: must hold one strategy's name, got label"),
        (["baseline", {"sb": {}, "label": "a b"}], "x: strategies[1].label: must be letters, digits, - and _ only"),
    ],
)
def test_a_strategy_that_makes_no_sense_is_refused(strategies: list[Any], message: str) -> None:
    assert message in refusal(strategies=strategies)


def test_the_baseline_must_be_one_of_the_strategies() -> None:
    assert refusal(baseline="base") == "x: baseline: no strategy is labelled 'base'; did you mean 'baseline'?"


def test_the_baseline_may_be_another_strategy() -> None:
    assert experiment(strategies=["random", "sb"], baseline="sb").baseline == "sb"


def test_a_pair_is_named_after_its_model_and_data_set() -> None:
    assert experiment(pairs=[{**PAIR, "model": "timm:resnet18"}]).pairs[0].name == "timm-resnet18-digits"


def test_what_a_paper_says_is_kept_beside_the_recipe() -> None:
    (pair,) = experiment(pairs=[{**PAIR, "paper": {"source": "Table 7", "gpus": 32, "epochs": 200}}]).pairs
    assert pair.paper and (pair.paper.gpus, pair.paper.epochs, pair.paper.batch_per_gpu) == (32, 200, None)


def test_a_paper_without_a_source_is_refused() -> None:
    assert refusal(pairs=[{**PAIR, "paper": {"gpus": 32}}]) == "x: pairs[0].paper: missing key 'source'"


LATER = {**PAIR, "name": "later", "starts_from": "digits-cnn-digits"}


def test_a_pair_may_start_from_another() -> None:
    assert [pair.starts_from for pair in experiment(pairs=[PAIR, LATER]).pairs] == [None, "digits-cnn-digits"]


@pytest.mark.parametrize("start", ["digits", "later"])
def test_a_pair_starts_from_another_that_starts_from_none(start: str) -> None:
    message = "x: pairs[1].starts_from: must be the name of another pair that starts from none"
    assert refusal(pairs=[PAIR, {**LATER, "starts_from": start}]).startswith(message)


def test_a_strategy_that_leaves_less_than_a_global_batch_is_refused() -> None:
    message = "x: strategies[1].random.fraction: leaves 15 of 1442 samples, fewer than one global batch of 48"
    told = refusal(strategies=["baseline", {"random": {"fraction": 0.99}}])
    assert told == f"{message} (pair digits-cnn-digits)"


@pytest.mark.parametrize("fraction, left", [(0.9667, True), (0.9675, False)])  # 1394 or 1395 of 1442 are left out
def test_one_global_batch_is_enough(fraction: float, left: bool) -> None:
    strategies = ["baseline", {"kakurenbo": {"fraction": fraction, "milestones": [], "shares": [1.0]}}]
    if left:
        assert len(experiment(strategies=strategies).strategies) == 2
    else:
        assert "leaves 47 of 1442 samples" in refusal(strategies=strategies)


@pytest.mark.parametrize(
    "strategy, message",
    [
        (
            {"rho-loss": {"holdout": 0.99}},
            "rho-loss.holdout: leaves 15 of 1442 samples, fewer than one global batch of 48",
        ),
        (
            {"rho-loss": {"holdout": 0.03}},
            "rho-loss.holdout: holds out 43 of 1442 samples, fewer than one global batch",
        ),
        (
            {"kakurenbo": {"milestones": [5, 10], "shares": [1, 0.5, 0]}},
            "kakurenbo.milestones: 10 is never reached in 10 ",
        ),
        (
            "kakurenbo",
            "kakurenbo.milestones: 30 is never reached in 10 epochs, take it out, and the share that begins ",
        ),
        ({"prune-el2n": {"fraction": 0.98}}, "prune-el2n.fraction: leaves 29 of 1442 samples"),
    ],
)
def test_what_a_strategy_cannot_do_with_a_pair_is_refused_at_its_parameter(strategy: Any, message: str) -> None:
    told = refusal(strategies=["baseline", strategy])
    assert told.startswith(f"x: strategies[1].{message}") and told.endswith(" (pair digits-cnn-digits)")


def test_a_milestone_that_the_last_epoch_reaches_is_none_too_many() -> None:
    strategies = ["baseline", {"kakurenbo": {"milestones": [9], "shares": [1.0, 0.5]}}]
    assert len(experiment(strategies=strategies).strategies) == 2


OWN = """
from dataclasses import dataclass

from kbench.config.value_types import Count
from kbench.strategies.api import Strategy


@dataclass
class Slow(Strategy):
    wait_epochs: Count = 1

    def problems(self, setup):
        assert setup.n_train == 1442 and setup.n_classes == 10 and setup.task == "classification"
        if self.wait_epochs >= setup.epochs:
            yield "wait_epochs", f"nothing is left of {setup.epochs} epochs"
        if setup.global_batch > 1000:
            raise KeyError("no such batch")
"""


@pytest.fixture
def own_method(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    (tmp_path / "slow_of_a_test.py").write_text(OWN)
    monkeypatch.syspath_prepend(tmp_path)
    return "slow_of_a_test:Slow"


def test_a_method_of_ones_own_refuses_what_it_cannot_do_and_the_line_is_named(own_method: str, tmp_path: Path) -> None:
    path = tmp_path / "own.yaml"
    pairs = f"pairs:\n  - {{model: digits-cnn, dataset: digits, recipe: {json.dumps(RECIPE)}}}\n"
    path.write_text(f"name: own\n{pairs}strategies:\n  - baseline\n  - {own_method}:\n      wait_epochs: 10\n")
    with pytest.raises(ConfigError) as caught:
        parse(ExperimentSpec, read_source(path), context=Registries())
    assert caught.value.message == (
        f"{path}:7: strategies[1].{own_method}.wait_epochs: nothing is left of 10 epochs (pair digits-cnn-digits)"
    )


def test_problems_that_raise_are_a_mistake_of_the_method(own_method: str) -> None:
    pair = {**PAIR, "recipe": {**RECIPE, "global_batch": 1200}}
    assert "its problems() raised KeyError: 'no such batch'" in refusal(
        pairs=[pair], strategies=["baseline", own_method]
    )


def test_a_pair_that_starts_from_another_asks_no_strategy() -> None:
    later = {**LATER, "recipe": {**RECIPE, "epochs": 2}}
    short = {"kakurenbo": {"milestones": [5], "shares": [1.0, 0.5]}}
    assert experiment(pairs=[PAIR, later], strategies=["baseline", short]).strategies[1].role == "method"


@pytest.mark.parametrize(
    "entry, message",
    [
        ({"name": "nope", "label": "y"}, "strategies[1].name: unknown strategy; known: "),
        ({"name": "randm", "label": "y"}, "strategies[1].name: unknown strategy; did you mean 'random'?"),
        (
            {"name": "sb", "label": "y", "params": {"beta": -1}},
            "strategies[1].params.beta: must be greater than or equal",
        ),
        ({"name": "sb", "label": "y", "params": 3}, "strategies[1].params: parameters must be a mapping"),
        ({"name": "sb", "label": "y", "colour": "red"}, "strategies[1].colour: unknown key 'colour'"),
        (
            {"name": "rho-loss", "label": "y", "params": {"holdout": 0.99}},
            "strategies[1].params.holdout: leaves ",
        ),
    ],
)
def test_an_entry_in_full_is_examined_like_any_other(entry: dict[str, Any], message: str) -> None:
    assert refusal(strategies=["baseline", entry]).startswith(f"x: {message}")


@pytest.mark.parametrize("name, role", [("baseline", "baseline"), ("random", "control"), ("sb", "method")])
def test_a_choice_records_what_its_strategy_is_there_for_and_no_hash_depends_on_it(name: str, role: str) -> None:
    entries = ["baseline", {name: {}, "label": "one"}, {"name": name, "label": "two", "role": "control"}]
    spec = experiment(strategies=entries)
    assert [choice.role for choice in spec.strategies] == ["baseline", role, role]
    run = expand(spec, ranks=1)[3]
    older = run.model_copy(update={"strategy": run.strategy.model_copy(update={"role": None})})
    assert run.strategy.role == role and older.run_id == run.run_id and older.match_key == run.match_key


def test_two_pairs_of_one_name_are_refused() -> None:
    message = "x: pairs[1]: a second pair called 'digits-cnn-digits'; give it a name of its own"
    assert refusal(pairs=[PAIR, PAIR]) == message


def test_two_pairs_with_names_of_their_own_are_accepted() -> None:
    assert len(experiment(pairs=[PAIR, {**PAIR, "name": "second"}]).pairs) == 2


def test_seeds_must_differ() -> None:
    assert refusal(seeds=[0, 1, 0]) == "x: seeds: must differ from one another, got [0, 1, 0]"


@pytest.mark.parametrize("target", [0, 1.01, 76])
def test_a_target_is_a_fraction(target: float) -> None:
    assert refusal(targets=[target]).startswith("x: targets[0]: must be ")
