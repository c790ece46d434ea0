"""What costs next to nothing: stretches without a stop codon, and where in a record genes usually lie."""

import re
from collections import Counter
from collections.abc import Sequence

import numpy as np
from jaxtyping import Bool

from seqlens.data.dna.letters import reverse_complement
from seqlens.data.dna.records import DnaRecord, Gene, Interval, Strand
from seqlens.tasks.mark.grammar import STOPS
from seqlens.tasks.mark.measures import marking_measures

_LENGTHS = (30, 60, 90, 120, 150, 180, 240, 300, 400, 500, 700, 1000)
# Looked ahead, so that stops that overlap are all found.
_STOP = re.compile(f"(?=({'|'.join(STOPS)}))")
_STRANDS: tuple[Strand, Strand] = ("+", "-")


def best_stretch_length(train: Sequence[DnaRecord]) -> int:
    """The least length of stop-free stretches with which they give the best F1, strand ignored, on training records."""
    stretches = [_stretches(record, min(_LENGTHS)) for record in train]

    def f1(length: int) -> float:
        found = [_longest_first(record, own, length) for record, own in zip(train, stretches, strict=True)]
        return marking_measures(train, found)["either_strand_f1"].value()

    return max(_LENGTHS, key=f1)


def stop_free_genes(record: DnaRecord, min_length: int) -> list[Gene]:
    """The stretches of `min_length` bases or more without a stop codon in one of six frames, as genes of one exon.

    Where stretches overlap, the longer one is taken and the shorter one left out.
    """
    return _longest_first(record, _stretches(record, min_length), min_length)


def _stretches(record: DnaRecord, min_length: int) -> list[tuple[Strand, Interval]]:
    """All of that length, the longest first."""
    length = len(record.sequence)
    found: list[tuple[Strand, Interval]] = []
    for strand in _STRANDS:
        sequence = record.sequence if strand == "+" else reverse_complement(record.sequence)
        for start, end in _stop_free(sequence, min_length):
            found.append((strand, (start, end) if strand == "+" else (length - end, length - start)))
    return sorted(found, key=lambda one: (one[1][0] - one[1][1], one[1][0], one[0]))


def _longest_first(record: DnaRecord, stretches: list[tuple[Strand, Interval]], min_length: int) -> list[Gene]:
    taken: Bool[np.ndarray, "bases"] = np.zeros(len(record.sequence), dtype=bool)
    genes = []
    for strand, (start, end) in stretches:
        if end - start < min_length:
            break
        if not taken[start:end].any():
            taken[start:end] = True
            genes.append(Gene(strand, ((start, end),)))
    return sorted(genes, key=lambda gene: gene.start)


def usual_place(train: Sequence[DnaRecord]) -> tuple[int, int, Strand]:
    """The commonest distances of coding bases from the two ends of a training record, and the commonest strand."""
    with_genes = [record for record in train if record.genes]
    left = Counter(min(gene.start for gene in record.genes) for record in with_genes)
    right = Counter(len(record.sequence) - max(gene.end for gene in record.genes) for record in with_genes)
    strands = Counter(gene.strand for record in with_genes for gene in record.genes)
    if not with_genes:
        return 0, 0, "+"
    return left.most_common(1)[0][0], right.most_common(1)[0][0], strands.most_common(1)[0][0]


def placed_gene(record: DnaRecord, left: int, right: int, strand: Strand) -> list[Gene]:
    """All bases but so many at each end as coding."""
    end = len(record.sequence) - right
    return [Gene(strand, ((left, end),))] if left < end else []


def _stop_free(sequence: str, min_length: int) -> list[Interval]:
    stops = np.array([match.start() for match in _STOP.finditer(sequence)], dtype=np.int64)
    found: list[Interval] = []
    for frame in range(3):
        own = stops[stops % 3 == frame]
        last = len(sequence) - (len(sequence) - frame) % 3
        starts, ends = np.concatenate(([frame], own + 3)), np.concatenate((own, [last]))
        long = ends - starts >= min_length
        found += [(int(start), int(end)) for start, end in zip(starts[long], ends[long], strict=True)]
    return found
