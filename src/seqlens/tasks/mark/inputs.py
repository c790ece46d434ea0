"""What the task `mark` is given to answer."""

from collections.abc import Iterable
from dataclasses import dataclass

from seqlens.data.codecs.nucleotides import NucleotidesCodec
from seqlens.data.dna.fasta import parse_fasta
from seqlens.data.dna.records import DnaRecord

_CODEC = NucleotidesCodec()


@dataclass(frozen=True, slots=True)
class DnaInput:
    """A sequence and what it is called."""

    name: str
    sequence: str


def read_dna_input(given: DnaInput | DnaRecord | str, number: int) -> DnaInput:
    """A sequence as given: with its name, or plain, and then named after its number.

    Raises:
        RequestError: a letter is none of DNA.
    """
    if isinstance(given, DnaInput | DnaRecord):
        return DnaInput(given.name, given.sequence)
    sequence = _CODEC.normalise(given)
    _CODEC.encode(sequence)
    return DnaInput(f"sequence{number}", sequence)


def read_dna_lines(lines: Iterable[str], file: str) -> list[DnaInput]:
    """The sequences in lines of FASTA; without a line that begins with '>', each line is a sequence.

    Raises:
        RequestError: a letter is none of DNA.
    """
    given = [line for line in lines if line.strip()]
    if given and given[0].startswith(">"):
        return [DnaInput(record.name, record.sequence) for record in parse_fasta(enumerate(given, 1), file)]
    return [read_dna_input(line, number) for number, line in enumerate(given, 1)]
