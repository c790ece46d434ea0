"""Decoders: whole targets at once in training, one step at a time in search, both giving the same numbers."""

from typing import NamedTuple, final

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from seqlens.cells import CellState
from seqlens.layers import (
    Attention,
    DecoderCache,
    LayerState,
    Memory,
    PositionKind,
    RecurrentLayer,
    RecurrentState,
    ScoreKind,
    TransformerDecoder,
    build_positions,
)
from seqlens.models.encoders import EncoderOutput


class RecurrentDecoderState(NamedTuple):
    """What a recurrent decoder keeps between steps: states and last attended vector a row, the source a group."""

    rnn: RecurrentState
    fed: Float[Tensor, "rows dim"] | None
    summary: Float[Tensor, "groups dim"]
    memory: Memory | None

    def reorder(self, rows: Int[Tensor, " rows"], groups: Int[Tensor, " groups"] | None) -> "RecurrentDecoderState":
        """Rows of hypotheses and groups of sources that stay."""
        fed = None if self.fed is None else self.fed.index_select(0, rows)
        state = self._replace(rnn=self.rnn.select(rows), fed=fed)
        if groups is None:
            return state
        memory = None if self.memory is None else self.memory.select(groups)
        return state._replace(summary=self.summary.index_select(0, groups), memory=memory)


@final
class RecurrentDecoder(nn.Module):
    """Recurrent layers that start from the source's summary, with attention over its memory or without.

    With attention: `context = attend(h_t)`, `a_t = tanh(W [h_t, context])` (Luong et al. 2015, equation 5); with input
    feeding `a_{t-1}` is part of the input of step t. Without it the summary is part of every input instead (Cho et
    al. 2014), so that the bottleneck is as wide as one vector can be.
    """

    def __init__(
        self,
        embedding_dim: int,
        memory_dim: int,
        layer: RecurrentLayer,
        *,
        attention: ScoreKind | None,
        input_feeding: bool = False,
        dropout_p: float = 0.0,
    ) -> None:
        """`layer` reads `layer_input_dim(...)` entries a step; `output_dim` is `embedding_dim`."""
        super().__init__()
        self.layer = layer
        self.output_dim = embedding_dim
        self.input_feeding = input_feeding and attention is not None
        self.max_length: int | None = None
        self.state_names = tuple(layer.initial_state(1).layers[0].forward)
        hidden = layer.hidden_dim
        self.bridge = nn.Linear(memory_dim, len(self.state_names) * layer.num_layers * hidden)
        self.attention = None if attention is None else Attention(hidden, memory_dim, score=attention)
        self.combine = nn.Linear(hidden + (0 if attention is None else memory_dim), embedding_dim)
        self.dropout = nn.Dropout(dropout_p)

    @staticmethod
    def layer_input_dim(embedding_dim: int, memory_dim: int, attention: ScoreKind | None, input_feeding: bool) -> int:
        """Size of a step's input: the embedding, and what is fed beside it."""
        if attention is None:
            return embedding_dim + memory_dim
        return 2 * embedding_dim if input_feeding else embedding_dim

    def forward(
        self,
        inputs: Float[Tensor, "batch time dim"],
        lengths: Int[Tensor, " batch"],
        source: EncoderOutput,
        weights: list[Tensor] | None = None,
    ) -> Float[Tensor, "batch time dim"]:
        """Features of every step; `weights`, if a list, receives `[batch, 1, time, source]`."""
        state = self.start(source)
        if self.input_feeding:
            return self._unrolled(inputs, state, weights)
        if state.memory is None:
            summary = state.summary[:, None, :].expand(-1, inputs.shape[1], -1)
            inputs = torch.cat((inputs, summary.to(inputs.dtype)), dim=2)
        outputs = self.layer(inputs, lengths, state.rnn).outputs
        return self._attend(outputs, state.memory, weights)

    def _unrolled(self, inputs: Tensor, state: RecurrentDecoderState, weights: list[Tensor] | None) -> Tensor:
        if inputs.shape[1] == 0:
            return self._attend(inputs.new_zeros(len(inputs), 0, self.layer.hidden_dim), state.memory, weights)
        features = []
        steps: list[Tensor] | None = None if weights is None else []
        for x_t in inputs.unbind(1):
            feature, state = self.step(x_t, state, steps)
            features.append(feature)
        if weights is not None and steps:
            weights.append(torch.cat(steps, dim=2))
        return torch.stack(features, dim=1)

    def start(self, source: EncoderOutput) -> RecurrentDecoderState:
        """The state before the first step, one row a source."""
        names = self.state_names
        parts = self.bridge(source.summary).chunk(len(names) * self.layer.num_layers, dim=1)
        layers = []
        for number in range(self.layer.num_layers):
            own = parts[number * len(names) : (number + 1) * len(names)]
            # An LSTM's cell is not bounded, every hidden state is; states stay in float32 under autocast.
            state: CellState = {
                name: _widened(torch.tanh(part) if name == "hidden" else part)
                for name, part in zip(names, own, strict=True)
            }
            layers.append(LayerState(state))
        memory = None if self.attention is None else self.attention.prepare(source.memory, lengths=source.lengths)
        fed = None
        if self.input_feeding:
            fed = source.memory.new_zeros(len(source.memory), self.output_dim)
        return RecurrentDecoderState(RecurrentState(tuple(layers)), fed, source.summary, memory)

    def step(
        self, x_t: Float[Tensor, "rows dim"], state: RecurrentDecoderState, weights: list[Tensor] | None = None
    ) -> tuple[Float[Tensor, "rows dim"], RecurrentDecoderState]:
        """One step, equal to that of the whole; rows of one source stand side by side, equally many each.

        `weights`, if a list, receives `[groups, 1, rows of it, source]`.
        """
        groups = len(state.summary)
        width = len(x_t) // max(groups, 1)
        fed = state.fed
        if state.memory is None:
            fed = state.summary.repeat_interleave(width, dim=0)
        hidden, rnn = self.layer.step(x_t if fed is None else torch.cat((x_t, fed.to(x_t.dtype)), dim=1), state.rnn)
        feature = self._attend(hidden.view(groups, width, hidden.shape[1]), state.memory, weights).flatten(0, 1)
        return feature, state._replace(rnn=rnn, fed=feature if self.input_feeding else None)

    def _attend(self, hidden: Tensor, memory: Memory | None, weights: list[Tensor] | None) -> Tensor:
        if self.attention is None or memory is None:
            return self.dropout(torch.tanh(self.combine(hidden)))
        context = self.attention(hidden, memory)
        if weights is not None:
            weights.append(context.weights[:, None])
        return self.dropout(torch.tanh(self.combine(torch.cat((hidden, context.context.to(hidden.dtype)), dim=2))))


