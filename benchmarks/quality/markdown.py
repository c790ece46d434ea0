"""Pieces of a Markdown page."""

from collections.abc import Sequence
from typing import Any

from benchmarks.rows import Row

NOTHING = "–"


def table(columns: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A table with one line a row, and an empty line after it."""
    for row in rows:
        if len(row) != len(columns):
            raise ValueError(f"a row of {len(row)} cells in a table of {len(columns)} columns: {row}")
    lines = [columns, ["---"] * len(columns), *rows]
    return "".join("| " + " | ".join(_cell(text) for text in line) + " |\n" for line in lines)


def machine_text(row: Row) -> str:
    """The processor, its cores and threads, and what computed."""
    machine: dict[str, Any] = row["machine"]
    where = machine["gpu"] or f"{machine['processor']}, {machine['cores']} cores, {machine['threads']} threads"
    return f"{where}, torch {machine['torch']}"


def day(row: Row) -> str:
    """The day of a row, by UTC."""
    return str(row["time"])[:10]


def join(texts: Sequence[str]) -> str:
    """Different texts once each, in order."""
    return "; ".join(dict.fromkeys(texts))


def _cell(text: str) -> str:
    return text.replace("|", "\\|").replace("\n", " ")
