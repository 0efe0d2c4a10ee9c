"""torch as the ranks will meet it, and the GPUs that it sees."""

import json
import shutil
from collections import Counter
from collections.abc import Iterator
from typing import Any

from kbench.doctor.need import Item, Need, ask, missing, ok, warning

TORCH_S = 120.0  # a cold parallel file system takes its time over torch's files
DRIVER_S = 15.0
GIB = 2**30


def devices(need: Need) -> Iterator[Item]:
    """Ask torch in a process of its own, and the driver beside it."""
    answer = ask(need.prepared([*need.python, "-m", "kbench.doctor.machine"]), seconds=TORCH_S)
    where = " ".join(need.python)
    if not answer.ok:
        remedy = f"install torch and kbench for {where}, or mend python: and container: of the site"
        if need.here:
            yield missing("torch", answer.why, remedy, needed=True)
        else:  # what a login node lacks, a compute node may have
            yield warning("torch", f"{answer.why}, on this node at least", remedy)
        yield from _driver()
        return
    facts = json.loads(answer.out.splitlines()[-1])
    yield _torch(facts, where)
    yield from _gpus(facts, need)
    yield from _driver()


def _torch(facts: dict[str, Any], where: str) -> Item:
    found = f"{facts['version']}, built for {facts['built_for'] or 'processors alone'}, {where}"
    if not facts["distributed"]:
        return warning("torch", f"{found}; without torch.distributed", "install a torch with it to use several ranks")
    return ok("torch", found)


def _gpus(facts: dict[str, Any], need: Need) -> Iterator[Item]:
    gpus, wanted = facts["devices"], need.site.gpus_per_node
    kinds = Counter(f"{gpu['name']} of {gpu['memory_bytes'] / GIB:.0f} GiB" for gpu in gpus)
    found = ", ".join(f"{n} x {kind}" for kind, n in kinds.items()) or "torch sees none"
    if facts["nccl"]:
        found += f", NCCL {facts['nccl']}"
    broken = [f"GPU {n}: {gpu['trouble']}" for n, gpu in enumerate(gpus) if gpu["trouble"]]
    if broken:
        yield missing("GPUs", "; ".join([found, *broken]), "nvidia-smi tells more", needed=need.here and wanted > 0)
    elif need.here and len(gpus) < wanted:
        said = f"{found}, the site promises {wanted}"
        remedy = "; ".join(facts["warnings"]) or "lower gpus_per_node, or see what CUDA_VISIBLE_DEVICES hides"
        yield missing("GPUs", said, remedy, needed=True)
    elif not gpus and shutil.which("nvidia-smi") and need.here:
        remedy = "; ".join(facts["warnings"]) or "install a torch that is built for CUDA"
        yield warning("GPUs", f"{found}, though nvidia-smi is there", remedy)
    else:
        yield ok("GPUs", found if gpus else f"{found} on this machine")


def _driver() -> Iterator[Item]:
    if shutil.which("nvidia-smi") is None:
        return
    words = ["nvidia-smi", "--query-gpu=driver_version,compute_mode,utilization.gpu", "--format=csv,noheader,nounits"]
    answer = ask(words, seconds=DRIVER_S)
    rows = [[cell.strip() for cell in line.split(",")] for line in answer.out.splitlines() if line.count(",") == 2]
    if not answer.ok or not rows:
        yield warning("GPU driver", answer.why or answer.first_line, "ask the administrator to look at the driver")
        return
    busy = [f"GPU {n} at {row[2]} %" for n, row in enumerate(rows) if row[2].isdigit() and int(row[2]) > 10]
    found = f"{rows[0][0]}, {len(rows)} GPU(s), compute mode {rows[0][1]}"
    if busy:
        yield warning("GPU driver", f"{found}; {', '.join(busy)}", "others use it; measured times will suffer")
    else:
        yield ok("GPU driver", found)
