"""A first experiment is a pair of the papers, and is an experiment."""

import pytest

from kbench.config.experiment import ExperimentSpec
from kbench.config.parse import parse
from kbench.config.yaml_source import read_text
from kbench.errors import ConfigError
from kbench.experiment.experiment_file import experiment_file, sources
from kbench.experiment.registries import Registries


@pytest.mark.parametrize("pair", sources())
def test_every_pair_there_is_makes_an_experiment_with_what_it_starts_from(pair: str) -> None:
    spec = parse(ExperimentSpec, read_text(experiment_file("mine", pair), "mine.yaml"), context=Registries())
    assert (spec.name, spec.pairs[-1].name, spec.seeds) == ("mine", pair, (0, 1, 2))


def test_a_pair_that_there_is_not_is_refused_with_those_that_there_are() -> None:
    with pytest.raises(ConfigError, match="unknown 'wrn-28-10-cifar1000'; did you mean 'wrn-28-10-cifar100'"):
        experiment_file("mine", "wrn-28-10-cifar1000")
