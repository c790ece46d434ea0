"""What goes where: results to stdout, everything a person is told on the way to stderr."""

import sys
from collections.abc import Iterable, Iterator, Sequence

from rich.console import Console
from rich.text import Text

from seqlens.report import Table, render_terminal_table
from seqlens.report.numbers import told_cut
from seqlens.report.sections import Alignment
from seqlens.report.tables import lay_out
from seqlens.report.text import clean_text, display_width

UNBOUNDED_WIDTH = 100_000
_GAP = 3
_NARROWEST_TEXT = 24


def results() -> Console:
    """The console on stdout. Where stdout is no terminal, lines are as long as they need to be."""
    width = None if sys.stdout.isatty() else UNBOUNDED_WIDTH
    return Console(width=width, highlight=False, markup=False, emoji=False)


def notes() -> Console:
    """The console on stderr; texts are never cut into lines, a terminal does that itself."""
    return Console(stderr=True, highlight=False, markup=False, emoji=False, soft_wrap=True)


def note(text: str) -> None:
    """Tells what happens."""
    # Not by a console: while a live line is shown, what is written here is put above it.
    sys.stderr.write(f"{text}\n")


def warn(text: str) -> None:
    """Tells what went less well than it should."""
    notes().print(Text.assemble(("warning: ", "bold yellow"), text))


def warn_of_cut(num_cut: int, num_inputs: int) -> None:
    """Tells how many inputs the model's positions do not reach, if there are any."""
    if num_cut:
        warn(told_cut(num_cut, num_inputs, "inputs"))


def print_error(text: str) -> None:
    """Tells why the command ends here, a line for each fault."""
    for line in text.splitlines():
        notes().print(Text.assemble(("error: ", "bold red"), line))


def print_table(table: Table) -> None:
    """Prints a result: a row a line in a pipe; on a terminal in a form whose numbers it has room for."""
    console = results()
    if not console.is_terminal:
        with console.capture() as captured:
            console.print(render_terminal_table(table))
        print_lines(captured.get().strip("\n").splitlines())
    elif _least_width(table) <= console.width:
        console.print(render_terminal_table(table))
    elif _least_width(turned := _turned(table)) <= console.width:
        console.print(render_terminal_table(turned))
    else:
        print_lines(_record_lines(table))


def _least_width(table: Table) -> int:
    """The width below which numbers would be cut; long texts can be wrapped."""
    laid_out = lay_out(table, clean_text)
    width = 2
    for place, (name, align) in enumerate(zip(laid_out.columns, laid_out.align, strict=True)):
        lines = [line for cell in (name, *(row[place] for row in laid_out.rows)) for line in cell.split("\n")]
        widest = max(map(display_width, lines))
        width += _GAP + (widest if align == "right" else min(widest, _NARROWEST_TEXT))
    return width


def _turned(table: Table) -> Table:
    """Columns as rows, and every interval below its value."""
    laid_out = lay_out(table, clean_text)
    names = [row[0] for row in laid_out.rows]
    rows = [
        (column, *(row[place].replace(" [", "\n[", 1) for row in laid_out.rows))
        for place, column in enumerate(laid_out.columns)
        if place > 0
    ]
    align: list[Alignment] = ["left"]
    align += ["right"] * len(names)
    return Table(table.title, (laid_out.columns[0], *names), rows, note=table.note, align=align)


def _record_lines(table: Table) -> Iterator[str]:
    """Each row as a block: its first cell, and below it a line for each other one."""
    laid_out = lay_out(table, clean_text)
    if table.title:
        yield clean_text(table.title)
    width = max(map(display_width, laid_out.columns))
    for row in laid_out.rows:
        yield ""
        yield row[0]
        for name, cell in zip(laid_out.columns[1:], row[1:], strict=True):
            yield f"  {name}{' ' * (width - display_width(name))}  {cell}"
    if table.note:
        yield ""
        yield clean_text(table.note)


def print_next(commands: Sequence[str]) -> None:
    """Tells which commands come next, one a line, so that they can be copied."""
    console = notes()
    for command in commands:
        console.print(Text.assemble("  ", (command, "cyan")))


def print_lines(lines: Iterable[str]) -> None:
    """Prints results that are lines already."""
    for line in lines:
        sys.stdout.write(line.rstrip() + "\n")
