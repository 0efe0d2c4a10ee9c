"""Networks: our own, a file a family, and timm's and torchvision's by name."""
