"""How much likelier the bases around a boundary of genes are than those where its letters stand by chance, counted.

A chain of first order over the places of a window, one for true boundaries and one for all others that the grammar
allows: the weight arrays of M. Zhang & T. Marr (1993), "A weight array method for splicing signal analysis".
"""

from collections.abc import Iterable

import numpy as np
from jaxtyping import Float32, Float64, Int

from seqlens.data.dna.letters import reverse_complement
from seqlens.data.dna.records import DnaRecord
from seqlens.models.marker import AFTER, BEFORE
from seqlens.tasks.mark.grammar import GeneGrammar
from seqlens.tasks.mark.states import ACCEPTOR, DONOR, EDGES, NUM_STATES, START, STOP, States, paint, turned
from seqlens.tasks.mark.words import word_numbers

KINDS = (START, STOP, DONOR, ACCEPTOR)
# Bases before and after each: the exon's end, the word itself, and before an acceptor the stretch of pyrimidines.
_SIDES = ((9, 9), (6, 9), (4, 8), (24, 4))
NUM_PAIRS = 16
_PRIOR = 8.0
"""Counts that the commonness of a base, whichever stands before it, is worth."""

Counts = Float64[np.ndarray, "2 4 places 16"]


def count_boundaries(records: Iterable[DnaRecord], grammar: GeneGrammar) -> Counts:
    """How often each pair of bases ends at each place around true boundaries, and around those that only could be."""
    counts = np.zeros((2, len(KINDS), BEFORE + AFTER, NUM_PAIRS))
    for record in records:
        states = paint(record)
        _count(counts, record.sequence, states, grammar)
        _count(counts, reverse_complement(record.sequence), turned(states), grammar)
    return counts


def boundary_log_odds(counts: Counts) -> Float32[np.ndarray, "4 places 16"]:
    """The log-odds of each pair's second base, given its first, at each place; 0 beyond the window of its kind."""
    true, other = (_conditional(part) for part in counts)
    found = np.log(true / other)
    for row, (before, after) in enumerate(_SIDES):
        found[row, : BEFORE - before] = 0
        found[row, BEFORE + after :] = 0
    return found.astype(np.float32)


def score_boundaries(sequence: str, log_odds: Float32[np.ndarray, "4 places 16"]) -> Float32[np.ndarray, "bases 4"]:
    """The sum over the window around each boundary, before each base, on the strand given; unknown pairs count 0."""
    pairs = word_numbers(sequence, 2)
    scores = np.zeros((len(pairs), len(KINDS)), dtype=np.float32)
    for place in range(BEFORE + AFTER):
        offset = place - BEFORE
        first, last = max(0, -offset), min(len(pairs), len(pairs) - offset)
        if first < last:
            seen = pairs[first + offset : last + offset]
            scores[first:last] += np.where(seen >= 0, log_odds[:, place, np.maximum(seen, 0)], np.float32(0)).T
    return scores


def _count(counts: Counts, sequence: str, states: States, grammar: GeneGrammar) -> None:
    pairs = np.pad(word_numbers(sequence, 2), (BEFORE, AFTER), constant_values=-1)
    kinds = np.zeros(len(states), dtype=np.int64)
    kinds[1:] = _KIND_OF[states[:-1], states[1:]]
    could = grammar.signals(sequence)[:, 0]
    could[:1] = False  # a gene that begins with the sequence has no boundary there
    for row, kind in enumerate(KINDS):
        true = kinds == kind
        for column, chosen in enumerate((true, could[:, row] & ~true)):
            seen: Int[np.ndarray, "boundaries places"]
            seen = pairs[np.flatnonzero(chosen)[:, None] + np.arange(BEFORE + AFTER)]
            for place in range(BEFORE + AFTER):
                known = seen[:, place][seen[:, place] >= 0]
                counts[column, row, place] += np.bincount(known, minlength=NUM_PAIRS)


def _conditional(counts: Float64[np.ndarray, "4 places 16"]) -> Float64[np.ndarray, "4 places 16"]:
    pairs = counts.reshape(*counts.shape[:2], 4, 4)
    alone = pairs.sum(2, keepdims=True) + 1
    alone = alone / alone.sum(3, keepdims=True)
    return ((pairs + _PRIOR * alone) / (pairs.sum(3, keepdims=True) + _PRIOR)).reshape(counts.shape)


def _kinds() -> Int[np.ndarray, "states states"]:
    """What going from one state to another means; 0 where it is nothing or not allowed."""
    kinds = np.zeros((NUM_STATES, NUM_STATES), dtype=np.int64)
    for state, before in enumerate(EDGES):
        for last, kind in before:
            kinds[last, state] = kind
    return kinds


_KIND_OF = _kinds()
