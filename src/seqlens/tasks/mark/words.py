"""How much likelier each base is after the ones before it in coding than in other DNA, counted on training genes.

What gene finders call the content: an inhomogeneous Markov chain over codon positions (M. Borodovsky & J. McIninch
1993, "GENMARK"), interpolated over orders as by S. Salzberg et al. (1998), "Microbial gene identification using
interpolated Markov models".
"""

from collections.abc import Iterable

import numpy as np
from jaxtyping import Bool, Float32, Float64, Int

from seqlens.data.dna.letters import reverse_complement
from seqlens.data.dna.records import DnaRecord
from seqlens.tasks.mark.grammar import options_of
from seqlens.tasks.mark.states import CODING, States, paint, turned

_PRIOR = 12.0
"""Counts that a context of one base less is worth."""
_POSITIONS = tuple(CODING[strand] + phase for strand in ("+", "-") for phase in range(3))


def count_words(records: Iterable[DnaRecord], size: int) -> Float64[np.ndarray, "7 words"]:
    """How often each word of `size` bases ends at each codon position, and, last, at a base that is not coding.

    The positions are 1 to 3 of a gene on this strand, then 1 to 3 of one on the other. Both strands are read.
    """
    counts = np.zeros((len(_POSITIONS) + 1, 4**size))
    for record in records:
        states = paint(record)
        _count(counts, record.sequence, states, size)
        _count(counts, reverse_complement(record.sequence), turned(states), size)
    return counts


def word_log_odds(counts: Float64[np.ndarray, "7 words"], size: int) -> Float32[np.ndarray, "words 6"]:
    """The log-odds of each word's last base, given those before, at each codon position against bases not coding."""
    chances = [_conditional(count, size) for count in counts]
    return np.stack([np.log(chance / chances[-1]) for chance in chances[:-1]], axis=1).astype(np.float32)


def word_numbers(sequence: str, size: int) -> Int[np.ndarray, "bases"]:
    """The number of the word that ends at each base, -1 where one of its letters is no single base."""
    options = options_of(sequence)
    bases = np.where(options.sum(1) == 1, options.argmax(1), -1)
    numbers = np.zeros(len(bases), dtype=np.int64)
    known = np.ones(len(bases), dtype=bool)
    for back in range(size - 1, -1, -1):
        letter = np.full(len(bases), -1)
        letter[back:] = bases[: max(len(bases) - back, 0)]
        known &= letter >= 0
        numbers = numbers * 4 + np.maximum(letter, 0)
    return np.where(known, numbers, -1)


def _count(counts: Float64[np.ndarray, "rows words"], sequence: str, states: States, size: int) -> None:
    numbers = word_numbers(sequence, size)
    groups: list[Bool[np.ndarray, "bases"]] = [states == position for position in _POSITIONS]
    other = ~np.isin(states, _POSITIONS)
    for row, chosen in enumerate([*groups, other]):
        counts[row] += np.bincount(numbers[chosen & (numbers >= 0)], minlength=counts.shape[1])


def _conditional(counts: Float64[np.ndarray, "words"], size: int) -> Float64[np.ndarray, "words"]:
    """The chance of each word's last base after the others, contexts of few counts leaning on shorter ones."""
    chances = np.full((1, 4), 0.25)
    for order in range(size):
        seen = counts.reshape(4 ** (size - 1 - order), 4**order, 4).sum(0)
        shorter = np.tile(chances, (len(seen) // len(chances), 1))
        chances = (seen + _PRIOR * shorter) / (seen.sum(1, keepdims=True) + _PRIOR)
    return chances.reshape(-1)
