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

    They are in `dtype`; with `int8` feed-forwards and the output over the vocabulary, most of the arithmetic, are of
    8-bit integers. Projections of attention are not: of all products its keys suffer most from rounding.
    """

    dtype: torch.dtype
    int8: bool = False

    def linear(self, weight: Float[Tensor, "out in"], bias: Float[Tensor, " out"]) -> RowProduct:
        """`x W^T + b`."""
        return Product(weight, bias, self.dtype)

    def vocabulary(
        self, weight: Float[Tensor, "vocab dim"], bias: Float[Tensor, " vocab"], norm: nn.LayerNorm
    ) -> RowProduct:
        """`x W^T + b` for rows that leave the norm."""
        return NormedProduct(norm, weight, bias) if self.int8 else Product(weight, bias, self.dtype)

    def feed_forward(self, layer: FeedForward, norm: nn.LayerNorm) -> RowProduct:
        """The layer without dropout, for rows that leave the norm."""
        if self.int8:
            return NormedFeedForward(norm, layer.up, layer.down)
        up = Product(layer.up.weight, layer.up.bias, self.dtype)
        down = Product(layer.down.weight, layer.down.bias, self.dtype)
        return lambda rows: down(up(rows, relu=True))
