"""kbench gather: journals to Parquet."""

from kbench.cli.options import DEFAULT, RESULTS, Debug, Experiment, Json, Quiet, Results, print_json, print_result


def gather(
    experiment: Experiment = DEFAULT,
    results: Results = RESULTS,
    as_json: Json = False,
    quiet: Quiet = False,
    debug: Debug = False,
) -> None:
    """Make epochs.parquet and runs.parquet from the journals."""
    from kbench.experiment import results as experiment_results

    folder = experiment_results.find_results(experiment, results)
    n_epochs, n_runs = experiment_results.gather(folder)
    if as_json:
        files = {"epochs": str(folder.epochs), "runs": str(folder.runs)}
        print_json({"schema": 1, "n_epochs": n_epochs, "n_runs": n_runs, **files})
    else:
        print_result(f"{folder.epochs}  {n_epochs} epochs")
        print_result(f"{folder.runs}  {n_runs} runs")
