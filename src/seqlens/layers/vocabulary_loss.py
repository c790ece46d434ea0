"""Cross-entropy over a large vocabulary without ever holding all its logits.

Logits, their softmax and both gradients are made a block of rows at a time, in the forward pass, so that no more
than one block exists at once (the idea of Wijmans et al. 2025, "Cut your losses", and of Liger's fused loss).
"""

from typing import Any, NamedTuple

import torch
from jaxtyping import Float, Int
from torch import Tensor

from seqlens.layers.vocabulary_blocks import (
    SLICE_ROWS,
    ScoreBlocks,
    VocabularyGradients,
    keep_gradients,
    take_gradients,
)


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
            features, weight, bias, targets, label_smoothing, compute_dtype(features), torch.is_grad_enabled()
        )
    )


def compute_dtype(features: Tensor) -> torch.dtype:
    """The dtype of products with features: autocast's where it is on, which leaves float64 alone."""
    kind = features.device.type
    if features.dtype == torch.float64 or not torch.is_autocast_enabled(kind):
        return features.dtype
    return torch.get_autocast_dtype(kind)


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
        blocks = ScoreBlocks(features, weight, bias, dtype)
        gradients = VocabularyGradients(blocks) if keep else None
        total = features.new_zeros((), dtype=blocks.wide)
        nll = torch.zeros_like(total)
        slice_scores = None if dtype == blocks.wide else features.new_empty(SLICE_ROWS, len(weight), dtype=blocks.wide)
        for block, scores, parts in blocks:
            divisors = []
            for rows in parts:
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
                    row_nll = (1 - smoothing) * row_nll + smoothing * (normaliser - blocks.mean_scores[here])
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
        keep_gradients(ctx, None if gradients is None else gradients.finish(smoothing), features, weight, bias)
        ctx.mark_non_differentiable(nll)
        return total, nll

    @staticmethod
    def backward(ctx: Any, total_gradient: Tensor, _: Tensor) -> tuple[Any, ...]:
        return *take_gradients(ctx, total_gradient, "vocabulary_loss"), None, None, None, None
