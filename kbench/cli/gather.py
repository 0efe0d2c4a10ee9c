"""kbench gather: journals to Parquet."""

from typing import TYPE_CHECKING

from kbench.cli.options import DEFAULT, RESULTS, Debug, Experiment, Json, Quiet, Results, print_json, print_result

if TYPE_CHECKING:
    from kbench.records.folders import ExperimentDir


def gather(
    experiment: Experiment = DEFAULT,
    results: Results = RESULTS,
    as_json: Json = False,
    quiet: Quiet = False,
    debug: Debug = False,
) -> None:
    """Make epochs.parquet and runs.parquet from the journals."""
    from kbench.cli.request import folder_of
    from kbench.experiment.status import StatusMonitor
    from kbench.records.store import gather as make

    folder = folder_of(experiment, results)
    n_epochs, n_runs = make(folder, StatusMonitor(folder).state_of)
    if as_json:
        files = {"epochs": str(folder.epochs), "runs": str(folder.runs)}
        print_json({"schema": 1, "n_epochs": n_epochs, "n_runs": n_runs, **files})
    else:
        print_result(f"{folder.epochs}  {n_epochs} epochs")
        print_result(f"{folder.runs}  {n_runs} runs")


def gathered(experiment: str, results: "Results") -> "ExperimentDir":
    """The folder of an experiment, its Parquet made anew when journals are newer."""
    from kbench.cli.request import folder_of
    from kbench.experiment.status import StatusMonitor
    from kbench.records.store import gather as make
    from kbench.records.store import stale

    folder = folder_of(experiment, results)
    if stale(folder):
        make(folder, StatusMonitor(folder).state_of)
    return folder
