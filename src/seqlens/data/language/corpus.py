"""A corpus of plain text: from a file, a folder, or files by name."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field

from seqlens.data.labelled.folders import split_files
from seqlens.data.language.reading import BlankLines, read_line_documents, read_running_text
from seqlens.data.language.records import Document, fingerprint_documents
from seqlens.data.split_corpus import (
    Fraction,
    FractionOrNone,
    Reader,
    SplitCorpus,
    check_fractions,
    complete_splits,
    named_files,
)
from seqlens.data.splitting import TEST, TRAIN, VALIDATION
from seqlens.errors import RequestError


@dataclass(frozen=True, slots=True)
class TextData:
    """Plain text, UTF-8, gzipped or not.

    `path` is a file, or a folder with `train.txt`, `validation.txt` (or `dev`, `valid`) and `test.txt`; or the files
    are named one by one. `unit: line` makes each line a document, such as a name a line; `unit: document` reads a file
    as one running text. Without validation that is held out from train, and test, too, if it is missing: of lines by a
    hash of what they say, so that equal lines stay together; of a running text by its order, the last `test_fraction`
    for test and what is before it for validation.

    A running text is measured in blocks of about `block_size` characters: intervals are over blocks.
    """

    kind: Literal["text"] = "text"
    path: str | None = None
    train: str | None = None
    validation: str | None = None
    test: str | None = None
    unit: Literal["line", "document"] = "line"
    blank_lines: BlankLines = "refuse"
    block_size: Annotated[int, Field(ge=20)] = 1000
    validation_fraction: Fraction = 0.05
    test_fraction: FractionOrNone = 0.05

    def __post_init__(self) -> None:
        check_fractions(self.validation_fraction, self.test_fraction)


def open_text(config: TextData, *, base: Path) -> SplitCorpus[Document]:
    """Opens a corpus; relative paths are taken from `base`.

    Raises:
        RequestError: a path or a choice of files does not fit, or the text is too short to be split.
    """
    name = config.path or config.train or config.validation or config.test or "files"
    readers = _open_path(config, base)
    readers |= {split: _reader(path, config) for split, path in named_files(config, base).items()}
    if config.unit == "document" and TRAIN in readers and VALIDATION not in readers:
        readers |= _divide_running_text(readers[TRAIN], config, with_test=TEST not in readers)
    noun = ("line", "lines") if config.unit == "line" else ("block", "blocks")
    corpus = complete_splits(
        SplitCorpus(name, readers, fingerprint_documents, noun), config, key=lambda document: document.text
    )
    ordered = {split: corpus.readers[split] for split in (TRAIN, VALIDATION, TEST) if split in corpus.readers}
    return replace(corpus, readers=ordered)


def _open_path(config: TextData, base: Path) -> dict[str, Reader[Document]]:
    if config.path is None:
        return {}
    path = base / config.path
    if path.is_dir():
        found = split_files(path)
        if not found and config.train is None:
            there = ", ".join(sorted(entry.name for entry in path.iterdir())[:12]) or "nothing"
            raise RequestError(f"The folder {path} has no train.txt in it, expected one; it holds {there}.")
        return {split: _reader(file, config) for split, file in found.items()}
    return {TRAIN: _reader(path, config)}


def _reader(path: Path, config: TextData) -> Reader[Document]:
    if path.is_dir():
        raise RequestError(f"{path} is a folder, expected a text file.")
    if config.unit == "line":
        return lambda: read_line_documents(path, blank_lines=config.blank_lines)
    return lambda: read_running_text(path, block_size=config.block_size)


def _divide_running_text(train: Reader[Document], config: TextData, *, with_test: bool) -> dict[str, Reader[Document]]:
    """Train, validation and test one after the other, each of whole blocks and at least one."""
    num_blocks = sum(1 for _ in train())
    fractions = {VALIDATION: config.validation_fraction}
    if with_test and config.test_fraction:
        fractions[TEST] = config.test_fraction
    sizes = {split: max(1, round(fraction * num_blocks)) for split, fraction in fractions.items()}
    start = num_blocks - sum(sizes.values())
    if start < 1:
        raise RequestError(
            f"{config.path or config.train} has {num_blocks} blocks of {config.block_size} characters, too few to hold "
            "some out for validation; give 'data.validation', or a smaller 'data.block_size'."
        )
    readers = {TRAIN: _slice(train, 0, start)}
    for split, size in sizes.items():
        readers[split] = _slice(train, start, start + size)
        start += size
    return readers


def _slice(read: Reader[Document], first: int, end: int) -> Reader[Document]:
    def blocks() -> Iterator[Document]:
        for number, block in enumerate(read()):
            if number >= end:
                return
            if number >= first:
                yield replace(block, continues=block.continues and number > first)

    return blocks


def join_running(documents: Sequence[Document]) -> list[list[Document]]:
    """Documents in runs: each that does not continue begins a new one."""
    runs: list[list[Document]] = []
    for document in documents:
        if document.continues and runs:
            runs[-1].append(document)
        else:
            runs.append([document])
    return runs
