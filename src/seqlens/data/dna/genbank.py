"""GenBank flat files: LOCUS, a feature table with CDS, ORIGIN; gzipped or not.

Biopython reads them as well, but without saying in which line a fault is; the tests compare the two.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import final

from seqlens.data.dna.letters import clean_letters
from seqlens.data.dna.locations import OtherRecordError, parse_location
from seqlens.data.dna.records import DnaRecord, Gene
from seqlens.data.examples import Place
from seqlens.data.readers import read_lines
from seqlens.errors import RequestError

_QUALIFIER_COLUMN = 21
_NAMES = ("gene", "locus_tag", "protein_id")
_SEQUENCE_LINE = re.compile(r"\s*(\d+)(?:\s+|$)")


@final
@dataclass(slots=True)
class _Feature:
    place: Place
    key: str
    location: str
    qualifiers: dict[str, str] = field(default_factory=dict)
    closed: bool = False  # a qualifier came, so the location has ended


@final
@dataclass(slots=True)
class _Entry:
    place: Place
    name: str
    features: list[_Feature] = field(default_factory=list)
    parts: list[str] = field(default_factory=list)
    section: str = "LOCUS"
    num_bases: int = 0


def read_genbank(path: Path) -> Iterator[DnaRecord]:
    """Yields the records of a file with their coding genes (CDS; pseudogenes left out).

    Raises:
        RequestError: as `read_lines`; a letter that is no base, a location that cannot be read or lies outside the
        sequence, a record without sequence or end, an empty file. The sentence names file and line.
    """
    entry: _Entry | None = None
    number, found = 0, False
    for number, line in read_lines(path):
        place = Place(str(path), number)
        if line.startswith("LOCUS"):
            if entry is not None:
                raise RequestError(f"{place} begins a record before '{entry.name}' has ended, expected '//' before it.")
            words = line.split()
            entry = _Entry(place, words[1] if len(words) > 1 else f"record at line {number}")
        elif line.startswith("//"):
            if entry is None:
                raise RequestError(f"{place} ends a record that has not begun, expected 'LOCUS' before '//'.")
            yield _finish(entry)
            entry, found = None, True
        elif entry is not None:
            _read_line(entry, line, place)
        elif line.strip():
            raise RequestError(f"{place} is outside a record: '{line[:40]}', expected a line that begins with 'LOCUS'.")
    if entry is not None:
        raise RequestError(f"{path} ends at line {number} inside the record '{entry.name}', expected '//': was it cut?")
    if not found:
        raise RequestError(f"{path} is empty, expected GenBank records.")


def _read_line(entry: _Entry, line: str, place: Place) -> None:
    if line[:1].strip():
        entry.section = line.split()[0]
    elif entry.section == "FEATURES":
        _read_feature_line(entry, line, place)
    elif entry.section == "ORIGIN" and line.strip():
        numbered = _SEQUENCE_LINE.match(line)
        if numbered is None or int(numbered[1]) != entry.num_bases + 1:
            raise RequestError(
                f"{place} begins with '{line[:12].strip()}', expected the number of its first base, "
                f"{entry.num_bases + 1}."
            )
        rest = line[numbered.end() :]
        sequence = clean_letters(rest.replace(" ", ""), place, first_column=numbered.end() + 1)
        entry.parts.append(sequence)
        entry.num_bases += len(sequence)


def _read_feature_line(entry: _Entry, line: str, place: Place) -> None:
    key, text = line[:_QUALIFIER_COLUMN].strip(), line[_QUALIFIER_COLUMN:].strip()
    if key:
        entry.features.append(_Feature(place, key, text))
        return
    if not entry.features or not text:
        return
    feature = entry.features[-1]
    if text.startswith("/"):
        name, _, value = text[1:].partition("=")
        feature.qualifiers.setdefault(name, value.strip('"'))
        feature.closed = True
    elif not feature.closed:
        feature.location += text


def _finish(entry: _Entry) -> DnaRecord:
    if not entry.num_bases:
        raise RequestError(f"{entry.place}: the record '{entry.name}' has no sequence, expected 'ORIGIN' and bases.")
    genes: list[Gene] = []
    for feature in entry.features:
        if feature.key == "CDS" and not feature.qualifiers.keys() & {"pseudo", "pseudogene"}:
            genes += _genes(feature, entry)
    genes.sort(key=lambda gene: (gene.start, gene.end))
    return DnaRecord(entry.name, "".join(entry.parts), tuple(genes), entry.place)


def _genes(feature: _Feature, entry: _Entry) -> Iterator[Gene]:
    """The gene of a CDS; two, which are parts of one, where it goes over the origin; none where it is elsewhere too."""
    try:
        location = parse_location(feature.location)
    except OtherRecordError:
        return
    except ValueError as error:
        raise RequestError(f"{feature.place}: {error}.") from error
    end = max(stretch[1] for stretch in location.stretches)
    if end > entry.num_bases:
        raise RequestError(
            f"{feature.place}: the CDS ends at base {end:,}, outside '{entry.name}', which has {entry.num_bases:,} "
            "bases."
        )
    start = feature.qualifiers.get("codon_start", "1")
    if start not in ("1", "2", "3"):
        raise RequestError(f"{feature.place}: 'codon_start' is '{start}', expected 1, 2 or 3.")
    name = next((feature.qualifiers[key] for key in _NAMES if key in feature.qualifiers), "")
    phase = int(start) - 1
    for part in location.parts:
        yield Gene(location.strand, part, phase, name)
        coding = sum(stretch[1] - stretch[0] for stretch in part)
        phase = (phase - coding) % 3
