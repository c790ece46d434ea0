"""What a transducer gives at each target position: features and the layer that makes scores of them."""

from typing import NamedTuple

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from seqlens.layers.copy_loss import copy_loss, widened
from seqlens.layers.r_drop_loss import RDropLoss, r_drop_loss
from seqlens.layers.vocabulary_loss import VocabularyLoss, vocabulary_loss

# Log-odds of a gate that copies nothing: where there is no source to copy from.
_CLOSED = 80.0


class VocabularyOutput(NamedTuple):
    """Features before the output layer, and that layer; `logits` are made when asked for.

    A loss over the vocabulary works from the features a chunk at a time and never needs all logits at once.
    """

    features: Float[Tensor, "*lead dim"]
    weight: Float[Tensor, "vocab dim"]
    bias: Float[Tensor, " vocab"] | None

    @property
    def logits(self) -> Float[Tensor, "*lead vocab"]:
        """Unnormalised log-probabilities over the vocabulary."""
        return nn.functional.linear(self.features, self.weight, self.bias)

    def select(self, places: Int[Tensor, " places"]) -> "VocabularyOutput":
        """The output at places of the flattened `[batch * time]`: features `[places, dim]`."""
        return self._replace(features=self.features.flatten(0, 1).index_select(0, places))

    def loss(self, targets: Int[Tensor, " places"], *, label_smoothing: float = 0.0) -> VocabularyLoss:
        """Cross-entropy of a selected output, summed; see `vocabulary_loss`."""
        return vocabulary_loss(self.features, self.weight, self.bias, targets, label_smoothing=label_smoothing)

    def r_drop_loss(
        self, targets: Int[Tensor, " places"], *, divergence_weight: float, label_smoothing: float = 0.0
    ) -> RDropLoss:
        """The loss of a selected output that reads the same `targets` twice, one reading after the other."""
        return r_drop_loss(
            self.features.unflatten(0, (2, len(targets))),
            self.weight,
            self.bias,
            targets,
            divergence_weight=divergence_weight,
            label_smoothing=label_smoothing,
        )


class CopyOutput(NamedTuple):
    """A mixture of writing a word of the vocabulary and copying one of the source (See et al. 2017, section 2.2).

    `p(w) = g * P_vocab(w) + (1 - g) * Σ_{i: source_i = w} attention_i`, with `g = σ(gate)`. Ids from the size of the
    vocabulary on are words of the source that the vocabulary lacks; there are `num_ids` ids with them.
    """

    features: Float[Tensor, "*lead dim"]
    weight: Float[Tensor, "vocab dim"]
    bias: Float[Tensor, " vocab"] | None
    gate: Float[Tensor, "*lead"]
    attention: Float[Tensor, "*lead source"]
    source: Int[Tensor, "*rows source"]
    num_ids: int

    @property
    def logits(self) -> Float[Tensor, "*lead ids"]:
        """Log-probabilities over all ids; -inf for what a row's own source lacks."""
        scores = widened(nn.functional.linear(self.features, self.weight, self.bias))
        vocab_size = scores.shape[-1]
        gate = closed_without_source(self.gate, self.attention).to(scores.dtype)[..., None]
        written = torch.log_softmax(scores, dim=-1) + nn.functional.logsigmoid(gate)
        written = nn.functional.pad(written, (0, self.num_ids - vocab_size), value=float("-inf"))
        attention = self.attention.to(scores.dtype)
        copied = torch.zeros_like(written).scatter_add(-1, self.source.expand(attention.shape), attention)
        # The smallest number instead of 0, whose logarithm has no gradient.
        floored = copied.clamp(min=torch.finfo(copied.dtype).tiny).log() + nn.functional.logsigmoid(-gate)
        there = torch.zeros_like(written, dtype=torch.bool).scatter(-1, self.source.expand(attention.shape), True)
        there[..., :vocab_size] = True
        return torch.logaddexp(written, floored).masked_fill(~there, float("-inf"))

    def select(self, places: Int[Tensor, " places"]) -> "CopyOutput":
        """The output at places of the flattened `[batch * time]`: features `[places, dim]`."""
        source = self.source[:, 0].index_select(0, places // max(self.features.shape[1], 1))
        return self._replace(
            features=self.features.flatten(0, 1).index_select(0, places),
            gate=self.gate.flatten().index_select(0, places),
            attention=self.attention.flatten(0, 1).index_select(0, places),
            source=source,
        )

    def loss(self, targets: Int[Tensor, " places"], *, label_smoothing: float = 0.0) -> VocabularyLoss:
        """Cross-entropy of a selected output, summed; see `copy_loss`."""
        return copy_loss(
            self.features,
            self.weight,
            self.bias,
            targets,
            gate=closed_without_source(self.gate, self.attention),
            attention=self.attention,
            source=self.source,
            label_smoothing=label_smoothing,
        )


def closed_without_source(gate: Float[Tensor, "*lead"], attention: Float[Tensor, "*lead source"]) -> Tensor:
    """The gate, but shut where the attention has nothing to look at: all is then written."""
    return gate.masked_fill(attention.sum(-1) == 0, _CLOSED)


TransducerOutput = VocabularyOutput | CopyOutput
