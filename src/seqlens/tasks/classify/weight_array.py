"""Naive Bayes on pairs of neighbours at their places: the weight array of M. Q. Zhang & T. G. Marr (1993), "A weight
array method for splicing signal analysis", which tells splice sites by their counts."""

from collections import Counter
from collections.abc import Mapping, Sequence
from math import log
from typing import Any, final

from seqlens.tasks.classify.baselines import Symbols

_START = -1
_PSEUDO_COUNT = 0.25


@final
class WeightArray:
    """Of each class a chain whose probabilities differ from place to place: `P(symbol | place, symbol before)`.

    What no training text of a class has counts a quarter. Symbols that training has nowhere, and places behind the
    longest training text, say nothing.
    """

    def __init__(
        self, classes: Sequence[str], seen: Sequence[int], counts: Mapping[tuple[int, int, int], Sequence[int]]
    ) -> None:
        """`seen` are the texts of each class, `counts` those with `(place, symbol before, symbol)`, -1 before all."""
        self.classes = list(classes)
        self._seen = list(seen)
        self._counts = dict(counts)
        self._priors = [log(count / sum(seen)) for count in seen]
        self._symbols = {symbol for _, _, symbol in self._counts}
        before: dict[tuple[int, int], list[int]] = {}
        for (place, first, _), of in self._counts.items():
            known = before.setdefault((place, first), [0] * len(self.classes))
            before[place, first] = [total + count for total, count in zip(known, of, strict=True)]
        self._norms = {
            pair: [log(total + _PSEUDO_COUNT * len(self._symbols)) for total in of] for pair, of in before.items()
        }

    @classmethod
    def fit(cls, rows: Sequence[Symbols], labels: Sequence[str]) -> "WeightArray":
        """Counts the pairs of training texts, by class and place."""
        classes = sorted(set(labels))
        places = {label: place for place, label in enumerate(classes)}
        counts: dict[tuple[int, int, int], list[int]] = {}
        for row, label in zip(rows, labels, strict=True):
            for pair in _pairs(row):
                counts.setdefault(pair, [0] * len(classes))[places[label]] += 1
        seen = Counter(labels)
        return cls(classes, [seen[label] for label in classes], counts)

    def to_plain(self) -> dict[str, Any]:
        """All of it as JSON can hold it; pairs in the order of their places."""
        known = sorted(self._counts)
        return {
            "kind": "positions",
            "classes": self.classes,
            "seen": self._seen,
            "pairs": [list(pair) for pair in known],
            "counts": [list(self._counts[pair]) for pair in known],
        }

    @classmethod
    def from_plain(cls, plain: Mapping[str, Any]) -> "WeightArray":
        """Reads what `to_plain` gave. KeyError, TypeError or ValueError where it is something else."""
        pairs = [(int(place), int(first), int(second)) for place, first, second in plain["pairs"]]
        return cls(
            [str(one) for one in plain["classes"]], plain["seen"], dict(zip(pairs, plain["counts"], strict=True))
        )

    def scores(self, row: Symbols) -> list[float]:
        """The logarithm of each class's probability, but for what is the same for all; the highest is 0."""
        scores = list(self._priors)
        nothing = [0] * len(scores)
        for pair in _pairs(row):
            norms = self._norms.get(pair[:2])
            if norms is None or pair[2] not in self._symbols:
                continue
            for place, (count, norm) in enumerate(zip(self._counts.get(pair, nothing), norms, strict=True)):
                scores[place] += log(count + _PSEUDO_COUNT) - norm
        highest = max(scores)
        return [score - highest for score in scores]


def _pairs(row: Symbols) -> list[tuple[int, int, int]]:
    ids = [int(id) for id in row]
    return [(place, first, second) for place, (first, second) in enumerate(zip([_START, *ids], ids, strict=False))]
