"""A residual block that looks at both sides of each step through a dilated convolution, one kernel a channel.

Depthwise and pointwise products apart: F. Chollet (2017), "Xception"; gates: Y. Dauphin et al. (2017), "Language
modeling with gated convolutional networks".
"""

from typing import final

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn

from seqlens.layers.dropout import Dropout
from seqlens.layers.masks import zero_padding


@final
class GatedConvolution(nn.Module):
    """`x + W₂(silu(u) * v)`, `u, v = W₁ conv(norm(x))`; steps at padding are neither read nor written."""

    def __init__(self, dim: int, *, kernel: int, dilation: int = 1, dropout_p: float = 0.0) -> None:
        """`kernel` steps, `dilation` apart, are looked at: as many before a step as after it.

        Raises:
            ValueError: the kernel has no middle.
        """
        super().__init__()
        if kernel % 2 == 0:
            raise ValueError(f"a kernel needs a middle, so an odd number of steps, but `kernel` is {kernel}")
        self.reach = dilation * (kernel // 2)
        self.norm = nn.LayerNorm(dim)
        self.depthwise = nn.Conv1d(dim, dim, kernel, padding=self.reach, dilation=dilation, groups=dim)
        self.widen = nn.Linear(dim, 2 * dim)
        self.narrow = nn.Linear(dim, dim)
        self.dropout = Dropout(dropout_p)

    def forward(
        self, inputs: Float[Tensor, "batch time dim"], mask: Bool[Tensor, "batch time"]
    ) -> Float[Tensor, "batch time dim"]:
        """`mask` is True at real steps; outputs at padding are zero."""
        hidden = zero_padding(self.norm(inputs), mask)
        hidden = self.depthwise(hidden.transpose(1, 2)).transpose(1, 2)
        gate, value = self.widen(hidden).chunk(2, dim=2)
        update = self.narrow(torch.nn.functional.silu(gate) * value)
        return zero_padding(inputs + self.dropout(update), mask)
