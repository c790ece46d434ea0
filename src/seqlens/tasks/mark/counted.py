"""What is counted on training genes before any training: words of bases, and the bases around boundaries."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import final

import numpy as np
from jaxtyping import Float32

from seqlens.data.dna.records import DnaRecord
from seqlens.tasks.mark.boundaries import boundary_log_odds, count_boundaries, score_boundaries
from seqlens.tasks.mark.grammar import GeneGrammar
from seqlens.tasks.mark.words import count_words, word_log_odds, word_numbers

_NUM_PARTS = 10


@final
@dataclass(frozen=True, slots=True)
class Counted:
    """Log-odds of words, and where boundaries are counted of the pairs of bases around them."""

    words: Float32[np.ndarray, "words 6"]
    boundaries: Float32[np.ndarray, "4 places 16"] | None = None

    @classmethod
    def fit(cls, records: Iterable[DnaRecord], size: int, grammar: GeneGrammar | None = None) -> "Counted":
        """Counts words of `size` bases, and with a grammar its boundaries."""
        kept = list(records)
        words = word_log_odds(count_words(kept, size), size)
        return cls(words, None if grammar is None else boundary_log_odds(count_boundaries(kept, grammar)))

    def of(self, sequence: str) -> Float32[np.ndarray, "bases columns"]:
        """The log-odds at each base, 0 where it is not known: 6 of words, then, if counted, 4 of boundaries."""
        size = round(np.log(len(self.words)) / np.log(4))
        numbers = word_numbers(sequence, size)
        found = np.where(numbers[:, None] >= 0, self.words[np.maximum(numbers, 0)], np.float32(0))
        if self.boundaries is None:
            return found
        return np.concatenate((found, score_boundaries(sequence, self.boundaries)), axis=1)


@final
class CrossCounted:
    """For each of the records the log-odds as counted on others: on all but its own of ten parts.

    Counted on itself, a training record's coding bases look more like coding bases than those of any other sequence,
    and a model that learns from that finds too little elsewhere.
    """

    def __init__(self, records: Sequence[DnaRecord], size: int, grammar: GeneGrammar | None = None) -> None:
        self._num_parts = max(1, min(_NUM_PARTS, len(records)))
        parts = [records[part :: self._num_parts] for part in range(self._num_parts)]
        words = [count_words(part, size) for part in parts]
        tables = [word_log_odds(rest, size) for rest in _all_but_each(words)]
        boundaries: list[Float32[np.ndarray, "4 places 16"] | None] = [None] * len(parts)
        if grammar is not None:
            seen = [count_boundaries(part, grammar) for part in parts]
            boundaries = [boundary_log_odds(rest) for rest in _all_but_each(seen)]
        self.num_columns = 6 if grammar is None else 10
        self._counted = [Counted(*one) for one in zip(tables, boundaries, strict=True)]

    def of(self, record: int, sequence: str) -> Float32[np.ndarray, "bases columns"]:
        """The log-odds at each base of a sequence from the record of this number; 0 where they are not known."""
        return self._counted[record % self._num_parts].of(sequence)


def _all_but_each(parts: Sequence[np.ndarray]) -> list[np.ndarray]:
    """The sum of all parts but one, for each; a single part for itself."""
    total = np.sum(parts, axis=0)
    return [total - part for part in parts] if len(parts) > 1 else [total]
