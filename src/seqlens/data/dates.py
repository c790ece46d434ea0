"""A task without a download: dates as people write them in many locales, to ISO 8601.

    2009년 6월 25일                          -> 2009-06-25
    25 juin 2009; Thursday, July 2, 2009    -> 2009-06-25 2009-07-02

**Days.** Every day from 1900-01-01 to 2099-12-31 is equally likely.

**Splits.** A day belongs to one split for good, by a hash of its ISO form that knows neither the seed nor any
setting: about 80 % of all days are training days, 10 % validation days and 10 % test days, and all dates of a
sentence are days of its split. So a held-out sentence shows no day that any training sentence shows, in any
form, and no source string stands in two splits. Within a split the same string may come twice.

**Sentences.** Half of them hold one date; the others hold two to `max_dates`, each number equally often (all
hold one where `max_dates` is 1). Half of the sentences with several dates are by one writer: one locale, one
form, and half the time joined as that locale joins a list, such as `a, b, and c`. The others mix locales and
forms. All else is joined by `, ` or `; ` or ` / `. A locale is drawn first, uniformly, then one of its forms.
One date in twenty is written in capitals and one in twenty in small letters, where its letters are Latin.

Targets follow from `seed`, `max_dates` and the split alone; how sources write them also depends on `locales`
and on the version of CLDR inside babel.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import date
from hashlib import sha256
from random import Random
from typing import Annotated, Literal

from pydantic import Field

from seqlens.data.date_patterns import (
    FIRST_YEAR,
    LAST_YEAR,
    LOCALES,
    DateForm,
    LocaleForms,
    build_locale_forms,
)
from seqlens.data.examples import Pair
from seqlens.errors import RequestError, did_you_mean

DATE_SPLITS = ("train", "validation", "test")
_JOINERS = (", ", "; ", " / ")
_FIRST_DAY = date(FIRST_YEAR, 1, 1).toordinal()
_NUM_DAYS = date(LAST_YEAR, 12, 31).toordinal() - _FIRST_DAY + 1


@dataclass(frozen=True, slots=True)
class DatesData:
    """How many sentences each split holds, and how they are written; `locales=None` takes all of them."""

    kind: Literal["dates"] = "dates"
    num_train: Annotated[int, Field(ge=1)] = 20_000
    num_validation: Annotated[int, Field(ge=1)] = 1_000
    num_test: Annotated[int, Field(ge=1)] = 1_000
    max_dates: Annotated[int, Field(ge=1, le=32)] = 4
    locales: Annotated[tuple[str, ...], Field(min_length=1)] | None = None
    seed: Annotated[int, Field(ge=0)] = 0


def generate_dates(config: DatesData, split: str) -> Iterator[Pair]:
    """Yields the pairs of a split, the same for the same config; a larger split begins with a smaller one.

    Raises RequestError, before the first pair, for an unknown split or locale or for `max_dates` below one.
    """
    if split not in DATE_SPLITS:
        raise RequestError(
            f"The dates have no split {split!r}, expected one of {', '.join(DATE_SPLITS)}."
            f"{did_you_mean(split, DATE_SPLITS)}"
        )
    if config.max_dates < 1:
        raise RequestError(f"'max_dates' of the dates is {config.max_dates}, expected 1 or more.")
    codes = LOCALES if config.locales is None else config.locales
    if not codes:
        raise RequestError("'locales' of the dates is empty, expected at least one locale, or null for all.")
    for code in codes:
        if code not in LOCALES:
            raise RequestError(
                f"'locales' of the dates holds {code!r}, expected any of {', '.join(LOCALES)}."
                f"{did_you_mean(code, LOCALES)}"
            )
    sizes = {"train": config.num_train, "validation": config.num_validation, "test": config.num_test}
    return _pairs(config, split, sizes[split], codes)


def split_of_day(day: date) -> str:
    """Returns the split that a day belongs to, whatever the seed."""
    bucket = sha256(day.isoformat().encode()).digest()[0]  # 0 to 255
    return "train" if bucket < 205 else "validation" if bucket < 230 else "test"


def count_dates(target: str) -> int:
    """Returns the number of dates in a target, to score sentences by how many dates they hold."""
    return len(target.split())


def describe_locales() -> list[tuple[str, str, str]]:
    """Returns code, English name and an example of each locale: 25 June 2009, in the script's own digits."""
    day = date(2009, 6, 25)
    described = []
    for code in LOCALES:
        locale = build_locale_forms(code)
        long_forms = [form for form in locale.forms if form.name == "long"]
        described.append((code, locale.name, long_forms[-1].render(day)))
    return described


def _pairs(config: DatesData, split: str, size: int, codes: tuple[str, ...]) -> Iterator[Pair]:
    locales = [build_locale_forms(code) for code in codes]
    # Of random's methods only random() is promised to stay the same in later versions of Python.
    draw = Random(f"seqlens.dates {config.seed} {split}").random
    for _ in range(size):
        several = draw() < 0.5 and config.max_dates > 1
        num_dates = 2 + int(draw() * (config.max_dates - 1)) if several else 1
        days = [_draw_day(draw, split) for _ in range(num_dates)]
        yield Pair(source=_write(draw, locales, days), target=" ".join([day.isoformat() for day in days]))


def _draw_day(draw: Callable[[], float], split: str) -> date:
    while True:
        day = date.fromordinal(_FIRST_DAY + int(draw() * _NUM_DAYS))
        if split_of_day(day) == split:
            return day


def _write(draw: Callable[[], float], locales: list[LocaleForms], days: list[date]) -> str:
    # The number of draws does not depend on CLDR's data, so that a new version of it changes no target.
    one_writer, own_list = draw() < 0.5, draw() < 0.5
    joiner = _JOINERS[int(draw() * len(_JOINERS))]
    writers = [(draw(), draw(), draw()) for _ in days]
    if one_writer:
        writers = [writers[0] for _ in days]
    written = []
    for (locale_share, form_share, case_share), day in zip(writers, days, strict=True):
        locale = locales[int(locale_share * len(locales))]
        form = locale.forms[int(form_share * len(locale.forms))]
        written.append(_in_case(form, form.render(day), case_share))
    return locale.join(written) if one_writer and own_list else joiner.join(written)


def _in_case(form: DateForm, text: str, share: float) -> str:
    if not form.cased or share >= 0.1:
        return text
    return text.upper() if share < 0.05 else text.lower()
