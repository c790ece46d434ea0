"""The loss of a batch as a sum and a count, so that neither padding nor accumulation can skew the mean."""

from typing import NamedTuple

from jaxtyping import Float
from torch import Tensor


class LossSum(NamedTuple):
    """The loss summed over everything that counts in a batch (tokens, labels), and how many there were."""

    total: Float[Tensor, ""]
    """The sum, in float32 (float64 for a float64 model), differentiable."""
    count: int  # type: ignore[assignment]  # hides tuple.count, which nobody needs here
    """How many terms were summed; the mean loss is `total / count`."""
    parts: dict[str, float]
    """Further sums over the same terms, for the log only: each is divided by `count` when shown."""
