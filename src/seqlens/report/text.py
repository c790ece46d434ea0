"""Text of any script made safe to show: cleaned, escaped and measured."""

import html
import unicodedata


def clean_text(text: str) -> str:
    """Returns the text with what no page or terminal can show, control characters and lone surrogates, as U+FFFD."""
    return "".join("\N{REPLACEMENT CHARACTER}" if _is_unshowable(character) else character for character in text)


def escape(text: str) -> str:
    """Returns the text cleaned and escaped, for the inside of an HTML element or of a quoted attribute."""
    return html.escape(clean_text(text), quote=True)


def isolate(text: str) -> str:
    """Returns the text between directional isolates (U+2068, U+2069), which show nothing themselves.

    To be used where texts of unknown script are put into one line: without it, a date behind an Arabic word is
    shown with its numbers in reverse order.
    """
    return f"\N{FIRST STRONG ISOLATE}{text}\N{POP DIRECTIONAL ISOLATE}"


def direction(text: str) -> str:
    """Returns the value of HTML's `dir` for a text: `auto`, but `ltr` for one put together from isolated texts.

    Browsers look inside isolates for the first strong letter; the sentence around them is the program's own.
    """
    return "ltr" if "\N{FIRST STRONG ISOLATE}" in text else "auto"


def display_width(text: str) -> int:
    """Returns how many columns of a fixed-width font the text takes: 2 for wide characters, 0 for combining ones."""
    return sum(_character_width(character) for character in text)


def is_right_to_left(text: str) -> bool:
    """Whether the text holds a letter of a script that is written from right to left."""
    return any(unicodedata.bidirectional(character) in ("R", "AL") for character in text)


def is_wide(text: str) -> bool:
    """Whether the text is made of full-width characters only (Hangul, kana, ideographs)."""
    return bool(text) and all(unicodedata.east_asian_width(character) in ("W", "F") for character in text)


def _is_unshowable(character: str) -> bool:
    return unicodedata.category(character) in ("Cc", "Cs") and character not in "\n\t"


def _character_width(character: str) -> int:
    if unicodedata.category(character) in ("Mn", "Me", "Cf"):
        return 0
    return 2 if unicodedata.east_asian_width(character) in ("W", "F") else 1
