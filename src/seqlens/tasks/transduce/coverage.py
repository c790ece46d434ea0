"""A loss for attending again to what was attended to."""

import torch
from jaxtyping import Bool, Float
from torch import Tensor


def coverage_loss(
    attention: Float[Tensor, "batch target source"], mask: Bool[Tensor, "batch target"]
) -> Float[Tensor, ""]:
    """`Σ_i min(a_ti, c_ti)` with `c_t = Σ_{s<t} a_s`, summed over real target steps (See et al. 2017, equation 12)."""
    before = attention.cumsum(1) - attention
    repeated = torch.minimum(attention, before).sum(2)
    return (repeated * mask.to(repeated.dtype)).sum()
