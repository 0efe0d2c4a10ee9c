"""Data sets: by their names, made ready on the disk, and read sample by sample."""

from kbench.data.registry import DATASETS, OWN, DatasetInfo, dataset_info, dataset_names

__all__ = ["DATASETS", "OWN", "DatasetInfo", "dataset_info", "dataset_names"]
