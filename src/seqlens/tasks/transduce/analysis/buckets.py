"""Sentences sorted into buckets by a number, none of them tiny."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, cast, final, get_args

import numpy as np

from seqlens.errors import RequestError, did_you_mean

By = Literal["length", "rarest", "unknown", "clauses"]

_LENGTH_EDGES = (0, 6, 11, 16, 21, 26, 31, 41, 51)
_RAREST_EDGES = (0, 1, 2, 5, 10, 100, 1000)
_UNKNOWN_EDGES = (0, 1, 2, 3)
_CLAUSE_EDGES = (1, 2, 3, 4)
_FEWEST_BUCKETS = 3
_NUM_QUANTILES = 5


@final
@dataclass(frozen=True, slots=True)
class Bucket:
    """The sentences whose number lies from `low` to `high` (None: without end); `rows` says which, in order."""

    low: int
    high: int | None
    mean: float
    rows: tuple[int, ...]

    @property
    def label(self) -> str:
        """Such as `6–10`, `3`, `51+`."""
        if self.high is None:
            return f"{self.low:,}+"
        return f"{self.low:,}" if self.low == self.high else f"{self.low:,}–{self.high:,}"


def read_by(text: str) -> By:
    """A name of a kind of buckets as a person wrote it; RequestError for another word."""
    kinds = get_args(By)
    if text not in kinds:
        raise RequestError(
            f"Sentences cannot be sorted by '{text}', expected one of {', '.join(kinds)}.{did_you_mean(text, kinds)}"
        )
    return cast(By, text)


def smallest_bucket(num_sentences: int) -> int:
    """How many sentences a bucket has at least: a fortieth, but not less than 10 and not more than 50."""
    return min(50, max(10, num_sentences // 40))


def make_buckets(by: By, values: Sequence[int]) -> list[Bucket]:
    """Buckets with fixed edges that suit `by`; neighbours are joined until each has `smallest_bucket` sentences.

    Where lengths lie so close that fewer than three are left, the edges are fifths of the sentences instead. A
    sentence with unknown words never shares a bucket with one without.
    """
    smallest = smallest_bucket(len(values))
    match by:
        case "length":
            buckets = _joined(values, _LENGTH_EDGES, smallest)
            if len(buckets) < _FEWEST_BUCKETS and values:
                by_quantiles = _joined(values, _quantile_edges(values), smallest)
                buckets = max(buckets, by_quantiles, key=len)
            return buckets
        case "rarest":
            return _joined(values, _RAREST_EDGES, smallest, apart=(1,))
        case "unknown":
            return _joined(values, _UNKNOWN_EDGES, smallest, apart=(1,))
        case "clauses":
            return _joined(values, _CLAUSE_EDGES, smallest)


def _quantile_edges(values: Sequence[int]) -> tuple[int, ...]:
    cuts = np.quantile(np.array(values), [place / _NUM_QUANTILES for place in range(1, _NUM_QUANTILES)])
    return tuple(sorted({min(values), *(int(np.ceil(cut)) for cut in cuts)}))


def _joined(values: Sequence[int], edges: Sequence[int], smallest: int, *, apart: Sequence[int] = ()) -> list[Bucket]:
    """Joins cells from the left until they are large enough, never across an edge in `apart`."""
    numbers = np.array(values, dtype=np.int64)
    cells = np.clip(np.searchsorted(np.array(edges), numbers, side="right") - 1, 0, None)
    stretches: list[list[list[int]]] = [[]]  # parts that stay apart; in each the joined cells
    for cell, edge in enumerate(edges):
        if edge in apart:
            stretches.append([])
        joined = stretches[-1]
        if joined and _count(cells, joined[-1]) < smallest:
            joined[-1].append(cell)
        else:
            joined.append([cell])
    found = []
    for joined in stretches:
        # What is left over at the end goes to the bucket before it.
        while len(joined) > 1 and _count(cells, joined[-1]) < smallest:
            last = joined.pop()
            joined[-1] += last
        found += [bucket for group in joined if (bucket := _bucket(numbers, cells, group, edges)) is not None]
    return found


def _count(cells: np.ndarray, group: Sequence[int]) -> int:
    return int(np.isin(cells, group).sum())


def _bucket(numbers: np.ndarray, cells: np.ndarray, group: Sequence[int], edges: Sequence[int]) -> Bucket | None:
    rows = np.flatnonzero(np.isin(cells, group))
    if not len(rows):
        return None
    after = group[-1] + 1
    high = int(edges[after]) - 1 if after < len(edges) else None
    return Bucket(int(edges[group[0]]), high, float(numbers[rows].mean()), tuple(rows.tolist()))
