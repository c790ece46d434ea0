"""Causal Transformer layers without another memory, in chunks and single steps with cached keys."""

from typing import NamedTuple, Unpack, final

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn

from seqlens.layers.dropout import Dropout
from seqlens.layers.masks import for_products, length_mask, zero_padding
from seqlens.layers.multi_head import KeyValues
from seqlens.layers.options import BlockOptions, NormPlace
from seqlens.layers.positions import rotate
from seqlens.layers.transformer import Block, FeedForward

# Rotary keys are turned back to the start before their positions lose precision in float32.
_LARGEST_POSITION = 4096


class CausalState(NamedTuple):
    """The keys and values that later positions see, layer by layer; `ended [batch]` is True for a row that was padded.

    `position` is that of the next step; `some_ended`: one of `ended` is True, known without asking the device. With a
    window the state is bounded by it.
    """

    layers: tuple[KeyValues, ...]
    ended: Bool[Tensor, " batch"]
    position: int
    some_ended: bool = False

    def select(self, rows: Int[Tensor, " rows"]) -> "CausalState":
        """Takes rows of the batch, in any order and number."""
        layers = tuple(layer.select(rows) for layer in self.layers)
        ended = self.ended.index_select(0, rows)
        return self._replace(layers=layers, ended=ended, some_ended=self.some_ended and bool(ended.any()))

    def detach(self) -> "CausalState":
        """Cuts the graph here: what came before is seen, but not learnt through (Dai et al. 2019)."""
        layers = tuple(layer._replace(keys=layer.keys.detach(), values=layer.values.detach()) for layer in self.layers)
        return self._replace(layers=layers)


@final
class CausalLayer(nn.Module):
    """Causal self-attention and feed-forward, each in a residual branch."""

    def __init__(self, block: Block, window: int | None) -> None:
        super().__init__()
        self.norm: NormPlace = block.norm
        self.attention = block.self_attention(window=window)
        self.feed_forward = FeedForward(block)
        self.attention_norm = nn.LayerNorm(block.model_dim)
        self.feed_forward_norm = nn.LayerNorm(block.model_dim)
        self.dropout = Dropout(block.dropout_p)

    def forward(self, inputs: Tensor, earlier: KeyValues, position: int) -> tuple[Tensor, KeyValues]:
        """`inputs [batch, time, model_dim]` from `position` on; returns the outputs and all keys so far."""
        pre = self.norm == "pre"
        normed = for_products(self.attention_norm(inputs) if pre else inputs)
        own = self.attention.prepare(normed, start=position)
        keys = own if earlier.keys.shape[2] == 0 else earlier.append(own)
        hidden = self.dropout.add(inputs, self.attention(normed, keys, causal=True, start=position))
        hidden = hidden if pre else self.attention_norm(hidden)
        normed = self.feed_forward_norm(hidden) if pre else hidden
        hidden = self.dropout.add(hidden, self.feed_forward(normed))
        return (hidden if pre else self.feed_forward_norm(hidden)), keys


