"""The columns of the results: name, type, unit and meaning of each."""

from datetime import datetime
from typing import Annotated, Literal, NamedTuple, get_args, get_type_hints

from pydantic import BaseModel, ConfigDict


class Unit(NamedTuple):
    """What a column is counted in, and what it says."""

    unit: str
    about: str


class TimeUse(NamedTuple):
    """What a column of time is spent on, and its label in figures where that is not its name."""

    on: Literal["training", "selection", "off clock"]  # what any training pays, what a strategy adds, not in train_s
    label: str = ""


TRAINING, SELECTION = TimeUse("training"), TimeUse("selection")


class Identity(BaseModel):
    """Which run a row belongs to."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    experiment: Annotated[str, Unit("", "name of the experiment")]
    pair: Annotated[str, Unit("", "name of the pair of model and data set")]
    model: Annotated[str, Unit("", "model")]
    dataset: Annotated[str, Unit("", "data set")]
    strategy: Annotated[str, Unit("", "label of the strategy")]
    seed: Annotated[int, Unit("1", "seed of all random streams")]
    ranks: Annotated[int, Unit("1", "processes that trained together")]
    run_id: Annotated[str, Unit("", "name of the run; its end is the hash of its scientific content")]
    match_key: Annotated[str, Unit("", "equal for runs that differ in nothing but the strategy, measured alike")]


class EpochRecord(BaseModel):
    """One epoch of one run, as rank 0 writes it into the journal; ``schema_version`` is no column."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    schema_version: Literal[6] = 6
    attempt: Annotated[int, Unit("1", "how often the run was started, from 1")]
    phase: Annotated[str, Unit("", "stretch of training; each starts from fresh weights")]
    epoch: Annotated[int, Unit("epoch", "within the phase, from 0")]
    lr: Annotated[float, Unit("1", "scheduled learning rate in the middle of the epoch")]
    lr_scale: Annotated[float, Unit("1", "what the strategy multiplied it with")]
    n_samples: Annotated[int, Unit("sample", "training samples of the data set")]
    n_trained: Annotated[int, Unit("sample", "trained on (forward, backward, update), repeats counted")]
    n_scored: Annotated[int, Unit("sample", "looked at to select (forward only)")]
    n_refreshed: Annotated[int, Unit("sample", "measured again after training (forward only)")]
    n_hidden: Annotated[int, Unit("sample", "left out by the plan of the epoch")]
    ceiling: Annotated[
        float | None, Unit("fraction", "largest share that the strategy allowed itself to hide; null: it names none")
    ] = None
    n_dropped: Annotated[int, Unit("sample", "planned or kept, but left over from the last full batch")]
    train_loss: Annotated[float, Unit("nat", "mean cross-entropy of what was trained on, before each update")]
    train_loss_smoothed: Annotated[
        float | None,
        Unit("nat", "the same with the recipe's label smoothing, as it was trained with; null: it has none"),
    ] = None
    train_acc: Annotated[float, Unit("fraction", "accuracy on what was trained on, before each update")]
    val_loss: Annotated[float | None, Unit("nat", "mean cross-entropy on the validation set; null if not finite")]
    val_acc1: Annotated[float, Unit("fraction", "top-1 accuracy on the validation set")]
    val_acc5: Annotated[float | None, Unit("fraction", "top-5 accuracy; null with five classes or fewer")]
    val_acc_worst: Annotated[
        float | None, Unit("fraction", "top-1 accuracy of the class that has the lowest; null: no classification")
    ] = None
    val_acc_classes: Annotated[
        tuple[float | None, ...] | None,
        Unit("fraction", "top-1 accuracy of each class, null without a sample; null: no classification, or over 1000"),
    ] = None
    train_s: Annotated[float, Unit("s", "wall time of the slowest rank, evaluation excluded; sum of its parts")]
    plan_s: Annotated[float, Unit("s", "planning the epoch"), SELECTION]
    charged_s: Annotated[
        float,
        Unit("s", "work that was done before the run for its plan, as its parameters say; in train_s"),
        TimeUse("selection", "charged"),
    ] = 0.0
    data_s: Annotated[float, Unit("s", "waiting for data, augmentation included"), TRAINING]
    forward_s: Annotated[float, Unit("s", "forward pass of training, loss and statistics included"), TRAINING]
    backward_s: Annotated[float, Unit("s", "backward pass, averaging of gradients included"), TRAINING]
    update_s: Annotated[float, Unit("s", "optimizer step"), TRAINING]
    select_s: Annotated[
        float, Unit("s", "choosing within batches, scoring included, and remembering samples"), SELECTION
    ]
    refresh_s: Annotated[float, Unit("s", "forward passes after training"), SELECTION]
    sync_s: Annotated[float, Unit("s", "merging statistics over ranks"), TimeUse("selection", "synchronise")]
    background_s: Annotated[
        float,
        Unit("s", "work of the strategy beside training, on its own thread or stream; not in train_s"),
        TimeUse("off clock", "beside training"),
    ] = 0.0
    eval_s: Annotated[float, Unit("s", "evaluation; not in train_s"), TimeUse("off clock", "evaluation")]
    elapsed_s: Annotated[
        float, Unit("s", "running sum of train_s over phases; an attempt that starts again starts from 0")
    ]
    cpu_s: Annotated[float, Unit("s", "processor time over all ranks without evaluation")]
    cpu_share: Annotated[
        float | None, Unit("fraction", "cpu_s of train_s x ranks x threads_per_rank; null on GPUs")
    ] = None
    cpu_wait_s: Annotated[
        float | None, Unit("s", "that threads of all ranks were ready to run and waited for a processor")
    ] = None
    ctx_involuntary: Annotated[int | None, Unit("1", "times that a thread of a rank had to leave its processor")] = None
    others_share: Annotated[
        float | None, Unit("fraction", "of a host's processors that other processes used meanwhile; the busiest host's")
    ] = None
    steal_share: Annotated[
        float | None, Unit("fraction", "of a host's processors that its hypervisor took; the worst host's")
    ] = None
    load_start: Annotated[float | None, Unit("1", "load average (1 min) before the epoch; the busiest host's")] = None
    load_end: Annotated[float | None, Unit("1", "the same after it")] = None
    runnable_start: Annotated[
        int | None, Unit("1", "tasks that ran or were ready to, before the epoch, its own included; the busiest host's")
    ] = None
    runnable_end: Annotated[int | None, Unit("1", "the same after it")] = None
    cpu_mhz: Annotated[
        float | None, Unit("MHz", "mean clock of a host's processors right after the epoch; the slowest host's")
    ] = None
    pressure_cpu: Annotated[
        float | None, Unit("fraction", "of the epoch in which tasks waited for a processor (PSI); the worst host's")
    ] = None
    pressure_memory: Annotated[float | None, Unit("fraction", "the same, for memory")] = None
    pressure_io: Annotated[float | None, Unit("fraction", "the same, for input or output")] = None
    gpu_mhz: Annotated[float | None, Unit("MHz", "SM clock of the slowest GPU as the epoch ended")] = None
    gpu_throttled: Annotated[
        str | None, Unit("", "why a GPU was held below its clock as the epoch ended; empty: none was")
    ] = None
    gpu_throttle_s: Annotated[
        float | None, Unit("s", "that power or heat held a GPU's clock down during the epoch; the worst GPU's")
    ] = None
    gpu_temperature_c: Annotated[float | None, Unit("degree Celsius", "of the hottest GPU as the epoch ended")] = None
    gpu_power_w: Annotated[float | None, Unit("W", "mean over the epoch, all GPUs of the run together")] = None
    gpu_others: Annotated[int | None, Unit("1", "processes of others on the run's GPUs as the epoch ended")] = None
    peak_mem_bytes: Annotated[
        int, Unit("byte", "most memory of any rank so far: device, or process on a CPU; in turns, of all its runs")
    ]
    ended_at: Annotated[datetime, Unit("UTC", "when the epoch was evaluated")]
    writer: Annotated[str | None, Unit("", "host and process that wrote the record; null: an older kbench did")] = None


