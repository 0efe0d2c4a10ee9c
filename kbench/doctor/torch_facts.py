"""Tell as JSON what torch is and sees: ``python -m kbench.doctor.torch_facts``.

A program of its own, as a driver that hangs must not hang who asks.
"""

import json
import warnings
from typing import Any


def main() -> None:
    """Print the facts on one line."""
    print(json.dumps(facts()))


def facts() -> dict[str, Any]:
    """Versions, and each device with what came of a first calculation on it."""
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        import torch

        n_devices = torch.cuda.device_count() if torch.cuda.is_available() else 0
        devices = [_device(torch, n) for n in range(n_devices)]
        nccl: Any = torch.cuda.nccl
        has_nccl = n_devices and torch.distributed.is_nccl_available()
    return {
        "version": torch.__version__,
        "built_for": f"CUDA {torch.version.cuda}" if torch.version.cuda else _rocm(torch),
        "nccl": ".".join(map(str, nccl.version())) if has_nccl else "",
        "distributed": torch.distributed.is_available(),
        "devices": devices,
        "warnings": [str(warning.message).splitlines()[0] for warning in said],
    }


def _rocm(torch: Any) -> str:
    return f"ROCm {torch.version.hip}" if getattr(torch.version, "hip", None) else ""


def _device(torch: Any, number: int) -> dict[str, Any]:
    named = torch.cuda.get_device_properties(number)
    try:
        works = float(torch.ones(8, device=f"cuda:{number}").sum()) == 8.0
        trouble = "" if works else "it adds wrongly"
    except RuntimeError as error:
        trouble = str(error).splitlines()[0]
    return {"name": named.name, "memory_bytes": named.total_memory, "trouble": trouble}


if __name__ == "__main__":
    main()
