"""Whatever stands in a file is read, or refused in a sentence; what is wrong with one run is no other's trouble.

``make test`` tries a few examples of each property, the same every time, and what was found before (``corpus/``, by
property); ``make fuzz MIN=10`` tries new ones until the time is up.
"""

import gzip
import io
import json
import os
import tarfile
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import pytest

hypothesis = pytest.importorskip("hypothesis", reason="needs hypothesis")

from hypothesis import HealthCheck, given, settings  # noqa: E402
from hypothesis import strategies as st  # noqa: E402

from kbench.analysis.frame import load  # noqa: E402
from kbench.config.experiment import ExperimentSpec, Pair  # noqa: E402
from kbench.config.parse import parse  # noqa: E402
from kbench.config.run_spec import RunSpec  # noqa: E402
from kbench.config.strategy_choice import Choice  # noqa: E402
from kbench.config.yaml_source import read_source  # noqa: E402
from kbench.data.sources.shards import read_shard  # noqa: E402
from kbench.data.store.prepare_job import read_archive  # noqa: E402
from kbench.errors import ConfigError, KBenchError, ResultsError, WorkloadError, printable  # noqa: E402
from kbench.experiment.status import StatusMonitor  # noqa: E402
from kbench.importers.naming import Naming  # noqa: E402
from kbench.importers.store import import_logs  # noqa: E402
from kbench.records import bundle, imported  # noqa: E402
from kbench.records.folders import ExperimentDir, RunDir  # noqa: E402
from kbench.records.journal import PhaseLength, append  # noqa: E402
from kbench.records.run_files import Done, Job, Provenance, Start  # noqa: E402
from kbench.records.run_state import State  # noqa: E402
from kbench.records.schema import EpochRecord  # noqa: E402
from kbench.records.store import Tables, gather  # noqa: E402

CORPUS = Path(__file__).parent / "corpus"
CONFIGS = sorted((Path(__file__).parents[2] / "configs").glob("*.yaml"))
FEW = int(os.environ.get("KBENCH_FUZZ_EXAMPLES", "0"))  # 0: as make test does
settings.register_profile(
    "fuzz",
    max_examples=FEW or 25,
    derandomize=not FEW,
    deadline=None,
    database=None,
    suppress_health_check=list(HealthCheck),
)
settings.load_profile("fuzz")

TOKENS = [
    *(
        b"NaN",
        b"-Infinity",
        b"1e999",
        b"1e30",
        b"-1",
        b"0",
        b"9223372036854775808",
        b"1" * 400,
        b"null",
        b"true",
        b'""',
    ),
    *(
        b"{}",
        b"[]",
        b"[" * 2000,
        b"{",
        b"}",
        b'"',
        b"'",
        b",",
        b":",
        b";",
        b"\t",
        b"\n",
        b"\r",
        b"\0",
        b"\xff",
        b"%",
        b"#",
    ),
    *(b"\xed\xa0\x80", b'"\\ud800"', b"\x1b[2J", b"\xe2\x80\xae", b"2024-13-45", b"0x_", b"!!int abc", b"&a", b"*a"),
    *(
        b"<<: *a",
        b"---",
        b"...",
        b"? ",
        b"- ",
        b" " * 40,
        b"schema_version",
        b"../..",
        b"\\",
        b"/dev/null",
        b"=1+1",
        b"_",
    ),
]
EDITS = st.lists(
    st.tuples(st.floats(0, 1), st.integers(0, 40), st.one_of(st.sampled_from(TOKENS), st.binary(max_size=8))),
    min_size=1,
    max_size=6,
)
Edits = list[tuple[float, int, bytes]]


def mutated(content: bytes, edits: Edits) -> bytes:
    for place, n_removed, token in edits:
        start = int(place * len(content))
        content = content[:start] + token + content[start + n_removed :]
    return content


def corpus(kind: str) -> list[Path]:
    return sorted((CORPUS / kind).glob("[!.]*"))


