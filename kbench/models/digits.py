"""A small network for the digits."""

from torch import Tensor, nn


class DigitsCNN(nn.Module):
    """Three 3x3 convolutions with batch normalisation, mean pooling, one linear layer."""

    def __init__(self, shape: tuple[int, int, int], n_classes: int, width: int = 32) -> None:
        super().__init__()
        widths = (shape[0], width, 2 * width, 2 * width)
        self.features = nn.Sequential(
            *(_block(a, b) for a, b in zip(widths[:-1], widths[1:], strict=True)),
            nn.AdaptiveAvgPool2d(1),
            nn.Flatten(),
        )
        self.head = nn.Linear(widths[-1], n_classes)

    def forward(self, x: Tensor) -> Tensor:
        """(b, c, h, w) images to (b, n_classes) logits."""
        out: Tensor = self.head(self.features(x))
        return out


def _block(n_in: int, n_out: int) -> nn.Sequential:
    convolution = nn.Conv2d(n_in, n_out, 3, padding=1, bias=False)
    return nn.Sequential(convolution, nn.BatchNorm2d(n_out), nn.ReLU(inplace=True))
