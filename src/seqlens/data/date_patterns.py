"""Dates as people write them: CLDR's patterns, turned once into tables that are cheap to render from.

A *form* is one way in which one locale writes a whole date. Kept are the patterns of CLDR that hold a day,
a month and a year of four digits, and that nobody can read as another day: either the month has a name
(`25 juin 2009`, `25 tháng 6, 2009`), or the order is year, month, day (`2009. 6. 25.`, `2009年6月25日`).
Numeric forms with the year at the end (`25/06/2009`, `6/25/2009`, `25. 6. 2009`) are dropped for every
locale. The calendar is always the Gregorian one.
"""

import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from typing import Literal

LOCALES = (
    "en_US", "en_GB", "de", "nl", "sv", "fr", "es", "pt", "it", "pl", "cs", "lt", "fi", "hu", "tr", "vi",
    "ru", "uk", "el", "he", "ar", "fa", "hi", "bn", "th", "ko", "ja", "zh",
)  # fmt: skip
FIRST_YEAR = 1900
LAST_YEAR = 2099

# Where to look for patterns, in this order: CLDR's four named lengths, then skeletons.
_NAMED = ("full", "long", "medium", "short")
_SKELETONS = ("yMMMMEEEEd", "yMMMMd", "yMMMEd", "yMMMd", "yMEd", "yMd", "yMMdd")

# The digit zero of the decimal numbering systems used here; the other nine digits follow it in Unicode.
_ZEROS = {"latn": "0", "arab": "٠", "arabext": "۰", "beng": "০", "deva": "०", "thai": "๐"}

_SPACES = dict.fromkeys(map(ord, "\u00a0\u2007\u2009\u202f"), " ")
_BIDI_MARKS = dict.fromkeys([0x061C, 0x200E, 0x200F, *range(0x202A, 0x202F), *range(0x2066, 0x206A)], "")
_CLEANED = {**_SPACES, **_BIDI_MARKS}

# (field, table): field is "y", "m", "d" or "w" (the day of the week), or "" for fixed text in a table of one.
Piece = tuple[str, tuple[str, ...]]


@dataclass(frozen=True, slots=True)
class DateForm:
    """One way to write a date; `name` is CLDR's (`long`, `yMMMd`) and `digits` its numbering system (`latn`).

    `cased` says whether the form may also be written in capitals or in small letters: only in Latin script.
    """

    locale: str
    name: str
    digits: str
    pattern: str
    pieces: tuple[Piece, ...]
    cased: bool

    def render(self, day: date) -> str:
        """Writes `day`, whose year is between `FIRST_YEAR` and `LAST_YEAR`."""
        index = {"y": day.year - FIRST_YEAR, "m": day.month - 1, "d": day.day - 1, "w": day.weekday(), "": 0}
        return "".join([table[index[field]] for field, table in self.pieces])


@dataclass(frozen=True, slots=True)
class LocaleForms:
    """All forms of a locale, and the texts that stand between the items of its lists (`, `, ` and `)."""

    code: str
    name: str
    forms: tuple[DateForm, ...]
    separators: tuple[str, str, str, str]

    def join(self, texts: Sequence[str]) -> str:
        """Joins by the locale's own conjunction: `a`, `a and b`, `a, b, and c`."""
        pair, start, middle, end = self.separators
        if len(texts) < 2:
            return "".join(texts)
        between = [pair] if len(texts) == 2 else [start, *[middle] * (len(texts) - 3), end]
        return texts[0] + "".join([separator + text for separator, text in zip(between, texts[1:], strict=True)])


def clean(text: str) -> str:
    """Writes no-break and narrow spaces as plain ones and drops the invisible marks of writing direction."""
    return text.translate(_CLEANED)


def native_digits(text: str, numbering: str) -> str:
    """Writes the ASCII digits of `text` in a numbering system of CLDR such as `arab`."""
    zero = ord(_ZEROS[numbering])
    return text.translate({ord("0") + digit: zero + digit for digit in range(10)})


