"""Several systems beside each other, bucket by bucket: the picture of Bahdanau et al. 2015, figure 2, and tests."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from seqlens.errors import RequestError
from seqlens.metrics import PairedResult, Statistics, approximate_randomisation, paired_bootstrap
from seqlens.report import BarChart, LineChart, Table
from seqlens.report.sections import TableCell
from seqlens.tasks.transduce.analysis import By, Grouping
from seqlens.tasks.transduce.analysis.texts import group_sources, score_buckets
from seqlens.tasks.transduce.analysis.training_text import Background
from seqlens.tasks.transduce.analysis.words import split_tokens
from seqlens.tasks.transduce.config import ScoreName
from seqlens.workflows.analyse_report import grouping_chart, interval


@dataclass(frozen=True, slots=True)
class PairedTest:
    """A system against the first one: the paired bootstrap, and the p-value by approximate randomisation."""

    bootstrap: PairedResult
    randomisation: float


@dataclass(frozen=True, slots=True)
class BucketComparison:
    """The same buckets for every system, with scores; `tests` holds one for each bucket, not for the first system."""

    groupings: Mapping[str, Grouping]
    tests: Mapping[str, tuple[PairedTest, ...]]
    table: Table
    chart: LineChart | BarChart


def paired_test(system: Statistics, first: Statistics) -> PairedTest:
    """Both paired tests of a system against the first."""
    return PairedTest(paired_bootstrap(system, first), approximate_randomisation(system, first))


def compare_by(
    by: By,
    statistics: Mapping[str, Mapping[ScoreName, Statistics]],
    sources: Sequence[str],
    backgrounds: Sequence[Background],
) -> BucketComparison:
    """Scores of the first measure in every bucket, and a test of each system against the first there.

    Args:
        by: what the sentences are sorted by.
        statistics: for each system, the statistics of its answers to the same `sources`.
        backgrounds: of each source; for `rarest` and `unknown` with training text.

    Raises:
        RequestError: the training sources are needed and not there.
    """
    found = group_sources([split_tokens(source) for source in sources], backgrounds)
    if by not in found:
        raise RequestError(f"To sort sentences by '{by}' the training sources are needed, and there are none.")
    buckets = found[by]
    names = list(statistics)
    measure = next(iter(statistics[names[0]]))
    groupings = {name: score_buckets(by, buckets, {measure: statistics[name][measure]}) for name in names}
    first = statistics[names[0]][measure]
    tests = {
        name: tuple(
            paired_test(statistics[name][measure].select(bucket.rows), first.select(bucket.rows)) for bucket in buckets
        )
        for name in names[1:]
    }
    chart = grouping_chart(groupings[names[0]], groupings)
    return BucketComparison(groupings, tests, _table(groupings, tests, measure), chart)


def _table(groupings: Mapping[str, Grouping], tests: Mapping[str, Sequence[PairedTest]], measure: ScoreName) -> Table:
    """A row for each bucket and system."""
    first = next(iter(groupings.values()))
    rows: list[list[TableCell]] = []
    for place, scored in enumerate(first.buckets):
        for name, grouping in groupings.items():
            test = tests[name][place] if name in tests else None
            rows.append(
                [
                    scored.bucket.label,
                    len(scored.bucket.rows),
                    name,
                    interval(grouping.buckets[place].scores[measure]),
                    None if test is None else difference(test.bootstrap),
                    None if test is None else f"{test.randomisation:.3f}",
                ]
            )
    name = next(iter(first.buckets[0].scores.values())).name
    columns = (first.unit, "sentences", "model", name, "against the first", "p (randomisation)")
    note = "Paired bootstrap and approximate randomisation, two-sided, on the sentences of each bucket. " + first.note
    return Table(first.title, columns, rows, note=note.strip())


def difference(test: PairedResult) -> str:
    """A difference with its interval and p-value, as a cell."""
    value, low, high = (f"{number:+.{test.decimals}f}" for number in (test.difference, test.low, test.high))
    return f"{value} [{low}, {high}], p = {test.p_value:.3f}"
