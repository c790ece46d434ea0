"""Multi-head attention (Vaswani et al. 2017, section 3.2) with cached keys and values."""

from typing import NamedTuple, final

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn

from seqlens.layers.masks import length_mask, masked_softmax, zero_padding


class KeyValues(NamedTuple):
    """Projected keys and values, `[batch, heads, keys, head_dim]`, and which keys are real."""

    keys: Float[Tensor, "batch heads keys head_dim"]
    values: Float[Tensor, "batch heads keys head_dim"]
    mask: Bool[Tensor, "batch keys"] | None = None

    def select(self, rows: Int[Tensor, " rows"]) -> "KeyValues":
        """Takes rows of the batch."""
        mask = None if self.mask is None else self.mask.index_select(0, rows)
        return KeyValues(self.keys.index_select(0, rows), self.values.index_select(0, rows), mask)

    def append(self, later: "KeyValues") -> "KeyValues":
        """Adds keys and values along time."""
        return KeyValues(torch.cat((self.keys, later.keys), 2), torch.cat((self.values, later.values), 2), self.mask)


@final
class MultiHeadAttention(nn.Module):
    """`num_heads` scaled-dot attentions side by side over projections of query, key and value."""

    def __init__(
        self, model_dim: int, num_heads: int, *, memory_dim: int | None = None, dropout_p: float = 0.0
    ) -> None:
        """`memory_dim` is the size of what is attended to (default `model_dim`); `dropout_p` drops weights."""
        super().__init__()
        if model_dim % num_heads != 0:
            raise ValueError(
                f"`model_dim` must be a multiple of `num_heads`, but is {model_dim} with {num_heads} heads"
            )
        self.num_heads = num_heads
        self.head_dim = model_dim // num_heads
        self.dropout_p = dropout_p
        self.query = nn.Linear(model_dim, model_dim)
        self.key_value = nn.Linear(memory_dim or model_dim, 2 * model_dim)
        self.output = nn.Linear(model_dim, model_dim)
        for weight in (self.query.weight, *self.key_value.weight.chunk(2), self.output.weight):
            nn.init.xavier_uniform_(weight.data)
        for bias in (self.query.bias, self.key_value.bias, self.output.bias):
            nn.init.zeros_(bias)

    def prepare(
        self, memory: Float[Tensor, "batch keys memory_dim"], lengths: Int[Tensor, " batch"] | None = None
    ) -> KeyValues:
        """Projects keys and values once for any number of queries; `lengths` says how many keys are real."""
        mask = None if lengths is None else length_mask(lengths, memory.shape[1], memory.device)
        if mask is not None:
            memory = zero_padding(memory, mask)
        projected = self.key_value(memory)
        batch, keys, _ = projected.shape
        heads = projected.view(batch, keys, 2, self.num_heads, self.head_dim)
        return KeyValues(heads[:, :, 0].transpose(1, 2), heads[:, :, 1].transpose(1, 2), mask)

    def forward(
        self, query: Float[Tensor, "batch queries model_dim"], memory: KeyValues, *, causal: bool = False
    ) -> Float[Tensor, "batch queries model_dim"]:
        """Attends. `causal`: query t sees keys up to t (as many queries as keys). No key to see gives `output(0)`."""
        heads = self._split(query)
        if self.dropout_p > 0 and self.training:
            weights = torch.dropout(self._weights(heads, memory, causal), self.dropout_p, train=True)
            mixed = weights.to(memory.values.dtype) @ memory.values
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
        self, query: Float[Tensor, "batch queries model_dim"], memory: KeyValues, *, causal: bool = False
    ) -> Float[Tensor, "batch heads queries keys"]:
        """The weights that `forward` uses without dropout, recomputed: the fused path keeps none."""
        return self._weights(self._split(query), memory, causal)

    def _split(self, query: Tensor) -> Tensor:
        batch, queries, _ = query.shape
        return self.query(query).view(batch, queries, self.num_heads, self.head_dim).transpose(1, 2)

    def _weights(self, heads: Tensor, memory: KeyValues, causal: bool) -> Tensor:
        scores = (heads * self.head_dim**-0.5) @ memory.keys.transpose(2, 3)
        keep = None if memory.mask is None else memory.mask[:, None, None, :].expand_as(scores)
        if causal:
            triangle = _causal(heads, memory).expand_as(scores)
            keep = triangle if keep is None else keep & triangle
        return masked_softmax(scores, keep)


def _visible(mask: Tensor) -> Tensor:
    """Opens rows without any key, whose softmax would be NaN; their result is zeroed afterwards."""
    return mask | ~mask.any(dim=1, keepdim=True)


def _causal(heads: Tensor, memory: KeyValues) -> Tensor:
    return torch.ones(heads.shape[2], memory.keys.shape[2], dtype=torch.bool, device=heads.device).tril()


def _combine(keep: Tensor | None, heads: Tensor, memory: KeyValues, causal: bool) -> Tensor | None:
    if keep is None or not causal:
        return keep
    return keep & _causal(heads, memory)
