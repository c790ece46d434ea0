"""Attention scores: how well a query fits a key. A new one is a function, or a class with `prepare` and `forward`."""

from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import Literal, assert_never, final, get_args

import torch
from jaxtyping import Float
from torch import Tensor, nn

from seqlens.errors import check_choice

ScoreKind = Literal["dot", "scaled_dot", "bilinear", "additive"]

ScoreFunction = Callable[[Tensor, Tensor], Tensor]
"""`(query [batch, queries, dim], keys [batch, keys, dim]) -> scores [batch, queries, keys]`."""


class Score(nn.Module, ABC):
    """Scores queries against keys; what depends on the keys alone is done once, in `prepare`."""

    def prepare(self, keys: Float[Tensor, "batch keys dim"]) -> Float[Tensor, "batch keys prepared"]:
        """The part that depends on the keys alone, kept through all steps of a decoder."""
        return keys

    @abstractmethod
    def forward(
        self, query: Float[Tensor, "batch queries dim"], prepared: Float[Tensor, "batch keys prepared"]
    ) -> Float[Tensor, "batch queries keys"]:
        """Scores of every query against every prepared key."""


@final
class DotScore(Score):
    """`q · k`, or divided by `sqrt(dim)` (Luong et al. 2015, section 3.1; Vaswani et al. 2017, section 3.2.1)."""

    def __init__(self, query_dim: int, key_dim: int, *, scaled: bool) -> None:
        super().__init__()
        if query_dim != key_dim:
            raise ValueError(f"a dot score needs queries and keys of one size, but they are {query_dim} and {key_dim}")
        self.scale = key_dim**-0.5 if scaled else 1.0

    def forward(self, query: Tensor, prepared: Tensor) -> Tensor:
        return torch.bmm(query * self.scale, prepared.transpose(1, 2))


@final
class BilinearScore(Score):
    """`qᵀ W k`, the multiplicative or "general" score (Luong et al. 2015, section 3.1)."""

    def __init__(self, query_dim: int, key_dim: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.empty(query_dim, key_dim))
        nn.init.xavier_uniform_(self.weight)

    def prepare(self, keys: Tensor) -> Tensor:
        return nn.functional.linear(keys, self.weight)

    def forward(self, query: Tensor, prepared: Tensor) -> Tensor:
        return torch.bmm(query, prepared.transpose(1, 2))


@final
class AdditiveScore(Score):
    """`vᵀ tanh(W q + U k)` (Bahdanau et al. 2015, appendix A.1.2).

    With `coverage` it also knows how much attention each key got in all steps before, `vᵀ tanh(W q + U k + w c)`
    (Tu et al. 2016; See et al. 2017, equation 11).
    """

    def __init__(self, query_dim: int, key_dim: int, *, hidden_dim: int | None = None, coverage: bool = False) -> None:
        super().__init__()
        hidden_dim = hidden_dim or query_dim
        self.query = nn.Linear(query_dim, hidden_dim)
        self.key = nn.Linear(key_dim, hidden_dim, bias=False)
        self.vector = nn.Linear(hidden_dim, 1, bias=False)
        self.coverage = nn.Linear(1, hidden_dim, bias=False) if coverage else None
        if self.coverage is not None:
            nn.init.zeros_(self.coverage.weight)  # training starts from plain attention

    def prepare(self, keys: Tensor) -> Tensor:
        return self.key(keys)

    def forward(
        self, query: Tensor, prepared: Tensor, coverage: Float[Tensor, "batch queries keys"] | None = None
    ) -> Tensor:
        hidden = self.query(query)[:, :, None, :] + prepared[:, None, :, :]
        if self.coverage is not None and coverage is not None:
            hidden = hidden + self.coverage(coverage[..., None].to(self.coverage.weight.dtype))
        return self.vector(torch.tanh(hidden)).squeeze(-1)


@final
class FunctionScore(Score):
    """A score that is a function, or any module that is called like one; its parameters are trained along."""

    def __init__(self, function: ScoreFunction) -> None:
        super().__init__()
        self.function = function

    def forward(self, query: Tensor, prepared: Tensor) -> Tensor:
        """Raises ValueError if the function does not give one score for each query and key."""
        scores = self.function(query, prepared)
        expected = [query.shape[0], query.shape[1], prepared.shape[1]]
        if list(scores.shape) != expected:
            raise ValueError(
                f"a score must give [batch, queries, keys], here {expected}, but yours gives {list(scores.shape)}"
            )
        return scores


def reads_coverage(score: Score) -> bool:
    """Whether a score has a use for the attention that keys got before; one of one's own is believed to."""
    if isinstance(score, AdditiveScore):
        return score.coverage is not None
    return not isinstance(score, DotScore | BilinearScore | FunctionScore)


def build_score(kind: ScoreKind, query_dim: int, key_dim: int) -> Score:
    """Builds the named score."""
    check_choice("score", kind, get_args(ScoreKind))
    match kind:
        case "dot":
            return DotScore(query_dim, key_dim, scaled=False)
        case "scaled_dot":
            return DotScore(query_dim, key_dim, scaled=True)
        case "bilinear":
            return BilinearScore(query_dim, key_dim)
        case "additive":
            return AdditiveScore(query_dim, key_dim)
        case _:
            assert_never(kind)
