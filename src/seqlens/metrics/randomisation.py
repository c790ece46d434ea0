"""Another paired test: would the difference be as large if it were chance which system gave which answer?

E. W. Noreen (1989), "Computer-intensive methods for testing hypotheses"; for machine translation S. Riezler and
J. T. Maxwell (2005), "On some pitfalls in automatic evaluation and significance testing for MT", section 4.2.
"""

import numpy as np

from seqlens.errors import RequestError
from seqlens.metrics.paired import check_comparable
from seqlens.metrics.sufficient import DEFAULT_RESAMPLES, DEFAULT_SEED, Statistics

_MAX_NUMBERS_AT_ONCE = 4_000_000  # 32 MB of signs
# Sums in another order differ in their last bits; equal differences must count as equal.
_ROUNDING = 1e-9


def approximate_randomisation(
    system: Statistics,
    baseline: Statistics,
    *,
    num_trials: int = DEFAULT_RESAMPLES,
    seed: int = DEFAULT_SEED,
) -> float:
    """The two-sided p-value of the difference of two systems on the same examples.

    In each trial the two answers to an example are swapped with probability one half. The p-value is
    `(1 + trials with at least so large a difference) / (1 + num_trials)`.

    Raises:
        RequestError: there are no examples, or the two were not measured in the same way on the same examples.
    """
    check_comparable(system, baseline)
    if num_trials < 1:
        raise RequestError(f"'num_trials' is {num_trials}, expected 1 or more.")
    left, right = system.per_example, baseline.per_example
    difference = abs(system.value() - baseline.value())
    generator = np.random.default_rng(seed)
    at_once = max(1, _MAX_NUMBERS_AT_ONCE // len(left))
    as_far = 0
    for first in range(0, num_trials, at_once):
        num_rows = min(at_once, num_trials - first)
        swapped = generator.integers(0, 2, size=(num_rows, len(left))).astype(np.float64) @ (right - left)
        values = system.score_totals(left.sum(axis=0) + swapped) - system.score_totals(right.sum(axis=0) - swapped)
        # What is no number, as the difference of two infinite values, speaks for nobody.
        as_far += int((~(np.abs(values) < difference * (1 - _ROUNDING))).sum())
    return (1 + as_far) / (1 + num_trials)
