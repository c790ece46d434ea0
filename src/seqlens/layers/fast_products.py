"""Which products the fast layers of a search are made of: packed ones of one precision, or of 8-bit integers."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import final

import torch
from jaxtyping import Float
from torch import Tensor, nn

from seqlens.layers.int8 import NormedFeedForward, NormedProduct
from seqlens.layers.product import Product
from seqlens.layers.transformer import FeedForward

RowProduct = Callable[[Float[Tensor, "rows in"]], Float[Tensor, "rows out"]]


@final
@dataclass(frozen=True, slots=True)
class Products:
    """Makes the products of weights as they are now.

    `dtype` is that of products; with `int8` those whose rows leave a norm, and feed-forwards behind one, are of 8-bit
    integers. The others, whose range nobody knows before they come, stay in `dtype`.
    """

    dtype: torch.dtype
    int8: bool = False

    def linear(
        self,
        weight: Float[Tensor, "out in"],
        bias: Float[Tensor, " out"],
        *,
        behind: nn.Module | None = None,
    ) -> RowProduct:
        """`x W^T + b`; `behind` is what puts out `x`, if it is known."""
        if self.int8 and isinstance(behind, nn.LayerNorm):
            return NormedProduct(behind, weight, bias)
        return Product(weight, bias, self.dtype)

    def feed_forward(self, layer: FeedForward, *, behind: nn.Module | None = None) -> RowProduct:
        """The layer without dropout."""
        if self.int8 and isinstance(behind, nn.LayerNorm):
            return NormedFeedForward(behind, layer.up, layer.down)
        up = Product(layer.up.weight, layer.up.bias, self.dtype)
        down = Product(layer.down.weight, layer.down.bias, self.dtype)
        return lambda rows: down(up(rows, relu=True))
