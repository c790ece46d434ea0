"""N-grams with modified Kneser-Ney smoothing (Chen and Goodman 1999, section 3), the baseline of language models.

`p_n(w | h) = (c_n(hw) - D(c_n(hw)))+ / c_n(h) + γ_n(h) p_{n-1}(w | h')`, where `h'` is `h` without its first symbol,
and `γ` gives back what the discounts `D_1`, `D_2`, `D_3+` took. The counts of the highest order, and of what begins
with the start symbol, are those of the text; below it is counted how many different symbols stand before an n-gram.
Under the first order lies the uniform distribution, so nothing has probability 0.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import final

import numpy as np
from jaxtyping import Float64, Int64

Ids = Int64[np.ndarray, "_"]
_FALLBACK = (0.5, 1.0, 1.5)  # KenLM's, where counts of counts give no discounts


@dataclass(frozen=True, slots=True)
class _Level:
    """The n-grams of an order: `keys`, sorted, are `context * num_symbols + symbol`, an n-gram's place is its number.

    By context, which is the number of an n-gram of the order below: `totals`, 0 where it was never seen, and `backoff`,
    the share of the distribution that the order below has.
    """

    keys: Ids
    discounted: Float64[np.ndarray, "ngrams"]
    totals: Float64[np.ndarray, "contexts"]
    backoff: Float64[np.ndarray, "contexts"]

    def find(self, keys: Ids) -> Ids:
        """The numbers of n-grams; -1 for those that were never seen."""
        places = np.searchsorted(self.keys, keys)
        places[places == len(self.keys)] = 0
        return np.where(self.keys[places] == keys, places, -1)


@final
class KneserNey:
    """Models of sequences of symbols from 0 up to `num_symbols`, each begun by a start symbol of its own.

    One count gives the models of all orders up to the largest: they differ in the counts of their highest order only.
    """

    def __init__(
        self,
        sequences: Sequence[Sequence[int] | Ids],
        *,
        order: int,
        num_symbols: int,
        num_predicted: int | None = None,
    ) -> None:
        """Counts n-grams up to `order`. Of the symbols, `num_predicted` can come at all: all of them if None.

        Raises:
            ValueError: `order` is below 1, or there is no symbol to count.
        """
        if order < 1:
            raise ValueError(f"`order` must be 1 or more, but is {order}")
        self._width = num_symbols + 1  # the start symbol comes after all others
        self._uniform = 1.0 / (num_symbols if num_predicted is None else num_predicted)
        text, places = self._flat(sequences)
        if len(text) == len(sequences):
            raise ValueError("there is no symbol to count")
        # No longer n-gram is there to be seen.
        self.order = min(order, int(places.max()) + 1)
        self._lower: list[_Level] = []
        self._highest: list[_Level] = []
        self._count(text, places)

    def log_probs(
        self, sequences: Sequence[Sequence[int] | Ids], *, order: int | None = None
    ) -> list[Float64[np.ndarray, "_"]]:
        """The natural log-probability of every symbol of each sequence, by the model of `order` (None: the largest)."""
        symbols, contexts = self._predictions(sequences)
        ends = np.cumsum([len(one) for one in sequences])
        return np.split(np.log(self._probabilities(contexts, symbols, order)), ends[:-1])

    def losses(self, sequences: Sequence[Sequence[int] | Ids]) -> dict[int, float]:
        """What the model of each order loses a symbol of these sequences, in nats."""
        symbols, contexts = self._predictions(sequences)
        return {
            order: -float(np.log(self._probabilities(contexts, symbols, order)).sum()) / max(len(symbols), 1)
            for order in range(1, self.order + 1)
        }

    def distribution(self, context: Sequence[int] | Ids, *, order: int | None = None) -> Float64[np.ndarray, "symbols"]:
        """The probability of every symbol after a sequence that began with the start symbol."""
        text, places = self._flat([context])
        contexts = self._contexts(text, places)
        symbols = np.arange(self._width - 1)
        return self._probabilities([np.repeat(found[-1:], len(symbols)) for found in contexts], symbols, order)

    def _predictions(self, sequences: Sequence[Sequence[int] | Ids]) -> tuple[Ids, list[Ids]]:
        """All symbols that are predicted, and the context of each length, which is what ends right before them."""
        text, places = self._flat(sequences)
        predicted = np.flatnonzero(places)
        return text[predicted], [found[predicted - 1] for found in self._contexts(text, places)]

    def _flat(self, sequences: Sequence[Sequence[int] | Ids]) -> tuple[Ids, Ids]:
        """All sequences in one array, each after a start symbol, and how many symbols of its own each place has had."""
        start = self._width - 1
        parts = [np.concatenate(([start], np.asarray(one, dtype=np.int64))) for one in sequences]
        text = np.concatenate(parts).astype(np.int64)
        return text, np.concatenate([np.arange(len(part)) for part in parts])

    def _count(self, text: Ids, places: Ids) -> None:
        """Fills the levels. Numbers of n-grams go up order by order: that of the context, then the symbol."""
        predicted = (places > 0).astype(np.float64)
        # The number of the n-gram of an order that ends at each place; -1 where the sequence is too short for it.
        own = np.zeros(len(text), dtype=np.int64)
        below: tuple[Ids, Float64[np.ndarray, "_"], int] | None = None
        for order in range(1, self.order + 1):
            valid = places >= order - 1
            before = np.concatenate(([0], own[:-1]))
            keys, inverse = np.unique(before[valid] * self._width + text[valid], return_inverse=True)
            longer = np.full(len(text), -1, dtype=np.int64)
            longer[valid] = inverse
            num_contexts = 1
            if below is not None:
                own_keys, own_counts, own_contexts = below
                counts = self._continuations(own, longer, own_counts, places, order - 1)
                self._lower.append(_level(own_keys, counts, own_contexts, self._width))
                num_contexts = len(own_keys)
            # The start symbol itself is never predicted: it is an n-gram only as a context.
            raw = np.bincount(inverse, weights=predicted[valid], minlength=len(keys))
            self._highest.append(_level(keys, raw, num_contexts, self._width))
            own, below = longer, (keys, raw, num_contexts)

    def _continuations(
        self, own: Ids, longer: Ids, raw: Float64[np.ndarray, "_"], places: Ids, order: int
    ) -> Float64[np.ndarray, "_"]:
        """How many different symbols stand before each n-gram; the count itself for one that begins a sequence."""
        has_longer = longer >= 0
        # Each longer n-gram once, at the first place where it ends.
        _, first = np.unique(longer[has_longer], return_index=True)
        ends = np.flatnonzero(has_longer)[first]
        counts = np.bincount(own[ends], minlength=len(raw)).astype(np.float64)
        begins = own[(places == order - 1) & (own >= 0)]
        counts[begins] = raw[begins]
        return counts

    def _contexts(self, text: Ids, places: Ids) -> list[Ids]:
        """The number of the context of each length that ends at each place, shortest first; -1 where never seen."""
        found = [np.zeros(len(text), dtype=np.int64)]
        for order in range(1, self.order):
            before = np.concatenate(([0], found[-1][:-1]))
            known = (before >= 0) & (places >= order - 1)
            keys = np.where(known, before * self._width + text, -1)
            found.append(np.where(known, self._highest[order - 1].find(keys), -1))
        return found

    def _probabilities(self, contexts: Sequence[Ids], symbols: Ids, order: int | None) -> Float64[np.ndarray, "_"]:
        highest = min(order or self.order, self.order)
        levels = [*self._lower[: highest - 1], self._highest[highest - 1]]
        probabilities = np.full(len(symbols), self._uniform)
        for level, context in zip(levels, contexts, strict=False):
            known = context >= 0
            known[known] = level.totals[context[known]] > 0
            own = context[known]
            places = level.find(own * self._width + symbols[known])
            counts = np.where(places >= 0, level.discounted[places], 0.0)
            probabilities[known] = counts / level.totals[own] + level.backoff[own] * probabilities[known]
        return probabilities


def _level(keys: Ids, counts: Float64[np.ndarray, "_"], num_contexts: int, width: int) -> _Level:
    contexts = keys // width
    totals = np.bincount(contexts, weights=counts, minlength=num_contexts)
    discounts = np.array([0.0, *_discounts(counts)])[np.minimum(counts, 3).astype(np.int64)]
    taken = np.bincount(contexts, weights=discounts, minlength=num_contexts)
    return _Level(keys, counts - discounts, totals, taken / np.maximum(totals, 1e-300))


def _discounts(counts: Float64[np.ndarray, "_"]) -> tuple[float, float, float]:
    """`D_1`, `D_2`, `D_3+` by the counts of counts (Chen and Goodman 1999, equation 26)."""
    one, two, three, four = (int((counts == count).sum()) for count in (1, 2, 3, 4))
    if 0 in (one, two, three, four):
        return _FALLBACK
    share = one / (one + 2 * two)
    found = (1 - 2 * share * two / one, 2 - 3 * share * three / two, 3 - 4 * share * four / three)
    if any(not 0 <= discount <= number for number, discount in enumerate(found, start=1)):
        return _FALLBACK
    return found
