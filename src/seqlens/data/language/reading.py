"""Plain text files: a document a line, or one running text; lazy, UTF-8, gzipped or not."""

from collections.abc import Iterator
from pathlib import Path
from typing import Literal

from seqlens.data.examples import Place
from seqlens.data.language.records import Document
from seqlens.data.readers import read_lines
from seqlens.errors import RequestError

BlankLines = Literal["refuse", "skip"]


def read_line_documents(path: Path, *, blank_lines: BlankLines = "refuse") -> Iterator[Document]:
    """Yields the lines of a file, each a document of its own.

    Raises:
        RequestError: as `read_lines`; a blank line, if they are refused; a line with a NUL; a file without any text.
    """
    found = False
    for number, line in read_lines(path):
        place = Place(str(path), number)
        _check_text(place, line)
        if not line.strip():
            if blank_lines == "refuse":
                raise RequestError(
                    f"{place} is blank, expected a text on each line. Remove it, or set 'data.blank_lines: skip'; "
                    "where the file is one running text, set 'data.unit: document'."
                )
            continue
        found = True
        yield Document(line, place)
    if not found:
        raise RequestError(f"{path} holds no text, expected a text on each line.")


def read_running_text(path: Path, *, block_size: int) -> Iterator[Document]:
    """Yields a file as blocks of about `block_size` characters, each going on where the last one ended.

    Blocks end with a line, or within a line of more than twice that size with a word. Line ends are `\\n`.

    Raises:
        RequestError: as `read_lines`; a NUL; a file without any text.
    """
    lines: list[str] = []
    size, place, started, blank = 0, Place(str(path), 1), False, True
    for number, line in read_lines(path):
        here = Place(str(path), number)
        _check_text(here, line)
        blank = blank and not line.strip()
        for piece in _cut(f"{line}\n", block_size):
            if not lines:
                place = here
            lines.append(piece)
            size += len(piece)
            if size >= block_size:
                yield Document("".join(lines), place, started, ends=False)
                lines, size, started = [], 0, True
    if lines:
        yield Document("".join(lines), place, started, ends=False)
    if blank:
        raise RequestError(f"{path} holds no text, expected a running text.")


def _check_text(place: Place, line: str) -> None:
    if "\0" in line:
        raise RequestError(f"{place} holds a NUL character, expected text: is this another kind of file?")


def _cut(line: str, block_size: int) -> Iterator[str]:
    """The line in pieces: one, or if it is more than twice as long as a block, several that end with a space."""
    start = 0
    while len(line) - start > 2 * block_size:
        space = line.rfind(" ", start + 1, start + block_size)
        end = start + block_size if space < 0 else space
        yield line[start:end]
        start = end
    yield line[start:]
