"""What the contract tests of attention share: scores by name and of one's own, random tensors and weights."""

from collections.abc import Callable
from typing import Any, final, get_args

import pytest
import torch
from torch import Tensor, nn

from seqlens.layers import (
    Attention,
    MultiHeadAttention,
    Score,
    ScoreFunction,
    ScoreKind,
)

SCORES: tuple[ScoreKind, ...] = get_args(ScoreKind)
DIM, VALUE_DIM, HEADS = 4, 3, 2


def cosine(query: Tensor, keys: Tensor) -> Tensor:
    """A plain function, and a nasty one: it has no value and no derivative where a key is zero."""
    return 3 * torch.bmm(query / query.norm(dim=2, keepdim=True), (keys / keys.norm(dim=2, keepdim=True)).mT)


class Perceptron(nn.Module):
    """Somebody's module that knows nothing of seqlens."""

    def __init__(self) -> None:
        super().__init__()
        self.layers = nn.Sequential(nn.Linear(2 * DIM, 3), nn.Tanh(), nn.Linear(3, 1, bias=False))

    def forward(self, query: Tensor, keys: Tensor) -> Tensor:
        shape = (*query.shape[:2], keys.shape[1], -1)
        pairs = torch.cat((query[:, :, None].expand(shape), keys[:, None].expand(shape)), dim=3)
        return self.layers(pairs).squeeze(3)


# Scores by name, and scores of one's own: every contract below holds for both.
OWN_SCORES: dict[str, Callable[[], Score | ScoreFunction]] = {
    "a function": lambda: cosine,
    "a module": Perceptron,
    "a score": lambda: DistanceScore(),
}

each_named_score = pytest.mark.parametrize("kind", SCORES)
each_score = pytest.mark.parametrize("kind", [*SCORES, *OWN_SCORES])


def random_tensor(*shape: int, seed: int = 1) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def random_weights(module: nn.Module) -> None:
    torch.manual_seed(0)
    with torch.no_grad():
        for parameter in module.parameters():
            parameter.normal_(std=0.7)


def random_attention(kind: str, **options: Any) -> Attention:
    score: Any = OWN_SCORES[kind]() if kind in OWN_SCORES else kind
    attention = Attention(DIM, DIM, score=score, **options).double()
    random_weights(attention)
    return attention


def random_heads(memory_dim: int | None = None, dropout_p: float = 0.0) -> MultiHeadAttention:
    attention = MultiHeadAttention(DIM, HEADS, memory_dim=memory_dim, dropout_p=dropout_p).double()
    random_weights(attention)
    return attention


@final
class DistanceScore(Score):
    """A score of one's own: minus the squared distance."""

    def __init__(self) -> None:
        super().__init__()
        self.sharpness = nn.Parameter(torch.ones(()))

    def forward(self, query: Tensor, prepared: Tensor) -> Tensor:
        return -self.sharpness * (query[:, :, None, :] - prepared[:, None, :, :]).square().sum(-1)
