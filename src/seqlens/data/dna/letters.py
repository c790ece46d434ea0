"""The letters of DNA and what each can stand for (IUPAC nucleotide codes, NC-IUB 1984)."""

import re

from seqlens.data.examples import Place
from seqlens.errors import RequestError

BASES = "ACGT"
MEANINGS = {
    "A": "A",
    "C": "C",
    "G": "G",
    "T": "T",
    "R": "AG",
    "Y": "CT",
    "S": "CG",
    "W": "AT",
    "K": "GT",
    "M": "AC",
    "B": "CGT",
    "D": "AGT",
    "H": "ACT",
    "V": "ACG",
    "N": "ACGT",
}
"""The bases that each letter can stand for."""
LETTERS = "".join(MEANINGS)

_COMPLEMENT = str.maketrans("ACGTRYSWKMBDHVN", "TGCAYRSWMKVHDBN")
_NO_LETTER = re.compile(f"[^{LETTERS}U{LETTERS.lower()}u]")
_NO_LETTER_NOR_SPACE = re.compile(f"[^{LETTERS}U{LETTERS.lower()}u\\s]")


def reverse_complement(sequence: str) -> str:
    """The other strand, read in its own direction."""
    return sequence.translate(_COMPLEMENT)[::-1]


def clean_letters(text: str, place: Place, *, first_column: int = 1, spaced: bool = False) -> str:
    """The text in capitals, U as T; `first_column` is that of its first letter in the file's line.

    `spaced`: white space may stand between letters, and is left out.

    Raises:
        RequestError: a letter is none of the IUPAC codes; the sentence names place and column.
    """
    # Before capitals are made: some letters of other scripts become two.
    wrong = (_NO_LETTER_NOR_SPACE if spaced else _NO_LETTER).search(text)
    if wrong is not None:
        letter = text[wrong.start()]
        shown = "a gap '-'" if letter == "-" else repr(letter)
        raise RequestError(
            f"{place} has {shown} at column {wrong.start() + first_column}, expected bases: A, C, G, T, U or the "
            "IUPAC letters R, Y, S, W, K, M, B, D, H, V, N."
        )
    sequence = "".join(text.split()) if spaced else text
    return sequence.upper().replace("U", "T")
