"""Where a text is cut: into words and symbols for the words codec, into chunks for the subwords codec.

What is a letter or a symbol is Python's Unicode table's to say. A character that a newer Unicode added may
move from one class to the other with a newer Python; nothing is lost by that, the text is only cut elsewhere.
"""

import re
import unicodedata
from functools import cache
from typing import NamedTuple

# A join says on which side of a piece the single space is missing that otherwise stands between two pieces.
APART = 0
JOINED_LEFT = 1
JOINED_RIGHT = 2
JOINED_BOTH = 3

# Longer runs without a space are cut here, which bounds the time and memory that one word of a hostile text
# takes.
MAX_CHUNK_LENGTH = 64

HAN = "\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U00020000-\U0003ffff"
# Scripts written without spaces between words, beside Han: kana, Thai, Lao, Tibetan, Myanmar, Khmer.
UNSPACED = (
    "\u3041-\u30ff\u31f0-\u31ff\uff66-\uff9f\u0e00-\u0e7f\u0e80-\u0eff\u0f00-\u0fff\u1000-\u109f\u1780-\u17ff"
    "\U0001b000-\U0001b16f"
)
# What changes the look of the symbol before it: variation selectors, the keycap frame, skin tones, tags
# (flags).
_MODIFIERS = "\ufe0e\ufe0f\u20e3\U0001f3fb-\U0001f3ff\U000e0020-\U000e007f\U000e0100-\U000e01ef"
_JOINER = "\u200d"
_REGIONAL = "\U0001f1e6-\U0001f1ff"


class Piece(NamedTuple):
    """A word, a symbol or a white-space character: the span in the text, and its join."""

    start: int
    end: int
    join: int


def split_words(text: str) -> list[Piece]:
    """Cuts a text into words, symbols and such white space as is not implied.

    Between two pieces there is one space, unless one of them is joined to the other. Joins are marked on
    symbols only, so that a word has one form: on the second piece if it is a symbol, otherwise on the first.
    White space that is no single space between two pieces is a piece itself, one for each character. A symbol
    is a punctuation mark, a sign, an emoji sequence or a Han character; a word is a run of anything else.
    """
    pieces: list[Piece] = []
    has_space = False  # whether the implied single space stands before the next piece
    for match in _word_pattern().finditer(text):
        start, end = match.span()
        is_word = match.lastindex == 1
        if match.lastindex == 3 and text[start] == " " and pieces and not has_space:
            has_space = True
            continue
        join = APART
        if pieces and not has_space:
            if is_word:
                last = pieces[-1]
                pieces[-1] = Piece(last.start, last.end, last.join | JOINED_RIGHT)
            else:
                join = JOINED_LEFT
        pieces.append(Piece(start, end, join))
        has_space = False
    if has_space:  # a space at the end of the text stands between no two pieces
        pieces.append(Piece(len(text) - 1, len(text), JOINED_LEFT))
    return pieces


def split_chunks(part: str, max_digits: int = MAX_CHUNK_LENGTH) -> list[str]:
    """Puts a space before a part of a text and cuts it into runs of letters, of digits, of symbols and of white space.

    One space goes with the run that follows it. No subword reaches across a cut. An empty part has no runs. Runs of
    digits are cut after `max_digits`.
    """
    return cut_chunks(" " + part, max_digits) if part else []


def cut_chunks(text: str, max_digits: int = MAX_CHUNK_LENGTH) -> list[str]:
    """Cuts a text as `split_chunks` does, with no space put before it."""
    return _chunk_pattern(max_digits).findall(text)


def is_symbol(character: str) -> bool:
    """Whether a character is a punctuation mark or a sign (Unicode's categories P and S)."""
    return unicodedata.category(character)[0] in "PS"


def is_mark(character: str) -> bool:
    """Whether a character combines with the one before it (Unicode's category M)."""
    return unicodedata.category(character)[0] == "M"


@cache
def unspaced_pattern() -> re.Pattern[str]:
    """A character of a script that puts no spaces between words."""
    return re.compile(f"[{HAN}{UNSPACED}]")


@cache
def _word_pattern() -> re.Pattern[str]:
    symbols = _symbols() + HAN
    symbol = rf"[{symbols}][{_MODIFIERS}]*"
    return re.compile(rf"([^\s{symbols}]+)|([{_REGIONAL}]{{2}}|{symbol}(?:{_JOINER}{symbol})*)|(\s)")


@cache
def _chunk_pattern(max_digits: int) -> re.Pattern[str]:
    symbols, longest = _symbols(), MAX_CHUNK_LENGTH
    return re.compile(
        rf" ?[^\s\d{symbols}]{{1,{longest}}}"
        rf"| ?\d{{1,{max_digits}}}"
        rf"| ?[{symbols}][{symbols}{_MODIFIERS}{_JOINER}]{{0,{longest - 1}}}"
        rf"|\s{{1,{longest}}}(?!\S)"
        rf"|\s{{1,{longest}}}"
    )


def _symbols() -> str:
    """Returns all punctuation and signs (Unicode's categories P and S) as ranges of a regular expression."""
    ranges: list[list[int]] = []
    for code in range(0x20000):  # beyond, there are no symbols
        if is_symbol(chr(code)):
            if ranges and ranges[-1][1] == code - 1:
                ranges[-1][1] = code
            else:
                ranges.append([code, code])
    return "".join(rf"\U{first:08x}-\U{last:08x}" for first, last in ranges)