@final
class CausalTransformer(nn.Module):
    """A stack of causal layers: whole sequences, chunks that go on from a state, and single steps.

    With `window` a position sees those up to so far back, so that the state does not grow. As layers stand upon each
    other, what reaches the top comes from farther back.
    """

    def __init__(
        self, model_dim: int, *, num_layers: int = 3, window: int | None = None, **options: Unpack[BlockOptions]
    ) -> None:
        """`window` is the largest distance that is seen; the options are those of `Block`."""
        super().__init__()
        block = Block(model_dim, **options)
        self.output_dim = model_dim
        self.window = window
        self.rotary = block.rotary
        self.layers = nn.ModuleList(CausalLayer(block, window) for _ in range(num_layers))
        self.final_norm = block.final_norm()

    def initial_state(
        self, batch_size: int, *, device: torch.device | None = None, dtype: torch.dtype | None = None
    ) -> CausalState:
        """No keys."""
        layers = []
        for layer in self.layers:
            assert isinstance(layer, CausalLayer)
            attention = layer.attention
            none = attention.query.weight.new_zeros(
                batch_size, attention.num_heads, 0, attention.head_dim, device=device, dtype=dtype
            )
            layers.append(KeyValues(none, none.clone()))
        ended = torch.zeros(batch_size, dtype=torch.bool, device=device)
        return CausalState(tuple(layers), ended, 0)

    def forward(
        self,
        inputs: Float[Tensor, "batch time dim"],
        lengths: Int[Tensor, " batch"] | None = None,
        state: CausalState | None = None,
    ) -> tuple[Float[Tensor, "batch time dim"], CausalState]:
        """Runs a chunk; with `state` it goes on where an earlier one ended. Outputs at padding are zero.

        Raises:
            ValueError: a sequence goes on that ended before the end of an earlier chunk.
        """
        if state is None:
            state = self.initial_state(inputs.shape[0], device=inputs.device)
        mask, ended, some_ended = None, state.ended, state.some_ended
        goes_on = some_ended and inputs.shape[1] > 0
        if lengths is not None:
            mask = length_mask(lengths, inputs.shape[1], inputs.device)
            on_device = lengths.to(inputs.device)
            # A graph cannot ask its tensors: there nothing is refused, and any sequence may have ended.
            in_graph = torch.compiler.is_compiling()
            goes_on = not in_graph and some_ended and bool((ended & (on_device > 0)).any())
            ended = ended | (on_device < inputs.shape[1])
            some_ended = in_graph or bool(ended.any())
        if goes_on:
            raise ValueError("a sequence that was shorter than its chunk has ended: it cannot go on in the next one")
        hidden = inputs if mask is None else zero_padding(inputs, mask)
        keys = []
        for layer, earlier in zip(self.layers, state.layers, strict=True):
            # Padding comes after all that is real, where no real position looks.
            hidden, own = layer(hidden, earlier, state.position)
            keys.append(self._bounded(own))
        hidden = self.final_norm(hidden)
        outputs = hidden if mask is None else zero_padding(hidden, mask)
        return outputs, self._nearer(CausalState(tuple(keys), ended, state.position + inputs.shape[1], some_ended))

    def step(
        self, x_t: Float[Tensor, "batch dim"], state: CausalState
    ) -> tuple[Float[Tensor, "batch dim"], CausalState]:
        """One step, equal to that of the whole.

        Raises:
            ValueError: a sequence goes on that ended before the end of an earlier chunk.
        """
        outputs, state = self(x_t[:, None, :], None, state)
        return outputs[:, 0], state

    def _bounded(self, keys: KeyValues) -> KeyValues:
        """The keys that a later position can see."""
        surplus = 0 if self.window is None else keys.keys.shape[2] - self.window
        if surplus <= 0:
            return keys
        # Copies, so that what is no longer seen does not stay in memory.
        return KeyValues(
            keys.keys[:, :, surplus:].contiguous(), keys.values[:, :, surplus:].contiguous(), None, keys.start + surplus
        )

    def _nearer(self, state: CausalState) -> CausalState:
        """The same state counted from its first key, once positions are large: rotary scores see only distances."""
        # Never before a window has passed since the last time: keys that are turned are copied, and rounded.
        if self.window is None or not self.rotary or state.position <= max(_LARGEST_POSITION, 2 * self.window):
            return state
        start = state.layers[0].start
        layers = tuple(layer._replace(keys=_turned_back(layer.keys, start), start=0) for layer in state.layers)
        return state._replace(layers=layers, position=state.position - start)


def _turned_back(keys: Tensor, by: int) -> Tensor:
    """Rotary keys as if they stood `by` positions earlier."""
    batch, heads, time, dim = keys.shape
    # Each stands alone at the same position, so all are turned by one angle.
    flat = keys.permute(0, 2, 1, 3).reshape(batch * time, heads, 1, dim)
    return rotate(flat, -by).view(batch, time, heads, dim).permute(0, 2, 1, 3).contiguous()
