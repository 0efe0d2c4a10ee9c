"""The name of a run is the hash of what is scientific about it, and of nothing else."""

from typing import Any

import pytest

from kbench.config.experiment import ExperimentSpec
from kbench.config.parse import parse
from kbench.config.run_spec import RunSpec, expand
from kbench.config.yaml_source import Source
from kbench.experiment.registries import Registries

RECIPE = {"epochs": 3, "global_batch": 48, "lr": 0.05, "schedule": "cosine", "augment": "shift"}
PAIR = {"model": "digits-cnn", "dataset": "digits", "recipe": RECIPE}
CHOICE = {"kakurenbo": {"fraction": 0.3, "milestones": [2], "shares": [1.0, 0.5]}}


def runs(*, ranks: int = 1, strategies: Any = (CHOICE,), pairs: Any = (PAIR,), **changes: Any) -> list[RunSpec]:
    tree = {"name": "small", "pairs": [*pairs], "strategies": ["baseline", *strategies], "seeds": [0, 1], **changes}
    return expand(parse(ExperimentSpec, Source("x", tree), context=Registries()), ranks=ranks)


def with_recipe(**changes: Any) -> list[RunSpec]:
    return runs(pairs=[{**PAIR, "recipe": {**RECIPE, **changes}}])


def hashes(found: list[RunSpec]) -> list[str]:
    return [run.run_id.rpartition(".")[2] for run in found]


def test_parameters_that_came_later_rename_only_what_trains_otherwise() -> None:
    def name(strategy: dict[str, Any]) -> str:
        return hashes(runs(strategies=[CHOICE, strategy]))[4]

    assert name({"random": {"fraction": 0.25}}) == "d080fdb9"
    assert name({"random": {"like": "kakurenbo", "lr": "plain"}, "label": "like"}) == "00fdffae"
    assert name({"random": {"like": "kakurenbo"}, "label": "like"}) != "00fdffae"  # its learning rate follows now
    assert name({"prune-el2n": {"score_epochs": 2}}) == "33e917c5"
    assert name({"prune-el2n": {"score_epochs": 2, "length": "steps"}}) != "33e917c5"


def test_the_names_of_runs_do_not_change_between_versions() -> None:
    assert [run.run_id for run in runs()] == [
        "digits-cnn-digits.baseline.s0.53aa331a",
        "digits-cnn-digits.baseline.s1.9d254e35",
        "digits-cnn-digits.kakurenbo.s0.e61f5fd6",
        "digits-cnn-digits.kakurenbo.s1.1dc3beb6",
    ]
    assert [run.match_key for run in runs()] == ["1e15a124", "5fcdd30d"] * 2


def test_what_a_paper_says_changes_neither_names_nor_matches_and_goes_into_no_run() -> None:
    cited = runs(pairs=[{**PAIR, "paper": {"source": "Table 7", "gpus": 32}}])
    assert cited == runs()


@pytest.mark.parametrize(
    "changed",
    [
        with_recipe(epochs=4),
        with_recipe(global_batch=24),
        with_recipe(lr=0.06),
        with_recipe(schedule="constant"),
        with_recipe(weight_decay=1e-4),
        with_recipe(precision="bf16"),
        with_recipe(augment="none"),
        with_recipe(optimizer="adamw"),
        with_recipe(ema_decay=0.9),
        with_recipe(max_grad_norm=1.0),
        with_recipe(decay_exempts="norms"),
        with_recipe(drop_path=0.1),
        with_recipe(image_size=16),
        runs(pairs=[{**PAIR, "model": "timm:resnet18"}]),
        runs(ranks=2),
        runs(seeds=[2, 3]),
    ],
)
def test_whatever_can_change_the_numbers_changes_name_and_match(changed: list[RunSpec]) -> None:
    assert not set(hashes(changed)) & set(hashes(runs()))
    assert not {run.match_key for run in changed} & {run.match_key for run in runs()}


def test_a_parameter_of_a_strategy_changes_the_name_but_not_the_match() -> None:
    changed = runs(strategies=[{"kakurenbo": {**CHOICE["kakurenbo"], "confidence": 0.8}}])
    assert hashes(changed)[2:] != hashes(runs())[2:]
    assert [run.match_key for run in changed] == [run.match_key for run in runs()]


@pytest.mark.parametrize(
    "changed",
    [
        runs(name="another"),
        runs(targets=[0.5]),
        runs(pairs=[{**PAIR, "name": "other"}]),
        runs(strategies=[{**CHOICE, "label": "other"}]),
        runs(strategies=[{"kakurenbo": {**CHOICE["kakurenbo"], "confidence": 0.7, "lr_from": "ceiling"}}]),
        with_recipe(momentum=0.9, optimizer="sgd", nesterov=False, milestones=[]),
    ],
    ids=["experiment", "targets", "pair", "label", "defaults of a strategy", "defaults of a recipe"],
)
def test_labels_and_defaults_written_out_change_no_hash(changed: list[RunSpec]) -> None:
    assert hashes(changed) == hashes(runs())


