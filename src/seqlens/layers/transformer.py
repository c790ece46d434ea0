"""Transformer encoder and decoder (Vaswani et al. 2017, section 3), the decoder with cached stepping."""

from typing import NamedTuple, Unpack, final

from jaxtyping import Float, Int
from torch import Tensor, nn

from seqlens.layers.dropout import Dropout
from seqlens.layers.masks import for_products, length_mask, zero_padding
from seqlens.layers.multi_head import KeyValues, MultiHeadAttention
from seqlens.layers.options import BlockOptions, NormPlace
from seqlens.layers.projection import Projection


class Block(NamedTuple):
    """What every layer of a stack is built by.

    `feed_forward_dim` is four times `model_dim` if None. `dropout_p` is on what each part of a layer adds,
    `attention_dropout_p` on attention weights, `activation_dropout_p` on what the feed-forward holds in its middle: as
    `dropout_p` if None. `rotary`: self-attention knows how far apart two positions are (Su et al. 2021); inputs then
    need no others.
    """

    model_dim: int
    num_heads: int = 4
    feed_forward_dim: int | None = None
    dropout_p: float = 0.0
    attention_dropout_p: float = 0.0
    activation_dropout_p: float | None = None
    norm: NormPlace = "pre"
    rotary: bool = False

    def self_attention(self, *, window: int | None = None) -> MultiHeadAttention:
        """Attention of a layer to its own inputs."""
        return self._attention(rotary=self.rotary, window=window)

    def memory_attention(self, memory_dim: int) -> MultiHeadAttention:
        """Attention of a layer to another sequence."""
        return self._attention(memory_dim=memory_dim)

    def _attention(
        self, *, memory_dim: int | None = None, rotary: bool = False, window: int | None = None
    ) -> MultiHeadAttention:
        return MultiHeadAttention(
            self.model_dim,
            self.num_heads,
            memory_dim=memory_dim,
            dropout_p=self.attention_dropout_p,
            rotary=rotary,
            window=window,
            # With 1, a post-norm decoder is for long a language model that does not look at the memory; 0.5 was found
            # by trial on translation. (torch's attention begins with the square root of a half, whatever the norms.)
            gain=1.0 if self.norm == "pre" else 0.5,
        )

    def final_norm(self) -> nn.Module:
        """What a stack ends with: a layer norm where each part of a layer begins with one."""
        return nn.LayerNorm(self.model_dim) if self.norm == "pre" else nn.Identity()


@final
class FeedForward(nn.Module):
    """`W_2 relu(W_1 x)`, the same at every position."""

    def __init__(self, block: Block) -> None:
        super().__init__()
        feed_forward_dim = block.feed_forward_dim or 4 * block.model_dim
        self.up = Projection(block.model_dim, feed_forward_dim)
        self.down = Projection(feed_forward_dim, block.model_dim)
        self.dropout = Dropout(block.dropout_p if block.activation_dropout_p is None else block.activation_dropout_p)
        for linear in (self.up, self.down):
            nn.init.xavier_uniform_(linear.weight)
            nn.init.zeros_(linear.bias)

    def forward(self, inputs: Tensor) -> Tensor:
        return self.down(self.dropout.relu(self.up(inputs)))


@final
class EncoderLayer(nn.Module):
    """Self-attention and feed-forward, each in a residual branch."""

    def __init__(self, block: Block) -> None:
        super().__init__()
        self.norm: NormPlace = block.norm
        self.attention = block.self_attention()
        self.feed_forward = FeedForward(block)
        self.attention_norm = nn.LayerNorm(block.model_dim)
        self.feed_forward_norm = nn.LayerNorm(block.model_dim)
        self.dropout = Dropout(block.dropout_p)

    def forward(self, inputs: Tensor, lengths: Tensor | None) -> Tensor:
        if self.norm == "pre":
            normed = for_products(self.attention_norm(inputs))
            hidden = self.dropout.add(inputs, self._attend(normed, lengths))
            return self.dropout.add(hidden, self.feed_forward(self.feed_forward_norm(hidden)))
        hidden = self.attention_norm(self.dropout.add(inputs, self._attend(for_products(inputs), lengths)))
        return self.feed_forward_norm(self.dropout.add(hidden, self.feed_forward(hidden)))

    def _attend(self, inputs: Tensor, lengths: Tensor | None) -> Tensor:
        # The stack zeroes its padding at the start; whatever the layers make of zeros is finite.
        return self.attention(inputs, self.attention.prepare(inputs, lengths, is_finite=True))


