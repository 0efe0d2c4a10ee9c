"""The collectives of a run: every one is a method of Comm, and nothing else communicates."""

from collections.abc import Iterator
from contextlib import contextmanager
from copy import copy
from typing import TypeVar, cast

import torch
import torch.distributed as dist
from torch import Tensor, nn

from kbench.errors import RankError

T = TypeVar("T")


class Comm:
    """The ranks of this run; a collective must be called on every rank.  Alone, each is the identity.

    Small numbers travel through gloo on the CPU, so that a GPU's queue is never drained for
    them; per-sample statistics and buffers travel where they lie.
    """

    def __init__(self) -> None:
        together = dist.is_initialized()
        self.rank = dist.get_rank() if together else 0
        self.size = dist.get_world_size() if together else 1
        self.doing = ""  # what is going on with the other ranks just now
        self.n_collectives = 0  # that have ended
        on_gpus = together and dist.get_backend() == "nccl"
        self._devices: dist.ProcessGroup | None = None  # None: the group that everything uses
        self._hosts: dist.ProcessGroup | None = None  # likewise
        if on_gpus:
            self._hosts = cast(dist.ProcessGroup, dist.new_group(backend="gloo"))

    def block(self, n: int) -> "Comm":
        """The ``n`` consecutive ranks that this one is among; ``n`` divides their number, and every rank must call."""
        if n == self.size:
            return self
        block = copy(self)
        block.rank, block.size = self.rank % n, n
        for first in range(0, self.size, n) if n > 1 else ():  # every rank takes part in making every group
            ranks = list(range(first, first + n))
            devices = cast(dist.ProcessGroup, dist.new_group(ranks))
            hosts = devices if self._hosts is None else cast(dist.ProcessGroup, dist.new_group(ranks, backend="gloo"))
            if self.rank in ranks:
                block._devices, block._hosts = devices, hosts
        return block

    def __deepcopy__(self, _: object) -> "Comm":
        return self  # a copy of a model is on the same ranks

    def sum(self, values: Tensor) -> Tensor:
        """Sum ``values`` (any shape and number type) over the ranks, in place, on the device where they lie."""
        if self.size > 1:
            with self._in_touch("summing up"):
                dist.all_reduce(values, group=self._group(values))
        return values

    def min(self, n: int) -> int:
        """The smallest ``n`` of all ranks."""
        return int(self._extreme(torch.tensor(n), dist.ReduceOp.MIN))

    def gather(self, values: list[float]) -> list[list[float]]:
        """The ``values`` of every rank, in the order of the ranks: (ranks, len(values)), equally many on each."""
        table = torch.zeros(self.size, len(values), dtype=torch.float64)
        table[self.rank] = torch.tensor(values, dtype=torch.float64)
        return [[float(x) for x in row] for row in self.sum(table)]

    def gather_text(self, text: str) -> list[str]:
        """The ``text`` of every rank, in the order of the ranks."""
        return self.gather_objects(text)

    def gather_objects(self, thing: T) -> list[T]:
        """The ``thing`` of every rank, in the order of the ranks; it must pickle."""
        things = [thing] * self.size
        if self.size > 1:
            with self._in_touch("exchanging objects"):
                dist.all_gather_object(things, thing, group=self._hosts)
        return things

    def agree(self, n: int, what: str) -> None:
        """Raise RankError on every rank unless ``n``, in (-2^63, 2^63), is the same on all of them.

        Args:
            what: the subject of the error's sentence.
        """
        both = self._extreme(torch.tensor([n, -n], dtype=torch.int64), dist.ReduceOp.MIN)
        if both[0] != -both[1]:
            raise RankError(
                f"{what} differs between the ranks",
                hint="a strategy must plan from its arguments alone; rank-local randomness belongs in select",
            )

    def barrier(self) -> None:
        """Wait until every rank is here."""
        self.min(0)

    def average_buffers(self, module: nn.Module) -> None:
        """Replace the floating buffers (BatchNorm's statistics) by their mean over the ranks."""
        buffers = [b for b in module.buffers() if b.is_floating_point()]
        if self.size > 1 and buffers:
            mean = self.sum(torch.cat([b.flatten() for b in buffers])) / self.size
            for buffer, part in zip(buffers, torch.split(mean, [b.numel() for b in buffers]), strict=True):
                buffer.copy_(part.view_as(buffer))

    def _extreme(self, values: Tensor, op: dist.ReduceOp.RedOpType) -> Tensor:
        if self.size > 1:
            with self._in_touch("waiting for the others"):
                dist.all_reduce(values, op=op, group=self._hosts)
        return values

    @contextmanager
    def _in_touch(self, doing: str) -> Iterator[None]:
        """Raise a RankError where the transport reports a lost peer; a watchdog sees what is waited for."""
        self.doing = doing
        try:
            yield
        except RuntimeError as error:
            raise lost_contact(self.rank, doing) from error
        finally:
            self.doing = ""
            self.n_collectives += 1

    def _group(self, values: Tensor) -> dist.ProcessGroup | None:
        return self._devices if values.is_cuda else self._hosts


def lost_contact(rank: int, doing: str) -> RankError:
    """The error of a rank whose peer went away."""
    return RankError(
        f"rank {rank} lost contact with another rank while {doing}",
        hint="another rank ended first, perhaps killed for want of memory; stderr.log holds the last that it printed",
    )
