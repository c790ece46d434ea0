"""What can be wrong with one text, told from its characters alone."""

import re
import unicodedata
from functools import lru_cache

_CONTROL = re.compile("[\x00-\x08\x0e-\x1b\x1f\x7f-\x84\x86-\x9f\ufeff\ufff9-\ufffb]")
_LINE_SEPARATOR = re.compile("[\x0b-\x0d\x1c-\x1e\x85\u2028\u2029]")
# The second byte of a UTF-8 character (0x80 to 0xBF), read as Latin-1 or Windows-1252; those that also close
# a
# quotation or a clause come after, as they prove nothing at the end of a word in capitals.
_SECOND = "\x80-\xba\xbc-\xbf€‚ƒ„†‡ˆ‰Š‹ŒŽ‘“•˜™šœžŸ"
_CLOSING = "»’”…–—›"
_MOJIBAKE = re.compile(
    f"[ÂÃ](?:[{_SECOND}]|[{_CLOSING}](?=\\w))"  # é as Ã©, a no-break space as Â followed by one
    f"|â[\x80-\x84€‚ƒ„][{_SECOND}{_CLOSING}]"  # quotation marks, dashes, the ellipsis, the euro sign
    f"|(?:[ÐÑ][{_SECOND}{_CLOSING}]){{2}}"  # Cyrillic
    f"|(?:[ÎÏ][{_SECOND}{_CLOSING}]){{2}}"  # Greek
    "|ï»¿"  # a byte order mark
)
# First words of character names that say how a letter is drawn, not which script it is of.
_SHAPES = frozenset({"FULLWIDTH", "HALFWIDTH"})
_OF_NO_SCRIPT = frozenset(
    {"MATHEMATICAL", "MODIFIER", "MASCULINE", "FEMININE", "MICRO", "DOUBLE-STRUCK", "SCRIPT", "BLACK-LETTER", ""}
)
# Japanese mixes three of them in every sentence, so they count as one.
_EAST_ASIAN = {"CJK": "Han or Kana", "HIRAGANA": "Han or Kana", "KATAKANA": "Han or Kana"}


def find_text_faults(text: str) -> list[str]:
    """Returns the kinds of fault in a text, each once, of `replacement-character` (U+FFFD stands where a byte
    could not be read), `control-character`, `line-separator` (U+2028 and its like, at which other tools end a
    line) and `mojibake` (UTF-8 that was read as Windows-1252, such as Ã© for é).
    """
    if text.isascii() and text.isprintable():
        return []
    faults = []
    if "\ufffd" in text:
        faults.append("replacement-character")
    if _LINE_SEPARATOR.search(text):
        faults.append("line-separator")
    if _CONTROL.search(text):
        faults.append("control-character")
    if _MOJIBAKE.search(text):
        faults.append("mojibake")
    return faults


def script_of(text: str) -> str | None:
    """Returns the script that most letters of a text are of, such as `Latin`, or None where no letter tells.

    The script is the first word of the letter's Unicode name. Han, Hiragana and Katakana count as one.
    """
    if text.isascii():
        return "Latin" if any(character.isalpha() for character in text) else None
    counts: dict[str, int] = {}
    for character in text:
        script = _script_of_letter(character)
        if script is not None:
            counts[script] = counts.get(script, 0) + 1
    return max(counts, key=lambda script: counts[script]) if counts else None


@lru_cache(maxsize=4096)
def _script_of_letter(character: str) -> str | None:
    if not character.isalpha():
        return None
    words = [word for word in unicodedata.name(character, "").split() if word not in _SHAPES] or [""]
    word = words[0].partition("-")[0] if words[0] not in _OF_NO_SCRIPT else words[0]
    return None if word in _OF_NO_SCRIPT else _EAST_ASIAN.get(word, word.capitalize())
