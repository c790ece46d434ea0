"""From what a command raises to what a person reads and the exit code a script sees."""

import os
import sys
from collections.abc import Callable
from functools import wraps
from typing import ParamSpec

import typer

from seqlens.cli.printing import note, print_error
from seqlens.errors import SeqlensError

INTERRUPTED = 130
"""128 + SIGINT, as shells have it."""
CLOSED_PIPE = 141
"""128 + SIGPIPE."""

Parameters = ParamSpec("Parameters")


def guarded(command: Callable[Parameters, None]) -> Callable[Parameters, None]:
    """Tells errors that are meant to be read in a sentence each; any other one is a bug and keeps its traceback."""

    @wraps(command)
    def run(*arguments: Parameters.args, **named: Parameters.kwargs) -> None:
        try:
            command(*arguments, **named)
            sys.stdout.flush()
        except SeqlensError as error:
            print_error(str(error))
            raise typer.Exit(error.exit_code) from error
        except KeyboardInterrupt as error:
            note("Interrupted.")
            raise typer.Exit(INTERRUPTED) from error
        except BrokenPipeError as error:
            _forget_stdout()
            raise typer.Exit(CLOSED_PIPE) from error

    return run


def _forget_stdout() -> None:
    """Whoever read stdout is gone; Python would complain once more when it flushes at the end."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, sys.stdout.fileno())
    os.close(nowhere)
