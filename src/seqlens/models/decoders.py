"""Decoders: whole targets at once in training, one step at a time in search, both giving the same numbers."""

from typing import Literal, NamedTuple, final

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from seqlens.cells import CellState
from seqlens.layers import (
    AdditiveScore,
    Attention,
    DecoderCache,
    KeyValues,
    LayerState,
    Memory,
    MultiHeadAttention,
    PositionKind,
    RecurrentLayer,
    RecurrentState,
    ScoreKind,
    TransformerDecoder,
    build_positions,
)
from seqlens.layers.dropout import Dropout
from seqlens.models.encoders import EncoderOutput

AttentionKind = ScoreKind | Literal["multi_head"]


class RecurrentDecoderState(NamedTuple):
    """What a recurrent decoder keeps between steps: the source a group, all else a row.

    `fed` is the last attended vector, `coverage` the attention that each source position got so far.
    """

    rnn: RecurrentState
    fed: Float[Tensor, "rows dim"] | None
    summary: Float[Tensor, "groups dim"]
    memory: Memory | KeyValues | None
    coverage: Float[Tensor, "rows source"] | None = None

    def reorder(self, rows: Int[Tensor, " rows"], groups: Int[Tensor, " groups"] | None) -> "RecurrentDecoderState":
        """Rows of hypotheses and groups of sources that stay."""
        fed = None if self.fed is None else self.fed.index_select(0, rows)
        coverage = None if self.coverage is None else self.coverage.index_select(0, rows)
        state = self._replace(rnn=self.rnn.select(rows), fed=fed, coverage=coverage)
        if groups is None:
            return state
        memory = None if self.memory is None else self.memory.select(groups)
        return state._replace(summary=self.summary.index_select(0, groups), memory=memory)


@final
class RecurrentDecoder(nn.Module):
    """Recurrent layers that start from the source's summary, with attention over its memory or without.

    With attention: `context = attend(h_t)`, `a_t = tanh(W [h_t, context])` (Luong et al. 2015, equation 5); with input
    feeding `a_{t-1}` is part of the input of step t. Without it the summary is part of every input instead (Cho et
    al. 2014), so that the bottleneck is as wide as one vector can be. With coverage the score of a source position
    knows how much attention it got in the steps before (See et al. 2017, section 2.3).
    """

    def __init__(
        self,
        embedding_dim: int,
        memory_dim: int,
        layer: RecurrentLayer,
        *,
        attention: AttentionKind | None,
        num_heads: int = 4,
        coverage: bool = False,
        input_feeding: bool = False,
        dropout_p: float = 0.0,
    ) -> None:
        """`layer` reads `layer_input_dim(...)` entries a step; `output_dim` is `embedding_dim`.

        `num_heads` is for `multi_head` attention.

        Raises:
            ValueError: coverage with another attention than `additive`.
        """
        super().__init__()
        if coverage and attention != "additive":
            raise ValueError(f"coverage is an input of the additive score, but the attention is {attention or 'null'}")
        self.layer = layer
        self.output_dim = embedding_dim
        self.input_feeding = input_feeding and attention is not None
        self.max_length: int | None = None
        self.state_dims = {name: part.shape[1] for name, part in layer.initial_state(1).layers[0].forward.items()}
        hidden = layer.hidden_dim
        self.bridge = nn.Linear(memory_dim, sum(self.state_dims.values()) * layer.num_layers)
        self.coverage = coverage
        self.attention = _build_attention(attention, hidden, memory_dim, num_heads, coverage=coverage)
        context_dim = 0 if attention is None else hidden if attention == "multi_head" else memory_dim
        self.combine = nn.Linear(hidden + context_dim, embedding_dim)
        self.dropout = Dropout(dropout_p)

    @staticmethod
    def layer_input_dim(
        embedding_dim: int, memory_dim: int, attention: AttentionKind | None, input_feeding: bool
    ) -> int:
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
        """Features of every step; `weights`, if a list, receives `[batch, heads, time, source]`."""
        state = self.start(source)
        if self.input_feeding:
            return self._unrolled(inputs, state, weights)
        if state.memory is None:
            summary = state.summary[:, None, :].expand(-1, inputs.shape[1], -1)
            inputs = torch.cat((inputs, summary.to(inputs.dtype)), dim=2)
        outputs = self.layer(inputs, lengths, state.rnn).outputs
        if state.coverage is not None and inputs.shape[1]:
            return self._attend_in_turn(outputs, state.memory, state.coverage, weights)
        return self._attend(outputs, state.memory, weights)[0]

    def _unrolled(self, inputs: Tensor, state: RecurrentDecoderState, weights: list[Tensor] | None) -> Tensor:
        if inputs.shape[1] == 0:
            return self._attend(inputs.new_zeros(inputs.shape[0], 0, self.layer.hidden_dim), state.memory, weights)[0]
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
        names = tuple(self.state_dims)
        parts = self.bridge(source.summary).split([*self.state_dims.values()] * self.layer.num_layers, dim=1)
        layers = []
        for number in range(self.layer.num_layers):
            own = parts[number * len(names) : (number + 1) * len(names)]
            # An LSTM's cell is not bounded, every hidden state is. Under autocast states stay in the weights' dtype.
            state: CellState = {
                name: (torch.tanh(part) if name == "hidden" else part).to(self.bridge.weight.dtype)
                for name, part in zip(names, own, strict=True)
            }
            layers.append(LayerState(state))
        memory = None if self.attention is None else self.attention.prepare(source.memory, lengths=source.lengths)
        fed, coverage = None, None
        if self.input_feeding:
            fed = source.memory.new_zeros(source.memory.shape[0], self.output_dim)
        if self.coverage:
            coverage = source.memory.new_zeros(source.memory.shape[:2], dtype=self.bridge.weight.dtype)
        return RecurrentDecoderState(RecurrentState(tuple(layers)), fed, source.summary, memory, coverage)

    def step(
        self, x_t: Float[Tensor, "rows dim"], state: RecurrentDecoderState, weights: list[Tensor] | None = None
    ) -> tuple[Float[Tensor, "rows dim"], RecurrentDecoderState]:
        """One step, equal to that of the whole; rows of one source stand side by side, equally many each.

        `weights`, if a list, receives `[groups, heads, rows of it, source]`.
        """
        groups = state.summary.shape[0]
        width = x_t.shape[0] // groups if groups else 1
        fed = state.fed
        if state.memory is None:
            fed = state.summary.repeat_interleave(width, dim=0)
        hidden, rnn = self.layer.step(x_t if fed is None else torch.cat((x_t, fed.to(x_t.dtype)), dim=1), state.rnn)
        coverage = None if state.coverage is None else state.coverage.view(groups, width, state.coverage.shape[1])
        features, covered = self._attend(hidden.view(groups, width, hidden.shape[1]), state.memory, weights, coverage)
        feature = features.flatten(0, 1)
        if covered is not None:
            state = state._replace(coverage=covered.flatten(0, 1))
        return feature, state._replace(rnn=rnn, fed=feature if self.input_feeding else None)

    def _attend(
        self,
        hidden: Tensor,
        memory: Memory | KeyValues | None,
        weights: list[Tensor] | None,
        coverage: Tensor | None = None,
    ) -> tuple[Tensor, Tensor | None]:
        """Features, and the coverage with this attention in it."""
        context: Tensor
        match self.attention:
            case Attention() as attention:
                context, attended = attention(hidden, memory, coverage=coverage)
                coverage = None if coverage is None else coverage + attended
                if weights is not None:
                    weights.append(attended[:, None])
            case MultiHeadAttention() as attention:
                assert isinstance(memory, KeyValues)
                context = attention(hidden, memory)
                if weights is not None:
                    weights.append(attention.weights(hidden, memory))
            case _:
                return self.dropout(torch.tanh(self.combine(hidden))), None
        return self.dropout(torch.tanh(self.combine(torch.cat((hidden, context.to(hidden.dtype)), dim=2)))), coverage

    def _attend_in_turn(
        self, hidden: Tensor, memory: Memory | KeyValues | None, coverage: Tensor, weights: list[Tensor] | None
    ) -> Tensor:
        """Attends step after step, since each must know what those before it attended to."""
        covered: Tensor | None = coverage[:, None]
        features, steps = [], []
        for step in hidden.split(1, dim=1):
            seen: list[Tensor] = []
            feature, covered = self._attend(step, memory, seen, covered)
            features.append(feature)
            steps += seen
        if weights is not None:
            weights.append(torch.cat(steps, dim=2))
        return torch.cat(features, dim=1)


