"""Models beside each other: one table, a report, and files of them."""

import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from seqlens.config import Overrides, write_atomically
from seqlens.errors import RequestError
from seqlens.inference import describe_machine
from seqlens.metrics import PairedResult, Score
from seqlens.report import (
    BarChart,
    Bars,
    Examples,
    Interval,
    Report,
    Section,
    Table,
    markdown_table,
    write_report,
    write_svg,
)
from seqlens.report.sections import TableCell
from seqlens.workflows.compare_by import BucketComparison, difference
from seqlens.workflows.evaluate_examples import ExampleEvaluation
from seqlens.workflows.evaluation_data import as_items, typed_options
from seqlens.workflows.evaluation_files import Evaluation
from seqlens.workflows.shown_answers import asked_text, expected_text

_NUM_EXAMPLES = 12


@dataclass(frozen=True, slots=True)
class Contestant:
    """A model in the comparison: answers, scores by the first one's measures, paired tests against the first.

    The first has no tests. `randomisation` holds the p-values of another paired test of the same differences.
    """

    name: str
    evaluation: Evaluation | ExampleEvaluation
    scores: Mapping[str, Score]
    tests: Mapping[str, PairedResult]
    randomisation: Mapping[str, float]
    num_parameters: int
    training_seconds: float | None


@dataclass(frozen=True, slots=True)
class Comparison:
    """The contestants in the order asked for, the table of them, and a report; `by` the same bucket by bucket."""

    contestants: tuple[Contestant, ...]
    table: Table
    report: Report
    by: BucketComparison | None = None


def comparison_table(contestants: Sequence[Contestant]) -> Table:
    """One row a model: every score with its interval, the paired test of the first score that all have, cost."""
    first = contestants[0]
    # Classifiers of other classes have other recalls, and one of two classes a correlation.
    scores = {name: score.name for contestant in contestants for name, score in contestant.scores.items()}
    tested = next((name for name in first.scores if all(name in one.tests for one in contestants[1:])), None)
    difference_column = [] if tested is None else [f"{scores[tested]} against the first"]
    columns = ["model", *scores.values(), *difference_column, "parameters", "training seconds"]
    rows: list[list[TableCell]] = []
    for contestant in contestants:
        seconds = contestant.training_seconds
        rows.append(
            [
                contestant.name,
                *(_interval(contestant.scores[name]) if name in contestant.scores else None for name in scores),
                *(None if contestant is first else difference(contestant.tests[name]) for name in [tested] if name),
                contestant.num_parameters,
                None if seconds is None else round(seconds),
            ]
        )
    evaluation = first.evaluation
    note = (
        "95 % bootstrap intervals; the difference to the first model with its interval and p-value by the paired "
        "bootstrap on the same inputs (two-sided)."
        + (" Perplexities compare only between equal vocabularies." if "perplexity" in first.scores else "")
    )
    title = f"{evaluation.data}, split {evaluation.split}, {evaluation.size}"
    return Table(title, columns, rows, note=note)


def write_comparison(comparison: Comparison, path: Path) -> None:
    """Writes the report as HTML, the tables as Markdown where the name ends in `.md`, the picture where in `.svg`.

    Raises:
        RequestError: there is no picture. WorkError: the file could not be written.
    """
    if path.suffix == ".md":
        tables = [comparison.table, *([] if comparison.by is None else [comparison.by.table])]
        parts = [f"{table.title}\n\n{markdown_table(table)}" for table in tables]
        write_atomically(path, "# Comparison\n\n" + "\n".join(parts))
    elif path.suffix == ".svg":
        if comparison.by is None:
            raise RequestError(f"{path} would be a picture of scores by kinds of sentences; say which with --by.")
        write_svg(comparison.by.chart, path)
    else:
        write_report(comparison.report, path)


def comparison_command(
    names: Sequence[str | Path],
    *,
    out: str | Path | None,
    split: str,
    data: str | Path | None,
    tag: str | None,
    by: str | None,
    overrides: Overrides,
) -> str:
    """What a person types for a comparison."""
    options = {"--split": split, "--out": out, "--data": data, "--tag": tag, "--by": by}
    return shlex.join(["seqlens", "compare", *map(str, names), *typed_options(options, as_items(overrides))])


def comparison_report(
    contestants: Sequence[Contestant], table: Table, command: str, by: BucketComparison | None = None
) -> Report:
    """The table, paired tests, a chart a score, and some answers beside each other; `command` made it."""
    first = contestants[0]
    sections: list[Section] = [table]
    if by is not None:
        sections += [by.chart, by.table]
    rows = [
        (
            contestant.name,
            test.name,
            Interval(test.difference, test.low, test.high),
            test.p_value,
            contestant.randomisation[score],
            test.share_higher,
        )
        for contestant in contestants[1:]
        for score, test in contestant.tests.items()
    ]
    columns = ("model", "measure", "difference", "p", "p (randomisation)", "share of resamples where it is higher")
    sections.append(Table(f"Paired tests against {first.name}", columns, rows))
    names = [contestant.name for contestant in contestants]
    for name, score in first.scores.items():
        if any(name not in contestant.scores for contestant in contestants):
            continue
        bars = [_interval(contestant.scores[name]) for contestant in contestants]
        sections.append(BarChart(score.name, "", score.name, names, [Bars(score.name, bars)], note=score.signature))
    answers = [
        (source, reference, *(str(contestant.evaluation.answers[number]) for contestant in contestants))
        for number, (source, reference) in enumerate(_known(first.evaluation))
    ]
    if answers:
        sections.append(Examples("Answers", ("input", "expected", *names), answers))
    machine = describe_machine()
    facts = {
        "data": f"{first.evaluation.data}, split {first.evaluation.split}, fingerprint {first.evaluation.fingerprint}",
        "command": command,
        "machine": f"{machine['processor']}, {machine['cores']} cores",
        "versions": f"torch {machine['torch']}, Python {machine['python']}",
    }
    summary = f"{len(contestants)} models on the same {first.evaluation.size}."
    return Report("Comparison", summary, sections, facts)


def _known(evaluation: Evaluation | ExampleEvaluation) -> list[tuple[str, str]]:
    """The first inputs and what was expected."""
    if isinstance(evaluation, ExampleEvaluation):
        return [(asked_text(example), expected_text(example)) for example in evaluation.examples[:_NUM_EXAMPLES]]
    return list(zip(evaluation.sources[:_NUM_EXAMPLES], evaluation.references, strict=False))


def _interval(score: Score) -> Interval:
    return Interval(score.value, score.low, score.high)
