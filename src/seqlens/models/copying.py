"""Copying words of the source: where to point, and how much (Gu et al. 2016; See et al. 2017, section 2.2)."""

from typing import NamedTuple, final

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from seqlens.layers import Attention, Memory
from seqlens.layers.masks import length_mask
from seqlens.models.decoders import DecoderState
from seqlens.models.encoders import EncoderOutput


class CopyState(NamedTuple):
    """A decoder's state, and of each group the source's ids and what the pointer attends to."""

    decoder: DecoderState
    source: Int[Tensor, "groups source"]
    memory: Memory | None
    num_ids: int

    def reorder(self, rows: Int[Tensor, " rows"], groups: Int[Tensor, " groups"] | None) -> "CopyState":
        """Rows of hypotheses and groups of sources that stay."""
        state = self._replace(decoder=self.decoder.reorder(rows, groups))
        if groups is None:
            return state
        memory = None if self.memory is None else self.memory.select(groups)
        return state._replace(source=self.source.index_select(0, groups), memory=memory)


@final
class Pointer(nn.Module):
    """The gate between writing and copying, and the attention that points at what is copied.

    A recurrent decoder points with its own attention, as in the paper. The heads of a Transformer decoder look at many
    places for many ends, and their mean cannot point at one word unless all heads do: it gets one more head of its
    own on the final features, `softmax(qᵀ W k / sqrt(dim))`.
    """

    def __init__(self, feature_dim: int, input_dim: int, memory_dim: int, *, own_attention: bool) -> None:
        super().__init__()
        context_dim = memory_dim if own_attention else 0
        self.attention = Attention(feature_dim, memory_dim, score="bilinear") if own_attention else None
        self.gate = nn.Linear(feature_dim + context_dim + input_dim, 1)
        self.scale = feature_dim**-0.5

    def prepare(self, source: EncoderOutput) -> Memory | None:
        """What the pointer attends to; None where it uses the decoder's attention."""
        return None if self.attention is None else self.attention.prepare(source.memory, lengths=source.lengths)

    def forward(
        self,
        features: Float[Tensor, "groups queries dim"],
        inputs: Float[Tensor, "groups queries input_dim"],
        memory: Memory | None,
        attention: Float[Tensor, "groups queries source"] | None,
    ) -> tuple[Float[Tensor, "groups queries"], Float[Tensor, "groups queries source"]]:
        """The gate's log-odds of writing, and the attention over the source (the decoder's, if it is given)."""
        parts = [features, inputs.to(features.dtype)]
        if self.attention is not None and memory is not None:
            found = self.attention(features * self.scale, memory)
            attention = found.weights
            parts.append(found.context.to(features.dtype))
        assert attention is not None, "a pointer without attention of its own needs the decoder's"
        return self.gate(torch.cat(parts, dim=2)).squeeze(2), attention


def real_ids(source: Int[Tensor, "batch time"], lengths: Int[Tensor, " batch"]) -> Int[Tensor, "batch time"]:
    """The ids with zeros at padding, whatever it holds."""
    return source.masked_fill(~length_mask(lengths, source.shape[1], source.device), 0)


def count_ids(source: Int[Tensor, "batch time"], vocab_size: int) -> int:
    """The size of the vocabulary with the unknown words of these sources, whose ids follow it."""
    return max(vocab_size, int(source.max()) + 1) if source.numel() else vocab_size
