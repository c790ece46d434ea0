"""Is one system better than another, or were the examples kind to it? The paired bootstrap.

P. Koehn (2004), "Statistical significance tests for machine translation evaluation".
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import final

import numpy as np

from seqlens.errors import RequestError
from seqlens.metrics.bootstrap import interval, resample_totals
from seqlens.metrics.sufficient import DEFAULT_RESAMPLES, DEFAULT_SEED, Statistics, check_not_empty


@final
@dataclass(frozen=True, slots=True)
class PairedResult:
    """A system compared with a baseline on the same examples.

    `str(result)` gives `BLEU +1.3 [+0.4, +2.2], p = 0.006`.
    """

    name: str
    system: float
    baseline: float
    difference: float  # system - baseline
    low: float  # of the 95 % interval of the difference
    high: float
    p_value: float  # two-sided: how often chance alone makes so large a difference, either way
    share_higher: float  # of the resamples, where the system's value is the higher one (Koehn's measure)
    num_examples: int
    signature: str
    decimals: int = 1

    def __str__(self) -> str:
        difference, low, high = (f"{value:+.{self.decimals}f}" for value in (self.difference, self.low, self.high))
        return f"{self.name} {difference} [{low}, {high}], p = {self.p_value:.3f}"


def paired_bootstrap(
    system: Statistics,
    baseline: Statistics,
    *,
    num_resamples: int = DEFAULT_RESAMPLES,
    seed: int = DEFAULT_SEED,
) -> PairedResult:
    """Compares two systems by a metric on the same resamples of the same examples.

    The p-value shifts the resampled differences to mean 0, as if the systems were equally good, and counts those
    at least as far from 0 as the difference found, on both sides: `(1 + count) / (1 + num_resamples)`. It is never
    below `2 ** (1 - num_examples)`, how often fair coins, one an example, all fall on one side.
    (sacrebleu's paired bootstrap counts absolute differences above their mean, hence about half of this when
    one system is clearly better; its approximate randomisation is two-sided like ours.)

    Raises:
        RequestError: there are no examples, or the two were not measured in the same way on the same examples.
    """
    check_comparable(system, baseline)
    both = np.concatenate([system.per_example, baseline.per_example], axis=1)
    totals = resample_totals(both, num_resamples, seed)
    width = system.per_example.shape[1]
    differences = system.score_totals(totals[:, :width]) - baseline.score_totals(totals[:, width:])
    difference = system.value() - baseline.value()
    low, high = interval(differences)
    # What is no number, as the difference of two infinite values, speaks for nobody.
    as_far = ~(np.abs(differences - differences.mean()) < abs(difference))
    p_value = (1 + int(as_far.sum())) / (1 + num_resamples)
    return PairedResult(
        name=system.name,
        system=system.value(),
        baseline=baseline.value(),
        difference=difference,
        low=low,
        high=high,
        # Of few examples resamples are too much alike: chance alone lets all of them agree so often.
        p_value=max(p_value, 2.0 ** (1 - system.num_examples)),
        share_higher=float((differences > 0).mean()),
        num_examples=system.num_examples,
        signature=f"{system.signature}|pairedbs:{num_resamples}|seed:{seed}",
        decimals=system.decimals,
    )


def against_baselines(
    system: Mapping[str, Statistics], baselines: Mapping[str, Mapping[str, Statistics]]
) -> dict[str, PairedResult]:
    """A system compared with each baseline by its first measure; baselines not measured in that way are left out.

    One example alone tests nothing: every resample of it is the same.
    """
    name, own = next(iter(system.items()))
    tests: dict[str, PairedResult] = {}
    if own.num_examples < 2:
        return tests
    for baseline, measures in baselines.items():
        other = measures.get(name)
        if other is not None and (other.signature, other.references_id) == (own.signature, own.references_id):
            tests[baseline] = paired_bootstrap(own, other)
    return tests


def check_comparable(system: Statistics, baseline: Statistics) -> None:
    """Raises RequestError where two systems were not measured in the same way on the same examples."""
    if (system.name, system.signature) != (baseline.name, baseline.signature):
        raise RequestError(
            f"{system.name} ({system.signature}) cannot be compared with {baseline.name} ({baseline.signature}); "
            f"both must be measured in the same way."
        )
    if system.num_examples != baseline.num_examples:
        raise RequestError(
            f"One system was measured on {system.num_examples} examples and the other on {baseline.num_examples}; "
            f"a paired test needs the same examples in the same order."
        )
    if system.references_id != baseline.references_id:
        raise RequestError(
            f"The two systems' {system.name} was measured against different references; "
            f"a paired test needs the same examples in the same order."
        )
    check_not_empty(system.name, system.num_examples)
