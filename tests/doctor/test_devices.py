"""torch is asked in a process of its own; what it sees is held against what the site promises."""

from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from kbench.doctor import devices
from kbench.doctor.devices import Gpu, TorchFacts
from kbench.doctor.need import Need
from kbench.launch.diagnosis import Finding, FindingState

Needs = Callable[..., Need]
Plays = Callable[[str, str], Path]


def seen(*gpus: str, nccl: str = "", warnings: tuple[str, ...] = ()) -> TorchFacts:
    """Facts of a machine with these GPUs; one that is called broken is."""
    listed = tuple(Gpu(name=g, memory_bytes=80 << 30, trouble="an error" if g == "broken" else "") for g in gpus)
    return TorchFacts(version="9.9", built_for="CUDA 99", nccl=nccl, distributed=True, gpus=listed, warnings=warnings)


def judged(facts: TorchFacts, need: Need) -> Finding:
    return devices._gpus(facts, need)


def test_the_facts_are_torchs_own() -> None:
    found = devices.ask_torch()
    assert found.version == torch.__version__
    assert len(found.gpus) == (torch.cuda.device_count() if torch.cuda.is_available() else 0)
    assert all(gpu.trouble == "" for gpu in found.gpus)


def test_a_driver_that_hangs_does_not_hang_the_doctor(
    needs: Needs, plays: Plays, monkeypatch: pytest.MonkeyPatch
) -> None:
    stuck = plays("stuck", "sleep 600")
    plays("nvidia-smi", "sleep 600")
    monkeypatch.setattr(devices, "TORCH_S", 0.3)
    monkeypatch.setattr(devices, "DRIVER_S", 0.3)
    torch_item, driver = devices.devices(needs(python=str(stuck)))
    assert (torch_item.is_fatal, torch_item.found) == (True, f"{stuck} gave no answer within 0.3 s")
    assert (driver.state, driver.found) == (FindingState.WARNING, "nvidia-smi gave no answer within 0.3 s")


def test_what_a_login_node_lacks_a_compute_node_may_have(needs: Needs) -> None:
    item = next(devices.devices(needs(launcher="slurm", container=["no-such-container"])))
    assert (item.state, item.is_fatal) == (FindingState.WARNING, False)
    assert item.found == "no-such-container is not on the PATH, on this node at least"


def test_torch_is_asked_behind_the_setup_lines_of_the_site(needs: Needs, plays: Plays) -> None:
    python = plays("mine", 'echo "$MODULE is not what it was" >&2; exit 1')
    item = next(devices.devices(needs(setup=["export MODULE='cuda 12'"], python=str(python))))
    assert item.found == "bash: cuda 12 is not what it was"


def test_gpus_of_a_kind_are_counted(needs: Needs) -> None:
    item = judged(seen("A100", "A100", "H100", nccl="2.30.1"), needs())
    assert (item.state, item.found) == (FindingState.OK, "2 x A100 of 80 GiB, 1 x H100 of 80 GiB, NCCL 2.30.1")


def test_fewer_gpus_than_the_site_promises_are_missing_where_the_ranks_run(needs: Needs) -> None:
    facts = seen("A100", warnings=("CUDA initialization: the driver is too old",))
    item = judged(facts, needs(gpus_per_node=2))
    assert (item.is_fatal, item.remedy) == (True, "CUDA initialization: the driver is too old")
    assert judged(facts, needs(launcher="slurm", gpus_per_node=2)).state is FindingState.OK


def test_a_gpu_that_cannot_calculate_is_named(needs: Needs) -> None:
    item = judged(seen("A100", "broken"), needs(gpus_per_node=1))
    assert item.is_fatal
    assert item.found.endswith("; GPU 1: an error")


def test_a_torch_without_cuda_on_a_machine_with_gpus_is_a_warning(needs: Needs, plays: Plays) -> None:
    plays("nvidia-smi", "true")
    assert judged(seen(), needs()).remedy == "install a torch that is built for CUDA"


def test_a_gpu_that_others_use_is_a_warning(plays: Plays) -> None:
    plays("nvidia-smi", "echo '570.1, Default, 3'; echo '570.1, Default, 97'")
    [item] = devices._driver()
    assert (item.state, item.found) == (FindingState.WARNING, "570.1, 2 GPU(s), compute mode Default; GPU 1 at 97 %")
