"""The commands as Python functions: they take what the commands take, return typed values, and print nothing.

They are what ``import kbench`` offers.  Every error is a ``KBenchError`` of ``kbench.errors``.
"""

import os
import shlex
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple, cast

from kbench.errors import ConfigError, ResultsError

if TYPE_CHECKING:
    from kbench.analysis.frame import Clock, Frames
    from kbench.analysis.rows import Comparison
    from kbench.analysis.seed_plan import Question, SeedPlan
    from kbench.analysis.time_to_target import Target
    from kbench.analysis.transfer import Chain
    from kbench.experiment.check import CheckReport
    from kbench.experiment.driver import RunReport
    from kbench.experiment.plan import Plan
    from kbench.experiment.results import ComparisonPlan
    from kbench.experiment.status import Progress, RunStatus
    from kbench.figures.draw import DrawnFigures
    from kbench.papers.mlperf import Benchmark
    from kbench.records.calibration import Calibration
    from kbench.records.folders import ExperimentDir

__all__ = ["WrittenReport", "calibrate", "check", "compare", "load", "plan", "plot", "report", "run", "status"]

DEFAULT_EXPERIMENT = "quick"
FIGURE_ENDINGS = (".png", ".pdf", ".svg")
CLOCKS = ("train", "total")

Names = str | Sequence[str]  # one, or several
PathLike = str | Path


@dataclass(frozen=True, kw_only=True)
class WrittenReport:
    """A report page that was written."""

    path: Path
    skipped: Mapping[str, str]  # figures that the results do not hold, with the reason
    elsewhere: str = ""  # why it is in the current folder and not among the results


def run(
    experiment: PathLike = DEFAULT_EXPERIMENT,
    *,
    site: PathLike = "",
    launcher: str = "auto",
    only: Names = (),
    settings: Names = (),
    scheduler_options: Names = (),
    retry: bool = False,
    redo: Names = (),
    wait_for_quiet: float | None = None,
    dry_run: bool = False,
    max_parallel: int | None = None,
    pairing: str | None = None,
    max_node_hours: float | None = None,
    wait: bool | None = None,
    results: PathLike | None = None,
    progress: Callable[[str], None] | None = None,
) -> "RunReport":
    """Train what is missing of an experiment, as ``kbench run`` does.

    Args:
        experiment: An experiment file, or a name found in configs/.
        site: A site file, or a name found in configs/sites/; empty: the one that this machine belongs to.
        launcher: How ranks are started: a launcher's name, or ``auto``.
        only: Strategies, pairs or seeds to keep.
        settings: Keys of the experiment or the site to replace, each as ``KEY=VALUE`` with a dotted path.
        scheduler_options: Passed to the scheduler as they are (``--constraint=v100``).
        retry: Start failed and cancelled runs again.
        redo: Runs to train again that are done: ids, labels, patterns, or ``disturbed``; their records are kept apart.
        wait_for_quiet: Wait up to that many minutes until this machine is quiet.
        dry_run: Check and describe, in the report's ``check``; start nothing.
        max_parallel: Runs at a time; None: one on this machine, as many as fit on a cluster.
        pairing: ``none``; ``node``: one allocation trains all strategies of a seed; ``turns``: one process does, epoch
            by epoch in turn; None: as the experiment has it.
        max_node_hours: Refuse to start what costs more.
        wait: Stay until all runs have ended; None: on this machine, and not on a cluster.
        results: Where results lie; None: ``$KBENCH_RESULTS``, or ``results``.
        progress: Called with each message that the command would write to stderr.

    Returns:
        Where each of the runs stands.

    Raises:
        ConfigError: The experiment, the site or an argument makes no sense; all mistakes at once.
        LaunchError: Another process starts runs there, or the scheduler refuses.
        WorkloadError: A data set is missing.
        RunError: A run failed, after all have been tried.
        ResultsError: The results folder holds another experiment of that name, or cannot be written.
        KeyboardInterrupt: Somebody ended this process; runs of this machine end with it.

    Example:
        >>> done = kbench.run("quick", only=["baseline", "s0"], progress=print)
        >>> done.runs[0].state
        <State.DONE: 'done'>
    """
    from kbench.experiment.check import checked_plan
    from kbench.experiment.driver import drive, dry_report
    from kbench.experiment.plan import Request
    from kbench.experiment.status import Progress

    plan = checked_plan(
        Request(
            experiment=str(experiment),
            site=str(site),
            launcher=launcher,
            only=_several(only),
            settings=_several(settings),
            scheduler_options=_several(scheduler_options),
            retry=retry,
            redo=_several(redo),
            wait_for_quiet=wait_for_quiet,
            max_parallel=max_parallel,
            pairing=pairing,
            max_node_hours=max_node_hours,
            results=_results(results),
        )
    )
    if dry_run:
        return dry_report(plan)
    done = drive(plan, wait=wait, progress=Progress(progress))
    done.raise_failures()
    return done


