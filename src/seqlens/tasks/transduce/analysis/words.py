"""Plain words for counting, whatever codec a run has: the same for every model, so that models can be compared."""

import itertools
import re
import unicodedata
from functools import cache
from typing import NamedTuple

from seqlens.data.codecs.segmentation import HAN, UNSPACED, split_words, unspaced_pattern


class Token(NamedTuple):
    """A word or a symbol of a text.

    `text` is in small letters and in Unicode's form NFC; `text[start:end]` of the original is where it stands.
    `is_character`: a character of a script written without spaces, where words cannot be told apart.
    """

    text: str
    start: int
    end: int
    is_word: bool
    is_character: bool

    @property
    def has_letter(self) -> bool:
        """Whether it is a word that is not a number."""
        return self.is_word and any(character.isalpha() for character in self.text)


def split_tokens(text: str) -> list[Token]:
    """Words and symbols of a text, without white space; Han, kana, Thai and the like are cut into characters.

    Korean is written with spaces, so its words are those between them, endings and particles included.
    """
    tokens: list[Token] = []
    for start, end, _ in split_words(text):
        piece = text[start:end]
        if piece.isspace():
            continue
        if unicodedata.category(piece[0])[0] in "PS":
            tokens.append(Token(piece, start, end, False, False))
            continue
        for match in _run_pattern().finditer(piece):
            is_character = match.lastindex == 1
            tokens.append(Token(normalise(match[0]), start + match.start(), start + match.end(), True, is_character))
    return tokens


def words_of(tokens: list[Token]) -> list[str]:
    """The words among the tokens."""
    return [token.text for token in tokens if token.is_word]


def units_of(tokens: list[Token]) -> list[str]:
    """Words of two letters or more; of a script without spaces pairs of neighbours, since one says too little."""
    units = [token.text for token in tokens if token.has_letter and not token.is_character and len(token.text) > 1]
    for left, right in itertools.pairwise(tokens):
        if left.is_character and right.is_character and left.end == right.start:
            units.append(left.text + right.text)
    return units


def normalise(text: str) -> str:
    """Small letters, Unicode's form NFC."""
    return unicodedata.normalize("NFC", unicodedata.normalize("NFC", text).lower())


def written_without_spaces(texts: list[str]) -> bool:
    """Whether most letters of the texts are of a script that puts no spaces between words."""
    unspaced = letters = 0
    for text in texts:
        unspaced += len(unspaced_pattern().findall(text))
        letters += sum(character.isalpha() for character in text)
    return 2 * unspaced > letters


@cache
def _run_pattern() -> re.Pattern[str]:
    # Vowel signs and tone marks go with the character they stand on.
    marks = r"[\u0300-\u036f\u0e31\u0e34-\u0e3a\u0e47-\u0e4e\u0eb1\u0eb4-\u0ebc\u0ec8-\u0ece\u0f71-\u0f84\u0f90-\u0fbc"
    marks += r"\u102b-\u103e\u1056-\u1059\u17b4-\u17d3\u3099\u309a\uff9e\uff9f]*"
    return re.compile(rf"([{HAN}{UNSPACED}]{marks})|[^{HAN}{UNSPACED}]+")
