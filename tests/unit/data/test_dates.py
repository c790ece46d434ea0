"""The dates task: its forms are CLDR's, no source has two readings, and the splits share no day."""

import hashlib
import os
import re
import subprocess
import sys
import unicodedata
from collections import Counter
from datetime import date, timedelta
from itertools import islice
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import TypeAdapter, ValidationError

from seqlens.data.date_patterns import (
    LOCALES,
    DateForm,
    LocaleForms,
    build_locale_forms,
    clean,
    native_digits,
)
from seqlens.data.dates import (
    DATE_SPLITS,
    DatesData,
    count_dates,
    describe_locales,
    generate_dates,
    split_of_day,
)
from seqlens.errors import RequestError

babel_dates = pytest.importorskip("babel.dates")
babel_lists = pytest.importorskip("babel.lists")

LOCALE_FORMS = [build_locale_forms(code) for code in LOCALES]
FORMS = [form for locale in LOCALE_FORMS for form in locale.forms]
SMALL = DatesData(num_train=3000, num_validation=600, num_test=600)


def form_id(form: DateForm) -> str:
    return f"{form.locale}-{form.name}-{form.digits}"


def random_days(seed: str, count: int) -> list[date]:
    rng = Random(seed)
    return [date(1900, 1, 1) + timedelta(days=rng.randrange(73_049)) for _ in range(count)]


def written_months(code: str) -> dict[str, set[int]]:
    """All names of months that CLDR has in a locale, in lower case, with the months they may mean."""
    meanings: dict[str, set[int]] = {}
    for width in ("wide", "abbreviated"):
        for context in ("format", "stand-alone"):
            for month, name in babel_dates.get_month_names(width, context, code).items():
                meanings.setdefault(clean(name).lower(), set()).add(month)
    return meanings


@pytest.mark.parametrize("form", FORMS, ids=form_id)
def test_a_form_writes_what_babel_writes(form: DateForm) -> None:
    days = [*random_days(form_id(form), 20), date(1900, 1, 1), date(2099, 12, 31), date(2000, 2, 29)]
    for day in days:
        if form.name in ("full", "long", "medium", "short"):
            expected = babel_dates.format_date(day, form.name, locale=form.locale)
        else:
            expected = babel_dates.format_skeleton(form.name, day, fuzzy=False, locale=form.locale)
        assert form.render(day) == native_digits(clean(expected), form.digits)


@pytest.mark.parametrize("form", FORMS, ids=form_id)
def test_day_month_and_year_of_the_answer_stand_in_the_source(form: DateForm) -> None:
    # int() reads the digits of any script, so this knows nothing of patterns or numbering systems.
    months = written_months(form.locale)
    for day in random_days(f"parse {form_id(form)}", 40):
        source = form.render(day)
        if set(form.pattern) & set("Ec"):
            source = without_weekday(source, day, form.locale)
        numbers = [int(number) for number in re.findall(r"\d+", source)]
        assert [number for number in numbers if number > 99] == [day.year]  # Gregorian, in full
        named = [name for name in months if name in source.lower()]
        if named:
            assert months[max(named, key=len)] == {day.month}
            numbers.remove(day.year)
            assert numbers[-1 if numbers[0] == day.month else 0] == day.day
        else:
            assert numbers == [day.year, day.month, day.day]


def without_weekday(source: str, day: date, code: str) -> str:
    names = {
        clean(babel_dates.get_day_names(width, context, code)[day.weekday()])
        for width in ("wide", "abbreviated")
        for context in ("format", "stand-alone")
    }
    # The day of the week stands at one end, and `mar.` may be a Tuesday or a month.
    for name in sorted(names, key=len, reverse=True):
        if source.startswith(name):
            return source.removeprefix(name)
        if source.rstrip(")").endswith(name):
            return source.rstrip(")").removesuffix(name)
    raise AssertionError(f"No day of the week in {source!r} of {day}")


def test_no_source_has_two_readings() -> None:
    days = [date(year, 1, 1) + timedelta(days=offset) for year in (1912, 2011) for offset in range(365)]
    readings: dict[str, str] = {}
    for form in FORMS:
        for day in days:
            # Without regard to case, so that no variant in capitals or small letters can collide either.
            source = form.render(day).casefold()
            assert readings.setdefault(source, day.isoformat()) == day.isoformat(), (source, form_id(form))
    assert len(readings) > 50 * len(days)


def test_there_are_two_dozen_locales_with_several_scripts_and_directions() -> None:
    letters = {letter for form in FORMS for letter in form.render(date(2009, 6, 25)) if letter.isalpha()}
    scripts = {unicodedata.name(letter).split()[0] for letter in letters}
    assert len(set(LOCALES)) == len(LOCALES) >= 24
    assert all(locale.forms for locale in LOCALE_FORMS)
    assert {"LATIN", "CYRILLIC", "GREEK", "HEBREW", "ARABIC", "DEVANAGARI", "BENGALI", "THAI"} <= scripts
    assert {"HANGUL", "CJK"} <= scripts
    assert {form.digits for form in FORMS} >= {"latn", "arab", "arabext", "deva", "beng", "thai"}


