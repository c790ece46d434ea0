"""Perplexity: how many symbols a model hesitates between, on average."""

import hashlib
import math
from collections.abc import Sequence
from typing import final

import numpy as np
from jaxtyping import Float64

from seqlens.errors import RequestError, WorkError
from seqlens.metrics.score import Score
from seqlens.metrics.sufficient import DEFAULT_RESAMPLES, DEFAULT_SEED, Statistics, ratio_of_totals


@final
class Perplexity:
    """`exp(total negative log-likelihood in nats / number of symbols)`; the interval is over sentences.

    Perplexities are comparable only between models that cut the same text into the same number of symbols.
    """

    def __init__(self, *, num_resamples: int = DEFAULT_RESAMPLES, seed: int = DEFAULT_SEED) -> None:
        self._num_resamples = num_resamples
        self._seed = seed
        self._nats: list[float] = []
        self._counts: list[int] = []

    def add(self, nats: Sequence[float], counts: Sequence[int]) -> None:
        """Adds sentences: for each the sum of its symbols' negative log-likelihoods, and how many symbols it has.

        Raises:
            RequestError: the two lists do not fit, or a sentence has no symbol.
            WorkError: a log-likelihood is NaN or infinite.
        """
        if len(nats) != len(counts):
            raise RequestError(f"There are {len(nats)} log-likelihoods but {len(counts)} counts; expected as many.")
        for index, (value, count) in enumerate(zip(nats, counts, strict=True)):
            if count < 1:
                raise RequestError(f"Sentence {index} of the batch has {count} symbols, expected 1 or more.")
            if not math.isfinite(value):
                raise WorkError(f"The negative log-likelihood of sentence {index} of the batch is {value}.")
        self._nats += nats
        self._counts += counts

    def statistics(self) -> Statistics:
        """Nats and symbols of every sentence."""
        counts = np.array(self._counts, dtype=np.int64)
        return Statistics(
            name="perplexity",
            per_example=np.stack([np.array(self._nats, dtype=np.float64), counts.astype(np.float64)], axis=1),
            score_totals=_perplexity_of_totals,
            signature="base:e|mean:symbols",
            references_id=hashlib.sha256(counts.astype("<i8").tobytes()).hexdigest(),
            decimals=2,
        )

    def compute(self) -> Score:
        """The perplexity of all sentences added; RequestError if there are none."""
        return self.statistics().score(num_resamples=self._num_resamples, seed=self._seed)


def _perplexity_of_totals(totals: Float64[np.ndarray, "*sets 2"]) -> Float64[np.ndarray, "*sets"]:
    with np.errstate(over="ignore"):  # a hopeless model has perplexity inf
        return np.asarray(np.exp(ratio_of_totals(totals)))
