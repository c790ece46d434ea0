"""Cross-entropy over a large vocabulary without ever holding all its logits.

Logits, their softmax and both gradients are made a block of rows at a time, in the forward pass, so that no more
than one block exists at once (the idea of Wijmans et al. 2025, "Cut your losses", and of Liger's fused loss).
"""

from collections.abc import Iterator
from typing import Any, NamedTuple, final

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from seqlens.layers.product import has_fast_products, outer_sum, rows_product
from seqlens.layers.projection import rounded_rows, rounds_rows

NUM_BLOCKS = 24
MIN_BLOCK_ROWS = 64
LOW_BLOCK_ROWS = 1024
"""Rows of a block in bfloat16, whose logits take half the room: fewer blocks, fewer sums into the weight's gradient."""
SLICE_ROWS = 128
"""Rows of a block that go through the softmax together: few enough to stay in a core's cache."""


class VocabularyLoss(NamedTuple):
    """Sums over rows in float32: `total`, the loss to minimise, and `nll`, without label smoothing and gradient."""

    total: Float[Tensor, ""]
    nll: Float[Tensor, ""]


def vocabulary_loss(
    features: Float[Tensor, "rows dim"],
    weight: Float[Tensor, "vocab dim"],
    bias: Float[Tensor, " vocab"] | None,
    targets: Int[Tensor, " rows"],
    *,
    label_smoothing: float = 0.0,
) -> VocabularyLoss:
    """Cross-entropy of `features @ weight.T + bias` against `targets`, summed over rows.

    With smoothing ε the target distribution is `(1 - ε) * one_hot + ε / vocab` (Szegedy et al. 2016, section 7).
    Products run in autocast's dtype where it is on; softmax and sums in float32 (float64 for float64 features).
    """
    return VocabularyLoss(
        *_VocabularyLoss.apply(
            features, weight, bias, targets, label_smoothing, _compute_dtype(features), torch.is_grad_enabled()
        )
    )


def _compute_dtype(features: Tensor) -> torch.dtype:
    kind = features.device.type
    return torch.get_autocast_dtype(kind) if torch.is_autocast_enabled(kind) else features.dtype


