"""Networks for images of 28x28 and 32x32: a small one, torchvision's ResNet-18 and DenseNet-121 with other stems."""

from torch import nn
from torchvision.models import DenseNet, resnet18

Shape = tuple[int, int, int]


class FashionCNN(nn.Sequential):
    """Three 3x3 convolutions with batch normalisation, two of stride 2, mean pooling, one linear layer.  From no paper.

    1.2 million multiplications for an image of 28x28, so that a CPU trains it on 60,000 in seconds.
    """

    def __init__(self, shape: Shape, n_classes: int) -> None:
        super().__init__(
            *_convolution(shape[0], 16, stride=2),
            *_convolution(16, 32, stride=2),
            *_convolution(32, 64, stride=1),
            nn.AdaptiveAvgPool2d(1),
            nn.Flatten(),
            nn.Linear(64, n_classes),
        )


def _convolution(n_in: int, n_out: int, *, stride: int) -> tuple[nn.Module, ...]:
    convolution = nn.Conv2d(n_in, n_out, 3, stride=stride, padding=1, bias=False)
    return convolution, nn.BatchNorm2d(n_out), nn.ReLU(inplace=True)


def resnet18_cifar(shape: Shape, n_classes: int) -> nn.Module:
    """ResNet-18 that begins with a 3x3 convolution of stride 1 and no pooling.

    Source: the code of Selective-Backprop and of DeVries and Taylor (``model/resnet.py``), which
    FORGET's and AutoAssist's codes share.  Weights start as torch's layers do, as there.
    """
    model = resnet18(weights=None, num_classes=n_classes)
    model.conv1 = nn.Conv2d(shape[0], 64, 3, padding=1, bias=False)
    model.maxpool = nn.Identity()
    return _as_torch_starts(model)


def resnet18_mnist(shape: Shape, n_classes: int) -> nn.Module:
    """ResNet-18 whose 7x7 stem and pooling have stride 1.

    Source: AutoAssist's code for MNIST (github zhangjiong724/autoassist-exp @9007a14,
    ``image_classification/resnet_mnist.py``); weights start as torchvision's, as there.
    """
    model: nn.Module = resnet18(weights=None, num_classes=n_classes)
    model.conv1 = nn.Conv2d(shape[0], 64, 7, padding=3, bias=False)
    nn.init.kaiming_normal_(model.get_parameter("conv1.weight"), mode="fan_out", nonlinearity="relu")
    model.maxpool = nn.MaxPool2d(3, stride=1, padding=1)
    return model


def densenet121_cifar(shape: Shape, n_classes: int) -> nn.Module:
    """DenseNet-121 (growth 32) that begins with a 3x3 convolution of stride 1, without normalisation or pooling.

    Source: the fork that Selective-Backprop was developed in (github angelajiang/pytorch-cifar @005f63c,
    ``--net densenet``; blocks as in github kuangliu/pytorch-cifar).  The paper says DenseNet only, and
    the released code has none.  Weights start as torch's layers do, as there.
    """
    model = DenseNet(growth_rate=32, block_config=(6, 12, 24, 16), num_init_features=64, num_classes=n_classes)
    model.features.conv0 = nn.Conv2d(shape[0], 64, 3, padding=1, bias=False)
    for name in ("norm0", "relu0", "pool0"):
        delattr(model.features, name)
    return _as_torch_starts(model)


def _as_torch_starts(model: nn.Module) -> nn.Module:
    """Draw all weights anew as torch's own layers do, where torchvision draws them otherwise."""
    for module in model.modules():
        if isinstance(module, nn.Conv2d | nn.BatchNorm2d | nn.Linear):
            module.reset_parameters()
    return model
