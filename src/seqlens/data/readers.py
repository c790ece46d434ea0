"""From files to pairs: two text files line by line, tab-separated values, JSON Lines; all lazy, gzipped or
not.

A file is opened when the first record is asked for. Whether it is gzipped is told by its first bytes, not by
its name; a zip archive is read by naming the `member` in it. Text is UTF-8, a byte order mark at the start is
dropped, and a line ends at `\\n` or `\\r\\n` only: U+2028, U+0085 or a vertical tab belong to the sentence.

A fault in a file raises RequestError, a sentence with file and line. With `on_fault` given it is called
instead, and reading goes on as well as it can: bad bytes become U+FFFD, a record that cannot be read is
passed over.
"""

import csv
import gzip
import json
import zipfile
import zlib
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from io import BufferedReader
from itertools import zip_longest
from pathlib import Path
from typing import IO, Literal, cast

from seqlens.data.examples import Pair, Place
from seqlens.errors import RequestError, did_you_mean

FaultKind = Literal["unreadable-file", "empty-file", "invalid-utf8", "unequal-lengths", "bad-record"]


@dataclass(frozen=True, slots=True)
class ReadFault:
    """What is wrong in a file, where, and the sentence that says so."""

    kind: FaultKind
    place: Place
    message: str


FaultHandler = Callable[[ReadFault], None]


@contextmanager
def open_bytes(path: Path, *, member: str | None = None) -> Iterator[IO[bytes]]:
    """Opens a file for reading, unpacked: gzip is told by the first bytes, `member` names a file in a zip
    archive.

    Raises RequestError where the file cannot be opened. Errors while reading a damaged archive are left as
    they are.
    """
    try:
        raw = path.open("rb")
    except OSError as error:
        raise RequestError(f"Cannot read {path}: {_reason(path, error)}.") from error
    with raw:
        if member is not None:
            with _open_member(path, raw, member) as unpacked:
                yield unpacked
        elif raw.peek(2)[:2] == b"\x1f\x8b":
            with gzip.GzipFile(fileobj=raw) as unzipped:
                yield cast("IO[bytes]", unzipped)
        else:
            yield raw


def read_lines(
    path: Path, *, member: str | None = None, on_fault: FaultHandler | None = None
) -> Iterator[tuple[int, str]]:
    """Yields `(line number from one, text without its line end)`; an empty file yields nothing.

    Raises RequestError for a file that cannot be opened, a damaged archive, and a line that is not UTF-8.
    """
    for number, raw in _raw_lines(path, member, on_fault):
        try:
            yield number, raw.decode("utf-8")
        except UnicodeDecodeError as error:
            place = Place(_shown(path, member), number)
            _report(ReadFault("invalid-utf8", place, _undecodable(place, raw, error)), on_fault)
            yield number, raw.decode("utf-8", errors="replace")


def read_row(reader: Iterator[list[str]]) -> list[str] | None:
    """The next row of a `csv.reader`, whose fields may be of any length; None at the end."""
    # The limit is that of the whole process, so it is what it was as soon as the row is read.
    before = csv.field_size_limit(2**31 - 1)
    try:
        return next(reader, None)
    finally:
        csv.field_size_limit(before)


def read_paired_text(source_path: Path, target_path: Path, *, on_fault: FaultHandler | None = None) -> Iterator[Pair]:
    """Yields the pairs of two text files in which line N of one translates line N of the other.

    The place of a pair is that of its source. Raises RequestError as `read_lines` does, for an empty file,
    and, when the end of one file is reached before that of the other, for files of unequal length.
    """
    sources, targets = _raw_lines(source_path, None, on_fault), _raw_lines(target_path, None, on_fault)
    paired, num_sources, num_targets = 0, 0, 0
    for source, target in zip_longest(sources, targets):
        num_sources += source is not None
        num_targets += target is not None
        if source is None or target is None:
            continue  # counted to the end, so that the sentence below can give both lengths
        paired += 1
        yield Pair(
            _decode(source_path, paired, source[1], on_fault),
            _decode(target_path, paired, target[1], on_fault),
            Place(str(source_path), paired),
        )
    for path, count in ((source_path, num_sources), (target_path, num_targets)):
        if not count:
            _report(_empty_file(path, None, "one sentence a line"), on_fault)
    if num_sources != num_targets:
        longer = source_path if num_sources > num_targets else target_path
        message = (
            f"{source_path} has {num_sources:,} lines but {target_path} has {num_targets:,}, expected as many: "
            "line N of one is the translation of line N of the other."
        )
        _report(ReadFault("unequal-lengths", Place(str(longer), paired + 1), message), on_fault)


