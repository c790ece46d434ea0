"""`seqlens cross-validate`."""

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from seqlens.cli.guard import guarded
from seqlens.cli.options import DeviceOption, SettingsOption
from seqlens.cli.printing import note, print_lines, print_table

if TYPE_CHECKING:
    from seqlens.metrics import Score
    from seqlens.report import Interval, Table
    from seqlens.workflows.cross_validate import CrossValidation

EXAMPLES = """Examples:

\b
  seqlens cross-validate my-recipe.yaml
  seqlens cross-validate my-recipe.yaml --folds 5 --repeats 3 --out runs/cv
  seqlens cross-validate my-recipe.yaml --set training.max_epochs=5 --json | jq .scores
"""


@guarded
def cross_validate(
    recipe: Annotated[
        str, typer.Argument(metavar="RECIPE", help="A name (see `seqlens recipes`) or a YAML file.", show_default=False)
    ],
    folds: Annotated[
        int | None,
        typer.Option(
            "--folds",
            metavar="K",
            min=3,
            help="Parts that are held out in turn; by default data.num_folds, 10 if the recipe does not say.",
            show_default=False,
        ),
    ] = None,
    repeats: Annotated[int, typer.Option("--repeats", metavar="N", min=1, help="How often, with other folds.")] = 1,
    out: Annotated[
        Path | None,
        typer.Option(
            "--out",
            metavar="DIR",
            help="Where the runs go; runs/cross-validation/RECIPE by default.",
            show_default=False,
        ),
    ] = None,
    settings: SettingsOption = [],  # noqa: B006 - typer copies it
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.", show_default=False)] = False,
    device: DeviceOption = "auto",
) -> None:
    """Train a recipe once for each fold of its data, and score all held-out examples together.

    Baselines stand beside the model, with a paired test against each. The same command goes on where it was
    interrupted: folds that are trained are not trained again.
    """
    from seqlens.cli.progress import show_trainings
    from seqlens.workflows.cross_validate import cross_validate as cross_validate_recipe
    from seqlens.workflows.cross_validate import summary_fields

    with show_trainings() as observe:
        result = cross_validate_recipe(
            recipe,
            out=out,
            folds=folds,
            repeats=repeats,
            overrides=settings,
            device=device,
            announce=note,
            observe=observe,
        )
    if as_json:
        print_lines([json.dumps(summary_fields(result), ensure_ascii=False, indent=2)])
        return
    for number, table in enumerate(_tables(result)):
        if number:
            print_lines([""])
        print_table(table)
    note(f"The runs, and the summary as JSON, are in {result.folder}.")


def _tables(result: "CrossValidation") -> "list[Table]":
    from seqlens.report import Interval, Table
    from seqlens.workflows.cross_validate import mean_over_folds

    systems = {"this model": result.scores, **result.baseline_scores}
    rows = [
        (system, *(_interval(scores[name]) if name in scores else None for name in result.scores))
        for system, scores in systems.items()
    ]
    times = "" if result.num_repeats == 1 else f", {result.num_repeats} times with other folds"
    title = f"{result.data}: {result.num_folds} folds{times}, {result.num_examples:,} {result.noun[1]} held out"
    columns = ("", *(score.name for score in result.scores.values()))
    signatures = "\n".join(f"{score.name}: {score.signature}" for score in result.scores.values())
    folds = [
        (result.scores[name].name, *mean_over_folds(values))
        for name, values in result.by_fold.items()
        if name in result.scores
    ]
    tests = [
        (baseline, test.name, Interval(test.difference, test.low, test.high), test.p_value)
        for baseline, test in result.tests.items()
    ]
    tables = [
        Table(title, columns, rows, note=signatures),
        Table("Fold by fold", ("measure", "mean", "smallest", "largest"), folds),
    ]
    if tests:
        tables.append(Table("Paired tests against the baselines", ("baseline", "measure", "difference", "p"), tests))
    return tables


def _interval(score: "Score") -> "Interval":
    from seqlens.report import Interval

    return Interval(score.value, score.low, score.high)
