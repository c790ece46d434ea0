"""What `data check` found, printed."""

from collections.abc import Sequence
from dataclasses import asdict

from seqlens.cli.printing import print_lines, print_table
from seqlens.data.audit import CorpusAudit, Finding, finding_rows, length_rows
from seqlens.data.example_audit import ExampleAudit
from seqlens.report import Table

_MOST_LABELS = 30


def plain_audit(found: CorpusAudit | ExampleAudit) -> dict[str, object]:
    """The audit as JSON can hold it."""
    return {**asdict(found), "severity": found.severity}


def print_audit(found: CorpusAudit) -> None:
    """Prints lengths as a table and findings as paragraphs, the worst first."""
    lengths = [
        (row.split, row.num_pairs, row.side, row.unit, row.minimum, row.median, row.percentile_95, row.maximum)
        for row in length_rows(found)
    ]
    columns = ("split", "pairs", "side", "lengths in", "shortest", "median", "95 %", "longest")
    print_table(Table(f"{found.name}: {found.source_name} to {found.target_name}", columns, lengths))
    _print_findings(found.findings)


def print_example_audit(found: ExampleAudit) -> None:
    """The same for examples, with a table of labels where there are not too many."""
    lengths = [
        (
            split.name,
            split.num_examples,
            split.lengths.minimum,
            split.lengths.median,
            split.lengths.percentile_95,
            split.lengths.maximum,
        )
        for split in found.splits
    ]
    columns = ("split", found.noun[1], "shortest", "median", "95 %", "longest")
    print_table(Table(f"{found.name}: lengths in {found.unit}", columns, lengths))
    counts = {split.name: split.labels for split in found.splits}
    labels = list(dict.fromkeys(label for of in counts.values() for label in of))
    if labels:
        shown: list[tuple[str | int, ...]] = [
            (label, *(of.get(label, 0) for of in counts.values())) for label in labels[:_MOST_LABELS]
        ]
        more = len(labels) - _MOST_LABELS
        rest = f"{more:,} more labels are not shown." if more > 0 else ""
        print_lines([""])
        print_table(Table("Labels", ("label", *counts), shown, note=rest))
    _print_findings(found.findings)


def _print_findings(findings: Sequence[Finding]) -> None:
    if not findings:
        print_lines(["Nothing was found wrong."])
        return
    lines: list[str] = []
    for row in finding_rows(findings):
        where = " ".join(part for part in (row.split, row.side) if part)
        lines += [f"{row.severity}: {row.kind}, {row.count:,} in {where}"]
        lines += [f"    {text}" for text in (row.detail, row.places, row.advice) if text]
    print_lines(lines)
