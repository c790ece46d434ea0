"""The states of a base between, in and inside genes, from annotated genes to a path of states and back.

0 is between genes; 1 to 3 the positions of a codon on the strand given, 4 to 6 the introns after a base at that
position; 7 to 12 the same on the other strand. The path reads a gene of the other strand from its end.
"""

from itertools import pairwise

import numpy as np
from jaxtyping import Bool, Int8, Integer

from seqlens.data.dna.records import DnaRecord, Gene, Interval, Strand

NUM_STATES = 13
BETWEEN = 0
CODING = {"+": 1, "-": 7}
"""The state of the first codon position of each strand; the other two follow."""
INTRON = {"+": 4, "-": 10}
_STRANDS: tuple[Strand, Strand] = ("+", "-")

Kind = int
FREE, START, STOP, DONOR, ACCEPTOR, CONTINUE = range(6)
"""What a transition means; on the other strand 5 more, but for `FREE`."""
NUM_KINDS = 11


def _edges() -> tuple[tuple[tuple[int, Kind], ...], ...]:
    """Of each state the states that may stand before it, and what that transition means."""
    found: list[list[tuple[int, Kind]]] = [[] for _ in range(NUM_STATES)]
    found[BETWEEN].append((BETWEEN, FREE))
    e, i = CODING["+"], INTRON["+"]
    found[e] += [(BETWEEN, START), (e + 2, CONTINUE)]
    found[BETWEEN].append((e + 2, STOP))
    for phase in range(3):
        if phase:
            found[e + phase].append((e + phase - 1, FREE))
        found[i + phase] += [(i + phase, FREE), (e + phase, DONOR)]
        found[e + (phase + 1) % 3].append((i + phase, ACCEPTOR))
    e, i = CODING["-"], INTRON["-"]
    other = CONTINUE  # kinds of the other strand follow those of this one
    found[e + 2] += [(BETWEEN, STOP + other), (e, CONTINUE + other)]
    found[BETWEEN].append((e, START + other))
    for phase in range(3):
        if phase < 2:
            found[e + phase].append((e + phase + 1, FREE))
        found[i + phase] += [(i + phase, FREE), (e + (phase + 1) % 3, ACCEPTOR + other)]
        found[e + phase].append((i + phase, DONOR + other))
    return tuple(tuple(states) for states in found)


EDGES = _edges()
PREDECESSORS = tuple(tuple(state for state, _ in states) for states in EDGES)

States = Int8[np.ndarray, "_"]


def paint(record: DnaRecord) -> States:
    """The state of each base by the record's genes.

    Where genes overlap, the one with more coding bases stays whole. What is left of another, and of a gene of which a
    part is missing, begins and ends with a whole codon, and lies a base or more from its neighbours, so that the path
    is one that the chain allows.
    """
    states = np.zeros(len(record.sequence), dtype=np.int8)
    for gene in sorted(record.genes, key=lambda gene: -gene.num_coding):
        for start, own in _pieces(gene):
            for first, last in _free_stretches(states, start, start + len(own)):
                part = own[first - start : last - start]
                first_kept, last_kept = _whole_codons(part, first == 0, last == len(states))
                states[first + first_kept : first + last_kept] = part[first_kept:last_kept]
    return states


def genes_of(states: Integer[np.ndarray, "bases"], name: str = "gene") -> list[Gene]:
    """The genes on a path of states, in their order, with names `name.1`, `name.2`, …"""
    genes: list[Gene] = []
    for first, last in _runs(states != BETWEEN):
        for begin, end in _one_strand(states[first:last], first):
            part = states[begin:end]
            strand: Strand = "+" if part[0] < CODING["-"] else "-"
            coding = (part - CODING[strand] >= 0) & (part - CODING[strand] < 3)
            exons = tuple((begin + start, begin + stop) for start, stop in _runs(coding))
            if exons:
                place = exons[0][0] if strand == "+" else exons[-1][1] - 1
                phase = (3 - int(states[place] - CODING[strand])) % 3
                genes.append(Gene(strand, exons, phase, f"{name}.{len(genes) + 1}"))
    return genes


def coding_of(genes: tuple[Gene, ...] | list[Gene], num_bases: int) -> Bool[np.ndarray, "2 bases"]:
    """Which bases are coding, on the strand given and on the other one."""
    coding = np.zeros((2, num_bases), dtype=bool)
    for gene in genes:
        for start, end in gene.exons:
            coding[_STRANDS.index(gene.strand), start:end] = True
    return coding


def turned(states: Integer[np.ndarray, "bases"]) -> Integer[np.ndarray, "bases"]:
    """The path of the other strand, read in its own direction."""
    back = states[::-1]
    return np.where(back == BETWEEN, BETWEEN, (back + 5) % 12 + 1).astype(states.dtype)


def _pieces(gene: Gene) -> list[tuple[int, States]]:
    """The states of a gene from its first base on, cut where stretches overlap."""
    own = np.zeros(gene.end - gene.start, dtype=np.int8)
    reading = gene.exons if gene.strand == "+" else gene.exons[::-1]
    position = -gene.phase % 3
    for number, (start, end) in enumerate(reading):
        places = np.arange(start, end) if gene.strand == "+" else np.arange(end - 1, start - 1, -1)
        own[places - gene.start] = CODING[gene.strand] + (position + np.arange(end - start)) % 3
        position = (position + end - start) % 3
        if number + 1 < len(reading):
            after = reading[number + 1]
            left, right = (end, after[0]) if gene.strand == "+" else (after[1], start)
            own[max(left - gene.start, 0) : max(right - gene.start, 0)] = INTRON[gene.strand] + (position - 1) % 3
    cuts = [place for place, (last, now) in enumerate(pairwise(own.tolist()), 1) if last not in PREDECESSORS[now]]
    bounds = [0, *cuts, len(own)]
    return [(gene.start + begin, own[begin:end]) for begin, end in pairwise(bounds)]


def _free_stretches(states: States, start: int, end: int) -> list[Interval]:
    """The stretches between two places that no gene has, a base away from those that one has."""
    taken = states != BETWEEN
    near = taken.copy()
    near[1:] |= taken[:-1]
    near[:-1] |= taken[1:]
    return [(start + first, start + last) for first, last in _runs(~near[start:end])]


def _whole_codons(part: States, open_left: bool, open_right: bool) -> Interval:
    """What of a part of a gene begins and ends with a whole codon; at an end of the sequence it need not."""
    begins = np.isin(part, (CODING["+"], CODING["-"] + 2))
    ends = np.isin(part, (CODING["+"] + 2, CODING["-"]))
    first = 0 if open_left else int(begins.argmax()) if begins.any() else len(part)
    last = len(part) if open_right else len(part) - int(ends[::-1].argmax()) if ends.any() else 0
    return (first, last) if first < last else (0, 0)


def _one_strand(part: Integer[np.ndarray, "bases"], offset: int) -> list[Interval]:
    """Neighbours on different strands, told apart."""
    found = [(offset + first, offset + last) for mask in (part < 7, part >= 7) for first, last in _runs(mask)]
    return sorted(found)


def _runs(mask: Bool[np.ndarray, "bases"]) -> list[Interval]:
    """The stretches in which the mask is true."""
    edges = np.flatnonzero(np.diff(np.concatenate(([False], mask, [False])).astype(np.int8)))
    return [(int(first), int(last)) for first, last in zip(edges[::2], edges[1::2], strict=True)]
