"""Cross-entropy over a large vocabulary without ever holding all its logits.

Logits, their softmax and both gradients are made a chunk of rows at a time, in the forward pass, so that no more
than one chunk exists at once (the idea of Wijmans et al. 2025, "Cut your losses", and of Liger's fused loss).
"""

from typing import Any, NamedTuple

import torch
from jaxtyping import Float, Int
from torch import Tensor

NUM_CHUNKS = 48
MIN_CHUNK_ROWS = 64


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
        low_features, low_weight = features.to(dtype), weight.to(dtype)
        total = torch.zeros((), dtype=wide, device=features.device)
        nll = torch.zeros_like(total)
        feature_gradient = torch.empty_like(low_features) if keep else None
        weight_gradient = torch.zeros_like(weight, dtype=wide) if keep else None
        bias_gradient = None if bias is None or not keep else torch.zeros_like(bias, dtype=wide)
        rows = max(MIN_CHUNK_ROWS, -(-len(features) // NUM_CHUNKS))
        for first in range(0, len(features), rows):
            chunk = slice(first, first + rows)
            scores = (low_features[chunk] @ low_weight.t()).to(wide)
            if bias is not None:
                scores += bias
            normaliser = torch.logsumexp(scores, dim=1)
            target = targets[chunk, None]
            row_nll = normaliser - scores.gather(1, target)[:, 0]
            nll += row_nll.sum()
            if smoothing:
                uniform = normaliser - scores.mean(dim=1)
                total += ((1 - smoothing) * row_nll + smoothing * uniform).sum()
            if feature_gradient is None or weight_gradient is None:
                continue
            gradient = scores.sub_(normaliser[:, None]).exp_()
            if smoothing:
                gradient -= smoothing / weight.shape[0]
            gradient.scatter_add_(1, target, torch.full_like(target, -1, dtype=wide) * (1 - smoothing))
            low = gradient.to(dtype)
            torch.mm(low, low_weight, out=feature_gradient[chunk])
            if dtype == wide:
                weight_gradient.addmm_(low.t(), low_features[chunk])
            else:
                weight_gradient += low.t() @ low_features[chunk]
            if bias_gradient is not None:
                bias_gradient += gradient.sum(0)
        ctx.gradients = (feature_gradient, weight_gradient, bias_gradient)
        ctx.dtypes = (features.dtype, weight.dtype)
        ctx.mark_non_differentiable(nll)
        return (total if smoothing else nll.clone()), nll

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
            None if bias is None else bias.mul_(total_gradient).to(weight_dtype),
            None,
            None,
            None,
            None,
        )
