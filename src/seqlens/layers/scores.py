"""Attention scores: how well a query fits a key. A new score is one class with `prepare` and `forward`."""

from abc import ABC, abstractmethod
from typing import Literal, assert_never, final

import torch
from jaxtyping import Float
from torch import Tensor, nn

ScoreKind = Literal["dot", "scaled_dot", "bilinear", "additive"]


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
    """`vᵀ tanh(W q + U k)` (Bahdanau et al. 2015, appendix A.1.2)."""

    def __init__(self, query_dim: int, key_dim: int, *, hidden_dim: int | None = None) -> None:
        super().__init__()
        hidden_dim = hidden_dim or query_dim
        self.query = nn.Linear(query_dim, hidden_dim)
        self.key = nn.Linear(key_dim, hidden_dim, bias=False)
        self.vector = nn.Linear(hidden_dim, 1, bias=False)

    def prepare(self, keys: Tensor) -> Tensor:
        return self.key(keys)

    def forward(self, query: Tensor, prepared: Tensor) -> Tensor:
        hidden = torch.tanh(self.query(query)[:, :, None, :] + prepared[:, None, :, :])
        return self.vector(hidden).squeeze(-1)


def build_score(kind: ScoreKind, query_dim: int, key_dim: int) -> Score:
    """Builds the named score."""
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
