"""R-Drop: a net reads everything twice, with other entries dropped, and is to predict the same (Liang et al. 2021).

As in `vocabulary_loss`, logits and gradients are made a block of rows at a time, in the forward pass.
"""

from typing import Any, NamedTuple, final

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
from seqlens.layers.vocabulary_loss import compute_dtype


class RDropLoss(NamedTuple):
    """Sums over rows in float32: `total`, the loss to minimise; `nll` and `divergence`, without a gradient.

    `nll` is the mean of both readings' cross-entropies without label smoothing, `divergence` the mean of both
    directions of the Kullback-Leibler divergence between them, in nats.
    """

    total: Float[Tensor, ""]
    nll: Float[Tensor, ""]
    divergence: Float[Tensor, ""]


def r_drop_loss(
    features: Float[Tensor, "2 rows dim"],
    weight: Float[Tensor, "vocab dim"],
    bias: Float[Tensor, " vocab"] | None,
    targets: Int[Tensor, " rows"],
    *,
    divergence_weight: float,
    label_smoothing: float = 0.0,
) -> RDropLoss:
    """`(H(P) + H(Q)) / 2 + α / 2 * (KL(P‖Q) + KL(Q‖P)) / 2`, summed over rows, of two readings P and Q of the same.

    That is half of equation 4 of Liang et al. 2021, so that without a divergence it is what `vocabulary_loss` gives
    for one reading. `H` is the cross-entropy against `targets`, smoothed as there; α is `divergence_weight`.
    """
    # A row's two readings stand one below the other, so that a block of rows has both.
    pairs = features.transpose(0, 1).flatten(0, 1)
    keep = torch.is_grad_enabled()
    return RDropLoss(
        *_RDropLoss.apply(
            pairs, weight, bias, targets, label_smoothing, divergence_weight, compute_dtype(features), keep
        )
    )


class _RDropLoss(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any,
        features: Tensor,
        weight: Tensor,
        bias: Tensor | None,
        targets: Tensor,
        smoothing: float,
        divergence_weight: float,
        dtype: torch.dtype,
        keep: bool,
    ) -> tuple[Tensor, Tensor, Tensor]:
        blocks = ScoreBlocks(features, weight, bias, dtype, multiple=2)
        gradients = VocabularyGradients(blocks) if keep else None
        sums = _Sums(smoothing, divergence_weight, features.new_zeros((), dtype=blocks.wide))
        wide_room = features.new_empty(2, SLICE_ROWS, len(weight), dtype=blocks.wide)
        for block, scores, parts in blocks:
            for rows in parts:
                here = slice(block.start + rows.start, block.start + rows.stop)
                log_p, p = wide_room[:, : rows.stop - rows.start].unflatten(1, (-1, 2))
                log_p.copy_(scores[rows].view_as(log_p))
                sums.add(log_p, p, targets[here.start // 2 : here.stop // 2], blocks.mean_scores[here].view(-1, 2))
                if gradients is not None:
                    gradients.bias += p.sum((0, 1))
                    scores[rows] = p.flatten(0, 1)
            if gradients is not None:
                gradients.add(block, scores, scores.new_ones(parts[-1].stop, dtype=blocks.wide))
        found = None if gradients is None else gradients.finish(smoothing / 2)
        keep_gradients(ctx, found, features, weight, bias)
        ctx.mark_non_differentiable(sums.nll, sums.divergence)
        return sums.entropy + divergence_weight / 2 * sums.divergence, sums.nll, sums.divergence

    @staticmethod
    def backward(ctx: Any, total_gradient: Tensor, *_: Tensor) -> tuple[Any, ...]:
        return *take_gradients(ctx, total_gradient, "r_drop_loss"), None, None, None, None, None


@final
class _Sums:
    """The loss's parts, added up some rows at a time: `entropy` is the smoothed cross-entropy."""

    def __init__(self, smoothing: float, divergence_weight: float, zero: Float[Tensor, ""]) -> None:
        self.smoothing, self.divergence_weight = smoothing, divergence_weight
        self.entropy, self.nll, self.divergence = zero, zero.clone(), zero.clone()

    def add(
        self,
        scores: Float[Tensor, "rows 2 vocab"],
        room: Float[Tensor, "rows 2 vocab"],
        targets: Int[Tensor, " rows"],
        mean_scores: Float[Tensor, "rows 2"],
    ) -> None:
        """Adds rows; `room` has the gradient by the scores afterwards, but for what smoothing takes from all alike."""
        normaliser = _to_log_probabilities(scores, room)
        places = targets[:, None, None].expand(-1, 2, 1)
        nll = -scores.gather(2, places)[..., 0]
        self.nll += nll.sum() / 2
        if self.smoothing:
            nll = (1 - self.smoothing) * nll + self.smoothing * (normaliser - mean_scores)
        self.entropy += nll.sum() / 2
        self.divergence += _to_gradient(scores, room, self.divergence_weight).sum() / 2
        room.scatter_add_(2, places, room.new_full((), (self.smoothing - 1) / 2).expand(places.shape))


def _to_log_probabilities(
    scores: Float[Tensor, "rows 2 vocab"], room: Float[Tensor, "rows 2 vocab"]
) -> Float[Tensor, "rows 2"]:
    """Makes log-probabilities of scores in place and probabilities of them in `room`; gives the normalisers."""
    largest = scores.amax(2)
    scores -= largest[..., None]
    divisor = torch.exp(scores, out=room).sum(2)
    room /= divisor[..., None]
    log_divisor = divisor.log()
    scores -= log_divisor[..., None]
    return largest + log_divisor


def _to_gradient(
    log_p: Float[Tensor, "rows 2 vocab"], p: Float[Tensor, "rows 2 vocab"], divergence_weight: float
) -> Float[Tensor, " rows"]:
    """Makes of probabilities `p` in place the gradient of the loss without its targets; gives KL(P‖Q) + KL(Q‖P).

    With `d = log P - log Q`, the gradient of that sum by the scores of P is `P (d - KL(P‖Q)) + P - Q`.
    """
    first, second = p[:, 0], p[:, 1]
    difference = log_p[:, 0].sub_(log_p[:, 1])
    change = torch.sub(first, second, out=log_p[:, 1])
    forward = torch.linalg.vecdot(first, difference)[:, None]
    backward = -torch.linalg.vecdot(second, difference)[:, None]
    share = divergence_weight / 4
    # Half the cross-entropy's P, and the divergence's part of it, in one factor.
    first *= torch.add(0.5 - share * forward, difference, alpha=share)
    second *= torch.add(0.5 - share * backward, difference, alpha=-share)
    first.add_(change, alpha=share)
    second.sub_(change, alpha=share)
    return (forward + backward)[:, 0]
