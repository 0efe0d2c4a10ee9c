"""A site says how ranks are started and how many, and nothing of what they train."""

from typing import Any

import pytest

from kbench.config.lookup import find
from kbench.config.parse import parse
from kbench.config.site import Site
from kbench.config.yaml_source import Source, read_source
from kbench.errors import ConfigError
from kbench.launch.schedulers.registry import parse_site


def test_the_world_is_nodes_times_ranks_per_node() -> None:
    assert Site(nodes=3, ranks_per_node=4).ranks == 12


def test_the_site_of_a_newcomer_is_this_machine_with_one_rank() -> None:
    site = parse(Site, read_source(find("laptop", "configs/sites", ".yaml", "site")))
    assert (site.ranks, site.launcher, site.threads_per_rank) == (1, "auto", None)


@pytest.mark.parametrize(
    "tree, message",
    [
        (
            {"launcher": "lokal"},
            "s: launcher: must be 'auto', 'local', 'mpirun', 'slurm' or 'queue', got 'lokal'; did you mean 'local'?",
        ),
        ({"nodes": 0}, "s: nodes: must be greater than or equal to 1, got 0"),
        ({"node": 1}, "s: node: unknown key 'node'; did you mean 'nodes'?"),
        ({"ranks_per_node": True}, "s: ranks_per_node: must be an integer, got True"),
        ({"hosts": [1]}, "s: hosts[0]: must be a string, got 1"),
        ({"setup": "module load x"}, "s: setup: must be a list, got 'module load x'"),
        ({"time_limit": 5400}, "s: time_limit: must be quoted and like '02:00:00' or '1-12:00:00', got 5400"),
        ({"memory": "64"}, "s: memory: must be like 64G (M, G or T), got '64'"),
        ({"options": ["-x\nrm"]}, "s: options[0]: must be one line without control characters, got '-x\\nrm'"),
        (
            {"launcher": "slurm", "options": ["--hold", "hetjob"]},
            "s: top level: launcher 'slurm' trains on nodes of one kind, and the option 'hetjob' asks for",
        ),
        ({"launcher": "queue"}, "s: top level: launcher 'queue' needs the key queue with submit, list and cancel"),
        ({"hosts": ["a"], "hostfile": "b"}, "s: top level: hosts and hostfile say the same, give one of them"),
        ({"time_limit": "0:01:00"}, "s: top level: signal_s 120 leaves nothing of the time limit 0:01:00"),
        ({"model": "resnet50"}, "s: model: unknown key 'model'"),
    ],
)
def test_a_site_that_makes_no_sense_is_refused(tree: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError) as caught:
        parse_site(Source("s", tree))
    assert caught.value.message.startswith(message)


@pytest.mark.parametrize(("text", "seconds"), [("00:10:00", 600), ("1-12:00:30", 129_630), (None, None)])
def test_a_time_limit_is_read_as_slurm_reads_it(text: str | None, seconds: int | None) -> None:
    assert Site(time_limit=text).time_limit_s == seconds
