"""Long sequences as shorter records, cut between genes, so that a chromosome can be split into train and test."""

from collections.abc import Iterable, Iterator
from dataclasses import replace

from seqlens.data.dna.records import DnaRecord

_MARGIN = 500
_FEW = 10  # pieces: one of them alone would be a tenth
_SHORTEST = 1000


def cut_pieces(records: Iterable[DnaRecord], length: int | None) -> Iterator[DnaRecord]:
    """Yields records of about `length` bases; those up to half as long again stay whole, as all do where it is None.

    Cuts lie between genes, as near as can be to where the length would have them, 500 bases from a gene where there is
    room. Pieces are named `name:first-last`, counted from 1 as in GenBank.
    """
    for record in records:
        cuts = [] if length is None else _cuts(record, length)
        if not cuts:
            yield record
            continue
        start = 0
        for end in [*cuts, len(record.sequence)]:
            genes = tuple(
                replace(gene, exons=tuple((first - start, last - start) for first, last in gene.exons))
                for gene in record.genes
                if start <= gene.start and gene.end <= end
            )
            yield DnaRecord(f"{record.name}:{start + 1}-{end}", record.sequence[start:end], genes, record.place)
            start = end


def cut_to_split(records: Iterable[DnaRecord], length: int) -> Iterator[DnaRecord]:
    """The same of a corpus that is split afterwards: less than ten are cut into about twenty, if genes leave room."""
    kept = list(records)
    pieces = list(cut_pieces(kept, length))
    if len(pieces) < _FEW:
        shorter = max(_SHORTEST, sum(len(record.sequence) for record in kept) // (2 * _FEW))
        pieces = list(cut_pieces(kept, min(length, shorter)))
    yield from pieces


def _cuts(record: DnaRecord, length: int) -> list[int]:
    """Where to cut, ascending: never inside a gene, so pieces with a long gene are longer."""
    total = len(record.sequence)
    gaps: list[tuple[int, int]] = []
    reached = 0
    for gene in record.genes:
        if gene.start > reached:
            gaps.append((reached, gene.start))
        reached = max(reached, gene.end)
    if total > reached:
        gaps.append((reached, total))
    cuts: list[int] = []
    last = 0
    while total - last > length * 3 // 2:
        places = [_place_in(gap, last + length) for gap in gaps]
        open_places = [place for place in places if last + length // 2 <= place <= total - length // 2]
        if not open_places:
            break
        last = min(open_places, key=lambda place: abs(place - last - length))
        cuts.append(last)
    return cuts


def _place_in(gap: tuple[int, int], wanted: int) -> int:
    """The place nearest to the one wanted, away from the genes at both ends of a gap if it is wide enough."""
    margin = min((gap[1] - gap[0]) // 2, _MARGIN)
    return min(max(wanted, gap[0] + margin), gap[1] - margin)
