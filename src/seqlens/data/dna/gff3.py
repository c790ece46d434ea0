"""GFF3: nine columns a feature; genes are made of its CDS lines, one transcript a gene."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple, final
from urllib.parse import unquote

from seqlens.data.dna.fasta import parse_fasta
from seqlens.data.dna.records import DnaRecord, Gene, Interval, Strand
from seqlens.data.examples import Place
from seqlens.data.readers import read_lines
from seqlens.errors import RequestError, did_you_mean

_COLUMNS = 9


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
    stretches: list[tuple[Interval, int, Place]] = field(default_factory=list)

    @property
    def num_coding(self) -> int:
        return sum(stretch[1] - stretch[0] for stretch, _, _ in self.stretches)


@final
@dataclass(slots=True)
class Annotation:
    """The transcripts of a GFF3 file and, where it has them after `##FASTA`, the sequences."""

    file: str
    transcripts: dict[str, _Transcript] = field(default_factory=dict)
    parents: dict[str, str] = field(default_factory=dict)
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
            for gene, places in own:
                for (_, end), place in zip(gene.exons, places, strict=True):
                    if end > len(record.sequence):
                        raise RequestError(
                            f"{place}: the CDS ends at base {end:,}, outside '{record.name}', which has "
                            f"{len(record.sequence):,} bases in {sequences}."
                        )
            ordered = tuple(sorted((gene for gene, _ in own), key=lambda gene: (gene.start, gene.end)))
            yield DnaRecord(record.name, record.sequence, ordered, record.place)
        for name, left in genes.items():
            shown = ", ".join(f"'{one}'" for one in seen[:8]) + (", …" if len(seen) > 8 else "")
            raise RequestError(
                f"{left[0][1][0]} is on '{name}', which {sequences} has not; it has {shown}.{did_you_mean(name, seen)}"
            )

    def _genes(self) -> dict[str, list[tuple[Gene, list[Place]]]]:
        """By sequence: of each gene the transcript with most coding bases, the first of equals."""
        best: dict[str, tuple[str, _Transcript]] = {}
        for name, transcript in self.transcripts.items():
            gene = self.parents.get(name, name)
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


def read_annotation(path: Path) -> Annotation:
    """Reads the coding transcripts of a GFF3 file, gzipped or not.

    CDS lines are joined by their `Parent`, or else their `ID`; of a gene's transcripts the longest counts.

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
    return _Line(place, unquote(sequence), kind, int(start), int(end), strand, phase, values)


def _add(annotation: Annotation, line: _Line) -> None:
    parents = line.attributes.get("Parent", "").split(",")
    if line.kind != "CDS":
        if "ID" in line.attributes and parents[0]:
            annotation.parents[line.attributes["ID"]] = parents[0]
        return
    if line.strand not in ("+", "-"):
        raise RequestError(f"{line.place} is a CDS with strand '{line.strand}', expected '+' or '-'.")
    if line.phase not in ("0", "1", "2"):
        raise RequestError(f"{line.place} is a CDS with phase '{line.phase}', expected 0, 1 or 2.")
    # A parent that is no transcript (a protein, as in TAIR) comes after the transcript.
    name = parents[0] or line.attributes.get("ID", "") or f"CDS at {line.place}"
    strand: Strand = "+" if line.strand == "+" else "-"
    transcript = annotation.transcripts.setdefault(name, _Transcript(line.place, line.sequence, strand))
    if (transcript.sequence, transcript.strand) != (line.sequence, strand):
        raise RequestError(
            f"{line.place} gives '{name}' a CDS on '{line.sequence}' {strand}, but {transcript.place} has it on "
            f"'{transcript.sequence}' {transcript.strand}, expected one strand of one sequence."
        )
    transcript.stretches.append(((line.start - 1, line.end), int(line.phase), line.place))
