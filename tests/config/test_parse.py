"""Every mistake at once, each at its line, in our words."""

from pathlib import Path

import pytest

from kbench.config.experiment import ExperimentSpec, Pair
from kbench.config.parse import did_you_mean, known_keys, parse
from kbench.config.yaml_source import read_source
from kbench.errors import ConfigError
from kbench.experiment.registries import Registries

BAD = """\
name: bad name
pairs:
  - model: digits-cn
    dataset: digit
    recipe: {epochs: ninety, global_batch: 48, lr: -1, schedul: cosine}
  - model: digits-cnn
    dataset: digits
    recipe:
      global_batch: 5000
      lr: 0.1
      schedule: cosin
      augment: flip
strategies:
  - kakurenbo: {fraction: 1.3, fracton: 0.3}
  - kakurembo
  - {sb: {beta: 1}, iswr: {}}
  - 7
  - sb: 3
seeds: [0, 1, -1]
targets: [98]
basline: x
"""
GOLDEN = """\
bad.yaml:1: baseline: no strategy is labelled 'baseline'; known: kakurembo, kakurenbo, sb
bad.yaml:1: name: must be letters, digits, - and _ only, got 'bad name'
bad.yaml:3: pairs[0].model: unknown model 'digits-cn'; did you mean 'digits-cnn'?
bad.yaml:4: pairs[0].dataset: unknown data set 'digit'; did you mean 'digits'?
bad.yaml:5: pairs[0].recipe.epochs: must be an integer, got 'ninety'
bad.yaml:5: pairs[0].recipe.lr: must be greater than 0, got -1
bad.yaml:5: pairs[0].recipe.schedul: unknown key 'schedul'; did you mean 'schedule'?
bad.yaml:8: pairs[1].recipe: missing key 'epochs'
bad.yaml:9: pairs[1].recipe.global_batch: must be at most the 1442 training samples of digits, got 5000
bad.yaml:11: pairs[1].recipe.schedule: must be 'step', 'cosine', 'constant' or package.module:Name, \
got 'cosin'; did you mean 'cosine'?
bad.yaml:12: pairs[1].recipe.augment: must be one of none, shift for digits, got 'flip'
bad.yaml:14: strategies[0].kakurenbo.fraction: must be less than 1, got 1.3
bad.yaml:14: strategies[0].kakurenbo.fracton: unknown key 'fracton'; did you mean 'fraction'?
bad.yaml:15: strategies[1].kakurembo: unknown strategy; did you mean 'kakurenbo'?
bad.yaml:16: strategies[2]: must hold one strategy's name, got sb, iswr
bad.yaml:17: strategies[3]: must be a strategy's name or {name: parameters}, got 7
bad.yaml:18: strategies[4]: a second strategy called 'sb'; give it a label of its own
bad.yaml:18: strategies[4].sb: parameters must be a mapping of names to values, got 3
bad.yaml:19: seeds[2]: must be greater than or equal to 0, got -1
bad.yaml:20: targets[0]: must be less than or equal to 1, got 98
bad.yaml:21: basline: unknown key 'basline'; did you mean 'baseline'?
"""


def sentences(folder: Path, text: str) -> list[str]:
    (folder / "bad.yaml").write_text(text)
    with pytest.raises(ConfigError) as caught:
        parse(ExperimentSpec, read_source(folder / "bad.yaml"), context=Registries())
    return [sentence.replace(f"{folder}/", "") for sentence in caught.value.sentences]


def test_all_mistakes_of_a_file_are_told_at_once_in_the_order_of_its_lines(tmp_path: Path) -> None:
    assert sentences(tmp_path, BAD) == GOLDEN.splitlines()


@pytest.mark.parametrize(
    "text, wanted",
    [
        ("", ["bad.yaml: top level: must be a mapping of keys to values, got None"]),
        ("[1, 2]", ["bad.yaml:1: top level: must be a mapping of keys to values, got [1, 2]"]),
        (
            "\nname: x\n",
            ["bad.yaml:2: top level: missing key 'pairs'", "bad.yaml:2: top level: missing key 'strategies'"],
        ),
        (
            "name: x\npairs: []\nstrategies: baseline\n",
            ["bad.yaml:2: pairs: must not be empty", "bad.yaml:3: strategies: must be a list, got 'baseline'"],
        ),
        (
            "name: x\npairs: [digits]\nstrategies: [baseline]\nseeds:\n",
            [
                "bad.yaml:2: pairs[0]: must be a mapping of keys to values, got 'digits'",
                "bad.yaml:4: seeds: must be a list, got None",
            ],
        ),
    ],
)
def test_a_document_of_another_shape_is_told_so(text: str, wanted: list[str], tmp_path: Path) -> None:
    assert sentences(tmp_path, text) == wanted


def test_a_word_close_to_a_known_one_is_offered() -> None:
    assert did_you_mean("cosin", ["step", "cosine"]) == "; did you mean 'cosine'?"


def test_a_word_close_to_none_gets_the_list_each_name_once() -> None:
    assert did_you_mean("zzz", ["step", "cosine", "step"]) == "; known: cosine, step"


def test_nothing_is_offered_where_nothing_is_known() -> None:
    assert did_you_mean("zzz", []) == ""


def test_the_keys_of_a_nested_spec_are_known() -> None:
    assert "global_batch" in known_keys(ExperimentSpec, ("pairs", 0, "recipe", "x"))
    assert known_keys(ExperimentSpec, ("pairs", 0, "x")) == list(Pair.model_fields)
