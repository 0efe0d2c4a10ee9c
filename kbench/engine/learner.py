"""A model in training: weights, optimizer, precision; training steps and measurements."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from inspect import signature
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel

from kbench.engine.batchnorm import GroupedBatchNorm, with_groups
from kbench.engine.clock import PhaseTimer
from kbench.engine.optimizer import MovingAverage, build_optimizer
from kbench.engine.runtime.comm import Comm, lost_contact
from kbench.engine.seeds import digest, stream
from kbench.errors import RunError, WorkloadError
from kbench.strategies.api import AsCoded, Batch, Measured, Outputs
from kbench.tasks.workload import Workload

_NEW_NAME = "forward_sync_buffers"  # of DDP's broadcast_buffers, from torch 2.14 or so on
WARM_UP_STEPS = 3  # after others had the machine
SYNC_BUFFERS = _NEW_NAME if _NEW_NAME in signature(DistributedDataParallel).parameters else "broadcast_buffers"


class Learner:
    """Fresh weights for one phase, equal on all ranks and for all strategies of a seed."""

    def __init__(self, workload: Workload, seed: int, comm: Comm) -> None:
        self.workload, self.recipe, self.device = workload, workload.recipe, workload.device
        self._rank, self._n_ranks = comm.rank, comm.size
        self._size = workload.recipe.global_batch // comm.size  # [sample] of this rank's batches
        self._passed = self._size // workload.recipe.accumulate  # [sample] of a pass with gradients
        self._warm = {self._size}  # [sample] of measurements that are taken off the clock before any is on it
        self._warm_images: set[int | None] = {None}  # [pixel] sides that were trained on off the clock
        self.as_coded = AsCoded()  # of the plan that is being carried out
        self.smoothed: Tensor | None = None  # (b,) [nat] losses of the last step, where the recipe smooths labels
        self.warming_up = False  # whether the learning rate still ramps up in this epoch
        with torch.random.fork_rng(devices=[self.device] if self.device.type == "cuda" else []):
            torch.manual_seed(stream(seed, "weights"))
            model = workload.model()
        self.module = model.to(self.device).to(memory_format=self._layout())
        self._norms = self._group_norms(comm)
        self._begin()
        self._train, self._measure = self._forward_passes(comm)

    def step(self, batch: Batch, lr: float, timer: PhaseTimer) -> Measured:
        """Train on a full batch of this rank; gradients are averaged over the ranks.

        Where the recipe accumulates, it is passed in equal parts, and the gradient is that of the whole batch.

        Args:
            batch: global_batch / ranks samples, with loss weights or None.
            lr: the learning rate of this step, scaled by the plan.

        Returns:
            What its forward pass measured, before the update.
        """
        for group in self.optimizer.param_groups:
            group["lr"] = lr
        self.module.train()
        outputs: list[Tensor] = []
        losses: list[Tensor] = []
        for last, part in self._parts(batch):
            with self._gradients_averaged(now=last):
                output = self._output_of(part.x)
                loss = self.workload.criterion(output, part.y, mix=part.mix)
                outputs.append(output.detach())
                losses.append(loss.detach())
                if last:
                    measured = self._measured(_whole(outputs), batch)
                timer.lap("forward_s")
                if len(outputs) == 1:
                    self.optimizer.zero_grad(set_to_none=True)
                weighted = loss if part.weight is None else loss * part.weight
                self._backward(weighted.mean() / self.recipe.accumulate)
                timer.lap("backward_s")
        self.smoothed = _whole(losses) if self.recipe.label_smoothing else None
        self._update()
        timer.lap("update_s")
        return measured

    @torch.no_grad()
    def predict(self, x: Tensor) -> Tensor:
        """The outputs (logits) to evaluate: of the moving average where the recipe has one, else of the model."""
        return self.output(x) if self.average is None else self._in_passes(self.average.module, x)

    @torch.no_grad()
    def output(self, x: Tensor) -> Tensor:
        """The logits of a batch in evaluation mode: no graph, BatchNorm's statistics untouched.

        (b, n_classes) for ``x`` of (b, channels, height, width); (b, n_classes, height, width) for segmentation.
        """
        self.module.eval()
        return self._in_passes(self._measure, x)

    @torch.no_grad()
    def measure(self, batch: Batch) -> Measured:
        """Loss, correctness, confidence and error_norm of a batch, (b,) each, as the model stands."""
        return self._measured(self.output(batch.x), batch)

    @torch.no_grad()
    def measure_outputs(self, batch: Batch) -> tuple[Measured, Outputs]:
        """Measure a batch as ``measure`` does, with logits and the last layer's input.

        A short batch is filled up as in ``refresh``.  It is not the compiled model that is asked, where the recipe
        compiles: a hook is no part of that.

        Raises:
            RunError: The model does not end in a linear layer with an output for each class.
        """
        held: list[Tensor] = []
        handle = self._last_layer().register_forward_pre_hook(lambda _, inputs: held.append(inputs[0]))
        self.module.eval()
        try:
            logits = self._in_passes(self.module, _filled(batch.x, self._size))[: len(batch)]
        finally:
            handle.remove()
        last = held[-1] if self.recipe.accumulate == 1 else torch.cat(held)
        features = last[: len(batch)].flatten(1).float()
        return self._measured(logits, batch), Outputs(logits.float(), features)

    @property
    def n_features(self) -> int:
        """The length of the last linear layer's input; 0 where the model does not end in one."""
        layer = self.workload.classifier(self.module)
        return layer.in_features if layer else 0

    def _last_layer(self) -> nn.Linear:
        layer = self.workload.classifier(self.module)
        if layer is None:
            raise RunError(
                f"{self.workload.pair.model} does not end in a linear layer with an output for each of "
                f"{self.workload.n_classes} classes, and the strategy asks for that layer's input",
                hint="train it with another model, or take a strategy that needs losses only",
            )
        return layer

    def refresh(self, batch: Batch) -> Measured:
        """Measure again, in the mode that the plan's ``as_coded`` asks for.

        In evaluation mode a short batch is filled up and the surplus rows are dropped: libraries tune and compile for
        each new shape, and only refreshing meets new ones.  No row changes another's output there; in training mode
        it would, through BatchNorm, and as published the last batch is short.
        """
        if self.as_coded.refresh_in == "eval":
            return self._measured(self.output(_filled(batch.x, self._size))[: len(batch)], batch)
        self.module.train()
        with torch.no_grad():
            output = self._in_passes(self._measure, batch.x)
        return self._measured(output, batch)

    def _measured(self, output: Tensor, batch: Batch) -> Measured:
        over = self.as_coded.confidence_over
        return Measured(*self.workload.measure(output, batch.y, over=over, mix=batch.mix))

    def warm_up(self, batch: Batch) -> None:
        """One untimed step and one measurement, so that no method pays for compilation and tuning.

        Weights and buffers are left as they were.
        """
        before = {name: value.clone() for name, value in self.module.state_dict().items()}
        self.step(batch, 0.0, PhaseTimer(self.device))
        self.measure(batch)
        self.optimizer.zero_grad(set_to_none=True)
        self.module.load_state_dict(before)
        self._begin()

    def warm_up_again(self, batch: Batch) -> None:
        """Untimed passes after others had the machine, so that its caches are this run's again; nothing is updated.

        Random numbers are drawn: an epoch seeds their streams when it begins.
        """
        before = [buffer.clone() for buffer in self.module.buffers()]
        self.module.train()
        for _ in range(WARM_UP_STEPS):
            for last, part in self._parts(batch):
                with self._gradients_averaged(now=last):
                    self._backward(self.workload.criterion(self._output_of(part.x), part.y, mix=part.mix).mean())
            self.optimizer.zero_grad(set_to_none=True)
        self.measure(batch)
        with torch.no_grad():
            for buffer, value in zip(self.module.buffers(), before, strict=True):
                buffer.copy_(value)

    def is_cold(self, image_size: int | None) -> bool:
        """Whether nothing was trained yet on images of this side [pixel]; None is the recipe's."""
        return image_size not in self._warm_images

    def warm_up_images(self, batch: Batch, image_size: int | None) -> None:
        """Untimed passes on images of another side; no random number is drawn that counts, nothing is updated.

        Raises:
            RunError: The model takes no images of this side.
        """
        try:
            with torch.random.fork_rng(devices=[self.device] if self.device.type == "cuda" else []):
                self.warm_up_again(batch)
        except (RuntimeError, AssertionError, ValueError) as error:
            why = (str(error) or type(error).__name__).splitlines()[0]
            raise RunError(
                f"{self.workload.pair.model} takes no images of {image_size} pixels, as this epoch trains on: {why}",
                hint="take a model that takes images of any size, or another strategy",
            ) from error
        self._warm_images.add(image_size)

    def cold(self, sizes: Iterable[int]) -> set[int]:
        """Those of ``sizes`` [sample] that no measurement has had yet."""
        return set(sizes) - self._warm

    def warm_up_measurements(self, sizes: set[int]) -> None:
        """Measure made-up batches of these sizes [sample]; nothing is left of it but what libraries remember."""
        for size in sorted(sizes):
            self.output(torch.zeros(size, *self.workload.shape, device=self.device))
        self._warm |= sizes

    def digest(self) -> int:
        """A number that differs, in all likelihood, when weights or floating buffers do.

        BatchNorm's count of batches is left out: ranks may have refreshed one more than others.
        """
        values = [value for module in self._modules() for value in module.state_dict().values()]
        return int(digest(*(value for value in values if value.is_floating_point())), 16)

    def average_buffers(self, comm: Comm) -> None:
        """Replace the floating buffers of each rank, BatchNorm's statistics, by their mean over the ranks."""
        for module in self._modules():
            comm.average_buffers(module)

    def state(self) -> dict[str, Any]:
        """All that a checkpoint must hold of the training."""
        return {
            "module": self.module.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "n_updates": self.n_updates,
            "average": self.average.module.state_dict() if self.average else None,
            "scaler": self.scaler.state_dict(),
        }

    def restore(self, state: Mapping[str, Any]) -> None:
        """Set the training to what ``state`` returned."""
        self.module.load_state_dict(state["module"])
        self.optimizer.load_state_dict(state["optimizer"])
        self.n_updates = state["n_updates"]
        self.scaler.load_state_dict(state["scaler"])
        if self.average:
            self.average.module.load_state_dict(state["average"])

    def _begin(self) -> None:
        """Build an optimizer without state, an average of nothing, and a scale of the loss as torch begins with."""
        self.optimizer, self.n_updates = build_optimizer(self.module, self.recipe), 0
        self.scaler = torch.amp.GradScaler(self.device.type, enabled=self.recipe.precision == "fp16")
        self.average: MovingAverage | None = None
        if self.recipe.ema_decay > 0:
            self.average = MovingAverage(self.module, decay=self.recipe.ema_decay, every=self.recipe.ema_every)

    def _update(self) -> None:
        if self.recipe.max_grad_norm:
            self.scaler.unscale_(self.optimizer)
            nn.utils.clip_grad_norm_(self.module.parameters(), self.recipe.max_grad_norm)
        self.scaler.step(self.optimizer)  # which an infinite gradient leaves out; the scale is then halved
        self.scaler.update()
        self.n_updates += 1
        if self.average:
            self.average.follow(self.module, n_updates=self.n_updates, copying=self.warming_up)

    def _modules(self) -> list[nn.Module]:
        return [self.module, self.average.module] if self.average else [self.module]

    def _forward_passes(self, comm: Comm) -> tuple[Callable[[Tensor], Tensor], Callable[[Tensor], Tensor]]:
        """The forward pass to train with (gradients averaged over ranks) and the one to measure with.

        BatchNorm's statistics stay each rank's own within an epoch; Comm averages them at its end.
        """
        train: nn.Module = self.module
        if comm.size > 1:
            ids = [self.device.index] if self.device.type == "cuda" else None
            own_buffers: dict[str, Any] = {SYNC_BUFFERS: False}
            train = DistributedDataParallel(self.module, device_ids=ids, gradient_as_bucket_view=True, **own_buffers)
        if self.recipe.compile:
            return torch.compile(train), torch.compile(self.module)
        return train, self.module

    def _parts(self, batch: Batch) -> Iterator[tuple[bool, Batch]]:
        """The parts in which a batch of this rank is passed, each with whether it is the last."""
        n_parts = self.recipe.accumulate
        size = len(batch) // n_parts
        for i in range(n_parts):
            for norm in self._norms:
                norm.begins_step = i == 0
            yield i == n_parts - 1, batch if n_parts == 1 else batch.rows(slice(i * size, (i + 1) * size))
        for norm in self._norms:
            norm.begins_step = True

    def _output_of(self, x: Tensor) -> Tensor:
        """The output of a training pass, with a graph."""
        with self._autocast():
            return self._train(x.contiguous(memory_format=self._layout()))

    def _in_passes(self, forward: Callable[[Tensor], Tensor], x: Tensor) -> Tensor:
        """The output of a forward pass without a graph; no more samples at once than are trained on where parts are."""
        parts = [x] if self.recipe.accumulate == 1 else torch.split(x, self._passed)
        with self._autocast():
            return _whole([forward(part.contiguous(memory_format=self._layout())) for part in parts])

    def _gradients_averaged(self, *, now: bool) -> AbstractContextManager[None]:
        """Average the gradients over the ranks in the backward pass of this block, or leave it to a later one."""
        accumulating: Any = self._train
        return nullcontext() if now or self._n_ranks == 1 else accumulating.no_sync()

    def _group_norms(self, comm: Comm) -> list[GroupedBatchNorm]:
        """Give batch normalisation its groups, where they are not what a rank passes at once."""
        group, parts = self.recipe.batchnorm_group, self.recipe.accumulate
        if not self.workload.normalises_batches(self.module) or (parts == 1 and group in (0, self._size)):
            return []
        if not group:
            raise WorkloadError(
                f"accumulate {parts} would leave batch normalisation {self._passed} samples at once",
                hint=f"set batchnorm_group to {self._passed}, or to a divisor of it",
            )
        return with_groups(self.module, group=group, n_local=self._size, parts=parts, comm=comm)

    def _backward(self, loss: Tensor) -> None:
        try:
            self.scaler.scale(loss).backward()  # type: ignore[no-untyped-call]
        except RuntimeError as error:
            if "onnection" in str(error) or "timed out" in str(error).lower():
                raise lost_contact(self._rank, "averaging gradients") from error
            raise

    def _autocast(self) -> torch.autocast:
        dtype = torch.float16 if self.recipe.precision == "fp16" else torch.bfloat16
        return torch.autocast(self.device.type, dtype=dtype, enabled=self.recipe.precision != "fp32")

    def _layout(self) -> torch.memory_format:
        return torch.channels_last if self.recipe.channels_last else torch.contiguous_format


def _whole(parts: Sequence[Tensor]) -> Tensor:
    """What was passed in parts, in one; the only part itself, which is not copied."""
    return parts[0] if len(parts) == 1 else torch.cat(tuple(parts))


def _filled(x: Tensor, size: int) -> Tensor:
    """``x`` with its last row repeated up to ``size`` rows."""
    missing = size - len(x)
    return x if missing <= 0 else torch.cat([x, x[-1:].expand(missing, *x.shape[1:])])
