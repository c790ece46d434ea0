"""`seqlens demo`."""

import os
from pathlib import Path
from typing import Annotated

import typer

from seqlens.cli.guard import guarded
from seqlens.cli.printing import note, print_lines, print_table

EXAMPLES = """Examples:

\b
  seqlens demo
  seqlens demo dates --out runs/my-demo --seed 7
  seqlens demo moods      # opinions, praise or blame
  seqlens demo people     # who and what is named in a sentence
  seqlens demo genes      # coding regions on DNA
  seqlens demo names      # which letter comes next; names made up
"""


@guarded
def demo(
    name: Annotated[
        str, typer.Argument(metavar="[NAME]", help="What to learn: dates, moods, people, genes or names.")
    ] = "dates",
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
    """Watch models learn side by side: one or two minutes on two cores, no download; a table and a report."""
    from seqlens.cli.progress import show_trainings
    from seqlens.workflows.demo import run_demo
    from seqlens.workflows.demos import EXAMPLE_DEMOS
    from seqlens.workflows.example_demo import run_example_demo

    num_processes = 2 if (os.cpu_count() or 1) > 1 else 1
    demos = {demo.name: demo for demo in EXAMPLE_DEMOS}
    if name in demos:
        with show_trainings() as observe:
            found = run_example_demo(
                demos[name],
                out=out,
                seed=seed,
                steps=steps,
                num_processes=num_processes,
                announce=note,
                observe=observe,
            )
        print_table(found.table)
        print_lines([""])
        print_table(found.answers)
        note(f"The report, with learning curves and more answers: {found.report}")
        return
    with show_trainings() as observe:
        result = run_demo(
            name, out=out, seed=seed, steps=steps, num_processes=num_processes, announce=note, observe=observe
        )
    print_table(result.table)
    note(f"The report, with learning curves and attention maps: {result.report}")
