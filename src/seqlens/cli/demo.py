"""`seqlens demo`."""

import os
from pathlib import Path
from typing import Annotated

import typer

from seqlens.cli.guard import guarded
from seqlens.cli.printing import note, print_table

EXAMPLES = """Examples:

\b
  seqlens demo
  seqlens demo dates --out runs/my-demo --seed 7
"""


@guarded
def demo(
    name: Annotated[str, typer.Argument(metavar="[NAME]", help="What to learn: dates.")] = "dates",
    out: Annotated[
        Path | None,
        typer.Option(
            "--out", metavar="DIR", help="Where runs and report go; runs/demo-NAME by default.", show_default=False
        ),
    ] = None,
    seed: Annotated[
        int | None,
        typer.Option("--seed", metavar="N", min=0, help="That of the recipes by default.", show_default=False),
    ] = None,
    steps: Annotated[
        int | None,
        typer.Option(
            "--steps", metavar="N", min=1, help="Training steps; those of the recipes by default.", show_default=False
        ),
    ] = None,
) -> None:
    """Watch five models learn side by side: about two minutes on two cores, no download; a table and a report."""
    from seqlens.cli.progress import show_trainings
    from seqlens.workflows.demo import run_demo

    num_processes = 2 if (os.cpu_count() or 1) > 1 else 1

    with show_trainings() as observe:
        result = run_demo(
            name, out=out, seed=seed, steps=steps, num_processes=num_processes, announce=note, observe=observe
        )
    print_table(result.table)
    note(f"The report, with learning curves and attention maps: {result.report}")
