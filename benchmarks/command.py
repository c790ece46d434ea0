"""A function as a command, with the manners of the command line `seqlens`."""

import os
from collections.abc import Callable

import typer


def run_command(function: Callable[..., None]) -> None:
    """Reads the arguments from the command line, runs, exits."""
    # As `seqlens` does: OpenMP's threads that spin while they wait cost a busy machine up to four times the time.
    os.environ.setdefault("OMP_WAIT_POLICY", "passive")
    app = typer.Typer(add_completion=False, rich_markup_mode=None, pretty_exceptions_enable=False)
    app.command()(function)
    app()
