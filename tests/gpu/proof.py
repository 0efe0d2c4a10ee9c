"""What a GPU says to the claims that kbench makes for one: ``make gpu-proof``, at most eight minutes, no network.

``python tests/gpu/proof.py OUT [--device cuda] [--minutes 8] [--fashion DIR] [--small]``

Each section is tried, whatever became of those before it.  OUT gets proof.md, proof.json, curves.png and the runs.
``--device cpu --small`` tries the script itself.
"""

import argparse
import gzip
import json
import os
import platform
import re
import statistics
import subprocess
import sys
import tempfile
import time
import traceback
import warnings
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
import torch.nn.functional as F

TOP = Path(__file__).parents[2]
sys.path.insert(0, str(TOP))

from kbench.config.experiment import Pair  # noqa: E402
from kbench.data.loader import SampleReader  # noqa: E402
from kbench.data.views.spec import ViewSpec  # noqa: E402
from kbench.engine.clock import PhaseTimer  # noqa: E402
from kbench.engine.learner import Learner  # noqa: E402
from kbench.engine.loop import Run, _epoch, _first_batch, train_epoch  # noqa: E402
from kbench.engine.metrics import EpochMetrics  # noqa: E402
from kbench.engine.runtime.comm import Comm  # noqa: E402
from kbench.engine.samples import SampleStore  # noqa: E402
from kbench.records.folders import ExperimentDir  # noqa: E402
from kbench.records.schema import EpochRecord  # noqa: E402
from kbench.strategies import load  # noqa: E402
from kbench.strategies.api import Phase  # noqa: E402
from kbench.tasks.workload import Workload  # noqa: E402

FASHION = ("baseline", "random: {fraction: 0.3}", "sb: {beta: 1.0}", "infobatch")
KAKURENBO = "kakurenbo: {fraction: 0.3, milestones: [], shares: [1.0]}"


class Row(NamedTuple):
    """One line of the table."""

    section: str
    what: str
    value: str
    verdict: str  # ok, not ok, failed, or empty where nothing is claimed


@dataclass
class Proof:
    """The machine, the time that is left, and what was found."""

    out: Path
    device: torch.device
    small: bool
    fashion: Path | None
    end: float  # time.monotonic() at which it must be over
    rows: list[Row] = field(default_factory=list)

    @property
    def is_gpu(self) -> bool:
        """Whether a GPU is looked at, and not only the script tried."""
        return self.device.type == "cuda"

    @property
    def left_s(self) -> float:
        """Seconds left."""
        return self.end - time.monotonic()

    def add(self, section: str, what: str, value: str, holds: bool | None = None) -> None:
        """Note a line, and print it at once."""
        verdict = "" if holds is None or not self.is_gpu else "ok" if holds else "not ok"
        self.rows.append(Row(section, what, value, verdict))
        print(f"{section}: {what}: {value} {verdict}", flush=True)

    def tables(self) -> Path:
        """A file of random colour images of 32 x 32, to train on at any speed."""
        path = self.out / "random.npz"
        if not path.exists():
            n, rng = (480, 16) if self.small else (12_800, 1280), np.random.default_rng(0)
            x = [rng.integers(0, 256, (size, 3, 32, 32), dtype=np.uint8) for size in n]
            y = [np.arange(size) % 10 for size in n]
            np.savez(path, x_train=x[0], y_train=y[0], x_val=x[1], y_val=y[1])
        return path

    def run(self, strategy: str = "baseline", params: dict[str, Any] | None = None, **recipe: Any) -> Run:
        """A run on random images."""
        fast = {"precision": "bf16", "channels_last": True} if self.is_gpu else {}
        batch = 24 if self.small else 128
        base = {"epochs": 4, "global_batch": batch, "lr": 0.05, "schedule": "constant", "augment": "crop-flip"}
        model = "digits-cnn" if self.small else "wrn-28-10"
        pair = Pair.model_validate({"model": model, "dataset": f"npz:{self.tables()}", "recipe": base | fast | recipe})
        workload = Workload(pair, self.device)
        store = SampleStore(workload.n_samples, workload.n_classes, self.device, labels=workload.labels)
        timer = PhaseTimer(self.device)
        chosen = load(strategy, params or {})
        return Run(strategy=chosen, workload=workload, comm=Comm(), store=store, timer=timer, seed=0, attempt=1)

    def wait(self) -> None:
        """Until the device has nothing left to do."""
        if self.is_gpu:
            torch.cuda.synchronize()


