"""What the readers of DNA yield: a sequence and the genes on it."""

from dataclasses import dataclass
from typing import Literal

from seqlens.data.examples import Place

Strand = Literal["+", "-"]
Interval = tuple[int, int]
"""A stretch of a sequence: first base, counted from 0, and the one after the last."""


@dataclass(frozen=True, slots=True)
class Gene:
    """The coding stretches of a transcript, in the order of the sequence, whichever strand they are on.

    `phase` is how many bases of the first stretch, in reading direction, come before the first whole codon: 0 where
    the start is there.
    """

    strand: Strand
    exons: tuple[Interval, ...]
    phase: int = 0
    name: str = ""

    @property
    def start(self) -> int:
        """The first base of the gene on the sequence."""
        return self.exons[0][0]

    @property
    def end(self) -> int:
        """The base after its last one."""
        return max(end for _, end in self.exons)

    @property
    def num_coding(self) -> int:
        """The coding bases."""
        return sum(end - start for start, end in self.exons)


@dataclass(frozen=True, slots=True)
class DnaRecord:
    """A sequence in capitals of IUPAC letters, and its genes in the order of their starts."""

    name: str
    sequence: str
    genes: tuple[Gene, ...] = ()
    place: Place | None = None
