"""From the words of a command to the runs that it means."""

import socket
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from fnmatch import fnmatch
from functools import cached_property
from pathlib import Path

import yaml

from kbench.cli.options import DEFAULT
from kbench.config.experiment import ExperimentSpec
from kbench.config.lookup import find, names
from kbench.config.parse import did_you_mean, parse
from kbench.config.run_spec import RunSpec, expand
from kbench.config.site import Site
from kbench.config.yaml_source import Source, read_source
from kbench.data.store import locate
from kbench.errors import ConfigError, ResultsError, WorkloadError
from kbench.experiment.registries import Registries
from kbench.launch.schedulers.registry import parse_site
from kbench.records.folders import ExperimentDir, RunDir


@dataclass(frozen=True)
class Request:
    """An experiment, the site it goes to, and the runs that are meant."""

    spec: ExperimentSpec
    source: Source
    site: Site
    runs: tuple[RunSpec, ...]
    as_written: str  # the text for experiment.yaml
    folder: ExperimentDir

    def run_dir(self, run: RunSpec) -> RunDir:
        """Where a run's files lie."""
        return self.folder.run(run.run_id)

    @cached_property
    def run_dirs(self) -> list[RunDir]:
        """Where the files of the runs lie, in the order of ``runs``."""
        return [self.run_dir(run) for run in self.runs]

    def data_problems(self) -> list[str]:
        """What is wrong with the data sets that the runs need, as this machine sees them."""
        sets = dict.fromkeys(run.pair.dataset for run in self.runs)
        return [text for dataset in sets for text in locate.problems(dataset, self.site.data_root)]

    def data_notes(self) -> list[str]:
        """How data sets differ from the official ones."""
        sets = dict.fromkeys(run.pair.dataset for run in self.runs)
        return [text for dataset in sets if (text := locate.note(dataset, self.site.data_root))]

    def check_data(self) -> None:
        """Raise WorkloadError unless the data sets that the runs need are there."""
        problems = self.data_problems()
        if problems:
            raise WorkloadError("; ".join(problems), hint="kbench data list shows where data sets are looked for")


def read(
    name: str, *, results: Path, settings: Sequence[str] = (), site: str = "", only: Sequence[str] = (),
    scheduler_options: Sequence[str] | None = None,
) -> Request:  # fmt: skip
    """Read and check an experiment and a site; raises ConfigError with all that is wrong."""
    options = list(scheduler_options or ())
    if name.startswith("-"):  # kbench run -- --option
        name, options = DEFAULT, [name, *options]
    strangers = [word for word in options if not word.startswith("-")]
    if strangers:
        raise ConfigError(
            f"{strangers[0]}: one experiment at a time; an option for the scheduler is written --key=value, after --"
        )
    path = find(name, "configs", ".yaml", "experiment")
    site_path = site_file(site)
    ours, theirs = _split(settings)
    source, site_source = read_source(path).with_settings(ours), read_source(site_path).with_settings(theirs)
    spec, site_spec = _both(source, site_source)
    _check_ranks(spec, source, site_spec)
    if options:
        merged = {**site_spec.model_dump(exclude_unset=True), "options": [*site_spec.options, *options]}
        site_spec = Site.model_validate(merged)
    runs = expand(spec, ranks=site_spec.ranks)
    text = path.read_text() if not ours else yaml.safe_dump(source.tree, sort_keys=False)
    asked = Request(spec, source, site_spec, tuple(runs), text, ExperimentDir(results / spec.name))
    return replace(asked, runs=tuple(kept(runs, only)))


def site_file(name: str) -> Path:
    """The file of the site that is named; of the one that this machine belongs to where none is."""
    return find(name, "configs/sites", ".yaml", "site") if name else _site_of_this_machine()


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


def check_prerequisites(asked: Request) -> None:
    """Raise ConfigError unless every run that a run follows is meant as well, or done."""
    meant = {run.run_id for run in asked.runs}
    lost = [
        f"{run.run_id} follows {run.leader.run_id}, which is neither done nor asked for"
        for run in asked.runs
        if run.leader and run.leader.run_id not in meant and not asked.run_dir(run.leader).is_done()
    ]
    if lost:
        raise ConfigError(lost, hint="ask for both, or run the other first")


def _both(experiment: Source, site: Source) -> tuple[ExperimentSpec, Site]:
    """Validate both files; raises ConfigError with the mistakes of both."""
    problems: list[str] = []
    try:
        place = parse_site(site)
    except ConfigError as error:
        problems += error.sentences
    try:
        spec = parse(ExperimentSpec, experiment, context=Registries())
    except ConfigError as error:
        problems += error.sentences
    if problems:
        raise ConfigError(problems)
    return spec, place


def kept(runs: Sequence[RunSpec], only: Sequence[str]) -> list[RunSpec]:
    """The runs that ``--only`` means: names of one kind widen, names of different kinds narrow.

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
        names = sorted(set().union(*kinds))
        raise ConfigError(
            f"--only {name}: no strategy, pair or seed of this experiment{did_you_mean(name, names)}"
            for name in unknown
        )
    wanted = [kind & set(only) or kind for kind in kinds]
    return [
        run
        for run in runs
        if run.strategy.label in wanted[0] and run.pair.name in wanted[1] and f"s{run.seed}" in wanted[2]
    ]


def folder_of(name: str, results: Path) -> ExperimentDir:
    """The results of an experiment: a name below ``results``, or the file that was run.

    Raises ResultsError when there are none.
    """
    direct = ExperimentDir(results / name)
    if "/" not in name and not name.endswith(".yaml") and (direct.path / "runs").is_dir():
        return direct
    there = [path.parent.name for path in results.glob("*/runs")]
    try:
        named = read_source(find(name, "configs", ".yaml", "experiment")).tree
        folder = ExperimentDir(results / str(named["name"]))
    except (ConfigError, KeyError, TypeError):
        folder = direct
    if not (folder.path / "runs").is_dir():
        raise ResultsError(
            f"{results}: holds no results of {name!r}{did_you_mean(name, there)}",
            hint=f"kbench run {name} makes them; --results or KBENCH_RESULTS say where they lie",
        )
    return folder


def _split(settings: Sequence[str]) -> tuple[list[str], list[str]]:
    """Settings of the experiment, and settings of the site; raises ConfigError for those of neither."""
    known = [*ExperimentSpec.model_fields, *Site.model_fields]
    ours: list[str] = []
    theirs: list[str] = []
    problems = []
    for setting in settings:
        head = setting.partition("=")[0].split(".")[0]
        if "=" in setting and head not in known:
            problems.append(f"--set {setting}: unknown key {head!r}{did_you_mean(head, known)}")
        (theirs if head in Site.model_fields else ours).append(setting)
    if problems:
        raise ConfigError(problems, hint="a key is a dotted path: pairs.0.recipe.epochs=10, ranks_per_node=2")
    return ours, theirs


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
    if problems:
        raise ConfigError(problems)
