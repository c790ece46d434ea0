"""Attention by query, key and value with one head and any score."""

from typing import NamedTuple, final

import torch
from jaxtyping import Bool, Float, Int, Num
from torch import Tensor, nn

from seqlens.layers.masks import length_mask, masked_softmax, zero_padding
from seqlens.layers.relative import RelativeBias
from seqlens.layers.scores import FunctionScore, Score, ScoreFunction, ScoreKind, build_score, reads_coverage
from seqlens.layers.visibility import check_window, visible_keys


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

    def append(self, later: "Memory") -> "Memory":
        """Adds keys and values at the end: a memory that grows by a step.

        Raises:
            ValueError: one of them has lengths, so that padding would come to stand in the middle.
        """
        if self.mask is not None or later.mask is not None:
            raise ValueError(
                "a memory that was prepared with `lengths` cannot grow: its padding would be in the middle"
            )
        return Memory(torch.cat((self.prepared, later.prepared), 1), torch.cat((self.values, later.values), 1), None)


@final
class Attention(nn.Module):
    """`context = Σ softmax(score(query, key)) * value` (Bahdanau et al. 2015; Luong et al. 2015)."""

    def __init__(
        self,
        query_dim: int,
        key_dim: int,
        *,
        score: ScoreKind | Score | ScoreFunction = "scaled_dot",
        window: int | None = None,
        relative: bool = False,
    ) -> None:
        """Builds the attention.

        Args:
            query_dim: size of a query.
            key_dim: size of a key.
            score: a name, a module of one's own that follows `Score`, or any `(query, keys) -> scores`.
            window: the largest distance at which a query sees a key (local attention, Luong et al. 2015, section 3.2,
                without the Gaussian); any if None.
            relative: whether a learned number for each distance is added to the scores, see `RelativeBias`.
        """
        super().__init__()
        self.score = _as_score(score, query_dim, key_dim)
        # Zeros may be where somebody's function has no derivative, and 0 * NaN is NaN.
        self.repeats_keys = not isinstance(score, str)
        self.window = check_window(window)
        self.relative = RelativeBias(1) if relative else None

    def prepare(
        self,
        keys: Float[Tensor, "batch keys key_dim"],
        values: Float[Tensor, "batch keys value_dim"] | None = None,
        *,
        lengths: Int[Tensor, " batch"] | None = None,
    ) -> Memory:
        """Makes keys and values ready; values are the keys if None; `lengths` says how many keys of each are real."""
        if lengths is None:
            return Memory(self.score.prepare(keys), keys if values is None else values, None)
        mask = length_mask(lengths, keys.shape[1], keys.device)
        values = zero_padding(keys if values is None else values, mask)
        keys = _repeat_first(keys, mask) if self.repeats_keys else zero_padding(keys, mask)
        return Memory(self.score.prepare(keys), values, mask)

    def forward(
        self,
        query: Float[Tensor, "batch queries query_dim"],
        memory: Memory,
        mask: Bool[Tensor, "batch queries keys"] | None = None,
        *,
        causal: bool = False,
        start: int = 0,
        positions: Num[Tensor, "batch queries"] | None = None,
        coverage: Float[Tensor, "batch queries keys"] | None = None,
    ) -> AttentionOutput:
        """Attends.

        Args:
            query: what asks.
            memory: what is asked, from `prepare`; its keys stand at 0, 1, ...
            mask: narrows what each query may see beyond the memory's own mask (True = keep).
            causal: whether a query sees no key after its own position.
            start: where the first query stands, the others after it.
            positions: where each query stands, instead of `start`; need not be whole. Of use where keys and queries are
                of two sequences: `window` then moves along the keys as these numbers do.
            coverage: the attention that keys got before, for a score that takes it: `AdditiveScore(coverage=True)`.
        """
        keep = None if memory.mask is None else memory.mask[:, None, :]
        if mask is not None:
            keep = mask if keep is None else mask & keep
        if coverage is not None and not reads_coverage(self.score):
            raise ValueError("`coverage` is for a score that reads it, such as AdditiveScore(coverage=True)")
        known = () if coverage is None else (coverage,)
        scores = self.score(query, memory.prepared, *known)
        if causal or self.window is not None or self.relative is not None:
            where = torch.arange(start, start + query.shape[1], device=query.device) if positions is None else positions
            keys = torch.arange(memory.prepared.shape[1], device=query.device)
            if self.relative is not None:
                scores = scores + self.relative(where, keys)[0]
            near = visible_keys(where, keys, causal=causal, window=self.window).expand_as(scores)
            keep = near if keep is None else near & keep
        weights = masked_softmax(scores, keep)
        values = memory.values
        return AttentionOutput(torch.bmm(weights.to(values.dtype), values), weights)


def _as_score(score: ScoreKind | Score | ScoreFunction, query_dim: int, key_dim: int) -> Score:
    if isinstance(score, str):
        return build_score(score, query_dim, key_dim)
    return score if isinstance(score, Score) else FunctionScore(score)


def _repeat_first(keys: Tensor, mask: Tensor) -> Tensor:
    """Puts the first key of each row where it has none, and ones into a row that has no key at all."""
    if keys.shape[1] == 0:
        return keys
    first = keys[:, :1].masked_fill(~mask[:, :1, None], 1.0)
    return torch.where(mask[:, :, None], keys, first)