def build_locale_forms(code: str) -> LocaleForms:
    """Reads the forms of one of `LOCALES` from babel's copy of CLDR."""
    from babel import Locale

    locale = Locale.parse(code)
    patterns: dict[str, str] = {}  # pattern -> CLDR's name of it
    for name in _NAMED:
        patterns.setdefault(str(locale.date_formats[name].pattern), name)
    for skeleton in _SKELETONS:
        if skeleton in locale.datetime_skeletons:
            patterns.setdefault(str(locale.datetime_skeletons[skeleton].pattern), skeleton)
    # The customary digits, and the script's own digits where they are still written beside the western ones.
    numberings = [locale.default_numbering_system, locale.other_numbering_systems.get("native", "latn")]
    numberings = [numbering for numbering in dict.fromkeys(numberings) if numbering in _ZEROS]
    forms: dict[tuple[Piece, ...], DateForm] = {}  # patterns that come out alike in this locale count once
    for pattern, name in patterns.items():
        for numbering in numberings if _is_unambiguous(pattern) else ():
            form = _build_form(code, name, pattern, numbering)
            forms.setdefault(form.pieces, form)
    lists = locale.list_patterns["standard"]
    pair, start, middle, end = (_separator(lists[position]) for position in ("2", "start", "middle", "end"))
    english_name = str(locale.get_display_name("en") or code)
    return LocaleForms(code=code, name=english_name, forms=tuple(forms.values()), separators=(pair, start, middle, end))


def _fields(pattern: str) -> list[tuple[str, str | tuple[str, int]]]:
    from babel.dates import tokenize_pattern

    return tokenize_pattern(pattern)


def _is_unambiguous(pattern: str) -> bool:
    widths = dict(value for kind, value in _fields(pattern) if kind == "field" and isinstance(value, tuple))
    month = max(widths.get("M", 0), widths.get("L", 0))
    if not (month and {"y", "d"} <= widths.keys() <= set("yMLdEcG")) or widths["y"] == 2:
        return False
    if max(widths.values()) > 4 or widths.get("c", 4) < 3:  # one-letter names, numbered days of the week
        return False
    order = [field for field in widths if field in "yMLd"]
    return month >= 3 or (order[0], order[-1]) == ("y", "d")


def _build_form(code: str, name: str, pattern: str, numbering: str) -> DateForm:
    pieces: list[Piece] = []
    for _, value in _fields(pattern):
        field, table = ("", (value,)) if isinstance(value, str) else _field_table(code, *value)
        pieces.append((field, tuple(native_digits(clean(text), numbering) for text in table)))
    letters = {letter for _, table in pieces for text in table for letter in text if letter.isalpha()}
    # Turkish has two letters i, which Python's upper() and lower() would confuse.
    cased = bool(letters) and code != "tr" and all(map(_is_latin, letters))
    return DateForm(locale=code, name=name, digits=numbering, pattern=pattern, pieces=tuple(pieces), cased=cased)


def _is_latin(letter: str) -> bool:
    return unicodedata.name(letter).startswith("LATIN")


def _field_table(code: str, letter: str, width: int) -> tuple[str, tuple[str, ...]]:
    """Returns the field and all its values for a letter of a CLDR pattern repeated `width` times."""
    from babel.dates import get_day_names, get_era_names, get_month_names

    if letter == "y":
        return "y", tuple(f"{year:0{width}d}" for year in range(FIRST_YEAR, LAST_YEAR + 1))
    if letter == "d":
        return "d", tuple(f"{day:0{width}d}" for day in range(1, 32))
    if letter == "G":
        return "", (get_era_names("wide" if width == 4 else "abbreviated", code)[1],)
    if letter in "ML" and width < 3:
        return "m", tuple(f"{month:0{width}d}" for month in range(1, 13))
    length: Literal["wide", "abbreviated"] = "wide" if width == 4 else "abbreviated"
    context: Literal["stand-alone", "format"] = "stand-alone" if letter in "Lc" else "format"
    if letter in "ML":
        months = get_month_names(length, context, code)
        return "m", tuple(str(months[month]) for month in range(1, 13))
    days = get_day_names(length, context, code)
    return "w", tuple(str(days[day]) for day in range(7))


def _separator(pattern: str) -> str:
    return clean(pattern.removeprefix("{0}").removesuffix("{1}"))
