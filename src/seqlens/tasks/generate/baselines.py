"""The strongest cheap language model: n-grams over the same symbols, their order chosen on held-out training text."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from jaxtyping import Int64

from seqlens.tasks.generate.ngrams import KneserNey

Ids = Int64[np.ndarray, "_"]
_HELD_OUT = 0.1


class Chosen(NamedTuple):
    """The fitted model, its order, and what each order tried lost a symbol on held-out text, in nats."""

    model: KneserNey
    order: int
    losses: dict[int, float]


def fit_ngrams(sequences: Sequence[Ids], *, num_symbols: int, num_predicted: int, largest_order: int) -> Chosen:
    """Fits n-grams on sequences of which each is predicted to its last symbol.

    The order is chosen by the last tenth of the sequences (of the only one, if it is one), after which all are counted.
    Orders above half of the largest are tried only where the half is better than all below it: they take the most
    memory.
    """
    fitted, held_out = _divide(sequences)
    losses: dict[int, float] = {}
    best = 0
    for order in (-(-largest_order // 2), largest_order):
        tried = KneserNey(fitted, order=order, num_symbols=num_symbols, num_predicted=num_predicted)
        losses = tried.losses(held_out)
        best = min(losses, key=losses.__getitem__)
        del tried  # before the next is counted
        if best < order:
            break
    model = KneserNey(sequences, order=best, num_symbols=num_symbols, num_predicted=num_predicted)
    return Chosen(model, model.order, losses)


def _divide(sequences: Sequence[Ids]) -> tuple[list[Ids], list[Ids]]:
    if len(sequences) == 1:
        cut = max(1, int(len(sequences[0]) * (1 - _HELD_OUT)))
        return [sequences[0][:cut]], [sequences[0][cut:]]
    cut = max(1, int(len(sequences) * (1 - _HELD_OUT)))
    return list(sequences[:cut]), list(sequences[cut:])
