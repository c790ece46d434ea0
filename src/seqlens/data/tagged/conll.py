"""CoNLL columns: a token a line with its tag in a column, a blank line between sentences. Lazy, gzipped or not."""

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from seqlens.data.examples import Place
from seqlens.data.readers import read_lines
from seqlens.data.tagged.records import TaggedText, joined, of_words
from seqlens.data.tagged.schemes import Scheme, TagFault, is_tag, lenient_spans, read_tags
from seqlens.errors import RequestError

_DOCUMENT = "-DOCSTART-"
_BLANKS = re.compile("[ \t]+")


@dataclass(frozen=True, slots=True)
class Columns:
    """Which columns hold the token and its tag, counted from 0, or from the last, -1, backwards.

    `separator` is what stands between two columns; None = any blanks and tabs.
    """

    token: int = 0
    tag: int = -1
    separator: str | None = None
    scheme: Scheme = "bio"

    def split(self, line: str) -> list[str]:
        """The columns of a line."""
        return _BLANKS.split(line.strip(" \t")) if self.separator is None else line.split(self.separator)

    def can_hold(self, fields: list[str]) -> bool:
        """Whether there are as many columns as these need."""
        return all(-len(fields) <= column < len(fields) for column in (self.token, self.tag))


@dataclass(slots=True)
class _Sentence:
    """Tokens so far, with their lines."""

    words: list[str] = field(default_factory=list)
    tags: list[str] = field(default_factory=list)
    lines: list[int] = field(default_factory=list)


def read_conll(path: Path, columns: Columns, *, repair: bool = False, join: int = 1) -> Iterator[TaggedText]:
    """Yields the sentences of a file. Their text is the tokens with a space between them.

    With `join`, so many sentences one after the other make one text, a line each; a document (`-DOCSTART-`) ends one
    that has fewer. Passed over are, before a sentence, lines that begin with `#` and are no token with its tag. With
    `repair`, tags that break their scheme are read as the CoNLL script and seqeval read them: an `I-` that continues
    nothing begins an entity.

    Raises:
        RequestError: as `read_lines`; an empty file; and, with the line, a wrong number of columns, a token that is
            missing, what is no tag, a tag that breaks the scheme.
    """
    waiting: list[TaggedText] = []
    for sentence in _sentences(path, columns, repair):
        if waiting and (sentence is None or len(waiting) == join):
            yield joined(waiting)
            waiting = []
        if sentence is not None:
            waiting.append(sentence)


def _sentences(path: Path, columns: Columns, repair: bool) -> Iterator[TaggedText | None]:
    """The sentences, and None where a document ends."""
    sentence = _Sentence()
    number_of_columns: int | None = None
    found = False
    for number, line in read_lines(path):
        if not line.strip() or line.startswith(_DOCUMENT):
            if sentence.words:
                yield _finish(path, sentence, columns, repair)
                sentence = _Sentence()
            if line.strip():
                yield None
            continue
        fields = columns.split(line)
        if not sentence.words and _is_comment(line, fields, columns, number_of_columns):
            continue
        place = Place(str(path), number)
        if number_of_columns is None:
            _check_columns(place, fields, columns)
            number_of_columns = len(fields)
        if len(fields) != number_of_columns:
            raise RequestError(
                f"{place} has {_count(len(fields))}, expected {number_of_columns} as in the lines before: '{line}'."
            )
        if not fields[columns.token].strip():
            raise RequestError(f"{place} has no token in column {columns.token}: '{line}'.")
        sentence.words.append(fields[columns.token])
        sentence.tags.append(fields[columns.tag])
        sentence.lines.append(number)
        found = True
    if sentence.words:
        yield _finish(path, sentence, columns, repair)
    if not found:
        raise RequestError(f"{path} has no token in it, expected a token and its tag on each line.")
    yield None


def _is_comment(line: str, fields: list[str], columns: Columns, number_of_columns: int | None) -> bool:
    if not line.startswith("#"):
        return False
    if len(fields) < 2 or not columns.can_hold(fields) or number_of_columns not in (None, len(fields)):
        return True
    return not is_tag(fields[columns.tag], columns.scheme)


def _check_columns(place: Place, fields: list[str], columns: Columns) -> None:
    if len(fields) < 2:
        shown = "tabs and blanks" if columns.separator is None else repr(columns.separator)
        raise RequestError(f"{place} has 1 column, expected a token and its tag with {shown} between them.")
    for name, column in (("token_column", columns.token), ("tag_column", columns.tag)):
        if not -len(fields) <= column < len(fields):
            raise RequestError(
                f"{place} has {_count(len(fields))}, but '{name}' is {column}, expected 0 to {len(fields) - 1}, "
                "or -1 for the last."
            )


def _finish(path: Path, sentence: _Sentence, columns: Columns, repair: bool) -> TaggedText:
    spans = read_tags(sentence.tags, columns.scheme)
    if isinstance(spans, TagFault):
        # What is no tag at all cannot be repaired.
        if not repair or not is_tag(sentence.tags[spans.position], columns.scheme):
            hint = _hint(sentence.tags[spans.position], columns, repair)
            raise RequestError(f"{Place(str(path), sentence.lines[spans.position])} {spans.message}.{hint}")
        spans = lenient_spans(sentence.tags)
    return of_words(sentence.words, spans, Place(str(path), sentence.lines[0]))


def _hint(tag: str, columns: Columns, repair: bool) -> str:
    if not is_tag(tag, columns.scheme):
        return (
            f" The tags are looked for in column {columns.tag}: see 'tag_column'." if not is_tag(tag, "bioes") else ""
        )
    if columns.scheme == "bio" and not repair:
        return " If I- begins entities throughout, set 'scheme: iob1'; 'repair: true' lets it begin one."
    return " 'repair: true' reads such tags as seqeval does."


def _count(columns: int) -> str:
    return "1 column" if columns == 1 else f"{columns} columns"