def read_tsv(
    path: Path,
    *,
    source_column: int = 0,
    target_column: int = 1,
    document_column: int | None = None,
    member: str | None = None,
    on_fault: FaultHandler | None = None,
) -> Iterator[Pair]:
    """Yields the pairs of a file with one pair a line, columns separated by a tab and counted from zero; no
    quoting.

    Raises RequestError as `read_lines` does, for an empty file, and for a line that has too few columns.
    """
    needed = max(source_column, target_column, -1 if document_column is None else document_column) + 1
    file = _shown(path, member)
    number = 0
    for number, line in read_lines(path, member=member, on_fault=on_fault):
        fields = line.split("\t")
        place = Place(file, number)
        if len(fields) < needed:
            found = "no tab" if len(fields) == 1 else f"{len(fields)} columns"
            message = f"{place} has {found}, expected {needed} columns separated by tabs: {_excerpt(line)}."
            _report(ReadFault("bad-record", place, message), on_fault)
            continue
        document = None if document_column is None else fields[document_column]
        yield Pair(fields[source_column], fields[target_column], place, document)
    if not number:
        _report(_empty_file(path, member, "one pair a line, separated by a tab"), on_fault)


def read_jsonl(
    path: Path,
    *,
    source_key: str = "source",
    target_key: str = "target",
    document_key: str | None = None,
    numbers_for_target: bool = False,
    member: str | None = None,
    on_fault: FaultHandler | None = None,
) -> Iterator[Pair]:
    """Yields the pairs of a file with one JSON object a line.

    Raises RequestError as `read_lines` does, for an empty file, and for a line that is no JSON object, lacks
    one of the keys, or has something else than text there (a whole number will do for the document, and with
    `numbers_for_target` a whole number, true or false for the target).
    """
    keys = [key for key in (source_key, target_key, document_key) if key is not None]
    file = _shown(path, member)
    number = 0
    for number, line in read_lines(path, member=member, on_fault=on_fault):
        place = Place(file, number)
        texts, problem = _parse_object(line, keys, numbers_for_target)
        if problem:
            _report(ReadFault("bad-record", place, f"{place} {problem}"), on_fault)
        else:
            yield Pair(texts[0], texts[1], place, texts[2] if document_key is not None else None)
    if not number:
        _report(_empty_file(path, member, "one JSON object a line"), on_fault)


def _parse_object(line: str, keys: Sequence[str], numbers_for_target: bool) -> tuple[list[str], str]:
    """Returns the texts at the keys and what is wrong with the line (nothing, where all could be had).

    Of the keys, source and target come first; the third, if there is one, is that of the document.
    """
    if not line.strip():
        return [], "is blank, expected one JSON object a line."
    try:
        record = json.loads(line)
    except (ValueError, RecursionError) as error:
        why = f"{error.msg} at column {error.colno}" if isinstance(error, json.JSONDecodeError) else str(error)
        return [], f"is not JSON ({why}), expected one JSON object a line: {_excerpt(line)}."
    if not isinstance(record, dict):
        return [], f'is not a JSON object, expected one such as {{"{keys[0]}": ..., "{keys[1]}": ...}}.'
    texts = []
    for place, key in enumerate(keys):
        if key not in record:
            found = ", ".join(f"'{name}'" for name in record) or "none"
            return [], f"has no key '{key}', its keys are {found}.{did_you_mean(key, record)}"
        text = record[key]
        if (place == 2 and type(text) is int) or (place == 1 and numbers_for_target and type(text) in (int, bool)):
            text = json.dumps(text)
        if not isinstance(text, str):
            return [], f"has {_excerpt(json.dumps(text))} at the key '{key}', expected text."
        if any("\ud800" <= character <= "\udfff" for character in text):
            return [], f"has half of a surrogate pair (\\ud800 to \\udfff) at the key '{key}', which is no character."
        texts.append(text)
    return texts, ""


