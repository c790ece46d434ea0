"""A measured value with its interval and with all it takes to measure it again."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol, final


@final
@dataclass(frozen=True, slots=True)
class Score:
    """The value of a metric on a set of examples, and its 95 % bootstrap interval.

    `str(score)` gives `BLEU 34.2 [32.9, 35.6]`. The signature names every setting the value depends on.
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
        return f"{self.name} {value} [{low}, {high}]"


class TextMetric(Protocol):
    """A metric of texts against references, filled batch by batch."""

    def add(self, hypotheses: Sequence[str], references: Sequence[str] | Sequence[Sequence[str]]) -> None:
        """Adds examples: a hypothesis and its reference, or its list of references, each."""
        ...

    def compute(self) -> Score:
        """The score of all examples added so far; more may be added afterwards."""
        ...
