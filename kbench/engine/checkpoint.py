"""Checkpoints: what a run needs, between two epochs, to go on as if nothing had happened.

A checkpoint is a line with a checksum, then what torch saved; nothing of it is unpacked before the checksum of the
whole was found right, and then without pickle's power to run code (``weights_only``).  The one before is kept.
"""

import hashlib
import io
import os
from collections.abc import Iterable, Mapping
from contextlib import suppress
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
from kbench.errors import ResultsError, RunError
from kbench.records.folders import RunDir
from kbench.records.snapshot import PREVIOUS
from kbench.strategies.api import Strategy, load_state_dict, state_dict

PLACE = ("phase", "epoch", "elapsed_s", "disturbed", "state")
MAGIC = b"kbench checkpoint 2, blake2b "  # the checksum of all that follows it, in hex, ends the line
HEAD = len(MAGIC) + 2 * hashlib.blake2b().digest_size + 1


@dataclass(frozen=True, kw_only=True)
class ResumePoint:
    """Where a run begins or resumes: the phase and the epoch in it, both from 0."""

    phase: int = 0
    epoch: int = 0
    elapsed_s: float = 0.0  # [s] on the run's clock
    disturbed: tuple[str, ...] = ()  # random streams of others that the strategy has moved
    state: dict[str, Any] = field(default_factory=dict)
    note: str = ""  # why the run does not go on at its last checkpoint although there was one

    @property
    def final_digest(self) -> str | None:
        """The digest of the weights in the checkpoint; None where a run begins."""
        return digest_of(self.state) if self.state else None

    def restore(self, learner: Learner, store: SampleStore, strategy: Strategy, *, rank: int) -> None:
        """Set weights, statistics and the strategy's state to the checkpoint's; does nothing where a run begins."""
        if self.state:
            learner.restore(self.state)
            store.values.copy_(self.state["values"])
            store.age.copy_(self.state["age"])
            if store.memory is not None and self.state.get("sample_memory") is not None:
                store.memory.copy_(self.state["sample_memory"])
            of_ranks: list[dict[str, Any]] = self.state["memory_of_rank"]
            device = store.values.device
            past = self.state["memory"] | of_ranks[rank]
            load_state_dict(strategy, {name: _moved(value, device) for name, value in past.items()})


