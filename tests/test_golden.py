"""Numbers of fixed seeds, and names of runs, stay as they were: held against those of kbench at f826c3a."""

import gzip
import json
from pathlib import Path
from typing import Any

import pytest
import torch

from kbench.config.experiment import ExperimentSpec
from kbench.config.parse import parse
from kbench.config.run_spec import Origin, RunSpec, expand
from kbench.config.yaml_source import read_source
from kbench.engine.runtime.ranks import RankEnv
from kbench.experiment.registries import Registries
from kbench.records.folders import RunDir
from kbench.records.provenance import cpu_name
from kbench.records.run_files import Job
from kbench.worker.rank import work

GOLDEN: dict[str, Any] = json.loads(
    gzip.decompress((Path(__file__).parent / "fixtures" / "golden-f826c3a.json.gz").read_bytes())
)
CONFIGS = Path(__file__).parents[1]
TRAINED = ("baseline", "kakurenbo", "sb", "prune-el2n")  # plans, batches, and phases
ALONE = RankEnv(starter="none", rank=0, size=1, local_rank=0, master=None)
# Of another processor or torch the last digits differ, and with them what methods select.
COUNTED_ALIKE = ("phase", "epoch", "lr", "n_samples")


@pytest.fixture(scope="module")
def specs(tmp_path_factory: pytest.TempPathFactory) -> dict[str, RunSpec]:
    """The runs of the golden experiment, by label."""
    path = tmp_path_factory.mktemp("golden") / "golden.yaml"
    path.write_text(GOLDEN["experiment_yaml"])
    experiment = parse(ExperimentSpec, read_source(path), context=Registries())
    return {run.strategy.label: run for run in expand(experiment, ranks=1)}


NEWER = (  # labels that came into shipped experiments later
    "rs2 ies random-like-ies orderdp random-like-orderdp seta random-like-seta rcap random-like-rcap divbs "
    "random-like-divbs gradmatch craig dual progressive warmup-kakurenbo"
).split()


@pytest.mark.parametrize("name", GOLDEN["run_ids"])
def test_the_runs_of_a_shipped_experiment_have_the_names_that_they_had(name: str) -> None:
    experiment = parse(ExperimentSpec, read_source(CONFIGS / name), context=Registries())
    before = GOLDEN["run_ids"][name]
    runs = [run for run in expand(experiment, ranks=1) if not run.pair.name.endswith(NEWER_PAIRS)]
    now = [_as_before(run).run_id for run in runs]
    assert [run_id for run_id in now if run_id.split(".")[1] not in NEWER] == before


NEWER_PAIRS = ("-vit-group", "-kakurenbo-program")  # other readings of one pair of a paper
MODELS_BEFORE = {"wrn-28-10-kakurenbo": "wrn-28-10"}
MILESTONES_BEFORE = {
    "deepcam-lamb-2048": (20.356,),
    "deepcam-lamb-128": (8.65, 17.301),
    "deepcam-adamw-128": (8.65, 17.301),
}


def _as_before(run: RunSpec) -> RunSpec:
    """The run as it was: random hiding like KAKURENBO had the plain learning rate, and follows its scale now.

    The papers' pairs name their group of batch normalisation now, two of them the network of its authors and one their
    normalisation; what is erased leaves a part of each side.
    """
    earlier: dict[str, Any] = {"batchnorm_group": 0}
    if run.pair.name in MILESTONES_BEFORE:  # a step later than the reference
        earlier["milestones"] = MILESTONES_BEFORE[run.pair.name]
    if run.pair.name == "wrn-28-10-cifar10":
        earlier |= {"mean": (), "std": ()}
    recipe = run.pair.recipe.model_copy(update=earlier)
    pair = run.pair.model_copy(update={"recipe": recipe, "model": MODELS_BEFORE.get(run.pair.model, run.pair.model)})
    run = run.model_copy(update={"pair": pair, "schema_version": 1})
    of = run.upstream or run
    if of.strategy.name != "random" or of.follows is None or of.follows.name != "kakurenbo":
        return run
    plain = of.strategy.model_copy(update={"params": {**of.strategy.params, "lr": "plain"}})
    changed = of.model_copy(update={"strategy": plain})
    return run.model_copy(update={"upstream": changed}) if isinstance(changed, Origin) else changed


def test_every_strategy_has_the_names_and_keys_that_it_had(specs: dict[str, RunSpec]) -> None:
    names = {label: (_as_before(run).run_id, run.match_key) for label, run in specs.items()}
    assert names == {run["label"]: (run["run_id"], run["match_key"]) for run in GOLDEN["runs"]}


@pytest.mark.parametrize("label", TRAINED)
def test_a_strategy_trains_to_the_numbers_that_it_had(label: str, specs: dict[str, RunSpec], tmp_path: Path) -> None:
    known = next(run for run in GOLDEN["runs"] if run["label"] == label)
    folder = RunDir(tmp_path / known["run_id"])
    folder.prepare(specs[label])
    folder.begin(Job.of(attempt=1).updated(threads_per_rank=1))
    work(folder, ALONE)
    run = folder.read()
    assert run.done and run.done.last_phase == known["last_phase"] and not run.trouble
    columns = GOLDEN["columns"]
    trained = [[getattr(record, column) for column in columns] for record in run.epochs]
    made_with = GOLDEN["made_with"]
    if (torch.__version__, cpu_name()) == (made_with["torch_version"], made_with["processor"]):
        digests = ("weights_digest", "order_digest", "augment_digest")
        assert {name: getattr(run.done, name) for name in digests} == {name: known[name] for name in digests}
        assert trained == known["epochs"]
    else:
        same = [columns.index(name) for name in COUNTED_ALIKE]
        assert [[row[i] for i in same] for row in trained] == [[row[i] for i in same] for row in known["epochs"]]
        accuracy = columns.index("val_acc1")
        assert trained[-1][accuracy] == pytest.approx(known["epochs"][-1][accuracy], abs=0.1)
