"""In which order runs start: blocks of a pair and a seed, by chance, with places that balance over the seeds."""

import random
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from kbench.config.run_spec import RunSpec
from kbench.experiment.ledger import note_order
from kbench.records.folders import ExperimentDir, RunDir

SWAPS_PER_PLACE = 60  # that are tried for each place of a pair's blocks
Block = list[tuple[RunDir, RunSpec]]  # the runs of a pair and a seed
NEAR = 0.1  # how much the distance of a run from the one that it follows counts, beside the balance of the others


class BlockPlace(NamedTuple):
    """Where a run stands in the order of its block."""

    block: str  # equal for the runs of a pair and a seed that one ``kbench run`` starts
    place: int  # from 0


@dataclass(frozen=True)
class Order:
    """Runs in the order in which they start."""

    runs: tuple[RunDir, ...]
    places: Mapping[str, BlockPlace]  # by run id


def draw_order(runs: Sequence[RunDir], experiment: ExperimentDir, *, max_parallel: int) -> Order:
    """Put runs into a random, balanced order, blocked by pair and seed, and record it.

    What drifts on a machine (heat, neighbours) then falls on all strategies of a seed alike, and, as far
    as prerequisites allow, on no strategy more than on another over the seeds.
    """
    entropy = time.time_ns() % 2**32
    rng = random.Random(entropy)
    by_pair: dict[str, dict[str, Block]] = {}
    for run in runs:
        spec = run.read_spec()
        by_pair.setdefault(spec.pair.name, {}).setdefault(spec.match_key, []).append((run, spec))
    order = [block for of_pair in by_pair.values() for block in _balanced_runs(list(of_pair.values()), rng)]
    rng.shuffle(order)
    order = _prerequisites_first(order)
    flat = [run for block in order for run in block]
    note_order(experiment, [run.run_id for run in flat], random_seed=entropy, max_parallel=max_parallel)
    places = {
        run.run_id: BlockPlace(f"{entropy}-{number}", place)
        for number, block in enumerate(order)
        for place, run in enumerate(block)
    }
    return Order(tuple(flat), places)


def balanced(blocks: Sequence[Sequence[str]], follows: Mapping[str, str], rng: random.Random) -> list[list[str]]:
    """Order the strategies of every block so that over all blocks their mean places are as equal as they can be.

    Random orders are made more even by exchanges of two runs; a strategy that follows another is kept behind it,
    and as near as the balance of the others allows.

    Args:
        blocks: Labels of the strategies of each block, one block per seed.
        follows: For the label of a strategy that needs another's run, the label of that.
        rng: What is drawn from.

    Returns:
        The blocks, in their order, each with its labels in the order in which they start.
    """
    orders = [_after_prerequisites(rng.sample(block, len(block)), follows) for block in blocks]
    sums = dict.fromkeys((label for block in blocks for label in block), 0.0)  # of places, off a block's middle
    for order in orders:
        for place, label in enumerate(order):
            sums[label] += place - (len(order) - 1) / 2
    long = [order for order in orders if len(order) > 1]
    unevenness = _unevenness(sums, follows)
    for _ in range(SWAPS_PER_PLACE * sum(map(len, long))):
        order = rng.choice(long)
        i, j = sorted(rng.sample(range(len(order)), 2))
        first, second = order[i], order[j]
        order[i], order[j] = second, first
        sums[first], sums[second] = sums[first] + j - i, sums[second] - (j - i)
        found = _unevenness(sums, follows)
        if found <= unevenness and _is_valid(order, follows):
            unevenness = found
        else:
            order[i], order[j] = first, second
            sums[first], sums[second] = sums[first] - (j - i), sums[second] + j - i
    return orders


def _balanced_runs(blocks: Sequence[Block], rng: random.Random) -> list[list[RunDir]]:
    """The blocks of a pair, each in its order."""
    run_of = [{spec.strategy.label: run for run, spec in block} for block in blocks]
    follows = {spec.strategy.label: spec.follows.label for block in blocks for _, spec in block if spec.follows}
    orders = balanced([list(block) for block in run_of], follows, rng)
    return [[block[label] for label in order] for block, order in zip(run_of, orders, strict=True)]


def _unevenness(sums: Mapping[str, float], follows: Mapping[str, str]) -> float:
    """How far the places of strategies that follow none are from one another, and the others from whom they follow."""
    free = [total for label, total in sums.items() if label not in follows]
    mean = sum(free) / len(free) if free else 0.0
    apart = sum(
        (sums[label] - sums.get(prerequisite, mean)) ** 2 for label, prerequisite in follows.items() if label in sums
    )
    return sum((total - mean) ** 2 for total in free) + NEAR * apart


def _is_valid(order: Sequence[str], follows: Mapping[str, str]) -> bool:
    return all(follows[label] not in order[place + 1 :] for place, label in enumerate(order) if label in follows)


def _after_prerequisites(order: list[str], follows: Mapping[str, str]) -> list[str]:
    """The same with a strategy that stands before the one that it follows behind it, at that one's place."""
    for label in list(order):
        prerequisite = follows.get(label)
        if prerequisite in order and order.index(prerequisite) > order.index(label):
            first, second = order.index(label), order.index(prerequisite)
            order[first], order[second] = order[second], order[first]
    return order


def _prerequisites_first(blocks: Sequence[list[RunDir]]) -> list[list[RunDir]]:
    """The blocks in their order, but one whose runs need runs of another block stands behind that."""
    block_of = {run.run_id: number for number, block in enumerate(blocks) for run in block}
    needs = [
        {block_of[first.run_id] for run in block if (first := run.read_prerequisite()) and first.run_id in block_of}
        for block in blocks
    ]
    ordered: list[int] = []
    while len(ordered) < len(blocks):
        ordered.append(next(n for n in range(len(blocks)) if n not in ordered and needs[n] <= {n, *ordered}))
    return [blocks[number] for number in ordered]
