"""`seqlens compare`."""

from pathlib import Path
from typing import Annotated

import typer

from seqlens.cli.guard import guarded
from seqlens.cli.options import DeviceOption, SettingsOption
from seqlens.cli.printing import note, print_lines, print_table
from seqlens.errors import RequestError

EXAMPLES = """Examples:

\b
  seqlens compare runs/demo-dates/gru runs/demo-dates/gru-attention
  seqlens compare dates/gru dates/transformer --set seed=3 --output comparison.html
  seqlens compare runs/a runs/b --data my-test.tsv --output comparison.md
  seqlens compare runs/gru-bottleneck runs/gru-attention --by length --output by-length.svg
"""


@guarded
def compare(
    names: Annotated[
        list[str],
        typer.Argument(metavar="RUN|RECIPE...", help="Two or more run folders or recipes.", show_default=False),
    ],
    out: Annotated[
        Path | None,
        typer.Option(
            "--out", metavar="DIR", help="Where recipes are trained; runs/compare by default.", show_default=False
        ),
    ] = None,
    split: Annotated[str, typer.Option("--split", metavar="NAME", help="A split of the data.")] = "test",
    data: Annotated[
        str | None,
        typer.Option("--data", metavar="PATH", help="Other data than the runs' own, for all.", show_default=False),
    ] = None,
    tag: Annotated[
        str | None,
        typer.Option(
            "--tag",
            metavar="TAG",
            help="With --data: the direction or domain, for runs that have such a tag.",
            show_default=False,
        ),
    ] = None,
    by: Annotated[
        str | None,
        typer.Option(
            "--by",
            metavar="KIND",
            help="Compare in buckets of sentences too: by length, rarest (word), unknown (words) or clauses.",
            show_default=False,
        ),
    ] = None,
    settings: SettingsOption = [],  # noqa: B006 - typer copies it
    output: Annotated[
        Path | None,
        typer.Option(
            "--output",
            metavar="FILE",
            help="Write a report: .html, .md for the tables, .svg for the picture of --by.",
            show_default=False,
        ),
    ] = None,
    device: DeviceOption = "auto",
) -> None:
    """Compare runs on the same pairs, or train recipes and compare them.

    One table: every score with its interval, a paired test of each model against the first, parameters, seconds. A
    training that was interrupted goes on when the same command is given again.
    """
    from seqlens.cli.progress import show_trainings
    from seqlens.tasks.transduce.analysis.buckets import read_by
    from seqlens.workflows.compare import compare as compare_models
    from seqlens.workflows.contest import write_comparison

    kind = None if by is None else read_by(by)
    if output is not None and output.suffix not in (".html", ".htm", ".md", ".svg"):
        raise RequestError(f"The report is to be {output}, expected a name that ends in .html, .md or .svg.")
    if output is not None and output.suffix == ".svg" and kind is None:
        raise RequestError(f"{output} would be the picture that belongs to --by; give --by length, for example.")
    with show_trainings() as observe:
        comparison = compare_models(
            names,
            out=out,
            split=split,
            data=data,
            tag=tag,
            by=kind,
            overrides=settings,
            device=device,
            announce=note,
            observe=observe,
        )
    print_table(comparison.table)
    if comparison.by is not None:
        print_lines([""])
        print_table(comparison.by.table)
    if output is not None:
        write_comparison(comparison, output)
        note(f"The {'picture' if output.suffix == '.svg' else 'report'} is in {output}.")
