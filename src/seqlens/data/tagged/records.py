"""What a reader of marked texts yields: a raw text, where its tokens stand in it, and its entities."""

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise

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

    A line break ends a sentence. `place` is where it was read from: in CoNLL columns the line of its first token.
    """

    text: str
    tokens: tuple[tuple[int, int], ...]
    entities: tuple[Entity, ...] = ()
    place: Place | None = None

    def words(self) -> list[str]:
        """The tokens' texts."""
        return [self.text[start:stop] for start, stop in self.tokens]

    def sentences(self) -> list[tuple[int, int]]:
        """The first token of each line that has some, and the token after its last; no entity is parted."""
        inside = {place for first, end, _ in self.token_spans() for place in range(first + 1, end)}
        firsts = [
            number
            for number in range(1, len(self.tokens))
            if "\n" in self.text[self.tokens[number - 1][1] : self.tokens[number][0]] and number not in inside
        ]
        return list(pairwise([0, *firsts, len(self.tokens)])) if self.tokens else []

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


def joined(parts: Sequence[TaggedText]) -> TaggedText:
    """One text of several, with a line break between them; its place is that of the first."""
    if len(parts) == 1:
        return parts[0]
    tokens, entities = [], []
    shift = 0
    for part in parts:
        tokens += [(start + shift, stop + shift) for start, stop in part.tokens]
        entities += [Entity(one.start + shift, one.stop + shift, one.label) for one in part.entities]
        shift += len(part.text) + 1
    return TaggedText("\n".join(part.text for part in parts), tuple(tokens), tuple(entities), parts[0].place)


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
