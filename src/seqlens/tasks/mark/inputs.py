"""What the task `mark` is given to answer."""

from dataclasses import dataclass

from seqlens.data.codecs.nucleotides import NucleotidesCodec
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
