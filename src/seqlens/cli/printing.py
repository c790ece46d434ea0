"""What goes where: results to stdout, everything a person is told on the way to stderr."""

import sys
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

from rich.console import Console
from rich.text import Text

if TYPE_CHECKING:
    from seqlens.report import Table

UNBOUNDED_WIDTH = 100_000


def results() -> Console:
    """The console on stdout. Where stdout is no terminal, lines are as long as they need to be."""
    width = None if sys.stdout.isatty() else UNBOUNDED_WIDTH
    return Console(width=width, highlight=False, markup=False, emoji=False)


def notes() -> Console:
    """The console on stderr; texts are never cut into lines, a terminal does that itself."""
    return Console(stderr=True, highlight=False, markup=False, emoji=False, soft_wrap=True)


def note(text: str) -> None:
    """Tells what happens."""
    notes().print(Text(text, style="dim" if sys.stderr.isatty() else ""))


def warn(text: str) -> None:
    """Tells what went less well than it should."""
    notes().print(Text.assemble(("warning: ", "bold yellow"), text))


def print_error(text: str) -> None:
    """Tells why the command ends here, a line for each fault."""
    for line in text.splitlines():
        notes().print(Text.assemble(("error: ", "bold red"), line))


def print_table(table: "Table") -> None:
    """Prints a result. A terminal wraps cells by column; in a pipe a row is a line, without spaces at its end."""
    from seqlens.report import render_terminal_table

    console = results()
    if console.is_terminal:
        console.print(render_terminal_table(table))
        return
    with console.capture() as captured:
        console.print(render_terminal_table(table))
    print_lines(captured.get().strip("\n").splitlines())


def print_next(commands: Sequence[str]) -> None:
    """Tells which commands come next, one a line, so that they can be copied."""
    console = notes()
    for command in commands:
        console.print(Text.assemble("  ", (command, "cyan")))


def print_lines(lines: Iterable[str]) -> None:
    """Prints results that are lines already."""
    for line in lines:
        sys.stdout.write(line.rstrip() + "\n")