# Configuration


def read_configuration(content: bytes, folder: Path) -> None:
    path = folder / "x.yaml"
    path.write_bytes(content)
    try:
        parse(ExperimentSpec, read_source(path))
    except ConfigError as error:
        assert all(error.sentences)


@given(config=st.sampled_from(CONFIGS), edits=EDITS)
def test_a_configuration_is_read_or_refused_in_sentences(config: Path, edits: Edits, tmp_path: Path) -> None:
    read_configuration(mutated(config.read_bytes(), edits), tmp_path)


@pytest.mark.parametrize("path", corpus("configuration"), ids=lambda path: path.name)
def test_a_configuration_of_the_corpus_is_read_or_refused_in_sentences(path: Path, tmp_path: Path) -> None:
    read_configuration(path.read_bytes(), tmp_path)


# Records


def make_run(folder: ExperimentDir, seed: int) -> RunDir:
    pair = Pair.model_validate(
        {"model": "digits-cnn", "dataset": "digits", "recipe": {"epochs": 2, "global_batch": 48, "lr": 0.05}}
    )
    choice = Choice(label="baseline", name="baseline")
    spec = RunSpec(experiment="small", pair=pair, strategy=choice, seed=seed, ranks=1)
    run = folder.run(spec.run_id)
    run.prepare(spec)
    phases = (PhaseLength(name="train", epochs=2),)
    run.begin(Job(attempt=1, host="here", launcher="local", id=1))
    start = {"attempt": 1, "id": "7", "scheduler": "slurm", "host": "here", "nodes": ("a", "b"), "restarts": 0}
    Start.model_validate(start | {"started_at": datetime(2026, 1, 1, tzinfo=UTC)}).write(run.path)
    Provenance(epochs=2, phases=phases, metric="top1", hosts=("a",), device_name="CPU").write(run.path)
    fields = EpochRecord.model_fields
    zeros: dict[str, object] = {name: 0 for name, field in fields.items() if field.is_required()}
    for epoch in range(2):
        facts = {
            "attempt": 1,
            "phase": "train",
            "epoch": epoch,
            "n_samples": 10,
            "ended_at": datetime(2026, 1, 1, tzinfo=UTC),
        }
        append(run.journal, EpochRecord.model_validate(zeros | facts))
    run.finish(Done.of(attempt=1, phases=phases))
    return run


@pytest.fixture(scope="module")
def two_runs(tmp_path_factory: pytest.TempPathFactory) -> tuple[RunDir, RunDir]:
    folder = ExperimentDir(tmp_path_factory.mktemp("fuzz") / "small")
    return make_run(folder, 0), make_run(folder, 1)


def read_records(run: RunDir, other: RunDir) -> None:
    folder = ExperimentDir(run.path.parent.parent)
    monitor = StatusMonitor(folder)
    for status in monitor.mark_disturbed([monitor.status_of(each) for each in folder.read()]):
        json.dumps(status.as_json(), default=str).encode()
        printable(status.text).encode()
    gather(folder, monitor.state_of)
    runs = load(Tables.of(folder)).runs.set_index("run_id")
    assert run.run_id in runs.index
    assert runs.loc[other.run_id, "state"] == State.DONE and runs.loc[other.run_id, "epochs_done"] == 2


def with_file(run: RunDir, name: str, content: bytes, look: Callable[[], None]) -> None:
    before = (run.path / name).read_bytes()
    try:
        (run.path / name).write_bytes(content)
        look()
    finally:
        (run.path / name).write_bytes(before)


NAMES = ("spec.json", "job.json", "start.json", "provenance.json", "done.json", "epochs.jsonl")


@given(name=st.sampled_from(NAMES), edits=EDITS)
@settings(max_examples=FEW or 10)
def test_what_is_wrong_with_a_record_is_its_own_runs_trouble(name: str, edits: Edits, two_runs) -> None:
    run, other = two_runs
    content = mutated((run.path / name).read_bytes(), edits)
    with_file(run, name, content, lambda: read_records(run, other))


JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**70), 2**70) | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner, max_size=3),
    max_leaves=5,
)


@given(name=st.sampled_from(NAMES), place=st.floats(0, 1), value=JSON)
@settings(max_examples=FEW or 10)
def test_a_value_of_any_type_is_its_own_runs_trouble(name: str, place: float, value: object, two_runs) -> None:
    run, other = two_runs
    first, *rest = (
        (run.path / name).read_bytes().splitlines() if name.endswith("l") else [(run.path / name).read_bytes()]
    )
    entry = json.loads(first)
    key = list(entry)[min(int(place * len(entry)), len(entry) - 1)]
    content = b"\n".join([json.dumps(entry | {key: value}).encode(), *rest]) + b"\n"
    with_file(run, name, content, lambda: read_records(run, other))


@pytest.mark.parametrize("path", corpus("records"), ids=lambda path: path.name)
def test_a_record_of_the_corpus_is_its_own_runs_trouble(path: Path, two_runs) -> None:
    run, other = two_runs  # the file's name ends in that of the record
    name = next(name for name in NAMES if path.name.endswith(name))
    with_file(run, name, path.read_bytes(), lambda: read_records(run, other))


# Logs of others


def mllog(key: str, second: int, value: object, **metadata: object) -> str:
    return ":::MLLOG " + json.dumps({"key": key, "time_ms": 1000 * second, "value": value, "metadata": metadata}) + "\n"


CORDS = "x INFO: Epoch: {0} , Test Loss: 0.1 , Test Accuracy: 0.{0} , Timing: {0}.5\nx INFO: 0.1250000000\n"
SAMPLES = {
    "cords-log": ("x.log", CORDS.format(1) + CORDS.format(2)),
    "csv": ("x.csv", "pair,seed,epoch,val_acc1,train_s,n_samples,ended_at\np,0,0,0.5,1.5,10,\np,0,1,0.6,nan,10,\n"),
    "kakurenbo-log": ("report_time.log", "RANK\n" + "".join(f"[0]\t{n}" + "\t1.5" * 9 + "\n" for n in (0, 1))),
    "keras-csv": ("x.csv", "epoch,accuracy,loss,val_accuracy,val_loss\n0,0.4,2.0,0.5,nan\n1,0.6,nan,0.55,inf\n"),
    "lightning-csv": ("metrics.csv", "epoch,step,train_loss,val_acc\n0,9,1.9,\n0,9,,0.5\n1,19,1.5,\n1,19,,0.6\n"),
    "mllog": (
        "result_0.txt",
        mllog("submission_benchmark", 0, "resnet") + mllog("seed", 0, 3) + mllog("run_start", 1, None)
        + "".join(
            mllog("epoch_start", 10 * n, None, epoch_num=n) + mllog("eval_accuracy", 10 * n + 8, 0.5, epoch_num=n)
            + mllog("epoch_stop", 10 * n + 9, None, epoch_num=n) for n in (1, 2)
        ) + mllog("run_stop", 40, None, status="success"),
    ),
    "timm-csv": ("summary.csv", "epoch,train_loss,eval_loss,eval_top1\n0,2.5,2.0,40.0\n1,1.5,1.0,60.5\n"),
    "wandb-csv": ("x.csv", "epoch,a - eval_top1,b - eval_top1,a - train_loss\n0,40,50,1.5\n1,41,,nan\n"),
}  # fmt: skip


