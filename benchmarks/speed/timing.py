"""Times measured side by side: one round runs every variant once, so that a busy moment meets all of them alike."""

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from math import inf
from statistics import median
from typing import Any, final


@final
@dataclass(frozen=True, slots=True)
class Times:
    """Seconds of every round, in order."""

    seconds: tuple[float, ...]

    @property
    def median(self) -> float:
        return median(self.seconds)

    @property
    def low(self) -> float:
        return min(self.seconds)

    @property
    def high(self) -> float:
        return max(self.seconds)


@final
@dataclass(frozen=True, slots=True)
class Ratio:
    """How many times longer one takes than another: the median of the rounds' own ratios, and their range."""

    median: float
    low: float
    high: float


def ratio(slower: Times, faster: Times) -> Ratio:
    """Compares within each round, never across rounds."""
    ratios = [one / other for one, other in zip(slower.seconds, faster.seconds, strict=True)]
    return Ratio(median(ratios), min(ratios), max(ratios))


def interleave(
    variants: Mapping[str, Callable[[], Any]],
    *,
    rounds: int,
    warmup: int = 1,
    least_rounds: int | None = None,
    seconds: float = inf,
) -> dict[str, Times]:
    """Runs A B C, C B A, A B C, ... and returns the times of each; the first `warmup` rounds are not counted.

    Back and forth, so that what one leaves in the caches helps or harms no other more than itself.

    After `least_rounds` no round begins once `seconds` have gone by.
    """
    taken: dict[str, list[float]] = {name: [] for name in variants}
    until = time.perf_counter() + seconds
    for number in range(-warmup, rounds):
        if least_rounds is not None and number >= least_rounds and time.perf_counter() > until:
            break
        for name, run in list(variants.items())[:: 1 if number % 2 else -1]:
            started = time.perf_counter()
            run()
            if number >= 0:
                taken[name].append(time.perf_counter() - started)
    return {name: Times(tuple(values)) for name, values in taken.items()}
