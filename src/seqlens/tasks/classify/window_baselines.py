"""Logistic regression on windows of symbols: by position where all are equally long, and on counts of short words.

How much weights are held back is chosen on a fifth of the training windows.
"""

from collections.abc import Sequence

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

_WORD = 4
_PENALTIES = (1.0, 3.0, 10.0, 30.0, 100.0)
_STEPS = 60
_PARTS = 5


def position_regression(
    train: Sequence[Sequence[int]], labels: Sequence[int], rows: Sequence[Sequence[int]], *, pairs: bool = False
) -> Float[np.ndarray, "rows classes"] | None:
    """Probabilities by logistic regression on which symbol stands where; None where lengths differ.

    With `pairs` also on which two symbols stand where, one after the other.
    """
    lengths = {len(row) for row in (*train, *rows)}
    if len(lengths) != 1:
        return None
    symbols = sorted({symbol for row in train for symbol in row})
    places = {symbol: place for place, symbol in enumerate(symbols)}
    size = len(symbols) + 1  # one for what training has not

    def numbers(of: Sequence[Sequence[int]]) -> Int[Tensor, "rows places"]:
        """A number for each symbol at each place, and for each pair."""
        ids = torch.tensor([[places.get(symbol, len(symbols)) for symbol in row] for row in of])
        length = ids.shape[1]
        alone = torch.arange(length) * size + ids
        if not pairs:
            return alone
        both = length * size + torch.arange(length - 1) * size**2 + ids[:, :-1] * size + ids[:, 1:]
        return torch.cat((alone, both), dim=1)

    known = numbers(train)
    seen = known.unique()  # most pairs stand nowhere, so there are no columns for all

    def features(found: Int[Tensor, "rows places"]) -> Float[Tensor, "rows seen"]:
        columns = torch.searchsorted(seen, found).clamp_(max=len(seen) - 1)
        return torch.zeros(len(found), len(seen)).scatter_add_(1, columns, (seen[columns] == found).float())

    return _regression(features(known), labels, features(numbers(rows)))


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
    """Multinomial logistic regression with the penalty that gives held-out training rows the smallest loss."""
    targets = torch.tensor(list(labels))
    num_classes = int(targets.max()) + 1
    held_out = torch.arange(len(targets)) % _PARTS == _PARTS - 1

    def loss_of(penalty: float) -> float:
        logits = fit_regression(train[~held_out], targets[~held_out], train[held_out], num_classes, penalty)
        return float(torch.nn.functional.cross_entropy(logits, targets[held_out]))

    penalty = min(_PENALTIES, key=loss_of) if held_out.any() else _PENALTIES[0]
    logits = fit_regression(train, targets, rows, num_classes, penalty)
    return np.asarray(torch.softmax(logits.double(), dim=1).numpy())


def fit_regression(
    train: Float[Tensor, "train features"],
    targets: Int[Tensor, " train"],
    rows: Float[Tensor, "rows features"],
    num_classes: int,
    penalty: float,
) -> Float[Tensor, "rows classes"]:
    """Logits of rows by multinomial logistic regression, `penalty` times half of each squared weight added to its loss.

    With 1 it is what scikit-learn does by default.
    """
    weight = torch.zeros(num_classes, train.shape[1], requires_grad=True)
    bias = torch.zeros(num_classes, requires_grad=True)
    optimizer = torch.optim.LBFGS([weight, bias], max_iter=_STEPS, line_search_fn="strong_wolfe")

    def closure() -> Tensor:
        optimizer.zero_grad()
        loss = torch.nn.functional.cross_entropy(train @ weight.T + bias, targets, reduction="sum")
        loss = (loss + penalty / 2 * weight.square().sum()) / len(targets)
        loss.backward()
        return loss

    with torch.enable_grad():
        optimizer.step(closure)
    return (rows @ weight.T + bias).detach()