def _widened(tensor: Tensor) -> Tensor:
    return tensor.float() if tensor.dtype == torch.bfloat16 else tensor


@final
class SelfAttentionDecoder(nn.Module):
    """Transformer decoder layers over embeddings with positions."""

    def __init__(
        self, layer: TransformerDecoder, *, positions: PositionKind, max_length: int, dropout_p: float
    ) -> None:
        super().__init__()
        self.layer = layer
        self.output_dim = layer.output_dim
        self.positions = build_positions(positions, layer.output_dim, max_length)
        self.max_length = self.positions.max_length
        self.dropout = nn.Dropout(dropout_p)

    def forward(
        self,
        inputs: Float[Tensor, "batch time dim"],
        lengths: Int[Tensor, " batch"],
        source: EncoderOutput,
        weights: list[Tensor] | None = None,
    ) -> Float[Tensor, "batch time dim"]:
        """Features of every step; `weights`, if a list, receives `[batch, heads, time, source]` of each layer."""
        inputs = inputs + self.positions(0, inputs.shape[1], inputs)
        return self.layer(
            self.dropout(inputs), source.memory, lengths=lengths, memory_lengths=source.lengths, weights=weights
        )

    def start(self, source: EncoderOutput) -> DecoderCache:
        """The state before the first step, one row a source."""
        return self.layer.start(source.memory, source.lengths)

    def step(
        self, x_t: Float[Tensor, "rows dim"], state: DecoderCache, weights: list[Tensor] | None = None
    ) -> tuple[Float[Tensor, "rows dim"], DecoderCache]:
        """One step, equal to that of the whole."""
        x_t = x_t + self.positions(state.steps, 1, x_t)
        return self.layer.step(self.dropout(x_t), state, weights)


Decoder = RecurrentDecoder | SelfAttentionDecoder
DecoderState = RecurrentDecoderState | DecoderCache