def check(
    experiment: PathLike = DEFAULT_EXPERIMENT,
    *,
    site: PathLike = "",
    launcher: str = "auto",
    only: Names = (),
    settings: Names = (),
    scheduler_options: Names = (),
    max_parallel: int | None = None,
    pairing: str | None = None,
    max_node_hours: float | None = None,
    results: PathLike | None = None,
) -> "CheckReport":
    """Find every mistake in an experiment and describe what would be run, as ``kbench check`` does; start nothing.

    Args:
        experiment: An experiment file, or a name found in configs/.
        site, launcher, only, settings, scheduler_options, max_parallel, pairing, max_node_hours, results: As for run.

    Returns:
        The runs with their states, the job script of the first, node-hours, and what is wrong with the data.

    Raises:
        KBenchError: As ``run`` does before it starts anything.

    Example:
        >>> kbench.check("quick").node_hours
        0.02
    """
    from kbench.experiment.check import check_report, checked_plan
    from kbench.experiment.plan import Request

    request = Request(
        experiment=str(experiment),
        site=str(site),
        launcher=launcher,
        only=_several(only),
        settings=_several(settings),
        scheduler_options=_several(scheduler_options),
        max_parallel=max_parallel,
        pairing=pairing,
        max_node_hours=max_node_hours,
        results=_results(results),
    )
    return check_report(checked_plan(request, anywhere=True))


def calibrate(
    experiment: PathLike = DEFAULT_EXPERIMENT,
    *,
    site: PathLike = "",
    seeds: int = 5,
    settings: Names = (),
    wait_for_quiet: float | None = None,
    results: PathLike | None = None,
    progress: "Progress | None" = None,
) -> "Calibration | None":
    """Train an experiment's baseline against itself, and measure what difference the machine can resolve.

    The runs are those of an experiment ``<name>-calibration``; what is done of it is not trained again.

    Args:
        experiment: An experiment file, or a name found in configs/.
        site: A site file, or a name found in configs/sites/; empty: the one that this machine belongs to.
        seeds: How many, each trained twice.
        settings: Keys of the experiment or the site to replace, each as ``KEY=VALUE`` with a dotted path.
        wait_for_quiet: Wait up to that many minutes until this machine is quiet.
        results: Where results lie; None: ``$KBENCH_RESULTS``, or ``results``.
        progress: Takes messages and follows the runs; None: nobody is told.

    Returns:
        The spread of each pair with its instruments, also kept in ``calibration.json``; None while runs of a
        cluster are on their way.

    Raises:
        KBenchError: As ``run`` does.

    Example:
        >>> kbench.calibrate("quick", seeds=3).spreads[0].time_sd
        0.021
    """
    from datetime import UTC, datetime

    from kbench.experiment.calibrate import calibration_plan
    from kbench.experiment.driver import drive
    from kbench.experiment.plan import Request
    from kbench.experiment.status import Progress

    request = Request(
        experiment=str(experiment),
        site=str(site),
        settings=_several(settings),
        wait_for_quiet=wait_for_quiet,
        results=_results(results),
    )
    made_for, plan, twins = calibration_plan(request, n_seeds=seeds)
    done = drive(plan, wait=None, progress=progress or Progress())
    done.raise_failures()
    if done.n_left:
        return None

    from kbench.analysis.frame import load as load_frames
    from kbench.analysis.resolution import spreads
    from kbench.experiment.results import gathered
    from kbench.records.calibration import Calibration

    frames = load_frames(gathered(plan.folder.path.name, plan.folder.path.parent))
    found = spreads(frames, twins, list(frames.disturbed))
    calibration = Calibration(experiment=made_for, made_at=datetime.now(UTC), spreads=found)
    calibration.write(plan.folder.path)
    return calibration


