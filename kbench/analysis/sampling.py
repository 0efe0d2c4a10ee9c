"""The test set's own sampling error: intervals of a difference of accuracies over seeds and over test samples."""

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy import special

from kbench.analysis.finding import Finding, about, warning
from kbench.analysis.frame import Frames
from kbench.analysis.interval import MIN_VALUES, PLAIN, ROUNDING, Bounds, Confidence
from kbench.errors import ResultsError
from kbench.records.hits import Hits
from kbench.records.schema import metric_name

TOP1 = "top1"  # the metric that is a share of hits


@dataclass(frozen=True)
class RunHits:
    """The hits of one run's final evaluation, or why they are not known."""

    hits: NDArray[np.int8] | None = None  # (n,): 1 where a sample is right, in the order of the validation set
    dataset: str | None = None  # digest of the data; None: it travels with kbench
    reason: str = ""  # why there are none
    is_damaged: bool = False

    def same_samples(self, other: "RunHits") -> bool:
        """Whether both are hits of the same samples."""
        if self.hits is None or other.hits is None:
            return False
        return len(self.hits) == len(other.hits) and self.dataset == other.dataset


@dataclass(frozen=True)
class OverSamples:
    """A difference of final accuracies over seeds and test samples, and what is left out of it."""

    ci: Bounds = None  # 95 %
    n_samples: int | None = None  # of the validation set
    n_seeds: int = 0  # whose runs both have hits
    missing: str = ""  # why there is no interval, or of which runs it is without; empty: of none


def read_hits(frames: Frames) -> Mapping[str, RunHits]:
    """Read the hits of every run that is done, by run id; what is wrong with those of one is no error."""
    columns = ("run_id", "metric", "final_acc1", "dataset_identity", "imported_from")
    known = frames.done[list(columns)].astype("object")
    rows = known.where(known.notna(), None).itertuples(index=False, name=None)
    return {str(run_id): _hits_of(frames, str(run_id), *rest) for run_id, *rest in rows}


def _hits_of(
    frames: Frames, run_id: str, metric: str | None, accuracy: float | None, dataset: str | None, source: str | None
) -> RunHits:
    if source:
        return RunHits(reason="logs of others hold no hits of single samples")
    if frames.folder is None:
        return RunHits(reason="no folder of results is there")
    try:
        found = Hits.read(frames.folder.run(run_id).path)
    except ResultsError as error:
        return RunHits(reason=error.message.rpartition("/")[2], is_damaged=True)
    if found is None and metric not in (None, TOP1):
        return RunHits(reason=f"{metric_name(metric)} is no share of hits")
    if found is None:
        return RunHits(reason=f"it has no {Hits.NAME}, as those that an older kbench trained")
    if accuracy is None or abs(found.n_hits / found.n_samples - accuracy) > ROUNDING:
        text = f"{Hits.NAME}: {found.n_hits} hits of {found.n_samples} are not its final accuracy of {accuracy}"
        return RunHits(reason=text, is_damaged=True)
    return RunHits(found.unpacked().astype(np.int8), dataset)


def over_samples(matched: pd.DataFrame, hits: Mapping[str, RunHits], *, confidence: Confidence = PLAIN) -> OverSamples:
    """Estimate the difference of final accuracies of paired runs over seeds and samples.

    Args:
        matched: What ``pairing.pair_runs`` gave of one strategy on one pair.
        hits: Of all runs, by run id.
        confidence: The error rates of this look.
    """
    pairs = list(zip(matched["run_id"], matched["run_id_base"], strict=True))
    unknown = RunHits(reason="it is not done")
    counted: list[tuple[RunHits, RunHits]] = []
    left_out: dict[str, list[str]] = {}  # by why
    for run_ids in pairs:
        own, base = (hits.get(run_id, unknown) for run_id in run_ids)
        first = counted[0][0] if counted else own
        if own.same_samples(base) and own.same_samples(first):
            counted.append((own, base))
            continue
        for run_id, found in zip(run_ids, (own, base), strict=True):
            if found.hits is None:
                left_out.setdefault(found.reason, []).append(run_id)
        if own.hits is not None and base.hits is not None:
            left_out.setdefault("its test samples are others", []).append(run_ids[0])
    if not counted:
        return OverSamples(missing=_sentence(left_out, len(pairs)))
    differences = np.stack([own.hits - base.hits for own, base in counted])  # type: ignore[operator]
    ci = interval_over_samples(differences, confidence=confidence)
    return OverSamples(ci, differences.shape[1], len(counted), _sentence(left_out, len(pairs)))


