"""How genes of a species begin, end and are spliced: which letters stand at each boundary, counted on its genes."""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any, final

import numpy as np
from jaxtyping import Bool, Int

from seqlens.config.files import read_json, write_json
from seqlens.data.codecs.specials import NUM_SPECIALS
from seqlens.data.dna.letters import BASES, LETTERS, MEANINGS, reverse_complement
from seqlens.data.dna.records import DnaRecord, Gene
from seqlens.errors import WorkError

STOPS = ("TAA", "TAG", "TGA")
_FILE = "grammar.json"
_RAREST = 0.003  # shares of genes or introns below it are taken for mistakes
NUM_SIGNALS = 5
"""Start, stop, donor, acceptor, and that a codon may follow."""

Signals = Bool[np.ndarray, "bases 2 5"]


@final
@dataclass(frozen=True, slots=True)
class GeneGrammar:
    """What may stand at a boundary of genes: words at their start, `donors` and `acceptors` of introns.

    `stop_is_coding`: whether annotated genes hold their stop codon, or end before it.
    """

    starts: tuple[str, ...]
    donors: tuple[str, ...]
    acceptors: tuple[str, ...]
    stop_is_coding: bool

    @classmethod
    def fit(cls, records: Iterable[DnaRecord]) -> "GeneGrammar":
        """Counts the boundaries of genes; what fewer than 3 in 1,000 have is left out."""
        starts: Counter[str] = Counter()
        donors: Counter[str] = Counter()
        acceptors: Counter[str] = Counter()
        inside = after = 0
        for record in records:
            for gene in record.genes:
                coding, following = _reading(gene, record.sequence)
                if gene.phase == 0:
                    starts[coding[:3]] += 1
                inside += coding[-3:] in STOPS
                after += following in STOPS
                for intron in _introns(gene, record.sequence):
                    donors[intron[:2]] += 1
                    acceptors[intron[-2:]] += 1
        return cls(_common(starts) or ("ATG",), _common(donors), _common(acceptors), inside > after)

    def signals(self, sequence: str) -> Signals:
        """For each base and strand, whether each boundary can lie before it; letters beyond the ends can be any.

        Before a base means between it and the one on its left, for both strands. A letter for several bases fits
        where one of them does.
        """
        here = self._one_strand(sequence)
        # A boundary before base b is, read on the other strand, one before base `length - b`.
        there = self._one_strand(reverse_complement(sequence))
        found = np.ones((len(sequence), 2, NUM_SIGNALS), dtype=bool)
        found[:, 0] = here
        found[1:, 1] = there[:0:-1]
        return found

    def describe(self) -> str:
        """What begins and ends genes, in a sentence."""
        spliced = f"introns {'/'.join(self.donors)}…{'/'.join(self.acceptors)}" if self.donors else "no introns"
        stop = "stop codon counted as coding" if self.stop_is_coding else "stop codon not counted as coding"
        return f"start {'/'.join(self.starts)}, {spliced}, {stop}"

    def save(self, folder: Path) -> None:
        """Writes it as JSON. WorkError if that fails."""
        content = {
            "starts": list(self.starts),
            "donors": list(self.donors),
            "acceptors": list(self.acceptors),
            "stop_is_coding": self.stop_is_coding,
        }
        write_json(folder / _FILE, content)

    @classmethod
    def load(cls, folder: Path) -> "GeneGrammar":
        """Reads what `save` wrote.

        Raises:
            WorkError: the file is missing or damaged.
        """
        path = folder / _FILE
        content = read_json(path)
        if not isinstance(content, dict) or not isinstance(content.get("stop_is_coding"), bool):
            raise WorkError(f"{path} is damaged: it does not say what it must.")
        starts, donors, acceptors = (_words(content.get(key), path) for key in ("starts", "donors", "acceptors"))
        return cls(starts, donors, acceptors, stop_is_coding=content["stop_is_coding"])

    def _one_strand(self, sequence: str) -> Bool[np.ndarray, "bases 5"]:
        options = options_of(sequence)
        start = _fits(options, self.starts, 0)
        stop = _fits(options, STOPS, -3 if self.stop_is_coding else 0)
        donor, acceptor = _fits(options, self.donors, 0), _fits(options, self.acceptors, -2)
        # Only what must be a stop forbids that a codon follows.
        must = np.zeros((len(sequence), 4), dtype=bool)
        single = options.sum(1) == 1
        must[single] = options[single]
        ended = _fits(must, STOPS, -3, beyond=False)
        return np.stack((start, stop, donor, acceptor, ~ended), axis=1)


def options_of(sequence: str) -> Bool[np.ndarray, "bases 4"]:
    """Which of A, C, G, T each letter can be."""
    table = np.zeros((256, 4), dtype=bool)
    for letter, meanings in MEANINGS.items():
        table[ord(letter)] = [base in meanings for base in BASES]
    return table[np.frombuffer(sequence.encode("ascii"), dtype=np.uint8)]


def ids_of(sequence: str) -> Int[np.ndarray, "bases"]:
    """The ids of the nucleotides codec."""
    table = np.zeros(256, dtype=np.int64)
    for id, letter in enumerate(LETTERS, NUM_SPECIALS):
        table[ord(letter)] = id
    return table[np.frombuffer(sequence.encode("ascii"), dtype=np.uint8)]


def _fits(
    options: Bool[np.ndarray, "bases 4"], words: Sequence[str], offset: int, *, beyond: bool = True
) -> Bool[np.ndarray, "bases"]:
    """Whether one of the words can stand from `offset` bases after each base on; `beyond` holds outside the ends."""
    found = np.zeros(len(options), dtype=bool)
    for word in words:
        fits = np.ones(len(options), dtype=bool)
        for place, letter in enumerate(word, offset):
            column = options[:, BASES.index(letter)]
            shifted = np.full(len(options), beyond)
            if place >= 0:
                shifted[: max(len(options) - place, 0)] = column[place:]
            else:
                shifted[-place:] = column[:place]
            fits &= shifted
        found |= fits
    return found


def _reading(gene: Gene, sequence: str) -> tuple[str, str]:
    """The coding bases of a gene in its own direction, and the three that follow."""
    coding = "".join(sequence[start:end] for start, end in gene.exons)
    if gene.strand == "+":
        return coding, sequence[gene.end : gene.end + 3]
    return reverse_complement(coding), reverse_complement(sequence[max(gene.start - 3, 0) : gene.start])


def _introns(gene: Gene, sequence: str) -> list[str]:
    found = [sequence[left[1] : right[0]] for left, right in pairwise(gene.exons) if right[0] - left[1] >= 4]
    return found if gene.strand == "+" else [reverse_complement(intron) for intron in found]


def _common(counts: Counter[str]) -> tuple[str, ...]:
    total = sum(counts.values())
    kept = [word for word, count in counts.items() if count >= _RAREST * total and set(word) <= set(BASES)]
    return tuple(sorted(kept))


def _words(value: Any, path: Path) -> tuple[str, ...]:
    if not isinstance(value, list) or not all(isinstance(one, str) and set(one) <= set(BASES) for one in value):
        raise WorkError(f"{path} is damaged: it does not say what it must.")
    return tuple(value)
