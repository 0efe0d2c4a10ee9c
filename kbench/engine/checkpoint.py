"""Checkpoints: what a run needs, between two epochs, to go on as if nothing had happened."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from pickle import UnpicklingError
from typing import Any

import torch
from torch import Tensor

from kbench import files
from kbench.engine.learner import Learner
from kbench.engine.runtime.comm import Comm
from kbench.engine.samples import SampleStore
from kbench.engine.seeds import digest
from kbench.errors import RunError
from kbench.records.folders import RunDir
from kbench.strategies.api import Strategy, load_state_dict, state_dict

PLACE = ("phase", "epoch", "elapsed_s", "disturbed", "state")


@dataclass(frozen=True, kw_only=True)
class ResumePoint:
    """Where a run begins or resumes: the phase and the epoch in it, both from 0."""

    phase: int = 0
    epoch: int = 0
    elapsed_s: float = 0.0  # [s] on the run's clock
    disturbed: tuple[str, ...] = ()  # random streams of others that the strategy has moved
    state: dict[str, Any] = field(default_factory=dict)
    note: str = ""  # why the run begins anew although there was a checkpoint

    def restore(self, learner: Learner, store: SampleStore, strategy: Strategy, *, rank: int) -> None:
        """Set weights, statistics and the strategy's state to the checkpoint's; does nothing where a run begins."""
        if self.state:
            learner.restore(self.state)
            store.values.copy_(self.state["values"])
            store.age.copy_(self.state["age"])
            of_ranks: list[dict[str, Any]] = self.state["memory_of_rank"]
            device = store.values.device
            past = self.state["memory"] | of_ranks[rank]
            load_state_dict(strategy, {name: _moved(value, device) for name, value in past.items()})


def save(
    path: Path, *, phase: int, epoch: int, elapsed_s: float, learner: Learner, store: SampleStore,
    strategy: Strategy, comm: Comm, made_by: Mapping[str, object], disturbed: Iterable[str] = (),
) -> None:  # fmt: skip
    """Write a checkpoint, whole or not at all; every rank must call, rank 0 writes.

    Fields of the strategy's state that are equal on all ranks are written once.

    Args:
        phase: number of the phase, from 0.
        epoch: the next one in it, from 0.
        elapsed_s: [s] on the run's clock.
        made_by: what source and machine made it.
        disturbed: random streams of others that the strategy has moved.
    """
    shared, of_ranks = _states(strategy, comm)
    if comm.rank:
        return
    state = {
        **learner.state(),
        "values": store.values,
        "age": store.age,
        "memory": shared,
        "memory_of_rank": of_ranks,
    }
    place = {
        "phase": phase,
        "epoch": epoch,
        "elapsed_s": elapsed_s,
        "disturbed": tuple(disturbed),
        "made_by": dict(made_by),
    }
    with files.writing(path, sync=True) as draft, draft.open("wb") as file:
        torch.save({**place, "state": state}, file)


def load(path: Path, *, comm: Comm, device: torch.device, made_by: Mapping[str, object]) -> ResumePoint:
    """Read where to begin: at the checkpoint, if there is one that this source made on such a machine.

    Half of a run by one program and half by another is no measurement: any other is deleted, and
    the ``note`` of the resume point says why.
    """
    found, note = _read(path, device)
    if found and found["made_by"] != made_by:
        differ = ", ".join(key for key in made_by if made_by[key] != found["made_by"].get(key))
        found, note = {}, f"{path.name} is of another make ({differ}); the run begins anew"
    if not comm.min(int(bool(found))):
        comm.barrier()  # no rank reads it any more
        if comm.rank == 0:
            path.unlink(missing_ok=True)
        return ResumePoint(note=note)
    return ResumePoint(**{key: found[key] for key in PLACE})


def final_weights(run: RunDir) -> dict[str, Tensor]:
    """Read the weights that a done run ended with: their moving average where it has one.

    Raises:
        RunError: its checkpoint is gone, or cannot be read.
    """
    found, note = _read(run.checkpoint, torch.device("cpu"))
    if not found:
        raise RunError(
            f"{run.run_id}: {note or 'its checkpoint is gone'}, and this run begins with its weights",
            hint="delete its folder, then kbench run trains it again",
        )
    weights: dict[str, Tensor] = found["state"].get("average") or found["state"]["module"]
    return weights


def _read(path: Path, device: torch.device) -> tuple[dict[str, Any], str]:
    """What a checkpoint holds, or nothing and why."""
    if not path.exists():
        return {}, ""
    try:
        found = torch.load(path, map_location=device, weights_only=True)
        return {key: found[key] for key in (*PLACE, "made_by")}, ""
    except (OSError, RuntimeError, ValueError, EOFError, LookupError, TypeError, UnpicklingError) as error:
        why = (str(error) or type(error).__name__).splitlines()[0]
        return {}, f"{path.name} cannot be read ({why}); the run begins anew"


def _states(strategy: Strategy, comm: Comm) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """The fields of a strategy's state that are equal on all ranks, and the others of each rank (a list by rank)."""
    own = state_dict(strategy)
    marks = [mark.split(" ") for mark in comm.gather_text(" ".join(map(_mark, own.values())))]
    alike = [len(set(column)) == 1 for column in zip(*marks, strict=True)] if own else []
    shared = {name: value for (name, value), same in zip(own.items(), alike, strict=True) if same}
    return shared, comm.gather_objects({name: value for name, value in own.items() if name not in shared})


def _mark(value: Any) -> str:
    return digest(value) if isinstance(value, Tensor) else digest(torch.tensor(list(repr(value).encode())))


def _moved(value: Any, device: torch.device) -> Any:
    return value.to(device) if isinstance(value, Tensor) else value
