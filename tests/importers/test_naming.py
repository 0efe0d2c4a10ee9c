"""What imported runs are called."""

from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from kbench.errors import ConfigError
from kbench.importers.log import Log
from kbench.importers.naming import Name, Naming, name_logs, parse_rule, plain_name


def logs(*runs: str, **facts: object) -> list[Log]:
    return [Log(run=run, files=(Path("x.csv"),), epochs=({"phase": "train", "epoch": 0},), **facts) for run in runs]


def named(made: Sequence[Log], *rules: str, sums: str = "", **flags: object) -> list[Name]:
    return name_logs(made, Naming(rules=rules, **flags), digests=[[sums]] * len(made), fallback="chart")


def test_the_words_that_all_runs_begin_with_are_left_out() -> None:
    labels = [name.label for name in named(logs("resnet_lr0.1_sb", "resnet_lr0.1_baseline"))]
    assert labels == ["chart.sb.s0", "chart.baseline.s0"]


@pytest.mark.parametrize("run, strategy, seed", [("sb_seed3", "sb", 3), ("sb-s3", "sb", 3), ("sbs3", "sbs3", 0)])
def test_a_seed_in_the_name_is_the_seed(run: str, strategy: str, seed: int) -> None:
    (name,) = named(logs(run))
    assert (name.strategy, name.seed) == (strategy, seed)


def test_a_rule_names_runs_and_its_groups_stand_in_the_names() -> None:
    made = named(logs("run_cifar10_sb_7", "run_cifar100_sb_7", "other"), r"(cifar10+)_(\w+)_(\d)=deit-\1/\2/\3")
    assert [name.label for name in made] == ["deit-cifar10.sb.s7", "deit-cifar100.sb.s7", "chart.other.s0"]


def test_an_equals_sign_may_stand_in_the_regex() -> None:
    (name,) = named(logs("lr=0.1"), "lr=0.1=p/a")
    assert name.label == "p.a.s0"


def test_flags_win_over_rules_and_rules_over_publications(author_run: Callable[..., str]) -> None:
    run = author_run("sb")
    assert named(logs(run))[0].label == "deit-tiny-cifar10.sb.s0"
    assert named(logs(run), "sbfix=p/mine")[0].label == "p.mine.s0"
    assert named(logs(run), "sbfix=p/mine", pair="q", strategy="yours", seed=4)[0].label == "q.yours.s4"


@pytest.mark.parametrize(
    "strategy", ["baseline", "baseline-ep80-2", "iswr", "forget", "sb", "kakurenbo-20", "kakurenbo-30"]
)
@pytest.mark.parametrize("dataset", ["cifar10", "cifar100"])
def test_the_runs_of_a_published_chart_are_known(strategy: str, dataset: str, author_run: Callable[..., str]) -> None:
    (name,) = named(logs(author_run(strategy, dataset)))
    assert name.label == f"deit-tiny-{dataset}.{strategy}.s0"
    assert (name.known_from, name.dataset) == ("kakurenbo", {"cifar10": "CIFAR-10", "cifar100": "CIFAR-100"}[dataset])


def test_a_published_log_is_known_by_its_content_whatever_its_folder_is_called() -> None:
    sums = "3405d59a7202134e16461df76011d59facd26a40c0177ac922320906443f7052"
    assert named(logs("my-copy"), sums=sums)[0].label == "deit-tiny-fractal3k.forget.s0"
    assert named(logs("my-copy"), sums="0" * 64)[0].label == "chart.my-copy.s0"


def test_model_and_dataset_stay_unknown_where_nobody_tells_them() -> None:
    (name,) = named(logs("a"))
    assert (name.model, name.dataset, name.known_from) == (None, None, None)


def test_two_runs_of_one_name_are_refused() -> None:
    with pytest.raises(ConfigError, match="both would be called p.a.s0") as raised:
        named(logs("x1", "x2"), "x=p/a")
    assert "--as" in raised.value.hint


def test_a_rule_that_fits_nothing_is_refused() -> None:
    with pytest.raises(ConfigError, match="--as sb=p/a: fits no run; runs are x"):
        named(logs("x"), "sb=p/a")


@pytest.mark.parametrize("text", ["sb", "=p/a", "sb=p", "sb=p/a/b/c", "(=p/a", r"sb=p/\1"])
def test_what_is_no_rule_is_refused(text: str) -> None:
    with pytest.raises(ConfigError, match="--as"):
        parse_rule(text)


def test_a_seed_that_is_no_number_is_refused() -> None:
    with pytest.raises(ConfigError, match="the seed must be a whole number from 0, got 'b'"):
        named(logs("ab"), "a(b)=p/a/\\1")


def test_a_name_that_cannot_be_a_folder_is_refused() -> None:
    with pytest.raises(ConfigError, match="x: pair: must be letters, digits, - and _ only, 60 at most, got 'a.b'"):
        named(logs("x"), pair="a.b")


def test_long_names_keep_their_end() -> None:
    assert plain_name("a" * 80 + "_sb") == "a" * 57 + "_sb"
    assert plain_name("täglich: 3 %") == "t-glich-3"