def block_size(rows: int, *, narrow: bool) -> int:
    """Rows of logits that exist at a time; `narrow` where they take two bytes an entry."""
    return LOW_BLOCK_ROWS if narrow else max(MIN_BLOCK_ROWS, -(-rows // NUM_BLOCKS))


def _slices(rows: int, size: int) -> Iterator[slice]:
    return (slice(first, min(first + size, rows)) for first in range(0, rows, size))


@final
class _Gradients:
    """The gradients of features, weight and bias, added up a block at a time.

    Of the logits' gradient `p - (1 - ε) * one_hot - ε / vocab` the products only see the first two parts, as `z` times
    them (z is the softmax's divisor, made up for in the narrow factor). The third is the same for every row and entry.
    """

    def __init__(self, features: Tensor, weight: Tensor, low_features: Tensor, low_weight: Tensor, wide: torch.dtype):
        self.low_features, self.low_weight = low_features, low_weight
        self.features = torch.empty_like(low_features)
        self.num_rows = len(features)
        self.fast = has_fast_products(low_features)
        # Fast products give the gradient the other way round, the narrow side first.
        self.weight = weight.new_zeros(weight.t().shape if self.fast else weight.shape, dtype=wide)
        self.bias = weight.new_zeros(len(weight), dtype=wide)

    def add(self, block: slice, scaled: Tensor, divisor: Tensor) -> None:
        """Takes a block's rows of `scaled`, the divisor times the logits' gradient, in the dtype of the products."""
        scaled[len(divisor) :] = 0  # the rows that only round their number up
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

    def finish(self, smoothing: float, mean_weight: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Adds what smoothing takes from every entry alike."""
        if self.fast:
            self.weight = self.weight.t().contiguous()
        if smoothing:
            vocab = len(self.weight)
            self.features.sub_((smoothing * mean_weight).to(self.features.dtype))
            self.weight.sub_(self.low_features.sum(0, dtype=self.weight.dtype) * (smoothing / vocab))
            self.bias.sub_(smoothing * self.num_rows / vocab)
        return self.features[: self.num_rows], self.weight, self.bias


def _scores(features: Tensor, weight: Tensor, bias: Tensor | None, room: Tensor) -> Tensor:
    scores = room[: len(features)]
    if has_fast_products(features):
        return scores.copy_(rows_product(features, weight, bias))
    if bias is None:
        return torch.mm(features, weight.t(), out=scores)
    return torch.addmm(bias, features, weight.t(), out=scores)


class _VocabularyLoss(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any,
        features: Tensor,
        weight: Tensor,
        bias: Tensor | None,
        targets: Tensor,
        smoothing: float,
        dtype: torch.dtype,
        keep: bool,
    ) -> tuple[Tensor, Tensor]:
        wide = torch.float64 if features.dtype == torch.float64 else torch.float32
        low_features = rounded_rows(features) if rounds_rows(features) else features.to(dtype)
        low_weight = weight.to(dtype)
        low_bias = None if bias is None else bias.to(dtype)
        gradients = _Gradients(features, weight, low_features, low_weight, wide) if keep else None
        mean_weight = low_weight.mean(0, dtype=wide)
        mean_scores = low_features.to(wide) @ mean_weight
        if bias is not None:
            mean_scores += bias.mean()
        total = torch.zeros((), dtype=wide, device=features.device)
        nll = torch.zeros_like(total)
        size = block_size(len(features), narrow=dtype != wide)
        # Memory that is new each time is zeroed by the system each time, which took as long as the products.
        block_scores = low_features.new_empty(min(size, len(low_features)), len(weight))
        slice_scores = None if dtype == wide else features.new_empty(SLICE_ROWS, len(weight), dtype=wide)
        for block in _slices(len(low_features), size):
            scores = _scores(low_features[block], low_weight, low_bias, block_scores)
            divisors = []
            for rows in _slices(min(block.stop, len(features)) - block.start, SLICE_ROWS):
                here = slice(block.start + rows.start, block.start + rows.stop)
                part = scores[rows]
                if slice_scores is not None:
                    part = slice_scores[: len(part)].copy_(part)
                target = targets[here, None]
                target_score = part.gather(1, target)[:, 0]
                largest = part.amax(1)
                divisor = part.sub_(largest[:, None]).exp_().sum(1)
                normaliser = largest + divisor.log()
                row_nll = normaliser - target_score
                nll += row_nll.sum()
                if smoothing:
                    row_nll = (1 - smoothing) * row_nll + smoothing * (normaliser - mean_scores[here])
                total += row_nll.sum()
                if gradients is None:
                    continue
                part.scatter_add_(1, target, (smoothing - 1) * divisor[:, None])
                gradients.bias.addmv_(part.t(), 1 / divisor)
                if slice_scores is not None:
                    scores[rows] = part
                divisors.append(divisor)
            if gradients is not None:
                gradients.add(block, scores, torch.cat(divisors))
        ctx.gradients = None if gradients is None else gradients.finish(smoothing, mean_weight)
        ctx.has_bias = bias is not None
        ctx.dtypes = (features.dtype, weight.dtype)
        ctx.mark_non_differentiable(nll)
        return total, nll

    @staticmethod
    def backward(ctx: Any, total_gradient: Tensor, _: Tensor) -> tuple[Any, ...]:
        if torch.is_grad_enabled():
            raise RuntimeError("`vocabulary_loss` has no second derivative: use cross_entropy of the logits for that")
        if ctx.gradients is None:
            raise RuntimeError("`vocabulary_loss` goes backward once: compute it again for a second time")
        features, weight, bias = ctx.gradients
        # Handed over and scaled in place: a copy of the weight's gradient would be as large as the weight.
        ctx.gradients = None
        feature_dtype, weight_dtype = ctx.dtypes
        return (
            features.mul_(total_gradient).to(feature_dtype),
            weight.mul_(total_gradient).to(weight_dtype),
            bias.mul_(total_gradient).to(weight_dtype) if ctx.has_bias else None,
            None,
            None,
            None,
            None,
        )
