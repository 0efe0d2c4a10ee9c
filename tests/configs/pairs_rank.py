"""What each of two ranks does in test_pairs.py: ``python pairs_rank.py RANK SIZE MEETING_POINT LIVES``."""

import json
import sys
from pathlib import Path

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


def main() -> None:
    rank, size, meeting_point, lives = int(sys.argv[1]), int(sys.argv[2]), sys.argv[3], Path(sys.argv[4])
    torch.set_num_threads(1)
    dist.init_process_group("gloo", init_method=f"file://{meeting_point}", rank=rank, world_size=size)
    comm, workloads = Comm(), dict[str, Workload]()
    for life in json.loads(lives.read_text()):
        pair = Pair.model_validate(life["pair"])
        workload = workloads.setdefault(str(life["pair"]), Workload(pair, CPU, root=life["root"]))
        run = Run(
            strategy=load(life["method"], life["params"]),
            workload=workload,
            comm=comm,
            store=SampleStore(workload.n_samples, workload.n_classes, CPU, labels=workload.labels),
            timer=PhaseTimer(CPU),
            seed=0,
            attempt=1,
        )
        *_, last = train(run)
        known = run.store.view().known.tolist()
        print(json.dumps(json.loads(last.model_dump_json()) | {"known": known}), flush=True)
    leave(0)


if __name__ == "__main__":
    main()
