"""kbench list experiments: on what, how long, on how many GPUs of the paper, with whom, and at what cost."""

import json
import shutil
from pathlib import Path

import pytest
import yaml

from kbench.records.folders import ExperimentDir


@pytest.fixture
def place(small_folder: Path, tmp_path: Path) -> Path:
    """A folder in which ``small`` is an experiment found by its name, and has been run."""
    shutil.copytree(small_folder / "results", tmp_path / "results")
    (tmp_path / "configs").mkdir()
    shutil.copy(small_folder / "small.yaml", tmp_path / "configs" / "small.yaml")
    return tmp_path


def changed(place: Path, **pair: object) -> None:
    path = place / "configs" / "small.yaml"
    tree = yaml.safe_load(path.read_text())
    tree["pairs"][0] |= pair
    path.write_text("# Small.\n" + yaml.safe_dump(tree))


def line_of(name: str, out: str) -> str:
    (found,) = [line for line in out.splitlines() if line.split()[0] == name]
    return found.split(maxsplit=1)[1]


def test_an_experiment_is_told_in_a_line(tmp_path: Path, here) -> None:
    told = line_of("cifar100-wrn28-10", here("list", "experiments", cwd=tmp_path).out)
    assert told.startswith(
        "wrn-28-10-kakurenbo on cifar100; 200 epochs; paper: 32 V100; baseline, random-like-kakurenbo, "
    )
    assert told.endswith("; node-hours: unknown")


@pytest.mark.parametrize(
    "paper, said",
    [
        (None, "small; digits-cnn on digits; 3 epochs; baseline"),
        ({"source": "x"}, "3 epochs; paper: GPUs not published; baseline"),
        ({"source": "x", "gpu": "K20c"}, "3 epochs; paper: K20c, number not published; baseline"),
        ({"source": "x", "gpus": 1}, "3 epochs; paper: 1 GPU; baseline"),
        ({"source": "x", "gpus": 8, "gpu": "A100"}, "3 epochs; paper: 8 A100; baseline"),
    ],
)
def test_gpus_are_those_of_the_paper_and_never_invented(paper: dict | None, said: str, place: Path, here) -> None:
    changed(place, paper=paper)
    assert said in "small; " + line_of("small", here("list", "experiments", cwd=place).out)


def test_node_hours_are_those_that_the_finished_runs_took(place: Path, here) -> None:
    runs = list(ExperimentDir(place / "results" / "small").all_runs())
    spent_s = sum(run.epochs()[-1].elapsed_s + sum(record.eval_s for record in run.epochs()) for run in runs)
    facts = json.loads(here("list", "experiments", "small", "--json", cwd=place).out)
    assert (facts["node_hours"], facts["node_hours_from"]) == (pytest.approx(spent_s / 3600), 6)
    assert ", as 6 finished runs took" in line_of("small", here("list", "experiments", cwd=place).out)


def test_node_hours_count_every_node_of_a_run(place: Path, here) -> None:
    once = json.loads(here("list", "experiments", "small", "--json", cwd=place).out)["node_hours"]
    for run in ExperimentDir(place / "results" / "small").all_runs():
        facts = json.loads((run.path / "provenance.json").read_text())
        (run.path / "provenance.json").write_text(json.dumps(facts | {"hosts": ["n1", "n2", "n3"]}))
    told = json.loads(here("list", "experiments", "small", "--json", cwd=place).out)
    assert told["node_hours"] == pytest.approx(3 * once)


def test_a_strategy_without_a_finished_run_is_judged_by_the_others(place: Path, here) -> None:
    runs = list(ExperimentDir(place / "results" / "small").all_runs())
    for run in runs:
        if run.read_spec().strategy.label == "kakurenbo":
            (run.path / "done.json").unlink()
    facts = json.loads(here("list", "experiments", "small", "--json", cwd=place).out)
    kept = [run for run in runs if run.read_spec().strategy.label != "kakurenbo"]
    spent_s = sum(run.epochs()[-1].elapsed_s + sum(record.eval_s for record in run.epochs()) for run in kept)
    assert (facts["node_hours"], facts["node_hours_from"]) == (pytest.approx(spent_s / 3600 * 6 / 4), 4)


def test_runs_of_another_recipe_tell_nothing(place: Path, here) -> None:
    changed(place, recipe={"epochs": 4, "global_batch": 48, "lr": 0.05})
    facts = json.loads(here("list", "experiments", "small", "--json", cwd=place).out)
    assert (facts["node_hours"], facts["node_hours_from"]) == (None, 0)


def test_what_a_paper_says_does_not_make_it_another_recipe(place: Path, here) -> None:
    changed(place, paper={"source": "x"})
    assert json.loads(here("list", "experiments", "small", "--json", cwd=place).out)["node_hours_from"] == 6


def test_results_may_lie_elsewhere(place: Path, here) -> None:
    (place / "results").rename(place / "elsewhere")
    words = ["list", "experiments", "small", "--json"]
    assert json.loads(here(*words, cwd=place).out)["node_hours"] is None
    assert json.loads(here(*words, "--results", "elsewhere", cwd=place).out)["node_hours_from"] == 6


def test_an_experiment_in_full_has_all_its_pairs_and_their_sources(tmp_path: Path, here) -> None:
    told = here("list", "experiments", "fractal3k-deit-tiny", cwd=tmp_path).out
    for word in (
        "deit-tiny-fractal3k:",
        "deit-tiny-cifar10:",
        "32 V100",
        "8 V100",
        "80 epochs",
        "1000 epochs",
        "source:",
    ):
        assert word in told


@pytest.mark.parametrize("text", ["# Mine.\nname: mine\n", "# Mine.\nname: [\n"])
def test_a_file_that_is_no_experiment_is_listed_with_what_it_says_of_itself(text: str, tmp_path: Path, here) -> None:
    (tmp_path / "configs").mkdir()
    (tmp_path / "configs" / "mine.yaml").write_text(text)
    assert line_of("mine", here("list", "experiments", cwd=tmp_path).out) == "Mine."


@pytest.mark.parametrize(
    "path", sorted((Path(__file__).parents[2] / "configs").glob("*.yaml")), ids=lambda path: path.stem
)
def test_check_passes_on_every_experiment(path: Path, tmp_path: Path, here) -> None:
    said = here("check", path.stem, "--json", cwd=tmp_path)
    assert said.code == 0, said.err
    assert json.loads(said.out)["runs"]
