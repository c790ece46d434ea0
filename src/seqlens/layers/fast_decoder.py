"""The steps of a Transformer decoder made for search: the function of `TransformerDecoder.step` in fewer operations.

What is saved, beside one product for query, key and value:

- Keys and values of a step are written into room that is there already, and no search moves them: the rows of a
  group keep theirs side by side, and each row has a mask that says which of them are its own history. A beam that
  changes places changes masks.
- Groups that leave stay in the tensors, unseen, until a quarter of them has left.
"""

from typing import NamedTuple, final

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from seqlens.layers.fast_products import Products, RowProduct
from seqlens.layers.multi_head import scaled_query, self_projection
from seqlens.layers.positions import rotate
from seqlens.layers.transformer import DecoderLayer, TransformerDecoder

ROOM = 16
"""Steps for which keys and values get room at a time."""
LEAVERS = 0.25
"""The share of groups that may have left before the others are moved together."""
_HIDDEN = float("-inf")


class KeysValues(NamedTuple):
    """Projected keys and values, the heads beside each other as a product gives them."""

    keys: Float[Tensor, "groups slots heads head_dim"]
    values: Float[Tensor, "groups slots heads head_dim"]

    def select(self, groups: Int[Tensor, " groups"]) -> "KeysValues":
        """Takes groups."""
        return KeysValues(self.keys.index_select(0, groups), self.values.index_select(0, groups))


class _Layer(NamedTuple):
    """One decoder layer's weights; queries are scaled already."""

    query_key_value: RowProduct
    own_output: RowProduct
    query: RowProduct
    key_value: RowProduct
    memory_output: RowProduct
    feed_forward: RowProduct
    own_norm: nn.LayerNorm
    memory_norm: nn.LayerNorm
    feed_forward_norm: nn.LayerNorm


@final
class FastCache:
    """What is kept between steps: `own` keys and values by layer, `memory` likewise, and what each row may see.

    The rows of a group share slots of `own`: in a step of `width` rows a group, each takes one. A state is used up by
    the step or the reordering that is given it.
    """

    def __init__(self, memory: list[KeysValues], padding: Tensor | None) -> None:
        """`padding [groups, source]` is True where the memory is not real; None where all of it is."""
        self.memory = memory
        like = memory[0].keys
        groups, source = like.shape[:2]
        self.hidden_memory: Tensor | None = None  # [groups, 1, 1, source]: 0, or -inf at padding
        self.seen_memory: Tensor | None = None  # [groups, 1, 1, 1]: 0 where there is nothing to see; None if nowhere
        if padding is not None:
            empty = padding.all(dim=1, keepdim=True)
            # A softmax over nothing is NaN: what an empty memory gives is made, and taken away afterwards.
            hidden = like.new_zeros(groups, source).masked_fill_(padding & ~empty, _HIDDEN)
            self.hidden_memory = hidden[:, None, None]
            self.seen_memory = (~empty)[:, :, None, None].to(like.dtype) if bool(empty.any()) else None
        no_slot = like[:, :0]
        self.own = [KeysValues(no_slot, no_slot) for _ in memory]
        self.hidden = like.new_zeros(groups, 1, 0)  # [groups, width, slots]: 0, or -inf where a row has no history
        self.alive: Tensor | None = None  # the groups that have not left, in order; None if none has
        self.used = 0
        self.steps = 0

    def reorder(self, rows: Int[Tensor, " rows"], groups: Int[Tensor, " groups"] | None) -> "FastCache":
        """Rows of hypotheses and groups of inputs that stay."""
        present, width = self.hidden.shape[:2]
        if groups is not None:
            self.alive = groups if self.alive is None else self.alive.index_select(0, groups)
        staying = present if self.alive is None else len(self.alive)
        new_width = len(rows) // max(staying, 1)
        if max(width, new_width) > 1:
            self._follow(rows, staying, new_width)
        if self.alive is not None and len(self.alive) <= (1 - LEAVERS) * present:
            self._move_together(self.alive)
        return self

    def _follow(self, rows: Tensor, staying: int, new_width: int) -> None:
        """Gives each row the history of the row it continues."""
        present, width, slots = self.hidden.shape
        if self.alive is None:
            self.hidden = self.hidden.flatten(0, 1).index_select(0, rows).view(staying, new_width, slots)
            return
        followed = self.hidden[self.alive[:, None], (rows % width).view(staying, new_width)]
        # Rows of groups that left are computed on, to no effect.
        self.hidden = self.hidden[:, :1].expand(present, new_width, slots).index_copy(0, self.alive, followed)

    def _move_together(self, alive: Tensor) -> None:
        self.own = [layer.select(alive) for layer in self.own]
        self.memory = [layer.select(alive) for layer in self.memory]
        self.hidden = self.hidden.index_select(0, alive)
        if self.hidden_memory is not None:
            self.hidden_memory = self.hidden_memory.index_select(0, alive)
        if self.seen_memory is not None:
            self.seen_memory = self.seen_memory.index_select(0, alive)
        self.alive = None

    def make_room(self, width: int) -> None:
        """Opens a slot for each of the `width` rows of every group, that row alone seeing it."""
        slots = self.hidden.shape[2]
        if self.used + width > slots:
            more = max(slots, ROOM * width)
            self.own = [KeysValues(_longer(keys, more), _longer(values, more)) for keys, values in self.own]
            self.hidden = nn.functional.pad(self.hidden, (0, more), value=_HIDDEN)
        self.hidden[:, :, self.used : self.used + width].diagonal(dim1=1, dim2=2).zero_()
        self.used += width
        self.steps += 1


@final
class FastDecoder:
    """The weights of a `TransformerDecoder` as they are now.

    Norms and residual sums are in the decoder's own dtype. So are attention, keys and values on a CPU: bfloat16 pays in
    large products only, and attending from one query by head took a multiple of its time in float32.
    """

    def __init__(self, decoder: TransformerDecoder, products: Products) -> None:
        layers = [layer for layer in decoder.layers if isinstance(layer, DecoderLayer)]
        self.pre = layers[0].norm == "pre"
        self.heads = layers[0].own_attention.num_heads
        self.head_dim = layers[0].own_attention.head_dim
        self.rotary = layers[0].own_attention.rotary
        self.final_norm = decoder.final_norm
        own = layers[0].own_norm.weight
        self.attention_dtype = own.dtype if own.device.type == "cpu" else products.dtype
        with torch.no_grad():
            self.layers = [_copy_layer(layer, products) for layer in layers]

    def start(
        self, memory: Float[Tensor, "groups source memory_dim"], lengths: Int[Tensor, " groups"] | None = None
    ) -> FastCache:
        """Projects the memory once for all steps."""
        groups, source, _ = memory.shape
        padding = None
        if lengths is not None:
            padding = torch.arange(source, device=memory.device) >= lengths.to(memory.device)[:, None]
            if bool(padding.any()):
                memory = memory.masked_fill(padding[:, :, None], 0.0)
            else:
                padding = None
        ready = []
        for layer in self.layers:
            projected = layer.key_value(memory.flatten(0, 1)).view(groups, source, 2, self.heads, self.head_dim)
            projected = projected.to(self.attention_dtype)
            ready.append(KeysValues(projected[:, :, 0].contiguous(), projected[:, :, 1].contiguous()))
        return FastCache(ready, padding)

    def step(
        self, x_t: Float[Tensor, "rows dim"], cache: FastCache, weights: list[Tensor] | None = None
    ) -> tuple[Float[Tensor, "rows dim"], FastCache]:
        """Takes one step, as `TransformerDecoder.step` does.

        `weights`, if a list, receives the top layer's over the memory, `[groups, heads, rows of it, source]`.
        """
        alive, groups = cache.alive, len(cache.hidden)
        width = cache.hidden.shape[1]
        hidden = x_t
        if alive is not None:
            hidden = x_t.new_zeros(groups, width, x_t.shape[1])
            hidden = hidden.index_copy_(0, alive, x_t.view(len(alive), width, x_t.shape[1])).flatten(0, 1)
        cache.make_room(width)
        found: list[Tensor] | None = None if weights is None else []
        for number in range(len(self.layers)):
            top = number == len(self.layers) - 1
            hidden = self._layer_step(number, hidden, cache, found if top else None)
        hidden = self.final_norm(hidden)
        if alive is not None:
            hidden = hidden.view(groups, width, hidden.shape[1]).index_select(0, alive).flatten(0, 1)
        if weights is not None and found:
            weights.append(found[0] if alive is None else found[0].index_select(0, alive))
        return hidden, cache

    def _layer_step(self, number: int, inputs: Tensor, cache: FastCache, weights: list[Tensor] | None) -> Tensor:
        layer = self.layers[number]
        normed = layer.own_norm(inputs) if self.pre else inputs
        attended = self._attend_own(layer.query_key_value(normed), cache.own[number], cache)
        hidden = inputs + layer.own_output(attended)
        hidden = hidden if self.pre else layer.own_norm(hidden)

        normed = layer.memory_norm(hidden) if self.pre else hidden
        attended = self._attend_memory(layer.query(normed), cache.memory[number], cache, weights)
        hidden = hidden + layer.memory_output(attended)
        hidden = hidden if self.pre else layer.memory_norm(hidden)

        normed = layer.feed_forward_norm(hidden) if self.pre else hidden
        hidden = hidden + layer.feed_forward(normed)
        return hidden if self.pre else layer.feed_forward_norm(hidden)

    def _attend_own(self, projected: Tensor, own: KeysValues, cache: FastCache) -> Tensor:
        groups, width = cache.hidden.shape[:2]
        projected = projected.to(self.attention_dtype).view(groups, width, 3, self.heads, self.head_dim)
        query, key, value = projected.unbind(2)
        if self.rotary:
            query, key = self._turn(query, cache.steps - 1), self._turn(key, cache.steps - 1)
        own.keys[:, cache.used - width : cache.used] = key
        own.values[:, cache.used - width : cache.used] = value
        seen = KeysValues(own.keys[:, : cache.used], own.values[:, : cache.used])
        # A lone row sees all slots there are.
        hidden = None if width == 1 and cache.used == cache.steps else cache.hidden[:, None, :, : cache.used]
        return _attend(query, seen, hidden).flatten(0, 1)

    def _turn(self, heads: Tensor, position: int) -> Tensor:
        """All rows are at one position."""
        return rotate(heads.flatten(0, 1)[:, :, None], position).view(heads.shape)

    def _attend_memory(
        self, projected: Tensor, memory: KeysValues, cache: FastCache, weights: list[Tensor] | None
    ) -> Tensor:
        groups, width = cache.hidden.shape[:2]
        query = projected.to(self.attention_dtype).view(groups, width, self.heads, self.head_dim)
        if weights is not None:
            scores = query.transpose(1, 2) @ memory.keys.permute(0, 2, 3, 1)
            scores = scores if cache.hidden_memory is None else scores + cache.hidden_memory
            found = torch.softmax(scores, dim=3)
            weights.append(found if cache.seen_memory is None else found * cache.seen_memory)
        mixed = _attend(query, memory, cache.hidden_memory)
        if cache.seen_memory is not None:
            mixed = mixed * cache.seen_memory[:, :, :, 0]
        return mixed.flatten(0, 1)


def _attend(
    query: Float[Tensor, "groups width heads head_dim"], seen: KeysValues, hidden: Tensor | None
) -> Float[Tensor, "groups width dim"]:
    """`hidden [groups, 1, #width, slots]` is added to the scores."""
    if not seen.keys.shape[1]:
        return torch.zeros_like(query).flatten(2)
    if query.shape[1] == 1 and query.device.type == "cpu":
        return _attend_once(query, seen, hidden)
    mixed = nn.functional.scaled_dot_product_attention(
        query.transpose(1, 2), seen.keys.transpose(1, 2), seen.values.transpose(1, 2), attn_mask=hidden, scale=1.0
    )
    return mixed.transpose(1, 2).flatten(2)


def _attend_once(
    query: Float[Tensor, "groups 1 heads head_dim"], seen: KeysValues, hidden: Tensor | None
) -> Float[Tensor, "groups 1 dim"]:
    """The same for one row a group, where torch's call is a tiny product for each group and head."""
    scores = (seen.keys * query).sum(3)  # [groups, slots, heads]
    if hidden is not None:
        scores += hidden.flatten(1)[:, :, None]
    return (seen.values * torch.softmax(scores, dim=1)[:, :, :, None]).sum(1).flatten(1)[:, None]


def _longer(slots: Tensor, more: int) -> Tensor:
    longer = slots.new_empty(slots.shape[0], slots.shape[1] + more, *slots.shape[2:])
    longer[:, : slots.shape[1]] = slots
    return longer


def _copy_layer(layer: DecoderLayer, products: Products) -> _Layer:
    own, memory = layer.own_attention, layer.memory_attention
    return _Layer(
        query_key_value=products.linear(*self_projection(own)),
        own_output=products.linear(own.output.weight, own.output.bias),
        query=products.linear(*scaled_query(memory)),
        key_value=products.linear(memory.key_value.weight, memory.key_value.bias),
        memory_output=products.linear(memory.output.weight, memory.output.bias),
        feed_forward=products.feed_forward(
            layer.feed_forward, layer.feed_forward_norm if layer.norm == "pre" else layer.memory_norm
        ),
        own_norm=layer.own_norm,
        memory_norm=layer.memory_norm,
        feed_forward_norm=layer.feed_forward_norm,
    )
