"""Genes to paths of states and back, and what the grammar of a species allows."""

from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from seqlens.data.dna.letters import reverse_complement
from seqlens.data.dna.records import DnaRecord, Gene, Strand
from seqlens.errors import WorkError
from seqlens.tasks.mark.grammar import GeneGrammar
from seqlens.tasks.mark.states import BETWEEN, EDGES, PREDECESSORS, coding_of, genes_of, paint, turned

#      0         1         2         3
#      01234567890123456789012345678901234
TOY = "ccATGGCgtaaagAAGCTAAccccTTATGCCATcc".upper()
TWO_GENES = (Gene("+", ((2, 7), (13, 17)), 0, "a"), Gene("-", ((27, 33),), 0, "b"))


def record(sequence: str, *genes: Gene) -> DnaRecord:
    return DnaRecord("toy", sequence, genes)


def is_path(states: np.ndarray) -> bool:
    return all(last in PREDECESSORS[now] for last, now in pairwise(states.tolist()))


def test_a_spliced_gene_and_one_of_the_other_strand() -> None:
    states = paint(record(TOY, *TWO_GENES))
    assert states.tolist() == [0, 0, 1, 2, 3, 1, 2, *[5] * 6, 3, 1, 2, 3, *[0] * 10, 9, 8, 7, 9, 8, 7, 0, 0]
    assert genes_of(states) == [
        Gene("+", ((2, 7), (13, 17)), 0, "gene.1"),
        Gene("-", ((27, 33),), 0, "gene.2"),
    ]


def test_a_phase_that_a_missing_start_leaves() -> None:
    states = paint(record("ACGTACGTAC", Gene("-", ((3, 10),), 1)))
    assert states.tolist() == [0, 0, 0, 9, 8, 7, 9, 8, 7, 9]
    assert genes_of(states) == [Gene("-", ((3, 10),), 1, "gene.1")]


@st.composite
def genes(draw: st.DrawFn) -> Gene:
    bounds = sorted(draw(st.sets(st.integers(0, 60), min_size=2, max_size=6)))
    bounds = bounds[: len(bounds) // 2 * 2]
    exons = tuple(zip(bounds[::2], bounds[1::2], strict=True))
    strand: Strand = draw(st.sampled_from(["+", "-"]))
    return Gene(strand, exons, draw(st.integers(0, 2)))


@given(st.lists(genes(), max_size=4))
def test_any_genes_make_a_path_that_reads_the_same_from_the_other_strand(found: list[Gene]) -> None:
    states = paint(record("A" * 60, *found))
    assert is_path(states)
    assert is_path(turned(states))
    assert np.array_equal(turned(turned(states)), states)
    again = paint(record("A" * 60, *genes_of(states)))
    assert np.array_equal(again, states)


@given(st.lists(genes(), max_size=4))
def test_nothing_is_painted_that_is_not_annotated(found: list[Gene]) -> None:
    coding = coding_of(genes_of(paint(record("A" * 60, *found))), 60)
    assert not (coding & ~coding_of(found, 60)).any()


def test_a_smaller_gene_gives_way_by_whole_codons() -> None:
    states = paint(record("A" * 40, Gene("+", ((0, 21),)), Gene("+", ((18, 33),))))
    assert states[:21].tolist() == [1, 2, 3] * 7
    assert states[21:].tolist() == [0] * 3 + [1, 2, 3] * 3 + [0] * 7


def test_every_state_can_be_reached_and_left() -> None:
    assert len(EDGES) == 13
    assert all(len(states) >= 2 for states in PREDECESSORS)
    assert {state for states in PREDECESSORS for state in states} == set(range(13))


def test_the_grammar_is_counted() -> None:
    excluded = GeneGrammar.fit([record(TOY, *TWO_GENES)])
    assert excluded == GeneGrammar(("ATG",), ("GT",), ("AG",), stop_is_coding=False)
    included = GeneGrammar.fit([record(TOY, Gene("-", ((24, 33),)))])
    assert included == GeneGrammar(("ATG",), (), (), stop_is_coding=True)
    assert "no introns" in included.describe()


def test_the_genes_of_a_grammar_are_allowed_by_its_signals() -> None:
    grammar = GeneGrammar.fit([record(TOY, *TWO_GENES)])
    signals = grammar.signals(TOY)
    start, stop, donor, acceptor, follows = range(5)
    assert signals[2, 0, start]
    assert signals[7, 0, donor]
    assert signals[13, 0, acceptor]
    assert signals[17, 0, stop]
    assert signals[33, 1, start]
    assert signals[27, 1, stop]
    assert not signals[5, 0, start]
    assert not signals[20, 0, follows]  # TAA stands before it
    assert signals[21, 0, follows]
    assert not signals[24, 1, follows]


@given(st.text("ACGTN", min_size=1, max_size=30))
def test_signals_of_the_other_strand_are_the_mirror_image(sequence: str) -> None:
    grammar = GeneGrammar(("ATG", "GTG"), ("GT", "GC"), ("AG",), stop_is_coding=True)
    here, there = grammar.signals(sequence), grammar.signals(reverse_complement(sequence))
    assert np.array_equal(here[1:, 1], there[:0:-1, 0])
    assert np.array_equal(here[1:, 0], there[:0:-1, 1])


def test_a_grammar_is_saved(tmp_path: Path) -> None:
    grammar = GeneGrammar(("ATG",), ("GC", "GT"), ("AG",), stop_is_coding=True)
    grammar.save(tmp_path)
    assert GeneGrammar.load(tmp_path) == grammar
    (tmp_path / "grammar.json").write_text('{"starts": [3], "donors": [], "acceptors": [], "stop_is_coding": true}')
    with pytest.raises(WorkError, match="damaged"):
        GeneGrammar.load(tmp_path)


def test_between_is_zero() -> None:
    assert BETWEEN == 0
