"""How many of the examples are of a kind, with an interval that holds where none or all of them are.

E. B. Wilson (1927), "Probable inference, the law of succession, and statistical inference".
"""

from math import sqrt

from seqlens.errors import RequestError
from seqlens.metrics.score import Score
from seqlens.metrics.sufficient import check_not_empty

_Z = 1.959963984540054  # of the normal distribution, 95 % lie within


def share_of(count: int, total: int, *, name: str = "share") -> Score:
    """`count / total`, 0 to 1, with Wilson's 95 % interval. (A bootstrap of no cases would end at 0.)

    Raises:
        RequestError: there are no examples, or the count is not between 0 and `total`.
    """
    check_not_empty(name, total)
    if not 0 <= count <= total:
        raise RequestError(f"{name}: the count is {count}, expected 0 to {total}.")
    share = count / total
    centre = share + _Z**2 / (2 * total)
    half = _Z * sqrt(share * (1 - share) / total + _Z**2 / (4 * total**2))
    scale = 1 + _Z**2 / total
    low = 0.0 if count == 0 else (centre - half) / scale
    high = 1.0 if count == total else (centre + half) / scale
    return Score(name=name, value=share, low=low, high=high, signature="wilson:95", num_examples=total, decimals=3)
