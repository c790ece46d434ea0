"""Documents: sentences that are read with those before them."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Annotated

from pydantic import Field

from seqlens.data.codecs.marks import MarkedText
from seqlens.data.examples import Pair
from seqlens.errors import RequestError


@dataclass(frozen=True, slots=True)
class ContextConfig:
    """A source becomes the `sentences` sources before it in its document, each followed by `<break>`, and itself.

    Tiedemann and Scherrer 2017 call one sentence of it "2-to-1". At the start of a document there are fewer.
    """

    sentences: Annotated[int, Field(ge=1, le=16)] = 1


def group_documents(pairs: Iterable[Pair]) -> Iterator[list[Pair]]:
    """Yields the pairs of each document: to the next change of `Pair.document`.

    Where pairs do not tell their document, it ends at a pair that is empty on both sides, which is left out.
    """
    current: list[Pair] = []
    for pair in pairs:
        ends = pair.document is None and is_blank(pair)
        if current and (ends or pair.document != current[-1].document):
            yield current
            current = []
        if not ends:
            current.append(pair)
    if current:
        yield current


def is_blank(pair: Pair) -> bool:
    """Whether a pair is empty on both sides."""
    return not pair.source.strip() and not (pair.target or "").strip()


def with_context(document: Sequence[Pair], num_sentences: int) -> list[Pair]:
    """The pairs of one document, whose sources are given the sentences before them."""
    sources = in_document([pair.source for pair in document], num_sentences)
    return [replace(pair, source=source) for pair, source in zip(document, sources, strict=True)]


def in_document(sentences: Sequence[str], num_sentences: int) -> list[str]:
    """The sentences of one document, each marked with the `num_sentences` before it, or as many as there are."""
    return [
        MarkedText(
            text,
            tag=text.tag if isinstance(text, MarkedText) else None,
            context=[str(before) for before in sentences[max(0, place - num_sentences) : place]],
        )
        for place, text in enumerate(sentences)
    ]


def document_chunks(chunks: Iterable[Sequence[str]], num_sentences: int) -> Iterator[list[str]]:
    """Lines some at a time, each marked with the lines before it; an empty line ends a document."""
    before: list[str] = []
    for chunk in chunks:
        marked: list[str] = []
        for line in chunk:
            marked.append(MarkedText(line, tag=line.tag if isinstance(line, MarkedText) else None, context=before))
            before = [*before, str(line)][-num_sentences:] if line.strip() else []
        yield marked


def check_context(num_sentences: object, run: object) -> int:
    """How many sentences of context a run was trained with, as its record says.

    Raises:
        RequestError: it was trained on single sentences.
    """
    if not isinstance(num_sentences, int) or num_sentences < 1:
        raise RequestError(
            f"{run} was trained on single sentences, expected a run whose data have a 'context' (sentences: k); "
            "without --document its inputs are answered one by one."
        )
    return num_sentences
