"""Logistic regression on windows of symbols: by position where all are equally long, and on counts of short words."""

from collections.abc import Sequence

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

_WORD = 4
_PENALTY = 1.0
_STEPS = 60


def position_regression(
    train: Sequence[Sequence[int]], labels: Sequence[int], rows: Sequence[Sequence[int]], num_symbols: int
) -> Float[np.ndarray, "rows classes"] | None:
    """Probabilities by logistic regression on which symbol stands where; None where lengths differ."""
    lengths = {len(row) for row in (*train, *rows)}
    if len(lengths) != 1:
        return None

    def features(of: Sequence[Sequence[int]]) -> Tensor:
        ids = torch.tensor([list(row) for row in of], dtype=torch.int64)
        return torch.nn.functional.one_hot(ids, num_symbols).flatten(1).float()

    return _regression(features(train), labels, features(rows))


def word_regression(
    train: Sequence[Sequence[int]], labels: Sequence[int], rows: Sequence[Sequence[int]]
) -> Float[np.ndarray, "rows classes"]:
    """Probabilities by logistic regression on the logarithm of how often each word of four symbols is there."""
    words = {word for row in train for word in _words(row)}
    places = {word: place for place, word in enumerate(sorted(words))}

    def features(of: Sequence[Sequence[int]]) -> Tensor:
        counts = torch.zeros(len(of), len(places))
        for number, row in enumerate(of):
            for word in _words(row):
                if word in places:
                    counts[number, places[word]] += 1
        return counts.log1p()

    return _regression(features(train), labels, features(rows))


def _words(row: Sequence[int]) -> list[tuple[int, ...]]:
    return [tuple(row[first : first + _WORD]) for first in range(len(row) - _WORD + 1)]


def _regression(train: Tensor, labels: Sequence[int], rows: Tensor) -> Float[np.ndarray, "rows classes"]:
    """Multinomial logistic regression with half a squared weight as penalty, as scikit-learn has it by default."""
    targets = torch.tensor(list(labels))
    weight = torch.zeros(int(targets.max()) + 1, train.shape[1], requires_grad=True)
    bias = torch.zeros(len(weight), requires_grad=True)
    optimizer = torch.optim.LBFGS([weight, bias], max_iter=_STEPS, line_search_fn="strong_wolfe")

    def closure() -> Tensor:
        optimizer.zero_grad()
        loss = torch.nn.functional.cross_entropy(train @ weight.T + bias, targets, reduction="sum")
        loss = (loss + _PENALTY / 2 * weight.square().sum()) / len(targets)
        loss.backward()
        return loss

    with torch.enable_grad():
        optimizer.step(closure)
    with torch.no_grad():
        chances = torch.softmax((rows @ weight.T + bias).double(), dim=1)
    return np.asarray(chances.numpy())
