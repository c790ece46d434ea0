"""What costs next to nothing: the entities of training, looked up; and for every word the tag that it mostly had."""

from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from typing import final

from seqlens.data.tagged.records import TaggedText
from seqlens.data.tagged.schemes import TokenSpan, lenient_spans, write_tags

Words = tuple[str, ...]


@final
class Gazetteer:
    """The entities of training by their words, each with its commonest label; the longest match from the left.

    One that in training stands outside of entities at least as often as it is one is not looked for.
    """

    def __init__(self, train: Sequence[TaggedText]) -> None:
        labels: defaultdict[Words, Counter[str]] = defaultdict(Counter)
        for example in train:
            tokens = example.words()
            for first, end, label in example.token_spans():
                labels[tuple(tokens[first:end])][label] += 1
        self._labels = {words: min(of, key=lambda name: (-of[name], name)) for words, of in labels.items()}
        self._longest = max(map(len, self._labels), default=0)
        outside = Counter(match for example in train for match in self._outside(example))
        for words, count in outside.items():
            if sum(labels[words].values()) <= count:
                del self._labels[words]

    def spans(self, words: Sequence[str]) -> list[TokenSpan]:
        """The entities of a sentence."""
        found, place = [], 0
        while place < len(words):
            for length in range(min(self._longest, len(words) - place), 0, -1):
                label = self._labels.get(tuple(words[place : place + length]))
                if label is not None:
                    found.append((place, place + length, label))
                    place += length - 1
                    break
            place += 1
        return found

    def _outside(self, example: TaggedText) -> Iterator[Words]:
        """What would be found in a sentence of training where no entity is."""
        words = example.words()
        taken = {place for first, end, _ in example.token_spans() for place in range(first, end)}
        for first in range(len(words)):
            for end in range(first + 1, min(first + self._longest, len(words)) + 1):
                if end - 1 in taken:
                    break
                if tuple(words[first:end]) in self._labels:
                    yield tuple(words[first:end])


@final
class CommonestTag:
    """For each word its commonest tag in training, O for others; a tag that continues nothing begins an entity."""

    def __init__(self, train: Sequence[TaggedText]) -> None:
        counts: defaultdict[str, Counter[str]] = defaultdict(Counter)
        for example in train:
            words = example.words()
            for word, tag in zip(words, write_tags(len(words), example.token_spans()), strict=True):
                counts[word][tag] += 1
        self._tags = {word: min(of, key=lambda tag: (-of[tag], tag)) for word, of in counts.items()}

    def spans(self, words: Sequence[str]) -> list[TokenSpan]:
        """The entities of a sentence."""
        return lenient_spans([self._tags.get(word, "O") for word in words])
