"""A model that begins with the weights that another run ended with."""

import pytest
import torch
from torch import nn

from kbench.errors import WorkloadError
from kbench.models.build import last_linear, load_initial_weights


def network(n_classes: int, *, width: int = 8, seed: int = 0) -> nn.Sequential:
    torch.manual_seed(seed)
    return nn.Sequential(nn.Conv2d(1, width, 3), nn.BatchNorm2d(width), nn.Flatten(), nn.Linear(width * 4, n_classes))


@pytest.mark.parametrize("n_classes", [5, 10])
def test_all_is_taken_over_but_the_layer_that_answers_even_for_as_many_classes(n_classes: int) -> None:
    upstream, model, fresh = network(10, seed=1), network(n_classes, seed=2), network(n_classes, seed=2)
    upstream[1].running_mean.fill_(3.0)
    load_initial_weights(model, upstream.state_dict(), source="up")
    for name, value in model.state_dict().items():
        theirs = fresh.state_dict() if name.startswith("3.") else upstream.state_dict()
        assert torch.equal(value, theirs[name]), name


def test_weights_of_another_network_are_refused_with_the_first_that_does_not_fit() -> None:
    with pytest.raises(WorkloadError, match=r"up: its weights do not fit: 0.bias is \[9\] there, \[8\] here"):
        load_initial_weights(network(10), network(10, width=9).state_dict(), source="up")
    with pytest.raises(WorkloadError, match="0.bias is missing there"):
        load_initial_weights(network(10), {}, source="up")


def test_a_network_that_does_not_end_in_a_linear_layer_is_refused() -> None:
    assert last_linear(network(10)) == "3"
    with pytest.raises(WorkloadError, match="has no linear layer"):
        last_linear(nn.Sequential(nn.Conv2d(1, 1, 1)))
