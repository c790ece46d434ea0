import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from seqlens.report import Interval
from seqlens.report.numbers import column_decimals, format_cell, format_interval, format_number


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0.974, "0.974"),
        (0.0, "0.000"),
        (-0.0, "0.000"),
        (27.318, "27.32"),
        (145.26, "145.3"),
        (5321.4, "5,321"),
        (-1234567.8, "-1,234,568"),
        (0.0312, "0.0312"),
        (0.0004, "0.000400"),
        (0.00004, "4.0e-05"),
        (3e-7, "3.0e-07"),
        (12345, "12,345"),
        (True, "yes"),
        (math.nan, "NaN"),
        (math.inf, "∞"),
        (-math.inf, "-∞"),
    ],
)
def test_number(value, text):
    assert format_number(value) == text


def test_interval():
    assert format_interval(Interval(0.974, 0.962, 0.985)) == "0.974 [0.962, 0.985]"
    assert format_interval(Interval(27.3, 26.84, 27.795)) == "27.30 [26.84, 27.80]"
    assert format_interval(Interval(1, 0, 1)) == "1.000 [0.000, 1.000]"
    assert format_interval(Interval(0.5, math.nan, math.inf)) == "0.500 [NaN, ∞]"


def test_a_cell_without_a_value_is_a_dash():
    assert format_cell(None) == "–"


def test_a_column_shares_its_decimals_and_hides_no_small_value():
    column = [27.318, Interval(9.5, 9.0, 10.0), 3, "n/a", None, 0.0004]
    decimals = column_decimals(column)
    assert [format_cell(cell, decimals) for cell in column] == [
        "27.32",
        "9.50 [9.00, 10.00]",
        "3",
        "n/a",
        "–",
        "4.0e-04",
    ]


@given(st.floats(allow_nan=False, allow_infinity=False, min_value=-1e12, max_value=1e12))
def test_the_text_is_the_number_to_within_its_digits(value):
    read_back = float(format_number(value).replace(",", ""))
    assert read_back == pytest.approx(value, rel=0.06, abs=0.0)
