"""Sufficient statistics: what a metric needs to know of each example, so that any sample of examples can be scored."""

import hashlib
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import final

import numpy as np
from jaxtyping import Float64

from seqlens.errors import RequestError
from seqlens.metrics.bootstrap import interval, resample_totals
from seqlens.metrics.score import Score

DEFAULT_RESAMPLES = 1000
DEFAULT_SEED = 12345  # that of sacrebleu, with whose resamples ours agree


@final
@dataclass(frozen=True, slots=True, eq=False)
class Statistics:
    """A row of numbers for every example, and a function from the sum of rows to the metric's value.

    BLEU, F1 or perplexity of a set of examples are functions of sums over the examples (n-gram matches, true
    positives, negative log-likelihoods), not means of values of single examples. With the rows kept, every
    bootstrap resample costs one sum.
    """

    name: str
    per_example: Float64[np.ndarray, "examples statistics"]
    score_totals: Callable[[Float64[np.ndarray, "*sets statistics"]], Float64[np.ndarray, "*sets"]]
    signature: str
    references_id: str = ""
    """Fingerprint of what the examples were measured against; two systems are compared only if it is equal."""
    decimals: int = 1

    @property
    def num_examples(self) -> int:
        return len(self.per_example)

    def value(self) -> float:
        """The metric on all examples."""
        return float(self.score_totals(self.per_example.sum(axis=0)))

    def select(self, examples: Sequence[int]) -> "Statistics":
        """The statistics of some of the examples, in this order; two systems' can be compared if both are so chosen."""
        rows = np.asarray(examples, dtype=np.int64).reshape(-1)
        chosen = hashlib.sha256(self.references_id.encode() + rows.astype("<i8").tobytes()).hexdigest()
        return replace(self, per_example=self.per_example[rows], references_id=chosen)

    def score(self, *, num_resamples: int = DEFAULT_RESAMPLES, seed: int = DEFAULT_SEED) -> Score:
        """The metric on all examples with its 95 % percentile interval over resamples of the examples.

        With `num_resamples=0` there is no interval (`low` and `high` are NaN): for a value that is only watched.

        Raises:
            RequestError: there are no examples, or `num_resamples` is negative.
        """
        check_not_empty(self.name, self.num_examples)
        low = high = math.nan
        signature = self.signature
        if num_resamples != 0:
            low, high = interval(self.score_totals(resample_totals(self.per_example, num_resamples, seed)))
            signature += f"|bs:{num_resamples}|seed:{seed}"
        return Score(
            name=self.name,
            value=self.value(),
            low=low,
            high=high,
            signature=signature,
            num_examples=self.num_examples,
            decimals=self.decimals,
        )


def mean_statistics(
    name: str, values: Sequence[float], *, signature: str = "mean", references_id: str = "", decimals: int = 3
) -> Statistics:
    """Statistics of a metric that is the mean of a value of every example (accuracy, a judgement)."""
    column = np.array(values, dtype=np.float64)
    per_example = np.stack([column, np.ones_like(column)], axis=1)
    return Statistics(name, per_example, ratio_of_totals, signature, references_id, decimals)


def ratio_of_totals(totals: Float64[np.ndarray, "*sets 2"]) -> Float64[np.ndarray, "*sets"]:
    """The first sum divided by the second."""
    return np.asarray(totals[..., 0] / totals[..., 1])


def check_not_empty(name: str, num_examples: int) -> None:
    """Raises RequestError where a score of nothing is asked for."""
    if num_examples == 0:
        raise RequestError(f"{name} of no examples was asked for; there must be at least 1.")
