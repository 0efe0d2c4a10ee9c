"""Code of one's own is found in the working folder, loaded with clear words, and another source is another run."""

import sys
from pathlib import Path

import pytest

from kbench.config import own_code
from kbench.config.experiment import ExperimentSpec, Pair
from kbench.config.parse import parse
from kbench.config.recipe import OWN_KEYS
from kbench.config.run_spec import RunSpec, expand
from kbench.config.yaml_source import Source
from kbench.errors import ConfigError, WorkloadError
from kbench.experiment.registries import Registries
from kbench.worker.setup import check_own_code

MODEL = "import torch\nfrom own_layers import width\nnet = lambda shape, n_classes: torch.nn.Linear(width, n_classes)\n"


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working folder with a model of one's own, and what it imports from beside it."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    for name in [name for name in sys.modules if name.startswith("own_")]:
        monkeypatch.delitem(sys.modules, name)
    (tmp_path / "own_net.py").write_text(MODEL)
    (tmp_path / "own_layers.py").write_text("width = 64\n")
    return tmp_path


def first_run(**pair: object) -> RunSpec:
    recipe = {"epochs": 1, "global_batch": 48, "lr": 0.1}
    tree = {"name": "own", "pairs": [{"dataset": "digits", "recipe": recipe, **pair}], "strategies": ["baseline"]}
    experiment = parse(ExperimentSpec, Source("own.yaml", tree, {}), context=Registries())
    return expand(experiment, ranks=1)[0]


@pytest.mark.parametrize("name", ["my_models:Net", "a.b.c:Net_2", "_x:y"])
def test_a_name_with_a_module_is_ones_own(name: str) -> None:
    assert own_code.is_reference(name)


@pytest.mark.parametrize(
    "name", ["timm:resnet18", "npz:table", "folder:pets", "digits-cnn", "a:b:c", "a:", "a/b:c", 1, None, []]
)
def test_other_names_are_not(name: object) -> None:
    assert not own_code.is_reference(name)


def test_another_source_is_another_run_with_another_match_key(place: Path) -> None:
    before = first_run(model="own_net:net")
    (place / "own_layers.py").write_text("width = 65\n")
    after = first_run(model="own_net:net")
    assert (before.run_id != after.run_id) and (before.match_key != after.match_key)
    (place / "own_layers.py").write_text("width = 64\n")
    assert first_run(model="own_net:net").run_id == before.run_id


def test_a_file_that_it_does_not_import_changes_nothing(place: Path) -> None:
    before = own_code.digest("own_net:net")
    (place / "another.py").write_text("x = 1\n")
    assert own_code.digest("own_net:net") == before


def test_modules_of_a_package_count_that_are_imported_by_dots(place: Path) -> None:
    (place / "own_pack").mkdir()
    for name, text in {
        "__init__": "",
        "net": "from . import parts\nfrom .deep.base import x\n",
        "parts": "a = 1\n",
    }.items():
        (place / "own_pack" / f"{name}.py").write_text(text)
    (place / "own_pack" / "deep").mkdir()
    (place / "own_pack" / "deep" / "__init__.py").write_text("")
    (place / "own_pack" / "deep" / "base.py").write_text("x = 1\n")
    seen = {own_code.digest("own_pack.net:Net")}
    for changed in ("__init__.py", "parts.py", "deep/base.py"):
        (place / "own_pack" / changed).write_text("# changed\n")
        seen.add(own_code.digest("own_pack.net:Net"))
    assert len(seen) == 4


def test_what_is_built_in_has_no_code_in_its_name() -> None:
    run = first_run(model="digits-cnn")
    assert run.pair.code == {} and "code" not in run.content["pair"]
    assert not {"loss", "metric"} & run.content["pair"]["recipe"].keys()


def test_a_run_whose_source_changed_since_it_was_named_is_refused(place: Path) -> None:
    run = first_run(model="own_net:net")
    check_own_code(run.pair)
    (place / "own_net.py").write_text(MODEL + "# changed\n")
    with pytest.raises(WorkloadError, match="own_net:net: its source has changed since this run was named"):
        check_own_code(run.pair)


def test_a_digest_that_is_written_down_must_fit(place: Path) -> None:
    fits = {"own_net:net": own_code.digest("own_net:net")}
    assert first_run(model="own_net:net", code=fits).pair.code == fits
    with pytest.raises(ConfigError, match=r"pairs\[0\].code: must be .*, as the sources are now"):
        first_run(model="own_net:net", code={"own_net:net": "0" * 12})


