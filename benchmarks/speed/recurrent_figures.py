"""What the benchmarks of recurrent layers share: their sizes, how often everything is timed, ratios as figures."""

from collections.abc import Callable, Iterable, Mapping
from typing import Any

from benchmarks.speed.figures import Figure
from benchmarks.speed.recurrent_variants import Size, fastest_product
from benchmarks.speed.timing import Times, interleave, ratio
from seqlens.cli.printing import note

SIZES = (Size(128, 32, 256), Size(128, 32, 512), Size(512, 64, 512), Size(64, 1, 512))
QUICK_SIZES = (Size(5, 3, 8),)
PEAK_SIDE, QUICK_PEAK_SIDE = 2048, 64
LARGE = 10**7
"""Numbers in the outputs of the size at which a step lasts seconds."""
ROUNDS, LEAST_ROUNDS, SECONDS = 9, 3, 6.0
TIMED = f"{ROUNDS} interleaved rounds, back and forth, or as many as {SECONDS:g} seconds hold but {LEAST_ROUNDS}"


def sizes_of(*, quick: bool) -> tuple[Size, ...]:
    """What is measured at."""
    return QUICK_SIZES if quick else SIZES


def side_of_peak(*, quick: bool) -> int:
    """That of the square product which the peak is measured with."""
    return QUICK_PEAK_SIDE if quick else PEAK_SIDE


def faster(times: Mapping[str, Times], names: Iterable[str]) -> Times:
    """Those of the faster one."""
    return min((times[name] for name in names), key=lambda found: found.median)


def peak_times(*, quick: bool) -> Times:
    """Those of a large square product, by the faster of the libraries that torch has."""
    products = fastest_product(side_of_peak(quick=quick))
    return faster(interleave(products, rounds=2 if quick else 5), products)


def timed(label: str, variants: Mapping[str, Callable[[], Any]], *, quick: bool) -> dict[str, Times]:
    """Times variants side by side, and says which ones: the whole lasts minutes."""
    note(f"  {label}: {', '.join(variants)}")
    if quick:
        return interleave(variants, rounds=2)
    return interleave(variants, rounds=ROUNDS, least_rounds=LEAST_ROUNDS, seconds=SECONDS)


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