def plan(
    experiment: PathLike = DEFAULT_EXPERIMENT,
    *,
    margin: float | None = None,
    power: float = 0.8,
    saves: float | None = None,
    loses: float = 0.0,
    site: PathLike = "",
    settings: Names = (),
    max_parallel: int | None = None,
    results: PathLike | None = None,
) -> "SeedPlan":
    """Plan how many seeds would show that strategies save time within a margin, and what those runs cost.

    It is planned from earlier runs of the same experiment, else from its calibration; nothing is started.

    Args:
        experiment: An experiment file, or a name found in configs/.
        margin: Points of final accuracy that may be lost; None: what the experiment's file says of each pair.
        power: The probability that it is shown.
        saves: Percent of the training time that a strategy truly saves; None: what it saved so far.
        loses: Points of final accuracy that it truly loses.
        site: A site file, or a name found in configs/sites/; empty: the one that this machine belongs to.
        settings: Keys of the experiment or the site to replace, each as ``KEY=VALUE`` with a dotted path.
        max_parallel: Runs at a time; None: one.
        results: Where results lie; None: ``$KBENCH_RESULTS``, or ``results``.

    Returns:
        Seeds and cost of each strategy, and of the whole, with what that is based on.

    Raises:
        ConfigError: There is no margin, or a number makes no sense.
        ResultsError: There is nothing to plan from.

    Example:
        >>> kbench.plan("quick", margin=0.5).seeds
        7
    """
    from kbench.analysis.seed_plan import Bases, seed_plan
    from kbench.experiment.calibrate import calibrated_spreads
    from kbench.experiment.plan import Request, make_plan

    request = Request(
        experiment=str(experiment),
        site=str(site),
        settings=_several(settings),
        max_parallel=max_parallel,
        results=_results(results),
    )
    planned = make_plan(request)
    question = _question(planned, margin=margin, power=power, saves=saves, loses=loses)
    frames, notes = _earlier_runs(planned)
    spreads = {pair: found.spread for pair, found in calibrated_spreads(planned).items()}
    found = seed_plan(
        planned.name,
        question,
        Bases(frames, spreads, planned.spec.baseline),
        {pair.name: [choice.label for choice in planned.spec.strategies] for pair in planned.spec.pairs},
        baseline=planned.spec.baseline,
        planned=[pair.name for pair in planned.spec.pairs if pair.starts_from is None],
        nodes=planned.site.nodes,
        n_parallel=max_parallel or 1,
        notes=notes,
    )
    if all(each.source == "nothing" for each in found.strategies):
        arguments = [request.experiment, *(["--site", request.site] if request.site else [])]
        arguments += [word for setting in request.settings for word in ("--set", setting)]
        arguments += ["--results", str(request.results)] if results is not None else []
        why = "there is no calibration of this recipe on as many ranks"
        if spreads:
            why = f"the {min(spread.n_seeds for spread in spreads.values())} seeds of the calibration end alike"
        n_seeds = max([4, *(spread.n_seeds for spread in spreads.values())]) + 1
        raise ResultsError(
            f"{planned.name}: nothing to plan from: no three seeds of the baseline are done, and {why}",
            hint=f"kbench calibrate {shlex.join(arguments)} --seeds {n_seeds}",
        )
    return found


