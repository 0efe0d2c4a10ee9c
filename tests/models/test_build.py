"""Models: as many parameters as published, the shapes that are asked for, and clear words where they cannot be had."""

from typing import Any

import pytest
import torch
from torch import nn

from kbench.data.registry import dataset_info
from kbench.errors import WorkloadError
from kbench.experiment.registries import Registries
from kbench.models import registry
from kbench.models.build import build_model
from kbench.models.registry import MODELS

# Millions, as printed: WRN in arXiv:1605.07146 (28-10: 36.5, 16-8: 11.0), ResNet-50 and EfficientNet-b3 in
# torchvision's and timm's tables (25.56, 12.2), DeiT-Tiny in arXiv:2012.12877 (5.7).
PRINTED = [
    ("wrn-28-10", (3, 32, 32), 100, "36.5"),
    ("wrn-28-10", (3, 32, 32), 10, "36.5"),
    ("wrn-16-8", (3, 32, 32), 10, "11.0"),
    ("torchvision:resnet50", (3, 224, 224), 1000, "25.56"),
    ("timm:resnet50", (3, 224, 224), 1000, "25.56"),
    ("timm:efficientnet_b3", (3, 300, 300), 1000, "12.2"),
    ("timm:deit_tiny_patch16_224", (3, 224, 224), 1000, "5.7"),
]
# Counted by hand from the layers of the authors' code, to the last one.
COUNTED = [
    ("resnet18-cifar", (3, 32, 32), 10, 11_173_962),
    ("densenet121-cifar", (3, 32, 32), 10, 6_956_298),
    ("mobilenetv2-cifar", (3, 32, 32), 10, 2_296_922),
    ("wrn-28-10-kakurenbo", (3, 32, 32), 100, 36_546_980),
    ("wrn-16-4", (3, 32, 32), 10, 2_748_890),
    ("fashion-cnn", (1, 28, 28), 10, 144 + 32 + 4608 + 64 + 18_432 + 128 + 650),
]


def n_parameters(model: nn.Module) -> int:
    return sum(parameter.numel() for parameter in model.parameters())


@pytest.mark.parametrize("name, shape, n_classes, millions", PRINTED)
def test_a_model_has_as_many_parameters_as_published(
    name: str, shape: tuple[int, int, int], n_classes: int, millions: str
) -> None:
    digits = len(millions.partition(".")[2])
    assert f"{n_parameters(build_model(name, shape, n_classes)) / 1e6:.{digits}f}" == millions


@pytest.mark.parametrize("name, shape, n_classes, count", COUNTED)
def test_a_model_has_the_parameters_of_the_code_that_it_follows(
    name: str, shape: tuple[int, int, int], n_classes: int, count: int
) -> None:
    assert n_parameters(build_model(name, shape, n_classes)) == count


@pytest.mark.parametrize("name", sorted(MODELS.keys() - {"digits-cnn", "deepcam"}))
@pytest.mark.parametrize("channels, n_classes", [(3, 10), (1, 7)])
def test_our_models_take_small_images_of_any_number_of_channels(name: str, channels: int, n_classes: int) -> None:
    model = build_model(name, (channels, 32, 32), n_classes).eval()
    with torch.no_grad():
        assert model(torch.randn(1, channels, 32, 32)).shape == (1, n_classes)


@pytest.mark.parametrize("name", ["fashion-cnn", "wrn-16-4", "resnet18-mnist"])
def test_a_model_is_accepted_for_fashion_mnist_and_answers_for_its_images(name: str) -> None:
    info = dataset_info("fashion-mnist")
    assert info is not None and Registries().pair_problems(name, "fashion-mnist", {"global_batch": 128}) == []
    with torch.device("meta"):
        answers = build_model(name, info.shape, info.n_classes).eval()(torch.zeros(2, *info.shape))
    assert answers.shape == (2, 10)


def resolutions(model: nn.Module, kind: type[nn.Module], side: int) -> list[int]:
    """The side of what each layer of a kind gives, in order."""
    seen: list[int] = []
    for layer in model.modules():
        if isinstance(layer, kind):
            layer.register_forward_hook(lambda _, __, out: seen.append(out.shape[-1]))
    with torch.no_grad():
        model.eval()(torch.zeros(1, 3 if side == 32 else 1, side, side))
    return seen


@pytest.mark.parametrize("name", ["wrn-16-8", "resnet18-cifar", "densenet121-cifar", "mobilenetv2-cifar"])
def test_a_model_for_32_pixels_begins_at_full_resolution_and_ends_as_its_code_does(name: str) -> None:
    sides = resolutions(build_model(name, (3, 32, 32), 10), nn.Conv2d, 32)
    assert sides[0] == 32 and sides[-1] == (8 if name == "wrn-16-8" else 4)


def test_resnet18_for_mnist_halves_28_pixels_three_times() -> None:
    sides = resolutions(build_model("resnet18-mnist", (1, 28, 28), 10), nn.Conv2d, 28)
    assert list(dict.fromkeys(sides)) == [28, 14, 7, 4]


