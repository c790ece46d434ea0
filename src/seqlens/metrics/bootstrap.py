"""The bootstrap: how much a score would vary if the examples were drawn anew.

B. Efron (1979), "Bootstrap methods: another look at the jackknife"; for machine translation P. Koehn (2004),
"Statistical significance tests for machine translation evaluation".
"""

import numpy as np
from jaxtyping import Float64

from seqlens.errors import RequestError

_MAX_NUMBERS_AT_ONCE = 4_000_000  # 32 MB of indices


def resample_totals(
    per_example: Float64[np.ndarray, "examples statistics"], num_resamples: int, seed: int
) -> Float64[np.ndarray, "resamples statistics"]:
    """Sums of the rows of `num_resamples` samples of the examples, each drawn with replacement and as large.

    The draws depend on the seed and the number of examples only, so that several systems or metrics measured
    on the same examples get the same resamples. They are those of sacrebleu.
    """
    if num_resamples < 1:
        raise RequestError(f"'num_resamples' is {num_resamples}, expected 1 or more.")
    num_examples = len(per_example)
    generator = np.random.default_rng(seed)
    totals = np.empty((num_resamples, per_example.shape[1]))
    at_once = max(1, _MAX_NUMBERS_AT_ONCE // max(1, num_examples))
    for begin in range(0, num_resamples, at_once):
        num_rows = min(at_once, num_resamples - begin)
        drawn = generator.choice(num_examples, size=(num_rows, num_examples), replace=True)
        # How often each example was drawn into each resample: then a sum of rows is a matrix product.
        drawn += np.arange(num_rows)[:, None] * num_examples
        counts = np.bincount(drawn.ravel(), minlength=num_rows * num_examples).reshape(num_rows, num_examples)
        totals[begin : begin + num_rows] = counts.astype(np.float64) @ per_example
    return totals


def interval(values: Float64[np.ndarray, "resamples"]) -> tuple[float, float]:
    """The 95 % percentile interval, by the same order statistics as sacrebleu: a fortieth is cut off at each end."""
    ordered = np.sort(values)
    cut = len(ordered) // 40
    return float(ordered[cut]), float(ordered[len(ordered) - cut - 1])
