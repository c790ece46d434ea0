"""How far back in time a loss can teach: the norm of its gradient by distance from where the encoder's answer is read.

Vanishing and exploding gradients: Hochreiter 1991; Bengio, Simard & Frasconi 1994; Pascanu, Mikolov & Bengio 2013.
"""

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from seqlens.data.batch import PairBatch
from seqlens.layers import RecurrentLayer
from seqlens.layers.masks import length_mask
from seqlens.models.encoders import RecurrentEncoder
from seqlens.models.transducer import Transducer
from seqlens.tasks.transduce.pair_loss import shift_right

VANISHED = 1e-4
EXPLODED = 1e3
MIN_LAG = 8


@dataclass(frozen=True, slots=True)
class GradientThroughTime:
    """`norms[k]`: mean over sequences of the gradient's norm with respect to the input `k` steps away from the end
    (from the nearer end, where the encoder reads in both directions); `counts[k]`: how many sequences reach so far."""

    norms: tuple[float, ...]
    counts: tuple[int, ...]

    @property
    def ratio(self) -> float:
        """The farthest eighth's mean norm over the nearest eighth's: near 1 where time is no obstacle.

        Infinite where only the far end has a gradient, not a number where a norm is neither.
        """
        eighth = max(1, len(self.norms) // 8)
        near = sum(self.norms[:eighth]) / eighth
        far = sum(self.norms[-eighth:]) / eighth
        if near == 0:
            return 0.0 if far == 0 else far * math.inf
        return far / near


def gradient_through_time(model: Transducer, batch: PairBatch) -> GradientThroughTime:
    """Measures the gradient of a batch's loss with respect to every source position's embedding.

    The weights' own gradients are left as they are.
    """
    assert batch.target is not None
    embedded = model.embed_source(batch.source.ids).detach().requires_grad_()
    with torch.enable_grad():
        encoded = model.encode_embedded(embedded, batch.source.lengths, batch.source.ids)
        output = model.decode(encoded, shift_right(batch.target.ids), batch.target.lengths)
        keep = batch.target.mask().flatten().nonzero()[:, 0]
        loss = output.select(keep).loss(batch.target.ids.flatten()[keep])
        (gradient,) = torch.autograd.grad(loss.total, embedded)
    return by_lag(gradient, batch.source.lengths, both_ends=_reads_both_ways(model))


def by_lag(gradient: Tensor, lengths: Tensor, *, both_ends: bool) -> GradientThroughTime:
    """Averages norms of `gradient [batch, time, dim]` by distance from each sequence's end (or nearer end)."""
    time = gradient.shape[1]
    norms = gradient.detach().float().norm(dim=2).cpu()
    steps = torch.arange(time)[None, :]
    lag = lengths[:, None] - 1 - steps
    if both_ends:
        lag = torch.minimum(lag, steps.expand_as(lag))
    mask = length_mask(lengths, time)
    counts = torch.zeros(time, dtype=torch.long).index_add_(0, lag[mask], torch.ones_like(lag[mask]))
    sums = torch.zeros(time).index_add_(0, lag[mask], norms[mask])
    reach = int((counts > 0).sum())
    means = (sums[:reach] / counts[:reach]).tolist()
    return GradientThroughTime(tuple(means), tuple(counts[:reach].tolist()))


def gradient_warning(result: GradientThroughTime) -> str | None:
    """A sentence with advice where gradients vanish or explode through time, else None."""
    if len(result.norms) < MIN_LAG:
        return None
    lag = len(result.norms) - 1
    if not all(map(math.isfinite, result.norms)):
        return (
            "The gradient explodes through time: it is not finite. "
            "Set 'training.gradient_clip' (1.0, say) or lower 'training.optimizer.learning_rate'."
        )
    if result.ratio < VANISHED:
        return (
            f"The gradient vanishes through time: {lag} steps back it has {result.ratio:.0e} of its norm at the end. "
            "An LSTM or a GRU instead of a plain RNN, both directions, or attention would let it through."
        )
    if result.ratio > EXPLODED:
        return (
            f"The gradient explodes through time: {lag} steps back it is {result.ratio:.0e} times its norm at the end. "
            "Set 'training.gradient_clip' (1.0, say) or lower 'training.optimizer.learning_rate'."
        )
    return None


def _reads_both_ways(model: Transducer) -> bool:
    encoder = model.encoder
    return (
        isinstance(encoder, RecurrentEncoder)
        and isinstance(encoder.layer, RecurrentLayer)
        and encoder.layer.bidirectional
    )
