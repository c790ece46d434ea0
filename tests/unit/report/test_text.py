import html

import pytest
from hypothesis import given
from hypothesis import strategies as st

from seqlens.report import isolate
from seqlens.report.text import clean_text, direction, display_width, escape, is_right_to_left, is_wide

any_text = st.text(st.characters())


@given(any_text)
def test_escaped_text_is_inert_and_reads_the_same(text):
    escaped = escape(text)
    assert not set(escaped) & set("<>\"'")
    assert html.unescape(escaped) == clean_text(text)
    escaped.encode("utf-8")


def test_controls_and_lone_surrogates_are_replaced_but_line_breaks_and_direction_marks_stay():
    assert clean_text("a\x1b[31m\x00\ud800") == "a\N{REPLACEMENT CHARACTER}[31m" + "\N{REPLACEMENT CHARACTER}" * 2
    assert clean_text("a\n\tb\u200f\u2068") == "a\n\tb\u200f\u2068"


@pytest.mark.parametrize(("text", "width"), [("abc", 3), ("2009년", 6), ("e\u0301", 1), ("\u200f/", 1), ("", 0)])
def test_width_counts_columns(text, width):
    assert display_width(text) == width


def test_scripts_are_told_apart():
    assert is_right_to_left("25 يونيو")
    assert is_right_to_left("ביוני")
    assert not is_right_to_left("2009년 6월")
    assert is_wide("학생")
    assert not is_wide("학생1")
    assert not is_wide("")


def test_a_line_of_isolated_texts_keeps_the_direction_of_the_program():
    assert direction("الخميس") == "auto"
    assert direction(f"{isolate('الخميس')} → 2009-06-25") == "ltr"
