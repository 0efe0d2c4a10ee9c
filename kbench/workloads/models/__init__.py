"""Networks: our own for small images, and the doors to timm's and torchvision's."""