def _question(planned: "Plan", *, margin: float | None, power: float, saves: float | None, loses: float) -> "Question":
    """What is to be planned; raises ConfigError for numbers that make no sense."""
    from kbench.analysis.looks import confidence_at
    from kbench.analysis.seed_plan import Question

    pairs = [pair for pair in planned.spec.pairs if pair.starts_from is None]
    margins = {pair.name: margin if margin is not None else pair.margin for pair in pairs}
    problems = []
    if lacking := [name for name, points in margins.items() if points is None]:
        problems.append(f"--margin: the file has no margin of {', '.join(lacking)}; 0.5 means half a point")
    if not 0 < power < 1:
        problems.append(f"--power: must be between 0 and 1, got {power:g}; 0.8 means 80 %")
    if saves is not None and not 0 < saves < 100:
        problems.append(f"--saves: must be between 0 and 100 percent, got {saves:g}")
    if not loses >= 0:
        problems.append(f"--loses: must be 0 or more points, got {loses:g}")
    known = {name: points / 100 for name, points in margins.items() if points is not None}
    for name, points in known.items():
        if points <= loses / 100:
            problems.append(
                f"--margin: must be above the {loses:g} points that are truly lost, got {100 * points:g} ({name})"
            )
    if problems:
        raise ConfigError(problems)
    return Question(
        margins=known,
        power=power,
        loses=loses / 100,
        saves=None if saves is None else saves / 100,
        alpha=confidence_at(planned.spec.looks, len(planned.spec.seeds)).one_sided,
    )


def _earlier_runs(planned: "Plan") -> "tuple[Frames | None, list[str]]":
    """The runs on record that train what is planned, whatever their seeds; and what must be known of them."""
    from kbench.config.run_spec import expand
    from kbench.records.looks import read_looks

    if not planned.folder.runs_folder.is_dir():
        return None, []
    from kbench.analysis.frame import load as load_frames
    from kbench.experiment.results import gathered

    frames = load_frames(gathered(planned.name, planned.request.results))
    seeds = tuple(sorted({int(seed) for seed in frames.runs["seed"].dropna()} | set(planned.spec.seeds)))
    wanted = expand(planned.spec.model_copy(update={"seeds": seeds}), ranks=planned.site.ranks)
    ids = {run.run_id for run in wanted}
    others = frames.done[~frames.done["run_id"].isin(ids)]
    notes = []
    if len(others):
        notes.append(
            f"{len(others)} runs on record are not used: their recipe, strategy or number of ranks is another one"
        )
    looked = max((n for look in read_looks(planned.folder) for n in look.seeds.values()), default=0)
    if looked and not planned.spec.looks:
        notes.append(
            f"{looked} seeds were compared already: another look at these and more is wrong more often than 5 %; "
            "plan new seeds alone, or write the looks into the experiment's file first (looks: [...]), which "
            "takes more seeds"
        )
    if planned.spec.looks:
        notes.append(f"for the last of the planned looks at {', '.join(map(str, planned.spec.looks))} seeds")
    return (
        replace(
            frames,
            runs=frames.runs[frames.runs["run_id"].isin(ids)],
            epochs=frames.epochs[frames.epochs["run_id"].isin(ids)],
        ),
        notes,
    )


def status(experiment: PathLike = DEFAULT_EXPERIMENT, *, results: PathLike | None = None) -> "list[RunStatus]":
    """Read where each run of an experiment stands, from its folder and the scheduler.

    Args:
        experiment: An experiment's name, or the file that was run.
        results: Where results lie; None: ``$KBENCH_RESULTS``, or ``results``.

    Returns:
        A status per run, in the order of the experiment's file: state, epochs, accuracy, time used and left.

    Raises:
        ResultsError: There are no results of that experiment.

    Example:
        >>> [one.run_id for one in kbench.status("quick") if one.state == "failed"]
        []
    """
    from kbench.experiment.results import find_results
    from kbench.experiment.status import StatusMonitor

    folder = find_results(str(experiment), _results(results))
    monitor = StatusMonitor(folder)
    return list(monitor.mark_disturbed([monitor.status_of(run) for run in folder.read()]))


