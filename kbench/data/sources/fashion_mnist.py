"""Fashion-MNIST (Xiao, Rasul and Vollgraf 2017, arXiv:1708.07747): photographs of clothes in MNIST's format.

Names and checksums of the packed files are torchvision's.  Debian's package dataset-fashion-mnist carries the same
images in files that were packed anew, so that what counts is the checksum of the contents; those below are of that
package (0.0~git20200523.55506a9), which is the authors' repository at 55506a9.
"""

from torchvision.datasets import FashionMNIST

from kbench.data.sources import mnist
from kbench.data.store.arrays import save
from kbench.data.store.manifest import Manifest
from kbench.data.store.prepare_job import Official, PrepareJob

MIRROR = FashionMNIST.mirrors[0]
FILES = tuple(Official(name=name, url=MIRROR + name, md5=md5) for name, md5 in FashionMNIST.resources)
CONTENTS = (
    "f4a8712d7a061bf5bd6d2ca38dc4d50a",
    "9018921c3c673c538a1fc5bad174d6f9",
    "8181f5470baa50b63fa0f6fddb340f0a",
    "15d484375f8d13e6eb1aabb0c3f46965",
)


def prepare(job: PrepareJob) -> Manifest:
    """Make arrays of Fashion-MNIST."""
    return save(job.folder, job.dataset, mnist.read(job, FILES, CONTENTS), n_classes=10)
