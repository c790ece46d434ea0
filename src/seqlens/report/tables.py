"""One table, three forms: HTML for the report, Markdown for documents, rich for the terminal."""

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, final

from seqlens.report.numbers import column_decimals, format_cell
from seqlens.report.sections import Alignment, Table, TableCell
from seqlens.report.text import clean_text, display_width, escape

if TYPE_CHECKING:
    import rich.table

_RULES: dict[Alignment, tuple[str, str]] = {"left": (":", "-"), "right": ("-", ":"), "center": (":", ":")}
# An underscore inside a word, as in `gru_attention`, is no markup and stays readable.
_MARKDOWN_MARKUP = re.compile(r"[\\`*\[<|~$&]|(?<![^\W_])_|_(?![^\W_])")


@final
@dataclass(frozen=True, slots=True)
class TextTable:
    """A table whose cells have become text, with an alignment per column."""

    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    align: tuple[Alignment, ...]


def lay_out(table: Table, show_text: Callable[[str], str]) -> TextTable:
    """Returns the table with every cell as text, the decimals and the alignment chosen column by column.

    `show_text` makes column names and cells of text safe for where they go; numbers are safe everywhere.
    """
    columns = [[row[index] for row in table.rows] for index in range(len(table.columns))]
    decimals = [column_decimals(column) for column in columns]
    rows = tuple(
        tuple(
            show_text(cell) if isinstance(cell, str) else format_cell(cell, digits)
            for cell, digits in zip(row, decimals, strict=True)
        )
        for row in table.rows
    )
    align = tuple(table.align) if table.align is not None else tuple(_alignment(column) for column in columns)
    return TextTable(tuple(show_text(name) for name in table.columns), rows, align)


def html_table(table: Table) -> str:
    """Returns the table as an HTML element, without its title and note."""
    laid_out = lay_out(table, escape)
    head = "".join(
        f'<th scope="col" class="{align}" dir="auto">{name}</th>'
        for name, align in zip(laid_out.columns, laid_out.align, strict=True)
    )
    body = "".join(f"<tr>{_html_row(row, laid_out.align)}</tr>\n" for row in laid_out.rows)
    if not laid_out.rows:
        body = f'<tr><td class="empty" colspan="{max(1, len(laid_out.columns))}">No rows.</td></tr>\n'
    return (
        f'<div class="scroll"><table class="data">\n<thead><tr>{head}</tr></thead>\n'
        f"<tbody>\n{body}</tbody></table></div>"
    )


def markdown_table(table: Table) -> str:
    """Returns the table in GitHub's Markdown, with its note below and without its title; ends with a newline."""
    laid_out = lay_out(table, _escape_markdown)
    lines = [laid_out.columns, *laid_out.rows]
    widths = [max(3, *(display_width(line[index]) for line in lines)) for index in range(len(laid_out.columns))]
    padded = [
        [_pad(text, width, align) for text, width, align in zip(line, widths, laid_out.align, strict=True)]
        for line in lines
    ]
    rule = []
    for width, align in zip(widths, laid_out.align, strict=True):
        first, last = _RULES[align]
        rule.append(first + "-" * (width - 2) + last)
    padded.insert(1, rule)
    text = "".join(f"| {' | '.join(line)} |\n" for line in padded)
    return f"{text}\n{_escape_markdown(table.note)}\n" if table.note else text


def render_terminal_table(table: Table) -> "rich.table.Table":
    """Returns the table for `rich.console.Console.print`; nothing in its texts is read as rich's markup."""
    import rich.box
    import rich.table
    from rich.text import Text

    laid_out = lay_out(table, clean_text)
    rendered = rich.table.Table(
        title=Text(clean_text(table.title)) if table.title else None,
        caption=Text(clean_text(table.note)) if table.note else None,
        box=rich.box.SIMPLE_HEAD,
        title_justify="left",
        caption_justify="left",
    )
    for name, align in zip(laid_out.columns, laid_out.align, strict=True):
        # A number that breaks over two lines is misread, a text is not.
        rendered.add_column(Text(name), justify=align, no_wrap=align == "right")
    for row in laid_out.rows:
        rendered.add_row(*(Text(cell) for cell in row))
    return rendered


def _alignment(column: list[TableCell]) -> Alignment:
    present = [cell for cell in column if cell is not None]
    return "right" if present and not any(isinstance(cell, str) for cell in present) else "left"


def _html_row(row: tuple[str, ...], alignments: tuple[Alignment, ...]) -> str:
    return "".join(f'<td class="{align}" dir="auto">{text}</td>' for text, align in zip(row, alignments, strict=True))


def _escape_markdown(text: str) -> str:
    return _MARKDOWN_MARKUP.sub(r"\\\g<0>", clean_text(text)).replace("\n", "<br>")


def _pad(text: str, width: int, align: Alignment) -> str:
    missing = width - display_width(text)
    left = {"left": 0, "right": missing, "center": missing // 2}[align]
    return " " * left + text + " " * (missing - left)