def save(
    path: Path, *, phase: int, epoch: int, elapsed_s: float, learner: Learner, store: SampleStore,
    strategy: Strategy, comm: Comm, made_by: Mapping[str, object], disturbed: Iterable[str] = (),
) -> None:  # fmt: skip
    """Write a checkpoint, whole or not at all; every rank must call, rank 0 writes.

    It is read back and found right before it takes the place of the one before, which stays beside it.
    Where there is no room for both, the older one goes.  Raises ResultsError where there is none for this one.

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
        "sample_memory": store.memory,
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
    replace_checkpoint(path, sealed({**place, "state": state}))


def load(path: Path, *, comm: Comm, device: torch.device, made_by: Mapping[str, object]) -> ResumePoint:
    """Read where to begin: at the checkpoint, or the one before it, that this source made on such a machine.

    A damaged checkpoint is deleted and the one before it takes its place.  Half of a run by one program and half by
    another is no measurement: one of another make is deleted too.  The ``note`` of the resume point says why.
    """
    if comm.rank == 0:
        files.remove_drafts(path, of_any=True)  # only a run's ranks write its checkpoints, and these are they now
    notes: list[str] = []
    for candidate in (path, path.with_name(PREVIOUS)):
        found, note = _read(candidate, device)
        if found and found["made_by"] != made_by:
            differ = ", ".join(key for key in made_by if made_by[key] != found["made_by"].get(key))
            found, note = {}, f"{candidate.name} is of another make ({differ})"
        places = comm.gather_text(repr([found[key] for key in ("phase", "epoch", "elapsed_s")] if found else None))
        if found and len(set(places)) > 1:
            note = f"{candidate.name} is not the same for every rank"
        elif found:
            if comm.rank == 0 and candidate != path:
                candidate.replace(path)
            comm.barrier()  # every rank has read it, and the next attempt finds it where it belongs
            why = "; ".join(notes) or f"{path.name} is gone"
            note = f"{why}; the run goes on from the one before it, after epoch {found['epoch']}"
            return ResumePoint(**{key: found[key] for key in PLACE}, note=note if candidate != path else "")
        notes += [note] if note else []
        comm.barrier()  # no rank reads it any more
        if comm.rank == 0:
            candidate.unlink(missing_ok=True)
    return ResumePoint(note="; ".join([*notes, "the run begins anew"] if notes else []))


def final_weights(run: RunDir, recorded: str | None) -> dict[str, Tensor]:
    """Read the weights that a done run ended with: their moving average where it has one.

    Args:
        run: Its folder.
        recorded: The digest of those weights in its done.json.

    Raises:
        RunError: its checkpoint is gone, cannot be read, or holds other weights than those.
    """
    found, note = _read(run.checkpoint, torch.device("cpu"))
    if found and recorded is None:
        note = "its done.json has no digest of the weights that it ended with, so an older kbench wrote it"
    elif found and digest_of(found["state"]) != recorded:
        note = f"{run.checkpoint.name} holds other weights than those that it ended with"
        note += f" (it was written after epoch {found['epoch']}; see its stderr.log)"
    if note or not found:
        raise RunError(
            f"{run.run_id}: {note or 'its checkpoint is gone'}, and this run begins with its weights",
            hint=f"train it again: kbench run EXPERIMENT --redo {run.run_id}",
        )
    return _weights(found["state"])


def digest_of(state: Mapping[str, Any]) -> str:
    """The digest of the weights that a run which ended with this state of a learner has: names, types and values."""
    hashed = hashlib.blake2b(digest_size=16)
    for name, value in sorted(_weights(state).items()):
        hashed.update(f"{name} {value.dtype} {tuple(value.shape)} ".encode())
        hashed.update(value.detach().cpu().contiguous().flatten().view(torch.uint8).numpy().tobytes())
    return hashed.hexdigest()


def _weights(state: Mapping[str, Any]) -> dict[str, Tensor]:
    weights: dict[str, Tensor] = state.get("average") or state["module"]
    return weights


def sealed(content: Mapping[str, Any]) -> memoryview:
    """What torch saves of it, in memory: on a full disk torch raises a RuntimeError of its own over the OSError."""
    saved = io.BytesIO()
    saved.write(b" " * HEAD)
    torch.save(dict(content), saved)
    saved.seek(0)
    saved.write(_head(saved.getbuffer()[HEAD:]))
    return saved.getbuffer()


def _head(saved: memoryview) -> bytes:
    return MAGIC + hashlib.blake2b(saved).hexdigest().encode() + b"\n"


def unsealed(content: bytes) -> memoryview:
    """What torch saved; raises ValueError where the checksum is not that of the whole."""
    saved = memoryview(content)[HEAD:]
    if not content.startswith(MAGIC):
        raise ValueError("it has no checksum")
    if content[:HEAD] != _head(saved):
        raise ValueError("its checksum is wrong")
    return saved


def replace_checkpoint(path: Path, content: memoryview) -> None:
    """Put a checkpoint in place of the one at ``path``, which stays beside it; the older one goes if it must.

    Raises ResultsError where it cannot be written.
    """
    try:
        _replace(path, content)
    except ResultsError:
        before = path.with_name(PREVIOUS)
        if not before.exists():
            raise
        before.unlink()
        _replace(path, content)


def _replace(path: Path, content: memoryview) -> None:
    with files.writing(path, sync=True) as draft:
        draft.write_bytes(content)
        if draft.read_bytes() != content:
            raise ResultsError(f"{path}: cannot be written: the disk gave back other bytes")
        if path.exists():
            before = path.with_name(PREVIOUS)
            before.unlink(missing_ok=True)
            with suppress(OSError):  # a file system without links: then there is no second one
                os.link(path, before)


def _read(path: Path, device: torch.device) -> tuple[dict[str, Any], str]:
    """What a checkpoint holds, or nothing and why."""
    try:
        found = torch.load(io.BytesIO(unsealed(path.read_bytes())), map_location=device, weights_only=True)
        return {key: found[key] for key in (*PLACE, "made_by")}, ""
    except FileNotFoundError:
        return {}, ""
    except (OSError, RuntimeError, ValueError, EOFError, LookupError, TypeError, UnpicklingError) as error:
        why = (str(error) or type(error).__name__).splitlines()[0]
        return {}, f"{path.name} cannot be read ({why})"


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