class RunRecord(BaseModel):
    """One run: where it stands, its results in one line, and where it was made."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    state: Annotated[str, Unit("", "done, failed, cancelled, interrupted, damaged, running, waiting or missing")]
    attempts: Annotated[int, Unit("1", "how often it was started")]
    epochs_done: Annotated[int, Unit("epoch", "over all phases")]
    metric: Annotated[str | None, Unit("", "what the accuracies are")]
    best_acc1: Annotated[float | None, Unit("fraction", "best accuracy of the last phase")]
    best_epoch: Annotated[int | None, Unit("epoch", "where it was reached first")]
    final_acc1: Annotated[float | None, Unit("fraction", "accuracy after the last epoch")]
    final_acc_worst: Annotated[
        float | None, Unit("fraction", "accuracy after the last epoch of the class that has the lowest")
    ]
    total_train_s: Annotated[float | None, Unit("s", "training time over all phases")]
    total_eval_s: Annotated[float | None, Unit("s", "evaluation time over all phases")]
    stage_s: Annotated[float | None, Unit("s", "copying data to the node; null where nothing was staged")]
    first_read_s: Annotated[
        float | None,
        Unit("s", "reading the data once before the clock, in no other time; null: memory does not hold it"),
    ]
    total_s: Annotated[float | None, Unit("s", "training, evaluation and copying data together; start-up is not in it")]
    n_trained: Annotated[int, Unit("sample", "trained on, over all phases")]
    n_scored: Annotated[int, Unit("sample", "scored, over all phases")]
    n_refreshed: Annotated[int, Unit("sample", "refreshed, over all phases")]
    hidden_mean: Annotated[float | None, Unit("fraction", "mean share hidden over the epochs of the last phase")]
    noise: Annotated[float | None, Unit("fraction", "of the training labels, moved to another class; null: not known")]
    noise_key: Annotated[
        str | None, Unit("", "equal for runs that differ in nothing but noise, strategy and seed; null: not known")
    ]
    commit: Annotated[str | None, Unit("", "of kbench's source")]
    dirty: Annotated[bool | None, Unit("", "whether that source had uncommitted changes")]
    torch_version: Annotated[str | None, Unit("", "torch")]
    device_name: Annotated[str | None, Unit("", "what it trained on")]
    n_devices: Annotated[int | None, Unit("1", "GPUs, or 0 for a CPU run")]
    threads_per_rank: Annotated[int | None, Unit("1", "host threads of each rank")]
    max_parallel: Annotated[int | None, Unit("1", "runs that shared the machine")]
    spin: Annotated[
        str | None, Unit("", "how long idle OpenMP threads spin; only runs alike are matched; null: on GPUs")
    ]
    pairing: Annotated[
        str | None, Unit("", "none, node or turns: how a block of runs shares a machine; in turns are matched alone")
    ]
    block: Annotated[str | None, Unit("", "runs of a pair and seed that were started one after the other")]
    place: Annotated[int | None, Unit("1", "of the run in its block, from 0; null: it had no block")]
    hosts: Annotated[str | None, Unit("", "host names, comma-separated")]
    launcher: Annotated[str | None, Unit("", "what brought it to its machine: local, mpirun, slurm, queue")]
    weights_digest: Annotated[str | None, Unit("", "of the initial weights; equal for all strategies of a seed")]
    order_digest: Annotated[str | None, Unit("", "of the order that the first epoch gives the full set")]
    augment_digest: Annotated[str | None, Unit("", "of how the first batch looks in the first epoch")]
    disturbs: Annotated[str | None, Unit("", "random streams of others that the strategy moved; they were put back")]
    upstream: Annotated[str | None, Unit("", "run whose last weights it began with; null: it began with fresh ones")]
    dataset_note: Annotated[str | None, Unit("", "how the data set differs from the official one; null: not at all")]
    dataset_identity: Annotated[str | None, Unit("", "digest of the data set as loaded; null: it travels with kbench")]
    strategy_code: Annotated[str | None, Unit("", "digest of the source of a strategy of one's own; null: kbench's")]
    imported_from: Annotated[str | None, Unit("", "format of the logs of others that this was read from; null: ours")]
    job_id: Annotated[str | None, Unit("", "the scheduler's, or a process id")]
    started_at: Annotated[datetime | None, Unit("UTC", "start of the last attempt")]
    ended_at: Annotated[datetime | None, Unit("UTC", "end of the last attempt")]
    error: Annotated[str | None, Unit("", "why it failed, or what is damaged")]


def identity_of(run_id: str, experiment: str) -> dict[str, str | int | None]:
    """The columns of Identity as far as the name of a run tells them; the others are None."""
    pair, _, rest = run_id.partition(".")
    strategy, seed = rest.split(".")[:2] if rest.count(".") >= 2 else (rest or None, "")
    number = int(seed[1:]) if seed[1:].isdigit() else None
    known = {"experiment": experiment, "pair": pair, "strategy": strategy, "seed": number, "run_id": run_id}
    return {name: known.get(name) for name in Identity.model_fields}


class Column(NamedTuple):
    """A column of a Parquet file."""

    name: str
    type: type
    unit: str
    about: str


def columns(*models: type[BaseModel]) -> list[Column]:
    """The columns of the fields of ``models``, in their order."""
    found = []
    for model in models:
        for name, hint in get_type_hints(model, include_extras=True).items():
            if name not in ("model_config", "schema_version"):
                kind, (unit, about) = get_args(hint)[:2]
                plain = next((t for t in get_args(kind) if t is not type(None)), kind)
                found.append(Column(name, plain, unit, about))
    return found


class TimePart(NamedTuple):
    """A part of an epoch's time that has a column of its own."""

    name: str  # of its column, without "_s"
    use: TimeUse

    @property
    def column(self) -> str:
        """Its column [s] in the journal and in epochs.parquet."""
        return f"{self.name}_s"

    @property
    def label(self) -> str:
        """What it is called in figures."""
        return self.use.label or self.name


