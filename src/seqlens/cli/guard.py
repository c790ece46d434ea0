"""From what a command raises to what a person reads and the exit code a script sees."""

import errno
import os
import sys
from collections.abc import Callable
from functools import wraps
from typing import ParamSpec

import typer

from seqlens.cli.printing import note, print_error
from seqlens.errors import SeqlensError, WorkError

INTERRUPTED = 130
"""128 + SIGINT, as shells have it."""
CLOSED_PIPE = 141
"""128 + SIGPIPE."""

_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)

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
        except OSError as error:
            if error.errno not in _FULL:
                raise
            _forget_stdout()
            print_error(f"{error.filename or 'The output'} could not be written: {error.strerror}.")
            raise typer.Exit(WorkError.exit_code) from error

    return run


def _forget_stdout() -> None:
    """What is left for stdout cannot be written; Python would complain once more when it flushes at the end."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, sys.stdout.fileno())
    os.close(nowhere)
