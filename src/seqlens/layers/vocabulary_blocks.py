"""What losses over a large vocabulary share: logits a block of rows at a time, and the gradients added up by block."""

from collections.abc import Iterator
from typing import Any, final

import torch
from torch import Tensor, nn

from seqlens.layers.product import has_fast_products, outer_sum, rows_product
from seqlens.layers.projection import rounded_rows, rounds_rows

NUM_BLOCKS = 24
MIN_BLOCK_ROWS = 64
LOW_BLOCK_ROWS = 1024
"""Rows of a block in bfloat16, whose logits take half the room: fewer blocks, fewer sums into the weight's gradient."""
SLICE_ROWS = 128
"""Rows of a block that go through the softmax together: few enough to stay in a core's cache."""


def block_size(rows: int, *, narrow: bool) -> int:
    """Rows of logits that exist at a time; `narrow` where they take two bytes an entry."""
    return LOW_BLOCK_ROWS if narrow else max(MIN_BLOCK_ROWS, -(-rows // NUM_BLOCKS))


def slices(rows: int, size: int) -> Iterator[slice]:
    """Slices of at most `size` rows that cover all rows."""
    return (slice(first, min(first + size, rows)) for first in range(0, rows, size))


@final
class VocabularyGradients:
    """The gradients of features, weight and bias, added up a block at a time.

    Of the logits' gradient `p - (1 - ε) * one_hot - ε / vocab` the products only see the first two parts, as `z` times
    them (z is the softmax's divisor, made up for in the narrow factor). The third is the same for every row and entry.
    """

    def __init__(self, blocks: "ScoreBlocks") -> None:
        weight, wide = blocks.weight, blocks.wide
        self.low_features, self.low_weight = blocks.features, weight
        self.mean_weight = blocks.mean_weight
        self.features = torch.empty_like(blocks.features)
        self.num_rows = blocks.num_rows
        self.fast = has_fast_products(blocks.features)
        # Fast products give the gradient the other way round, the narrow side first.
        self.weight = weight.new_zeros(weight.t().shape if self.fast else weight.shape, dtype=wide)
        self.bias = weight.new_zeros(len(weight), dtype=wide)

    def add(self, block: slice, scaled: Tensor, divisor: Tensor) -> None:
        """Takes a block's rows of `scaled`, the divisor times the logits' gradient, in the dtype of the products.

        Of `scaled`, rows after those of the divisor only round their number up.
        """
        scaled[len(divisor) :] = 0
        share = nn.functional.pad(1 / divisor, (0, len(scaled) - len(divisor)))[:, None]
        shares = (self.low_features[block] * share).to(scaled.dtype)
        if self.fast:
            self.features[block] = rows_product(scaled, self.low_weight.t()).mul_(share)
            self.weight += outer_sum(shares, scaled)
            return
        self.features[block] = (scaled @ self.low_weight) * share
        if scaled.dtype == self.weight.dtype:
            self.weight.addmm_(scaled.t(), shares)
        else:
            self.weight += scaled.t() @ shares

    def finish(self, smoothing: float) -> tuple[Tensor, Tensor, Tensor]:
        """Adds what smoothing takes from every entry alike."""
        if self.fast:
            self.weight = self.weight.t().contiguous()
        if smoothing:
            vocab = len(self.weight)
            self.features.sub_((smoothing * self.mean_weight).to(self.features.dtype))
            self.weight.sub_(self.low_features.sum(0, dtype=self.weight.dtype) * (smoothing / vocab))
            self.bias.sub_(smoothing * self.num_rows / vocab)
        return self.features[: self.num_rows], self.weight, self.bias


@final
class ScoreBlocks:
    """`features @ weight.T + bias`, a block of rows at a time, in `dtype`; what is summed is in `wide`.

    Of the features, rows after `num_rows` only round their number up. Blocks have a multiple of `multiple` rows.
    """

    def __init__(
        self, features: Tensor, weight: Tensor, bias: Tensor | None, dtype: torch.dtype, *, multiple: int = 1
    ) -> None:
        self.wide = torch.float64 if features.dtype == torch.float64 else torch.float32
        self.num_rows = len(features)
        rounds = rounds_rows(features) and features.dtype != torch.float64
        self.features = rounded_rows(features) if rounds else features.to(dtype)
        self.weight = weight.to(dtype)
        self.bias = None if bias is None else bias.to(dtype)
        self.mean_weight = self.weight.mean(0, dtype=self.wide)
        # A row's mean score, which smoothing needs, is a narrow product. Autocast would round it.
        with torch.autocast(features.device.type, enabled=False):
            self.mean_scores = self.features.to(self.wide) @ self.mean_weight
        if bias is not None:
            self.mean_scores += bias.mean()
        size = block_size(len(features), narrow=dtype != self.wide)
        self.size = -(-size // multiple) * multiple

    def __iter__(self) -> Iterator[tuple[slice, Tensor, list[slice]]]:
        """Yields each block's rows, their scores, and the slices of the block that go through a softmax together."""
        # Memory that is new each time is zeroed by the system each time, which took as long as the products.
        room = self.features.new_empty(min(self.size, len(self.features)), len(self.weight))
        for block in slices(len(self.features), self.size):
            scores = _block_scores(self.features[block], self.weight, self.bias, room)
            yield block, scores, list(slices(min(block.stop, self.num_rows) - block.start, SLICE_ROWS))


def _block_scores(features: Tensor, weight: Tensor, bias: Tensor | None, room: Tensor) -> Tensor:
    """`features @ weight.T + bias`, written into the first rows of `room`."""
    scores = room[: len(features)]
    if has_fast_products(features):
        return scores.copy_(rows_product(features, weight, bias))
    if bias is None:
        return torch.mm(features, weight.t(), out=scores)
    return torch.addmm(bias, features, weight.t(), out=scores)


def keep_gradients(
    ctx: Any, gradients: tuple[Tensor, Tensor, Tensor] | None, features: Tensor, weight: Tensor, bias: Tensor | None
) -> None:
    """Keeps the gradients that a forward pass made of features, weight and bias; None where it made none."""
    ctx.gradients = gradients
    ctx.has_bias = bias is not None
    ctx.dtypes = (features.dtype, weight.dtype)


def take_gradients(ctx: Any, total_gradient: Tensor, name: str) -> tuple[Tensor, Tensor, Tensor | None]:
    """The kept gradients times that of the total, once; `name` is that of the loss, for errors.

    Raises:
        RuntimeError: a second derivative is asked for, or a second backward pass.
    """
    if torch.is_grad_enabled():
        raise RuntimeError(f"`{name}` has no second derivative: use cross_entropy of the logits for that")
    if ctx.gradients is None:
        raise RuntimeError(f"`{name}` goes backward once: compute it again for a second time")
    features, weight, bias = ctx.gradients
    # Handed over and scaled in place: a copy of the weight's gradient would be as large as the weight.
    ctx.gradients = None
    feature_dtype, weight_dtype = ctx.dtypes
    return (
        features.mul_(total_gradient).to(feature_dtype),
        weight.mul_(total_gradient).to(weight_dtype),
        bias.mul_(total_gradient).to(weight_dtype) if ctx.has_bias else None,
    )