@pytest.mark.parametrize(
    "source",
    [
        "2009년 6월 25일",
        "25 juin 2009",
        "Thursday, June 25, 2009",
        "٢٥ يونيو ٢٠٠٩",
        "2009. 6. 25.",
        "2009年6月25日",
        "25 июня 2009 г.",
    ],
)
def test_familiar_ways_to_write_a_date_are_among_the_forms(source: str) -> None:
    assert source in {form.render(date(2009, 6, 25)) for form in FORMS}


@pytest.mark.parametrize("source", ["25/06/2009", "6/25/2009", "25.06.2009", "25. 6. 2009", "25-06-2009", "6/25/09"])
def test_numeric_forms_that_end_in_the_year_are_left_out(source: str) -> None:
    assert source not in {form.render(date(2009, 6, 25)) for form in FORMS}


@pytest.mark.parametrize("numbering", sorted({form.digits for form in FORMS}))
def test_digits_of_a_numbering_system_have_their_values(numbering: str) -> None:
    digits = native_digits("0123456789", numbering)
    assert [unicodedata.decimal(digit) for digit in digits] == list(range(10))


@pytest.mark.parametrize("locale", LOCALE_FORMS, ids=lambda locale: locale.code)
def test_lists_are_joined_as_babel_joins_them(locale: LocaleForms) -> None:
    for num_items in range(1, 6):
        items = list("ABCDE"[:num_items])
        assert locale.join(items) == clean(babel_lists.format_list(items, locale=locale.code))


def test_the_same_config_gives_the_same_pairs_in_every_process() -> None:
    program = (
        "import hashlib; from seqlens.data.dates import DatesData, generate_dates\n"
        "pairs = [(p.source, p.target) for p in generate_dates(DatesData(num_test=300), 'test')]\n"
        "print(hashlib.sha256(repr(pairs).encode()).hexdigest())"
    )
    pairs = [(pair.source, pair.target) for pair in generate_dates(DatesData(num_test=300), "test")]
    expected = hashlib.sha256(repr(pairs).encode()).hexdigest()
    environment = {
        **os.environ,
        "PYTHONHASHSEED": "12345",
        "PYTHONPATH": os.pathsep.join(filter(None, sys.path)),
    }
    printed = subprocess.run(
        [sys.executable, "-c", program], env=environment, check=True, capture_output=True, text=True
    )
    assert printed.stdout.strip() == expected


def test_the_dates_of_a_seed_are_fixed_for_good() -> None:
    # Targets depend on neither the version of Python nor CLDR's: a change here changes everybody's data.
    targets = [pair.target for pair in islice(generate_dates(DatesData(), "train"), 4)]
    assert targets == [
        "2057-10-28 1962-11-04 1963-09-22",
        "2031-11-03 1992-04-22 2089-11-01 2012-12-14",
        "2087-10-25",
        "1944-03-25 1928-12-28 2010-08-10",
    ]


def test_seeds_and_splits_give_other_sentences_and_a_larger_split_begins_with_the_smaller() -> None:
    first = list(generate_dates(DatesData(num_train=50), "train"))
    assert len(first) == 50
    assert list(generate_dates(DatesData(num_train=80), "train"))[:50] == first
    assert list(generate_dates(DatesData(num_train=50, seed=1), "train")) != first


def test_splits_share_no_source_and_no_day() -> None:
    sources: dict[str, set[str]] = {}
    days: dict[str, set[str]] = {}
    for split in DATE_SPLITS:
        pairs = list(generate_dates(SMALL, split))
        sources[split] = {pair.source.casefold() for pair in pairs}
        days[split] = {day for pair in pairs for day in str(pair.target).split()}
        assert {split_of_day(date.fromisoformat(day)) for day in days[split]} == {split}
    for held_out in ("validation", "test"):
        assert not sources["train"] & sources[held_out]
        assert not days["train"] & days[held_out]
    assert not days["validation"] & days["test"]


def test_a_day_keeps_its_split_and_eight_in_ten_are_training_days() -> None:
    counts = Counter(split_of_day(day) for day in random_days("split", 20_000))
    assert counts["train"] / 20_000 == pytest.approx(0.8, abs=0.02)
    assert counts["validation"] / 20_000 == pytest.approx(0.1, abs=0.02)
    assert counts["test"] / 20_000 == pytest.approx(0.1, abs=0.02)
    # A held-out day of an old corpus must never become a training day of a new one.
    splits = "".join(split_of_day(date(2009, 1, day))[:2] for day in range(1, 32))
    assert splits == "trtrtrtrtrvavatrtrtrtrtrtrtrtevatrtrvatrtrtrtrtrtrtrtevavatrtr"


