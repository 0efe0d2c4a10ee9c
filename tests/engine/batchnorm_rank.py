"""What each rank does in test_batchnorm.py: ``python batchnorm_rank.py RANK SIZE MEETING_POINT``."""

import json
import sys
from typing import Any

import torch
import torch.distributed as dist

from kbench.config.experiment import Pair
from kbench.engine.clock import PhaseTimer
from kbench.engine.loop import Run, train
from kbench.engine.runtime.comm import Comm
from kbench.engine.runtime.rendezvous import leave
from kbench.engine.samples import SampleStore
from kbench.strategies import load
from kbench.tasks.workload import Workload

CPU = torch.device("cpu")
RECIPE = {"epochs": 2, "global_batch": 48, "lr": 0.05, "augment": "shift", "n_train": 200, "ema_decay": 0.5}
STRATEGIES: dict[str, dict[str, Any]] = {
    "baseline": {},
    "infobatch": {"delta": 1.0},
}  # hides some samples and weights others


def trained(comm: Comm, *, group: int) -> list[tuple[float, float, list[float]]]:
    """Train; of each epoch the loss of training, of validation, and what is known of every sample."""
    recipe: dict[str, Any] = RECIPE | {"batchnorm_group": group}
    pair = Pair.model_validate({"model": "digits-cnn", "dataset": "digits", "recipe": recipe})
    found = []
    for name, params in STRATEGIES.items():
        workload = Workload(pair, CPU)
        workload.alter(0)
        store = SampleStore(workload.n_samples, workload.n_classes, CPU, labels=workload.labels)
        run = Run(load(name, params), workload, comm, store, PhaseTimer(CPU), 0, 1)
        for record in train(run):
            assert record.val_loss is not None
            found.append((record.train_loss, record.val_loss, store.view().loss.tolist()))
    return found


def main() -> None:
    rank, size, meeting_point = int(sys.argv[1]), int(sys.argv[2]), sys.argv[3]
    torch.set_num_threads(1)
    dist.init_process_group("gloo", init_method=f"file://{meeting_point}", rank=rank, world_size=size)
    print(json.dumps(trained(Comm(), group=24)), flush=True)
    leave(0)


if __name__ == "__main__":
    main()
