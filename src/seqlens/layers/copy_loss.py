"""Cross-entropy of a mixture of writing and copying, without ever holding all logits of the vocabulary."""

from typing import Any

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from seqlens.layers.vocabulary_loss import VocabularyLoss, compute_dtype

CHUNK_ROWS = 512


def copy_loss(
    features: Float[Tensor, "rows dim"],
    weight: Float[Tensor, "vocab dim"],
    bias: Float[Tensor, " vocab"] | None,
    targets: Int[Tensor, " rows"],
    *,
    gate: Float[Tensor, " rows"],
    attention: Float[Tensor, "rows source"],
    source: Int[Tensor, "rows source"],
    label_smoothing: float = 0.0,
) -> VocabularyLoss:
    """`-log(g * P_vocab(target) + (1 - g) * Σ_{i: source_i = target} attention_i)`, summed over rows.

    `g = σ(gate)` (See et al. 2017, equation 9). Targets from the size of the vocabulary on are words that only the
    source has. Label smoothing concerns the vocabulary's own distribution and leaves gate and attention alone: it is
    there against over-sure scores, and a mean over a vocabulary would be a penalty on copying.
    """
    gate, attention = widened(gate), widened(attention)
    copied = (attention * (source == targets[:, None])).sum(1)
    # The smallest number instead of 0, whose logarithm has no gradient.
    copied = copied.clamp(min=torch.finfo(copied.dtype).tiny).log() + nn.functional.logsigmoid(-gate)
    return VocabularyLoss(
        *_CopyLoss.apply(
            features,
            weight,
            bias,
            targets,
            nn.functional.logsigmoid(gate),
            copied,
            label_smoothing,
            compute_dtype(features),
            torch.is_grad_enabled(),
        )
    )


def widened(tensor: Tensor) -> Tensor:
    """The tensor in float32 or wider."""
    return tensor if tensor.dtype == torch.float64 else tensor.float()


class _CopyLoss(torch.autograd.Function):
    """The loss, given the logarithms of `g` and of all that is copied to each target.

    A row's gradient is that of writing times the share of writing in its mixture, and that share is known as soon as
    the row's logits are: so the gradients are made in the forward pass, as those of `vocabulary_loss` are.
    """

    @staticmethod
    def forward(
        ctx: Any,
        features: Tensor,
        weight: Tensor,
        bias: Tensor | None,
        targets: Tensor,
        log_gate: Tensor,
        copied: Tensor,
        smoothing: float,
        dtype: torch.dtype,
        keep: bool,
    ) -> tuple[Tensor, Tensor]:
        wide, vocab_size = copied.dtype, len(weight)
        low_features, low_weight = features.to(dtype), weight.to(dtype)
        feature_gradient = torch.empty_like(low_features)
        weight_gradient = torch.zeros_like(weight, dtype=wide) if keep else None
        bias_gradient = weight.new_zeros(vocab_size, dtype=wide)
        uniform = copied.new_zeros(())
        mixtures, shares = torch.empty_like(copied), torch.empty_like(copied)
        for first in range(0, len(features), CHUNK_ROWS):
            rows = slice(first, first + CHUNK_ROWS)
            scores = (low_features[rows] @ low_weight.t()).to(wide)
            if bias is not None:
                scores += bias
            known = targets[rows] < vocab_size
            target = torch.where(known, targets[rows], 0)[:, None]
            normaliser = torch.logsumexp(scores, dim=1)
            written = scores.gather(1, target)[:, 0] - normaliser + log_gate[rows]
            written = written.masked_fill(~known, float("-inf"))
            mixtures[rows] = torch.logaddexp(written, copied[rows])
            share = shares[rows] = (written - mixtures[rows]).exp()
            if smoothing:
                uniform += (normaliser - scores.mean(dim=1)).sum()
            if weight_gradient is None:
                continue
            one_hot = (1 - smoothing) * share[:, None]
            gradient = scores.sub_(normaliser[:, None]).exp_().mul_(one_hot + smoothing)
            gradient.scatter_add_(1, target, -one_hot)
            if smoothing:
                gradient -= smoothing / vocab_size
            low = gradient.to(dtype)
            torch.mm(low, low_weight, out=feature_gradient[rows])
            weight_gradient += low.t() @ low_features[rows]
            bias_gradient += gradient.sum(0)
        nll = -mixtures.sum()
        shares.mul_(smoothing - 1)
        ctx.gradients = None
        if weight_gradient is not None:
            ctx.gradients = (feature_gradient, weight_gradient, bias_gradient, shares, (smoothing - 1) - shares)
        ctx.dtypes = (features.dtype, weight.dtype, weight.dtype if bias is not None else None, wide, wide)
        ctx.mark_non_differentiable(nll)
        return (1 - smoothing) * nll + smoothing * uniform, nll

    @staticmethod
    def backward(ctx: Any, total_gradient: Tensor, _: Tensor) -> tuple[Any, ...]:
        if torch.is_grad_enabled():
            raise RuntimeError("`copy_loss` has no second derivative: use the logits for that")
        if ctx.gradients is None:
            raise RuntimeError("`copy_loss` goes backward once: compute it again for a second time")
        given = zip(ctx.gradients, ctx.dtypes, strict=True)
        features, weight, bias, log_gate, copied = (
            None if dtype is None else gradient.mul_(total_gradient).to(dtype) for gradient, dtype in given
        )
        ctx.gradients = None
        return features, weight, bias, None, log_gate, copied, None, None, None
