"""A run that is stopped and goes on is the run that was never stopped, to the last bit."""

import errno
import io
import pickle
from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass
from hashlib import blake2b
from pathlib import Path
from typing import Any

import pytest
import torch
from strategy_needs import THREE_EPOCHS
from torch import Tensor

from kbench.engine.checkpoint import MAGIC, ResumePoint, load, replace_checkpoint, save, sealed, unsealed
from kbench.engine.clock import PARTS, PhaseTimer
from kbench.engine.learner import Learner
from kbench.engine.loop import Run, train
from kbench.engine.runtime.comm import Comm
from kbench.records.schema import EpochRecord
from kbench.strategies import STRATEGIES
from kbench.strategies.api import Batch, Measured, Strategy, state, state_dict

Numbers = Callable[[Iterable[EpochRecord]], list[dict[str, Any]]]

CPU = torch.device("cpu")
MADE_BY = {"run_id": "pair.method.s0.0", "commit": "c0ffee", "dirty": False, "threads_per_rank": 1}


class Stopped(Exception):
    """The run is taken away, just after its checkpoint was written."""


def keeping(run: Run, path: Path, made_by: dict[str, Any]) -> Callable[..., None]:
    """Write a checkpoint and stop."""

    def keep(**place: Any) -> None:
        save(path, **place, store=run.store, strategy=run.strategy, comm=run.comm, made_by=made_by)
        raise Stopped

    return keep


def continued(run: Run, path: Path) -> EpochRecord | None:
    """One more epoch from the checkpoint, and another checkpoint; None when nothing was left to train."""
    start = load(path, comm=run.comm, device=CPU, made_by=MADE_BY)
    assert start.note == ""
    records: list[EpochRecord] = []
    with suppress(Stopped):
        list(train(run, start, keeping(run, path, MADE_BY), records.append))
    return records[0] if records else None


def in_pieces(make: Callable[[], Run], path: Path) -> list[EpochRecord]:
    """A run that is stopped after each of its epochs and goes on as another process would: with all made anew."""
    records = []
    while record := continued(make(), path):
        records.append(record)
    return records


@pytest.mark.parametrize("name", STRATEGIES)
def test_a_run_stopped_after_every_epoch_is_the_run_that_was_not(
    name: str, run_of: Callable[..., Run], training_of: Callable[..., Any], tmp_path: Path, numbers: Numbers
) -> None:
    params = THREE_EPOCHS.get(name, {})
    pieces = in_pieces(lambda: run_of(name, params), tmp_path / "checkpoint.pt")
    assert numbers(pieces) == numbers(training_of(name, params).records)


@pytest.mark.parametrize(
    "recipe",
    [
        {"optimizer": "adam", "weight_decay": 0.1},
        {"optimizer": "adamw", "weight_decay": 0.1, "decay_exempts": "vectors", "max_grad_norm": 1.0},
        {"optimizer": "lamb", "weight_decay": 0.1, "eps": 1e-6, "decay_exempts": "norms"},
        {"ema_decay": 0.9, "ema_every": 7},  # 30 updates an epoch: none of the additions falls on its end
    ],
    ids=str,
)
def test_with_all_that_a_recipe_can_ask_for_too(
    recipe: dict[str, Any],
    run_of: Callable[..., Run],
    training_of: Callable[..., Any],
    tmp_path: Path,
    numbers: Numbers,
) -> None:
    recipe = {"lr": 0.003, "warmup_epochs": 1, **recipe}
    pieces = in_pieces(lambda: run_of("sb", **recipe), tmp_path / "checkpoint.pt")
    assert numbers(pieces) == numbers(training_of("sb", **recipe).records)