def _raw_lines(path: Path, member: str | None, on_fault: FaultHandler | None) -> Iterator[tuple[int, bytes]]:
    number = 0
    try:
        with open_bytes(path, member=member) as handle:
            # Iterating over bytes ends a line at b"\n" alone, and no byte of another UTF-8 character equals
            # it.
            for number, line in enumerate(handle, 1):
                text = line.removesuffix(b"\n")
                if len(text) != len(line):
                    text = text.removesuffix(b"\r")
                if number == 1:
                    text = text.removeprefix(b"\xef\xbb\xbf")
                    if not text and not line.endswith(b"\n"):
                        return  # nothing but a byte order mark
                yield number, text
    except (EOFError, zlib.error, gzip.BadGzipFile, zipfile.BadZipFile) as error:
        place = Place(_shown(path, member), number + 1)
        _report(ReadFault("unreadable-file", place, describe_damage(path, error, number)), on_fault)
    except OSError as error:
        raise RequestError(f"Cannot read {path} after line {number}: {_reason(path, error)}.") from error


@contextmanager
def telling_damage(path: Path) -> Iterator[None]:
    """Turns what is raised where a compressed file is damaged into a RequestError."""
    try:
        yield
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise RequestError(describe_damage(path, error, 0)) from error


def describe_damage(path: Path, error: Exception, num_lines: int) -> str:
    """Returns the sentence for an archive that could not be unpacked to its end."""
    after = f" after line {num_lines:,}" if num_lines else ""
    if isinstance(error, EOFError):
        return f"{path} ends too early{after}: the compressed file was cut short. Copy or download it again."
    return f"{path} is damaged{after} and cannot be unpacked ({error}). Copy or download it again."


@contextmanager
def _open_member(path: Path, raw: BufferedReader, member: str) -> Iterator[IO[bytes]]:
    try:
        archive = zipfile.ZipFile(raw)
    except zipfile.BadZipFile as error:
        raise RequestError(f"{path} is not a zip archive ({error}).") from error
    with archive:
        if member not in archive.namelist():
            inside = ", ".join(archive.namelist()[:10]) or "nothing"
            raise RequestError(f"{path} has no '{member}' in it, it holds {inside}.")
        with archive.open(member) as unpacked:
            yield unpacked


def _decode(path: Path, number: int, raw: bytes, on_fault: FaultHandler | None) -> str:
    try:
        return raw.decode("utf-8")
    except UnicodeDecodeError as error:
        place = Place(str(path), number)
        _report(ReadFault("invalid-utf8", place, _undecodable(place, raw, error)), on_fault)
        return raw.decode("utf-8", errors="replace")


def _undecodable(place: Place, raw: bytes, error: UnicodeDecodeError) -> str:
    if place.line == 1 and raw[:2] in (b"\xff\xfe", b"\xfe\xff"):
        return f"{place.file} is UTF-16, expected UTF-8. Save it again as UTF-8."
    return (
        f"{place} is not UTF-8: byte 0x{raw[error.start]:02x} at byte {error.start + 1} of the line, "
        f"after {_excerpt(raw[: error.start].decode('utf-8')[-30:])}. Save the file as UTF-8."
    )


def _empty_file(path: Path, member: str | None, expected: str) -> ReadFault:
    file = _shown(path, member)
    return ReadFault("empty-file", Place(file, 1), f"{file} is empty, expected {expected}.")


def _report(fault: ReadFault, on_fault: FaultHandler | None) -> None:
    if on_fault is None:
        raise RequestError(fault.message)
    on_fault(fault)


def _shown(path: Path, member: str | None) -> str:
    return str(path) if member is None else f"{path}/{member}"


def _excerpt(text: str) -> str:
    return f"'{text}'" if len(text) <= 60 else f"'{text[:60]}...'"


def _reason(path: Path, error: OSError) -> str:
    match error:
        case FileNotFoundError():
            return "there is no such file"
        case IsADirectoryError():
            return "it is a folder, expected a file"
        case PermissionError():
            return "reading it is not permitted"
        case _:
            return error.strerror or str(error)
