"""FASTA: a line `>name description`, then the sequence on any number of lines; gzipped or not."""

from collections.abc import Iterable, Iterator
from pathlib import Path

from seqlens.data.dna.letters import clean_letters
from seqlens.data.dna.records import DnaRecord
from seqlens.data.examples import Place
from seqlens.data.readers import read_lines
from seqlens.errors import RequestError


def read_fasta(path: Path, *, unique: bool = True) -> Iterator[DnaRecord]:
    """Yields the sequences of a file, without genes; a name is the first word of its line.

    With `unique=False` a name may come again: where nothing is looked up by it.

    Raises:
        RequestError: as `read_lines`; a letter that is no base, a record without a sequence, bases before the first
        name, a name that comes twice, an empty file. The sentence names file and line.
    """
    yield from parse_fasta(read_lines(path), str(path), unique=unique)


def parse_fasta(lines: Iterable[tuple[int, str]], file: str, *, unique: bool = True) -> Iterator[DnaRecord]:
    """The same from numbered lines, such as those at the end of a GFF3 file."""
    name: str | None = None
    place = Place(file, 1)
    parts: list[str] = []
    seen: set[str] = set()
    number = 0
    for number, raw in lines:
        line = raw.strip()
        if line.startswith(">"):
            if name is not None:
                yield _record(name, parts, place)
            place, parts = Place(file, number), []
            name = (line[1:].split() or [f"sequence {len(seen) + 1}"])[0]
            if unique and name in seen:
                raise RequestError(f"{place} has the name '{name}' a second time, expected each sequence once.")
            seen.add(name)
        elif line and not line.startswith(";"):
            if name is None:
                raise RequestError(
                    f"{Place(file, number)} has no name before it: {_excerpt(line)}, expected a line such as '>chr1'."
                )
            parts.append(clean_letters(line.removesuffix("*"), Place(file, number)))
    if name is None:
        found = "is empty" if not number else "has no line that begins with '>'"
        raise RequestError(f"{file} {found}, expected FASTA: a line '>name', then lines of bases.")
    yield _record(name, parts, place)


def _record(name: str, parts: list[str], place: Place) -> DnaRecord:
    if not any(parts):
        raise RequestError(f"{place}: '{name}' has no sequence, expected lines of bases after its name.")
    return DnaRecord(name, "".join(parts), (), place)


def _excerpt(text: str) -> str:
    return f"'{text}'" if len(text) <= 40 else f"'{text[:40]}...'"