def test_a_whole_number_where_a_real_one_is_meant_is_the_same_run() -> None:
    assert hashes(with_recipe(lr=1, weight_decay=0)) == hashes(with_recipe(lr=1.0, weight_decay=0.0))
    assert hashes(runs(strategies=[{"sb": {"beta": 2}}])) == hashes(runs(strategies=[{"sb": {"beta": 2.0}}]))


def test_the_order_of_keys_changes_no_hash() -> None:
    turned = dict(reversed(RECIPE.items()))
    assert hashes(runs(pairs=[{**PAIR, "recipe": turned}])) == hashes(runs())


def test_strategies_of_one_seed_match_and_seeds_do_not() -> None:
    base0, base1, kakurenbo0, kakurenbo1 = (run.match_key for run in runs())
    assert (base0, base1) == (kakurenbo0, kakurenbo1)
    assert base0 != base1


def test_runs_come_in_the_order_of_the_file() -> None:
    found = runs(pairs=[{**PAIR, "name": "z"}, {**PAIR, "name": "a"}], strategies=["sb", "iswr"], seeds=[5, 3])
    assert [run.run_id.rpartition(".")[0] for run in found] == [
        f"{pair}.{strategy}.s{seed}" for pair in "za" for strategy in ("baseline", "sb", "iswr") for seed in (5, 3)
    ]


def test_a_run_read_back_from_json_is_the_same_run() -> None:
    for run in runs():
        again = RunSpec.model_validate_json(run.model_dump_json())
        assert (again.run_id, again.match_key) == (run.run_id, run.match_key)


FOLLOWING: list[Any] = [
    {"kakurenbo": {**CHOICE["kakurenbo"], "fraction": 0.2}, "label": "k"},
    {"random": {"like": "k"}},
]


def test_a_run_that_follows_another_names_the_run_of_its_own_seed() -> None:
    found = runs(strategies=FOLLOWING)
    assert [run.prerequisite.run_id if run.prerequisite else None for run in found] == [None] * 4 + [
        run.run_id for run in found[2:4]
    ]


def test_whom_a_run_follows_is_part_of_its_name_and_what_that_one_is_called_is_not() -> None:
    other_params = [{**CHOICE, "label": "k"}, {"random": {"like": "k"}}]
    other_label = [{**FOLLOWING[0], "label": "q"}, {"random": {"like": "q"}}]
    followers = [hashes(runs(strategies=each)[4:]) for each in (FOLLOWING, other_params, other_label)]
    assert followers[0] != followers[1] and followers[0] == followers[2]


def test_a_follower_is_matched_with_the_baseline_as_any_other() -> None:
    found = runs(strategies=FOLLOWING)
    assert [run.match_key for run in found[4:]] == [run.match_key for run in found[:2]]


def test_a_spec_with_a_follower_survives_its_file() -> None:
    run = runs(strategies=FOLLOWING)[4]
    again = RunSpec.model_validate_json(run.model_dump_json())
    assert run.prerequisite and again.prerequisite
    assert (again.run_id, again.prerequisite.run_id) == (run.run_id, run.prerequisite.run_id)


UP = {"name": "up", "model": "digits-cnn", "dataset": "digits", "recipe": {"epochs": 2, "global_batch": 48, "lr": 0.1}}


def chain(*strategies: object, epochs: int = 2, name: str = "up") -> dict[str, RunSpec]:
    """The runs of a chain of two pairs, by pair and label."""
    up = {**UP, "name": name, "recipe": {**UP["recipe"], "epochs": epochs}}  # type: ignore[dict-item]
    down = {**UP, "name": "down", "starts_from": name}
    tree = {"name": "e", "pairs": [up, down], "strategies": ["baseline", *strategies], "seeds": [0]}
    runs = expand(ExperimentSpec.model_validate(tree), ranks=1)
    return {f"{run.pair.name}.{run.strategy.label}": run for run in runs}


def test_downstream_every_strategy_trains_like_the_baseline_and_keeps_its_label() -> None:
    run = chain({"random": {"fraction": 0.3}})["down.random"]
    assert (run.strategy.name, run.strategy.label, run.strategy.params) == ("baseline", "random", {})
    assert run.prerequisite == chain({"random": {"fraction": 0.3}})["up.random"]


def test_where_weights_come_from_is_part_of_a_run_and_the_strategy_of_it_is_not_what_must_match() -> None:
    runs = chain({"random": {"fraction": 0.3}})
    assert runs["down.random"].run_id[-8:] != runs["down.baseline"].run_id[-8:]
    assert runs["down.random"].match_key == runs["down.baseline"].match_key
    longer = chain({"random": {"fraction": 0.3}}, epochs=3)
    assert longer["down.random"].match_key != runs["down.random"].match_key
    assert longer["down.random"].run_id != runs["down.random"].run_id


def test_the_name_of_the_pair_that_weights_come_from_is_only_a_name() -> None:
    assert chain(name="first")["down.baseline"].run_id == chain()["down.baseline"].run_id


def test_a_chain_behind_a_follower_waits_for_the_follower() -> None:
    run = chain({"random": {"fraction": 0.3}, "label": "r"}, {"budget": {"like": "r"}, "label": "b"})["down.b"]
    assert run.prerequisite is not None and run.prerequisite.strategy.label == "b"
    assert run.prerequisite.prerequisite is not None and run.prerequisite.prerequisite.strategy.label == "r"
