"""Which models there are.  A library is only asked about names that it is named in."""

from kbench.spec.parse import did_you_mean
from kbench.workloads import MODELS, TIMM, TORCHVISION


def problem(name: str) -> str:
    """What is wrong with a model's name; empty where it can be built."""
    if name.startswith(TIMM):
        return _unknown(name, TIMM, _timm())
    if name.startswith(TORCHVISION):
        return _unknown(name, TORCHVISION, _torchvision())
    doors = [f"{prefix}NAME" for prefix in (TIMM, TORCHVISION)]
    return "" if name in MODELS else f"unknown model {name!r}{did_you_mean(name, [*MODELS, *doors])}"


def _unknown(name: str, prefix: str, there: list[str]) -> str:
    short = name.removeprefix(prefix).split(".")[0]  # what stands behind a dot names weights
    return "" if short in there else f"unknown model {name!r}{did_you_mean(short, there, strict=True)}"


def _timm() -> list[str]:
    import timm

    return list(timm.list_models())


def _torchvision() -> list[str]:
    from torchvision import models

    return list(models.list_models(module=models))
