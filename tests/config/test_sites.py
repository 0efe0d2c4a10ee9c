"""The example sites: valid, explained, and each key of a site stands in one of them."""

from pathlib import Path

import pytest

from kbench.config.lookup import names
from kbench.config.parse import parse
from kbench.config.site import Site
from kbench.config.yaml_source import read_source
from kbench.experiment.plan import resolved
from kbench.launch.job_script import check_template
from kbench.records.folders import ExperimentDir

SITES = names("configs/sites", ".yaml")
SCHEDULED = [name for name in SITES if name.startswith(("slurm", "sge", "pbs"))]


def site(name: str) -> Site:
    return parse(Site, read_source(SITES[name]))


def test_there_is_an_example_for_each_kind_of_machine() -> None:
    assert {"laptop", "slurm", "slurm-gpu", "mpirun-hostfile", "sge", "pbs"} <= SITES.keys()


@pytest.mark.parametrize("name", SITES)
def test_an_example_is_valid_and_says_what_it_is(name: str) -> None:
    lines = SITES[name].read_text().splitlines()
    assert site(name).ranks >= 1
    assert lines[0].startswith("# ") and lines[0].endswith(".")


@pytest.mark.parametrize("name", [name for name in SITES if name != "laptop"])
def test_every_line_of_an_example_fits_a_screen_and_most_are_explained(name: str) -> None:
    lines = SITES[name].read_text().splitlines()
    bare = [line for line in lines if " # " not in line and not line.startswith("#") and not line.endswith(":")]
    assert all(len(line) <= 120 for line in lines)
    assert len(bare) <= 6, bare


def test_every_key_of_a_site_stands_in_an_example() -> None:
    written = {key for name in SITES for key in site(name).model_fields_set}
    written |= {line.split("#")[1].split(":")[0].strip() for line in _commented()}
    assert set(Site.model_fields) - written == set()


def _commented() -> list[str]:
    return [line for path in SITES.values() for line in path.read_text().splitlines() if line.startswith("# ")]


@pytest.mark.parametrize("name", SCHEDULED)
def test_the_template_of_an_example_uses_all_that_the_example_sets(name: str, tmp_path: Path) -> None:
    there = resolved(site(name), launcher="auto", max_parallel=1)
    experiment = ExperimentDir(tmp_path / "small")
    text = check_template(there, experiment, [experiment.run("digits-cnn-digits.baseline.s0.0123abcd")])
    assert text.startswith("#!/usr/bin/env bash\n")


@pytest.mark.parametrize("name", SCHEDULED)
def test_an_example_leaves_its_runs_time_to_end_an_epoch_before_the_limit(name: str) -> None:
    there = site(name)
    assert there.time_limit_s is not None
    assert 300 <= there.signal_s < there.time_limit_s / 10


def test_the_site_of_the_published_experiments_has_their_ranks_and_time() -> None:
    there = site("sge")
    assert (there.nodes, there.ranks_per_node, there.ranks) == (8, 4, 32)
    assert (there.time_limit, there.options) == ("72:00:00", ("-l rt_F=8",))