@settings(max_examples=30, deadline=None)
@given(
    seed=st.integers(0, 2**40),
    max_dates=st.integers(1, 8),
    locales=st.none() | st.lists(st.sampled_from(LOCALES), min_size=1, max_size=4).map(tuple),
    split=st.sampled_from(DATE_SPLITS),
)
def test_every_sentence_holds_its_dates_in_order(
    seed: int, max_dates: int, locales: tuple[str, ...] | None, split: str
) -> None:
    config = DatesData(num_train=40, num_validation=40, num_test=40, max_dates=max_dates, locales=locales, seed=seed)
    for pair in generate_dates(config, split):
        assert pair.target is not None
        days = [date.fromisoformat(word) for word in pair.target.split(" ")]
        assert 1 <= len(days) == count_dates(pair.target) <= max_dates
        assert [int(year) for year in re.findall(r"\d{4}", pair.source)] == [day.year for day in days]
        assert pair.source == clean(pair.source).strip()


def test_half_of_the_sentences_hold_one_date_and_the_others_each_number_equally_often() -> None:
    pairs = list(generate_dates(SMALL, "train"))
    counts = Counter(count_dates(str(pair.target)) for pair in pairs)
    assert counts[1] / len(pairs) == pytest.approx(1 / 2, abs=0.04)
    for num_dates in (2, 3, 4):
        assert counts[num_dates] / len(pairs) == pytest.approx(1 / 6, abs=0.04)
    assert set(counts) == {1, 2, 3, 4}


def test_capitals_and_small_letters_appear() -> None:
    singles = {p.source for p in generate_dates(DatesData(num_train=8000), "train") if count_dates(str(p.target)) == 1}
    assert any(re.search("[A-Z]{4}", source) for source in singles)
    assert any(re.match("(mon|tues|wednes|thurs|fri|satur|sun)day", source) for source in singles)


def test_a_locale_asked_for_is_written_in_its_own_forms_and_the_dates_stay_the_same() -> None:
    targets = [pair.target for pair in generate_dates(DatesData(num_train=30, max_dates=1), "train")]
    for locale in LOCALE_FORMS:
        alone = DatesData(num_train=30, max_dates=1, locales=(locale.code,))
        pairs = list(generate_dates(alone, "train"))
        assert [pair.target for pair in pairs] == targets
        for pair in pairs:
            day = date.fromisoformat(str(pair.target))
            assert pair.source.lower() in {form.render(day).lower() for form in locale.forms}


def test_capitals_and_small_letters_are_only_for_latin_letters_without_the_turkish_i() -> None:
    cased = {form.locale for form in FORMS if form.cased}
    assert {"en_US", "de", "vi", "hu"} <= cased
    assert not cased & {"tr", "ru", "el", "ja", "ko", "ar"}
    for form in FORMS:
        for day in random_days("case", 20):
            written = form.render(day)
            assert not form.cased or written.upper().lower() == written.lower()


@pytest.mark.parametrize(
    ("config", "split", "message"),
    [
        (DatesData(), "tset", r"no split 'tset'.*train, validation, test.*'test'"),
        (DatesData(locales=("en_us",)), "train", r"'en_us'.*Did you mean 'en_US'\?"),
        (DatesData(locales=()), "train", "empty"),
        (DatesData(max_dates=0), "train", "'max_dates'.*0.*1 or more"),
    ],
)
def test_a_wrong_request_is_refused_before_the_first_pair(config: DatesData, split: str, message: str) -> None:
    with pytest.raises(RequestError, match=message):
        generate_dates(config, split)


@pytest.mark.parametrize("field", ["num_train", "num_validation", "num_test", "max_dates"])
def test_a_config_from_outside_must_hold_positive_numbers(field: str) -> None:
    adapter = TypeAdapter(DatesData)
    assert getattr(adapter.validate_python({field: 1}), field) == 1
    with pytest.raises(ValidationError, match=field):
        adapter.validate_python({field: 0})


def test_locales_are_described_by_name_and_example() -> None:
    described = {code: (name, example) for code, name, example in describe_locales()}
    assert tuple(described) == LOCALES
    assert described["ko"] == ("Korean", "2009년 6월 25일")
    assert described["fr"] == ("French", "25 juin 2009")
    assert described["ar"] == ("Arabic", "٢٥ يونيو ٢٠٠٩")


def test_counting_dates_of_a_target() -> None:
    assert [count_dates(text) for text in ("", "2009-06-25", "2009-06-25 2010-01-02")] == [0, 1, 2]


def test_babel_is_loaded_only_when_dates_are_made() -> None:
    program = "import sys, seqlens.data.dates; sys.exit('babel' in sys.modules)"
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    assert subprocess.run([sys.executable, "-c", program], env=environment, check=False).returncode == 0
