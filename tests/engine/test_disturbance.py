"""What disturbed an epoch: read from the system, put together over ranks; null where it cannot be known."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch

from kbench.engine import disturbance
from kbench.engine.disturbance import DisturbanceMonitor, RankDisturbance, Reading, combined, read_host
from kbench.engine.gpu_sensors import GpuReading, GpuSensors
from kbench.engine.runtime.comm import Comm
from kbench.records.migrations import ADDED_IN_3
from kbench.records.schema import EpochRecord

START = Reading(
    at=100.0, cpu_s=10.0, wait_s=1.0, n_involuntary=50, busy_s=1000.0, steal_s=5.0, load=0.5, n_runnable=2,
    pressure_s={"cpu": 7.0, "io": 1.0},
)  # fmt: skip
END = Reading(
    at=110.0, cpu_s=22.0, wait_s=4.0, n_involuntary=80, busy_s=1030.0, steal_s=6.0, load=2.5, n_runnable=7,
    pressure_s={"cpu": 12.0, "io": 1.0},
)  # fmt: skip
RANK = RankDisturbance(
    host="n1", n_processors=4, seconds=10.0, start=START, end=END, n_threads=2, mhz=3000.0, gpu=None
)  # fmt: skip
GPU = GpuReading(
    uuid="GPU-1", mhz=1400.0, throttled=("power cap",), throttle_s=0.5, temperature_c=70.0, power_w=300.0, n_processes=1
)


def test_one_rank_is_told_what_its_threads_and_its_host_went_through() -> None:
    seen = combined([RANK], train_s=8.0, cpu_s=12.0, device="cpu")
    assert seen.cpu_share == 12.0 / (8.0 * 2)
    assert (seen.cpu_wait_s, seen.ctx_involuntary) == (3.0, 30)
    assert seen.others_share == (30.0 - 12.0) / (10.0 * 4)
    assert seen.steal_share == 1.0 / (10.0 * 4)
    assert (seen.load_start, seen.load_end, seen.runnable_start, seen.runnable_end) == (0.5, 2.5, 2, 7)
    assert (seen.pressure_cpu, seen.pressure_io, seen.pressure_memory) == (0.5, 0.0, None)
    assert (seen.cpu_mhz, seen.gpu_mhz, seen.gpu_throttled, seen.gpu_others) == (3000.0, None, None, None)


def test_ranks_of_a_host_are_no_others_and_the_worst_host_counts() -> None:
    same, other = replace(RANK), replace(RANK, host="n2", mhz=2000.0, end=replace(END, busy_s=1012.0, load=9.0))
    seen = combined([RANK, same, other], train_s=10.0, cpu_s=36.0, device="cpu")
    assert seen.others_share == (30.0 - 2 * 12.0) / (10.0 * 4)  # n1's; n2's rank is all that runs there
    assert seen.cpu_share == 36.0 / (10.0 * 6)
    assert (seen.cpu_wait_s, seen.ctx_involuntary, seen.load_end, seen.cpu_mhz) == (9.0, 90, 9.0, 2000.0)


def test_a_sum_is_unknown_where_one_rank_does_not_know_its_part() -> None:
    blind = replace(RANK, end=replace(END, wait_s=None, n_involuntary=None))
    seen = combined([RANK, blind], train_s=10.0, cpu_s=24.0, device="cpu")
    assert seen.cpu_wait_s is None and seen.ctx_involuntary is None and seen.load_end == 2.5


def test_counts_of_threads_that_have_ended_make_no_negative_number() -> None:
    shrunk = replace(RANK, end=replace(END, wait_s=0.25, busy_s=1001.0))
    seen = combined([shrunk], train_s=10.0, cpu_s=12.0, device="cpu")
    assert (seen.cpu_wait_s, seen.others_share) == (0.0, 0.0)


def test_gpus_show_their_worst_and_their_power_together() -> None:
    hot = replace(GPU, uuid="GPU-2", mhz=900.0, throttled=("thermal slowdown by hardware", "power cap"), n_processes=3)
    seen = combined([replace(RANK, gpu=GPU), replace(RANK, gpu=hot)], train_s=10.0, cpu_s=24.0, device="cuda")
    assert (seen.gpu_mhz, seen.gpu_power_w, seen.gpu_temperature_c, seen.gpu_throttle_s) == (900.0, 600.0, 70.0, 0.5)
    assert seen.gpu_throttled == "power cap, thermal slowdown by hardware"
    assert seen.gpu_others == 2
    assert seen.cpu_share is None


def test_ranks_that_share_a_gpu_are_no_others_on_it() -> None:
    both = replace(RANK, gpu=replace(GPU, n_processes=2))
    assert combined([both, both], train_s=10.0, cpu_s=24.0, device="cuda").gpu_others == 0


def test_of_gpus_that_one_rank_cannot_read_nothing_is_said() -> None:
    seen = combined([replace(RANK, gpu=GPU), RANK], train_s=10.0, cpu_s=24.0, device="cuda")
    assert {seen.gpu_mhz, seen.gpu_power_w, seen.gpu_others, seen.gpu_throttled} == {None}


def test_on_linux_the_host_says_all_of_it_and_counters_only_rise() -> None:
    before = read_host()
    sum(i * i for i in range(200_000))
    after = read_host()
    assert after.at > before.at and after.cpu_s > before.cpu_s and after.busy_s >= before.busy_s
    assert before.load is not None and before.n_runnable and before.n_involuntary is not None
    assert after.wait_s is None or after.wait_s >= (before.wait_s or 0.0)


def test_without_proc_nothing_is_known_and_nothing_breaks(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(disturbance, "PROC", tmp_path)
    monitor = DisturbanceMonitor(torch.device("cpu"))
    monitor.start()
    monitor.stop()
    seen = monitor.together(Comm(), train_s=1.0, cpu_s=0.5)
    assert (seen.cpu_wait_s, seen.runnable_end, seen.pressure_cpu, seen.cpu_mhz) == (None, None, None, None)
    assert seen.cpu_share == 0.5 / torch.get_num_threads()


def test_every_column_of_disturbance_is_in_the_record_of_a_trained_epoch(training_of: Callable[..., object]) -> None:
    record = training_of().records[0]  # type: ignore[attr-defined]
    assert set(combined([RANK], train_s=1.0, cpu_s=1.0, device="cpu").columns()) == ADDED_IN_3
    assert ADDED_IN_3 <= EpochRecord.model_fields.keys()
    assert record.cpu_share == pytest.approx(record.cpu_s / (record.train_s * torch.get_num_threads()))
    assert record.others_share is not None and 0 <= record.others_share <= 1.1


# NVML, played: no test machine can be hot


class NVMLError(Exception):
    pass


def nvml(*, answers: dict[str, object]) -> SimpleNamespace:
    """A pynvml that answers these, and knows nothing else."""
    played = SimpleNamespace(NVMLError=NVMLError, nvmlInit=lambda: None, nvmlDeviceGetHandleByUUID=lambda uuid: uuid)

    def answer(name: str) -> Callable[..., object]:
        def call(handle: str, *_: object) -> object:
            if isinstance(answers[name], list):
                return answers[name].pop(0)  # type: ignore[attr-defined]
            return answers[name]

        return call

    for name in answers:
        setattr(played, name, answer(name))
    return played


@pytest.fixture
def sensors(monkeypatch: pytest.MonkeyPatch) -> Callable[..., GpuSensors]:
    """The sensors of a GPU that NVML answers for."""

    def make(answers: dict[str, object]) -> GpuSensors:
        monkeypatch.setattr(torch.cuda, "get_device_properties", lambda _: SimpleNamespace(uuid="1"))
        monkeypatch.setitem(__import__("sys").modules, "pynvml", nvml(answers=answers))
        return GpuSensors(torch.device("cuda", 0))

    return make


def test_the_sensors_are_read_through_nvml(sensors: Callable[..., GpuSensors]) -> None:
    found = sensors(
        {
            "nvmlDeviceGetClockInfo": 1200,
            "nvmlDeviceGetCurrentClocksThrottleReasons": 0x4 | 0x1,  # 0x1: idle
            "nvmlDeviceGetTemperature": 81,
            "nvmlDeviceGetTotalEnergyConsumption": [1_000, 5_000],
            "nvmlDeviceGetViolationStatus": [SimpleNamespace(violationTime=t * 10**9) for t in (1, 0, 3, 1)],
            "nvmlDeviceGetComputeRunningProcesses": [[1, 2]],
        }
    )
    found.start()
    found.stop()
    assert found.reading and found.reading.power_w and found.reading.power_w > 0
    assert replace(found.reading, power_w=None) == GpuReading(
        uuid="GPU-1", mhz=1200, throttled=("power cap",), throttle_s=3.0, temperature_c=81, power_w=None, n_processes=2
    )


def test_what_nvml_does_not_know_is_null(sensors: Callable[..., GpuSensors]) -> None:
    found = sensors({"nvmlDeviceGetTemperature": 50})
    found.start()
    found.stop()
    assert found.reading == GpuReading(
        uuid="GPU-1", mhz=None, throttled=None, throttle_s=None, temperature_c=50, power_w=None, n_processes=None
    )


def test_without_nvml_there_is_no_reading(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "get_device_properties", lambda _: SimpleNamespace(uuid="1"))
    monkeypatch.setitem(__import__("sys").modules, "pynvml", None)
    found = GpuSensors(torch.device("cuda", 0))
    found.start()
    found.stop()
    assert found.reading is None
