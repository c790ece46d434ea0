"""Encoders: embedded inputs to a memory that can be attended to, and one vector that sums it up."""

from collections.abc import Sequence
from typing import NamedTuple, final

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from seqlens.layers import PositionKind, RecurrentLayer, TransformerEncoder, build_positions
from seqlens.layers.dropout import Dropout
from seqlens.layers.gated_convolution import GatedConvolution
from seqlens.layers.masks import length_mask, zero_padding


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
    """Recurrent layers; the summary is the top layer's last state, both directions merged as the outputs are."""

    def __init__(self, layer: RecurrentLayer) -> None:
        super().__init__()
        self.layer = layer
        self.output_dim = layer.output_dim
        self.max_length: int | None = None

    def forward(self, inputs: Float[Tensor, "batch time dim"], lengths: Int[Tensor, " batch"]) -> EncoderOutput:
        outputs, state = self.layer(inputs, lengths)
        summary = state.last()
        if summary.shape[1] != self.output_dim:  # not side by side
            both = summary.unflatten(1, (2, self.output_dim))
            summary = both.sum(1) if self.layer.merge == "sum" else both.mean(1)
        return EncoderOutput(outputs, summary, lengths)


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
        memory = self.layer(self.dropout(self.place(inputs)), lengths)
        counts = lengths.clamp(min=1).to(memory.device)[:, None]
        return EncoderOutput(memory, memory.sum(1) / counts, lengths)

    def place(self, inputs: Float[Tensor, "batch time dim"]) -> Float[Tensor, "batch time dim"]:
        """The inputs with their positions, where these are added."""
        return inputs if self.positions is None else inputs + self.positions(0, inputs.shape[1], inputs)


@final
class ConvolutionalEncoder(nn.Module):
    """Gated convolutions over what a first one sees; the summary is the mean of the memory."""

    def __init__(
        self,
        input_dim: int,
        channels: int,
        *,
        first_kernel: int = 7,
        kernel: int = 7,
        dilations: Sequence[int] = (1, 1),
        dropout_p: float = 0.0,
    ) -> None:
        """Raises ValueError for a kernel without a middle."""
        super().__init__()
        if first_kernel % 2 == 0:
            raise ValueError(
                f"a kernel needs a middle, so an odd number of steps, but `first_kernel` is {first_kernel}"
            )
        self.first = nn.Conv1d(input_dim, channels, first_kernel, padding=first_kernel // 2)
        self.blocks = nn.ModuleList(
            [GatedConvolution(channels, kernel=kernel, dilation=each, dropout_p=dropout_p) for each in dilations]
        )
        self.output_dim = channels
        self.max_length: int | None = None

    def forward(self, inputs: Float[Tensor, "batch time dim"], lengths: Int[Tensor, " batch"]) -> EncoderOutput:
        mask = length_mask(lengths, inputs.shape[1], inputs.device)
        if not mask.numel():  # convolutions refuse what is shorter than their kernel
            memory = inputs.new_zeros(*inputs.shape[:2], self.output_dim)
        else:
            seen = self.first(zero_padding(inputs, mask).transpose(1, 2)).transpose(1, 2)
            memory = zero_padding(torch.nn.functional.gelu(seen), mask)
            for block in self.blocks:
                memory = block(memory, mask)
        counts = lengths.clamp(min=1).to(memory.device)[:, None]
        return EncoderOutput(memory, memory.sum(1) / counts, lengths)


Encoder = RecurrentEncoder | SelfAttentionEncoder | ConvolutionalEncoder


def pool_last(memory: Float[Tensor, "batch time dim"], lengths: Int[Tensor, " batch"]) -> Float[Tensor, "batch dim"]:
    """The output at each sequence's last step; zeros for an empty one."""
    mask = length_mask(lengths, memory.shape[1], memory.device)
    last = mask & ~torch.nn.functional.pad(mask, (0, 1))[:, 1:]
    return (memory * last[:, :, None]).sum(1)
