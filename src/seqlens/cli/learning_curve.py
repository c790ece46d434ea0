"""`seqlens learning-curve`."""

from pathlib import Path
from typing import Annotated

import typer

from seqlens.cli.guard import guarded
from seqlens.cli.options import DeviceOption, SettingsOption
from seqlens.cli.printing import note, print_table
from seqlens.errors import RequestError

EXAMPLES = """Examples:

\b
  seqlens learning-curve sentiment/moods-gru --fractions 0.1,0.3,1
  seqlens learning-curve my-recipe.yaml --fractions 0.01,0.1,1 --set training.max_seconds=300 --out runs/curve
"""


@guarded
def learning_curve(
    recipe: Annotated[
        str, typer.Argument(metavar="RECIPE", help="A name (see `seqlens recipes`) or a YAML file.", show_default=False)
    ],
    fractions: Annotated[
        str, typer.Option("--fractions", metavar="A,B,...", help="Parts of the training data, above 0 and at most 1.")
    ] = "0.1,0.3,1",
    out: Annotated[
        Path | None,
        typer.Option(
            "--out",
            metavar="DIR",
            help="Where runs and report go; runs/learning-curve/RECIPE by default.",
            show_default=False,
        ),
    ] = None,
    split: Annotated[str, typer.Option("--split", metavar="NAME", help="The split that is scored.")] = "test",
    settings: SettingsOption = [],  # noqa: B006 - typer copies it
    device: DeviceOption = "auto",
) -> None:
    """Train a recipe on nested parts of its training data: would more data help?

    Validation and test stay the same; baselines learn from the same parts. The same command goes on where it was
    interrupted.
    """
    from seqlens.cli.progress import show_trainings
    from seqlens.workflows.learning_curve import learning_curve as draw_curve

    with show_trainings() as observe:
        curve = draw_curve(
            recipe,
            _read_fractions(fractions),
            out=out,
            split=split,
            overrides=settings,
            device=device,
            announce=note,
            observe=observe,
        )
    print_table(curve.table)
    note(f"The report, with the curve: {curve.report}")


def _read_fractions(text: str) -> list[float]:
    try:
        return [float(part) for part in text.split(",")]
    except ValueError as error:
        raise RequestError(f"--fractions is '{text}', expected numbers such as 0.1,0.3,1.") from error
