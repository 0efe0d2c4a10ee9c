"""Results on their way to another machine, through the command line."""

import json
import shutil
from pathlib import Path


def test_a_bundle_compares_elsewhere_as_its_results_do_here(small_folder: Path, tmp_path: Path, here) -> None:
    there = small_folder / "results"
    said = here("bundle", "small", "--results", str(there), "--json", cwd=tmp_path)
    assert said.code == 0, said.err
    archive = json.loads(said.out)["archive"]
    assert archive == "small.kbench.tar.gz" and not list(there.rglob("tables"))
    assert here("unbundle", archive, "--check", cwd=tmp_path).out.endswith("all as they were packed\n")
    assert here("unbundle", archive, "--results", "moved", cwd=tmp_path).code == 0
    moved = tmp_path / "moved" / "small"
    for name in ("report.html", "tables/compare.json", "figures/pareto.png", "figures/pareto.csv", "bundle.json"):
        assert (moved / name).stat().st_size, name
    assert all((run / "environment.json").stat().st_size for run in moved.glob("runs/*"))
    compared = [
        here("compare", "small", "--format", "json", "--results", str(p), cwd=tmp_path) for p in (there, "moved")
    ]
    assert json.loads(compared[0].out) == json.loads(compared[1].out)

    shutil.rmtree(next(moved.glob("runs/*.s1.*")))
    merged = here("merge", str(moved), str(there / "small"), cwd=tmp_path)
    assert (merged.code, merged.err.splitlines()[-1]) == (0, "1 runs were taken, 5 are in both")
    (next(moved.glob("runs/*.s0.*")) / "epochs.jsonl").write_text("")
    refused = here("merge", str(moved), str(there / "small"), cwd=tmp_path)
    assert refused.code == 6 and "epochs.jsonl differs between" in refused.out and "1 conflicts between" in refused.err
    cleaned = here("clean", "small", "--results", "moved", cwd=tmp_path)
    assert (cleaned.code, cleaned.err) == (0, "nothing is needless\n")
