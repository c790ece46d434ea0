"""Short sequences with a label each: a FASTA file a class, or a table; gzipped or not."""

import csv
from collections.abc import Iterable, Iterator
from dataclasses import replace
from pathlib import Path

from seqlens.data.dna.fasta import read_fasta
from seqlens.data.dna.letters import clean_letters
from seqlens.data.examples import Place
from seqlens.data.labelled.records import LabelledText
from seqlens.data.readers import read_lines, read_row
from seqlens.errors import RequestError, did_you_mean

Column = int | str


def read_class_fasta(path: Path, label: str) -> Iterator[LabelledText]:
    """Yields the sequences of a FASTA file, all with one label; names may repeat.

    Raises:
        RequestError: as `read_fasta`.
    """
    for record in read_fasta(path, unique=False):
        yield LabelledText(record.sequence, label, record.place)


def read_windows(path: Path, *, sequence_column: Column, label_column: Column) -> Iterator[LabelledText]:
    """Yields the rows of a table whose columns are separated by tabs (.tsv) or commas.

    Columns are counted from 0, or named as in the first line, which then is a header. Spaces around what a column holds
    are dropped.

    Raises:
        RequestError: as `read_lines`; no such column, a row that has too few or no label, a letter that is no base, an
        empty file. The sentence names file and line.
    """
    separator = "\t" if path.name.removesuffix(".gz").endswith(".tsv") else ","
    columns: tuple[int, int] | None = None
    number = 0
    for number, line in read_lines(path):
        place = Place(str(path), number)
        row = [field.strip() for field in read_row(csv.reader([line], delimiter=separator)) or []]
        if columns is None:
            columns = _place_of(sequence_column, row, place), _place_of(label_column, row, place)
            if isinstance(sequence_column, str) or isinstance(label_column, str):
                continue
        if not any(row):
            continue
        if len(row) <= max(columns):
            found = "1 column" if len(row) == 1 else f"{len(row)} columns"
            raise RequestError(f"{place} has {found}, expected at least {max(columns) + 1}.")
        sequence, label = (row[column] for column in columns)
        if not label:
            raise RequestError(f"{place} has no label in column {label_column!r}.")
        if not sequence:
            raise RequestError(f"{place} has no sequence in column {sequence_column!r}.")
        yield LabelledText(clean_letters(sequence, place, spaced=True), label, place)
    if not number:
        raise RequestError(f"{path} is empty, expected a sequence and a label in each row.")


def without_duplicates(examples: Iterable[LabelledText]) -> list[LabelledText]:
    """Each sequence once; those that come with different labels not at all, since none can be trusted."""
    labels: dict[str, set[str]] = {}
    kept: dict[str, LabelledText] = {}
    for example in examples:
        labels.setdefault(example.text, set()).add(example.label)
        kept.setdefault(example.text, example)
    return [example for text, example in kept.items() if len(labels[text]) == 1]


def renamed(examples: Iterable[LabelledText], labels: dict[str, str | None]) -> Iterator[LabelledText]:
    """Labels by their new names; examples of a label that became None are left out."""
    for example in examples:
        label = labels.get(example.label, example.label)
        if label is not None:
            yield replace(example, label=label)


def _place_of(column: Column, header: list[str], place: Place) -> int:
    if isinstance(column, int):
        return column
    names = [name.lower() for name in header]
    if column.lower() not in names:
        shown = ", ".join(f"'{name}'" for name in header)
        near = (
            did_you_mean(column, header)
            or " Without a header columns have numbers: sequence_column: 0, label_column: 1."
        )
        raise RequestError(f"{place} has no column '{column}', its columns are {shown}.{near}")
    return names.index(column.lower())