def read_log(form: str, name: str, content: bytes, folder: Path) -> None:
    (folder / name).write_bytes(content)
    results = folder / "results"
    try:
        experiment, stored = import_logs(form, [folder / name], results, naming=Naming(experiment="x"))
    except KBenchError as error:
        assert all(error.sentences)
        return
    try:
        gather(experiment, lambda run: State.DONE)
        frames = load(Tables.of(experiment))
        assert len(frames.runs) == len(stored) and not set(frames.runs["state"]) & {"damaged"}
        assert len(frames.epochs) == sum(len(each.log.epochs) for each in stored)
    finally:
        for run in imported.runs(experiment):
            for file in run.path.iterdir():
                file.unlink()
            run.path.rmdir()


@given(form=st.sampled_from(sorted(SAMPLES)), edits=EDITS)
def test_a_log_is_read_whole_or_refused_in_a_sentence(form: str, edits: Edits, tmp_path: Path) -> None:
    name, text = SAMPLES[form]
    read_log(form, name, mutated(text.encode(), edits), tmp_path)


@pytest.mark.parametrize("path", corpus("imports"), ids=lambda path: path.name)
def test_a_log_of_the_corpus_is_read_whole_or_refused_in_a_sentence(path: Path, tmp_path: Path) -> None:
    form, _, name = path.name.partition("__")
    read_log(form, name, path.read_bytes(), tmp_path)


# Archives


def tar_of(contents: dict[str, bytes]) -> bytes:
    written = io.BytesIO()
    with tarfile.open(fileobj=written, mode="w") as tar:
        for name, content in contents.items():
            member = tarfile.TarInfo(name)
            member.size = len(content)
            tar.addfile(member, io.BytesIO(content))
    return written.getvalue()


SHARD = tar_of({"0.jpg": b"an image", "0.cls": b"1", "1.jpg": b"another", "1.cls": b"0", "1.txt": b"more"})
BUNDLE = {
    "schema_version": 1, "experiment": "x", "made_at": "2026-01-01T00:00:00Z", "kbench_version": "0",
    "files": {"a/b": {"sha256": "fb8e20fc2e4c3f248c60c39bd652f3c1347298bb977b8b4d5903b85055620603", "n_bytes": 2}},
}  # fmt: skip
BUNDLED = tar_of({"bundle.json": json.dumps(BUNDLE).encode(), "a/b": b"ab"})


def read_archives(raw: bytes, folder: Path) -> None:
    shard, packed = folder / "train-0.tar", folder / "x.tar.gz"
    shard.write_bytes(raw)
    packed.write_bytes(gzip.compress(raw, 1))
    for read, path, refusal in (
        (read_shard, shard, WorkloadError),
        (read_archive, packed, WorkloadError),
        (lambda path: bundle.unpack(path, folder / "results"), packed, ResultsError),
        (lambda path: bundle.unpack(path, folder / "results"), shard, ResultsError),
    ):
        try:
            read(path)
        except refusal as error:
            assert error.message
    there = {path for path in folder.rglob("*") if path.is_file() and not path.is_relative_to(folder / "results" / "x")}
    assert there == {shard, packed}, "something lies where it should not"


@given(whole=st.sampled_from([SHARD, BUNDLED]), edits=EDITS, seals=st.booleans())
def test_an_archive_is_read_or_refused_and_writes_nowhere_else(
    whole: bytes, edits: Edits, seals: bool, tmp_path: Path
) -> None:
    raw = mutated(whole[:2048], edits)[:2048].ljust(2048, b"\0") + whole[2048:] if seals else mutated(whole, edits)
    if seals:  # with headers whose checksum is right, so that more than the checksum is tried
        for start in range(0, 2048, 1024):
            header = bytearray(raw[start : start + 512])
            header[148:156] = b" " * 8
            header[148:156] = b"%06o\0 " % sum(header)
            raw = raw[:start] + bytes(header) + raw[start + 512 :]
    read_archives(raw, tmp_path)


@pytest.mark.parametrize("path", corpus("archives"), ids=lambda path: path.name)
def test_an_archive_of_the_corpus_is_read_or_refused_and_writes_nowhere_else(path: Path, tmp_path: Path) -> None:
    read_archives(path.read_bytes(), tmp_path)