def test_elapsed_time_goes_on(run_of: Callable[..., Run], tmp_path: Path) -> None:
    params = {"score_epochs": 1}
    pieces = in_pieces(lambda: run_of("forget", params, epochs=2), tmp_path / "checkpoint.pt")
    spent = [sum(record.train_s for record in pieces[: i + 1]) for i in range(len(pieces))]
    assert [record.elapsed_s for record in pieces] == pytest.approx(spent)
    for record in pieces:  # what a checkpoint costs belongs to no part
        assert sum(getattr(record, part) for part in PARTS) == pytest.approx(record.train_s)


def test_a_run_that_only_missed_its_end_trains_no_more(run_of: Callable[..., Run], tmp_path: Path) -> None:
    path = tmp_path / "checkpoint.pt"
    first = run_of(epochs=1)
    assert continued(first, path) is not None
    again = run_of(epochs=1)
    assert continued(again, path) is None
    digests = ("weights_digest", "order_digest", "augment_digest")
    assert [again.facts[key] for key in digests] == [first.facts[key] for key in digests]


def test_no_draft_of_a_checkpoint_is_left(run_of: Callable[..., Run], tmp_path: Path) -> None:
    continued(run_of(epochs=1), tmp_path / "checkpoint.pt")
    assert [path.name for path in tmp_path.iterdir()] == ["checkpoint.pt"]


# checkpoints that are of no use


@pytest.fixture
def checkpoint(run_of: Callable[..., Run], tmp_path: Path) -> Path:
    """The checkpoint of a run that was stopped after its first epoch."""
    continued(run_of(epochs=2), tmp_path / "checkpoint.pt")
    return tmp_path / "checkpoint.pt"


def refused(path: Path, made_by: dict[str, Any] = MADE_BY) -> str:
    """Why a checkpoint was refused; it must be gone, and the run at its beginning."""
    start = load(path, comm=Comm(), device=CPU, made_by=made_by)
    assert start == ResumePoint(note=start.note) and not path.exists()
    return start.note


def test_where_there_is_no_checkpoint_nothing_is_said(tmp_path: Path) -> None:
    assert refused(tmp_path / "checkpoint.pt") == ""


def test_a_good_checkpoint_stays_until_the_next(checkpoint: Path) -> None:
    start = load(checkpoint, comm=Comm(), device=CPU, made_by=dict(MADE_BY))
    assert (start.phase, start.epoch, start.note) == (0, 1, "") and checkpoint.exists()


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ({"commit": "another"}, "commit"),
        ({"dirty": True}, "dirty"),
        ({"threads_per_rank": 2, "run_id": "other"}, "run_id, threads_per_rank"),
        ({"torch_version": "9.9"}, "torch_version"),
    ],
)
def test_a_checkpoint_of_another_make_is_named_and_deleted(
    change: dict[str, Any], named: str, checkpoint: Path
) -> None:
    note = refused(checkpoint, MADE_BY | change)
    assert note == f"checkpoint.pt is of another make ({named}); the run begins anew"


@pytest.mark.parametrize("share", [0.0, 0.001, 0.1, 0.5, 0.9, 0.999])
def test_a_torn_checkpoint_is_said_to_be_unreadable(share: float, checkpoint: Path) -> None:
    whole = checkpoint.read_bytes()
    checkpoint.write_bytes(whole[: int(share * len(whole))])
    note = refused(checkpoint)
    assert note.startswith("checkpoint.pt cannot be read (") and note.endswith("; the run begins anew")
    assert "\n" not in note


@pytest.mark.parametrize("content", [b"", b"no checkpoint", b"\0" * 5000, b"PK\x03\x04" + b"\0" * 100, b"\x80\x02."])
def test_a_file_that_is_no_checkpoint_is_said_to_be_unreadable(content: bytes, tmp_path: Path) -> None:
    path = tmp_path / "checkpoint.pt"
    path.write_bytes(content)
    assert refused(path).startswith("checkpoint.pt cannot be read (")


def with_checksum(content: bytes) -> bytes:
    return MAGIC + blake2b(content).hexdigest().encode() + b"\n" + content


