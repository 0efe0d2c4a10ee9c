"""The sensors of a rank's GPU through NVML: clock, limits, temperature, power, other processes.

pynvml (``pip install nvidia-ml-py``) is used where it is there; without it nothing is known, and nothing is missed.
"""

import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from importlib import import_module
from typing import Any, TypeVar

import torch

T = TypeVar("T")
LIMITS = {  # bits of nvmlDeviceGetCurrentClocksThrottleReasons (nvml.h) that hold a clock down although there is work
    0x4: "power cap",
    0x8: "hardware slowdown",
    0x10: "sync boost",
    0x20: "thermal slowdown by software",
    0x40: "thermal slowdown by hardware",
    0x80: "power brake",
}
POLICY_POWER, POLICY_THERMAL = 0, 1  # nvmlPerfPolicyType_t
CLOCK_SM, SENSOR_CORE = 1, 0  # nvmlClockType_t, nvmlTemperatureSensors_t


@dataclass(frozen=True, kw_only=True)
class GpuReading:
    """A GPU as an epoch ends; None is what it does not say."""

    uuid: str
    mhz: float | None
    throttled: tuple[str, ...] | None  # why its clock is held down
    throttle_s: float | None  # that power or heat held it down during the epoch
    temperature_c: float | None
    power_w: float | None  # mean over the epoch
    n_processes: int | None  # that compute on it, of whomever


class GpuSensors:
    """Reads the GPU of one rank before and after an epoch; ``reading`` is None where NVML does not know it."""

    def __init__(self, device: torch.device) -> None:
        self.reading: GpuReading | None = None
        self._uuid = _uuid(device)
        self._nvml, self._handle = _open(self._uuid)
        self._began = 0.0
        self._energy_mj: int | None = None
        self._held_ns: int | None = None

    def start(self) -> None:
        """Note the counters of energy and of time below the clock."""
        if self._nvml:
            self._began, self._energy_mj, self._held_ns = time.perf_counter(), self._energy(), self._held()

    def stop(self) -> None:
        """Take a reading; nothing waits for the device."""
        if not self._nvml:
            return
        seconds, energy_mj, held_ns = time.perf_counter() - self._began, self._energy(), self._held()
        bits = self._ask("nvmlDeviceGetCurrentClocksThrottleReasons")
        processes = self._ask("nvmlDeviceGetComputeRunningProcesses")
        used_mj = None if energy_mj is None or self._energy_mj is None else energy_mj - self._energy_mj
        lost_ns = None if held_ns is None or self._held_ns is None else held_ns - self._held_ns
        self.reading = GpuReading(
            uuid=self._uuid,
            mhz=self._ask("nvmlDeviceGetClockInfo", CLOCK_SM),
            throttled=None if bits is None else tuple(name for bit, name in LIMITS.items() if bits & bit),
            throttle_s=None if lost_ns is None else lost_ns / 1e9,
            temperature_c=self._ask("nvmlDeviceGetTemperature", SENSOR_CORE),
            power_w=None if used_mj is None or seconds <= 0 else used_mj / 1e3 / seconds,
            n_processes=None if processes is None else len(processes),
        )

    def _energy(self) -> int | None:
        found: int | None = self._ask("nvmlDeviceGetTotalEnergyConsumption")  # [mJ] since the driver was loaded
        return found

    def _held(self) -> int | None:
        """Time below the clock [ns] for want of power and for heat together; None where neither is counted."""
        found = [self._ask("nvmlDeviceGetViolationStatus", policy) for policy in (POLICY_POWER, POLICY_THERMAL)]
        times = [status.violationTime for status in found if status is not None]
        return sum(times) if times else None

    def _ask(self, function: str, *arguments: int) -> Any:
        """What NVML answers; None where this GPU, driver or version of pynvml does not know it."""
        return _quietly(lambda: getattr(self._nvml, function)(self._handle, *arguments), self._nvml)


def _open(uuid: str) -> tuple[Any, Any]:
    """NVML and its handle of a GPU; (None, None) where there is none."""
    try:
        nvml = import_module("pynvml")
    except ImportError:
        return None, None

    def handle() -> Any:
        nvml.nvmlInit()
        return nvml.nvmlDeviceGetHandleByUUID(uuid)

    found = _quietly(handle, nvml) if uuid else None
    return (nvml, found) if found is not None else (None, None)


def _quietly(ask: Callable[[], T], nvml: Any) -> T | None:
    with suppress(nvml.NVMLError, AttributeError, TypeError):
        return ask()
    return None


def _uuid(device: torch.device) -> str:
    """NVML's name of a CUDA device; empty where torch does not tell it."""
    uuid = str(getattr(torch.cuda.get_device_properties(device), "uuid", ""))
    return uuid if not uuid or uuid.startswith(("GPU-", "MIG-")) else f"GPU-{uuid}"
