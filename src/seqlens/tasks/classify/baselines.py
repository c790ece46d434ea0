"""What costs next to nothing: the commonest label, and naive Bayes over n-grams of symbols."""

from collections import Counter
from collections.abc import Sequence
from math import exp, log
from typing import final

Symbols = Sequence[int]


def majority(labels: Sequence[str]) -> str:
    """The commonest label; of equally common ones the first in the alphabet."""
    counts = Counter(labels)
    return min(counts, key=lambda label: (-counts[label], label))


@final
class NaiveBayes:
    """Multinomial naive Bayes over n-grams, each counted once a text, add-one smoothed (Wang & Manning 2012)."""

    def __init__(self, rows: Sequence[Symbols], labels: Sequence[str], *, orders: Sequence[int]) -> None:
        """Counts the n-grams of training texts; `orders` are the lengths of n-grams, such as (1, 2)."""
        self._orders = tuple(orders)
        self.classes = sorted(set(labels))
        places = {label: place for place, label in enumerate(self.classes)}
        counts: dict[Symbols, list[int]] = {}
        totals, seen = [0] * len(self.classes), [0] * len(self.classes)
        for row, label in zip(rows, labels, strict=True):
            place = places[label]
            seen[place] += 1
            for gram in self._grams(row):
                counts.setdefault(gram, [0] * len(self.classes))[place] += 1
                totals[place] += 1
        self._priors = [log(count / len(labels)) for count in seen]
        norms = [log(total + len(counts)) for total in totals]
        self._weights = {
            gram: [log(count + 1) - norm for count, norm in zip(of, norms, strict=True)] for gram, of in counts.items()
        }

    def probabilities(self, row: Symbols) -> dict[str, float]:
        """The probability of each class; n-grams that training has not do not count."""
        scores = list(self._priors)
        for gram in self._grams(row):
            for place, weight in enumerate(self._weights.get(gram, ())):
                scores[place] += weight
        highest = max(scores)
        shares = [exp(score - highest) for score in scores]
        return {label: share / sum(shares) for label, share in zip(self.classes, shares, strict=True)}

    def _grams(self, row: Symbols) -> set[tuple[int, ...]]:
        return {tuple(row[first : first + order]) for order in self._orders for first in range(len(row) - order + 1)}