@pytest.mark.parametrize("thing", [torch.zeros(3), [1, 2], {}, {"phase": 0}, None, Path("a")])
def test_something_else_that_torch_saved_is_said_to_be_unreadable(thing: Any, tmp_path: Path) -> None:
    saved = io.BytesIO()
    torch.save(thing, saved)
    (tmp_path / "checkpoint.pt").write_bytes(with_checksum(saved.getvalue()))
    assert refused(tmp_path / "checkpoint.pt").startswith("checkpoint.pt cannot be read (")


def test_no_byte_of_a_checkpoint_can_change_unseen(checkpoint: Path) -> None:
    whole, n_seen = checkpoint.read_bytes(), 0
    for place in [*range(0, 200, 7), *range(200, len(whole), len(whole) // 50)]:
        checkpoint.write_bytes(whole[:place] + bytes([whole[place] ^ 1]) + whole[place + 1 :])
        n_seen += refused(checkpoint).startswith("checkpoint.pt cannot be read (")
    checkpoint.write_bytes(whole + b"\0")
    assert refused(checkpoint) == "checkpoint.pt cannot be read (its checksum is wrong); the run begins anew"
    assert n_seen > 75


def pickled() -> bytes:
    """A checkpoint with the right checksum that would run code if it were unpickled."""
    content = pickle.dumps({"phase": Path("/nowhere")}, protocol=2)
    return with_checksum(content)


def test_what_a_checkpoint_holds_is_never_run(tmp_path: Path) -> None:
    (tmp_path / "checkpoint.pt").write_bytes(pickled())
    assert refused(tmp_path / "checkpoint.pt").startswith("checkpoint.pt cannot be read (")


def test_the_one_before_is_used_with_a_message_where_a_checkpoint_is_damaged(
    run_of: Callable[..., Run], training_of: Callable[..., Any], tmp_path: Path, numbers: Numbers
) -> None:
    path = tmp_path / "checkpoint.pt"
    first = [continued(run_of(epochs=3), path), continued(run_of(epochs=3), path)]
    assert sorted(each.name for each in tmp_path.iterdir()) == ["checkpoint.previous.pt", "checkpoint.pt"]
    path.write_bytes(path.read_bytes()[:-1])
    run = run_of(epochs=3)
    start = load(path, comm=run.comm, device=CPU, made_by=MADE_BY)
    why = "checkpoint.pt cannot be read (its checksum is wrong)"
    assert start.note == f"{why}; the run goes on from the one before it, after epoch 1"
    assert [each.name for each in tmp_path.iterdir()] == ["checkpoint.pt"]
    records = list(train(run, start))
    whole = numbers(training_of(epochs=3).records)
    assert numbers([each for each in first if each]) == whole[:2] and numbers(records) == whole[1:]


def test_where_there_is_room_for_one_more_only_the_older_one_goes(checkpoint: Path, monkeypatch: Any) -> None:
    before = checkpoint.with_name("checkpoint.previous.pt")
    before.write_bytes(b"older")
    write = Path.write_bytes

    def nearly_full(path: Path, content: bytes) -> int:
        if before.exists():
            raise OSError(errno.ENOSPC, "No space left on device")
        return write(path, content)

    monkeypatch.setattr(Path, "write_bytes", nearly_full)
    content = sealed(torch.load(io.BytesIO(unsealed(checkpoint.read_bytes())), weights_only=True))
    replace_checkpoint(checkpoint, content)
    assert checkpoint.read_bytes() == content and not before.is_symlink()


def test_a_run_with_a_checkpoint_of_another_make_begins_anew(
    checkpoint: Path, run_of: Callable[..., Run], training_of: Callable[..., Any], numbers: Numbers
) -> None:
    run = run_of(epochs=2)
    start = load(checkpoint, comm=run.comm, device=CPU, made_by=MADE_BY | {"commit": "another"})
    assert numbers(list(train(run, start))) == numbers(training_of(epochs=2).records)


def test_ranks_begin_anew_together_when_one_cannot_read(checkpoint: Path, on_threads: Any) -> None:
    paths = [checkpoint, checkpoint.with_name("elsewhere.pt")]
    starts = on_threads(2, lambda comm: load(paths[comm.rank], comm=comm, device=CPU, made_by=MADE_BY))
    assert [(start.epoch, start.state) for start in starts] == [(0, {})] * 2 and not checkpoint.exists()


# what several ranks remember


@dataclass
class Remembers(Strategy):
    """Remembers something that all ranks have, and something of its own."""

    table: Tensor | None = state()
    recent: Tensor | None = state()
    name: str = state("")
    nothing: Tensor | None = state()


def of_rank(rank: int) -> Remembers:
    strategy = Remembers()
    strategy.table, strategy.name = torch.arange(50_000.0), "same"
    strategy.recent = torch.full((3,), float(rank))
    return strategy


def test_what_all_ranks_remember_is_written_once_and_the_rest_for_each(
    run_of: Callable[..., Run], on_threads: Any, tmp_path: Path
) -> None:
    run, path = run_of(), tmp_path / "checkpoint.pt"
    learner = Learner(run.workload, 0, run.comm)
    place = {"phase": 1, "epoch": 2, "elapsed_s": 3.5, "made_by": MADE_BY}
    on_threads(
        3, lambda comm: save(path, **place, learner=learner, store=run.store, strategy=of_rank(comm.rank), comm=comm)
    )
    state = load(path, comm=Comm(), device=CPU, made_by=MADE_BY).state
    assert set(state["memory"]) == {"table", "name", "nothing"}
    assert [rank.keys() for rank in state["memory_of_rank"]] == [{"recent"}] * 3
    model_bytes = sum(value.nbytes for value in learner.module.state_dict().values())
    assert path.stat().st_size < model_bytes + run.store.values.nbytes + 2 * 50_000 * 4

    def back(comm: Comm) -> dict[str, Any]:
        strategy = Remembers()
        start = load(path, comm=comm, device=CPU, made_by=MADE_BY)
        start.restore(Learner(run.workload, 0, run.comm), run.store, strategy, rank=comm.rank)
        return state_dict(strategy)

    for rank, found in enumerate(on_threads(3, back)):
        assert found["recent"].tolist() == [rank] * 3
        assert torch.equal(found["table"], torch.arange(50_000.0)) and (found["name"], found["nothing"]) == (
            "same",
            None,
        )


def test_everything_of_the_learner_and_the_store_comes_back(run_of: Callable[..., Run], tmp_path: Path) -> None:
    run, path = run_of(), tmp_path / "checkpoint.pt"
    learner = Learner(run.workload, 0, run.comm)
    index, x, y = next(run.workload.batches([torch.arange(48)], key=0))
    run.store.write(index, learner.step(Batch(index, x, y), 0.1, PhaseTimer(CPU)))
    run.store.merge(run.comm)
    place = {"phase": 0, "epoch": 1, "elapsed_s": 3.5, "made_by": MADE_BY}
    save(path, **place, learner=learner, store=run.store, strategy=run.strategy, comm=run.comm)
    other, twin = run_of(), Learner(run.workload, 1, run.comm)
    start = load(path, comm=run.comm, device=CPU, made_by=MADE_BY)
    start.restore(twin, other.store, other.strategy, rank=0)
    assert (twin.digest(), twin.n_updates, start.elapsed_s) == (learner.digest(), 1, 3.5)
    momenta = [[s["momentum_buffer"] for s in one.optimizer.state.values()] for one in (learner, twin)]
    assert len(momenta[0]) > 0 and all(torch.equal(a, b) for a, b in zip(*momenta, strict=True))
    ours, theirs = run.store.view(), other.store.view()
    assert all(torch.equal(getattr(ours, f), getattr(theirs, f)) for f in ("loss", "correct", "confidence", "age"))
    assert isinstance(learner.measure(Batch(index, x, y)), Measured)
