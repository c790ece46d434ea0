"""What costs next to nothing: the commonest label, and naive Bayes over n-grams of symbols."""

from collections import Counter
from collections.abc import Mapping, Sequence
from math import exp, log
from typing import Any, final

Symbols = Sequence[int]


def majority(labels: Sequence[str]) -> str:
    """The commonest label; of equally common ones the first in the alphabet."""
    counts = Counter(labels)
    return min(counts, key=lambda label: (-counts[label], label))


@final
class NaiveBayes:
    """Multinomial naive Bayes over n-grams, each counted once a text, add-one smoothed (Wang & Manning 2012)."""

    def __init__(
        self,
        classes: Sequence[str],
        orders: Sequence[int],
        seen: Sequence[int],
        counts: Mapping[tuple[int, ...], Sequence[int]],
    ) -> None:
        """`seen` are the texts of each class, `counts` those of them that hold each n-gram; `orders` their lengths."""
        self.classes = list(classes)
        self._orders = tuple(orders)
        self._seen = list(seen)
        self._counts = dict(counts)
        totals = [0] * len(classes)
        for of in self._counts.values():
            totals = [total + count for total, count in zip(totals, of, strict=True)]
        self._priors = [log(count / sum(seen)) for count in seen]
        norms = [log(total + len(self._counts)) for total in totals]
        self._weights = {
            gram: [log(count + 1) - norm for count, norm in zip(of, norms, strict=True)]
            for gram, of in self._counts.items()
        }

    @classmethod
    def fit(cls, rows: Sequence[Symbols], labels: Sequence[str], *, orders: Sequence[int]) -> "NaiveBayes":
        """Counts the n-grams of training texts; `orders` are the lengths of n-grams, such as (1, 2)."""
        classes = sorted(set(labels))
        places = {label: place for place, label in enumerate(classes)}
        counts: dict[tuple[int, ...], list[int]] = {}
        seen = [0] * len(classes)
        for row, label in zip(rows, labels, strict=True):
            place = places[label]
            seen[place] += 1
            for gram in _grams(row, orders):
                counts.setdefault(gram, [0] * len(classes))[place] += 1
        return cls(classes, orders, seen, counts)

    def to_plain(self) -> dict[str, Any]:
        """All of it as JSON can hold it; n-grams in the order of their ids."""
        known = sorted(self._counts)
        return {
            "classes": self.classes,
            "orders": list(self._orders),
            "seen": self._seen,
            "grams": [list(gram) for gram in known],
            "counts": [list(self._counts[gram]) for gram in known],
        }

    @classmethod
    def from_plain(cls, plain: Mapping[str, Any]) -> "NaiveBayes":
        """Reads what `to_plain` gave. KeyError, TypeError or ValueError where it is something else."""
        grams = [tuple(int(id) for id in gram) for gram in plain["grams"]]
        counts = dict(zip(grams, plain["counts"], strict=True))
        return cls([str(one) for one in plain["classes"]], plain["orders"], plain["seen"], counts)

    def scores(self, row: Symbols) -> list[float]:
        """The logarithm of each class's probability, but for what is the same for all; the highest is 0."""
        scores = list(self._priors)
        for gram in _grams(row, self._orders):
            for place, weight in enumerate(self._weights.get(gram, ())):
                scores[place] += weight
        highest = max(scores)
        return [score - highest for score in scores]

    def probabilities(self, row: Symbols) -> dict[str, float]:
        """The probability of each class; n-grams that training has not do not count."""
        shares = [exp(score) for score in self.scores(row)]
        return {label: share / sum(shares) for label, share in zip(self.classes, shares, strict=True)}


def _grams(row: Symbols, orders: Sequence[int]) -> set[tuple[int, ...]]:
    return {tuple(row[first : first + order]) for order in orders for first in range(len(row) - order + 1)}
