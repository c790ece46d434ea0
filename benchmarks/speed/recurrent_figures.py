"""What the files of the benchmark of recurrent layers share: how often everything is timed, and ratios as figures."""

from benchmarks.speed.figures import Figure
from benchmarks.speed.recurrent_variants import Size
from benchmarks.speed.timing import Times, ratio

LARGE = 10**7
"""Numbers in the outputs from which on fewer rounds do: they last seconds each."""


def rounds_of(size: Size, *, quick: bool) -> int:
    """How many times everything is timed at a size."""
    if quick:
        return 2
    return 3 if size.steps * size.hidden > LARGE else 9


def times_over(name: str, slower: Times, faster: Times, bar: float | None, *, lower: bool = False) -> Figure:
    """A figure of how many times longer one takes than the other; `lower` says that less is better."""
    found = ratio(slower, faster)
    return Figure(
        name=name,
        value=found.median,
        unit="×",
        low=found.low,
        high=found.high,
        bar=bar,
        better="lower" if lower else "higher",
    )


def milliseconds(name: str, times: Times) -> Figure:
    """A figure of the time itself."""
    return Figure(name=name, value=1e3 * times.median, unit="ms", low=1e3 * times.low, high=1e3 * times.high)
