"""DeepCAM's network and recipes: its size, where it starts, what fits into it, and what MLPerf HPC fixes."""

from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from kbench.config.experiment import ExperimentSpec
from kbench.config.parse import parse
from kbench.config.recipe import Recipe
from kbench.config.yaml_source import read_source
from kbench.data import DATASETS
from kbench.engine.schedule import learning_rate
from kbench.errors import WorkloadError
from kbench.experiment.registries import Registries
from kbench.models.build import build_model
from kbench.models.deepcam import DeepLabXception

CONFIGS = Path(__file__).parents[2] / "configs"
REFERENCE = 56_454_720  # parameters, counted from mlcommons/hpc @c622604, deeplab_xception.py, 16 channels, 3 classes


@pytest.fixture(scope="module")
def network() -> DeepLabXception:
    torch.manual_seed(0)
    return DeepLabXception((16, 768, 1152), 3)


def size(module: nn.Module) -> int:
    return sum(parameter.numel() for parameter in module.parameters())


def test_parameters_differ_from_the_reference_by_what_the_docstring_says(network: DeepLabXception) -> None:
    assert size(network) == 56_553_520 == REFERENCE + 92_656 + 6_144
    encoder, bottleneck = 37_778_400, 15_535_104  # of the reference
    assert size(network.encoder) == encoder + 92_656
    assert size(network.bottleneck) == bottleneck
    assert size(network) - size(network.encoder) - size(network.bottleneck) == REFERENCE - encoder - bottleneck + 6_144


def test_the_encoder_has_one_feature_in_sixteen_pixels_each_way(network: DeepLabXception) -> None:
    network.eval()
    with torch.no_grad():
        features = network.encoder(torch.zeros(1, 16, 64, 96))
        assert features[-1].shape == (1, 2048, 4, 6) and features[2].shape == (1, 256, 16, 24)
        assert network(torch.zeros(1, 16, 64, 96)).shape == (1, 3, 64, 96)


def test_a_single_image_can_be_trained_on(network: DeepLabXception) -> None:
    """One sample a GPU is what 1,024 GPUs may have; a batch normalisation of one number would refuse it."""
    network.train()
    network(torch.randn(1, 16, 32, 48)).square().mean().backward()
    assert all(parameter.grad is not None and parameter.grad.abs().sum() > 0 for parameter in network.parameters())


def test_encoder_and_bottleneck_start_from_hes_normal_distribution() -> None:
    torch.manual_seed(0)
    network = DeepLabXception((16, 32, 48), 3)
    for part in (network.encoder, network.bottleneck):
        for module in part.modules():
            if isinstance(module, nn.Conv2d) and module.weight.numel() > 20_000:
                fan_in = module.weight[0].numel()
                assert float(module.weight.detach().std()) == pytest.approx((2 / fan_in) ** 0.5, rel=0.05)
    again = (torch.manual_seed(0), DeepLabXception((16, 32, 48), 3))[1]
    assert all(torch.equal(a, b) for a, b in zip(network.parameters(), again.parameters(), strict=True))


def test_sides_that_do_not_fit_are_refused() -> None:
    with pytest.raises(WorkloadError, match="an image of 100 x 144 pixels does not fit, .* multiples of 16"):
        DeepLabXception((16, 100, 144), 3)


def test_the_data_set_asks_for_this_network(network: DeepLabXception) -> None:
    torch.manual_seed(0)
    built = build_model("deepcam", DATASETS["deepcam"].shape, DATASETS["deepcam"].n_classes)
    assert all(torch.equal(a, b) for a, b in zip(built.parameters(), network.parameters(), strict=True))


@pytest.mark.parametrize(
    "model, dataset", [("wrn-28-10", "deepcam"), ("deepcam", "cifar10"), ("timm:resnet18", "deepcam")]
)
def test_a_model_of_another_task_is_refused_before_anything_starts(model: str, dataset: str) -> None:
    ((key, sentence),) = Registries().pair_problems(model, dataset, {"epochs": 1})
    assert key == "model" and sentence.startswith(f"{model} is made for ")


def test_a_confidence_over_the_batch_is_refused_before_anything_starts() -> None:
    def problems(over: str, dataset: str, global_batch: int) -> list[Any]:
        recipe = Recipe(epochs=100, global_batch=global_batch, lr=0.1)
        params = {"fraction": 0.3, "confidence_over": over}
        return Registries().training_problems("kakurenbo", params, dataset, recipe)

    assert [loc for loc, _ in problems("batch", "deepcam", 2048)] == [("confidence_over",)]
    assert problems("classes", "deepcam", 2048) == []
    assert problems("batch", "cifar10", 128) == []


def test_an_assistant_for_pixels_is_refused_before_anything_starts() -> None:
    recipe = Recipe(epochs=100, global_batch=2048, lr=0.1)
    ((loc, text),) = Registries().training_problems("autoassist", {}, "deepcam", recipe)
    assert loc == () and text.startswith("the assistant has a weight for the class of a sample")


@pytest.mark.parametrize("name", ["deepcam", "deepcam-cosine"])
def test_the_experiments_are_without_a_mistake_and_spell_out_what_mlperf_fixes(name: str) -> None:
    spec = parse(ExperimentSpec, read_source(CONFIGS / f"{name}.yaml"), context=Registries())
    for pair in spec.pairs:
        recipe = pair.recipe
        assert (pair.model, pair.dataset) == ("deepcam", "deepcam")
        assert recipe.optimizer in ("lamb", "adamw") and recipe.eps == 1e-6 and recipe.betas == (0.9, 0.999)
        assert recipe.max_grad_norm == (1.0 if recipe.optimizer == "lamb" else 0.0) and recipe.weight_decay == 0.01
        assert recipe.augment == "none" and recipe.decay_exempts == "nothing"


def test_the_learning_rate_of_2048_is_that_of_a_public_log() -> None:
    """CSCS, MLPerf HPC v1.0, 1,024 ranks: result_1.txt says so at these steps, of 59 to an epoch, from 1."""
    spec = parse(ExperimentSpec, read_source(CONFIGS / "deepcam.yaml"), context=Registries())
    recipe = next(pair.recipe for pair in spec.pairs if pair.recipe.global_batch == 2048)
    steps = DATASETS["deepcam"].n_train // 2048
    assert steps == 59
    said = {10: 0.00012375, 60: 0.00081125, 90: 0.00122375, 1170: 0.0055, 1200: 0.0055, 1210: 0.00055, 1380: 0.00055}
    for step, lr in said.items():
        ours = learning_rate(recipe, (step - 1 + 0.5) / steps / recipe.epochs)
        assert ours == pytest.approx(lr, rel=0.06)


@pytest.mark.parametrize("batch, drops", [(2048, [1200]), (128, [8191, 16383])])
def test_the_learning_rate_drops_at_the_steps_at_which_the_reference_drops_it(batch: int, drops: list[int]) -> None:
    spec = parse(ExperimentSpec, read_source(CONFIGS / "deepcam.yaml"), context=Registries())
    steps = DATASETS["deepcam"].n_train // batch
    for recipe in (pair.recipe for pair in spec.pairs if pair.recipe.global_batch == batch):
        rates = [learning_rate(recipe, (step + 0.5) / steps / recipe.epochs) for step in range(recipe.epochs * steps)]
        falls = [step for step in range(1, len(rates)) if rates[step] < rates[step - 1]]
        assert falls == drops
