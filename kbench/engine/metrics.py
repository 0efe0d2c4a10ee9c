"""The metrics of one epoch over all ranks: counts, sums, times, memory."""

import math
import resource
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime

import torch
from torch import Tensor

from kbench.engine.clock import PARTS, PhaseTimer, cpu_time_s
from kbench.engine.disturbance import DisturbanceMonitor
from kbench.engine.evaluate import Score
from kbench.engine.probe import ModelProbe
from kbench.engine.runtime.comm import Comm
from kbench.errors import RunError
from kbench.records.schema import EpochRecord
from kbench.strategies.api import Epoch, EpochPlan, Measured


class EpochMetrics:
    """Counts on the host, sums on the device; nothing is read from the device before the epoch is over."""

    def __init__(self, device: torch.device, comm: Comm, global_batch: int, monitor: DisturbanceMonitor) -> None:
        self._device, self._comm, self._global_batch, self._monitor = device, comm, global_batch, monitor
        self._sums = torch.zeros(3, dtype=torch.float64, device=device)  # loss, correct, loss with smoothed labels
        self._smooths = False  # whether the recipe smooths labels
        self._parts: dict[str, float] = {}
        self._cpu_s = 0.0  # [s] when the clock was started, then between start and stop
        self.n_trained = self.n_refreshed = 0
        self.train_s = 0.0
        self._of_epoch: dict[str, object] = {}

    def start(self, timer: PhaseTimer) -> None:
        """Wait for all ranks and start the clocks."""
        self._monitor.start()
        self._comm.barrier()
        if self._device.type == "cuda":
            torch.cuda.reset_peak_memory_stats(self._device)
        self._cpu_s = cpu_time_s()
        timer.start()

    @contextmanager
    def off_clock(self, timer: PhaseTimer) -> Iterator[None]:
        """What happens inside the ``with`` block is on no clock; what came before it has had its lap."""
        before = cpu_time_s()
        yield
        timer.skip()
        self._cpu_s += cpu_time_s() - before

    def trained(self, measured: Measured, smoothed: Tensor | None) -> None:
        """Count a batch that was trained on; ``smoothed``: (b,) [nat] losses against labels that the recipe smooths."""
        sums = [measured.loss.double().sum(), measured.correct.double().sum()]
        sums.append(sums[0] if smoothed is None else smoothed.double().sum())
        self._sums += torch.stack(sums)
        self._smooths = smoothed is not None
        self.n_trained += len(measured.loss)

    def stop(self, timer: PhaseTimer) -> None:
        """Stop the clocks."""
        self._monitor.read_gpu()
        self._parts = timer.stop()
        self._cpu_s = cpu_time_s() - self._cpu_s
        self._monitor.stop()

    def close(self, epoch: Epoch, plan: EpochPlan, probe: ModelProbe, *, lr: float) -> None:
        """Add up the counts over the ranks; the slowest rank's time is the epoch's.

        Args:
            lr: the scheduled learning rate in the middle of the epoch, before the plan scales it.

        Raises:
            RunError: nothing was trained on, or the training loss is not finite; on every rank.
        """
        mine = [float(peak_memory_bytes(self._device)), probe.background_s]
        mine += [self.n_trained, probe.n_scored, self.n_refreshed, probe.n_dropped, self._cpu_s, *self._sums.tolist()]
        ranks = self._comm.gather(mine + [self._parts[part] for part in PARTS])
        columns = list(zip(*ranks, strict=True))
        trained, scored, refreshed, dropped, cpu_s, loss, correct, smoothed = map(sum, columns[2:10])
        slowest = max((row[10:] for row in ranks), key=sum)
        measured_s = sum(slowest)
        parts = dict(zip(PARTS, slowest, strict=True)) | {"charged_s": plan.charged_s}
        self.train_s = measured_s + plan.charged_s
        self._check(epoch, plan, trained, loss, lr)
        planned = torch.zeros(epoch.n_samples, dtype=torch.bool, device=plan.indices.device)
        planned[plan.indices] = True
        self._of_epoch = {
            "phase": epoch.phase,
            "epoch": epoch.index,
            "lr": lr,
            "lr_scale": plan.lr_scale,
            "n_samples": epoch.n_samples,
            "n_trained": int(trained),
            "n_scored": int(scored),
            "n_refreshed": int(refreshed),
            "n_hidden": int(epoch.n_samples - planned.sum()),
            "ceiling": plan.ceiling,
            "n_dropped": int(dropped) + len(plan.indices) % self._global_batch,
            "train_loss": loss / trained,
            "train_loss_smoothed": smoothed / trained if self._smooths and math.isfinite(smoothed) else None,
            "train_acc": correct / trained,
            "train_s": self.train_s,
            **parts,
            "background_s": max(columns[1]),
            "cpu_s": cpu_s,
            **self._monitor.together(self._comm, train_s=measured_s, cpu_s=cpu_s).columns(),
            "peak_mem_bytes": int(max(columns[0])),
        }

    def _check(self, epoch: Epoch, plan: EpochPlan, trained: float, loss: float, lr: float) -> None:
        where = f"in epoch {epoch.index} ({epoch.phase})"
        if not trained:
            raise RunError(
                f"nothing was trained on {where}: of {len(plan.indices)} samples planned, fewer were kept "
                f"than one global batch of {self._global_batch}",
                hint="select more, or use a smaller global_batch",
            )
        if not math.isfinite(loss):
            raise RunError(
                f"the training loss is not finite {where}, lr {lr * plan.lr_scale:g}",
                hint="lower lr, lengthen warmup_epochs, or use precision fp32",
            )

    def record(self, attempt: int, elapsed_s: float, score: Score) -> EpochRecord:
        """The epoch as it goes into the journal."""
        return EpochRecord.model_validate(
            {
                **self._of_epoch,
                "attempt": attempt,
                "elapsed_s": elapsed_s,
                "val_loss": score.loss if math.isfinite(score.loss) else None,
                "val_acc1": score.acc1,
                "val_acc5": score.acc5,
                "val_acc_worst": score.acc_worst,
                "val_acc_classes": score.acc_classes,
                "eval_s": score.eval_s,
                "ended_at": datetime.now(UTC),
            }
        )


def peak_memory_bytes(device: torch.device) -> int:
    """The most memory so far: of the device since the epoch began, or of this process since it began."""
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device)
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit
