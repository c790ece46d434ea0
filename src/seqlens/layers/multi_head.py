"""Multi-head attention (Vaswani et al. 2017, section 3.2) with cached keys and values."""

from collections.abc import Sequence
from typing import NamedTuple, final

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn

from seqlens.layers.dropout import check_probability, dropout
from seqlens.layers.masks import length_mask, masked_softmax, zero_padding
from seqlens.layers.positions import rotate
from seqlens.layers.projection import Projection, linear
from seqlens.layers.relative import RelativeBias
from seqlens.layers.visibility import check_window, visible_keys


class KeyValues(NamedTuple):
    """Projected keys and values, `[batch, heads, keys, head_dim]`, which keys are real, and where the first stands."""

    keys: Float[Tensor, "batch heads keys head_dim"]
    values: Float[Tensor, "batch heads keys head_dim"]
    mask: Bool[Tensor, "batch keys"] | None = None
    start: int = 0

    def select(self, rows: Int[Tensor, " rows"]) -> "KeyValues":
        """Takes rows of the batch."""
        mask = None if self.mask is None else self.mask.index_select(0, rows)
        return self._replace(keys=self.keys.index_select(0, rows), values=self.values.index_select(0, rows), mask=mask)

    def append(self, later: "KeyValues") -> "KeyValues":
        """Adds keys and values along time.

        Raises:
            ValueError: one of them has lengths, so that padding would come to stand in the middle, or the later ones
                were not prepared for the place where these end.
        """
        if self.mask is not None or later.mask is not None:
            raise ValueError("keys that were prepared with `lengths` cannot grow: their padding would be in the middle")
        end = self.start + self.keys.shape[2]
        if later.start != end:
            raise ValueError(f"keys to be added must stand at {end}, where the earlier end, but start={later.start}")
        keys, values = torch.cat((self.keys, later.keys), 2), torch.cat((self.values, later.values), 2)
        return self._replace(keys=keys, values=values)


@final
class MultiHeadAttention(nn.Module):
    """`num_heads` scaled-dot attentions side by side over projections of query, key and value."""

    def __init__(
        self,
        model_dim: int,
        num_heads: int,
        *,
        memory_dim: int | None = None,
        dropout_p: float = 0.0,
        rotary: bool = False,
        relative: bool = False,
        window: int | None = None,
        gain: float = 1.0,
    ) -> None:
        """`memory_dim` is the size of what is attended to (default `model_dim`); `dropout_p` drops weights.

        `rotary`: queries and keys are turned by their positions, see `positions.rotate`. `relative`: a learned number
        for each head and distance is added to the scores, see `RelativeBias`. `window`: the largest distance at which
        a query sees a key, any if None. `gain`: of the first weights of query, key and value, against those of Glorot
        and Bengio 2010.
        """
        super().__init__()
        if num_heads < 1 or model_dim % num_heads != 0:
            raise ValueError(
                f"`model_dim` must be a multiple of `num_heads`, but is {model_dim} with {num_heads} heads"
            )
        self.num_heads = num_heads
        self.head_dim = model_dim // num_heads
        self.rotary = rotary
        if rotary and self.head_dim % 2:
            raise ValueError(f"rotary positions turn pairs of entries, but a head has {self.head_dim} entries")
        self.dropout_p = check_probability(dropout_p)
        self.window = check_window(window)
        self.relative = RelativeBias(num_heads) if relative else None
        self.query = Projection(model_dim, model_dim)
        self.key_value = Projection(memory_dim or model_dim, 2 * model_dim)
        self.output = Projection(model_dim, model_dim)
        for weight in (self.query.weight, *self.key_value.weight.chunk(2)):
            nn.init.xavier_uniform_(weight.data, gain=gain)
        nn.init.xavier_uniform_(self.output.weight)
        for bias in (self.query.bias, self.key_value.bias, self.output.bias):
            nn.init.zeros_(bias)

    def prepare(
        self,
        memory: Float[Tensor, "batch keys memory_dim"],
        lengths: Int[Tensor, " batch"] | None = None,
        *,
        is_finite: bool = False,
        start: int = 0,
    ) -> KeyValues:
        """Projects keys and values once for any number of queries; `start` is the position of the first key.

        `lengths` says how many keys are real; what stands behind them is zeroed first, unless it is known to be finite:
        a mask of weights does not stop NaN.
        """
        mask = None if lengths is None else length_mask(lengths, memory.shape[1], memory.device)
        if mask is not None and not is_finite:
            memory = zero_padding(memory, mask)
        projected = self.key_value(memory)
        batch, keys, _ = projected.shape
        heads = projected.view(batch, keys, 2, self.num_heads, self.head_dim)
        keys_by_head = heads[:, :, 0].transpose(1, 2)
        if self.rotary:
            keys_by_head = rotate(keys_by_head, start)
        return KeyValues(keys_by_head, heads[:, :, 1].transpose(1, 2), mask, start)

    def forward(
        self,
        query: Float[Tensor, "batch queries model_dim"],
        memory: KeyValues,
        *,
        causal: bool = False,
        start: int = 0,
    ) -> Float[Tensor, "batch queries model_dim"]:
        """Attends. `causal`: a query sees keys up to its own position. No key to see gives `output(0)`.

        `start` is the position of the first query; that of the first key was given to `prepare`.
        """
        heads = self._split(query, start)
        if (self.dropout_p > 0 and self.training) or _fused_is_slow(heads):
            weights = dropout(self._weights(heads, memory, causal, start), self.dropout_p, training=self.training)
            mixed = weights.to(memory.values.dtype) @ memory.values
        elif self.window is not None or self.relative is not None or (causal and start != memory.start):
            mixed = self._fused_by_position(heads, memory, causal, start)
        else:
            keep = None if memory.mask is None else _visible(memory.mask)[:, None, None, :]
            mixed = nn.functional.scaled_dot_product_attention(
                heads,
                memory.keys,
                memory.values,
                attn_mask=_combine(keep, heads, memory, causal),
                is_causal=causal and keep is None,
            )
            if memory.mask is not None:
                mixed = mixed * memory.mask.any(dim=1)[:, None, None, None]
        return self.output(mixed.transpose(1, 2).flatten(2))

    def weights(
        self,
        query: Float[Tensor, "batch queries model_dim"],
        memory: KeyValues,
        *,
        causal: bool = False,
        start: int = 0,
        heads: Sequence[int] | None = None,
        rows: Sequence[int] | None = None,
        queries: Sequence[int] | None = None,
    ) -> Float[Tensor, "rows heads asked keys"]:
        """The weights that `forward` uses without dropout, recomputed: the fused path keeps none.

        Only those of the chosen `heads`, `rows` of the batch and `queries` are computed, in the order given; of all if
        None.

        Raises:
            ValueError: there is no such head, row or query.
        """
        which = _chosen("heads", heads, self.num_heads, query.device)
        if (row := _chosen("rows", rows, len(query), query.device)) is not None:
            query, memory = query.index_select(0, row), memory.select(row)
        if which is not None:
            memory = memory._replace(keys=memory.keys.index_select(1, which))
        split = self._split(query, start, which)
        asked = _chosen("queries", queries, query.shape[1], query.device)
        if asked is None:
            return self._weights(split, memory, causal, start, which)
        return self._weights(split.index_select(2, asked), memory, causal, start, which, asked)

    def _split(self, query: Tensor, start: int, which: Tensor | None = None) -> Tensor:
        if which is None:
            projected = self.query(query)
        else:
            weight = self.query.weight.unflatten(0, (self.num_heads, -1))[which].flatten(0, 1)
            projected = linear(query, weight, self.query.bias.view(self.num_heads, -1)[which].flatten())
        heads = projected.unflatten(2, (-1, self.head_dim)).transpose(1, 2)
        return rotate(heads, start) if self.rotary else heads

    def _weights(
        self,
        heads: Tensor,
        memory: KeyValues,
        causal: bool,
        start: int,
        which: Tensor | None = None,
        asked: Tensor | None = None,
    ) -> Tensor:
        """The weights of heads that are already split; `which` and `asked` say which heads and queries these are."""
        scores = (heads * self.head_dim**-0.5) @ memory.keys.transpose(2, 3)
        if asked is None:
            asked = torch.arange(heads.shape[2], device=heads.device)
        bias, keep = self._by_position(asked + start, memory, causal)
        if bias is not None:
            scores = scores + (bias if which is None else bias[which])
        return masked_softmax(scores, keep)

    def _by_position(self, positions: Tensor, memory: KeyValues, causal: bool) -> tuple[Tensor | None, Tensor | None]:
        """What is added to scores, `[heads, queries, keys]`, and which are kept, `[batch or 1, 1, queries, keys]`."""
        keys = torch.arange(memory.start, memory.start + memory.keys.shape[2], device=positions.device)
        bias = None if self.relative is None else self.relative(positions, keys)
        keep = None if memory.mask is None else memory.mask[:, None, None, :]
        if causal or self.window is not None:
            near = visible_keys(positions, keys, causal=causal, window=self.window)[None, None]
            keep = near if keep is None else near & keep
        return bias, keep

    def _fused_by_position(self, heads: Tensor, memory: KeyValues, causal: bool, start: int) -> Tensor:
        """The fused path where each query may see other keys, and some none."""
        positions = torch.arange(start, start + heads.shape[2], device=heads.device)
        bias, keep = self._by_position(positions, memory, causal)
        nothing = None if keep is None else ~keep.any(dim=3, keepdim=True)
        allowed = keep if keep is None or nothing is None else keep | nothing
        if bias is not None:
            bias = bias.to(heads.dtype)[None]
            allowed = bias if allowed is None else torch.where(allowed, bias, float("-inf"))
        mixed = nn.functional.scaled_dot_product_attention(heads, memory.keys, memory.values, attn_mask=allowed)
        return mixed if nothing is None else mixed.masked_fill(nothing, 0.0)


def scaled_query(attention: MultiHeadAttention) -> tuple[Tensor, Tensor]:
    """Weight and bias that give queries as scores want them."""
    scale = attention.head_dim**-0.5
    return attention.query.weight * scale, attention.query.bias * scale


def self_projection(attention: MultiHeadAttention) -> tuple[Tensor, Tensor]:
    """Weight and bias that give scaled queries, keys and values of the same inputs beside each other."""
    weight, bias = scaled_query(attention)
    return torch.cat((weight, attention.key_value.weight)), torch.cat((bias, attention.key_value.bias))


def _fused_is_slow(heads: Tensor) -> bool:
    """Backward of torch's fused attention in bfloat16 on a CPU takes several times as long as that of its parts."""
    return heads.requires_grad and heads.dtype == torch.bfloat16 and heads.device.type == "cpu"


def _visible(mask: Tensor) -> Tensor:
    """Opens rows without any key, whose softmax would be NaN; their result is zeroed afterwards."""
    return mask | ~mask.any(dim=1, keepdim=True)


def _causal(heads: Tensor, memory: KeyValues) -> Tensor:
    return torch.ones(heads.shape[2], memory.keys.shape[2], dtype=torch.bool, device=heads.device).tril()


def _combine(keep: Tensor | None, heads: Tensor, memory: KeyValues, causal: bool) -> Tensor | None:
    if keep is None or not causal:
        return keep
    return keep & _causal(heads, memory)


def _chosen(name: str, given: Sequence[int] | None, count: int, device: torch.device) -> Tensor | None:
    if given is None:
        return None
    for index in given:
        if not 0 <= index < count:
            raise ValueError(f"`{name}` must lie between 0 and {count - 1}, but there is a {index}")
    return torch.tensor(list(given), dtype=torch.int64, device=device)