Section = Callable[[Proof], None]
SECTIONS: dict[str, Section] = {}


def section(name: str) -> Callable[[Section], Section]:
    """Give a section its name; they are tried in this order."""

    def added(found: Section) -> Section:
        SECTIONS[name] = found
        return found

    return added


@contextmanager
def epochs_of(run: Run, epochs: int = 4) -> Iterator[Callable[[int], EpochMetrics]]:
    """``with epochs_of(run) as epoch: epoch(0)``: train epochs as kbench does."""
    phase, learner = Phase.train(epochs), Learner(run.workload, 0, run.comm)
    learner.warm_up(_first_batch(run))
    yield lambda index: train_epoch(run, phase, _epoch(run, phase, index), learner, closing=False)


def epoch_s(run: Run, *, turns: int = 3) -> float:
    """Median seconds of an epoch, of several; the first is not counted."""
    with epochs_of(run, turns + 1) as epoch:
        epoch(0)
        return statistics.median(epoch(turn).train_s for turn in range(1, turns + 1))


@section("versions")
def versions(proof: Proof) -> None:
    """The machine and its software."""
    import timm
    import torchvision

    proof.add("versions", "Python, torch, torchvision, timm", ", ".join((
        platform.python_version(), torch.__version__, torchvision.__version__, timm.__version__
    )))  # fmt: skip
    if proof.is_gpu:
        query = ["nvidia-smi", "--query-gpu=name,driver_version,memory.total,power.limit", "--format=csv,noheader"]
        asked = subprocess.run(query, capture_output=True, text=True, check=False)
        proof.add("versions", "device", asked.stdout.strip() or torch.cuda.get_device_name(proof.device))
        nccl = ".".join(map(str, torch.cuda.nccl.version()))
        proof.add("versions", "CUDA, cuDNN, NCCL", f"{torch.version.cuda}, {torch.backends.cudnn.version()}, {nccl}")


@section("tests")
def gpu_tests(proof: Proof) -> None:
    """The tests that are marked gpu."""
    places = ["tests/engine/test_gpu.py", "tests/engine/test_autoassist_gpu.py", "tests/data/test_gpu_views.py"]
    command = [sys.executable, "-m", "pytest", "-m", "gpu", "-q", "-p", "no:cacheprovider", "--tb=short", *places]
    done = subprocess.run(command, cwd=TOP, capture_output=True, text=True, timeout=150, check=False)
    (proof.out / "tests.log").write_text(done.stdout + done.stderr, encoding="utf-8")
    counts = re.findall(r"\d+ (?:passed|failed|skipped|errors?|deselected)", done.stdout)
    proof.add("tests", "marked gpu", ", ".join(counts) or "pytest did not run: tests.log", done.returncode == 0)


@section("waits")
def waits(proof: Proof) -> None:
    """How often the host waits for the device in an epoch, by torch's own debug mode, and where."""
    for name, params in (
        ("baseline", {}),
        ("iswr", {}),
        ("kakurenbo", {"fraction": 0.3, "milestones": [], "shares": [1.0]}),
        ("sb", {"beta": 1.0}),
        ("infobatch", {}),
    ):
        run = proof.run(name, params, **({} if proof.small else {"n_train": 2560}))
        places: Counter[str] = Counter()

        def note(message: Any, *_: Any, found: Counter[str] = places) -> None:
            if "synchroniz" in str(message):
                stack = [frame for frame in traceback.extract_stack() if "/kbench/" in frame.filename]
                found[" < ".join(f"{f.filename.split('/kbench/')[-1]}:{f.lineno}" for f in stack[:-3:-1])] += 1

        with epochs_of(run) as epoch, warnings.catch_warnings():
            epoch(0)
            warnings.simplefilter("always")
            shown, warnings.showwarning = warnings.showwarning, note
            if proof.is_gpu:
                torch.cuda.set_sync_debug_mode("warn")
            metrics = epoch(1)
            if proof.is_gpu:
                torch.cuda.set_sync_debug_mode("default")
            warnings.showwarning = shown
        steps = metrics.n_trained // run.workload.recipe.global_batch
        often = {place: n for place, n in places.items() if n >= steps}
        most = "; ".join(f"{n} at {place}" for place, n in places.most_common(3))
        proof.add("waits", name, f"{places.total()} in {steps} steps: {most or 'nowhere'}", not often)


