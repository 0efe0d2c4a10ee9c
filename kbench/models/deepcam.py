"""DeepCAM: which pixels of a simulated climate are in a tropical cyclone, which in an atmospheric river?"""

import segmentation_models_pytorch as smp
import torch
from segmentation_models_pytorch.decoders.deeplabv3.decoder import ASPP
from torch import Tensor, nn

from kbench.errors import WorkloadError

STRIDE = 16  # [pixel] between the features at the bottleneck


class DeepLabXception(nn.Module):
    """DeepLabv3+ on Xception-65, output stride 16, with the learned upsampling of MLPerf HPC's DeepCAM.

    Source: mlcommons/hpc @c622604, deepCam/architecture/deeplab_xception.py.  The encoder is timm's
    xception65 through segmentation-models-pytorch, the bottleneck that library's (rates 6, 12, 18,
    convolutions not separable).  The decoder is the benchmark's, since a step's cost is part of what is
    measured: its transposed convolutions work at half of the image's size, where the library
    interpolates.  Weights start as there: He's normal distribution in encoder and bottleneck, torch's
    defaults in the decoder.  Nothing is ever downloaded.

    With 16 channels and 3 classes it has 56,553,520 parameters, the reference 56,454,720 (counted from
    its source).  The other 98,800: timm normalises after each depthwise convolution too, and after the
    last pointwise one of a block (92,656); its features of stride 4 have 256 channels, not 128 (6,144).
    With them a sample of 768x1152 has 1,312 M activations of convolutions and norms, the reference 1,062 M: a quarter
    more of that memory, and their time.
    """

    def __init__(self, shape: tuple[int, int, int], n_classes: int) -> None:
        super().__init__()
        n_channels, height, width = shape
        if height % STRIDE or width % STRIDE:
            raise WorkloadError(
                f"deepcam: an image of {height} x {width} pixels does not fit, its sides must be multiples of {STRIDE}"
            )
        self.encoder = smp.encoders.get_encoder("tu-xception65", n_channels, 5, None, STRIDE)
        _, _, low, *_, high = self.encoder.out_channels
        self.bottleneck = ASPP(high, 256, (6, 12, 18), separable=False, dropout=0.0)
        self.bottleneck.convs[-1][2] = Affine(256)  # one number per channel and image: a batch of one has no variance
        self.low = _normalised(nn.Conv2d(low, 48, 1, bias=False))
        self.to_quarter = nn.Sequential(_normalised(_doubling(256, 256)), _normalised(_doubling(256, 256)))
        self.join = nn.Sequential(
            _normalised(nn.Conv2d(256 + 48, 256, 3, padding=1, bias=False)),
            _normalised(nn.Conv2d(256, 256, 3, padding=1, bias=False)),
            nn.Conv2d(256, 256, 1),
        )
        self.to_whole = nn.Sequential(_normalised(_doubling(256, 256)), _doubling(256, n_classes))
        for part in (*self.encoder.modules(), *self.bottleneck.modules()):
            if isinstance(part, nn.Conv2d):
                nn.init.kaiming_normal_(part.weight)

    def forward(self, x: Tensor) -> Tensor:
        """(b, channels, h, w) fields to (b, n_classes, h, w) logits."""
        _, _, low, *_, high = self.encoder(x)
        deep = self.to_quarter(self.bottleneck(high))
        out: Tensor = self.to_whole(self.join(torch.cat([deep, self.low(low)], dim=1)))
        return out


class Affine(nn.Module):
    """Scales and shifts each channel of (b, c, h, w), by weights that are learnt."""

    def __init__(self, n_channels: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(n_channels))
        self.bias = nn.Parameter(torch.zeros(n_channels))

    def forward(self, x: Tensor) -> Tensor:
        """(b, c, h, w) to the same shape."""
        return x * self.weight[:, None, None] + self.bias[:, None, None]


def _normalised(convolution: nn.Conv2d | nn.ConvTranspose2d) -> nn.Sequential:
    return nn.Sequential(convolution, nn.BatchNorm2d(convolution.out_channels), nn.ReLU())


def _doubling(n_in: int, n_out: int) -> nn.ConvTranspose2d:
    return nn.ConvTranspose2d(n_in, n_out, 3, stride=2, padding=1, output_padding=1, bias=False)
