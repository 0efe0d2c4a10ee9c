"""What each of two ranks does in test_deepcam_lives.py: ``python deepcam_rank.py RANK SIZE MEETING_POINT ROOT``."""

import json
import sys
from typing import Any

import torch
import torch.distributed as dist
from deepcam_pair import FIVE, pair

from kbench.engine.clock import PhaseTimer
from kbench.engine.evaluate import evaluate
from kbench.engine.learner import Learner
from kbench.engine.loop import Run, train
from kbench.engine.runtime.comm import Comm
from kbench.engine.runtime.rendezvous import leave
from kbench.engine.samples import SampleStore
from kbench.strategies import load
from kbench.tasks.workload import Workload

CPU = torch.device("cpu")


def life(workload: Workload, comm: Comm, name: str) -> dict[str, Any]:
    """An epoch with a method: its last record, and what is then known of the samples."""
    store = SampleStore(workload.n_samples, workload.n_classes, CPU)
    strategy, timer = load(name, FIVE[name]), PhaseTimer(CPU)
    run = Run(strategy=strategy, workload=workload, comm=comm, store=store, timer=timer, seed=0, attempt=1)
    *_, last = train(run)
    stats = store.view()
    return json.loads(last.model_dump_json()) | {
        "known": stats.known.tolist(),
        "confidence": stats.confidence.tolist(),
        "error_norm": stats.error_norm.tolist(),
    }


def scores(workload: Workload, comm: Comm) -> dict[str, Any]:
    """The score of an untrained network, by both ranks together and by this one alone."""
    learner = Learner(workload, 0, comm)
    together = evaluate(learner, comm)
    ((_, x, y),) = workload.val_batches([torch.arange(len(workload.val))])
    alone = workload.task.scores(workload.task.counts(learner.output(x), y))
    return {"together": [together.loss, together.acc1, together.acc5], "alone": list(alone)}


def main() -> None:
    rank, size, meeting_point, root = int(sys.argv[1]), int(sys.argv[2]), sys.argv[3], sys.argv[4]
    torch.set_num_threads(1)
    dist.init_process_group("gloo", init_method=f"file://{meeting_point}", rank=rank, world_size=size)
    comm, workload = Comm(), Workload(pair(), CPU, root=root)
    told: dict[str, Any] = {name: life(workload, comm, name) for name in FIVE}
    told |= scores(workload, comm) | {"metric": workload.metric, "note": workload.dataset_note}
    print(json.dumps(told))
    leave(0)


if __name__ == "__main__":
    main()
