"""Train on samples that another program chose: a list of ids, or a score for each sample and a rule."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

import torch
from pydantic import Field
from torch import Tensor

from kbench.config.value_types import Flag, Fraction, NonNegative
from kbench.strategies import sample_list
from kbench.strategies.api import Epoch, EpochPlan, Phase, SampleStats, Strategy, TrainingSetup, share_of, state
from kbench.strategies.ranking import by_class, lowest
from kbench.strategies.sample_list import SampleList

N_STRATA = 50  # of equal width in score, as the code of CCS has them
Digest = Annotated[str, Field(strict=True, pattern=r"^[0-9a-f]{16}$")]


@dataclass
class Subset(Strategy):
    """Trains on the same chosen samples in every epoch, and pays for what choosing them took.

    ``file`` (.npy, .csv, .txt or .parquet, relative to the working folder) holds ids, which are trained on as they are,
    or scores.  Of scores ``int(fraction * n)`` samples are left out, by ``keep``: ``hardest`` or ``easiest`` keeps
    one end of the order, ``strata`` as many as it can of each of 50 ranges of equal width, at random within them.
    ``hard`` says which end is hard; ``skip`` leaves out that share of the hardest first, so that ``hardest`` with it
    is a window.  ``per_class`` does all that within each class.  Ties go to the lower sample id.
    ``digest`` (of the contents) is part of the run's name, as another file is another training.  ``scoring_s`` [s],
    what making the file took on this machine, is charged to the first epoch; 0 says that it cost nothing, and shows.
    ``length: steps`` trains as many steps as everything would take, as the coreset papers do, and saves no time.
    Source: selection by score as in Paul, Ganguli and Dziugaite 2021 (arXiv:2107.07075); ``strata`` and ``skip`` are
    coverage-centric selection, Zheng et al. 2023 (arXiv:2210.15809), from their code.  Departures: it skips the
    hardest by a score of their own, here by the one score of the file; the budget that rounding leaves goes to the
    fullest ranges, as there.
    """

    baseline_params = None  # it always has a file
    takes_mixed = True

    file: str
    digest: Digest | None = None
    fraction: Fraction = 0.3
    keep: Literal["hardest", "easiest", "strata"] = "hardest"
    hard: Literal["high", "low"] = "high"
    skip: Fraction = 0.0
    per_class: Flag = False
    scoring_s: NonNegative = 0.0
    length: Literal["epochs", "steps"] = "epochs"

    selected: Tensor | None = state()  # (k,) int32, once selected

    def __post_init__(self) -> None:
        found = self._list()
        actual = sample_list.digest_of(Path(self.file))
        if self.digest != actual:
            got = "it has none" if self.digest is None else f"got {self.digest}"
            raise ValueError(f"digest must name the contents of {self.file}, {got}: write digest: {actual!r}")
        if found.scores is not None and self.skip + self.fraction >= 1:
            raise ValueError(f"skip {self.skip:g} and fraction {self.fraction:g} leave nothing")
        if found.scores is not None and self.skip > self.fraction:
            raise ValueError(f"skip must be at most fraction, of which it is a part, got {self.skip:g}")

    def problems(self, setup: TrainingSetup) -> Iterator[tuple[str, str]]:
        found = self._list()
        if self.per_class and setup.task != "classification":
            yield "per_class", f"needs a class for each sample, and a {setup.task} task has none"
        if setup.n_train is None:
            return
        if found.scores is None:
            n_kept = len(found.ids) if found.ids is not None else 0
            if found.n_ids > setup.n_train:
                yield "file", f"{self.file} holds id {found.n_ids - 1} of {setup.n_train} training samples"
            elif n_kept < setup.global_batch:
                yield "file", f"{self.file} holds {n_kept} ids, fewer than one global batch of {setup.global_batch}"
            return
        try:
            found.scores_of(setup.n_train)
        except ValueError as error:
            yield "file", f"{self.file} {error}"
        if text := setup.too_few_left(self.fraction):
            yield "fraction", text

    def phases(self, epochs: int) -> tuple[Phase, ...]:
        if self.length == "epochs":
            return (Phase.train(epochs),)
        return (Phase.train(round(epochs / (1 - self.fraction))),)

    def plan(self, epoch: Epoch, stats: SampleStats) -> EpochPlan:
        if self.selected is None:
            self.selected = self._selection(epoch, stats).int()
        return EpochPlan(self.selected.long(), charged_s=self.scoring_s if epoch.index == 0 else 0.0)

    def _list(self) -> SampleList:
        return sample_list.read(Path(self.file))

    def _selection(self, epoch: Epoch, stats: SampleStats) -> Tensor:
        found = self._list()
        if found.scores is None:
            return torch.tensor(found.ids, device=epoch.device).sort().values
        scores = torch.tensor(found.scores_of(epoch.n_samples), device=epoch.device)
        hardness = scores if self.hard == "high" else -scores
        groups = [epoch.all_ids]
        if self.per_class:
            if stats.label is None:
                raise ValueError("per_class needs a class for each sample, and this data set has none")
            groups = by_class(stats.label)
        at = epoch.uniform(epoch.n_samples)
        return torch.cat([group[self._among(hardness[group], at[group])] for group in groups]).sort().values

    def _among(self, hardness: Tensor, at: Tensor) -> Tensor:
        """Mark what is kept of some samples ((k,) each): (k,) bool; ``at`` orders those of a range at random."""
        n_kept = len(hardness) - share_of(len(hardness), self.fraction)
        if self.keep == "easiest":
            return lowest(hardness, n_kept)
        skipped = lowest(-hardness, share_of(len(hardness), self.skip))
        left = (~skipped).nonzero().squeeze(1)
        within = strata(hardness[left], at[left], n_kept) if self.keep == "strata" else lowest(-hardness[left], n_kept)
        marked = torch.zeros_like(skipped)
        marked[left[within]] = True
        return marked


def strata(scores: Tensor, at: Tensor, n_kept: int) -> Tensor:
    """Mark ``n_kept`` of the scores ((k,) float64), spread over ranges of equal width; (k,) bool.

    A range that holds fewer than its part gives all; what it lacks is spread over the fuller ones.

    Args:
        at: (k,), the lowest of a range are kept.
    """
    low, high = scores.min(), scores.max()
    width = (high - low) * 1.0001 / N_STRATA
    place = torch.zeros_like(scores, dtype=torch.int64) if width == 0 else ((scores - low) / width).long()
    sizes = torch.bincount(place, minlength=N_STRATA).tolist()
    marked, n_left = torch.zeros(len(scores), dtype=torch.bool, device=scores.device), n_kept
    for n_done, stratum in enumerate(sorted(range(N_STRATA), key=lambda each: sizes[each])):
        count = min(sizes[stratum], n_left // (N_STRATA - n_done))
        n_left -= count
        members = (place == stratum).nonzero().squeeze(1)
        marked[members[lowest(at[members], count)]] = True
    return marked
