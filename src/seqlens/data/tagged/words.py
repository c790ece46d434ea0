"""A raw text to tokens, with their places in it."""

import re
import unicodedata
from functools import cache, lru_cache
from typing import Literal

TokenRule = Literal["words", "posts", "spaces", "letters"]
"""`words`: runs of letters and digits, and every other sign alone; in scripts without spaces between words, every
letter alone. `posts`: as that, but addresses, `@names`, `#tags` and `'s` stay whole. `spaces`: whatever stands between
spaces. `letters`: every letter alone, with its marks, for names that are a part of a word, as where particles follow
them.
"""

_ASCII = re.compile(r"[A-Za-z0-9]+|[^\sA-Za-z0-9]")
_SPACES = re.compile(r"\S+")
# First words of the names of letters whose scripts put no spaces between words.
_UNSPACED = frozenset({"CJK", "HIRAGANA", "KATAKANA", "THAI", "LAO", "KHMER", "MYANMAR"})


def tokenise(text: str, rule: TokenRule = "words") -> list[tuple[int, int]]:
    """Returns the span `(start, stop)` of every token; white space is in none."""
    match rule:
        case "spaces":
            return [found.span() for found in _SPACES.finditer(text)]
        case "words":
            return _words(text, 0, len(text))
        case "letters":
            return _words(text, 0, len(text), alone=True)
        case "posts":
            tokens: list[tuple[int, int]] = []
            begin = 0
            for whole in _whole_pattern().finditer(text):
                tokens += [*_words(text, begin, whole.start()), whole.span()]
                begin = whole.end()
            return tokens + _words(text, begin, len(text))


@cache
def _whole_pattern() -> re.Pattern[str]:
    # Letters are spelt with marks and joiners in many scripts; of these `\w` matches none.
    marks = "".join(chr(code) for code in range(0x300, 0x20000) if unicodedata.category(chr(code))[0] == "M")
    name = rf"\w[\w{re.escape(marks)}\u200c\u200d]*"
    return re.compile(rf"https?://\S+|[@#]{name}|(?<=\w)['’](?:s|m|re|ve|ll|d|t)\b", re.IGNORECASE)


def _words(text: str, begin: int, end: int, *, alone: bool = False) -> list[tuple[int, int]]:
    if text.isascii() and not alone:
        return [found.span() for found in _ASCII.finditer(text, begin, end)]
    tokens: list[tuple[int, int]] = []
    in_word = False
    for place in range(begin, end):
        kind = _kind(text[place])
        # A mark belongs to what stands before it, whatever that is.
        if tokens and tokens[-1][1] == place and (kind == "mark" or (in_word and kind == "letter" and not alone)):
            tokens[-1] = (tokens[-1][0], place + 1)
            continue
        if kind != "space":
            tokens.append((place, place + 1))
        in_word = kind == "letter"
    return tokens


@lru_cache(maxsize=65_536)
def _kind(character: str) -> Literal["space", "letter", "mark", "alone"]:
    if character.isspace():
        return "space"
    category = unicodedata.category(character)
    if category[0] == "M" or character in "\u200c\u200d":
        return "mark"
    if category[0] not in "LN":
        return "alone"
    return "alone" if unicodedata.name(character, "").partition(" ")[0] in _UNSPACED else "letter"
