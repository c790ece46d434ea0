"""`python -m benchmarks.quality.results --write docs/results.md`: the page of all figures, made from the rows alone."""

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer

from benchmarks.command import run_command
from benchmarks.provenance import QUALITY_ANSWERS, QUALITY_ROWS, SPEED_ROWS
from benchmarks.quality.comparison_page import comparison_pictures, comparison_section
from benchmarks.quality.comparison_plan import COMPARISONS
from benchmarks.quality.entry import Comparison, Entry, ModelTable, check_plan
from benchmarks.quality.plan import PLAN, TABLES
from benchmarks.quality.quality_page import quality_sections
from benchmarks.quality.speed_page import speed_section
from benchmarks.rows import Row, read_rows
from seqlens.cli.guard import guarded
from seqlens.cli.printing import note
from seqlens.config import write_atomically
from seqlens.report import write_svg

_HEAD = """\
# Results

Made by `make docs` from [benchmarks/quality/rows.jsonl](../benchmarks/quality/rows.jsonl) and
[benchmarks/speed/rows.jsonl](../benchmarks/speed/rows.jsonl); do not edit. Each row there is one finished run, written
by the command beside the figure, with everything that the number depends on.

A mean is over **all seeds that were run** with these settings, with the smallest and the largest beside it; the
interval reaches from the lowest to the highest end of the seeds' 95 % bootstrap intervals (1,000 resamples of the
split's sentences). The strongest cheap baseline stands above each score. `reached` and `not reached` compare the
unrounded mean; where fewer seeds were run than planned, that is said. Nothing is chosen on a test split.
"""


def results_page(
    quality_rows: Sequence[Row],
    speed_rows: Sequence[Row],
    plan: Sequence[Entry],
    comparisons: Sequence[Comparison] = (),
    answers: Path = QUALITY_ANSWERS,
    tables: Sequence[ModelTable] = (),
) -> str:
    """The whole page in Markdown: the same text for the same rows, plan and kept answers."""
    compared = comparison_section(comparisons, quality_rows, plan, answers)
    sections = [_HEAD, *quality_sections(quality_rows, plan, tables, answers), *([compared] if compared else [])]
    return "\n".join([*sections, speed_section(speed_rows)])


@guarded
def results(
    write: Annotated[
        Path | None, typer.Option("--write", metavar="FILE", help="Write the page here; else it is printed.")
    ] = None,
) -> None:
    """Make docs/results.md, and its pictures in gallery/ beside it, from what benchmarks/quality and speed wrote."""
    check_plan(PLAN, COMPARISONS, TABLES)
    rows = read_rows(QUALITY_ROWS)
    page = results_page(rows, read_rows(SPEED_ROWS), PLAN, COMPARISONS, tables=TABLES)
    if write is None:
        sys.stdout.write(page)
        return
    for name, chart in comparison_pictures(COMPARISONS, rows, PLAN, QUALITY_ANSWERS).items():
        write_svg(chart, write.parent / "gallery" / name)
    write_atomically(write, page)
    note(f"Wrote {write}.")


if __name__ == "__main__":
    run_command(results)
