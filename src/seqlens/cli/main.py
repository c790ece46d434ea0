"""The command `seqlens`.

Nothing heavy is imported here nor at the top of the commands' modules: `seqlens --help` answers at once.
"""

import io
import os
import sys
from collections.abc import Callable
from typing import Annotated, TypeVar

import typer

from seqlens._version import __version__
from seqlens.cli import (
    backtranslate,
    compare,
    cross_validate,
    data,
    demo,
    evaluate,
    inspect,
    learning_curve,
    predict,
    recipes,
    settings,
    train,
    tune,
)
from seqlens.cli.guard import guarded
from seqlens.errors import RequestError
from seqlens.threads import let_waiting_threads_sleep

Command = TypeVar("Command", bound=Callable[..., None])


def main() -> None:
    """Runs the command line and exits with 0 (done), 1 (the work failed) or 2 (the request was wrong)."""
    let_waiting_threads_sleep()
    for stream in (sys.stdout, sys.stderr):
        # Sentences in every script must be printable whatever the locale says.
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(encoding="utf-8", errors="backslashreplace")
    build_app()(prog_name="seqlens")


def build_app() -> typer.Typer:
    """All commands."""
    app = typer.Typer(
        name="seqlens",
        help="Train, explain and ship sequence models: from the plain recurrent net to the Transformer.",
        epilog="Start with `seqlens demo`, or `seqlens recipes`. `seqlens COMMAND --help` has examples.",
        no_args_is_help=True,
        add_completion=False,
        # Plain text: help pages, and the sentences of errors, can be searched and piped.
        rich_markup_mode=None,
        # A traceback is for a bug, and goes into a bug report as Python prints it.
        pretty_exceptions_enable=False,
        context_settings={"help_option_names": ["--help", "-h"], "max_content_width": 100},
    )

    def command(name: str, short_help: str, examples: str) -> Callable[[Command], Command]:
        return app.command(name, short_help=short_help, epilog=examples)

    app.callback()(options)
    command("demo", "Models learn side by side in a minute or two: a table and a report.", demo.EXAMPLES)(demo.demo)
    command("recipes", "What can be trained.", recipes.EXAMPLES)(recipes.recipes)
    command("settings", "What can be set in a recipe.", settings.EXAMPLES)(settings.settings)
    app.add_typer(data.build_app(), name="data")
    command("train", "Train a recipe into a run folder.", train.EXAMPLES)(train.train)
    command("evaluate", "Score a run, with intervals and baselines.", evaluate.EXAMPLES)(evaluate.evaluate)
    command("predict", "Answer texts, lines of a file or of stdin.", predict.EXAMPLES)(predict.predict)
    command("backtranslate", "Make sources for texts that have a target side only.", backtranslate.EXAMPLES)(
        backtranslate.backtranslate
    )
    command("compare", "One table for several runs or recipes, with paired tests.", compare.EXAMPLES)(compare.compare)
    command("cross-validate", "Train once for each fold; score all held-out examples.", cross_validate.EXAMPLES)(
        cross_validate.cross_validate
    )
    command("learning-curve", "Train on parts of the data: would more help?", learning_curve.EXAMPLES)(
        learning_curve.learning_curve
    )
    command("tune", "Search for better settings with Optuna.", tune.EXAMPLES)(tune.tune)
    command("inspect", "Attention, gates and gradients of a run.", inspect.EXAMPLES)(inspect.inspect)
    return app


def print_version(wanted: bool) -> bool:
    """Prints the version and ends, before a command is asked for."""
    if wanted:
        typer.echo(__version__)
        raise typer.Exit
    return wanted


@guarded
def options(
    context: typer.Context,
    version: Annotated[
        bool,
        typer.Option(
            "--version", help="Print the version and exit.", is_eager=True, callback=print_version, show_default=False
        ),
    ] = False,
) -> None:
    """Options before the command."""
    processes = os.environ.get("WORLD_SIZE", "1") if os.environ.get("RANK") else "1"
    if processes not in ("1", "") and context.invoked_subcommand != "train":
        raise RequestError(
            f"torchrun has started {processes} processes, but `seqlens {context.invoked_subcommand}` is for one: start "
            "it without torchrun."
        )