@final
class TransformerEncoder(nn.Module):
    """A stack of encoder layers over padded batches; padding is never seen, outputs there are zero."""

    def __init__(self, model_dim: int, *, num_layers: int = 3, **options: Unpack[BlockOptions]) -> None:
        """The options are those of `Block`."""
        super().__init__()
        block = Block(model_dim, **options)
        self.output_dim = model_dim
        self.layers = nn.ModuleList(EncoderLayer(block) for _ in range(num_layers))
        self.final_norm = block.final_norm()

    def forward(
        self, inputs: Float[Tensor, "batch time dim"], lengths: Int[Tensor, " batch"] | None = None
    ) -> Float[Tensor, "batch time dim"]:
        """Runs whole sequences, every position seeing every real one."""
        mask = None if lengths is None else length_mask(lengths, inputs.shape[1], inputs.device)
        hidden = inputs if mask is None else zero_padding(inputs, mask)
        for layer in self.layers:
            hidden = layer(hidden, lengths)
        hidden = self.final_norm(hidden)
        return hidden if mask is None else zero_padding(hidden, mask)


class DecoderCache(NamedTuple):
    """What one decoder keeps between steps: its own keys and values a row, the memory's a group of rows."""

    own: tuple[KeyValues | None, ...]
    memory: tuple[KeyValues, ...]
    steps: int

    def reorder(self, rows: Int[Tensor, " rows"], groups: Int[Tensor, " groups"] | None) -> "DecoderCache":
        """Rows of hypotheses and groups of inputs that stay; the memory is kept once a group, not once a row."""
        own = tuple(layer and layer.select(rows) for layer in self.own)
        memory = self.memory if groups is None else tuple(layer.select(groups) for layer in self.memory)
        return DecoderCache(own, memory, self.steps)


@final
class DecoderLayer(nn.Module):
    """Causal self-attention, attention over the memory, feed-forward, each in a residual branch."""

    def __init__(self, block: Block, memory_dim: int) -> None:
        super().__init__()
        self.norm: NormPlace = block.norm
        self.own_attention = block.self_attention()
        self.memory_attention = block.memory_attention(memory_dim)
        self.feed_forward = FeedForward(block)
        self.own_norm = nn.LayerNorm(block.model_dim)
        self.memory_norm = nn.LayerNorm(block.model_dim)
        self.feed_forward_norm = nn.LayerNorm(block.model_dim)
        self.dropout = Dropout(block.dropout_p)

    def forward(
        self,
        inputs: Tensor,
        memory: KeyValues,
        earlier: KeyValues | None,
        *,
        causal: bool,
        weights: list[Tensor] | None,
    ) -> tuple[Tensor, KeyValues]:
        """`inputs [rows, time, model_dim]` with the memory of `groups`; returns the outputs and the keys so far."""
        pre = self.norm == "pre"
        normed = for_products(self.own_norm(inputs) if pre else inputs)
        start = 0 if earlier is None else earlier.keys.shape[2]
        own = self.own_attention.prepare(normed, start=start)
        own = own if earlier is None else earlier.append(own)
        hidden = self.dropout.add(inputs, self.own_attention(normed, own, causal=causal, start=start))
        hidden = hidden if pre else self.own_norm(hidden)

        normed = self.memory_norm(hidden) if pre else hidden
        # Rows of one group share a memory, so they stand as queries of one attention instead of copies of it.
        groups = memory.keys.shape[0]
        width = normed.shape[0] // max(groups, 1)
        grouped = normed.reshape(groups, width * normed.shape[1], normed.shape[2])
        if weights is not None:
            weights.append(self.memory_attention.weights(grouped, memory))
        attended = self.memory_attention(grouped, memory).reshape(normed.shape)
        hidden = self.dropout.add(hidden, attended)
        hidden = hidden if pre else self.memory_norm(hidden)

        normed = self.feed_forward_norm(hidden) if pre else hidden
        hidden = self.dropout.add(hidden, self.feed_forward(normed))
        return (hidden if pre else self.feed_forward_norm(hidden)), own


@final
class TransformerDecoder(nn.Module):
    """A stack of decoder layers: whole targets at once in training, one cached step at a time in decoding."""

    def __init__(
        self, model_dim: int, *, memory_dim: int | None = None, num_layers: int = 3, **options: Unpack[BlockOptions]
    ) -> None:
        """`memory_dim` is the size of the encoder's outputs, `model_dim` if None; the options are those of `Block`.

        Attention over the memory has no positions: those of two sequences are not of one kind.
        """
        super().__init__()
        block = Block(model_dim, **options)
        self.output_dim = model_dim
        self.layers = nn.ModuleList(DecoderLayer(block, memory_dim or model_dim) for _ in range(num_layers))
        self.final_norm = block.final_norm()

    def forward(
        self,
        inputs: Float[Tensor, "batch time dim"],
        memory: Float[Tensor, "batch source memory_dim"],
        *,
        lengths: Int[Tensor, " batch"] | None = None,
        memory_lengths: Int[Tensor, " batch"] | None = None,
        weights: list[Tensor] | None = None,
    ) -> Float[Tensor, "batch time dim"]:
        """Runs whole targets; position t sees positions up to t and every real step of the memory.

        `weights`, if a list, receives each layer's weights over the memory, `[batch, heads, time, source]`.
        """
        mask = None if lengths is None else length_mask(lengths, inputs.shape[1], inputs.device)
        hidden = inputs if mask is None else zero_padding(inputs, mask)
        if memory_lengths is not None:
            memory = zero_padding(memory, length_mask(memory_lengths, memory.shape[1], memory.device))
        memory = for_products(memory)
        for layer in self.layers:
            assert isinstance(layer, DecoderLayer)
            ready = layer.memory_attention.prepare(memory, memory_lengths, is_finite=True)
            hidden, _ = layer(hidden, ready, None, causal=True, weights=weights)
        hidden = self.final_norm(hidden)
        return hidden if mask is None else zero_padding(hidden, mask)

    def start(
        self,
        memory: Float[Tensor, "groups source memory_dim"],
        memory_lengths: Int[Tensor, " groups"] | None = None,
    ) -> DecoderCache:
        """Projects the memory once for all steps."""
        ready = []
        for layer in self.layers:
            assert isinstance(layer, DecoderLayer)
            ready.append(layer.memory_attention.prepare(memory, memory_lengths))
        return DecoderCache((None,) * len(self.layers), tuple(ready), 0)

    def step(
        self, x_t: Float[Tensor, "rows dim"], cache: DecoderCache, weights: list[Tensor] | None = None
    ) -> tuple[Float[Tensor, "rows dim"], DecoderCache]:
        """Takes one step, equal to that of the whole; rows of one group stand side by side, equally many each.

        `weights`, if a list, receives each layer's weights over the memory, `[groups, heads, rows of it, source]`.
        """
        hidden = x_t[:, None, :]
        own = []
        for number, layer in enumerate(self.layers):
            assert isinstance(layer, DecoderLayer)
            hidden, keys = layer(hidden, cache.memory[number], cache.own[number], causal=False, weights=weights)
            own.append(keys)
        return self.final_norm(hidden)[:, 0], DecoderCache(tuple(own), cache.memory, cache.steps + 1)


def last_norm(decoder: TransformerDecoder) -> nn.LayerNorm:
    """What puts out the outputs of a decoder."""
    if isinstance(decoder.final_norm, nn.LayerNorm):
        return decoder.final_norm
    last = decoder.layers[-1]
    assert isinstance(last, DecoderLayer)
    return last.feed_forward_norm
