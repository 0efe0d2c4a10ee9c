"""torch as the ranks will meet it, and the GPUs that it sees.

``python -m kbench.doctor.devices`` prints what torch knows as JSON, in a process that the doctor can give up.
"""

import shutil
import warnings
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from pydantic import TypeAdapter

from kbench.doctor.need import Need
from kbench.launch.diagnosis import Finding, ask, missing, ok, warning

TORCH_S = 120.0  # a cold parallel file system takes its time over torch's files
DRIVER_S = 15.0
GIB = 2**30
BUSY_PERCENT = 10


@dataclass(frozen=True, kw_only=True)
class Gpu:
    """A GPU, and what came of a first calculation on it."""

    name: str
    memory_bytes: int
    trouble: str = ""  # empty: it calculates


@dataclass(frozen=True, kw_only=True)
class TorchFacts:
    """What torch knows of itself and its devices."""

    version: str
    built_for: str  # CUDA or ROCm with its version; empty: processors alone
    nccl: str  # its version; empty: not used
    distributed: bool
    gpus: tuple[Gpu, ...]
    warnings: tuple[str, ...]  # their first lines, as torch looked for devices


FACTS = TypeAdapter(TorchFacts)


def devices(need: Need) -> Iterator[Finding]:
    """Ask torch in a process of its own, and the driver beside it."""
    answer = ask(need.prepared([*need.python, "-m", "kbench.doctor.devices"]), seconds=TORCH_S)
    where = " ".join(need.python)
    if answer.ok:
        facts = FACTS.validate_json(answer.out.splitlines()[-1])
        yield _torch(facts, where)
        yield _gpus(facts, need)
    else:
        remedy = f"install torch and kbench for {where}, or mend python: and container: of the site"
        yield need.lacking("torch", answer.why, remedy)
    yield from _driver()


def _torch(facts: TorchFacts, where: str) -> Finding:
    found = f"{facts.version}, built for {facts.built_for or 'processors alone'}, {where}"
    if not facts.distributed:
        return warning("torch", f"{found}; without torch.distributed", "install a torch with it to use several ranks")
    return ok("torch", found)


def _gpus(facts: TorchFacts, need: Need) -> Finding:
    gpus, wanted = facts.gpus, need.site.gpus_per_node
    kinds = Counter(f"{gpu.name} of {gpu.memory_bytes / GIB:.0f} GiB" for gpu in gpus)
    found = ", ".join(f"{n} x {kind}" for kind, n in kinds.items()) or "torch sees none"
    if facts.nccl:
        found += f", NCCL {facts.nccl}"
    broken = [f"GPU {n}: {gpu.trouble}" for n, gpu in enumerate(gpus) if gpu.trouble]
    if broken:
        return missing("GPUs", "; ".join([found, *broken]), "nvidia-smi tells more", needed=need.here and wanted > 0)
    if need.here and len(gpus) < wanted:
        remedy = "; ".join(facts.warnings) or "lower gpus_per_node, or see what CUDA_VISIBLE_DEVICES hides"
        return missing("GPUs", f"{found}, the site promises {wanted}", remedy, needed=True)
    if need.here and not gpus and shutil.which("nvidia-smi"):
        remedy = "; ".join(facts.warnings) or "install a torch that is built for CUDA"
        return warning("GPUs", f"{found}, though nvidia-smi is there", remedy)
    return ok("GPUs", found if gpus else f"{found} on this machine")


def _driver() -> Iterator[Finding]:
    if shutil.which("nvidia-smi") is None:
        return
    command = ["nvidia-smi", "--query-gpu=driver_version,compute_mode,utilization.gpu", "--format=csv,noheader,nounits"]
    answer = ask(command, seconds=DRIVER_S)
    rows = [[cell.strip() for cell in line.split(",")] for line in answer.out.splitlines() if line.count(",") == 2]
    if not answer.ok or not rows:
        yield warning("GPU driver", answer.why or answer.first_line, "ask the administrator to look at the driver")
        return
    busy = [f"GPU {n} at {row[2]} %" for n, row in enumerate(rows) if row[2].isdigit() and int(row[2]) > BUSY_PERCENT]
    found = f"{rows[0][0]}, {len(rows)} GPU(s), compute mode {rows[0][1]}"
    if busy:
        yield warning("GPU driver", f"{found}; {', '.join(busy)}", "others use it; measured times will suffer")
    else:
        yield ok("GPU driver", found)


def ask_torch() -> TorchFacts:
    """Import torch, and calculate something on each GPU that it sees."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        import torch

        n_gpus = torch.cuda.device_count() if torch.cuda.is_available() else 0
        gpus = tuple(_gpu(number) for number in range(n_gpus))
        nccl: Any = torch.cuda.nccl
        has_nccl = n_gpus and torch.distributed.is_nccl_available()
    rocm = getattr(torch.version, "hip", None)
    return TorchFacts(
        version=torch.__version__,
        built_for=f"CUDA {torch.version.cuda}" if torch.version.cuda else f"ROCm {rocm}" if rocm else "",
        nccl=".".join(map(str, nccl.version())) if has_nccl else "",
        distributed=torch.distributed.is_available(),
        gpus=gpus,
        warnings=tuple(str(one.message).splitlines()[0] for one in caught),
    )


def _gpu(number: int) -> Gpu:
    import torch

    properties = torch.cuda.get_device_properties(number)
    try:
        works = float(torch.ones(8, device=f"cuda:{number}").sum()) == 8.0
        trouble = "" if works else "it adds wrongly"
    except RuntimeError as error:
        trouble = str(error).splitlines()[0]
    return Gpu(name=properties.name, memory_bytes=properties.total_memory, trouble=trouble)


if __name__ == "__main__":
    print(FACTS.dump_json(ask_torch()).decode())
