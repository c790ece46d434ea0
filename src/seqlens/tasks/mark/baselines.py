"""What costs next to nothing: stretches without a stop codon, and where in a record genes usually lie."""

from collections import Counter
from collections.abc import Sequence

import numpy as np
from jaxtyping import Bool

from seqlens.data.dna.letters import reverse_complement
from seqlens.data.dna.records import DnaRecord, Gene, Interval, Strand
from seqlens.tasks.mark.grammar import STOPS
from seqlens.tasks.mark.measures import marking_measures

_LENGTHS = (30, 60, 90, 120, 150, 180, 240, 300, 400, 500, 700, 1000)
_STRANDS: tuple[Strand, Strand] = ("+", "-")


def best_stretch_length(train: Sequence[DnaRecord]) -> int:
    """The least length of stop-free stretches with which they give the best F1, strand ignored, on training records."""

    def f1(length: int) -> float:
        found = [stop_free_genes(record, length) for record in train]
        return marking_measures(train, found)["either_strand_f1"].value()

    return max(_LENGTHS, key=f1)


def stop_free_genes(record: DnaRecord, min_length: int) -> list[Gene]:
    """The stretches of `min_length` bases or more without a stop codon in one of six frames, as genes of one exon.

    Where stretches overlap, the longer one is taken and the shorter one left out.
    """
    length = len(record.sequence)
    stretches: list[tuple[Strand, Interval]] = []
    for strand in _STRANDS:
        sequence = record.sequence if strand == "+" else reverse_complement(record.sequence)
        for start, end in _stop_free(sequence, min_length):
            stretches.append((strand, (start, end) if strand == "+" else (length - end, length - start)))
    taken: Bool[np.ndarray, "bases"] = np.zeros(length, dtype=bool)
    genes = []
    for strand, (start, end) in sorted(stretches, key=lambda one: (one[1][0] - one[1][1], one[1][0], one[0])):
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
    found = []
    for frame in range(3):
        start = frame
        for place in range(frame, len(sequence) - 2, 3):
            if sequence[place : place + 3] in STOPS:
                if place - start >= min_length:
                    found.append((start, place))
                start = place + 3
        end = len(sequence) - (len(sequence) - frame) % 3
        if end - start >= min_length:
            found.append((start, end))
    return found
