"""A batch drawn in text: tokens above their ids above the mask, column by column."""

import shutil
import sys
from collections.abc import Iterator, Mapping, Sequence

from seqlens.report.text import clean_text, display_width
from seqlens.workflows.show import ShownBatch, ShownSide
from seqlens.workflows.show_examples import ShownExamples

_PIPE_WIDTH = 120
_GAP = 1
_PADDING_SHOWN = 6


def batch_lines(batch: ShownBatch) -> Iterator[str]:
    """All pairs of a batch; what does not fit into the terminal's width goes on below."""
    width = _width()
    yield f"{batch.corpus}, split {batch.split}: a batch of {len(batch.pairs)}"
    yield f"codec: {batch.codec}"
    for number, pair in enumerate(batch.pairs, start=1):
        yield ""
        yield f"pair {number}"
        for side in pair:
            yield from _side_lines(side, width)


def example_lines(batch: ShownExamples) -> Iterator[str]:
    """All examples of a batch, likewise."""
    width = _width()
    yield f"{batch.corpus}, split {batch.split}: a batch of {len(batch.examples)}"
    yield f"tokens: {batch.note}"
    for number, shown in enumerate(batch.examples, start=1):
        yield ""
        yield f"example {number}{', ' if shown.place else ''}{shown.place}"
        for name, text in shown.facts.items():
            yield f"  {name}: {clean_text(text)}"
        unknown = f", {shown.num_unknown} unknown" if shown.num_unknown else ""
        padding = len(next(iter(shown.rows.values()))) - shown.num_real
        yield f"    {shown.num_real} positions{unknown}, {padding} of padding"
        cells = {name: [_visible(cell) for cell in row] for name, row in shown.rows.items()}
        yield from drawn_rows(cells, shown.num_real, width)


def _width() -> int:
    return shutil.get_terminal_size().columns if sys.stdout.isatty() else _PIPE_WIDTH


def _visible(cell: str) -> str:
    return clean_text(cell).replace("\n", "↵") or "''"


def _side_lines(side: ShownSide, width: int) -> Iterator[str]:
    real = sum(side.mask)
    padding = len(side.mask) - real
    unknown = f", {side.num_unknown} unknown" if side.num_unknown else ""
    yield f"  {side.name}: {clean_text(side.text)}"
    yield f"    {real} tokens with <end>{unknown}, {padding} of padding"
    rows = {
        "tokens": [_visible(token) for token in side.tokens],
        "ids": [str(number) for number in side.ids],
        "mask": ["1" if kept else "0" for kept in side.mask],
    }
    yield from drawn_rows(rows, real, width)


def drawn_rows(rows: Mapping[str, Sequence[str]], real: int, width: int) -> Iterator[str]:
    """Rows of cells below each other, column by column; of much padding after the `real` ones some is left out."""
    if not rows:
        return
    if len(next(iter(rows.values()))) > real + _PADDING_SHOWN + 1:
        rows = {name: [*cells[: real + _PADDING_SHOWN], "..."] for name, cells in rows.items()}
    columns = [max(map(display_width, cells)) for cells in zip(*rows.values(), strict=True)]
    for first, last in _blocks(columns, width - 12):
        for name, cells in rows.items():
            line = (" " * _GAP).join(
                cell + " " * (room - display_width(cell))
                for cell, room in zip(cells[first:last], columns[first:last], strict=True)
            )
            yield f"    {name:6}  {line}"


def _blocks(columns: Sequence[int], width: int) -> Iterator[tuple[int, int]]:
    """Splits columns into runs that fit into a width, each with one column at least."""
    first, used = 0, 0
    for place, room in enumerate(columns):
        if place > first and used + room > width:
            yield first, place
            first, used = place, 0
        used += room + _GAP
    yield first, len(columns)
