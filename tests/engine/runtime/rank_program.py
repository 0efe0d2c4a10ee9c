"""What each rank does in test_comm.py: ``python rank_program.py RANK SIZE MEETING_POINT``."""

import json
import sys
from typing import Any

import torch
import torch.distributed as dist
from torch import nn

from kbench.config.experiment import Pair
from kbench.engine.clock import PhaseTimer
from kbench.engine.evaluate import evaluate
from kbench.engine.learner import Learner
from kbench.engine.runtime.comm import Comm
from kbench.engine.runtime.rendezvous import leave
from kbench.engine.samples import SampleStore
from kbench.errors import RankError
from kbench.strategies.api import Batch, Measured
from kbench.tasks.workload import Workload

CPU = torch.device("cpu")


def collectives(comm: Comm) -> dict[str, Any]:
    return {
        "place": [comm.rank, comm.size],
        "sum": comm.sum(torch.tensor([comm.rank + 1.0, 10.0 * comm.rank])).tolist(),
        "min": comm.min(7 - comm.rank),
        "gather": comm.gather([comm.rank / 4, 1.5]),
        "gather_text": comm.gather_text("rank " + "x" * comm.rank),
    }


def agreements(comm: Comm) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for name, number in {
        "same": 2**61,
        "one differs": 5 + (comm.rank == 1),
        "last bit": 2**61 + (comm.rank == 0),
        "signs": -1 if comm.rank else 1,
    }.items():
        try:
            comm.agree(number, "the number")
            found[name] = None
        except RankError as error:
            found[name] = error.message
    return {"agree": found}


def averages(comm: Comm) -> dict[str, Any]:
    module = nn.Sequential(nn.Linear(2, 2), nn.BatchNorm1d(2), nn.BatchNorm1d(3))
    with torch.no_grad():
        for value in [*module.parameters(), *module.buffers()]:
            value.fill_(comm.rank + 1)
    comm.average_buffers(module)
    return {
        "buffers": [buffer.tolist() for buffer in module.buffers()],
        "weights": sorted({x for p in module.parameters() for x in p.flatten().tolist()}),
    }


def merged(comm: Comm) -> dict[str, Any]:
    store = SampleStore(5, 10, CPU)
    mine = torch.tensor([comm.rank, 3])  # 3: seen by all
    store.write(
        mine,
        Measured(
            torch.tensor([1.0 + comm.rank] * 2), torch.tensor([True, comm.rank == 0]), torch.ones(2), torch.zeros(2)
        ),
    )
    store.merge(comm)
    stats = store.view()
    return {"merged": [stats.loss.tolist(), stats.correct.tolist(), stats.age.tolist()]}


def trained(comm: Comm) -> dict[str, Any]:
    """Two steps, each rank on its own samples, and an evaluation."""
    recipe = {"epochs": 2, "global_batch": 48, "lr": 0.05}
    workload = Workload(Pair.model_validate({"model": "digits-cnn", "dataset": "digits", "recipe": recipe}), CPU)
    learner = Learner(workload, 0, comm)
    untrained = evaluate(learner, comm)
    for start in (0, 48):
        ids = torch.arange(start + comm.rank, start + 48, comm.size)
        index, x, y = next(workload.batches([ids], key=0))
        learner.step(Batch(index, x, y), 0.05, PhaseTimer(CPU))
    before = comm.gather_text(str(learner.digest()))
    weights = comm.gather_text(str([float(p.detach().double().sum()) for p in learner.module.parameters()]))
    comm.average_buffers(learner.module)
    after = comm.gather_text(str(learner.digest()))
    return {
        "untrained": [untrained.loss, untrained.acc1, untrained.acc5],
        "n_models": len(set(before)),
        "n_weights": len(set(weights)),
        "n_models_averaged": len(set(after)),
    }


def main() -> None:
    rank, size, meeting_point = int(sys.argv[1]), int(sys.argv[2]), sys.argv[3]
    dist.init_process_group("gloo", init_method=f"file://{meeting_point}", rank=rank, world_size=size)
    comm = Comm()
    found = collectives(comm) | agreements(comm) | averages(comm) | merged(comm) | trained(comm)
    comm.barrier()
    if rank < size - 1:  # the last rank ends here, and the others notice
        try:
            comm.barrier()
        except RankError as error:
            found["lost"] = error.message
    print(json.dumps(found))
    leave(0)


if __name__ == "__main__":
    main()
