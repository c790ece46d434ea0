"""A function as a command, with the manners of the command line `seqlens`."""

from collections.abc import Callable

import typer


def run_command(function: Callable[..., None]) -> None:
    """Reads the arguments from the command line, runs, exits."""
    app = typer.Typer(add_completion=False, rich_markup_mode=None, pretty_exceptions_enable=False)
    app.command()(function)
    app()
