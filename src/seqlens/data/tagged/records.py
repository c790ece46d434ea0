"""What a reader of marked texts yields: a raw text, where its tokens stand in it, and its entities."""

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass

from seqlens.data.examples import Place


@dataclass(frozen=True, slots=True, order=True)
class Entity:
    """Characters `start` to `stop` (excluded) of a text, counted from 0, and what they name."""

    start: int
    stop: int
    label: str


@dataclass(frozen=True, slots=True)
class TaggedText:
    """A text; `tokens` are spans `(start, stop)` of it, in order; `entities` begin and end where tokens do.

    `place` is where it was read from: in CoNLL columns the line of its first token.
    """

    text: str
    tokens: tuple[tuple[int, int], ...]
    entities: tuple[Entity, ...] = ()
    place: Place | None = None

    def words(self) -> list[str]:
        """The tokens' texts."""
        return [self.text[start:stop] for start, stop in self.tokens]

    def token_spans(self) -> list[tuple[int, int, str]]:
        """The entities as `(first token, token after the last, label)`."""
        firsts = {start: number for number, (start, _) in enumerate(self.tokens)}
        ends = {stop: number for number, (_, stop) in enumerate(self.tokens, 1)}
        return [(firsts[entity.start], ends[entity.stop], entity.label) for entity in self.entities]


def of_words(words: Iterable[str], spans: Iterable[tuple[int, int, str]], place: Place | None = None) -> TaggedText:
    """A text of words with a space between them, with spans `(first word, word after the last, label)`."""
    tokens, start = [], 0
    texts = list(words)
    for word in texts:
        tokens.append((start, start + len(word)))
        start += len(word) + 1
    entities = tuple(Entity(tokens[first][0], tokens[end - 1][1], label) for first, end, label in spans)
    return TaggedText(" ".join(texts), tuple(tokens), entities, place)


def fingerprint_tagged(examples: Iterable[TaggedText]) -> str:
    """The SHA-256 of texts, tokens and entities, each part after its length in bytes."""
    digest = hashlib.sha256()
    for example in examples:
        spans = " ".join(f"{start}-{stop}" for start, stop in example.tokens)
        marks = "\n".join(f"{entity.start}-{entity.stop} {entity.label}" for entity in example.entities)
        for part in (example.text, spans, marks):
            data = part.encode()
            digest.update(len(data).to_bytes(8, "little") + data)
    return digest.hexdigest()
