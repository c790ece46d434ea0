"""Inputs line by line, and answers to stdout or to a file that is whole or absent."""

import gzip
import json
import os
import secrets
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from io import BufferedReader, TextIOWrapper
from itertools import islice
from pathlib import Path
from typing import BinaryIO, TextIO, cast

from seqlens.data.readers import read_lines
from seqlens.errors import RequestError, WorkError
from seqlens.tasks.transduce.answer import Translation

CHUNK_LINES = 1024
_CHUNK_BYTES = 1 << 16
_BYTE_ORDER_MARK = b"\xef\xbb\xbf"


def file_chunks(path: Path, at_least: int = 1) -> Iterator[list[str]]:
    """The lines of a file (gzipped or not), some at a time, `at_least` so many.

    Raises:
        RequestError: the file cannot be read, or a line is not UTF-8.
    """
    lines = (text for _, text in read_lines(path))
    while chunk := list(islice(lines, min(max(CHUNK_LINES, at_least), sys.maxsize))):
        yield chunk


def stdin_chunks() -> Iterator[list[str]]:
    """The lines of stdin as they come: a line typed into a pipe is answered at once, a fast writer's go in chunks.

    Raises:
        RequestError: a line is not UTF-8.
    """
    number, rest = 0, b""
    stdin = cast("BufferedReader", sys.stdin.buffer)
    # `read1` returns what is there; `read` and the iteration over lines would wait until a buffer is full.
    while data := stdin.read1(_CHUNK_BYTES):
        *whole, rest = (rest + data).split(b"\n")
        for first in range(0, len(whole), CHUNK_LINES):
            chunk = whole[first : first + CHUNK_LINES]
            yield [_decoded(line, number + place) for place, line in enumerate(chunk, start=1)]
            number += len(chunk)
    if rest and (number or rest != _BYTE_ORDER_MARK):
        yield [_decoded(rest, number + 1)]


def typed_chunks() -> Iterator[list[str]]:
    """The lines somebody types, one at a time, after a prompt."""
    with suppress(ImportError):
        import readline  # noqa: F401 - gives `input` its editing and history
    while True:
        try:
            if sys.stdout.isatty():
                line = input("> ")
            else:  # `input` would write its prompt among the results
                print("> ", end="", file=sys.stderr, flush=True)
                line = input()
        except EOFError:
            print(file=sys.stderr)
            return
        yield [line]


def _decoded(line: bytes, number: int) -> str:
    if number == 1:
        line = line.removeprefix(_BYTE_ORDER_MARK)
    try:
        return line.removesuffix(b"\r").decode("utf-8")
    except UnicodeDecodeError as error:
        raise RequestError(
            f"stdin line {number} is not UTF-8: byte 0x{line[error.start]:02x} at byte {error.start + 1} of the line."
        ) from error


def answer_line(text: str, answer: Translation, *, as_json: bool) -> str:
    """The line of an answer: its text, or a JSON object with the input beside it."""
    if as_json:
        return json.dumps({"input": text, **answer.to_plain()}, ensure_ascii=False) + "\n"
    # A line break inside an answer would shift all lines after it.
    return answer.text.replace("\r\n", " ").replace("\n", " ").replace("\r", " ") + "\n"


@contextmanager
def output_to(path: Path | None) -> Iterator[TextIO]:
    """Stdout, or a file that appears under its name when all is written; gzipped where it ends with `.gz`.

    Raises:
        WorkError: the file cannot be written; what was there before is as it was.
    """
    if path is None:
        yield sys.stdout
        return
    if path.exists() and not path.is_file():  # a device or a named pipe is written to, not replaced by a file
        yield from _written_through(path)
        return
    gzipped = path.suffix.lower() == ".gz"
    path = path.resolve()  # a link stays one
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(4)}.tmp")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            with temporary.open("xb") as raw:
                with _text_to(raw, gzipped=gzipped) as file:
                    yield file
                raw.flush()
                os.fsync(raw.fileno())
            temporary.replace(path)
        except BaseException:  # an interrupt must not leave the temporary file behind either
            with suppress(OSError):
                temporary.unlink(missing_ok=True)
            raise
    except OSError as error:
        raise WorkError(f"{path} could not be written: {error.strerror or error}.") from error


@contextmanager
def _text_to(raw: BinaryIO, *, gzipped: bool) -> Iterator[TextIO]:
    """Text into an open file, which stays open."""
    # Without a name and the time of day, equal answers are equal files.
    content = gzip.GzipFile("", "wb", fileobj=raw, mtime=0) if gzipped else raw
    text = TextIOWrapper(cast("BinaryIO", content), encoding="utf-8", newline="\n")
    try:
        yield text
        text.flush()
    finally:
        text.detach()
        if gzipped:
            content.close()


def _written_through(path: Path) -> Iterator[TextIO]:
    try:
        with path.open("w", encoding="utf-8", newline="\n") as file:
            yield file
    except OSError as error:
        raise WorkError(f"{path} could not be written: {error.strerror or error}.") from error