def compare(
    experiment: PathLike = DEFAULT_EXPERIMENT,
    *,
    target: float | str | Sequence[float | str] = (),
    baseline: str = "",
    transfer: Names = (),
    published: bool = False,
    margin: float | None = None,
    clock: str = "train",
    keep_disturbed: bool = False,
    score: str = "",
    rcp: PathLike | None = None,
    runs: int | None = None,
    results: PathLike | None = None,
) -> "Comparison":
    """Compare every strategy with its matched baseline: accuracy, time, time to target.

    Args:
        experiment: An experiment's name, or the file that was run.
        target: Accuracies to reach: fractions, or multiples of the baseline's final error (``final*1.1``), with
            ``:sustained`` or ``:clock`` where the first touch is not meant; none: those of the experiment's file.
        baseline: The strategy to compare with; empty: the one that the experiment's file names.
        transfer: Pairs trained one after the other, as ``UPSTREAM:DOWNSTREAM[,DOWNSTREAM]``.
        published: Hold the papers' numbers against the measured ones; a ``PublishedComparison`` is returned.
        margin: Points of final accuracy that may be lost; None: what the experiment's file says of each pair.
        clock: What targets are reached on: ``train``, or ``total``: evaluation and staging with it, start-up apart.
        keep_disturbed: Let the times of disturbed runs count; they are left out, and named, else.
        score: ``mlperf``: epochs and time to target as MLPerf scores them; a ``PublishedComparison`` is returned.
        rcp: A file of reference convergence points, as MLPerf keeps them, for all pairs.
        runs: That a benchmark requires; None: as many as MLPerf does.
        results: Where results lie; None: ``$KBENCH_RESULTS``, or ``results``.

    Returns:
        A row per pair and strategy, with differences, intervals, findings and warnings.

    Raises:
        ConfigError: A target or a transfer is none.
        ResultsError: There are no results, or no finished run of the baseline.

    Example:
        >>> [(row.strategy, row.time_diff) for row in kbench.compare("quick").rows]
        [('baseline', None), ('kakurenbo', -0.21)]
    """
    targets, transfers = _targets(target), [_chain(text) for text in _several(transfer)]
    measured = _measured(experiment, results, clock=clock, keep_disturbed=keep_disturbed)

    from kbench.papers.papers import with_papers, with_scores, without_baseline

    benchmarks = _benchmarks(score, rcp, runs)

    baseline = baseline or measured.plan.baseline
    try:
        found = measured.compared(baseline, targets, transfers, margin=margin)
    except ResultsError as error:
        if not (published or score) or baseline in set(measured.frames.done["strategy"]):
            raise
        found = without_baseline(measured.frames, baseline, error)
    found = with_papers(measured.frames, found) if published else found
    if not score:
        return found
    from kbench.papers.mlperf import mlperf_scores

    accuracy = next((each.accuracy for each in targets if each.accuracy is not None), None)
    return with_scores(found, *mlperf_scores(measured.frames, benchmarks, target=accuracy, any_pair=rcp is not None))


def _benchmarks(score: str, rcp: PathLike | None, runs: int | None) -> "list[Benchmark]":
    """The benchmarks that pairs may be; raises ConfigError for a score that is none, or points that are none."""
    from kbench.papers.mlperf import load_facts, read_points

    if score not in ("", "mlperf"):
        raise ConfigError(f"--score: must be mlperf, got {score!r}")
    if not score:
        if rcp is not None or runs is not None:
            raise ConfigError(f"{'--runs' if rcp is None else '--rcp'}: belongs to --score mlperf")
        return []
    facts = load_facts()
    found = [read_points(Path(rcp))] if rcp is not None else [facts.complete(each) for each in facts.benchmarks]
    return found if runs is None else [each.model_copy(update={"n_runs": runs}) for each in found]


