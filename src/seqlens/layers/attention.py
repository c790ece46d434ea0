"""Attention by query, key and value with one head and any score."""

from typing import NamedTuple, final

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn

from seqlens.layers.masks import length_mask, masked_softmax, zero_padding
from seqlens.layers.scores import Score, ScoreKind, build_score


class AttentionOutput(NamedTuple):
    """`context`, the values averaged by `weights`; both are zero for a query that may see no key."""

    context: Float[Tensor, "batch queries value_dim"]
    weights: Float[Tensor, "batch queries keys"]


class Memory(NamedTuple):
    """Keys and values made ready once for any number of queries: padding zeroed, the score's key part done."""

    prepared: Float[Tensor, "batch keys prepared"]
    values: Float[Tensor, "batch keys value_dim"]
    mask: Bool[Tensor, "batch keys"] | None

    def select(self, rows: Int[Tensor, " rows"]) -> "Memory":
        """Takes rows of the batch."""
        mask = None if self.mask is None else self.mask[rows]
        return Memory(self.prepared[rows], self.values[rows], mask)


@final
class Attention(nn.Module):
    """`context = Σ softmax(score(query, key)) * value` (Bahdanau et al. 2015; Luong et al. 2015)."""

    def __init__(self, query_dim: int, key_dim: int, *, score: ScoreKind | Score = "scaled_dot") -> None:
        """`score` is a name or a module of one's own that follows `Score`."""
        super().__init__()
        self.score = build_score(score, query_dim, key_dim) if isinstance(score, str) else score

    def prepare(
        self,
        keys: Float[Tensor, "batch keys key_dim"],
        values: Float[Tensor, "batch keys value_dim"] | None = None,
        *,
        lengths: Int[Tensor, " batch"] | None = None,
    ) -> Memory:
        """Makes keys and values ready; values are the keys if None; `lengths` says how many keys of each are real."""
        mask = None
        if lengths is not None:
            mask = length_mask(lengths, keys.shape[1], keys.device)
            keys = zero_padding(keys, mask)
            values = None if values is None else zero_padding(values, mask)
        return Memory(self.score.prepare(keys), keys if values is None else values, mask)

    def forward(
        self,
        query: Float[Tensor, "batch queries query_dim"],
        memory: Memory,
        mask: Bool[Tensor, "batch queries keys"] | None = None,
    ) -> AttentionOutput:
        """Attends; `mask` (True = keep) narrows what each query may see beyond the memory's own mask."""
        keep = None if memory.mask is None else memory.mask[:, None, :]
        if mask is not None:
            keep = mask if keep is None else mask & keep
        weights = masked_softmax(self.score(query, memory.prepared), keep)
        values = memory.values
        return AttentionOutput(torch.bmm(weights.to(values.dtype), values), weights)