@section("clock")
def clock(proof: Proof) -> None:
    """The time of events in the device's queue beside the host's clock around the same epoch."""
    run = proof.run()
    with epochs_of(run) as epoch:
        epoch(0)
        proof.wait()
        began = time.perf_counter()
        metrics = epoch(1)
        proof.wait()
        host_s = time.perf_counter() - began
    ratio = metrics.train_s / host_s
    proof.add("clock", "an epoch by the device's events / by the host's clock", f"{ratio:.4f}", 0.9 < ratio <= 1.005)


def plain_epoch(run: Run) -> Callable[[], float]:
    """An epoch of the same work with nothing but torch; returns its seconds."""
    workload, recipe = run.workload, run.workload.recipe
    layout = torch.channels_last if recipe.channels_last else torch.contiguous_format
    module = workload.model().to(run.workload.device).to(memory_format=layout).train()
    model = torch.compile(module) if recipe.compile else module
    optimizer = torch.optim.SGD(module.parameters(), lr=0.05, momentum=0.9)
    x, y, batch = workload.train.x, workload.train.y, recipe.global_batch

    def epoch() -> float:
        if x.is_cuda:
            torch.cuda.synchronize()
        began = time.perf_counter()
        key = int(began * 1000)
        ids = torch.randperm(len(y), device=x.device).split(batch)[: len(y) // batch]
        for _, images, labels in workload.batches(ids, key=key):
            with torch.autocast(x.device.type, torch.bfloat16, enabled=recipe.precision == "bf16"):
                output = model(images.contiguous(memory_format=layout))
            loss = F.cross_entropy(output.float(), labels)
            optimizer.zero_grad(set_to_none=True)
            loss.backward()
            optimizer.step()
        if x.is_cuda:
            torch.cuda.synchronize()
        return time.perf_counter() - began

    return epoch


@section("loop")
def loop(proof: Proof) -> None:
    """kbench's epoch beside a plain loop's, in turns: eager and compiled."""
    for compiled in (False, True) if proof.is_gpu else (False,):
        run = proof.run(compile=compiled)
        plain = plain_epoch(run)
        with epochs_of(run, 5) as epoch:
            epoch(0)
            plain()
            pairs = [(epoch(turn).train_s, plain()) for turn in range(1, 4)]
        ratio = statistics.median(a / b for a, b in pairs)
        n_images = run.workload.n_samples // run.workload.recipe.global_batch * run.workload.recipe.global_batch
        speed = n_images / statistics.median(a for a, _ in pairs)
        how = "compiled" if compiled else "eager"
        proof.add("loop", f"{how}: kbench / a plain loop", f"{ratio:.3f}", ratio <= 1.02)
        proof.add("loop", f"{how}: images per second", f"{speed:,.0f}")


@section("ideals")
def ideals(proof: Proof) -> None:
    """KAKURENBO with 30 % really hidden and SB at beta 1 against what their passes alone would take."""
    baseline = proof.run()
    whole_s = epoch_s(baseline)
    learner = Learner(baseline.workload, 0, baseline.comm)
    batch = _first_batch(baseline)
    learner.measure(batch)
    proof.wait()
    began, n = time.perf_counter(), 4 if proof.small else 50
    for _ in range(n):
        learner.measure(batch)
    proof.wait()
    look_s = (time.perf_counter() - began) / n * baseline.workload.n_samples / len(batch)
    proof.add("ideals", "a look at every sample / an epoch of training", f"{look_s / whole_s:.3f}")
    hiding = proof.run("kakurenbo", {"fraction": 0.3, "confidence": 0.0, "milestones": [], "shares": [1.0]})
    with epochs_of(hiding) as epoch:
        epoch(0)
        found = [epoch(turn) for turn in range(1, 4)]
    hidden = statistics.median(each.n_refreshed for each in found) / hiding.workload.n_samples
    ratio = statistics.median(each.train_s for each in found) / ((1 - hidden) * whole_s + hidden * look_s)
    proof.add("ideals", f"KAKURENBO, {hidden:.0%} hidden / its passes", f"{ratio:.3f}", ratio <= 1.03 and hidden > 0.2)
    selecting = proof.run("sb", {"beta": 1.0})
    with epochs_of(selecting) as epoch:
        epoch(0)
        found = [epoch(turn) for turn in range(1, 4)]
    kept = statistics.median(each.n_trained for each in found) / selecting.workload.n_samples
    ratio = statistics.median(each.train_s for each in found) / (kept * whole_s + look_s)
    proof.add("ideals", f"SB beta 1, {kept:.0%} trained on / its passes", f"{ratio:.3f}", ratio <= 1.05)


@section("shapes")
def shapes(proof: Proof) -> None:
    """What the first steps cost, and that no new shape comes on the clock."""
    run = proof.run("sb", {"beta": 1.0})
    learner, batch = Learner(run.workload, 0, run.comm), _first_batch(run)
    times = []
    for _ in range(2):
        began = time.perf_counter()
        learner.warm_up(batch)
        proof.wait()
        times.append(time.perf_counter() - began)
    proof.add("shapes", "first passes, autotuning included, and again", f"{times[0]:.2f} s, {times[1]:.2f} s")
    seen: set[tuple[bool, int]] = set()
    new: list[tuple[bool, int]] = []
    watching = False

    def note(module: torch.nn.Module, inputs: tuple[torch.Tensor, ...]) -> None:
        shape = (module.training, len(inputs[0]))
        if watching and shape not in seen:
            new.append(shape)
        seen.add(shape)

    learner.module.register_forward_pre_hook(note)
    learner.warm_up(batch)
    watching, phase = True, Phase.train(3)
    for index in (0, 1):
        train_epoch(run, phase, _epoch(run, phase, index), learner, closing=False)
    proof.add("shapes", "SB: shapes that came first on the clock", ", ".join(map(str, new)) or "none", not new)


@section("NCCL")
def collectives(proof: Proof) -> None:
    """One rank of NCCL (of gloo on a CPU): a sum that comes back, and its time."""
    import torch.distributed as dist

    backend = "nccl" if proof.is_gpu else "gloo"
    with tempfile.TemporaryDirectory() as place:
        dist.init_process_group(backend, init_method=f"file://{place}/store", rank=0, world_size=1)
        try:
            numbers = torch.ones(2**16 if proof.small else 36_500_000, device=proof.device)
            dist.all_reduce(numbers)
            proof.wait()
            began = time.perf_counter()
            dist.all_reduce(numbers)
            proof.wait()
            took_s = time.perf_counter() - began
            holds = bool((numbers == 1).all())
        finally:
            dist.destroy_process_group()
    proof.add("NCCL", f"{backend}, one rank, {len(numbers):,} numbers summed", f"{1000 * took_s:.2f} ms", holds)


@section("input")
def reading(proof: Proof) -> None:
    """Images per second of the path that reads JPEG files, by all processors."""
    from PIL import Image

    from kbench.data.store import prepare

    rng, root = np.random.default_rng(0), proof.out / "photographs"
    n = {"train": 48 if proof.small else 2048, "val": 8}
    for part, count in n.items():
        for number in range(count):
            path = root / "own" / part / f"class{number % 4}" / f"{number}.jpg"
            path.parent.mkdir(parents=True, exist_ok=True)
            coarse = Image.fromarray(rng.integers(0, 256, (16, 20, 3), dtype=np.uint8))
            coarse.resize((500, 375), Image.Resampling.BICUBIC).save(path, quality=90)
    prepare.prepare("folder:own", root=str(root), given=None, download=False, workers=1, report=lambda _: None)
    source = prepare.open_dataset("folder:own", str(root)).train
    assert isinstance(source, SampleReader)
    ids = torch.arange(n["train"]).split(16)
    began = None
    seen = 0
    for _, x, _ in source.batches(ids, ViewSpec(augment="resized-crop", size=224)):
        if began is None:
            began = time.perf_counter()  # when the processes have started
        else:
            seen += len(x)
    took_s = time.perf_counter() - (began or 0)
    proof.add("input", f"JPEG of 500x375 to 224x224, {os.cpu_count()} processors", f"{seen / took_s:,.0f} images/s")


@section("Fashion-MNIST")
def fashion(proof: Proof) -> None:
    """Five strategies on 60,000 real images with WRN-16-4, as many epochs as the time allows."""
    if proof.fashion is None:
        proof.add("Fashion-MNIST", "left out", "no --fashion DIR with its four files")
        return
    raw = proof.out / "raw"
    raw.mkdir(exist_ok=True)
    for path in sorted(proof.fashion.glob("*ubyte*")):
        content = gzip.decompress(path.read_bytes()) if path.suffix == ".gz" else path.read_bytes()
        (raw / path.name.removesuffix(".gz")).write_bytes(content)
    here = [sys.executable, "-m", "kbench"]
    env = os.environ | {"KBENCH_DATA": str(proof.out / "data"), "NO_COLOR": "1", "COLUMNS": "150"}
    env["PYTHONPATH"] = os.pathsep.join(filter(None, [str(TOP), env.get("PYTHONPATH", "")]))
    results = ["--results", str(proof.out / "results")]

    def kbench(*words: str, limit_s: float = 120) -> "subprocess.CompletedProcess[str]":
        return subprocess.run(
            [*here, *words], env=env, capture_output=True, text=True, timeout=max(20.0, limit_s), check=False
        )

    kbench("data", "prepare", "fashion-mnist", "--from", str(raw))
    epochs = fashion_file(proof, epochs=1)
    first = kbench("run", str(epochs), "--only", "baseline", "--set", "name=first", *results, limit_s=proof.left_s)
    records = epochs_on_record(proof.out / "results" / "first")
    if not records:
        raise RuntimeError(first.stderr[-600:] or "the first run left no epoch")
    each_s = statistics.mean(row.train_s + row.eval_s for rows in records.values() for row in rows)
    n = max(2, min(30, int((proof.left_s - 75) / 5 / each_s))) if not proof.small else 2
    done = kbench("run", str(fashion_file(proof, epochs=n)), *results, limit_s=proof.left_s - 15)
    records = epochs_on_record(proof.out / "results" / "proof")
    proof.add("Fashion-MNIST", "runs that ended", f"{len(records)} of 5, {n} epochs each", done.returncode == 0)
    base = next((rows for name, rows in records.items() if ".baseline." in name), [])
    for name, rows in records.items():
        time_s = sum(row.train_s for row in rows)
        change = f", {time_s / sum(row.train_s for row in base) - 1:+.1%}" if base and rows is not base else ""
        power = [row.gpu_power_w for row in rows if row.gpu_power_w]
        energy = f", {statistics.mean(power) * time_s / 1000:.1f} kJ" if power else ""
        where = f"{rows[-1].val_acc1:.2%} in {time_s:.1f} s of training{change}{energy}"
        proof.add("Fashion-MNIST", name.split(".")[1], where)
    if records:
        draw(proof.out / "curves.png", records)


def fashion_file(proof: Proof, *, epochs: int) -> Path:
    """The experiment file of the five strategies."""
    model, fast = (
        ("fashion-cnn", "n_train: 600") if proof.small else ("wrn-16-4", "precision: bf16, channels_last: true")
    )
    path = proof.out / "fashion.yaml"
    chosen = "".join(f"  - {{{each}}}\n" if ":" in each else f"  - {each}\n" for each in (*FASHION, KAKURENBO))
    path.write_text(
        f"""\
name: proof
pairs:
  - model: {model}
    dataset: fashion-mnist
    recipe: {{epochs: {epochs}, global_batch: {50 if proof.small else 512}, lr: 0.2, schedule: cosine, nesterov: true,
             weight_decay: 5.0e-4, augment: crop-flip, {fast}}}
strategies:
{chosen}seeds: [0]
""",
        encoding="utf-8",
    )
    return path


def epochs_on_record(experiment: Path) -> dict[str, list[EpochRecord]]:
    """The epochs of each run of an experiment, from the journals: a machine without pyarrow has no tables."""
    found = {run.run_id: list(run.epochs()) for run in ExperimentDir(experiment).all_runs()}
    return {run_id: epochs for run_id, epochs in found.items() if epochs}


def draw(path: Path, records: dict[str, list[EpochRecord]]) -> None:
    """Accuracy over the seconds of training."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot as plt

    figure, axes = plt.subplots(figsize=(7, 4.2), layout="constrained")
    for name, rows in records.items():
        elapsed_s = np.cumsum([row.train_s for row in rows])
        axes.plot(elapsed_s, [100 * row.val_acc1 for row in rows], label=name.split(".")[1], marker=".")
    axes.set(xlabel="training time [s]", ylabel="top-1 accuracy [%]", title="Fashion-MNIST, one seed")
    axes.legend(frameon=False)
    figure.savefig(path, dpi=150)


def write(proof: Proof) -> None:
    """The table in Markdown and JSON; anew after every section, as time may be up."""
    lines = ["| section | what | found | |", "| --- | --- | --- | --- |"]
    lines += [f"| {row.section} | {row.what} | {row.value} | {row.verdict} |" for row in proof.rows]
    (proof.out / "proof.md").write_text("\n".join(lines) + "\n", encoding="utf-8")
    content = {"schema_version": 1, "device": str(proof.device), "rows": [row._asdict() for row in proof.rows]}
    (proof.out / "proof.json").write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")


def main() -> int:
    """Try every section; returns 1 where one failed or found what is not ok, 2 where there is no device."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("out", type=Path)
    parser.add_argument("--device", default="cuda")
    parser.add_argument("--minutes", type=float, default=8.0)
    parser.add_argument("--fashion", type=Path, help="folder with Fashion-MNIST's four files, gzipped or not")
    parser.add_argument("--only", action="append", choices=SECTIONS, help="a section; repeatable")
    parser.add_argument("--small", action="store_true", help="sizes that try the script itself")
    args = parser.parse_args()
    args.out.mkdir(parents=True, exist_ok=True)
    if args.device == "cuda" and not torch.cuda.is_available():
        print("no CUDA device is there; --device cpu --small tries the script", file=sys.stderr)
        return 2
    device = torch.device(args.device, 0) if args.device == "cuda" else torch.device(args.device)
    end = time.monotonic() + 60 * args.minutes
    proof = Proof(args.out.resolve(), device, args.small, args.fashion and args.fashion.resolve(), end)
    for name in args.only or SECTIONS:
        try:
            if proof.left_s < 20:
                raise TimeoutError("no time was left")
            SECTIONS[name](proof)
        except Exception as error:  # the next section may work all the same
            proof.rows.append(Row(name, "failed", f"{type(error).__name__}: {str(error)[:300]}", "failed"))
            print(f"{name}: failed\n{traceback.format_exc()}", flush=True)
        write(proof)
    wrong = [row for row in proof.rows if row.verdict in ("not ok", "failed")]
    print(f"{len(proof.rows)} lines in {proof.out / 'proof.md'}, {len(wrong)} not ok or failed")
    return int(bool(wrong))


if __name__ == "__main__":
    sys.exit(main())
