"""Numbers as a reader wants them: few digits, the same number of decimals down a column, intervals in brackets."""

import math
from collections.abc import Iterable

from seqlens.report.sections import Interval, Number, TableCell

MISSING = "–"


def decimals_for(values: Iterable[Number]) -> int:
    """Returns how many decimals suit values of this size: 3 around one, fewer for larger, more for smaller ones."""
    largest = max((abs(value) for value in values if math.isfinite(value)), default=0.0)
    steps = ((1000, 0), (100, 1), (10, 2), (0.1, 3), (0.01, 4), (0.001, 5))
    if largest == 0:
        return 3
    return next((decimals for at_least, decimals in steps if largest >= at_least), 6)


def format_number(value: Number, decimals: int | None = None) -> str:
    """Returns a number as text; a float that would round to nothing is written with an exponent instead."""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, int):
        return f"{value:,}"
    if math.isnan(value):
        return "NaN"
    if math.isinf(value):
        return "∞" if value > 0 else "-∞"
    smallest = 1e-4 if decimals is None else 0.5 * 10.0**-decimals
    if decimals is None:
        decimals = decimals_for([value])
    if value == 0:
        return f"{0.0:.{decimals}f}"
    if abs(value) < smallest:
        return f"{value:.1e}"
    return f"{value:,.{decimals}f}"


def format_interval(interval: Interval, decimals: int | None = None) -> str:
    """Returns `0.974 [0.962, 0.985]`, all three with the same number of decimals."""
    if decimals is None:
        decimals = decimals_for([interval.value])
    value, low, high = (
        format_number(float(number), decimals) for number in (interval.value, interval.low, interval.high)
    )
    return f"{value} [{low}, {high}]"


def format_cell(cell: TableCell, decimals: int | None = None) -> str:
    """Returns a table cell as text."""
    if cell is None:
        return MISSING
    if isinstance(cell, str):
        return cell
    if isinstance(cell, Interval):
        return format_interval(cell, decimals)
    return format_number(cell, decimals)


def column_decimals(cells: Iterable[TableCell]) -> int:
    """Returns the number of decimals for a column, from its floats and the middle values of its intervals."""
    values = [cell.value if isinstance(cell, Interval) else cell for cell in cells]
    return decimals_for(value for value in values if isinstance(value, float))


def told_cut(num_cut: int, num_all: int, noun: str) -> str:
    """A sentence on how many of several inputs a model reads in part only."""
    verb = "is" if num_cut == 1 else "are"
    return f"{num_cut:,} of {num_all:,} {noun} {verb} longer than the model's positions reach, and {verb} cut there."
