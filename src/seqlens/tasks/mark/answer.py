"""What comes back for a sequence of DNA: its coding regions, gene by gene, and files that other programs read."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from itertools import groupby
from typing import Any
from urllib.parse import quote

import numpy as np
from jaxtyping import Float, Integer

from seqlens.data.dna.records import Gene, Strand
from seqlens.tasks.mark.states import genes_of

_SOURCE = "seqlens"
_SHOWN = 6


@dataclass(frozen=True, slots=True)
class Region:
    """A coding stretch: bases `start` to `end`, counted from 0, `end` not included.

    `phase` is how many of its bases, in reading direction, come before its first whole codon. `confidence` is the mean
    probability of the state (coding, on this strand, in this frame) over its bases.
    """

    start: int
    end: int
    strand: Strand
    phase: int
    confidence: float
    gene: str

    def __str__(self) -> str:
        return f"{self.start + 1}..{self.end}({self.strand})"


@dataclass(frozen=True, slots=True)
class Marking:
    """The coding regions of a sequence, in their order."""

    name: str
    num_bases: int
    regions: tuple[Region, ...]

    @property
    def genes(self) -> tuple[Gene, ...]:
        """The regions as genes."""
        found = []
        for name, group in groupby(self.regions, lambda region: region.gene):
            parts = list(group)
            first = parts[0] if parts[0].strand == "+" else parts[-1]
            exons = tuple((part.start, part.end) for part in parts)
            found.append(Gene(parts[0].strand, exons, first.phase, name))
        return tuple(found)

    def __str__(self) -> str:
        shown = " ".join(str(region) for region in self.regions[:_SHOWN])
        more = f" … {len(self.regions) - _SHOWN} more" if len(self.regions) > _SHOWN else ""
        genes = len({region.gene for region in self.regions})
        return f"{self.name}\t{genes} {'gene' if genes == 1 else 'genes'}\t{shown or '-'}{more}"

    def to_plain(self) -> dict[str, Any]:
        """The answer as JSON can hold it; positions as in Python, from 0 and without the end."""
        regions = [
            {
                "start": region.start,
                "end": region.end,
                "strand": region.strand,
                "phase": region.phase,
                "confidence": round(region.confidence, 4),
                "gene": region.gene,
            }
            for region in self.regions
        ]
        return {"name": self.name, "num_bases": self.num_bases, "regions": regions}


def marking_of(name: str, states: Integer[np.ndarray, "bases"], confidence: Float[np.ndarray, "bases"]) -> Marking:
    """The regions on a path of states."""
    return _of_genes(name, genes_of(states, name), len(states), confidence)


def marking_of_genes(name: str, genes: Sequence[Gene], num_bases: int) -> Marking:
    """Annotated genes as an answer that is sure of itself; named after the sequence, as genes that are found."""
    named = [replace(gene, name=f"{name}.{number}") for number, gene in enumerate(genes, 1)]
    return _of_genes(name, named, num_bases, np.ones(num_bases))


def _of_genes(name: str, genes: Sequence[Gene], num_bases: int, confidence: Float[np.ndarray, "bases"]) -> Marking:
    regions = []
    for gene in genes:
        reading = gene.exons if gene.strand == "+" else gene.exons[::-1]
        read = -gene.phase
        phases: dict[tuple[int, int], int] = {}
        for start, end in reading:
            phases[start, end] = -read % 3
            read += end - start
        for start, end in gene.exons:
            sure = float(confidence[start:end].mean())
            regions.append(Region(start, end, gene.strand, phases[start, end], sure, gene.name))
    return Marking(name, num_bases, tuple(regions))


def to_gff3(markings: Iterable[Marking]) -> str:
    """The regions as GFF3: a gene, an mRNA and its CDS lines each, with the confidence as score."""
    lines = ["##gff-version 3"]
    markings = list(markings)
    lines += [f"##sequence-region {_escaped(one.name)} 1 {one.num_bases}" for one in markings if one.num_bases]
    for marking in markings:
        for name, group in groupby(marking.regions, lambda region: region.gene):
            lines += _gene_lines(marking.name, name, list(group))
    return "\n".join(lines) + "\n"


def to_bed(markings: Iterable[Marking]) -> str:
    """The regions as BED with six columns; the score is the confidence times 1,000."""
    lines = [
        f"{_escaped(marking.name)}\t{region.start}\t{region.end}\t{_escaped(region.gene)}"
        f"\t{round(1000 * region.confidence)}\t{region.strand}"
        for marking in markings
        for region in marking.regions
    ]
    return "".join(f"{line}\n" for line in lines)


def _gene_lines(sequence: str, name: str, regions: Sequence[Region]) -> list[str]:
    first, last, strand = regions[0].start + 1, regions[-1].end, regions[0].strand
    bases = sum(region.end - region.start for region in regions)
    sure = sum(region.confidence * (region.end - region.start) for region in regions) / bases
    where, gene = _escaped(sequence), _escaped(name)
    whole = f"{first}\t{last}\t{sure:.4f}\t{strand}\t."
    lines = [
        f"{where}\t{_SOURCE}\tgene\t{whole}\tID={gene}",
        f"{where}\t{_SOURCE}\tmRNA\t{whole}\tID={gene}.t1;Parent={gene}",
    ]
    for region in regions:
        place = f"{region.start + 1}\t{region.end}\t{region.confidence:.4f}\t{strand}\t{region.phase}"
        lines.append(f"{where}\t{_SOURCE}\tCDS\t{place}\tID={gene}.cds;Parent={gene}.t1")
    return lines


def _escaped(text: str) -> str:
    """A name without what separates columns and attributes."""
    return quote(text, safe=" .:^*$@!+_?|-/()#'").replace(" ", "%20")