def test_a_wide_block_adds_its_input_where_the_shape_stays() -> None:
    model = build_model("wrn-16-8", (3, 32, 32), 10)
    block = model.groups[0][1].eval()
    nn.init.zeros_(block.conv2.weight)
    x = torch.randn(2, 128, 4, 4)
    assert torch.equal(block(x), x)


@pytest.mark.parametrize("dropout", [0.0, 0.3])
def test_dropout_stands_in_every_block_of_a_wide_resnet(dropout: float) -> None:
    model = build_model("wrn-16-8", (3, 32, 32), 10, dropout=dropout)
    assert [layer.p for layer in model.modules() if isinstance(layer, nn.Dropout)] == [dropout] * 6


def test_a_wide_resnets_first_weights_have_the_deviation_of_its_source() -> None:
    weight = build_model("wrn-16-8", (3, 32, 32), 10).get_parameter("groups.2.1.conv2.weight")
    assert float(weight.detach().std()) == pytest.approx((2 / (9 * 512)) ** 0.5, rel=0.01)


@pytest.mark.parametrize("name", ["resnet18-cifar", "densenet121-cifar"])
def test_weights_start_as_torchs_layers_do_where_the_code_leaves_them_alone(name: str) -> None:
    for layer in build_model(name, (3, 32, 32), 10).modules():
        if isinstance(layer, nn.Conv2d):
            bound = (layer.in_channels * layer.kernel_size[0] * layer.kernel_size[1]) ** -0.5
            assert 0.9 * bound < float(layer.weight.detach().abs().max()) < 1.0001 * bound


@pytest.mark.parametrize("side", [32, 64, 224])
def test_deit_takes_images_of_other_sizes(side: int) -> None:
    model = build_model("timm:deit_tiny_patch16_224", (3, side, side), 10, drop_path=0.1).eval()
    with torch.no_grad():
        assert model(torch.zeros(1, 3, side, side)).shape == (1, 10)


def test_drop_path_grows_with_depth_to_what_the_recipe_says() -> None:
    model = build_model("timm:deit_tiny_patch16_224", (3, 32, 32), 10, drop_path=0.1)
    rates = [getattr(block.drop_path1, "drop_prob", 0.0) for block in model.blocks]
    assert rates == pytest.approx([0.1 * i / 11 for i in range(12)])


def test_dropout_reaches_timms_and_torchvisions_models() -> None:
    ours = [
        build_model("timm:efficientnet_b0", (3, 32, 32), 10, dropout=0.3, drop_path=0.2),
        build_model("torchvision:efficientnet_b0", (3, 32, 32), 10, dropout=0.3, drop_path=0.2),
    ]
    assert ours[0].drop_rate == 0.3  # type: ignore[comparison-overlap]
    assert [layer.p for layer in ours[1].modules() if isinstance(layer, nn.Dropout)] == [0.3]


@pytest.mark.parametrize("name", ["torchvision:googlenet", "torchvision:squeezenet1_1"])
def test_a_torchvision_model_gives_one_output_while_it_trains(name: str) -> None:
    model = build_model(name, (3, 64, 64), 10).train()
    assert model(torch.zeros(2, 3, 64, 64)).shape == (2, 10)


@pytest.mark.parametrize(
    "name, shape, options, message",
    [
        ("wrn-28-10", (3, 32, 32), {"drop_path": 0.1}, "images of 3x32x32 drop_path 0.1: it has no drop_path"),
        ("torchvision:resnet50", (3, 224, 224), {"dropout": 0.1}, "unexpected keyword argument 'dropout'"),
        ("torchvision:resnet50", (1, 28, 28), {}, "torchvision's models take three channels"),
        ("timm:deit_tiny_patch16_224", (3, 8, 8), {}, "images of 3x8x8: no patch fits into them"),
    ],
)
def test_a_model_that_cannot_be_had_like_that_is_said_to_be_so(
    name: str, shape: tuple[int, int, int], options: dict[str, Any], message: str
) -> None:
    with pytest.raises(WorkloadError, match=f"model {name}: cannot be built for") as caught:
        build_model(name, shape, 10, **options)
    assert message in caught.value.message


@pytest.mark.parametrize(
    "name", [*MODELS, "timm:resnet50", "timm:vit_tiny_patch16_224.augreg_in21k", "torchvision:vgg11"]
)
def test_models_are_known_by_their_names(name: str) -> None:
    assert registry.problem(name) == ""


@pytest.mark.parametrize(
    "name, message",
    [
        ("wrn-28-1", "unknown model 'wrn-28-1'; did you mean 'wrn-28-10'?"),
        ("timm:resnet_50", "unknown model 'timm:resnet_50'; did you mean 'resnet50'?"),
        ("torchvision:resnet49", "unknown model 'torchvision:resnet49'; did you mean 'resnet"),
        ("torchvision:fcn_resnet50", "unknown model 'torchvision:fcn_resnet50'"),
    ],
)
def test_a_model_that_nobody_knows_is_refused_with_a_proposal(name: str, message: str) -> None:
    assert registry.problem(name).startswith(message)
