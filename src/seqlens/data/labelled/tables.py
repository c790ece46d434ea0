"""Labelled texts with one a line: `label text`, columns, JSON objects. Lazy, gzipped or not."""

import csv
import re
from collections.abc import Iterator
from itertools import chain, islice
from pathlib import Path

from seqlens.data.examples import Place
from seqlens.data.labelled.headers import NUM_SHOWN, check_no_header
from seqlens.data.labelled.records import LabelledText
from seqlens.data.readers import read_jsonl, read_lines, read_row
from seqlens.errors import RequestError, did_you_mean

Column = int | str
_Rows = Iterator[tuple[int, list[str]]]
_FASTTEXT = "__label__"
_BLANK = re.compile(r"[ \t]")


def read_labelled_lines(path: Path) -> Iterator[LabelledText]:
    """Yields the lines of a file whose first word is the label; fastText's `__label__` before it is dropped.

    The word ends at a space or a tab.

    Raises:
        RequestError: as `read_lines`; a line that has no text after its label; an empty file.
    """
    number = 0
    for number, line in read_lines(path):
        label, *rest = _BLANK.split(line.strip(), maxsplit=1)
        text = rest[0] if rest else ""
        place = Place(str(path), number)
        if not text.strip():
            raise RequestError(f"{place} has {_found(line)}, expected a label, a space and a text.")
        yield LabelledText(text.strip(), label.removeprefix(_FASTTEXT), place)
    _check_not_empty(path, number, "a label and a text on each line")


def read_columns(
    path: Path,
    *,
    text_column: Column,
    label_column: Column,
    separator: str,
    quoted: bool,
    header: bool | None = None,
) -> Iterator[LabelledText]:
    """Yields the rows of a table; columns are counted from 0, or named as in the first line, which then is a header.

    `header` says of a file whose columns are counted whether its first line is one; None refuses one that looks so.

    `quoted` reads quotes as CSV has them, in which case a text may hold line breaks; without it a quote is a quote.

    Raises:
        RequestError: as `read_lines`; no such column; a row that has too few, or more than the first one; a header
            where columns are counted; an empty file.
    """
    rows = _quoted_rows(path, separator) if quoted else _plain_rows(path, separator)
    number, first = next(rows, (0, []))
    _check_not_empty(path, number, "a text and a label in each row")
    places = [_place_of(column, first, path) for column in (text_column, label_column)]
    if places[0] == places[1]:
        raise RequestError(
            f"Text and label of {path} would both be column {places[0]}, counted from 0; set 'text_column' and "
            "'label_column'."
        )
    header = True if isinstance(text_column, str) or isinstance(label_column, str) else header
    if header is None and len(first) > max(places) and first[places[1]].strip():
        shown, rows = _look_ahead(rows)
        followers = [(row[places[0]], row[places[1]]) for _, row in shown if len(row) > max(places)]
        check_no_header((first[places[0]], first[places[1]]), followers, Place(str(path), number))
    rows = rows if header else chain([(number, first)], rows)
    for number, row in rows:
        if len(row) <= max(places):
            found = "1 column" if len(row) == 1 else f"{len(row)} columns"
            raise RequestError(f"{Place(str(path), number)} has {found}, expected at least {max(places) + 1}.")
        if any(cell.strip() for cell in row[len(first) :]):
            raise RequestError(
                f"{Place(str(path), number)} has {len(row)} columns, expected {len(first)} as in the first row; a text "
                "that holds the separator is to be quoted in a CSV file, or read as JSON Lines."
            )
        text, label = (row[place] for place in places)
        if not label.strip():
            raise RequestError(f"{Place(str(path), number)} has no label in column {label_column!r}.")
        yield LabelledText(text, label.strip(), Place(str(path), number))


def read_labelled_jsonl(path: Path, *, text_key: str, label_key: str) -> Iterator[LabelledText]:
    """Yields the objects of a JSON Lines file; a label may be a whole number, `true` or `false`.

    Raises:
        RequestError: as `read_jsonl`, with the line; a label is blank.
    """
    for pair in read_jsonl(path, source_key=text_key, target_key=label_key, numbers_for_target=True):
        label = (pair.target or "").strip()
        if not label:
            raise RequestError(f"{pair.place} has no label at the key '{label_key}'.")
        yield LabelledText(pair.source, label, pair.place)


def _look_ahead(rows: _Rows) -> tuple[list[tuple[int, list[str]]], _Rows]:
    """The next rows, as far as they can be read, and an iterator over all that are left."""
    shown: list[tuple[int, list[str]]] = []
    try:
        shown.extend(islice(rows, NUM_SHOWN))
    except RequestError as error:
        return shown, chain(shown, _raise(error))
    return shown, chain(shown, rows)


def _raise(error: RequestError) -> _Rows:
    raise error
    yield


def _plain_rows(path: Path, separator: str) -> Iterator[tuple[int, list[str]]]:
    for number, line in read_lines(path):
        yield number, line.split(separator)


def _quoted_rows(path: Path, separator: str) -> Iterator[tuple[int, list[str]]]:
    # `csv` wants line ends to tell those inside quotes from those of rows.
    reader = csv.reader((f"{line}\n" for _, line in read_lines(path)), delimiter=separator, strict=True)
    first = 1
    try:
        while (row := read_row(reader)) is not None:
            if row:
                yield first, row
            first = reader.line_num + 1
    except csv.Error as error:
        raise RequestError(f"{Place(str(path), first)} cannot be read as CSV: {error}.") from error


def _place_of(column: Column, header: list[str], path: Path) -> int:
    if isinstance(column, int):
        return column
    if column not in header:
        names = ", ".join(f"'{name}'" for name in header)
        raise RequestError(f"{path} has no column '{column}', its columns are {names}.{did_you_mean(column, header)}")
    return header.index(column)


def _found(line: str) -> str:
    return f"only '{line.strip()}'" if line.strip() else "nothing"


def _check_not_empty(path: Path, number: int, expected: str) -> None:
    if not number:
        raise RequestError(f"{path} is empty, expected {expected}.")