def _sentence(left_out: Mapping[str, Sequence[str]], n_pairs: int) -> str:
    """Which runs are left out and why; those that are all of a strategy are not named one by one."""
    texts = []
    for reason, run_ids in left_out.items():
        names = ", ".join(dict.fromkeys(_short(run_id) for run_id in run_ids))
        texts.append(reason if len(run_ids) >= n_pairs else f"{names}: {reason}")
    return "; ".join(texts)


def _short(run_id: str) -> str:
    """A run by its strategy and seed: its id is pair.strategy.seed.hash."""
    return " ".join(run_id.split(".")[1:3])


def interval_over_samples(differences: NDArray[np.int8], *, confidence: Confidence = PLAIN) -> Bounds:
    """The interval of a mean difference if seeds and test samples were others of their kind.

    Seeds and samples cross: each run meets each sample.  The mean varies with the seeds, with the samples (what
    the strategy is better or worse at), and with what both do together.  The mean squares of the two ways each hold
    what both do together once, so that the samples add what theirs has beyond it; of a single pair of runs the
    samples' variance is McNemar's.  The two ways are added with the quantile of each (Student's t), and the interval
    is never narrower than over the seeds alone.

    Args:
        differences: (seeds, samples): 1 where the strategy alone is right, -1 where the baseline alone is, else 0.
        confidence: The error rates of this look.

    Returns:
        None for fewer than three seeds, fewer than two samples, or seeds without any spread.
    """
    n_seeds, n_samples = differences.shape
    if n_seeds < MIN_VALUES or n_samples < 2:
        return None
    of_seeds, of_samples = differences.mean(axis=1), differences.mean(axis=0)
    mean = float(of_seeds.mean())
    squares = float(np.square(differences, dtype=np.int64).sum()) - n_seeds * n_samples * mean**2
    seeds, samples = n_samples * _squares(of_seeds), n_seeds * _squares(of_samples)
    n = n_seeds * n_samples
    seed_variance, sample_variance = seeds / (n_seeds - 1) / n, samples / (n_samples - 1) / n
    both_variance = max(0.0, squares - seeds - samples) / ((n_seeds - 1) * (n_samples - 1)) / n
    if math.sqrt(seed_variance) <= ROUNDING * max(1.0, abs(mean)):
        return None
    level = 1 - confidence.two_sided / 2
    by_seeds, by_samples = (float(special.stdtrit(k - 1, level)) for k in (n_seeds, n_samples))
    more = max(0.0, sample_variance - both_variance)
    half = math.sqrt(by_seeds**2 * seed_variance + by_samples**2 * more)
    return mean - half, mean + half


def _squares(values: NDArray[np.float64]) -> float:
    """The sum of the squares of what each differs from the mean."""
    return float(np.square(values - values.mean()).sum())


def hit_findings(hits: Mapping[str, RunHits]) -> Iterator[Finding]:
    """Name each run whose hits are damaged."""
    for run_id, found in hits.items():
        if found.is_damaged:
            pair, strategy, seed = run_id.split(".")[:3]
            text = f"{pair}: {strategy} {seed}: {found.reason}"
            yield warning("hits", f"{text}; it counts but in the interval over samples", about(pair, strategy))
