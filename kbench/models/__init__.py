"""Networks: kbench's own, a file a family, and those of timm and torchvision by name."""
