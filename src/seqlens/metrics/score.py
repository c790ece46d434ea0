"""A measured value with its interval and with all it takes to measure it again."""

import math
from dataclasses import dataclass
from typing import final


@final
@dataclass(frozen=True, slots=True)
class Score:
    """The value of a metric on a set of examples, and its 95 % bootstrap interval.

    `str(score)` gives `BLEU 34.2 [32.9, 35.6]`, or `BLEU 34.2` where no interval was asked for (`low` and `high` are
    NaN). The signature names every setting the numbers depend on.
    """

    name: str
    value: float
    low: float
    high: float
    signature: str
    num_examples: int
    decimals: int = 1  # shown by str(); the numbers themselves are not rounded

    def __str__(self) -> str:
        value, low, high = (f"{number:.{self.decimals}f}" for number in (self.value, self.low, self.high))
        return f"{self.name} {value}" if math.isnan(self.low) else f"{self.name} {value} [{low}, {high}]"
