"""`seqlens tune`."""

from pathlib import Path
from typing import Annotated

import typer

from seqlens.cli.guard import guarded
from seqlens.cli.options import DeviceOption, SettingsOption
from seqlens.cli.printing import note, print_next, print_table

EXAMPLES = """Examples:

\b
  seqlens tune sentiment/moods-gru --trials 20 \\
      --param training.optimizer.learning_rate=log:1e-4:1e-2 --param task.model.dropout_p=0:0.5
  seqlens tune my-recipe.yaml --trials 30 --param "task.model.encoder.cell=lstm|gru" \\
      --param task.model.encoder.hidden_dim=32:128:32 --set training.max_seconds=120
"""


@guarded
def tune(
    recipe: Annotated[
        str, typer.Argument(metavar="RECIPE", help="A name (see `seqlens recipes`) or a YAML file.", show_default=False)
    ],
    params: Annotated[
        list[str],
        typer.Option(
            "--param",
            metavar="PATH=RANGE",
            help="What to choose from: low:high, low:high:step, log:low:high, one|other; may be given again.",
            show_default=False,
        ),
    ],
    trials: Annotated[
        int,
        typer.Option("--trials", metavar="N", min=1, help="How many in all; earlier ones in --out count."),
    ] = 20,
    out: Annotated[
        Path | None,
        typer.Option(
            "--out", metavar="DIR", help="Where the trials go; runs/tune/RECIPE by default.", show_default=False
        ),
    ] = None,
    settings: SettingsOption = [],  # noqa: B006 - typer copies it
    seed: Annotated[int, typer.Option("--seed", metavar="N", min=0, help="Decides what is tried.")] = 0,
    device: DeviceOption = "auto",
) -> None:
    """Search for better settings of a recipe with Optuna, by its own validation metric; test data are never read.

    The same command goes on where it was interrupted, and with more --trials it tries more. The best settings are
    written as a recipe.
    """
    from seqlens.cli.progress import show_trainings
    from seqlens.workflows.tune import tune as tune_recipe

    with show_trainings() as observe:
        search = tune_recipe(
            recipe,
            params,
            trials=trials,
            out=out,
            overrides=settings,
            seed=seed,
            device=device,
            announce=note,
            observe=observe,
        )
    print_table(search.table)
    note(f"The report: {search.report}. The best settings as a recipe:")
    print_next([f"seqlens train {search.best}"])
