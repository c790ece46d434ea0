"""An analysis as tables for the terminal and as a page with charts."""

from collections.abc import Iterator, Mapping, Sequence

from seqlens.metrics import Score, share_of
from seqlens.report import BarChart, Bars, Examples, Interval, LineChart, Prose, Report, Section, Series, Table
from seqlens.report.sections import TableCell
from seqlens.tasks.transduce.analysis import Analysis, Attribution, Grouping

_MEASURES = {"log_prob": "log-probability", "score": "score of the search"}
_NUM_SEARCH_ERRORS = 5
_ATTRIBUTION_NOTE = (
    "Search error: the reference stands higher with the model than its own answer, so a better search would not have "
    "given this answer. Model error: it does not (Stahlberg and Byrne 2019). The score of the search is "
    "log-probability / tokens ** length penalty."
)


def grouping_table(grouping: Grouping) -> Table:
    """A row a bucket: its sentences and every score with its interval."""
    names = [score.name for score in grouping.buckets[0].scores.values()]
    rows: list[list[TableCell]] = [
        [scored.bucket.label, len(scored.bucket.rows), *(interval(score) for score in scored.scores.values())]
        for scored in grouping.buckets
    ]
    return Table(grouping.title, (grouping.unit, "sentences", *names), rows, note=grouping.note)


def error_table(analysis: Analysis) -> Table:
    """A row a kind of error: answers that have it, their share, and how it was found."""
    rows: list[list[TableCell]] = [
        [
            row.name,
            None if row.share is None else row.count,
            None if row.share is None else interval(row.share),
            row.method,
        ]
        for row in analysis.errors
    ]
    return Table("Errors", ("error", "answers", "share", "measured by"), rows)


def attribution_table(analysis: Analysis) -> Table:
    """A row a measure: answers that are the reference, search errors, model errors, each with its share."""
    rows = [
        [_MEASURES[one.measure], *_shares(one), f"{len(one.left_out):,}" if one.left_out else None]
        for one in analysis.attribution
    ]
    columns = ("measured by", "search errors", "model errors", "answer is the reference", "not comparable")
    return Table("Search or model", columns, rows, note=_ATTRIBUTION_NOTE)


def analysis_tables(analysis: Analysis) -> list[Table]:
    """All tables, in the order a person reads them."""
    tables = [grouping_table(grouping) for grouping in analysis.groupings]
    tables.append(error_table(analysis))
    return [*tables, attribution_table(analysis)] if analysis.attribution else tables


def analysis_report(
    analysis: Analysis, texts: Sequence[tuple[str, str, str]], *, title: str, facts: Mapping[str, str]
) -> Report:
    """The page; `texts` are source, reference and answer of every sentence."""
    sections: list[Section] = [_overall(analysis)]
    for grouping in analysis.groupings:
        sections += [grouping_chart(grouping, {title: grouping}), grouping_table(grouping)]
    sections += [error_table(analysis), *_worst(analysis)]
    if analysis.attribution:
        sections += [attribution_table(analysis), _search_errors(analysis, texts)]
    definitions = "\n\n".join(f"{row.name}: {row.definition}." for row in analysis.errors)
    sections.append(Prose("What counts as what", "\n\n".join([*analysis.notes, definitions])))
    summary = f"{analysis.num_sentences:,} sentences: scores by kinds of sentences, errors, and where they come from."
    return Report(title, summary, sections, dict(facts))


def grouping_chart(grouping: Grouping, systems: Mapping[str, Grouping]) -> LineChart | BarChart:
    """The first score by bucket, with its intervals, of one system or several with the same buckets.

    Lengths have a place on an axis, at the mean of their bucket; other buckets are bars.
    """
    name, first = next(iter(grouping.buckets[0].scores.items()))
    points = {system: [scored.scores[name] for scored in one.buckets] for system, one in systems.items()}
    title = grouping.title if len(systems) == 1 else f"{grouping.title}, by system"
    note = f"95 % bootstrap intervals. {first.signature}"
    if grouping.by == "length":
        means = [round(scored.bucket.mean, 2) for scored in grouping.buckets]
        lines = [
            Series(
                system,
                means,
                [score.value for score in scores],
                low=[score.low for score in scores],
                high=[score.high for score in scores],
            )
            for system, scores in points.items()
        ]
        return LineChart(title, grouping.unit, first.name, lines, note=note)
    bars = [Bars(system, [interval(score) for score in scores]) for system, scores in points.items()]
    labels = [scored.bucket.label for scored in grouping.buckets]
    return BarChart(title, grouping.unit, first.name, labels, bars, note=note)


def interval(score: Score) -> Interval:
    """A score as a cell."""
    return Interval(score.value, score.low, score.high)


def _overall(analysis: Analysis) -> Table:
    rows = [(score.name, interval(score), score.signature) for score in analysis.overall.values()]
    return Table("All sentences", ("measure", "value", "signature"), rows)


def _shares(attribution: Attribution) -> list[str | None]:
    total = attribution.num_compared
    if not total:
        return [None, None, None]
    cells: list[str | None] = []
    for rows in (attribution.search, attribution.model, attribution.same):
        share = share_of(len(rows), total)
        cells.append(f"{len(rows):,} ({share.value:.1%} [{share.low:.1%}, {share.high:.1%}])")
    return cells


def _worst(analysis: Analysis) -> Iterator[Examples]:
    columns = ("source", "reference", "answer", "found")
    for row in analysis.errors:
        if row.worst:
            examples = [(one.source, one.reference, one.answer, one.detail) for one in row.worst]
            yield Examples(f"Worst: {row.name}", columns, examples, note=f"{row.definition}.")


def _search_errors(analysis: Analysis, texts: Sequence[tuple[str, str, str]]) -> Examples:
    by_score = analysis.attribution[-1]
    rows = sorted(texts[row] for row in by_score.search)[:_NUM_SEARCH_ERRORS]
    return Examples("Search errors, by the score of the search", ("source", "reference", "answer"), rows)