@pytest.mark.parametrize(
    "text, message",
    [
        ("def other(): ...", "model 'own_bad:net' cannot be loaded: module 'own_bad' has no attribute 'net'"),
        ("1 / 0", "model 'own_bad:net' cannot be loaded: ZeroDivisionError: division by zero"),
        ("net = 1", "model 'own_bad:net' must be called with"),
    ],
)
def test_a_model_that_cannot_be_loaded_is_a_mistake_of_the_file(text: str, message: str, place: Path) -> None:
    (place / "own_bad.py").write_text(text + "\n")
    with pytest.raises(ConfigError) as error:
        first_run(model="own_bad:net")
    assert message in error.value.message
    with pytest.raises(ConfigError, match="put that folder on PYTHONPATH"):
        first_run(model="own_nowhere:net")


def test_every_key_of_the_recipe_that_names_ones_own_is_examined() -> None:
    recipe = {"epochs": 1, "global_batch": 48, "lr": 0.1}
    named = {key: "own_nowhere:it" for key in ("loss", "metric", "augment", "optimizer", "schedule")}
    with pytest.raises(ConfigError) as error:
        first_run(model="digits-cnn", recipe=recipe | named)
    assert [s.split(": ")[1].rsplit(".", 1)[1] for s in error.value.sentences] == list(named)
    deepcam = {"dataset": "deepcam-synthetic", "model": "deepcam", "recipe": {**recipe, "global_batch": 4}}
    with pytest.raises(ConfigError, match="one of your own needs a class for each sample"):
        first_run(**{**deepcam, "recipe": {**deepcam["recipe"], "loss": "own_nowhere:it"}})


def test_settings_that_an_optimizer_of_ones_own_would_not_get_are_refused() -> None:
    base = {"epochs": 1, "global_batch": 48, "lr": 0.1}
    with pytest.raises(ValueError, match="momentum: my_opt:Lion gets lr and weight_decay"):
        Pair.model_validate(
            {"model": "m", "dataset": "d", "recipe": {**base, "optimizer": "my_opt:Lion", "momentum": 0.5}}
        )
    with pytest.raises(ValueError, match="label_smoothing belongs to the loss 'cross-entropy'"):
        Pair.model_validate({"model": "m", "dataset": "d", "recipe": {**base, "loss": "a:b", "label_smoothing": 0.1}})


def test_an_entry_point_names_a_model_a_data_set_and_parts_of_a_recipe_whose_source_counts(place: Path) -> None:
    (place / "own_set.py").write_text(
        "from kbench.data import DatasetInfo\n"
        "DATA = DatasetInfo(target='load', n_train=96, n_val=9, n_classes=2, shape=(1, 8, 8), "
        "augments=('none',), about='')\n"
    )
    package = place / "own_package-1.dist-info"
    package.mkdir()
    (package / "METADATA").write_text("Metadata-Version: 2.1\nName: own-package\nVersion: 1\n")
    (package / "entry_points.txt").write_text(
        "[kbench.models]\nshort-net = own_net:net\n[kbench.datasets]\nshort-set = own_set:DATA\n"
        + "".join(f"[{group}]\nshort-{key} = own_parts:it\n" for key, group in OWN_KEYS.items())
    )
    (place / "own_parts.py").write_text("def it(*_):\n    return 1.0\n")
    own_code.installed.cache_clear()
    try:
        run = first_run(model="short-net", dataset="short-set")
        assert run.pair.code == {
            "short-net": own_code.digest("own_net:net"),
            "short-set": own_code.digest("own_set:DATA"),
        }
        check_own_code(run.pair)
        parts = {key: f"short-{key}" for key in OWN_KEYS}
        own = first_run(
            model="short-net", dataset="short-set", recipe={"epochs": 1, "global_batch": 48, "lr": 0.1, **parts}
        )
        assert {key: getattr(own.pair.recipe, key) for key in OWN_KEYS} == dict.fromkeys(OWN_KEYS, "own_parts:it")
        assert own.pair.code["own_parts:it"] == own_code.digest("own_parts:it")
        check_own_code(own.pair)
        with pytest.raises(ConfigError, match="did you mean 'short-net'"):
            first_run(model="shortnet")
    finally:
        own_code.installed.cache_clear()