def plot(
    experiment: PathLike = DEFAULT_EXPERIMENT,
    *,
    kind: str = "curves",
    output: PathLike | None = None,
    size: str = "screen",
    clock: str = "train",
    keep_disturbed: bool = False,
    results: PathLike | None = None,
) -> "DrawnFigures":
    """Draw figures, each with its data beside it.

    Args:
        experiment: An experiment's name, or the file that was run.
        kind: One of ``curves``, ``epochs``, ``time``, ``hidden``, ``pareto``, ``speedup``; with three or more pairs
            ``profile``, ``iqm``, ``improvement``; with pairs that differ in the noise of their labels
            ``robustness``; or ``all``.
        output: A .png, .pdf or .svg file, or a folder; None: ``figures/`` among the results, or
                a folder here where those are read-only.
        size: ``screen``, or for a paper ``one`` or ``two`` columns wide.
        clock, keep_disturbed: As in ``compare``; curves, speed-up and Pareto front are drawn over that clock.
        results: Where results lie; None: ``$KBENCH_RESULTS``, or ``results``.

    Returns:
        The files that were written, and of ``all`` the kinds that cannot be drawn, with the reason.

    Raises:
        ConfigError: An argument is none of what is offered.
        ResultsError: There are no results, they do not hold what the figure shows, or it cannot be written.

    Example:
        >>> kbench.plot("quick", kind="pareto", output="pareto.pdf").paths
        (PosixPath('pareto.pdf'),)
    """
    place = Path(output) if output else None  # a file or a folder
    kinds = _figure_kinds(kind, size, place)
    measured = _measured(experiment, results, clock=clock, keep_disturbed=keep_disturbed)

    from kbench.experiment.results import writable
    from kbench.figures.draw import draw_figures

    name = measured.folder.path.name
    place, why = (place, "") if place else writable(measured.folder.figures, f"{name}-figures")
    return replace(draw_figures(measured.frames, measured.compared(), kinds, place, size=size), elsewhere=why)


def report(
    experiment: PathLike = DEFAULT_EXPERIMENT,
    *,
    target: float | str | Sequence[float | str] = (),
    baseline: str = "",
    margin: float | None = None,
    clock: str = "train",
    keep_disturbed: bool = False,
    output: PathLike | None = None,
    results: PathLike | None = None,
) -> WrittenReport:
    """Write one self-contained HTML page: verdict, tables, figures, audit, settings, provenance.

    Args:
        experiment: An experiment's name, or the file that was run.
        target: Accuracies to reach, as in ``compare``.
        baseline: The strategy to compare with; empty: the one that the experiment's file names.
        margin: Points of final accuracy that may be lost, as in ``compare``.
        clock, keep_disturbed: As in ``compare``.
        output: The file to write; None: ``report.html`` among the results, or a file here where those are
                read-only.
        results: Where results lie; None: ``$KBENCH_RESULTS``, or ``results``.

    Returns:
        The file that was written, and the figures that cannot be drawn, with the reason.

    Raises:
        ConfigError: A target is none.
        ResultsError: There are no results, no finished run of the baseline, or the page cannot be written.

    Example:
        >>> kbench.report("quick").path
        PosixPath('results/quick/report.html')
    """
    targets = _targets(target)
    measured = _measured(experiment, results, clock=clock, keep_disturbed=keep_disturbed)

    from kbench.experiment.results import writable
    from kbench.files import reason, write
    from kbench.html_report.page import page

    built = page(measured.frames, measured.compared(baseline, targets, margin=margin))
    name = measured.folder.path.name
    path, why = (Path(output), "") if output else writable(measured.folder.report, f"{name}-report.html")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ResultsError(f"{path}: cannot be written: {reason(error)}") from error
    write(path, built.html)
    return WrittenReport(path=path, skipped=built.skipped, elsewhere=why)


def load(experiment: PathLike = DEFAULT_EXPERIMENT, *, results: PathLike | None = None) -> "Frames":
    """Load the results of an experiment as pandas frames, gathered anew when journals are newer.

    Args:
        experiment: An experiment's name, or the file that was run.
        results: Where results lie; None: ``$KBENCH_RESULTS``, or ``results``.

    Returns:
        ``epochs``, a row per run, phase and epoch, and ``runs``, a row per run.

    Raises:
        ResultsError: There are no results of that experiment, or they cannot be read.

    Example:
        >>> kbench.load("quick").epochs.groupby("strategy").val_acc1.max()
    """
    return _measured(experiment, results).frames


