"""AutoAssist's rotated sets: MNIST and CIFAR-10 whose training images were turned once.

In zhangjiong724/autoassist-exp @9c79af8 (image_classification/train_autoassist.py, dataloader.py) an image gets
torchvision's RandomRotation(90), nearest neighbour over black, when it is loaded, so that it looks the same in all
epochs, and test images are left as they are.  Their angles hang on a global random stream and cannot be had again; here
they are those of numpy's RandomState(0), which never changes.
"""

import numpy as np
from PIL import Image

from kbench.data.sources import cifar, mnist
from kbench.data.store.arrays import Content, LabelledImages, Pixels, save
from kbench.data.store.manifest import Manifest
from kbench.data.store.prepare_job import PrepareJob

SEED, DEGREES = 0, 90


def prepare_mnist(job: PrepareJob) -> Manifest:
    """Make arrays of MNIST whose training images are turned."""
    return _prepare(job, mnist.read(job))


def prepare_cifar10(job: PrepareJob) -> Manifest:
    """Make arrays of CIFAR-10 whose training images are turned."""
    return _prepare(job, cifar.read(job, cifar.CIFAR_10))


def _prepare(job: PrepareJob, content: Content) -> Manifest:
    turned = LabelledImages(rotated(content.train.x), content.train.y)
    return save(job.folder, job.dataset, content._replace(train=turned), n_classes=10)


def rotated(x: Pixels) -> Pixels:
    """Turn each of the images, (n, c, h, w), by an angle of its own, uniform in [-90, 90] degrees."""
    angles = np.random.RandomState(SEED).uniform(-DEGREES, DEGREES, len(x))
    planes = [
        [np.asarray(Image.fromarray(plane).rotate(angle, Image.Resampling.NEAREST)) for plane in image]
        for image, angle in zip(x, angles.tolist(), strict=True)
    ]
    return np.array(planes, dtype=np.uint8).reshape(x.shape)
