"""What `data check` found, printed."""

from dataclasses import asdict

from seqlens.cli.printing import print_lines, print_table
from seqlens.data.audit import CorpusAudit, audit_rows, length_rows
from seqlens.report import Table


def plain_audit(found: CorpusAudit) -> dict[str, object]:
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
    if not found.findings:
        print_lines(["Nothing was found wrong."])
        return
    lines: list[str] = []
    for row in audit_rows(found):
        where = " ".join(part for part in (row.split, row.side) if part)
        lines += [f"{row.severity}: {row.kind}, {row.count:,} in {where}"]
        lines += [f"    {text}" for text in (row.detail, row.places, row.advice) if text]
    print_lines(lines)