class _Measured(NamedTuple):
    """The results of an experiment, and what its file says about comparing them."""

    folder: "ExperimentDir"
    frames: "Frames"
    plan: "ComparisonPlan"

    def compared(
        self,
        baseline: str = "",
        targets: "Sequence[Target]" = (),
        transfers: "Sequence[Chain]" = (),
        *,
        margin: float | None = None,
    ) -> "Comparison":
        """Compare, as the experiment's file says where nothing else does, and put on record that somebody looked."""
        from kbench.analysis.compare import compare
        from kbench.records.looks import note_look, read_looks

        plan, baseline = self.plan, baseline or self.plan.baseline
        margins = plan.margins
        if margin is not None:
            if not margin > 0:
                raise ConfigError(f"--margin: must be above 0, got {margin:g}", hint="0.5 means half a point")
            margins = dict.fromkeys(self.frames.runs["pair"], margin / 100)
        base = self.frames.done[self.frames.done["strategy"] == baseline]
        seeds = {str(pair): int(own.nunique()) for pair, own in base.groupby("pair")["seed"]}
        comparison = compare(
            self.frames,
            baseline=baseline,
            targets=targets or plan.targets,
            transfers=transfers,
            margins=margins,
            looks=plan.looks,
            earlier=[] if plan.seeds is None else read_looks(self.folder),
        )
        if plan.seeds is not None:
            note_look(self.folder, planned=plan.seeds, seeds=seeds)
        return comparison


def _measured(
    experiment: PathLike, results: PathLike | None, *, clock: str = "train", keep_disturbed: bool = False
) -> _Measured:
    """Read the results of an experiment; they are gathered first when journals are newer."""
    if clock not in CLOCKS:
        raise ConfigError(f"--clock: must be one of {', '.join(CLOCKS)}, got {clock!r}")
    from kbench.experiment.results import comparison_plan, gathered

    tables = gathered(str(experiment), _results(results))

    from kbench.analysis.frame import load as load_frames

    frames = replace(load_frames(tables), clock=cast("Clock", clock), keep_disturbed=keep_disturbed)
    return _Measured(tables.folder, frames, comparison_plan(tables.folder))


def _results(folder: PathLike | None) -> Path:
    return Path(folder or os.environ.get("KBENCH_RESULTS") or "results")


def _several(names: Names) -> tuple[str, ...]:
    return (names,) if isinstance(names, str) else tuple(names)


def _targets(target: float | str | Sequence[float | str]) -> "list[Target]":
    """The targets that are asked for; raises ConfigError for what is none."""
    from kbench.analysis.time_to_target import parse_target

    texts = [target] if isinstance(target, float | int | str) else target
    try:
        return [parse_target(str(text)) for text in texts]
    except ValueError as error:
        raise ConfigError(f"--target: {error}", hint="0.98 means 98 %, final*1.1 a tenth more error") from error


def _chain(text: str) -> tuple[str, list[str]]:
    """The upstream pair and the downstream pairs that ``text`` names."""
    upstream, _, rest = text.partition(":")
    downstream = [pair.strip() for pair in rest.split(",") if pair.strip()]
    if not upstream.strip() or not downstream:
        raise ConfigError(f"--transfer: must be UPSTREAM:DOWNSTREAM[,DOWNSTREAM], names of pairs, got {text!r}")
    return upstream.strip(), downstream


def _figure_kinds(kind: str, size: str, output: Path | None) -> tuple[str, ...]:
    """The figures that are asked for; raises ConfigError for what is not offered."""
    from kbench.config.parse import did_you_mean
    from kbench.figures.layout import SIZES
    from kbench.figures.registry import FIGURES

    for flag, value, known in (("--kind", kind, (*FIGURES, "all")), ("--size", size, tuple(SIZES))):
        if value not in known:
            raise ConfigError(f"{flag}: unknown {flag[2:]} {value!r}{did_you_mean(value, known)}")
    if output and output.suffix and output.suffix not in FIGURE_ENDINGS:
        raise ConfigError(f"--output: must end in {', '.join(FIGURE_ENDINGS)} or be a folder, got {output}")
    kinds = tuple(FIGURES) if kind == "all" else (kind,)
    if output and output.suffix and len(kinds) > 1:
        raise ConfigError(f"--output: {output} is one file, --kind all draws {len(kinds)}", hint="name a folder")
    return kinds