def _build_attention(
    kind: AttentionKind | None, query_dim: int, memory_dim: int, num_heads: int, *, coverage: bool
) -> Attention | MultiHeadAttention | None:
    if kind is None:
        return None
    if kind == "multi_head":
        return MultiHeadAttention(query_dim, num_heads, memory_dim=memory_dim)
    score = AdditiveScore(query_dim, memory_dim, coverage=True) if coverage else kind
    return Attention(query_dim, memory_dim, score=score)


@final
class SelfAttentionDecoder(nn.Module):
    """Transformer decoder layers over embeddings with positions."""

    def __init__(
        self, layer: TransformerDecoder, *, positions: PositionKind | None, max_length: int, dropout_p: float
    ) -> None:
        """`positions` are added to the embeddings; None where the layers have rotary ones."""
        super().__init__()
        self.layer = layer
        self.output_dim = layer.output_dim
        self.positions = None if positions is None else build_positions(positions, layer.output_dim, max_length)
        self.max_length = None if self.positions is None else self.positions.max_length
        self.dropout = Dropout(dropout_p)

    def forward(
        self,
        inputs: Float[Tensor, "batch time dim"],
        lengths: Int[Tensor, " batch"],
        source: EncoderOutput,
        weights: list[Tensor] | None = None,
    ) -> Float[Tensor, "batch time dim"]:
        """Features of every step; `weights`, if a list, receives `[batch, heads, time, source]` of each layer."""
        if self.positions is not None:
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
        if self.positions is not None:
            x_t = x_t + self.positions(state.steps, 1, x_t)
        return self.layer.step(self.dropout(x_t), state, weights)


Decoder = RecurrentDecoder | SelfAttentionDecoder
DecoderState = RecurrentDecoderState | DecoderCache
