"""Encoders: embedded inputs to a memory that can be attended to, and one vector that sums it up."""

from typing import NamedTuple, final

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from seqlens.layers import PositionKind, RecurrentLayer, TransformerEncoder, build_positions
from seqlens.layers.dropout import Dropout
from seqlens.layers.masks import length_mask


class EncoderOutput(NamedTuple):
    """`memory [batch, time, dim]`, zero at padding; `summary [batch, dim]` is all that a bottleneck passes on.

    `ids [batch, time]`, zero at padding, is there where words may be copied from the source.
    """

    memory: Float[Tensor, "batch time dim"]
    summary: Float[Tensor, "batch dim"]
    lengths: Int[Tensor, " batch"]
    ids: Int[Tensor, "batch time"] | None = None


@final
class RecurrentEncoder(nn.Module):
    """Recurrent layers; the summary is the top layer's last state, both directions side by side."""

    def __init__(self, layer: RecurrentLayer) -> None:
        super().__init__()
        self.layer = layer
        self.output_dim = layer.output_dim
        self.max_length: int | None = None

    def forward(self, inputs: Float[Tensor, "batch time dim"], lengths: Int[Tensor, " batch"]) -> EncoderOutput:
        outputs, state = self.layer(inputs, lengths)
        return EncoderOutput(outputs, state.last(), lengths)


@final
class SelfAttentionEncoder(nn.Module):
    """Transformer layers over embeddings with positions; the summary is the mean of the memory."""

    def __init__(
        self, layer: TransformerEncoder, *, positions: PositionKind | None, max_length: int, dropout_p: float
    ) -> None:
        """`positions` are added to the embeddings; None where the layers have rotary ones."""
        super().__init__()
        self.layer = layer
        self.output_dim = layer.output_dim
        self.positions = None if positions is None else build_positions(positions, layer.output_dim, max_length)
        self.max_length = None if self.positions is None else self.positions.max_length
        self.dropout = Dropout(dropout_p)

    def forward(self, inputs: Float[Tensor, "batch time dim"], lengths: Int[Tensor, " batch"]) -> EncoderOutput:
        if self.positions is not None:
            inputs = inputs + self.positions(0, inputs.shape[1], inputs)
        memory = self.layer(self.dropout(inputs), lengths)
        counts = lengths.clamp(min=1).to(memory.device)[:, None]
        return EncoderOutput(memory, memory.sum(1) / counts, lengths)


Encoder = RecurrentEncoder | SelfAttentionEncoder


def pool_last(memory: Float[Tensor, "batch time dim"], lengths: Int[Tensor, " batch"]) -> Float[Tensor, "batch dim"]:
    """The output at each sequence's last step; zeros for an empty one."""
    mask = length_mask(lengths, memory.shape[1], memory.device)
    last = mask & ~torch.nn.functional.pad(mask, (0, 1))[:, 1:]
    return (memory * last[:, :, None]).sum(1)
