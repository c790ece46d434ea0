"""GFF3: nine columns a feature; genes are made of its CDS lines, one transcript a gene."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from itertools import combinations
from pathlib import Path
from typing import NamedTuple, final
from urllib.parse import unquote

from seqlens.data.dna.fasta import parse_fasta
from seqlens.data.dna.records import DnaRecord, Gene, Interval, Strand
from seqlens.data.examples import Place
from seqlens.data.readers import read_lines
from seqlens.errors import RequestError, did_you_mean

_COLUMNS = 9
_PROTEINS = ("protein", "polypeptide")
_LONGEST_SLIP = 2
"""Bases that a ribosome reads twice where it slips back."""


class _Line(NamedTuple):
    place: Place
    sequence: str
    kind: str
    start: int
    end: int
    strand: str
    phase: str
    attributes: dict[str, str]


@final
@dataclass(slots=True)
class _Transcript:
    place: Place
    sequence: str
    strand: Strand
    parent: str
    both_strands: bool = False
    stretches: list[tuple[Interval, int, Place]] = field(default_factory=list)

    @property
    def num_coding(self) -> int:
        return sum(stretch[1] - stretch[0] for stretch, _, _ in self.stretches)


@final
@dataclass(slots=True)
class Annotation:
    """The CDS lines of a GFF3 file, what it says of their parents and, where it has them, the sequences."""

    file: str
    parents: dict[str, str] = field(default_factory=dict)
    kinds: dict[str, str] = field(default_factory=dict)
    pseudo: set[str] = field(default_factory=set)
    circular: set[str] = field(default_factory=set)
    coding: list[_Line] = field(default_factory=list)
    records: list[DnaRecord] = field(default_factory=list)

    def add_to(self, records: Iterable[DnaRecord], sequences: str) -> Iterator[DnaRecord]:
        """Yields the records with their genes; `sequences` is the file that they come from, for messages.

        Raises:
            RequestError: a gene is on a sequence that there is not, or lies outside it.
        """
        genes = self._genes()
        seen: list[str] = []
        for record in records:
            seen.append(record.name)
            own = genes.pop(record.name, [])
            num_bases = len(record.sequence)
            furthest = 2 * num_bases if record.name in self.circular else num_bases
            for gene, places in own:
                for (_, end), place in zip(gene.exons, places, strict=True):
                    if end > furthest:
                        raise RequestError(
                            f"{place}: the CDS ends at base {end:,}, outside '{record.name}', which has "
                            f"{num_bases:,} bases in {sequences}."
                        )
            placed = (part for gene, _ in own for part in _within(gene, num_bases))
            ordered = tuple(sorted(placed, key=lambda gene: (gene.start, gene.end)))
            yield DnaRecord(record.name, record.sequence, ordered, record.place)
        for name, left in genes.items():
            shown = ", ".join(f"'{one}'" for one in seen[:8]) + (", …" if len(seen) > 8 else "")
            raise RequestError(
                f"{left[0][1][0]} is on '{name}', which {sequences} has not; it has {shown}.{did_you_mean(name, seen)}"
            )

    def _genes(self) -> dict[str, list[tuple[Gene, list[Place]]]]:
        """By sequence: of each gene the transcript with most coding bases, the first of equals."""
        best: dict[str, tuple[str, _Transcript]] = {}
        for name, transcript in self._transcripts().items():
            gene = self.parents.get(transcript.parent, transcript.parent)
            if transcript.both_strands or self.pseudo & {name, transcript.parent, gene}:
                continue
            if gene not in best or transcript.num_coding > best[gene][1].num_coding:
                best[gene] = (name, transcript)
        found: dict[str, list[tuple[Gene, list[Place]]]] = {}
        for name, transcript in best.values():
            ordered = sorted(transcript.stretches, key=lambda one: one[0])
            first = ordered[0] if transcript.strand == "+" else ordered[-1]
            exons = tuple(stretch for stretch, _, _ in ordered)
            gene_of = Gene(transcript.strand, exons, first[1], name)
            found.setdefault(transcript.sequence, []).append((gene_of, [place for _, _, place in ordered]))
        return found

    def _transcripts(self) -> dict[str, _Transcript]:
        """The transcripts that the CDS lines name; known only when all lines are read, as parents may come last."""
        by_parent: dict[str, list[_Line]] = {}
        for line in self.coding:
            first, *others = line.attributes.get("Parent", "").split(",")
            names = [first or line.attributes.get("ID", "") or f"CDS at {line.place}"]
            # An exon may be shared by transcripts; a parent may also be no transcript (a protein, as in TAIR).
            names += [name for name in others if self.kinds.get(name, _PROTEINS[0]) not in _PROTEINS]
            for name in names:
                by_parent.setdefault(name, []).append(line)
        found: dict[str, _Transcript] = {}
        for parent, lines in by_parent.items():
            several = _are_several(lines)
            for line in lines:
                _extend(found, (line.attributes.get("ID") if several else None) or parent, parent, line)
        return found


def _within(gene: Gene, num_bases: int) -> list[Gene]:
    """The gene; two, which are parts of one, where it goes over the origin of a circular sequence."""
    before: list[Interval] = []
    after: list[Interval] = []
    for start, end in gene.exons:
        if start < num_bases:
            before.append((start, min(end, num_bases)))
        if end > num_bases:
            after.append((max(start - num_bases, 0), end - num_bases))
    if not after:
        return [gene]
    parts, phase = [], gene.phase
    for exons in (before, after) if gene.strand == "+" else (after, before):
        if exons:
            parts.append(Gene(gene.strand, tuple(exons), phase, gene.name))
            phase = (phase - sum(end - start for start, end in exons)) % 3
    return parts


def read_annotation(path: Path) -> Annotation:
    """Reads the coding transcripts of a GFF3 file, gzipped or not.

    CDS lines are joined by their `Parent`, or else their `ID`; by both where one parent has proteins that overlap, as
    genes of bacteria and viruses, which have no transcripts. Of a gene's transcripts the longest counts. Pseudogenes
    and trans-spliced genes that lie on both strands are left out, as of a GenBank file.

    Raises:
        RequestError: as `read_lines`; a line with other than nine columns, positions that are none, a CDS without
        strand or phase, an empty file. The sentence names file and line.
    """
    annotation = Annotation(str(path))
    lines = read_lines(path)
    number = 0
    for number, line in lines:
        if line.startswith("##FASTA"):
            annotation.records = list(parse_fasta(lines, str(path)))
            break
        if line.startswith(">"):  # the older way to say so
            annotation.records = list(parse_fasta(_with_first((number, line), lines), str(path)))
            break
        if line.strip() and not line.startswith("#"):
            _add(annotation, _parse_line(line, Place(str(path), number)))
    if not number:
        raise RequestError(f"{path} is empty, expected GFF3.")
    return annotation


def _with_first(first: tuple[int, str], rest: Iterator[tuple[int, str]]) -> Iterator[tuple[int, str]]:
    yield first
    yield from rest


def _parse_line(line: str, place: Place) -> _Line:
    columns = line.split("\t")
    if len(columns) != _COLUMNS:
        found = "1 column" if len(columns) == 1 else f"{len(columns)} columns"
        hint = " Are they separated by spaces?" if len(columns) == 1 and len(line.split()) >= _COLUMNS else ""
        raise RequestError(f"{place} has {found}, expected {_COLUMNS} separated by tabs.{hint}")
    sequence, _, kind, start, end, _, strand, phase, attributes = columns
    if not (start.isascii() and start.isdigit() and end.isascii() and end.isdigit()):
        raise RequestError(f"{place} runs from '{start}' to '{end}', expected two whole numbers.")
    if not 1 <= int(start) <= int(end):
        raise RequestError(f"{place} runs from {start} to {end}, expected from 1 on and upwards.")
    named = (part.partition("=") for part in attributes.strip().split(";"))
    values = {key.strip(): unquote(value) for key, equals, value in named if equals}
    if kind == "CDS" and not values and attributes.strip() not in ("", "."):
        hint = " It looks like GTF." if '"' in attributes else ""
        raise RequestError(f"{place} has the attributes '{attributes[:40]}', expected key=value as in GFF3.{hint}")
    return _Line(place, unquote(sequence), kind, int(start), int(end), strand, phase, values)


def _add(annotation: Annotation, line: _Line) -> None:
    name = line.attributes.get("ID", "")
    if line.attributes.get("Is_circular", "").lower() == "true":
        annotation.circular.add(line.sequence)
    is_pseudo = line.attributes.get("pseudo", "").lower() == "true" or "pseudogene" in line.attributes
    if line.kind != "CDS":
        if name:
            annotation.kinds[name] = line.kind
            if parent := line.attributes.get("Parent", "").split(",")[0]:
                annotation.parents[name] = parent
            if is_pseudo or line.kind == "pseudogene":
                annotation.pseudo.add(name)
        return
    if line.strand not in ("+", "-"):
        raise RequestError(f"{line.place} is a CDS with strand '{line.strand}', expected '+' or '-'.")
    if line.phase not in ("0", "1", "2"):
        raise RequestError(f"{line.place} is a CDS with phase '{line.phase}', expected 0, 1 or 2.")
    if not is_pseudo:
        annotation.coding.append(line)


def _are_several(lines: list[_Line]) -> bool:
    """Whether CDS lines of one parent are of several proteins: some of different IDs overlap by more than a slip."""
    return any(
        one.sequence == other.sequence
        and one.attributes.get("ID") != other.attributes.get("ID")
        and min(one.end, other.end) - max(one.start, other.start) + 1 > _LONGEST_SLIP
        for one, other in combinations(lines, 2)
    )


def _extend(transcripts: dict[str, _Transcript], name: str, parent: str, line: _Line) -> None:
    strand: Strand = "+" if line.strand == "+" else "-"
    transcript = transcripts.setdefault(name, _Transcript(line.place, line.sequence, strand, parent))
    if transcript.sequence != line.sequence:
        raise RequestError(
            f"{line.place} gives '{name}' a CDS on '{line.sequence}', but {transcript.place} has it on "
            f"'{transcript.sequence}', expected one sequence."
        )
    if transcript.strand != strand:
        if line.attributes.get("exception", "").replace("_", "-") != "trans-splicing":
            raise RequestError(
                f"{line.place} gives '{name}' a CDS on strand {strand}, but {transcript.place} has it on "
                f"{transcript.strand}, expected one strand; 'exception=trans-splicing' says that it lies on both."
            )
        transcript.both_strands = True
    transcript.stretches.append(((line.start - 1, line.end), int(line.phase), line.place))