def _time_parts() -> tuple[TimePart, ...]:
    hints = get_type_hints(EpochRecord, include_extras=True)
    uses = [(name, use) for name, hint in hints.items() for use in get_args(hint) if isinstance(use, TimeUse)]
    return tuple(TimePart(name.removesuffix("_s"), use) for name, use in uses)


TIME_PARTS = _time_parts()
ON_CLOCK = tuple(part for part in TIME_PARTS if part.use.on != "off clock")  # they add up to train_s

METRIC_NAMES = {"top1": "top-1", "mean_iou": "mean IoU"}  # before a number; others as they are
ACCURACY = "accuracy"
NOUNS = {"mean_iou": "mean IoU"}  # what else than an accuracy is gained or lost
AXES = {"top1": "top-1 accuracy"}


def metric_name(metric: str | None) -> str:
    """The name before a number: ``top-1``, ``mean IoU``; ``accuracy`` where it is not known."""
    return METRIC_NAMES.get(metric, metric) if metric else ACCURACY


def noun(metric: str | None) -> str:
    """What is gained or lost: ``accuracy``, or ``mean IoU``."""
    return ACCURACY if not metric or metric == "top1" or ACCURACY in metric else NOUNS.get(metric, metric)


def on_axis(metric: str | None) -> str:
    """The name on an axis: ``top-1 accuracy``, ``mean IoU``."""
    return AXES.get(metric or "", metric_name(metric))
